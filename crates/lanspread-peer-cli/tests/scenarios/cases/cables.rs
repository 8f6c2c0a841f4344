//! What only a lab with cables shows: a peer that is cut off says nothing, not even that its connection is closed.

use lanspread_api::Event;
use lanspread_api::event::LossCode;

use super::flow::{
    MIB, await_chunks_from, await_finished, require_committed_once, require_in_the_middle, require_same_game,
};
use crate::figures;
use crate::games::{CatalogFile, Game};
use crate::lab::Lab;
use crate::manifest::Manifest;
use crate::scenario::{Body, LabKind, Outcome, Scenario, require, require_eq};
use crate::transfer::{Transfer, pieces_of};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S57",
    title: "a pulled cable",
    claim: "A source that is cut off without a word holds nothing up, is given up by its silence, and is found again",
    setup: "two sources at 100 Mbit/s, 48 MiB (1536 chunks); one's cable is pulled after its first chunks and plugged in again after the end",
    expected: "the download ends with exactly the game's chunks, none from the cut source after the cut, and before that source is given up; `peer-lost` with `silent`; after the cable is back both see each other again with no `connect`",
    sabotages: &["forget-late-chunks", "ignore-silence", "never-redial"],
    labs: &[LabKind::Netns],
    body: Body::Run(pulled_cable),
}];

fn pulled_cable(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 57, 48 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let source = |name| lab.peer(name)?.game(&game)?.catalog(&catalog)?.link_mbit_per_s(100).start();
    let (cut, other) = (source("cut")?, source("other")?);
    let client = lab.peer("client")?.catalog(&catalog)?.start()?;
    client.connect(&cut)?;
    client.connect(&other)?;
    client.await_offered("ggoo", 2)?;
    let all = pieces_of(&Manifest::root_files(&other.game_dir("ggoo"))?);
    let since = client.mark();
    client.download("ggoo", false)?;
    await_chunks_from(&client, since, "ggoo", &[&cut, &other], 8)?;
    cut.pull_cable()?;
    let at_cut = client.mark();
    require_in_the_middle(&Transfer::since(&client, since, "ggoo"), &all)?;
    let (end, _) = await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&all)?;
    require_same_game(&client, &other, "ggoo")?;
    require_committed_once(&client, since, "ggoo")?;

    // What had arrived at the client's machine by then may still have been verified and reported after the cut.
    let after =
        Transfer::since(&client, at_cut, "ggoo").by_source().get(&cut.id()).map_or(0, |(_, bytes)| *bytes);
    require!(after <= ON_THEIR_WAY_MAX, "{after} bytes came through a cable that was pulled");
    let lost = |event: &Event| match event {
        Event::PeerLost { peer_id, code, .. } if *peer_id == cut.id() => Some(*code),
        _ => None,
    };
    let (given_up, code) = client.await_event(at_cut, "that it lost the cut peer", lost)?;
    require_eq!(code, LossCode::Silent, "why the client lost the cut peer");
    require!(end < given_up, "the download waited until the cut source was given up");
    let seconds = |mark| client.log().at(mark).unwrap_or_default().as_secs_f64();
    let (rest, silence) = (seconds(end) - seconds(at_cut), seconds(given_up) - seconds(at_cut));
    figures::note(
        "S57",
        format!(
            "the download ended {rest:.1} s after the cut, the cut source was given up after {silence:.1} s"
        ),
    );

    cut.plug_cable()?;
    client.await_peers(&[(&cut, &["ggoo"]), (&other, &["ggoo"])])?;
    cut.await_peers(&[(&client, &["ggoo"])])
}

/// Bytes that one source may have been asked for at a time, and that may have left it before the cut.
const ON_THEIR_WAY_MAX: u64 = MIB;
