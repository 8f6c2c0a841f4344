//! Other peers: those that are connected, those that are not, and the view of the room.

use lanspread_api::reply::{
    AbsenceCode, AdvertisedGame, Fetching, Guest, OtherCopy, OtherPeer, PeerInfo, PeerList, Room, RoomGame,
    RoomGroup,
};
use lanspread_core::discovery::{Absence, Stranger};
use lanspread_core::room;
use lanspread_core::snapshot::{PeerSnapshot, PeersSnapshot};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::GameOffer;

use super::ToContract;

impl ToContract for room::RoomSnapshot {
    type Json = Room;

    fn to_contract(&self) -> Room {
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
        Room {
            guests: self.guests.iter().map(guest).collect(),
            groups: self.groups.iter().map(group).collect(),
            games: self.games.iter().map(ToContract::to_contract).collect(),
            games_left_out: self.games_left_out,
        }
    }
}

impl ToContract for room::RoomGame {
    type Json = RoomGame;

    fn to_contract(&self) -> RoomGame {
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
        RoomGame {
            game_id: self.game.to_string(),
            title: self.title.clone(),
            eti_version: self.version.map(|v| v.to_string()),
            content_id: self.content.map(|c| c.to_string()),
            ready: ids(&self.ready),
            other: self.other.iter().map(other).collect(),
            fetching: self.fetching.iter().map(fetching).collect(),
            without: ids(&self.without),
            last_ready_seconds: self.last_ready_seconds,
        }
    }
}

impl ToContract for PeersSnapshot {
    type Json = PeerList;

    fn to_contract(&self) -> PeerList {
        PeerList {
            peers: self.peers.iter().map(ToContract::to_contract).collect(),
            others: self.others.iter().map(ToContract::to_contract).collect(),
        }
    }
}

impl ToContract for Stranger {
    type Json = OtherPeer;

    fn to_contract(&self) -> OtherPeer {
        let (reason, message, protocol) = match &self.absence {
            Absence::Coming => (AbsenceCode::Coming, "it is being connected".to_owned(), None),
            Absence::OtherVersion { theirs } => {
                let message =
                    format!("it speaks protocol version {theirs}, this peer speaks {PROTOCOL_VERSION}");
                (AbsenceCode::OtherVersion, message, Some(*theirs))
            }
            Absence::Own => (AbsenceCode::OwnAddress, "it is our own address".to_owned(), None),
            Absence::Unreachable { reason } => (AbsenceCode::Unreachable, reason.clone(), None),
            Absence::TurnedAway { reason } => (AbsenceCode::TurnedAway, reason.clone(), None),
            Absence::Left => (AbsenceCode::Left, "it said goodbye".to_owned(), None),
        };
        OtherPeer {
            peer_id: self.peer.map(|peer| peer.to_string()),
            name: self.name.clone(),
            addrs: self.addrs.clone(),
            found_by: self.found_by.iter().copied().map(Into::into).collect(),
            reason,
            message,
            protocol,
        }
    }
}

impl ToContract for PeerSnapshot {
    type Json = PeerInfo;

    fn to_contract(&self) -> PeerInfo {
        PeerInfo {
            peer_id: self.peer.to_string(),
            name: self.name.clone(),
            addr: self.addr,
            protocol: self.protocol,
            found_by: self.found_by.iter().copied().map(Into::into).collect(),
            games: self.games.iter().map(ToContract::to_contract).collect(),
            games_left_out: self.games_left_out,
        }
    }
}

impl ToContract for GameOffer {
    type Json = AdvertisedGame;

    fn to_contract(&self) -> AdvertisedGame {
        AdvertisedGame {
            game_id: self.game.to_string(),
            eti_version: self.version.to_string(),
            content_id: self.content.to_string(),
            size: self.bytes,
            file_count: self.files,
        }
    }
}
