//! The only source goes in mid-transfer and comes back, or the receiver does.

use lanspread_api::{Event, Request};

use super::flow::{
    KIB, MIB, await_chunks, await_finished, require_committed_once, require_goes_on, require_in_the_middle,
    require_no_failure, require_no_trace, require_same_game, require_sent,
};
use crate::figures;
use crate::games::{CatalogFile, Game};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Outcome, Scenario, fail, require, require_eq};
use crate::transfer::{Transfer, pieces_of};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S19",
        title: "the only source dies",
        claim: "A download whose last source crashed says so, commits nothing and keeps what was verified",
        setup: "one source that sends 32 MB/s, 64 MiB (2048 chunks), SIGKILLed in the middle",
        expected: "`download-peers-gone`, no `download-finished`; no trace of the game in the library; a cancel then ends it without a failure, and no operation is left; once the source is back, the next attempt fetches only what was missing",
        sabotages: &[
            "commit-early",
            "drop-event-peers-gone",
            "cancel-is-failure",
            "leave-operation",
            "discard-on-cancel",
        ],
        labs: EVERYWHERE,
        body: Body::Run(only_source_dies),
    },
    Scenario {
        id: "S20",
        title: "source disappears, then returns",
        claim: "An interrupted download goes on where it stopped",
        setup: "one source that sends 32 MB/s, 64 MiB, SIGKILLed in the middle, started again on the same folders and connected again",
        expected: "the download goes on by itself; over both halves exactly the game's chunks are fetched, none twice, and the source has sent after its return what was missing, to the byte; committed once; manifests equal",
        sabotages: &["restart-from-zero", "forget-in-flight", "never-resume", "ask-twice"],
        labs: EVERYWHERE,
        body: Body::Run(source_returns),
    },
    Scenario {
        id: "S48",
        title: "resume after a crash",
        claim: "A receiver that was killed goes on and refetches at most what was in flight",
        setup: "one source that sends 32 MB/s, 64 MiB (2048 chunks); the client is SIGKILLed with at least 64 chunks there, started again on the same folders, and told to download again",
        expected: "`download-begin` says how much was had; what was had and what is fetched then make up the game; no chunk comes twice within a run, and at most 32 that were reported before the kill come again; manifests equal",
        sabotages: &["restart-from-zero", "forget-incoming", "lie-about-had-bytes"],
        labs: EVERYWHERE,
        body: Body::Run(resume_after_crash),
    },
];

/// A client in the middle of a download whose only source was just killed: source, client, mark of the start, and what
/// had arrived.
fn interrupted(lab: &Lab) -> Outcome<(Peer, Peer, Mark, Transfer)> {
    let game = Game::blob("ggoo", 19, 64 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let source = lab.peer("source")?.game(&game)?.catalog(&catalog)?.upload_limit(32_000_000).start()?;
    let client = lab.peer("client")?.catalog(&catalog)?.start()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    let all = pieces_of(&Manifest::root_files(&source.game_dir("ggoo"))?);
    let since = client.mark();
    client.download("ggoo", false)?;
    await_chunks(&client, since, "ggoo", 1)?;
    source.kill();
    client.await_event(since, "download-peers-gone", |event| match event {
        Event::DownloadPeersGone { game_id } if game_id == "ggoo" => Some(()),
        _ => None,
    })?;
    let arrived = Transfer::since(&client, since, "ggoo");
    require_in_the_middle(&arrived, &all)?;
    client.await_peers(&[])?;
    Ok((source, client, since, arrived))
}

fn only_source_dies(lab: &Lab) -> Outcome {
    let (source, client, since, _) = interrupted(lab)?;
    require_no_trace(&client, "ggoo")?;
    client.ask(&Request::CancelDownload { game_id: game_id("ggoo")? })?;
    client.await_event(since, "download-cancelled", |event| match event {
        Event::DownloadCancelled { game_id, .. } if game_id == "ggoo" => Some(()),
        _ => None,
    })?;
    client.await_idle()?;
    require_no_trace(&client, "ggoo")?;
    client.require_none(since, "a finished download", |e| matches!(e, Event::DownloadFinished { .. }))?;
    require_no_failure(&client, since, "ggoo")?;

    // What had arrived is kept for the next attempt.
    let arrived = Transfer::since(&client, since, "ggoo");
    source.restart()?;
    source.await_served("ggoo")?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    let all = pieces_of(&Manifest::root_files(&source.game_dir("ggoo"))?);
    let again = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, again, "ggoo")?;
    let (_, refetched) = require_goes_on(&client, again, "ggoo", &arrived, &all)?;
    require_eq!(refetched, 0, "the chunks that were fetched a second time");
    require_same_game(&client, &source, "ggoo")
}

fn source_returns(lab: &Lab) -> Outcome {
    let (source, client, since, arrived) = interrupted(lab)?;
    source.restart()?;
    source.await_served("ggoo")?;
    client.connect(&source)?;
    let (_, totals) = await_finished(&client, since, "ggoo")?;
    let all = pieces_of(&Manifest::root_files(&source.game_dir("ggoo"))?);
    let transfer = Transfer::since(&client, since, "ggoo");
    transfer.require_exactly(&all)?;
    transfer.require_totals(&totals)?;
    require!(transfer.0.len() > arrived.0.len(), "nothing was fetched after the return");
    let returned = |event: &Event| match event {
        Event::PeerConnected { peer_id, .. } => (*peer_id == source.id()).then_some(()),
        _ => None,
    };
    let Some((returned, ())) = client.find_event(since, returned) else {
        fail!("the source never came back")
    };
    let again = Transfer::since(&client, returned, "ggoo");
    require_sent(&source, again.0.len(), again.bytes())?;
    figures::note("S20", format!("{} of {} chunks were there at the kill", arrived.0.len(), all.len()));
    require_same_game(&client, &source, "ggoo")?;
    require_committed_once(&client, since, "ggoo")
}

/// Chunks that may come twice: what was reported in the very moment of the kill, and may not have been noted on disk.
const REFETCHED_MAX: usize = 32;

fn resume_after_crash(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 48, 64 * MIB);
    let catalog = CatalogFile::of(&[&game]);
    let source = lab.peer("source")?.game(&game)?.catalog(&catalog)?.upload_limit(32_000_000).start()?;
    let client = lab.peer("client")?.catalog(&catalog)?.start()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    let all = pieces_of(&Manifest::root_files(&source.game_dir("ggoo"))?);
    let start = client.mark();
    client.download("ggoo", false)?;
    await_chunks(&client, start, "ggoo", 64)?;
    client.kill();
    let first = Transfer::since(&client, start, "ggoo");
    require_in_the_middle(&first, &all)?;
    require!(!client.game_dir("ggoo").exists(), "something was committed before the kill");

    let again = client.mark();
    client.restart()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    client.download("ggoo", false)?;
    await_finished(&client, again, "ggoo")?;
    let (had, refetched) = require_goes_on(&client, again, "ggoo", &first, &all)?;
    figures::note(
        "S48",
        format!(
            "{} of {} chunks were reported before the kill, {} KiB were there after it, {refetched} came again",
            first.0.len(),
            all.len(),
            had / KIB
        ),
    );
    require!(
        refetched <= REFETCHED_MAX,
        "{refetched} of {} chunks were fetched a second time",
        first.0.len()
    );
    require_same_game(&client, &source, "ggoo")
}
