//! A library on a disk that cannot be written.

use lanspread_api::{ErrorCode, Request};

use super::flow::{MIB, await_finished, require_same_game};
use crate::games::Game;
use crate::lab::Lab;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, require, require_eq};
use crate::small_disk::SmallDisk;
use crate::transfer::Transfer;

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S87",
    title: "a read-only library",
    claim: "Games on a disk that cannot be written are shared, nothing is downloaded to it, and its owner is told",
    setup: "keeper's library with one game is on a disk that is read-only from before its start; source has another game (needs root, to mount a tmpfs; left out visibly without)",
    expected: "keeper starts, `library_read_only` is true in its status; `download`, `stream-install` and `remove-download` are refused with `library-read-only` and a hint; taker fetches the game from keeper, byte for byte; both hold after a restart; on the disk is the game and nothing else",
    sabotages: &[
        Sabotage::new("change-read-only", &["keeper answered"]),
        Sabotage::new("hide-read-only", &["keeper does not say that its library is read-only"]),
        Sabotage::new("serve-nothing", &["keeper does not serve its game"]).at("keeper"),
    ],
    labs: &[LabKind::Local],
    body: Body::Run(read_only_library),
}];

fn read_only_library(lab: &Lab) -> Outcome {
    let source = lab.peer("source")?.game(&Game::blob("other", 88, MIB))?.start()?;
    let spec = lab.peer("keeper")?;
    let disk = SmallDisk::mount(&spec.games_dir(), 32 * MIB)?;
    let spec = spec.game(&Game::blob("ggoo", 87, 4 * MIB))?;
    disk.forbid_writing()?;
    let keeper = spec.start()?;
    require_shares_and_keeps(lab, &keeper, &source, "taker")?;
    keeper.shut_down()?;
    keeper.restart()?;
    require_shares_and_keeps(lab, &keeper, &source, "second-taker")?;
    let folders = std::fs::read_dir(keeper.games_dir())?.flatten().map(|entry| entry.file_name());
    require_eq!(folders.collect::<Vec<_>>(), ["ggoo"], "what is on the read-only disk");
    Ok(())
}

/// Requires that the keeper reports its library as read-only, refuses to change it, and still serves its game.
fn require_shares_and_keeps(lab: &Lab, keeper: &Peer, source: &Peer, taker: &str) -> Outcome {
    keeper.connect(source)?;
    keeper.await_offered("other", 1)?;
    keeper.await_served("ggoo")?;
    require!(keeper.status()?.library_read_only, "keeper does not say that its library is read-only");
    let other = game_id("other")?;
    let download = Request::Download { game_id: other.clone(), install: false, confirm_content: None };
    let stream = Request::StreamInstall { game_id: other, max_unpacked_bytes: None };
    let remove = Request::RemoveDownload { game_id: game_id("ggoo")? };
    for request in [download, stream, remove] {
        let refusal = keeper.refuses(&request, ErrorCode::LibraryReadOnly)?;
        require!(refusal.error.hint.is_some(), "keeper refuses {request:?} without a hint");
    }
    let taker = lab.peer(taker)?.start()?;
    taker.connect(keeper)?;
    taker.await_offered("ggoo", 1)?;
    let since = taker.mark();
    taker.download("ggoo", false)?;
    await_finished(&taker, since, "ggoo")
        .map_err(|error| Failure(format!("keeper does not serve its game: {}", error.0)))?;
    Transfer::since(&taker, since, "ggoo").require_sources(&[keeper])?;
    require_same_game(&taker, keeper, "ggoo")
}
