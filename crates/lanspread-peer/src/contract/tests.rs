//! Every event, reply and error as a line of the contract, checked against the schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanspread_api::reply::Health;
use lanspread_api::request::Priority;
use lanspread_api::schema::{contract_schema, validate_line, validate_request};
use lanspread_api::{ErrorBody, ErrorCode, ErrorLine, ExitCode, Id, Line, ReplyData, Request, ResultLine};
use lanspread_core::catalog::{CatalogMode, GameAbout};
use lanspread_core::catalog_sync::About;
use lanspread_core::command::{
    CommandError, ContentVariant, FirstStart, OperationKind, RateLimits, Replacement, Reply,
};
use lanspread_core::discovery::{Absence, Stranger};
use lanspread_core::event::{
    DownloadFailure, DownloadProgress, DownloadTotals, Event, RejectReason, Repair, SourceTotals, Verdict,
};
use lanspread_core::groups::Group;
use lanspread_core::io::{
    BrokenPart, CloseReason, DialFailure, DiskError, IgnoredFolder, KeptFiles, Stamped,
};
use lanspread_core::refusals::RefusalCause;
use lanspread_core::room::{Fetching, OtherCopy, RoomGame, RoomGroup, RoomGuest, RoomSnapshot};
use lanspread_core::snapshot::{
    Availability, GameListSnapshot, GameSnapshot, OfferedCatalog, Operation, PeerSnapshot, PeersSnapshot,
    RefusedSnapshot, StatusSnapshot, SwarmSnapshot, SwarmSource, Traffic,
};
use lanspread_core::trust::{Supplier, Support};
use lanspread_types::message::GameOffer;
use lanspread_types::{
    CatalogKey, ContentId, GameId, GameVersion, Means, Organiser, PartyMismatch, PartyName, PassPhrase,
    PeerId, RelPath,
};

use super::{ToContract, answer, diagnosis};
use crate::{StartError, Streamed, doctor, pass_phrase};

fn game() -> GameId {
    GameId::new("ggoo").unwrap()
}

fn version() -> GameVersion {
    GameVersion::new(20_250_101).unwrap()
}

fn peer() -> PeerId {
    PeerId::from_bytes([7; 32])
}

fn content() -> ContentId {
    ContentId::from_bytes([9; 32])
}

fn addr() -> std::net::SocketAddr {
    "192.168.0.7:7777".parse().unwrap()
}

fn variants() -> Vec<ContentVariant> {
    let variant = |n, name: &str| ContentVariant {
        content: ContentId::from_bytes([n; 32]),
        peers: vec![name.to_owned()],
    };
    vec![variant(1, "alpha"), variant(2, "bravo")]
}

fn totals() -> DownloadTotals {
    let source = SourceTotals { peer: peer(), name: "alpha".to_owned(), bytes: 1000, chunks: 2 };
    let duration = Duration::from_millis(1500);
    DownloadTotals {
        bytes: 1000,
        chunks: 2,
        duration,
        reused_bytes: 24,
        sources: vec![source],
        streamed: false,
    }
}

fn operations() -> Vec<Operation> {
    use OperationKind::{Downloading, Installing, Removing, Starting, Streaming, Uninstalling, Verifying};
    let operation = |kind| Operation { game: game(), kind, done: 1, total: 2 };
    [Downloading, Installing, Streaming, Uninstalling, Removing, Verifying, Starting].map(operation).to_vec()
}

fn disk_errors() -> Vec<DiskError> {
    let text = || "data.bin: checksum".to_owned();
    vec![
        DiskError::Full { missing: 7 },
        DiskError::Archive(text()),
        DiskError::UnpacksLarge { packed: 65_000, unpacked: 2 << 30 },
        DiskError::Damaged(text()),
        DiskError::NotStreamable(text()),
        DiskError::InUse(text()),
        DiskError::ReadOnly(text()),
        DiskError::OutOfFiles(text()),
        DiskError::Cancelled,
        DiskError::CannotStart(text()),
        DiskError::Other(text()),
    ]
}

/// At least one of every event. Another test checks that none is missing.
fn events() -> Vec<Event> {
    let (id, name, error) = (game, || "alpha".to_owned(), || DiskError::Other("broken".to_owned()));
    let mut events = vec![
        Event::LocalPeerReady { peer: peer(), name: name(), addr: addr(), games: 3 },
        Event::LocalLibraryChanged {
            games: vec![id()],
            ignored: vec![IgnoredFolder { name: "x".to_owned(), reason: "no version.ini".to_owned() }],
        },
        Event::LibraryUnreadable { error: DiskError::OutOfFiles("no more files".to_owned()) },
        Event::IndexProgress { game: id(), done: 1, total: 2 },
        Event::IndexFailed { game: id(), error: error() },
        Event::RemoteLibraryChanged { peer: peer(), games: 4 },
        Event::PeerConnected { peer: peer(), name: name(), addr: addr() },
        Event::PeerIncompatible { addr: addr(), theirs: 2, ours: 1 },
        Event::CatalogChanged { key: CatalogKey([5; 32]), serial: 3, games: 2 },
        Event::CatalogOffered { key: CatalogKey([5; 32]), peer: peer(), name: name() },
        Event::DownloadWanted { peer: peer(), name: name(), game: id(), accepted: true },
        Event::PeerRefused { peer: None, addr: addr(), cause: RefusalCause::TooManyConnections },
        Event::ActiveOperationsChanged { operations: operations() },
        Event::GotGameFiles {
            game: id(),
            version: version(),
            content: content(),
            files: 2,
            bytes: 1000,
            chunks: 2,
        },
        Event::ReuseProgress { game: id(), done: 1, total: 2 },
        Event::DownloadBegin { game: id(), bytes: 1000, had_bytes: 30, reused_bytes: 20 },
        Event::DownloadProgress(DownloadProgress {
            game: id(),
            downloaded_bytes: 1,
            total_bytes: 2,
            bytes_per_second: 3,
            active_peer_count: 1,
            unpacked_bytes: None,
        }),
        Event::DownloadProgress(DownloadProgress {
            game: id(),
            downloaded_bytes: 1,
            total_bytes: 2,
            bytes_per_second: 3,
            active_peer_count: 1,
            unpacked_bytes: Some(1),
        }),
        Event::DownloadChunkFinished {
            game: id(),
            path: RelPath::new("data/a.eti").unwrap(),
            offset: 0,
            length: 1000,
            peer: peer(),
        },
        Event::DownloadFinished { game: id(), totals: totals() },
        Event::DownloadFinished { game: id(), totals: DownloadTotals::default() },
        Event::DownloadCancelled { game: id(), totals: totals() },
        Event::DownloadPeersGone { game: id() },
        Event::InstallBegin { game: id() },
        Event::InstallProgress { game: id(), done: 1, total: 2 },
        Event::InstallFinished { game: id() },
        Event::UninstallFinished { game: id() },
        Event::UninstallFailed { game: id(), error: error() },
        Event::RemoveFinished { game: id() },
        Event::RemoveFailed { game: id(), error: error() },
        Event::VerifyBegin { game: id() },
        Event::VerifyProgress { game: id(), done: 1, total: 2 },
        Event::VerifyFailed { game: id(), error: error() },
        Event::PlayEnded { game: id(), played: Duration::from_millis(1500) },
        Event::UserFilesKept {
            game: id(),
            kept: KeptFiles { kept: 2, beside: vec![RelPath::new("a.cfg.new").unwrap()] },
        },
    ];
    let broken = BrokenPart { path: RelPath::new("a.eti").unwrap(), offset: 65_536, length: 1000 };
    let repairs = [Repair::NotNeeded, Repair::NotAsked, Repair::Started, Repair::NoSource];
    events.extend(repairs.map(|repair| Event::VerifyFinished {
        game: id(),
        verdict: Verdict {
            content: content(),
            bytes: 1000,
            chunks: 2,
            broken: vec![broken.clone()],
            room_has: Some(content()),
            repair,
        },
    }));
    let lost = [
        CloseReason::Goodbye,
        CloseReason::Lost,
        CloseReason::Silent,
        CloseReason::Replaced,
        CloseReason::ProtocolError,
        CloseReason::TooManyPeers,
        CloseReason::Leaving,
    ];
    events.extend(lost.map(|reason| Event::PeerLost { peer: peer(), name: name(), reason }));
    events.extend(refusal_causes().map(|cause| Event::PeerRefused {
        peer: Some(peer()),
        addr: addr(),
        cause,
    }));
    let rejected = [RejectReason::CorruptChunk, RejectReason::BadManifest];
    events.extend(rejected.map(|reason| Event::SourceRejected {
        game: id(),
        peer: peer(),
        name: name(),
        reason,
    }));
    events.extend(disk_errors().into_iter().map(|error| Event::InstallFailed { game: id(), error }));
    let failures = [
        DownloadFailure::NoSource,
        DownloadFailure::SourcesGone,
        DownloadFailure::AmbiguousContent(variants()),
        DownloadFailure::NoManifest,
        DownloadFailure::AllSourcesRejected,
        DownloadFailure::Disk(DiskError::Full { missing: 1 }),
        DownloadFailure::ShuttingDown,
    ];
    events.extend(failures.map(|failure| Event::DownloadFailed { game: id(), failure, totals: totals() }));
    events
}

fn mismatches() -> [PartyMismatch; 4] {
    use PartyMismatch::{Closed, Open, TooManyTries, WrongPassPhrase};
    [Closed(PartyName::new("friday").unwrap()), Open, WrongPassPhrase, TooManyTries]
}

fn refusal_causes() -> impl Iterator<Item = RefusalCause> {
    let text = || "frame 0x77".to_owned();
    let others = [
        RefusalCause::Protocol(text()),
        RefusalCause::NotAPeer(text()),
        RefusalCause::TooSlow(text()),
        RefusalCause::TooManyConnections,
        RefusalCause::BadData,
    ];
    mismatches().map(RefusalCause::Party).into_iter().chain(others)
}

fn command_errors() -> Vec<CommandError> {
    let dial = [
        DialFailure::Unreachable("refused".to_owned()),
        DialFailure::TimedOut,
        DialFailure::OwnAddress,
        DialFailure::NotAPeer("no TLS".to_owned()),
    ];
    let mut errors = vec![
        CommandError::OperationInProgress { game: game(), running: OperationKind::Downloading },
        CommandError::UnknownGame { game: game() },
        CommandError::NoSource { game: game(), version: None },
        CommandError::AmbiguousContent { game: game(), variants: variants() },
        CommandError::VersionAhead { game: game(), version: version() },
        CommandError::UnconfirmedSource(Box::new(replacement())),
        CommandError::UnconfirmedProgram(Box::new(first_start())),
        CommandError::NotDownloaded { game: game() },
        CommandError::NotInstalled { game: game() },
        CommandError::AlreadyInstalled { game: game() },
        CommandError::AlreadyDownloaded { game: game() },
        CommandError::NameTaken { game: game(), other: "OTHER".to_owned() },
        CommandError::NothingToCancel { game: game() },
        CommandError::NotDownloading { game: game() },
        CommandError::Incompatible { addr: addr(), theirs: 2, ours: 1 },
        CommandError::WaitTimedOut { have: 1, wanted: 2 },
        CommandError::UnknownOrganiser {
            organiser: Organiser::Fingerprint(CatalogKey([5; 32]).fingerprint()),
        },
        CommandError::OtherOrganiser { key: CatalogKey([5; 32]) },
        CommandError::Busy,
        CommandError::ShuttingDown,
    ];
    errors.extend(disk_errors().into_iter().map(CommandError::Disk));
    errors.extend(mismatches().map(|mismatch| CommandError::OtherParty { addr: addr(), mismatch }));
    errors.extend(dial.map(|failure| CommandError::ConnectFailed { addr: addr(), failure }));
    errors
}

fn supplier() -> Supplier {
    Supplier { peer: peer(), name: "Eve".to_owned() }
}

fn replacement() -> Replacement {
    Replacement {
        game: game(),
        version: GameVersion::new(20_240_101).ok(),
        content: Some(ContentId::from_bytes([8; 32])),
        new_version: version(),
        new_content: content(),
        supplier: supplier(),
    }
}

fn first_start() -> FirstStart {
    FirstStart {
        game: game(),
        program: "/games/ggoo/local/go.exe".to_owned(),
        args: vec!["-x".to_owned()],
        content: content(),
        suppliers: vec![supplier()],
    }
}

fn peer_snapshot() -> PeerSnapshot {
    let offer = GameOffer { game: game(), version: version(), content: content(), bytes: 1000, files: 2 };
    PeerSnapshot {
        peer: peer(),
        name: "alpha".to_owned(),
        addr: addr(),
        protocol: 1,
        found_by: Means::ALL.to_vec(),
        games: vec![offer],
        games_left_out: 1,
    }
}

fn strangers() -> Vec<Stranger> {
    let reason = || "nothing answers there".to_owned();
    let absences = [
        Absence::Coming,
        Absence::OtherVersion { theirs: 7 },
        Absence::Own,
        Absence::Unreachable { reason: reason() },
        Absence::TurnedAway { reason: reason() },
        Absence::Left,
    ];
    let known = |absence| Stranger {
        peer: Some(peer()),
        name: Some("bravo".to_owned()),
        addrs: vec![addr()],
        found_by: vec![Means::Mdns],
        absence,
    };
    let nobody = Stranger { peer: None, name: None, ..known(Absence::Own) };
    absences.into_iter().map(known).chain([nobody]).collect()
}

fn game_snapshots() -> Vec<GameSnapshot> {
    use Availability::{LocalOnly, Ready, Remote};
    let full = |availability| GameSnapshot {
        game: game(),
        title: Some("Title".to_owned()),
        about: GameAbout {
            players: Some((2, 16)),
            genre: Some("shooter".to_owned()),
            ..GameAbout::default()
        },
        downloaded: true,
        installed: true,
        availability,
        local_version: Some(version()),
        installed_version: Some(version()),
        version: Some(version()),
        content: Some(content()),
        peer_count: 2,
        bytes: 1000,
        support: Some(Support::Agreed),
        voices: 2,
        supplier: None,
        offered_content: Some(content()),
        update_needs_confirmation: false,
        dated_ahead: false,
        private: false,
    };
    let mut games = [LocalOnly, Ready, Remote].map(full).to_vec();
    games.push(GameSnapshot {
        title: None,
        local_version: None,
        installed_version: None,
        version: None,
        content: None,
        support: None,
        ..full(Remote)
    });
    games.push(GameSnapshot {
        support: Some(Support::Single),
        supplier: Some(supplier()),
        update_needs_confirmation: true,
        dated_ahead: true,
        private: false,
        ..full(LocalOnly)
    });
    games.push(GameSnapshot { support: Some(Support::Pinned), ..full(Ready) });
    games
}

fn swarm() -> SwarmSnapshot {
    let source = SwarmSource {
        peer: peer(),
        name: "alpha".to_owned(),
        chunks_has: 4,
        bytes: 65_536,
        bytes_per_second: 1_000_000,
    };
    SwarmSnapshot {
        game: game(),
        priority: lanspread_core::command::Priority::Low,
        chunks_had: 1,
        chunks_total: 4,
        copies: 1.25,
        bytes_per_second: 1_000_000,
        seconds_left: Some(3),
        sources: vec![source],
    }
}

/// Commands with the core's replies to them.
fn answered() -> Vec<(Request, Reply)> {
    let status = StatusSnapshot {
        peer: peer(),
        name: "me".to_owned(),
        addr: addr(),
        games_dir: "/games".into(),
        catalogued: true,
        catalog: CatalogMode::Signed { key: CatalogKey([5; 32]), serial: 3, title: None, games: 2 },
        catalog_offered: vec![OfferedCatalog {
            key: CatalogKey([6; 32]),
            invited: true,
            peers: vec![(peer(), "alpha".to_owned())],
            about: Some(About { serial: 3, title: Some("Friday".to_owned()), games: 2 }),
        }],
        accepts_wants: true,
        party: Some(PartyName::new("friday").unwrap()),
        peers: 2,
        refused: refusal_causes()
            .map(|cause| RefusedSnapshot { addr: addr(), peer: None, cause, count: 2, seconds_ago: 5 })
            .collect(),
        library_fault: Some(DiskError::OutOfFiles("no more files".to_owned())),
        library_read_only: true,
        operations: operations(),
        swarms: vec![swarm()],
        limits: RateLimits { upload: Some(1000), download: None },
        outbound: vec![(game(), 3)],
        traffic: Traffic {
            received_chunks: 1,
            received_bytes: 2,
            other_groups_bytes: 1,
            sent_chunks: 3,
            sent_bytes: 4,
            sent_messages: 6,
            sent_requests: 7,
            rejected_sources: 5,
        },
    };
    let idle = StatusSnapshot {
        library_fault: None,
        library_read_only: false,
        operations: Vec::new(),
        swarms: Vec::new(),
        outbound: Vec::new(),
        ..status.clone()
    };
    let started =
        Reply::DownloadStarted { game: game(), version: version(), content: content(), bytes: 1000 };
    let download = || Request::Download { game_id: game(), install: true, confirm_content: None };
    vec![
        (Request::Status, Reply::Status(Box::new(status))),
        (Request::Status, Reply::Status(Box::new(idle))),
        (Request::WaitPeers { count: 2, timeout_ms: 5 }, Reply::PeerCount(2)),
        (Request::Connect { addr: addr() }, Reply::Connected(peer_snapshot())),
        (
            Request::ListPeers,
            Reply::Peers(PeersSnapshot { peers: vec![peer_snapshot()], others: strangers() }),
        ),
        (Request::ListGames, Reply::Games(GameListSnapshot { games: game_snapshots(), left_out: 3 })),
        (download(), started.clone()),
        (Request::StreamInstall { game_id: game(), max_unpacked_bytes: None }, started),
        (download(), Reply::AlreadyThere { game: game() }),
        (Request::CancelDownload { game_id: game() }, Reply::Done),
        (Request::Install { game_id: game(), max_unpacked_bytes: None }, Reply::Done),
        (Request::Uninstall { game_id: game() }, Reply::Done),
        (Request::RemoveDownload { game_id: game() }, Reply::Done),
        (Request::DiscardDownload { game_id: game() }, Reply::Done),
        (Request::Verify { game_id: game(), repair: true }, Reply::Done),
        (
            Request::Play {
                game_id: game(),
                user_name: None,
                language: None,
                launch: false,
                confirm_content: None,
            },
            Reply::Played(Stamped {
                wrote: vec![RelPath::new("language.txt").unwrap()],
                program: Some("/games/ggoo/local/go".to_owned()),
                ..Stamped::default()
            }),
        ),
        (Request::SetLimits { upload: Some(1000), download: None }, Reply::Done),
        (Request::SetPriority { game_id: game(), priority: Priority::High }, Reply::Done),
        (Request::SetSharing { game_id: game(), shared: false }, Reply::Done),
        (Request::Room, Reply::Room(Arc::new(room()))),
        (Request::WantGame { game_id: game() }, Reply::Wanted { asked: 2 }),
        (
            Request::TrustCatalog { key: Organiser::Key(CatalogKey([5; 32])) },
            Reply::Organiser(CatalogKey([5; 32])),
        ),
        (
            Request::DeclineCatalog { key: Organiser::Fingerprint(CatalogKey([5; 32]).fingerprint()) },
            Reply::Organiser(CatalogKey([5; 32])),
        ),
        (Request::SetGameDir { path: "/other".to_owned() }, Reply::Done),
        (Request::Shutdown, Reply::Done),
    ]
}

fn room() -> RoomSnapshot {
    let guest = RoomGuest {
        peer: peer(),
        name: "alpha".to_owned(),
        group: Group::Named("Row A".into()),
        silent: false,
        catalog: Some((CatalogKey([5; 32]), 2)),
        behind: true,
        accepts_wants: false,
    };
    let fetching = Fetching {
        peer: peer(),
        version: version(),
        done_bytes: 1,
        total_bytes: 10,
        bytes_per_second: 3,
        seconds_left: Some(3),
    };
    let game = RoomGame {
        game: game(),
        title: None,
        version: Some(version()),
        content: Some(content()),
        ready: vec![peer()],
        other: vec![OtherCopy { peer: peer(), version: version(), content: content(), same_version: true }],
        fetching: vec![fetching],
        without: vec![peer()],
        last_ready_seconds: Some(3),
    };
    let group = RoomGroup {
        group: Group::Named("Row A".into()),
        peers: 1,
        received_bytes: 12,
        other_groups_bytes: 8,
    };
    RoomSnapshot { guests: vec![guest], groups: vec![group], games: vec![game], games_left_out: 7 }
}

/// An answer of the doctor, which no command of a session asks for.
fn diagnosed() -> Line {
    let check = |health, advice: Option<&str>| doctor::Check {
        name: "multicast",
        health,
        found: "the own question did not come back".to_owned(),
        advice: advice.map(str::to_owned),
    };
    let diagnosis = diagnosis(&[
        check(doctor::Health::Good, None),
        check(doctor::Health::Bad, Some("let UDP port 5353 through")),
        check(doctor::Health::Poor, Some("plug the cable in")),
        check(doctor::Health::Unknown, Some("look again")),
    ]);
    assert_eq!(diagnosis.health, Health::Bad, "the worst of all");
    Line::Result(ResultLine { id: None, reply: ReplyData::Doctor(diagnosis) })
}

fn lines() -> Vec<Line> {
    let id = || Some(Id::from_json(&7.into()));
    let state = Path::new("/state");
    let mut lines = vec![
        Line::Event(lanspread_api::Event::contract("lanspread-peer-cli", "0.1.0")),
        Line::Event(Streamed::Lost(3).to_contract()),
    ];
    lines.extend(events().iter().map(|e| Line::Event(e.to_contract())));
    lines.extend(answered().into_iter().map(|(request, reply)| answer(id(), &request, Ok(reply), state)));
    lines.push(diagnosed());
    lines.extend(command_errors().into_iter().map(|e| answer(id(), &Request::Status, Err(e), state)));
    for &code in ErrorCode::ALL {
        lines.push(Line::Error(ErrorLine {
            id: Some(Id::from_json(&serde_json::Value::Null)),
            cmd: None,
            error: ErrorBody::new(code, "m"),
        }));
    }
    lines
}

#[test]
fn every_line_validates_and_reads_back() {
    for line in lines() {
        let text = line.to_json();
        assert_eq!(validate_line(&text).unwrap(), line, "{text}");
    }
}

#[test]
fn every_event_and_result_is_tested() {
    let schema = contract_schema();
    let tried = |tag: &str| -> BTreeSet<String> {
        let tag_of = |l: Line| serde_json::to_value(l).ok()?.get(tag)?.as_str().map(str::to_owned);
        lines().into_iter().filter(|l| !matches!(l, Line::Error(_))).filter_map(tag_of).collect()
    };
    for (definition, tag) in [("Event", "event"), ("ResultLine", "cmd")] {
        let variants = schema["$defs"][definition]["oneOf"].as_array().unwrap();
        let named: BTreeSet<_> =
            variants.iter().map(|v| v["properties"][tag]["const"].as_str().unwrap().to_owned()).collect();
        assert!(named.len() > 10);
        assert_eq!(tried(tag), named);
    }
}

#[test]
fn names_of_events_tell_progress_and_failures() {
    for event in events().iter().map(ToContract::to_contract) {
        let json = serde_json::to_value(&event).unwrap();
        let name = json["event"].as_str().unwrap();
        assert_eq!(event.is_progress(), name.ends_with("-progress"), "{name}");
        assert_eq!(event.failure().is_some(), name.ends_with("-failed"), "{name}");
    }
}

#[test]
fn failed_download_has_cause_and_totals() {
    let failure = DownloadFailure::AmbiguousContent(variants());
    let event = Event::DownloadFailed { game: game(), failure, totals: totals() };
    let json = serde_json::to_value(Line::Event(event.to_contract())).unwrap();
    assert_eq!(json["code"], "ambiguous-content");
    assert_eq!(json["variants"][1]["peers"][0], "bravo");
    let rate = |name: &str| json[name].as_f64().unwrap();
    assert_eq!(rate("mbit_per_s"), rate("mib_per_s") * 8.388_608);
    assert_eq!(json["sources"][0]["bytes"], 1000);
    assert_eq!(json["duration_ms"], 1500);
}

#[test]
fn refusal_names_game_and_running_operation() {
    let error = CommandError::OperationInProgress { game: game(), running: OperationKind::Installing };
    let json = serde_json::to_value(error.to_contract()).unwrap();
    let named = ["code", "game_id", "running"].map(|field| json[field].as_str().unwrap());
    assert_eq!(named, ["operation-in-progress", "ggoo", "Installing"]);
}

#[test]
fn question_names_both_sides_and_the_confirmation() {
    let error = CommandError::UnconfirmedSource(Box::new(replacement()));
    assert_eq!(
        error.to_string(),
        "you have ggoo in 20240101 (08080808); only Eve (07070707) offers 20250101 (09090909), and nobody confirms it"
    );
    let json = serde_json::to_value(error.to_contract()).unwrap();
    assert_eq!((&json["code"], &json["game_id"]), (&"unconfirmed-source".into(), &"ggoo".into()));
    assert_eq!(json["question"]["confirm"], json["question"]["replacement"]["new_content_id"]);
    assert_eq!(json["question"]["replacement"]["supplier"]["key"], "07070707");

    let error = CommandError::UnconfirmedProgram(Box::new(first_start()));
    assert_eq!(
        error.to_string(),
        "ggoo would start /games/ggoo/local/go.exe; its content 09090909 came from Eve (07070707), and no catalogue \
         confirms it"
    );
    let json = serde_json::to_value(error.to_contract()).unwrap();
    assert_eq!(json["question"]["confirm"], json["question"]["first_start"]["content_id"]);
    assert_eq!(
        (&json["question"]["first_start"]["args"][0], json["question"]["confirm"].as_str().unwrap().len()),
        (&"-x".into(), 64)
    );
}

#[test]
fn weak_pass_phrase_comes_with_a_better_one() {
    let (name, phrase) = (PartyName::new("friday").unwrap(), PassPhrase::new("friday2026").unwrap());
    let weak = pass_phrase::join(name, phrase).unwrap_err();
    let line = Line::Error(ErrorLine { id: None, cmd: None, error: weak.to_contract() });
    assert_eq!(validate_line(&line.to_json()).unwrap(), line);
    let json = serde_json::to_value(line).unwrap();
    assert_eq!(json["suggestion"]["pass_phrase"].as_str(), Some(weak.suggestion.as_str()));
}

#[test]
fn start_error_names_the_unusable_folder() {
    let (path, reason) = (PathBuf::from("/x"), String::new());
    for (error, code) in [
        (StartError::GamesDir { path: path.clone(), reason: reason.clone() }, ErrorCode::GamesDirUnusable),
        (StartError::StateDir { path: path.clone(), reason: reason.clone() }, ErrorCode::StateDirUnusable),
        (StartError::GamesDirInUse { path: path.clone(), holder: None }, ErrorCode::GamesDirInUse),
        (StartError::StateDirInUse { path, holder: None }, ErrorCode::StateDirInUse),
        (StartError::Listen { addr: addr(), reason }, ErrorCode::ListenFailed),
    ] {
        let body = error.to_contract();
        assert_eq!((body.code, body.exit()), (code, ExitCode::Start));
    }
}

#[test]
fn requests_fit_their_schema() {
    for (request, _) in answered() {
        validate_request(&serde_json::to_string(&request).unwrap()).unwrap();
    }
}
