//! Turns events into sentences.

use std::collections::{BTreeSet, HashMap};

use lanspread_api::event::{
    DownloadProgress, Event, GameFailure, IgnoredFolder, Repair, Totals, VerifyFinished,
};

use super::human::{bytes, count, line_rate, millis, rate, seconds};

/// Turns events into sentences. Remembers the names of peers, because events may carry only their keys, and what it
/// reported last, so that it reports only changes.
#[derive(Debug, Default)]
pub struct Presenter {
    peers: HashMap<String, Known>,
    shared: BTreeSet<String>,
    ignored: Vec<IgnoredFolder>,
}

/// A connected peer: its name, and the number of games that was told last.
#[derive(Debug, Default)]
struct Known {
    name: String,
    games: usize,
}

impl Presenter {
    /// Returns the sentence for an event; `None` if a progress bar shows it or nobody needs it.
    pub fn tell(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::PeerConnected { peer_id, name, .. } => {
                self.peers.insert(peer_id.clone(), Known { name: name.clone(), games: 0 });
            }
            Event::PeerLost { peer_id, .. } => {
                self.peers.remove(peer_id);
            }
            Event::RemoteLibraryChanged { peer_id, game_count } => return self.offers(peer_id, *game_count),
            Event::LocalLibraryChanged { games, ignored } => return self.library(games, ignored),
            _ => {}
        }
        sentence(event)
    }

    /// Reports a peer's number of games if it differs from the last one told.
    fn offers(&mut self, peer_id: &str, games: usize) -> Option<String> {
        let peer = self.peers.get_mut(peer_id)?;
        let before = std::mem::replace(&mut peer.games, games);
        (before != games).then(|| format!("{} offers {}.", peer.name, count(games, "game")))
    }

    /// Reports what changed in this peer's library.
    fn library(&mut self, games: &[String], ignored: &[IgnoredFolder]) -> Option<String> {
        let now: BTreeSet<String> = games.iter().cloned().collect();
        let mut lines = Vec::new();
        let mut tell = |what: &str, names: Vec<&String>| {
            if !names.is_empty() {
                let names: Vec<&str> = names.into_iter().map(String::as_str).collect();
                lines.push(format!("{what} {}.", names.join(", ")));
            }
        };
        tell("Sharing", now.difference(&self.shared).collect());
        tell("No longer sharing", self.shared.difference(&now).collect());
        let fresh = ignored.iter().filter(|folder| !self.ignored.contains(folder));
        lines.extend(fresh.map(|folder| format!("Not a game: {} ({}).", folder.name, folder.reason)));
        self.shared = now;
        self.ignored = ignored.to_vec();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// Returns the sentence for an event that needs no memory.
fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::LocalPeerReady { name, addr, game_count, .. } => {
            let games = count(*game_count, "game");
            format!("Ready: {name} is listening on {addr}, with {games} in the library.")
        }
        Event::LibraryUnreadable(fault) => format!(
            "Cannot read the library; keeping the last known state: {}.{}",
            fault.reason,
            fault.code.hint().map(|hint| format!(" Hint: {hint}.")).unwrap_or_default()
        ),
        Event::IndexFailed(f) => failed(f, "could not be read and is not shared"),
        Event::PeerConnected { name, addr, .. } => format!("{name} joined ({addr})."),
        Event::PeerLost { name, reason, .. } => format!("{name} disconnected: {reason}."),
        Event::CatalogChanged { serial, game_count, .. } => {
            format!("New catalogue from the organiser: edition {serial}, {}.", count(*game_count, "game"))
        }
        Event::CatalogOffered { fingerprint, name, .. } => format!(
            "{name} uses the catalogue of organiser {fingerprint}. If the organiser reads out the same digits: \
             lanspread catalog trust {fingerprint}"
        ),
        Event::DownloadWanted { name, game_id, accepted: true, .. } => {
            format!("{name} asks everyone to download {game_id}: started.")
        }
        Event::DownloadWanted { name, game_id, accepted: false, .. } => {
            format!("{name} asks everyone to download {game_id}. To do so: lanspread get {game_id}")
        }
        Event::PeerRefused { addr, reason, .. } => format!("{addr} was refused: {reason}."),
        Event::PeerIncompatible { addr, their_protocol, our_protocol } => format!(
            "{addr} runs an incompatible lanspread (protocol {their_protocol}, yours is {our_protocol}): use the same version on both."
        ),
        Event::GotGameFiles { game_id, eti_version, file_count, total_bytes, .. } => {
            let files = count(*file_count, "file");
            format!("{game_id}: version {eti_version}, {files}, {}.", bytes(*total_bytes))
        }
        Event::DownloadBegin { game_id, reused_bytes, .. } if *reused_bytes > 0 => {
            format!("{game_id}: reusing {} of the local version.", bytes(*reused_bytes))
        }
        Event::DownloadBegin { game_id, had_bytes, .. } if *had_bytes > 0 => {
            format!("{game_id}: resuming; {} already downloaded.", bytes(*had_bytes))
        }
        Event::DownloadFinished { game_id, totals } => {
            format!("{game_id}: downloaded and verified: {}.", told(totals))
        }
        Event::DownloadFailed { game_id, reason, variants, .. } => {
            let mut text = format!("{game_id}: download failed: {reason}.");
            for v in variants {
                let content = v.content_id.get(..8).unwrap_or(&v.content_id);
                text.push_str(&format!("\n  content {content}: {}", list_or_none(&v.peers)));
            }
            text
        }
        Event::DownloadCancelled { game_id, totals } if totals.streamed => {
            format!("{game_id}: cancelled; nothing of it is kept.")
        }
        Event::DownloadCancelled { game_id, totals } => {
            format!("{game_id}: cancelled after {}; download progress is kept.", bytes(totals.bytes))
        }
        Event::DownloadPeersGone { game_id } => {
            format!("{game_id}: no sources left; waiting for one to come back.")
        }
        Event::SourceRejected { game_id, name, reason, .. } => {
            format!("{game_id}: {name} was dropped as a source: {reason}.")
        }
        Event::VerifyBegin { game_id } => format!("{game_id}: checking every byte."),
        Event::VerifyFinished(v) => verdict(v),
        Event::VerifyFailed(f) => failed(f, "could not be verified"),
        Event::PlayEnded { game_id, .. } => format!("{game_id}: game closed."),
        Event::UserFilesKept { game_id, kept, beside } => {
            let mut text = format!("{game_id}: kept {} of your own.", count(*kept as usize, "file"));
            for path in beside {
                text.push_str(&format!("\n  new version next to yours: {path}"));
            }
            text
        }
        Event::InstallBegin { game_id } => format!("{game_id}: installing."),
        Event::InstallFinished { game_id } => format!("{game_id}: installed."),
        Event::InstallFailed(f) => failed(f, "could not be installed"),
        Event::UninstallFinished { game_id } => {
            format!("{game_id}: uninstalled; any download is kept.")
        }
        Event::UninstallFailed(f) => failed(f, "could not be uninstalled"),
        Event::RemoveFinished { game_id } => format!("{game_id}: download removed."),
        Event::RemoveFailed(f) => failed(f, "could not be removed"),
        Event::EventsLost { count } => format!("{count} events were dropped."),
        Event::Contract(_)
        | Event::LocalLibraryChanged { .. }
        | Event::RemoteLibraryChanged { .. }
        | Event::IndexProgress { .. }
        | Event::ActiveOperationsChanged { .. }
        | Event::DownloadBegin { .. }
        | Event::ReuseProgress { .. }
        | Event::VerifyProgress { .. }
        | Event::DownloadProgress(_)
        | Event::DownloadChunkFinished { .. }
        | Event::InstallProgress { .. } => return None,
    })
}

/// Result of a verification, and what follows from it.
fn verdict(v: &VerifyFinished) -> String {
    if v.repair == Repair::NotNeeded {
        return format!("{}: intact, {} in {} chunks.", v.game_id, bytes(v.total_bytes), v.chunk_count);
    }
    let found = match (&v.room_content_id, v.broken_count) {
        (Some(room), 0) => {
            format!("intact, but the room has different files ({})", room.get(..8).unwrap_or(room))
        }
        (_, parts) => format!("{} damaged ({})", count(parts, "part"), bytes(v.broken_bytes)),
    };
    let done = match v.repair {
        Repair::Started => "downloading what is missing",
        Repair::NoSource => "nobody here has the game",
        Repair::NotAsked | Repair::NotNeeded => "nothing is downloaded",
    };
    let mut text = format!("{}: {found}; {done}.", v.game_id);
    for part in v.broken.iter().take(5) {
        text.push_str(&format!("\n  {} at {}, {}", part.path, part.offset, bytes(part.length)));
    }
    text
}

fn failed(failure: &GameFailure, what: &str) -> String {
    format!("{}: {what}: {}.", failure.game_id, failure.reason)
}

fn list_or_none(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// Totals of a download: `128 MB in 0.8 s (160 MB/s, 1.3 Gbit/s), 64 MB from ada, 64 MB from bela`.
pub fn told(totals: &Totals) -> String {
    let per_second = (totals.mib_per_s * 1_048_576.0) as u64;
    let mut text = format!("{} in {}", bytes(totals.bytes), millis(totals.duration_ms));
    text.push_str(&format!(" ({}, {})", rate(per_second), line_rate(totals.mbit_per_s)));
    for source in &totals.sources {
        text.push_str(&format!(", {} from {}", bytes(source.bytes), source.name));
    }
    text
}

/// Text beside a download's bar: rate, time left and number of sources.
pub fn pace(progress: &DownloadProgress) -> String {
    let peers = count(progress.active_peer_count, "peer");
    let rest = progress.total_bytes.saturating_sub(progress.downloaded_bytes);
    let left = rest.saturating_mul(1000).checked_div(progress.bytes_per_second);
    // Whole seconds, because tenths would only flicker.
    let left = left.map(|ms| format!(", {} left", seconds(ms.div_ceil(1000)))).unwrap_or_default();
    format!("{}{left}, {peers}", rate(progress.bytes_per_second))
}

#[cfg(test)]
mod tests {
    use lanspread_api::ErrorCode;
    use lanspread_api::error::Variant;
    use lanspread_api::event::{LossCode, RejectCode, SourceTotals};

    use super::*;

    fn totals() -> Totals {
        let source = |name: &str| SourceTotals {
            peer_id: "p".into(),
            name: name.into(),
            bytes: 64_000_000,
            chunks: 512,
        };
        Totals {
            bytes: 128_000_000,
            reused_bytes: 0,
            chunks: 1024,
            duration_ms: 800,
            mib_per_s: 152.587_890_625,
            mbit_per_s: 1280.0,
            sources: vec![source("ada"), source("bela")],
            streamed: false,
        }
    }

    fn ggoo() -> String {
        "ggoo".to_owned()
    }

    #[test]
    fn events_become_sentences() {
        let addr = "192.168.0.7:24930".parse().unwrap();
        let failure = GameFailure {
            game_id: ggoo(),
            code: ErrorCode::BadArchive,
            reason: "broken".into(),
            missing_bytes: None,
            unpacked_bytes: None,
        };
        let table = [
            (
                Event::LocalPeerReady { peer_id: "ab".into(), name: "ada".into(), addr, game_count: 1 },
                "Ready: ada is listening on 192.168.0.7:24930, with 1 game in the library.",
            ),
            (
                Event::PeerConnected { peer_id: "0123456789".into(), name: "bela".into(), addr },
                "bela joined (192.168.0.7:24930).",
            ),
            (
                Event::PeerLost {
                    peer_id: "0123456789".into(),
                    name: "bela".into(),
                    code: LossCode::Goodbye,
                    reason: "it said goodbye".into(),
                },
                "bela disconnected: it said goodbye.",
            ),
            (
                Event::PeerIncompatible { addr, their_protocol: 2, our_protocol: 1 },
                "192.168.0.7:24930 runs an incompatible lanspread (protocol 2, yours is 1): use the same version on both.",
            ),
            (
                Event::DownloadBegin { game_id: ggoo(), total_bytes: 2000, had_bytes: 1000, reused_bytes: 0 },
                "ggoo: resuming; 1 kB already downloaded.",
            ),
            (
                Event::DownloadFinished { game_id: ggoo(), totals: totals() },
                "ggoo: downloaded and verified: 128 MB in 800 ms (160 MB/s, 1.3 Gbit/s), 64 MB from ada, 64 MB from bela.",
            ),
            (
                Event::DownloadFailed {
                    game_id: ggoo(),
                    code: ErrorCode::AmbiguousContent,
                    reason: "the peers disagree".into(),
                    missing_bytes: None,
                    unpacked_bytes: None,
                    variants: vec![Variant { content_id: "0123456789".into(), peers: vec!["ada".into()] }],
                    totals: totals(),
                },
                "ggoo: download failed: the peers disagree.\n  content 01234567: ada",
            ),
            (
                Event::DownloadCancelled { game_id: ggoo(), totals: totals() },
                "ggoo: cancelled after 128 MB; download progress is kept.",
            ),
            (
                Event::SourceRejected {
                    game_id: ggoo(),
                    peer_id: "ab".into(),
                    name: "bela".into(),
                    code: RejectCode::CorruptChunk,
                    reason: "it sent a chunk that does not match its hash".into(),
                },
                "ggoo: bela was dropped as a source: it sent a chunk that does not match its hash.",
            ),
            (Event::InstallFailed(failure), "ggoo: could not be installed: broken."),
            (Event::InstallFinished { game_id: ggoo() }, "ggoo: installed."),
        ];
        let mut presenter = Presenter::default();
        for (event, sentence) in table {
            assert_eq!(presenter.tell(&event).as_deref(), Some(sentence));
        }
    }

    #[test]
    fn only_library_changes_are_told() {
        let mut presenter = Presenter::default();
        let ignored = vec![IgnoredFolder { name: "x y".into(), reason: "no version.ini".into() }];
        let library = |games: &[&str], ignored: &[IgnoredFolder]| Event::LocalLibraryChanged {
            games: games.iter().map(|g| (*g).to_owned()).collect(),
            ignored: ignored.to_vec(),
        };
        for (event, told) in [
            (library(&[], &[]), None),
            (library(&["ggoo"], &ignored), Some("Sharing ggoo.\nNot a game: x y (no version.ini).")),
            (library(&["bf1942", "css"], &ignored), Some("Sharing bf1942, css.\nNo longer sharing ggoo.")),
            (library(&["bf1942", "css"], &[]), None),
        ] {
            assert_eq!(presenter.tell(&event).as_deref(), told);
        }
        let offers = |game_count| Event::RemoteLibraryChanged { peer_id: "ab".into(), game_count };
        assert_eq!(presenter.tell(&offers(1)), None, "nobody knows who that is");
        let addr = "192.168.0.7:24930".parse().unwrap();
        presenter.tell(&Event::PeerConnected { peer_id: "ab".into(), name: "bela".into(), addr });
        for (count, told) in
            [(0, None), (2, Some("bela offers 2 games.")), (2, None), (0, Some("bela offers 0 games."))]
        {
            assert_eq!(presenter.tell(&offers(count)).as_deref(), told);
        }
    }

    #[test]
    fn progress_has_no_sentence() {
        let mut presenter = Presenter::default();
        for silent in [
            Event::IndexProgress { game_id: ggoo(), done_bytes: 1, total_bytes: 2 },
            Event::DownloadBegin { game_id: ggoo(), total_bytes: 2, had_bytes: 0, reused_bytes: 0 },
            Event::ActiveOperationsChanged { active_operations: vec![] },
        ] {
            assert_eq!(presenter.tell(&silent), None);
        }
        let progress = DownloadProgress {
            game_id: ggoo(),
            downloaded_bytes: 2_000_000,
            total_bytes: 100_000_000,
            bytes_per_second: 2_000_000,
            active_peer_count: 2,
            unpacked_bytes: None,
        };
        assert_eq!(pace(&progress), "2 MB/s, 49 s left, 2 peers");
        let stuck = DownloadProgress { bytes_per_second: 0, ..progress };
        assert_eq!(pace(&stuck), "0 B/s, 2 peers");
    }
}
