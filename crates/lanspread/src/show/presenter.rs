//! Events, told in plain words.

use std::collections::{BTreeSet, HashMap};

use lanspread_api::event::{
    DownloadProgress, Event, GameFailure, IgnoredFolder, Repair, Totals, VerifyFinished,
};

use super::human::{bytes, count, line_rate, millis, rate, seconds};

/// Turns events into sentences. Remembers the names of peers, because people do not read keys, and what was told
/// last, because they want to hear what is new.
#[derive(Debug, Default)]
pub struct Presenter {
    peers: HashMap<String, Known>,
    shared: BTreeSet<String>,
    ignored: Vec<IgnoredFolder>,
}

/// A connected peer, as far as people have been told.
#[derive(Debug, Default)]
struct Known {
    name: String,
    games: usize,
}

impl Presenter {
    /// The sentence for an event; `None` for what a progress bar shows or nobody needs to be told.
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

    /// A peer offers another number of games than was told.
    fn offers(&mut self, peer_id: &str, games: usize) -> Option<String> {
        let peer = self.peers.get_mut(peer_id)?;
        let before = std::mem::replace(&mut peer.games, games);
        (before != games).then(|| format!("{} offers {}.", peer.name, count(games, "game")))
    }

    /// What is new in the own library.
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

/// The sentence for an event that needs no memory.
fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::LocalPeerReady { name, addr, game_count, .. } => {
            let games = count(*game_count, "game");
            format!("Ready: this is {name}, listening on {addr}, with {games} in the library.")
        }
        Event::LibraryUnreadable(fault) => format!(
            "The library cannot be read and stays as it was: {}.{}",
            fault.reason,
            fault.code.hint().map(|hint| format!(" To do: {hint}.")).unwrap_or_default()
        ),
        Event::IndexFailed(f) => failed(f, "could not be read and is not offered"),
        Event::PeerConnected { name, addr, .. } => format!("{name} is here ({addr})."),
        Event::PeerLost { name, reason, .. } => format!("{name} is gone: {reason}."),
        Event::CatalogChanged { serial, game_count, .. } => {
            format!(
                "A newer catalogue of the organiser counts: edition {serial}, {}.",
                count(*game_count, "game")
            )
        }
        Event::CatalogOffered { fingerprint, name, .. } => format!(
            "{name} goes by the catalogue of the organiser {fingerprint}. If the organiser says the same digits: \
             lanspread catalog trust {fingerprint}"
        ),
        Event::FetchWanted { name, game_id, accepted: true, .. } => {
            format!("{name} asks everybody to fetch {game_id}: started.")
        }
        Event::FetchWanted { name, game_id, accepted: false, .. } => {
            format!("{name} asks everybody to fetch {game_id}. To do so: lanspread get {game_id}")
        }
        Event::PeerRefused { addr, reason, .. } => format!("{addr} was not let in: {reason}."),
        Event::PeerIncompatible { addr, their_protocol, our_protocol } => format!(
            "The peer at {addr} speaks protocol version {their_protocol}, this one {our_protocol}: both need the same version of lanspread."
        ),
        Event::GotGameFiles { game_id, eti_version, file_count, total_bytes, .. } => {
            let files = count(*file_count, "file");
            format!("{game_id}: version {eti_version}, {files}, {}.", bytes(*total_bytes))
        }
        Event::DownloadBegin { game_id, reused_bytes, .. } if *reused_bytes > 0 => {
            format!("{game_id}: {} are taken from the version that is here.", bytes(*reused_bytes))
        }
        Event::DownloadBegin { game_id, had_bytes, .. } if *had_bytes > 0 => {
            format!("{game_id}: goes on where it was left, {} are here already.", bytes(*had_bytes))
        }
        Event::DownloadFinished { game_id, totals } => {
            format!("{game_id}: downloaded, every chunk verified: {}.", told(totals))
        }
        Event::DownloadFailed { game_id, reason, variants, .. } => {
            let mut text = format!("{game_id}: the download failed: {reason}.");
            for v in variants {
                let content = v.content_id.get(..8).unwrap_or(&v.content_id);
                text.push_str(&format!("\n  {content} is what {} has.", list_or_none(&v.peers)));
            }
            text
        }
        Event::DownloadCancelled { game_id, totals } => format!(
            "{game_id}: cancelled after {}; what is verified of a download is kept.",
            bytes(totals.bytes)
        ),
        Event::DownloadPeersGone { game_id } => {
            format!("{game_id}: nobody who has it is left; waiting for somebody.")
        }
        Event::SourceRejected { game_id, name, reason, .. } => {
            format!("{game_id}: {name} is not asked any more: {reason}.")
        }
        Event::VerifyBegin { game_id } => format!("{game_id}: reading every byte of it."),
        Event::VerifyFinished(v) => verdict(v),
        Event::VerifyFailed(f) => failed(f, "could not be verified"),
        Event::PlayEnded { game_id, .. } => format!("{game_id}: its program has ended."),
        Event::UserFilesKept { game_id, kept, beside } => {
            let mut text = format!("{game_id}: {} of yours stay.", count(*kept as usize, "file"));
            for path in beside {
                text.push_str(&format!("\n  beside yours: {path}"));
            }
            text
        }
        Event::InstallBegin { game_id } => format!("{game_id}: installing."),
        Event::InstallFinished { game_id } => format!("{game_id}: installed."),
        Event::InstallFailed(f) => failed(f, "could not be installed"),
        Event::UninstallFinished { game_id } => {
            format!("{game_id}: uninstalled; a download is kept.")
        }
        Event::UninstallFailed(f) => failed(f, "could not be uninstalled"),
        Event::RemoveFinished { game_id } => format!("{game_id}: the download is removed."),
        Event::RemoveFailed(f) => failed(f, "could not be removed"),
        Event::EventsLost { count } => format!("{count} events went by unseen."),
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

/// What was found, and what is done about it.
fn verdict(v: &VerifyFinished) -> String {
    if v.repair == Repair::NotNeeded {
        return format!("{}: whole, {} in {} chunks.", v.game_id, bytes(v.total_bytes), v.chunk_count);
    }
    let found = match (&v.room_content_id, v.broken_count) {
        (Some(room), 0) => {
            format!("whole, but the room has another content ({})", room.get(..8).unwrap_or(room))
        }
        (_, parts) => format!("{} broken ({})", count(parts, "part"), bytes(v.broken_bytes)),
    };
    let done = match v.repair {
        Repair::Started => "fetching what is missing",
        Repair::NoSource => "nobody here has the game",
        Repair::NotAsked | Repair::NotNeeded => "nothing is fetched",
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
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

/// `128 MiB in 0.8 s (160 MiB/s, 1.3 Gbit/s), 64 MiB from ada, 64 MiB from bela`.
pub fn told(totals: &Totals) -> String {
    let per_second = (totals.mib_per_s * 1_048_576.0) as u64;
    let mut text = format!("{} in {}", bytes(totals.bytes), millis(totals.duration_ms));
    text.push_str(&format!(" ({}, {})", rate(per_second), line_rate(totals.mbit_per_s)));
    for source in &totals.sources {
        text.push_str(&format!(", {} from {}", bytes(source.bytes), source.name));
    }
    text
}

/// What stands behind the bar of a download.
pub fn pace(progress: &DownloadProgress) -> String {
    let peers = count(progress.active_peer_count, "peer");
    let rest = progress.total_bytes.saturating_sub(progress.downloaded_bytes);
    let left = rest.saturating_mul(1000).checked_div(progress.bytes_per_second);
    // Whole seconds: tenths of them would only flicker.
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
            bytes: 64 << 20,
            chunks: 512,
        };
        Totals {
            bytes: 128 << 20,
            reused_bytes: 0,
            chunks: 1024,
            duration_ms: 800,
            mib_per_s: 160.0,
            mbit_per_s: 1342.2,
            sources: vec![source("ada"), source("bela")],
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
                "Ready: this is ada, listening on 192.168.0.7:24930, with 1 game in the library.",
            ),
            (
                Event::PeerConnected { peer_id: "0123456789".into(), name: "bela".into(), addr },
                "bela is here (192.168.0.7:24930).",
            ),
            (
                Event::PeerLost {
                    peer_id: "0123456789".into(),
                    name: "bela".into(),
                    code: LossCode::Goodbye,
                    reason: "it said goodbye".into(),
                },
                "bela is gone: it said goodbye.",
            ),
            (
                Event::PeerIncompatible { addr, their_protocol: 2, our_protocol: 1 },
                "The peer at 192.168.0.7:24930 speaks protocol version 2, this one 1: both need the same version of lanspread.",
            ),
            (
                Event::DownloadBegin { game_id: ggoo(), total_bytes: 2048, had_bytes: 1024, reused_bytes: 0 },
                "ggoo: goes on where it was left, 1 KiB are here already.",
            ),
            (
                Event::DownloadFinished { game_id: ggoo(), totals: totals() },
                "ggoo: downloaded, every chunk verified: 128 MiB in 800 ms (160 MiB/s, 1.3 Gbit/s), 64 MiB from ada, 64 MiB from bela.",
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
                "ggoo: the download failed: the peers disagree.\n  01234567 is what ada has.",
            ),
            (
                Event::DownloadCancelled { game_id: ggoo(), totals: totals() },
                "ggoo: cancelled after 128 MiB; what is verified of a download is kept.",
            ),
            (
                Event::SourceRejected {
                    game_id: ggoo(),
                    peer_id: "ab".into(),
                    name: "bela".into(),
                    code: RejectCode::CorruptChunk,
                    reason: "it sent a chunk that does not match its hash".into(),
                },
                "ggoo: bela is not asked any more: it sent a chunk that does not match its hash.",
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
    fn of_libraries_what_is_new_is_told() {
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
    fn what_bars_show_is_not_told() {
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
            downloaded_bytes: 2 << 20,
            total_bytes: 100 << 20,
            bytes_per_second: 2 << 20,
            active_peer_count: 2,
            unpacked_bytes: None,
        };
        assert_eq!(pace(&progress), "2 MiB/s, 49 s left, 2 peers");
        let stuck = DownloadProgress { bytes_per_second: 0, ..progress };
        assert_eq!(pace(&stuck), "0 B/s, 2 peers");
    }
}
