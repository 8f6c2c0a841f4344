//! Scenarios that need a lab with cables: a peer that is cut off cannot even close its connections.

use lanspread_api::Event;
use lanspread_api::event::LossCode;

use super::flow::{
    MIB, await_chunks_from, await_finished, require_committed_once, require_in_the_middle, require_same_game,
};
use crate::figures;
use crate::games::{CatalogFile, Game};
use crate::lab::Lab;
use crate::manifest::Manifest;
use crate::peer::Peer;
use crate::scenario::{Body, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::transfer::{Transfer, pieces_of};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S57",
    title: "a pulled cable",
    claim: "A source that is cut off without a word holds nothing up, is given up by its silence, and is found again",
    setup: "two sources at 100 Mbit/s, 48 MiB (1536 chunks); one's cable is pulled after its first chunks and plugged in again after the end",
    expected: "the download ends with exactly the game's chunks, and before the cut source is given up; no more bytes are counted for the cut source than had left it until the cut; `peer-lost` with `silent`; after the cable is back both see each other again with no `connect`",
    sabotages: &[
        Sabotage::new("forget-late-chunks", &["the download waited until the cut source was given up"]),
        Sabotage::new("ignore-silence", &["client prints that it lost the cut peer"]),
        Sabotage::new("never-redial", &["the cut source was not found again"]),
        Sabotage::new("credit-idle-source", &["are counted for the cut source, but only"]),
    ],
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
    let (since, unrelated) = (client.mark(), bytes_sent(&cut)?);
    client.download("ggoo", false)?;
    await_chunks_from(&client, since, "ggoo", &[&cut, &other], 8).map_err(|late| {
        // If the download has ended, it must have been complete.
        let ended = |event: &Event| matches!(event, Event::DownloadFinished { .. }).then_some(());
        let ended = client.find_event(since, ended).is_some();
        let incomplete = Transfer::since(&client, since, "ggoo").require_exactly(&all).err();
        incomplete.filter(|_| ended).unwrap_or(late)
    })?;
    cut.pull_cable()?;
    let (at_cut, left) = (client.mark(), bytes_sent(&cut)?.saturating_sub(unrelated));
    require_in_the_middle(&Transfer::since(&client, since, "ggoo"), &all)?;
    let (end, _) = await_finished(&client, since, "ggoo")?;
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&all)?;
    require_same_game(&client, &other, "ggoo")?;
    require_committed_once(&client, since, "ggoo")?;

    // The client may report chunks after the cut that had reached it before. So the bound is not their number, but
    // what went through the cable: bytes of chunks are random and do not shrink on the way.
    let after =
        Transfer::since(&client, at_cut, "ggoo").by_source().get(&cut.id()).map_or(0, |(_, bytes)| *bytes);
    require!(after <= ON_THEIR_WAY_MAX, "{after} bytes came through a cable that was pulled");
    let counted = transfer.by_source().get(&cut.id()).map_or(0, |(_, bytes)| *bytes);
    require!(
        counted <= left,
        "{counted} bytes are counted for the cut source, but only {left} had left it until the cut"
    );
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
    let not_found = |Failure(why)| Failure(format!("the cut source was not found again: {why}"));
    client.await_peers(&[(&cut, &["ggoo"]), (&other, &["ggoo"])]).map_err(not_found)?;
    cut.await_peers(&[(&client, &["ggoo"])]).map_err(not_found)
}

/// Most bytes that may be requested from one source at a time, and so may have left it before the cut.
const ON_THEIR_WAY_MAX: u64 = MIB;

/// Returns the bytes that have left the peer through its cable, with all headers.
fn bytes_sent(peer: &Peer) -> Outcome<u64> {
    let Some(process) = peer.process_id() else { fail!("{} does not run", peer.name()) };
    // The file is about the network namespace of the process. Behind the name are eight figures of what was received;
    // the ninth is the bytes sent (proc_pid_net(5)).
    let devices = std::fs::read_to_string(format!("/proc/{process}/net/dev"))?;
    let figures = devices.lines().find_map(|line| line.trim_start().strip_prefix("eth0:"));
    let sent = figures.and_then(|figures| figures.split_whitespace().nth(8));
    let Some(sent) = sent else { fail!("{} has no cable", peer.name()) };
    Ok(sent.parse()?)
}
