//! Steps that most scenarios share: follow a download to its end and compare what arrived.

use std::collections::BTreeSet;

use lanspread_api::Event;
use lanspread_api::event::Totals;
use lanspread_api::reply::OperationKind;

use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::Peer;
use crate::scenario::{Failure, Outcome, fail, require, require_eq};
use crate::transfer::{Piece, Transfer};
use crate::wait::{eventually, seen_if};

pub const KIB: u64 = 1 << 10;
pub const MIB: u64 = 1 << 20;
/// Size of a chunk in games of up to 362 MiB.
pub const CHUNK: u64 = 32 * KIB;

/// Part of the chunks that may be sent a second time.
///
/// A client asks another source for a chunk that is half a second late, which happens on a busy machine.
const LATE_PART: u64 = 32;

/// Waits for the end of the download, which must be a success. At that moment the game must already be listed as
/// downloaded.
pub fn await_finished(peer: &Peer, since: Mark, game: &str) -> Outcome<(Mark, Totals)> {
    let (mark, end) =
        peer.await_end(since, &format!("the end of the download of {game}"), |event| match event {
            Event::DownloadFinished { game_id, totals } if game_id == game => Some(Ok(totals.clone())),
            Event::DownloadFailed { game_id, .. } | Event::DownloadCancelled { game_id, .. }
                if game_id == game =>
            {
                Some(Err(format!("{event:?}")))
            }
            _ => None,
        })?;
    let totals = end.map_err(|event| Failure(format!("{} did not finish: {event}", peer.name())))?;
    let info = peer.game(game)?;
    let shown = info.as_ref().is_some_and(|info| info.downloaded);
    require!(shown, "download-finished came before the game shows as downloaded: {info:?}");
    Ok((mark, totals))
}

/// Waits for the end of the install, which must be a success. At that moment the game must already be listed as
/// installed.
pub fn await_installed(peer: &Peer, since: Mark, game: &str) -> Outcome<Mark> {
    let (mark, end) =
        peer.await_end(since, &format!("the end of the install of {game}"), |event| match event {
            Event::InstallFinished { game_id } if game_id == game => Some(Ok(())),
            Event::InstallFailed(failure) if failure.game_id == game => Some(Err(format!("{failure:?}"))),
            _ => None,
        })?;
    end.map_err(|event| Failure(format!("{} did not install: {event}", peer.name())))?;
    let info = peer.game(game)?;
    let shown = info.as_ref().is_some_and(|info| info.installed);
    require!(shown, "install-finished came before the game shows as installed: {info:?}");
    Ok(mark)
}

/// Requires that since the mark the game was committed exactly once and no download of it failed.
pub fn require_committed_once(peer: &Peer, since: Mark, game: &str) -> Outcome {
    let finished =
        |event: &Event| matches!(event, Event::DownloadFinished { game_id, .. } if game_id == game);
    let commits = peer.events_since(since).iter().filter(|e| finished(e)).count();
    require_eq!(commits, 1, "how often {game} was committed");
    require_no_failure(peer, since, game)
}

pub fn require_no_failure(peer: &Peer, since: Mark, game: &str) -> Outcome {
    let failed = |event: &Event| matches!(event, Event::DownloadFailed { game_id, .. } if game_id == game);
    peer.require_none(since, "a failure of the download", failed)
}

/// Requires that the shared files of a game are the same in both libraries, with none missing and none extra.
pub fn require_same_game(receiver: &Peer, source: &Peer, game: &str) -> Outcome {
    let expected = Manifest::root_files(&source.game_dir(game))?;
    require!(expected.0.contains_key("version.ini"), "the source has no whole {game} to compare with");
    let what = format!("{game} at {} against {}", receiver.name(), source.name());
    Manifest::root_files(&receiver.game_dir(game))?.require_equal(&expected, &what)
}

/// Requires that nothing of the game is in the peer's library.
pub fn require_no_trace(peer: &Peer, game: &str) -> Outcome {
    let folder = peer.game_dir(game);
    require!(!folder.exists(), "{} has a folder of {game}, which was never committed", peer.name());
    let info = peer.game(game)?;
    let clean = info.as_ref().is_none_or(|info| !info.downloaded && !info.installed);
    require!(clean, "{} shows {game} as being there: {info:?}", peer.name());
    Ok(())
}

/// Waits until `count` chunks of the game have arrived since the mark. Returns the chunks.
pub fn await_chunks(peer: &Peer, since: Mark, game: &str, count: usize) -> Outcome<Transfer> {
    eventually(&format!("{} has {count} chunks of {game}", peer.name()), || {
        let ended = peer.find_event(since, |event| match event {
            Event::DownloadFinished { game_id, .. } => (game_id == game).then_some(()),
            _ => None,
        });
        let transfer = Transfer::since(peer, since, game);
        let had = transfer.0.len();
        if had < count && ended.is_some() {
            fail!("{} finished {game} with {had} chunks: {} were never reported", peer.name(), count - had);
        }
        Ok(if had >= count { Ok(transfer) } else { Err(format!("{had} chunks")) })
    })
}

/// Waits until each source has served `count` chunks of the game since the mark. Returns the chunks.
pub fn await_chunks_from(
    peer: &Peer,
    since: Mark,
    game: &str,
    sources: &[&Peer],
    count: u64,
) -> Outcome<Transfer> {
    eventually(&format!("{} has {count} chunks from each of {}", peer.name(), sources.len()), || {
        let transfer = Transfer::since(peer, since, game);
        let served = transfer.by_source();
        let enough = sources.iter().all(|s| served.get(&s.id()).is_some_and(|(chunks, _)| *chunks >= count));
        Ok(if enough { Ok(transfer) } else { Err(format!("{served:?}")) })
    })
}

/// Requires that a kill came in the middle of a download: some chunks had arrived and some were missing.
pub fn require_in_the_middle(at_kill: &Transfer, all: &BTreeSet<Piece>) -> Outcome {
    let (had, all) = (at_kill.0.len(), all.len());
    require!(had > 0 && had < all, "the kill came with {had} of {all} chunks there, which proves nothing");
    Ok(())
}

/// Checks a second attempt at a download. Returns the bytes that it had at its start, and how many of the chunks that
/// the first attempt reported it fetched again.
///
/// What it had and what it fetched must make up the game, with no chunk twice. The first attempt may have stored a
/// few more chunks than it reported.
pub fn require_goes_on(
    peer: &Peer,
    since: Mark,
    game: &str,
    before: &Transfer,
    all: &BTreeSet<Piece>,
) -> Outcome<(u64, usize)> {
    let begun = peer.find_event(since, |event| match event {
        Event::DownloadBegin { game_id, had_bytes, total_bytes, .. } if game_id == game => {
            Some((*had_bytes, *total_bytes))
        }
        _ => None,
    });
    let Some((_, (had, total))) = begun else { fail!("the second attempt has no download-begin") };
    let fetched = Transfer::since(peer, since, game);
    let pieces = fetched.pieces();
    require_eq!(pieces.len(), fetched.0.len(), "the chunks of the second attempt, each once");
    require!(pieces.is_subset(all), "the second attempt fetched chunks that the game does not have");
    require_eq!(had + fetched.bytes(), total, "what the second attempt had and what it fetched");
    Ok((had, before.pieces().intersection(&pieces).count()))
}

/// Waits until the source counts exactly these chunks and bytes as sent since its start. A chunk that arrives twice
/// is no event, but the source has sent it.
pub fn require_sent(source: &Peer, chunks: usize, bytes: u64) -> Outcome {
    eventually(&format!("{} has sent {chunks} chunks of {bytes} bytes in all", source.name()), || {
        let traffic = source.status()?.traffic;
        let sent = (traffic.sent_chunks, traffic.sent_bytes);
        Ok(seen_if(sent == (chunks as u64, bytes), || format!("{sent:?}")))
    })
}

/// Waits until `status` shows an operation of this kind on the game.
pub fn await_operation(peer: &Peer, game: &str, kind: OperationKind) -> Outcome {
    eventually(&format!("{} shows {kind:?} of {game}", peer.name()), || {
        let running = peer.status()?.active_operations;
        let shown = running.iter().any(|o| o.game_id == game && o.kind == kind);
        Ok(if shown { Ok(()) } else { Err(format!("{running:?}")) })
    })
}

/// A step in an order of events: its name for messages, and the test that recognises its event.
pub type EventStep<'a> = (&'a str, &'a dyn Fn(&Event) -> bool);

/// Requires that the first events of these steps appear in the log in this order.
pub fn require_order(peer: &Peer, since: Mark, steps: &[EventStep<'_>]) -> Outcome {
    let mut last = since;
    for (name, is) in steps {
        match peer.find_event(since, |event| is(event).then_some(())) {
            Some((mark, ())) if mark >= last => last = mark,
            Some(_) => fail!("{} printed {name} before the step that comes before it", peer.name()),
            None => fail!("{} never printed {name}", peer.name()),
        }
    }
    Ok(())
}

/// Requires that these sources have sent chunks and bytes once in all since their start, apart from chunks that were
/// late.
///
/// A chunk that arrives twice is no event of the client, but its source has sent it.
pub fn require_sent_once(sources: &[&Peer], chunks: u64, bytes: u64) -> Outcome {
    let (mut sent_chunks, mut sent_bytes) = (0, 0);
    for source in sources {
        source.await_no_outbound()?;
        let traffic = source.status()?.traffic;
        sent_chunks += traffic.sent_chunks;
        sent_bytes += traffic.sent_bytes;
    }
    let fits = |sent: u64, once: u64| (once..=once + once / LATE_PART).contains(&sent);
    require!(
        fits(sent_chunks, chunks) && fits(sent_bytes, bytes),
        "{sent_chunks} chunks were sent where {chunks} are enough\n  bytes: {sent_bytes} instead of {bytes}"
    );
    Ok(())
}

/// Requires that these sources have sent each chunk of a game once.
pub fn require_game_sent_once(sources: &[&Peer], all: &BTreeSet<Piece>) -> Outcome {
    require_sent_once(sources, all.len() as u64, all.iter().map(|piece| piece.length).sum())
}
