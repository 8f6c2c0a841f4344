//! From the core's types to the contract's.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lanspread_peer::catalog as core_catalog;
use lanspread_peer::command::{CommandError, OperationKind as CoreKind, Reply};
use lanspread_peer::doctor;
use lanspread_peer::event::{self as core, DownloadFailure, Event as CoreEvent, RejectReason};
use lanspread_peer::finding::{Absence, Stranger};
use lanspread_peer::io::{self, CloseReason, DiskError};
use lanspread_peer::refusals::RefusalKind;
use lanspread_peer::room;
use lanspread_peer::snapshot::{
    self, GameListSnapshot, GameSnapshot, Operation, PeerSnapshot, PeersSnapshot, StatusSnapshot,
    SwarmSnapshot,
};
use lanspread_peer::{Streamed, types::message::GameOffer};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::{CatalogKey, GameId, failpoint};

use crate::CONTRACT_VERSION;
use crate::error::{ErrorBody, ErrorCode};
use crate::event::{
    BrokenPart, Contract, DiskFault, DownloadProgress, Event, GameFailure, IgnoredFolder, LossCode,
    RefusalCode, RejectCode, Repair, SourceTotals, Totals, VerifyFinished,
};
use crate::line::{ErrorLine, Id, Line, ResultLine};
use crate::reply::{
    About, AbsenceCode, ActiveOperation, AdvertisedGame, Availability, CatalogInfo, CatalogMode, Check,
    Diagnosis, DownloadReply, Empty, Fetching, GameInfo, GameList, GameReply, GamesDir, Guest, Health,
    Limits, OfferedCatalog, OperationKind, OrganiserReply, OtherCopy, OtherPeer, PeerCount, PeerInfo,
    PeerList, PlayReply, Players, Progress, RefusedPeer, ReplyData, Room, RoomGame, RoomGroup, Status, Swarm,
    SwarmSource, Traffic, WantReply,
};
use crate::request::Request;

/// 1 MiB/s in Mbit/s: 2^20 × 8 / 10^6.
pub const MBIT_PER_MIB: f64 = 8.388_608;

/// The first line of a run.
pub fn contract(program: &str, program_version: &str) -> Event {
    Event::Contract(Contract {
        version: CONTRACT_VERSION,
        program: program.to_owned(),
        program_version: program_version.to_owned(),
    })
}

/// What an event stream yielded.
pub fn streamed(item: &Streamed) -> Event {
    match item {
        Streamed::Event(event) => event.into(),
        Streamed::Lost(count) => Event::EventsLost { count: *count },
    }
}

/// The line that answers a command.
pub fn answer(
    id: Option<Id>,
    request: &Request,
    result: Result<Reply, CommandError>,
    state_dir: &Path,
) -> Line {
    let answered = match result {
        Ok(reply) => reply_data(request, reply, state_dir),
        Err(error) => Err((&error).into()),
    };
    match answered {
        Ok(reply) => Line::Result(ResultLine { id, reply }),
        Err(error) => Line::Error(ErrorLine { id, cmd: Some(request.name().as_str().to_owned()), error }),
    }
}

/// The reply to a request. Fails, with `internal`, only if the core answers something else than was asked.
pub fn reply_data(request: &Request, reply: Reply, state_dir: &Path) -> Result<ReplyData, ErrorBody> {
    let game = |game_id: &GameId| GameReply { game_id: game_id.to_string() };
    Ok(match (request, reply) {
        (Request::Status, Reply::Status(s)) => ReplyData::Status(Box::new(status(&s, state_dir))),
        (Request::WaitPeers { .. }, Reply::PeerCount(peer_count)) => {
            ReplyData::WaitPeers(PeerCount { peer_count })
        }
        (Request::Connect { .. }, Reply::Connected(peer)) => ReplyData::Connect((&peer).into()),
        (Request::ListPeers, Reply::Peers(peers)) => ReplyData::ListPeers(peer_list(&peers)),
        (Request::ListGames, Reply::Games(list)) => ReplyData::ListGames(game_list(&list)),
        (
            Request::Download { .. } | Request::StreamInstall { .. },
            Reply::DownloadStarted { game, version, content, bytes },
        ) => {
            let started = DownloadReply {
                game_id: game.to_string(),
                already_there: false,
                eti_version: Some(version.to_string()),
                content_id: Some(content.to_string()),
                total_bytes: Some(bytes),
            };
            match request {
                Request::StreamInstall { .. } => ReplyData::StreamInstall(started),
                _ => ReplyData::Download(started),
            }
        }
        (Request::Download { game_id, .. }, Reply::Done | Reply::AlreadyThere { .. }) => {
            ReplyData::Download(DownloadReply {
                game_id: game_id.to_string(),
                already_there: true,
                eti_version: None,
                content_id: None,
                total_bytes: None,
            })
        }
        (Request::CancelDownload { game_id }, Reply::Done) => ReplyData::CancelDownload(game(game_id)),
        (Request::Install { game_id, .. }, Reply::Done) => ReplyData::Install(game(game_id)),
        (Request::Uninstall { game_id }, Reply::Done) => ReplyData::Uninstall(game(game_id)),
        (Request::RemoveDownload { game_id }, Reply::Done) => ReplyData::RemoveDownload(game(game_id)),
        (Request::Verify { game_id, .. }, Reply::Done) => ReplyData::Verify(game(game_id)),
        (Request::Play { game_id, .. }, Reply::Played(stamped)) => ReplyData::Play(played(game_id, stamped)),
        (&Request::SetLimits { upload, download }, Reply::Done) => {
            ReplyData::SetLimits(Limits { upload, download })
        }
        (Request::SetPriority { game_id, .. }, Reply::Done) => ReplyData::SetPriority(game(game_id)),
        (Request::Room, Reply::Room(room)) => ReplyData::Room((&*room).into()),
        (Request::WantGame { game_id }, Reply::Wanted { asked }) => {
            ReplyData::WantGame(WantReply { game_id: game_id.to_string(), asked })
        }
        (Request::TrustCatalog { .. }, Reply::Organiser(key)) => ReplyData::TrustCatalog(organiser(key)),
        (Request::DeclineCatalog { .. }, Reply::Organiser(key)) => ReplyData::DeclineCatalog(organiser(key)),
        (Request::SetGameDir { path }, Reply::Done) => {
            ReplyData::SetGameDir(GamesDir { games_dir: path.clone() })
        }
        (Request::Shutdown, Reply::Done) => ReplyData::Shutdown(Empty {}),
        (request, reply) => {
            let message = format!("{} was answered with {reply:?}", request.name().as_str());
            return Err(ErrorBody::new(ErrorCode::Internal, message));
        }
    })
}

fn organiser(key: CatalogKey) -> OrganiserReply {
    OrganiserReply { key: key.to_string(), fingerprint: key.fingerprint().to_string() }
}

/// Names of peers that are given with an organiser.
const NAMES_MAX: usize = 8;

impl From<&snapshot::OfferedCatalog> for OfferedCatalog {
    fn from(offered: &snapshot::OfferedCatalog) -> Self {
        let about = offered.about.as_ref();
        Self {
            key: offered.key.to_string(),
            fingerprint: offered.key.fingerprint().to_string(),
            title: about.and_then(|about| about.title.clone()),
            serial: about.map(|about| about.serial),
            game_count: about.map(|about| about.games),
            invited: offered.invited,
            peer_count: offered.peers.len(),
            peers: offered.peers.iter().take(NAMES_MAX).map(|(_, name)| name.clone()).collect(),
        }
    }
}

fn played(game: &GameId, stamped: io::Stamped) -> PlayReply {
    PlayReply {
        game_id: game.to_string(),
        already_applied: stamped.already_applied,
        wrote: stamped.wrote.iter().map(ToString::to_string).collect(),
        program: stamped.program,
        launched: stamped.launched,
    }
}

/// `state_dir` is the program's knowledge, not the core's.
pub fn status(s: &StatusSnapshot, state_dir: &Path) -> Status {
    let mut outbound = BTreeMap::new();
    for (game, count) in s.outbound.iter().filter(|(_, count)| *count > 0) {
        *outbound.entry(game.to_string()).or_default() += count;
    }
    Status {
        peer_id: s.peer.to_string(),
        name: s.name.clone(),
        addr: s.addr,
        protocol: PROTOCOL_VERSION,
        games_dir: s.games_dir.to_string_lossy().into_owned(),
        state_dir: state_dir.to_string_lossy().into_owned(),
        catalogued: s.catalogued,
        catalog: (&s.catalog).into(),
        catalog_offered: s.catalog_offered.iter().map(Into::into).collect(),
        accepts_wants: s.accepts_wants,
        party: s.party.as_ref().map(ToString::to_string),
        peer_count: s.peers,
        active_operations: s.operations.iter().map(Into::into).collect(),
        swarms: s.swarms.iter().map(Into::into).collect(),
        limits: Limits { upload: s.limits.upload, download: s.limits.download },
        active_outbound_transfers: outbound,
        traffic: traffic(s.traffic),
        refused: s.refused.iter().map(Into::into).collect(),
        library_fault: s.library_fault.as_ref().map(disk_fault),
    }
}

fn traffic(t: snapshot::Traffic) -> Traffic {
    Traffic {
        received_chunks: t.received_chunks,
        received_bytes: t.received_bytes,
        from_other_groups_bytes: t.other_groups_bytes,
        sent_chunks: t.sent_chunks,
        sent_bytes: t.sent_bytes,
        sent_messages: t.sent_messages,
        sent_requests: t.sent_requests,
        rejected_sources: t.rejected_sources,
    }
}

impl From<&core_catalog::CatalogMode> for CatalogInfo {
    fn from(mode: &core_catalog::CatalogMode) -> Self {
        use core_catalog::CatalogMode as C;
        match mode {
            C::Open => Self::default(),
            C::Unsigned { games } => {
                Self { mode: CatalogMode::Unsigned, game_count: *games, ..Self::default() }
            }
            C::Signed { key, serial, title, games } => Self {
                mode: CatalogMode::Signed,
                game_count: *games,
                key: Some(key.to_string()),
                fingerprint: Some(key.fingerprint().to_string()),
                serial: Some(*serial),
                title: title.clone(),
            },
            C::Awaited { key } => Self {
                mode: CatalogMode::Awaited,
                key: Some(key.to_string()),
                fingerprint: Some(key.fingerprint().to_string()),
                ..Self::default()
            },
        }
    }
}

impl From<&room::RoomSnapshot> for Room {
    fn from(r: &room::RoomSnapshot) -> Self {
        let guest = |g: &room::RoomGuest| Guest {
            peer_id: g.peer.to_string(),
            name: g.name.clone(),
            group: g.group.to_string(),
            silent: g.silent,
            catalog_serial: g.catalog.map(|(_, serial)| serial),
            behind: g.behind,
            accepts_wants: g.accepts_wants,
        };
        let group = |g: &room::RoomGroup| RoomGroup {
            name: g.group.to_string(),
            peers: g.peers,
            received_bytes: g.received_bytes,
            from_other_groups_bytes: g.other_groups_bytes,
        };
        Self {
            guests: r.guests.iter().map(guest).collect(),
            groups: r.groups.iter().map(group).collect(),
            games: r.games.iter().map(Into::into).collect(),
            games_left_out: r.games_left_out,
        }
    }
}

impl From<&room::RoomGame> for RoomGame {
    fn from(g: &room::RoomGame) -> Self {
        let ids = |peers: &[lanspread_types::PeerId]| peers.iter().map(ToString::to_string).collect();
        let other = |o: &room::OtherCopy| OtherCopy {
            peer_id: o.peer.to_string(),
            eti_version: o.version.to_string(),
            content_id: o.content.to_string(),
            same_version: o.same_version,
        };
        let fetching = |f: &room::Fetching| Fetching {
            peer_id: f.peer.to_string(),
            eti_version: f.version.to_string(),
            done_bytes: f.done_bytes,
            total_bytes: f.total_bytes,
            bytes_per_second: f.bytes_per_second,
            seconds_left: f.seconds_left,
        };
        Self {
            game_id: g.game.to_string(),
            title: g.title.clone(),
            eti_version: g.version.map(|v| v.to_string()),
            content_id: g.content.map(|c| c.to_string()),
            ready: ids(&g.ready),
            other: g.other.iter().map(other).collect(),
            fetching: g.fetching.iter().map(fetching).collect(),
            without: ids(&g.without),
            last_ready_seconds: g.last_ready_seconds,
        }
    }
}

impl From<&snapshot::RefusedSnapshot> for RefusedPeer {
    fn from(r: &snapshot::RefusedSnapshot) -> Self {
        Self {
            addr: r.addr,
            peer_id: r.peer.map(|peer| peer.to_string()),
            code: r.cause.kind().into(),
            reason: r.cause.to_string(),
            count: r.count,
            seconds_ago: r.seconds_ago,
        }
    }
}

impl From<RefusalKind> for RefusalCode {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::OtherParty => Self::OtherParty,
            RefusalKind::WrongPassPhrase => Self::WrongPassPhrase,
            RefusalKind::TooManyTries => Self::TooManyTries,
            RefusalKind::Protocol => Self::ProtocolError,
            RefusalKind::NotAPeer => Self::NotAPeer,
            RefusalKind::TooSlow => Self::TooSlow,
            RefusalKind::TooManyConnections => Self::TooManyConnections,
            RefusalKind::BadData => Self::BadData,
        }
    }
}

impl From<&SwarmSnapshot> for Swarm {
    fn from(s: &SwarmSnapshot) -> Self {
        let source = |s: &snapshot::SwarmSource| SwarmSource {
            peer_id: s.peer.to_string(),
            name: s.name.clone(),
            chunks_has: s.chunks_has,
            bytes: s.bytes,
            bytes_per_second: s.bytes_per_second,
        };
        Self {
            game_id: s.game.to_string(),
            priority: s.priority.into(),
            chunks_had: s.chunks_had,
            chunks_total: s.chunks_total,
            copies: s.copies,
            bytes_per_second: s.bytes_per_second,
            seconds_left: s.seconds_left,
            sources: s.sources.iter().map(source).collect(),
        }
    }
}

pub fn peer_list(room: &PeersSnapshot) -> PeerList {
    let PeersSnapshot { peers, others } = room;
    PeerList {
        peers: peers.iter().map(Into::into).collect(),
        others: others.iter().map(Into::into).collect(),
    }
}

impl From<&Stranger> for OtherPeer {
    fn from(other: &Stranger) -> Self {
        let (reason, message, protocol) = match &other.absence {
            Absence::Coming => (AbsenceCode::Coming, "it is being connected".to_owned(), None),
            Absence::OtherVersion { theirs } => {
                let message =
                    format!("it speaks protocol version {theirs}, this peer speaks {PROTOCOL_VERSION}");
                (AbsenceCode::OtherVersion, message, Some(*theirs))
            }
            Absence::Own => (AbsenceCode::OwnAddress, "it is this very peer".to_owned(), None),
            Absence::Unreachable { reason } => (AbsenceCode::Unreachable, reason.clone(), None),
            Absence::TurnedAway { reason } => (AbsenceCode::TurnedAway, reason.clone(), None),
            Absence::Left => (AbsenceCode::Left, "it said goodbye".to_owned(), None),
        };
        Self {
            peer_id: other.peer.map(|peer| peer.to_string()),
            name: other.name.clone(),
            addrs: other.addrs.clone(),
            found_by: other.found_by.iter().copied().map(Into::into).collect(),
            reason,
            message,
            protocol,
        }
    }
}

/// What the doctor found, as the contract tells it.
pub fn diagnosis(checks: &[doctor::Check]) -> Diagnosis {
    let health = |health| match health {
        doctor::Health::Good => Health::Good,
        doctor::Health::Unknown => Health::Unknown,
        doctor::Health::Poor => Health::Poor,
        doctor::Health::Bad => Health::Bad,
    };
    let check = |check: &doctor::Check| Check {
        name: check.name.to_owned(),
        health: health(check.health),
        found: check.found.clone(),
        advice: check.advice.clone(),
    };
    let worst = checks.iter().map(|c| c.health).max().unwrap_or(doctor::Health::Unknown);
    Diagnosis { health: health(worst), checks: checks.iter().map(check).collect() }
}

pub fn game_list(list: &GameListSnapshot) -> GameList {
    GameList { games: list.games.iter().map(Into::into).collect(), games_left_out: list.left_out }
}

impl From<CoreKind> for OperationKind {
    fn from(kind: CoreKind) -> Self {
        match kind {
            CoreKind::Downloading => Self::Downloading,
            CoreKind::Installing => Self::Installing,
            CoreKind::Streaming => Self::Streaming,
            CoreKind::Uninstalling => Self::Uninstalling,
            CoreKind::Removing => Self::Removing,
            CoreKind::Verifying => Self::Verifying,
            CoreKind::Starting => Self::Starting,
        }
    }
}

impl From<&Operation> for ActiveOperation {
    fn from(o: &Operation) -> Self {
        let progress = Progress { done_bytes: o.done, total_bytes: o.total };
        Self { game_id: o.game.to_string(), kind: o.kind.into(), progress }
    }
}

impl From<&PeerSnapshot> for PeerInfo {
    fn from(p: &PeerSnapshot) -> Self {
        Self {
            peer_id: p.peer.to_string(),
            name: p.name.clone(),
            addr: p.addr,
            protocol: p.protocol,
            found_by: p.found_by.iter().copied().map(Into::into).collect(),
            games: p.games.iter().map(Into::into).collect(),
            games_left_out: p.games_left_out,
        }
    }
}

impl From<&GameOffer> for AdvertisedGame {
    fn from(o: &GameOffer) -> Self {
        Self {
            game_id: o.game.to_string(),
            eti_version: o.version.to_string(),
            content_id: o.content.to_string(),
            size: o.bytes,
            file_count: o.files,
        }
    }
}

impl From<&GameSnapshot> for GameInfo {
    fn from(g: &GameSnapshot) -> Self {
        Self {
            game_id: g.game.to_string(),
            title: g.title.clone(),
            about: About {
                players: g.about.players.map(|(min, max)| Players { min, max }),
                genre: g.about.genre.clone(),
                cover: g.about.cover.clone(),
                start: g.about.start.clone(),
            },
            downloaded: g.downloaded,
            installed: g.installed,
            availability: g.availability.into(),
            peer_count: g.peer_count,
            size: g.bytes,
            eti_game_version: g.version.map(|v| v.to_string()),
            local_version: g.local_version.map(|v| v.to_string()),
            installed_version: g.installed_version.map(|v| v.to_string()),
            content_id: g.content.map(|c| c.to_string()),
            support: g.support.map(Into::into),
            confirmed_by: g.voices,
            supplier: g.supplier.as_ref().map(Into::into),
            offered_content_id: g.offered_content.map(|c| c.to_string()),
            update_needs_confirmation: g.update_needs_confirmation,
            dated_ahead: g.dated_ahead,
        }
    }
}

impl From<snapshot::Availability> for Availability {
    fn from(a: snapshot::Availability) -> Self {
        match a {
            snapshot::Availability::Ready => Self::Ready,
            snapshot::Availability::LocalOnly => Self::LocalOnly,
            snapshot::Availability::Remote => Self::Remote,
        }
    }
}

impl From<&io::IgnoredFolder> for IgnoredFolder {
    fn from(f: &io::IgnoredFolder) -> Self {
        Self { name: f.name.clone(), reason: f.reason.clone() }
    }
}

impl From<CloseReason> for LossCode {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Goodbye => Self::Goodbye,
            CloseReason::Lost => Self::Lost,
            CloseReason::Silent => Self::Silent,
            CloseReason::Replaced => Self::Replaced,
            CloseReason::ProtocolError => Self::ProtocolError,
            CloseReason::TooManyPeers => Self::TooManyPeers,
            CloseReason::Leaving => Self::Leaving,
        }
    }
}

impl From<RejectReason> for RejectCode {
    fn from(reason: RejectReason) -> Self {
        match reason {
            RejectReason::CorruptChunk => Self::CorruptChunk,
            RejectReason::BadManifest => Self::BadManifest,
            RejectReason::Refused(_) => Self::Refused,
        }
    }
}

impl From<&core::TransferTotals> for Totals {
    fn from(t: &core::TransferTotals) -> Self {
        let source = |s: &core::SourceTotals| SourceTotals {
            peer_id: s.peer.to_string(),
            name: s.name.clone(),
            bytes: s.bytes,
            chunks: s.chunks,
        };
        let duration_ms = whole_ms(t.duration).max(u64::from(t.bytes > 0));
        let mib_per_s = mib_per_s(t.bytes, duration_ms);
        Self {
            bytes: t.bytes,
            reused_bytes: t.reused_bytes,
            chunks: t.chunks,
            duration_ms,
            mib_per_s,
            mbit_per_s: mib_per_s * if failpoint!("lie-about-unit") { 8.0 } else { MBIT_PER_MIB },
            sources: t.sources.iter().map(source).collect(),
        }
    }
}

/// Milliseconds, rounded up: a rate is never flattered.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn mib_per_s(bytes: u64, duration_ms: u64) -> f64 {
    if duration_ms == 0 {
        return 0.0;
    }
    let rate = bytes as f64 / 1_048_576.0 / (duration_ms as f64 / 1000.0);
    if failpoint!("lie-about-rate") { rate * 1.1 } else { rate }
}

fn disk_fault(error: &DiskError) -> DiskFault {
    DiskFault { code: error.into(), reason: error.to_string() }
}

fn failure(game: &GameId, error: &DiskError) -> GameFailure {
    GameFailure {
        game_id: game.to_string(),
        code: error.into(),
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

/// Most broken parts that are told one by one.
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
        repair: v.repair.into(),
    }
}

impl From<core::Repair> for Repair {
    fn from(repair: core::Repair) -> Self {
        match repair {
            core::Repair::NotNeeded => Self::NotNeeded,
            core::Repair::NotAsked => Self::NotAsked,
            core::Repair::Started => Self::Started,
            core::Repair::NoSource => Self::NoSource,
        }
    }
}

fn download_failed(game: &GameId, failure: &DownloadFailure, totals: &core::TransferTotals) -> Event {
    let variants = match failure {
        DownloadFailure::AmbiguousContent(variants) => variants.iter().map(Into::into).collect(),
        _ => Vec::new(),
    };
    let (missing_bytes, unpacked_bytes) = match failure {
        DownloadFailure::Disk(error) => (missing_bytes(error), unpacked_bytes(error)),
        _ => (None, None),
    };
    let (code, reason) = (failure.into(), failure.to_string());
    let game_id = game.to_string();
    let totals = totals.into();
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

impl From<&CoreEvent> for Event {
    fn from(event: &CoreEvent) -> Self {
        use CoreEvent as C;
        let id = GameId::to_string;
        match event {
            C::LocalPeerReady { peer, name, addr, games } => Self::LocalPeerReady {
                peer_id: peer.to_string(),
                name: name.clone(),
                addr: *addr,
                game_count: *games,
            },
            C::LocalLibraryChanged { games, ignored } => Self::LocalLibraryChanged {
                games: games.iter().map(id).collect(),
                ignored: ignored.iter().map(Into::into).collect(),
            },
            C::LibraryUnreadable { error } => Self::LibraryUnreadable(disk_fault(error)),
            C::IndexProgress { game, done, total } => {
                Self::IndexProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::IndexFailed { game, error } => Self::IndexFailed(failure(game, error)),
            C::RemoteLibraryChanged { peer, games } => {
                Self::RemoteLibraryChanged { peer_id: peer.to_string(), game_count: *games }
            }
            C::PeerConnected { peer, name, addr } => {
                Self::PeerConnected { peer_id: peer.to_string(), name: name.clone(), addr: *addr }
            }
            C::PeerLost { peer, name, reason } => Self::PeerLost {
                peer_id: peer.to_string(),
                name: name.clone(),
                code: (*reason).into(),
                reason: reason.to_string(),
            },
            C::PeerIncompatible { addr, theirs, ours } => {
                Self::PeerIncompatible { addr: *addr, their_protocol: *theirs, our_protocol: *ours }
            }
            C::PeerRefused { peer, addr, cause } => Self::PeerRefused {
                peer_id: peer.map(|peer| peer.to_string()),
                addr: *addr,
                code: cause.kind().into(),
                reason: cause.to_string(),
            },
            C::CatalogChanged { key, serial, games } => {
                Self::CatalogChanged { key: key.to_string(), serial: *serial, game_count: *games }
            }
            C::CatalogOffered { key, peer, name } => Self::CatalogOffered {
                key: key.to_string(),
                fingerprint: key.fingerprint().to_string(),
                peer_id: peer.to_string(),
                name: name.clone(),
            },
            C::FetchWanted { peer, name, game, accepted } => Self::FetchWanted {
                peer_id: peer.to_string(),
                name: name.clone(),
                game_id: id(game),
                accepted: *accepted,
            },
            C::ActiveOperationsChanged { operations } => Self::ActiveOperationsChanged {
                active_operations: operations.iter().map(Into::into).collect(),
            },
            C::GotGameFiles { game, version, content, files, bytes, chunks } => Self::GotGameFiles {
                game_id: id(game),
                eti_version: version.to_string(),
                content_id: content.to_string(),
                file_count: *files,
                total_bytes: *bytes,
                chunk_count: *chunks,
            },
            C::ReuseProgress { game, done, total } => {
                Self::ReuseProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::DownloadBegin { game, bytes, had_bytes, reused_bytes } => Self::DownloadBegin {
                game_id: id(game),
                total_bytes: *bytes,
                had_bytes: *had_bytes,
                reused_bytes: *reused_bytes,
            },
            C::DownloadProgress(p) => Self::DownloadProgress(progress(p)),
            C::DownloadChunkFinished { game, path, offset, length, peer } => Self::DownloadChunkFinished {
                game_id: id(game),
                path: path.as_str().to_owned(),
                offset: *offset,
                length: *length,
                peer_id: peer.to_string(),
            },
            C::DownloadFinished { game, totals } => {
                Self::DownloadFinished { game_id: id(game), totals: totals.into() }
            }
            C::DownloadFailed { game, failure, totals } => download_failed(game, failure, totals),
            C::DownloadCancelled { game, totals } => {
                Self::DownloadCancelled { game_id: id(game), totals: totals.into() }
            }
            C::DownloadPeersGone { game } => Self::DownloadPeersGone { game_id: id(game) },
            C::SourceRejected { game, peer, name, reason } => Self::SourceRejected {
                game_id: id(game),
                peer_id: peer.to_string(),
                name: name.clone(),
                code: (*reason).into(),
                reason: reason.to_string(),
            },
            C::InstallBegin { game } => Self::InstallBegin { game_id: id(game) },
            C::InstallProgress { game, done, total } => {
                Self::InstallProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::UserFilesKept { game, kept } => Self::UserFilesKept {
                game_id: id(game),
                kept: kept.kept,
                beside: kept.beside.iter().map(ToString::to_string).collect(),
            },
            C::VerifyBegin { game } => Self::VerifyBegin { game_id: id(game) },
            C::VerifyProgress { game, done, total } => {
                Self::VerifyProgress { game_id: id(game), done_bytes: *done, total_bytes: *total }
            }
            C::VerifyFinished { game, verdict } => Self::VerifyFinished(verify_finished(game, verdict)),
            C::VerifyFailed { game, error } => Self::VerifyFailed(failure(game, error)),
            C::PlayEnded { game, played } => {
                Self::PlayEnded { game_id: id(game), duration_ms: whole_ms(*played) }
            }
            C::InstallFinished { game } => Self::InstallFinished { game_id: id(game) },
            C::InstallFailed { game, error } => Self::InstallFailed(failure(game, error)),
            C::UninstallFinished { game } => Self::UninstallFinished { game_id: id(game) },
            C::UninstallFailed { game, error } => Self::UninstallFailed(failure(game, error)),
            C::RemoveFinished { game } => Self::RemoveFinished { game_id: id(game) },
            C::RemoveFailed { game, error } => Self::RemoveFailed(failure(game, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(bytes: u64, duration: Duration) -> Totals {
        Totals::from(&core::TransferTotals { bytes, chunks: 1, duration, ..Default::default() })
    }

    #[test]
    fn rates_follow_from_the_printed_bytes_and_milliseconds() {
        let t = totals(2 << 30, Duration::from_micros(1_999_001));
        assert_eq!(t.duration_ms, 2000);
        assert_eq!(t.mib_per_s, 1024.0);
        assert_eq!(t.mbit_per_s, 1024.0 * 8.388_608);
        assert!((t.mbit_per_s - t.bytes as f64 * 8.0 / 1e6 / 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_tiny_transfer_still_has_a_finite_positive_rate() {
        let t = totals(1, Duration::ZERO);
        assert_eq!(t.duration_ms, 1);
        assert!(t.mib_per_s > 0.0 && t.mib_per_s.is_finite());
        let nothing = totals(0, Duration::ZERO);
        assert_eq!((nothing.duration_ms, nothing.mib_per_s, nothing.mbit_per_s), (0, 0.0, 0.0));
    }

    #[test]
    fn outbound_transfers_without_chunks_do_not_show() {
        let game = |id: &str| GameId::new(id).unwrap();
        let snapshot = StatusSnapshot {
            peer: lanspread_types::PeerId::from_bytes([7; 32]),
            name: "n".to_owned(),
            addr: "127.0.0.1:1".parse().unwrap(),
            games_dir: "games".into(),
            catalogued: true,
            catalog_offered: Vec::new(),
            catalog: core_catalog::CatalogMode::Open,
            accepts_wants: false,
            party: None,
            peers: 0,
            refused: Vec::new(),
            library_fault: None,
            operations: Vec::new(),
            swarms: Vec::new(),
            limits: lanspread_peer::command::RateLimits::default(),
            outbound: vec![(game("a"), 0), (game("b"), 2)],
            traffic: snapshot::Traffic::default(),
        };
        let rendered = status(&snapshot, Path::new("state"));
        assert_eq!(rendered.active_outbound_transfers, BTreeMap::from([("b".to_owned(), 2)]));
    }
}
