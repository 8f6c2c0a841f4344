//! Events of the event stream.

use lanspread_api::event::{
    BrokenPart, DownloadProgress, Event, GameFailure, IgnoredFolder, LossCode, RejectCode, Repair,
    VerifyFinished,
};
use lanspread_core::event::{self as core, DownloadFailure, Event as CoreEvent, RejectReason};
use lanspread_core::io::{self, CloseReason, DiskError};
use lanspread_types::GameId;

use super::ToContract;
use super::error::disk_fault;
use super::totals::whole_ms;
use crate::Streamed;

impl ToContract for Streamed {
    type Json = Event;

    fn to_contract(&self) -> Event {
        match self {
            Streamed::Event(event) => event.to_contract(),
            Streamed::Lost(count) => Event::EventsLost { count: *count },
        }
    }
}

impl ToContract for CoreEvent {
    type Json = Event;

    fn to_contract(&self) -> Event {
        use CoreEvent as C;
        let id = GameId::to_string;
        match self {
            C::LocalPeerReady { peer, name, addr, games } => Event::LocalPeerReady {
                peer_id: peer.to_string(),
                name: name.clone(),
                addr: *addr,
                game_count: *games,
            },
            C::LocalLibraryChanged { games, ignored } => Event::LocalLibraryChanged {
                games: games.iter().map(id).collect(),
                ignored: ignored.iter().map(ToContract::to_contract).collect(),
            },
            C::LibraryUnreadable { error } => Event::LibraryUnreadable(disk_fault(error)),
            C::IndexProgress { game, done, total } => {
                Event::IndexProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::IndexFailed { game, error } => Event::IndexFailed(failure(game, error)),
            C::RemoteLibraryChanged { peer, games } => {
                Event::RemoteLibraryChanged { peer_id: peer.to_string(), game_count: *games }
            }
            C::PeerConnected { peer, name, addr } => {
                Event::PeerConnected { peer_id: peer.to_string(), name: name.clone(), addr: *addr }
            }
            C::PeerLost { peer, name, reason } => Event::PeerLost {
                peer_id: peer.to_string(),
                name: name.clone(),
                code: reason.to_contract(),
                reason: reason.to_string(),
            },
            C::PeerIncompatible { addr, theirs, ours } => {
                Event::PeerIncompatible { addr: *addr, their_protocol: *theirs, our_protocol: *ours }
            }
            C::PeerRefused { peer, addr, cause } => Event::PeerRefused {
                peer_id: peer.map(|peer| peer.to_string()),
                addr: *addr,
                code: cause.kind().to_contract(),
                reason: cause.to_string(),
            },
            C::CatalogChanged { key, serial, games } => {
                Event::CatalogChanged { key: key.to_string(), serial: *serial, game_count: *games }
            }
            C::CatalogOffered { key, peer, name } => Event::CatalogOffered {
                key: key.to_string(),
                fingerprint: key.fingerprint().to_string(),
                peer_id: peer.to_string(),
                name: name.clone(),
            },
            C::DownloadWanted { peer, name, game, accepted } => Event::DownloadWanted {
                peer_id: peer.to_string(),
                name: name.clone(),
                game_id: id(game),
                accepted: *accepted,
            },
            C::ActiveOperationsChanged { operations } => Event::ActiveOperationsChanged {
                active_operations: operations.iter().map(ToContract::to_contract).collect(),
            },
            C::GotGameFiles { game, version, content, files, bytes, chunks } => Event::GotGameFiles {
                game_id: id(game),
                eti_version: version.to_string(),
                content_id: content.to_string(),
                file_count: *files,
                total_bytes: *bytes,
                chunk_count: *chunks,
            },
            C::ReuseProgress { game, done, total } => {
                Event::ReuseProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::DownloadBegin { game, bytes, had_bytes, reused_bytes } => Event::DownloadBegin {
                game_id: id(game),
                total_bytes: *bytes,
                had_bytes: *had_bytes,
                reused_bytes: *reused_bytes,
            },
            C::DownloadProgress(p) => Event::DownloadProgress(progress(p)),
            C::DownloadChunkFinished { game, path, offset, length, peer } => Event::DownloadChunkFinished {
                game_id: id(game),
                path: path.as_str().to_owned(),
                offset: *offset,
                length: *length,
                peer_id: peer.to_string(),
            },
            C::DownloadFinished { game, totals } => {
                Event::DownloadFinished { game_id: id(game), totals: totals.to_contract() }
            }
            C::DownloadFailed { game, failure, totals } => download_failed(game, failure, totals),
            C::DownloadCancelled { game, totals } => {
                Event::DownloadCancelled { game_id: id(game), totals: totals.to_contract() }
            }
            C::DownloadPeersGone { game } => Event::DownloadPeersGone { game_id: id(game) },
            C::SourceRejected { game, peer, name, reason } => Event::SourceRejected {
                game_id: id(game),
                peer_id: peer.to_string(),
                name: name.clone(),
                code: reason.to_contract(),
                reason: reason.to_string(),
            },
            C::InstallBegin { game } => Event::InstallBegin { game_id: id(game) },
            C::InstallProgress { game, done, total } => {
                Event::InstallProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::UserFilesKept { game, kept } => Event::UserFilesKept {
                game_id: id(game),
                kept: kept.kept,
                beside: kept.beside.iter().map(ToString::to_string).collect(),
            },
            C::VerifyBegin { game } => Event::VerifyBegin { game_id: id(game) },
            C::VerifyProgress { game, done, total } => {
                Event::VerifyProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::VerifyFinished { game, verdict } => Event::VerifyFinished(verify_finished(game, verdict)),
            C::VerifyFailed { game, error } => Event::VerifyFailed(failure(game, error)),
            C::PlayEnded { game, played } => {
                Event::PlayEnded { game_id: id(game), duration_ms: whole_ms(*played) }
            }
            C::InstallFinished { game } => Event::InstallFinished { game_id: id(game) },
            C::InstallFailed { game, error } => Event::InstallFailed(failure(game, error)),
            C::UninstallFinished { game } => Event::UninstallFinished { game_id: id(game) },
            C::UninstallFailed { game, error } => Event::UninstallFailed(failure(game, error)),
            C::RemoveFinished { game } => Event::RemoveFinished { game_id: id(game) },
            C::RemoveFailed { game, error } => Event::RemoveFailed(failure(game, error)),
        }
    }
}

impl ToContract for io::IgnoredFolder {
    type Json = IgnoredFolder;

    fn to_contract(&self) -> IgnoredFolder {
        IgnoredFolder { name: self.name.clone(), reason: self.reason.clone() }
    }
}

impl ToContract for CloseReason {
    type Json = LossCode;

    fn to_contract(&self) -> LossCode {
        match self {
            CloseReason::Goodbye => LossCode::Goodbye,
            CloseReason::Lost => LossCode::Lost,
            CloseReason::Silent => LossCode::Silent,
            CloseReason::Replaced => LossCode::Replaced,
            CloseReason::ProtocolError => LossCode::ProtocolError,
            CloseReason::TooManyPeers => LossCode::TooManyPeers,
            CloseReason::Leaving => LossCode::Leaving,
        }
    }
}

impl ToContract for RejectReason {
    type Json = RejectCode;

    fn to_contract(&self) -> RejectCode {
        match self {
            RejectReason::CorruptChunk => RejectCode::CorruptChunk,
            RejectReason::BadManifest => RejectCode::BadManifest,
        }
    }
}

fn failure(game: &GameId, error: &DiskError) -> GameFailure {
    GameFailure {
        game_id: game.to_string(),
        code: error.to_contract(),
        reason: error.to_string(),
        missing_bytes: missing_bytes(error),
        unpacked_bytes: unpacked_bytes(error),
    }
}

fn missing_bytes(error: &DiskError) -> Option<u64> {
    match error {
        DiskError::Full { missing } if *missing > 0 => Some(*missing),
        _ => None,
    }
}

fn unpacked_bytes(error: &DiskError) -> Option<u64> {
    match error {
        DiskError::UnpacksLarge { unpacked, .. } => Some(*unpacked),
        _ => None,
    }
}

/// Most broken parts that are listed one by one.
const BROKEN_TOLD_MAX: usize = 100;

fn verify_finished(game: &GameId, v: &core::Verdict) -> VerifyFinished {
    let part =
        |b: &io::BrokenPart| BrokenPart { path: b.path.to_string(), offset: b.offset, length: b.length };
    VerifyFinished {
        game_id: game.to_string(),
        content_id: v.content.to_string(),
        total_bytes: v.bytes,
        chunk_count: v.chunks,
        broken_count: v.broken.len(),
        broken_bytes: v.broken.iter().map(|b| b.length).sum(),
        broken: v.broken.iter().take(BROKEN_TOLD_MAX).map(part).collect(),
        room_content_id: v.room_has.map(|content| content.to_string()),
        repair: v.repair.to_contract(),
    }
}

impl ToContract for core::Repair {
    type Json = Repair;

    fn to_contract(&self) -> Repair {
        match self {
            core::Repair::NotNeeded => Repair::NotNeeded,
            core::Repair::NotAsked => Repair::NotAsked,
            core::Repair::Started => Repair::Started,
            core::Repair::NoSource => Repair::NoSource,
        }
    }
}

fn download_failed(game: &GameId, failure: &DownloadFailure, totals: &core::DownloadTotals) -> Event {
    let variants = match failure {
        DownloadFailure::AmbiguousContent(variants) => variants.iter().map(ToContract::to_contract).collect(),
        _ => Vec::new(),
    };
    let (missing_bytes, unpacked_bytes) = match failure {
        DownloadFailure::Disk(error) => (missing_bytes(error), unpacked_bytes(error)),
        _ => (None, None),
    };
    let (code, reason) = (failure.to_contract(), failure.to_string());
    let game_id = game.to_string();
    let totals = totals.to_contract();
    Event::DownloadFailed { game_id, code, reason, missing_bytes, unpacked_bytes, variants, totals }
}

fn progress(p: &core::DownloadProgress) -> DownloadProgress {
    DownloadProgress {
        game_id: p.game.to_string(),
        downloaded_bytes: p.downloaded_bytes,
        total_bytes: p.total_bytes,
        bytes_per_second: p.bytes_per_second,
        active_peer_count: p.active_peer_count,
        unpacked_bytes: p.unpacked_bytes,
    }
}
