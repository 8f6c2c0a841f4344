//! Archives that do not unpack.

use std::collections::BTreeSet;

use lanspread_api::{ErrorCode, Event, Request};

use super::flow::{KIB, await_finished, require_committed_once, require_same_game};
use crate::games::{Game, damage_byte};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Outcome, Sabotage, Scenario, fail, require, require_eq};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S44",
    title: "corrupt archive",
    claim: "A damaged archive whose chunks verify is fetched, but leaves nothing of an install behind",
    setup: "archive damaged at the source before it was indexed, inside the content of its last entry; client downloads with install, and then asks for the install again",
    expected: "`download-finished`, then each time `install-failed` with `bad-archive` and a reason that names archive and entry; downloaded and not installed, no `local/`, nothing unpacked left below `.lanspread/`, no operation left",
    sabotages: &[
        Sabotage::new("skip-archive-checksum", &["a damaged archive was installed while it arrived"]),
        Sabotage::new("install-skips-checksum", &["a damaged archive was installed from the disk"]),
        Sabotage::new("leave-staging", &["the install left"]),
        Sabotage::new("commit-install-early", &["the failed install left a folder local/"]),
    ],
    labs: EVERYWHERE,
    body: Body::Run(corrupt_archive),
}];

/// Requires that the install fails with a reason and leaves nothing behind. `how` says how the archive is read.
fn rolled_back(client: &Peer, since: Mark, how: &str) -> Outcome {
    let (_, end) = client.await_event(since, "the end of the install", |event| match event {
        Event::InstallFailed(failure) if failure.game_id == "ggoo" => Some(Some(failure.clone())),
        Event::InstallFinished { .. } => Some(None),
        _ => None,
    })?;
    let Some(failure) = end else { fail!("a damaged archive was installed {how}") };
    client.await_idle()?;
    require!(!client.game_dir("ggoo").join("local").exists(), "the failed install left a folder local/");
    require_eq!(failure.code, ErrorCode::BadArchive, "the code in install-failed");
    let named = failure.reason.contains("ggoo.eti") && failure.reason.contains("data/second.bin");
    require!(named, "the reason names neither archive nor entry: {}", failure.reason);
    let info = client.await_served("ggoo")?;
    require!(info.downloaded && !info.installed, "ggoo is to be downloaded and not installed: {info:?}");
    let ours = Manifest::of(&client.games_dir().join(".lanspread"))?;
    let payload: BTreeSet<&str> = BTreeSet::from(["first.bin", "second.bin"]);
    let left = ours.0.keys().find(|path| path.rsplit('/').next().is_some_and(|name| payload.contains(name)));
    require!(left.is_none(), "the install left {left:?} in its staging");
    Ok(())
}

fn corrupt_archive(lab: &Lab) -> Outcome {
    let game = Game::packed("ggoo", &[("data/first.bin", 1, 300 * KIB), ("data/second.bin", 2, 300 * KIB)]);
    let spec = lab.peer("bravo")?.game(&game)?;
    let archive = spec.games_dir().join("ggoo/ggoo.eti");
    damage_byte(&archive, std::fs::metadata(&archive)?.len() - 100 * KIB)?;
    let bravo = spec.start()?;
    let client = lab.peer("client")?.start()?;
    client.connect(&bravo)?;
    client.await_offered("ggoo", 1)?;
    let since = client.mark();
    client.download("ggoo", true)?;
    await_finished(&client, since, "ggoo")?;
    rolled_back(&client, since, "while it arrived")?;
    // The first install unpacked while the game arrived. This one unpacks the archive on disk.
    let again = client.mark();
    client.ask(&Request::Install { game_id: game_id("ggoo")?, max_unpacked_bytes: None })?;
    rolled_back(&client, again, "from the disk")?;
    client.require_none(since, "a finished install", |e| matches!(e, Event::InstallFinished { .. }))?;
    require_same_game(&client, &bravo, "ggoo")?;
    require_committed_once(&client, since, "ggoo")
}
