//! Downloads that are interrupted because the only source, or the receiver, is killed and comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use lanspread_api::{ErrorCode, Event, Request};

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
use crate::scenario::{Body, EVERYWHERE, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::transfer::{Piece, Transfer, pieces_of};
use crate::wait::{eventually, seen_if, within};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S19",
        title: "the only source dies",
        claim: "A download whose last source crashed says so, waits half a minute for a source, commits nothing and keeps what was verified",
        setup: "one source that sends 32 MB/s, 64 MiB (2048 chunks), SIGKILLed in the middle of a first attempt, which is left alone, and of a second one, which is cancelled",
        expected: "`download-peers-gone`, no `download-finished`; no trace of the game in the library; the first attempt ends by itself after 30 s with `download-failed` and `sources-gone`, the second by the cancel without a failure; no operation is left after either; each attempt fetches only what is missing",
        sabotages: &[
            Sabotage::new("commit-early", &["chunks were never reported"]).at("client"),
            Sabotage::new(
                "drop-event-peers-gone",
                &[
                    "client prints download-peers-gone",
                    "client did not finish, and never printed download-peers-gone",
                ],
            )
            .at("client"),
            Sabotage::new("give-up-at-once", &["after its only source was gone, which is too soon"])
                .at("client"),
            Sabotage::new("skip-retry", &["after its only source was gone, which is too soon"]).at("client"),
            Sabotage::new("wait-forever", &["client gives up the download that has no source"]).at("client"),
            Sabotage::new("cancel-is-failure", &["the cancel was told as a failure"]).at("client"),
            Sabotage::new("leave-operation", &["client runs no operation"]),
            Sabotage::new("discard-on-cancel", &["the chunks that were fetched a second time"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(only_source_dies),
    },
    Scenario {
        id: "S20",
        title: "source disappears, then returns",
        claim: "An interrupted download continues where it stopped",
        setup: "one source that sends 32 MB/s, 64 MiB, SIGKILLed in the middle, started again on the same folders and connected again",
        expected: "the download goes on by itself; over both halves exactly the game's chunks are fetched, none twice, and the source has sent after its return what was missing, to the byte; committed once; manifests equal",
        sabotages: &[
            Sabotage::new("restart-from-zero", &["a chunk was fetched twice, the second time from"]),
            Sabotage::new("forget-in-flight", &["client did not finish"]),
            Sabotage::new("never-resume", &["client did not finish"]),
            Sabotage::new("ask-twice", &["source has sent"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(source_returns),
    },
    Scenario {
        id: "S48",
        title: "resume after a crash",
        claim: "A receiver that was killed goes on and refetches at most what was in flight",
        setup: "one source that sends 32 MB/s, 64 MiB (2048 chunks); the client is SIGKILLed with at least 64 chunks there, started again on the same folders, and told to download again",
        expected: "`download-begin` says how much was had; what was had and what is fetched then make up the game; the source has sent after the kill what is fetched then, to the byte, and at most 32 chunks that were reported before the kill come again; manifests equal",
        sabotages: &[
            Sabotage::new("restart-from-zero", &["chunks were fetched a second time"]),
            Sabotage::new("forget-incoming", &["chunks were fetched a second time"]),
            Sabotage::new("ask-twice", &["source has sent"]),
            Sabotage::new("lie-about-had-bytes", &["what the second attempt had and what it fetched"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(resume_after_crash),
    },
];

/// Returns a client in the middle of a download whose only source was just killed: source, client, mark of the start,
/// and the chunks that had arrived.
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
    let (_, arrived) = interrupt(&source, &client, since, &all)?;
    Ok((source, client, since, arrived))
}

/// Kills the only source once a chunk has arrived since the mark. Returns the mark of `download-peers-gone` and the
/// chunks that had arrived.
fn interrupt(source: &Peer, client: &Peer, since: Mark, all: &BTreeSet<Piece>) -> Outcome<(Mark, Transfer)> {
    await_chunks(client, since, "ggoo", 1)?;
    source.kill();
    let (gone, event) = client.await_event(since, "download-peers-gone", |event| match event {
        Event::DownloadPeersGone { game_id }
        | Event::DownloadFinished { game_id, .. }
        | Event::DownloadFailed { game_id, .. }
            if game_id == "ggoo" =>
        {
            Some(event.clone())
        }
        _ => None,
    })?;
    let arrived = Transfer::since(client, since, "ggoo");
    match event {
        Event::DownloadFinished { .. } => {
            let missing = all.len() - arrived.0.len().min(all.len());
            fail!("client finished the download although {missing} chunks were never reported")
        }
        Event::DownloadFailed { code, .. } => {
            fail!("client did not finish, and never printed download-peers-gone: {code:?}")
        }
        _ => {}
    }
    require_in_the_middle(&arrived, all)?;
    client.await_peers(&[])?;
    Ok((gone, arrived))
}

/// Starts the source again and connects the client to it.
fn bring_back(source: &Peer, client: &Peer) -> Outcome {
    source.restart()?;
    source.await_served("ggoo")?;
    client.connect(source)?;
    client.await_offered("ggoo", 1).map(drop)
}

/// Requires that no operation and no trace of the game is left, and nothing was committed since the mark.
fn require_nothing_left(client: &Peer, since: Mark) -> Outcome {
    client.await_idle()?;
    require_no_trace(client, "ggoo")?;
    client.require_none(since, "a finished download", |e| matches!(e, Event::DownloadFinished { .. }))
}

/// Time that a download waits for a source, as the documentation says.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most that the end may come too soon or too late: the times are those at which the lab reads the events.
const SLACK: Duration = Duration::from_secs(2);
/// Longest time that the end is waited for.
const END_MAX: Duration = Duration::from_secs(if cfg!(windows) { 120 } else { 45 });

/// Requires that a download without a source ends by itself, and not before it has waited for one.
fn require_gives_up(client: &Peer, gone: Mark) -> Outcome {
    let failed = |event: &Event| match event {
        Event::DownloadFailed { game_id, code, .. } if game_id == "ggoo" => Some(*code),
        _ => None,
    };
    let (end, code) = within(END_MAX, "client gives up the download that has no source", || {
        Ok(client.find_event(gone, failed).ok_or_else(|| "no download-failed".to_owned()))
    })?;
    require_eq!(code, ErrorCode::SourcesGone, "the code in download-failed");
    let at = |mark| client.log().at(mark).unwrap_or_default();
    let waited = at(end).saturating_sub(at(gone));
    require!(
        waited + SLACK >= PATIENCE,
        "client gave up {:.1} s after its only source was gone, which is too soon",
        waited.as_secs_f32()
    );
    figures::note("S19", format!("the download failed {:.1} s after its source", waited.as_secs_f32()));
    Ok(())
}

fn only_source_dies(lab: &Lab) -> Outcome {
    let (source, client, since, first) = interrupted(lab)?;
    require_no_trace(&client, "ggoo")?;
    let gone =
        client.find_event(since, |event| matches!(event, Event::DownloadPeersGone { .. }).then_some(()));
    require_gives_up(&client, gone.map_or(since, |(gone, ())| gone))?;
    require_nothing_left(&client, since)?;

    bring_back(&source, &client)?;
    let all = pieces_of(&Manifest::root_files(&source.game_dir("ggoo"))?);
    let since = client.mark();
    client.download("ggoo", false)?;
    let (gone, second) = interrupt(&source, &client, since, &all)?;
    require_no_trace(&client, "ggoo")?;
    client.ask(&Request::CancelDownload { game_id: game_id("ggoo")? })?;
    let (_, cancelled) = client.await_event(gone, "download-cancelled", |event| match event {
        Event::DownloadCancelled { game_id, .. } if game_id == "ggoo" => Some(true),
        Event::DownloadFailed { game_id, .. } if game_id == "ggoo" => Some(false),
        _ => None,
    })?;
    require!(cancelled, "the cancel was told as a failure");
    require_nothing_left(&client, since)?;
    require_no_failure(&client, since, "ggoo")?;

    // Both a failure and a cancel keep the chunks that had arrived.
    let twice = first.pieces().intersection(&second.pieces()).count();
    bring_back(&source, &client)?;
    let again = client.mark();
    client.download("ggoo", false)?;
    await_finished(&client, again, "ggoo")?;
    let arrived = Transfer(first.0.into_iter().chain(second.0).collect());
    let (_, refetched) = require_goes_on(&client, again, "ggoo", &arrived, &all)?;
    require_eq!(twice + refetched, 0, "the chunks that were fetched a second time");
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

/// Most chunks that may come twice: they were reported at the moment of the kill and may not be recorded on disk.
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
    let finished = |event: &Event| matches!(event, Event::DownloadFinished { .. }).then_some(());
    eventually("client has 64 chunks of ggoo", || {
        let had = Transfer::since(&client, start, "ggoo").0.len();
        let missing = all.len().saturating_sub(had);
        require!(
            client.find_event(start, finished).is_none(),
            "client finished the download although {missing} chunks were never reported"
        );
        Ok(seen_if(had >= 64, || format!("{had} chunks")))
    })?;
    client.kill();
    let first = Transfer::since(&client, start, "ggoo");
    require_in_the_middle(&first, &all)?;
    require!(!client.game_dir("ggoo").exists(), "something was committed before the kill");
    source.await_no_outbound()?;
    let before = source.status()?.traffic;

    let again = client.mark();
    client.restart()?;
    client.connect(&source)?;
    client.await_offered("ggoo", 1)?;
    client.download("ggoo", false)?;
    await_finished(&client, again, "ggoo")?;
    let second = Transfer::since(&client, again, "ggoo");
    let refetched = first.pieces().intersection(&second.pieces()).count();
    require!(
        refetched <= REFETCHED_MAX,
        "{refetched} of {} chunks were fetched a second time",
        first.0.len()
    );
    let (had, _) = require_goes_on(&client, again, "ggoo", &first, &all)?;
    figures::note(
        "S48",
        format!(
            "{} of {} chunks were reported before the kill, {} KiB were there after it, {refetched} came again",
            first.0.len(),
            all.len(),
            had / KIB
        ),
    );
    let chunks = before.sent_chunks as usize + second.0.len();
    require_sent(&source, chunks, before.sent_bytes + second.bytes())?;
    require_same_game(&client, &source, "ggoo")
}
