//! The peer's status: what runs, what was refused, and which catalogue counts.

use std::collections::BTreeMap;
use std::path::Path;

use lanspread_api::kinds::{OperationKind, Priority, RefusalCode};
use lanspread_api::reply::{
    ActiveOperation, CatalogInfo, CatalogMode, Limits, OfferedCatalog, Progress, RefusedPeer, Status, Swarm,
    SwarmSource, Traffic,
};
use lanspread_core::catalog as core_catalog;
use lanspread_core::command::{OperationKind as CoreKind, Priority as CorePriority};
use lanspread_core::refusals::RefusalKind;
use lanspread_core::snapshot::{self, Operation, StatusSnapshot, SwarmSnapshot};
use lanspread_types::limits::PROTOCOL_VERSION;

use super::ToContract;
use super::error::disk_fault;

/// Converts a status. `state_dir` comes from the program, because the core does not know it.
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
        catalog: s.catalog.to_contract(),
        catalog_offered: s.catalog_offered.iter().map(ToContract::to_contract).collect(),
        accepts_wants: s.accepts_wants,
        party: s.party.as_ref().map(ToString::to_string),
        peer_count: s.peers,
        active_operations: s.operations.iter().map(ToContract::to_contract).collect(),
        swarms: s.swarms.iter().map(ToContract::to_contract).collect(),
        limits: Limits { upload: s.limits.upload, download: s.limits.download },
        active_outbound_transfers: outbound,
        traffic: s.traffic.to_contract(),
        refused: s.refused.iter().map(ToContract::to_contract).collect(),
        library_fault: s.library_fault.as_ref().map(disk_fault),
        library_read_only: s.library_read_only,
    }
}

impl ToContract for snapshot::Traffic {
    type Json = Traffic;

    fn to_contract(&self) -> Traffic {
        Traffic {
            received_chunks: self.received_chunks,
            received_bytes: self.received_bytes,
            from_other_groups_bytes: self.other_groups_bytes,
            sent_chunks: self.sent_chunks,
            sent_bytes: self.sent_bytes,
            sent_messages: self.sent_messages,
            sent_requests: self.sent_requests,
            rejected_sources: self.rejected_sources,
        }
    }
}

impl ToContract for core_catalog::CatalogMode {
    type Json = CatalogInfo;

    fn to_contract(&self) -> CatalogInfo {
        use core_catalog::CatalogMode as C;
        match self {
            C::Open => CatalogInfo::default(),
            C::Unsigned { games } => {
                CatalogInfo { mode: CatalogMode::Unsigned, game_count: *games, ..CatalogInfo::default() }
            }
            C::Signed { key, serial, title, games } => CatalogInfo {
                mode: CatalogMode::Signed,
                game_count: *games,
                key: Some(key.to_string()),
                fingerprint: Some(key.fingerprint().to_string()),
                serial: Some(*serial),
                title: title.clone(),
            },
            C::Awaited { key } => CatalogInfo {
                mode: CatalogMode::Awaited,
                key: Some(key.to_string()),
                fingerprint: Some(key.fingerprint().to_string()),
                ..CatalogInfo::default()
            },
        }
    }
}

/// Most names of peers that are listed with an organiser.
const NAMES_MAX: usize = 8;

impl ToContract for snapshot::OfferedCatalog {
    type Json = OfferedCatalog;

    fn to_contract(&self) -> OfferedCatalog {
        let about = self.about.as_ref();
        OfferedCatalog {
            key: self.key.to_string(),
            fingerprint: self.key.fingerprint().to_string(),
            title: about.and_then(|about| about.title.clone()),
            serial: about.map(|about| about.serial),
            game_count: about.map(|about| about.games),
            invited: self.invited,
            peer_count: self.peers.len(),
            peers: self.peers.iter().take(NAMES_MAX).map(|(_, name)| name.clone()).collect(),
        }
    }
}

impl ToContract for snapshot::RefusedSnapshot {
    type Json = RefusedPeer;

    fn to_contract(&self) -> RefusedPeer {
        RefusedPeer {
            addr: self.addr,
            peer_id: self.peer.map(|peer| peer.to_string()),
            code: self.cause.kind().to_contract(),
            reason: self.cause.to_string(),
            count: self.count,
            seconds_ago: self.seconds_ago,
        }
    }
}

impl ToContract for RefusalKind {
    type Json = RefusalCode;

    fn to_contract(&self) -> RefusalCode {
        match self {
            RefusalKind::OtherParty => RefusalCode::OtherParty,
            RefusalKind::WrongPassPhrase => RefusalCode::WrongPassPhrase,
            RefusalKind::TooManyTries => RefusalCode::TooManyTries,
            RefusalKind::Protocol => RefusalCode::ProtocolError,
            RefusalKind::NotAPeer => RefusalCode::NotAPeer,
            RefusalKind::TooSlow => RefusalCode::TooSlow,
            RefusalKind::TooManyConnections => RefusalCode::TooManyConnections,
            RefusalKind::BadData => RefusalCode::BadData,
        }
    }
}

impl ToContract for SwarmSnapshot {
    type Json = Swarm;

    fn to_contract(&self) -> Swarm {
        let source = |s: &snapshot::SwarmSource| SwarmSource {
            peer_id: s.peer.to_string(),
            name: s.name.clone(),
            chunks_has: s.chunks_has,
            bytes: s.bytes,
            bytes_per_second: s.bytes_per_second,
        };
        Swarm {
            game_id: self.game.to_string(),
            priority: self.priority.to_contract(),
            chunks_had: self.chunks_had,
            chunks_total: self.chunks_total,
            copies: self.copies,
            bytes_per_second: self.bytes_per_second,
            seconds_left: self.seconds_left,
            sources: self.sources.iter().map(source).collect(),
        }
    }
}

impl ToContract for CoreKind {
    type Json = OperationKind;

    fn to_contract(&self) -> OperationKind {
        match self {
            CoreKind::Downloading => OperationKind::Downloading,
            CoreKind::Installing => OperationKind::Installing,
            CoreKind::Streaming => OperationKind::Streaming,
            CoreKind::Uninstalling => OperationKind::Uninstalling,
            CoreKind::Removing => OperationKind::Removing,
            CoreKind::Verifying => OperationKind::Verifying,
            CoreKind::Starting => OperationKind::Starting,
        }
    }
}

impl ToContract for Operation {
    type Json = ActiveOperation;

    fn to_contract(&self) -> ActiveOperation {
        let progress = Progress { done_bytes: self.done, total_bytes: self.total };
        ActiveOperation { game_id: self.game.to_string(), kind: self.kind.to_contract(), progress }
    }
}

impl ToContract for CorePriority {
    type Json = Priority;

    fn to_contract(&self) -> Priority {
        match self {
            CorePriority::Low => Priority::Low,
            CorePriority::Normal => Priority::Normal,
            CorePriority::High => Priority::High,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanspread_types::GameId;

    #[test]
    fn games_without_outbound_chunks_are_hidden() {
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
            library_read_only: false,
            operations: Vec::new(),
            swarms: Vec::new(),
            limits: lanspread_core::command::RateLimits::default(),
            outbound: vec![(game("a"), 0), (game("b"), 2)],
            traffic: snapshot::Traffic::default(),
        };
        let rendered = status(&snapshot, Path::new("state"));
        assert_eq!(rendered.active_outbound_transfers, BTreeMap::from([("b".to_owned(), 2)]));
    }
}
