//! Games, as this peer sees them.

use lanspread_api::reply::{About, Availability, GameInfo, GameList, Players, Support};
use lanspread_core::snapshot::{self, GameListSnapshot, GameSnapshot};
use lanspread_core::trust;

use super::ToContract;

impl ToContract for GameListSnapshot {
    type Json = GameList;

    fn to_contract(&self) -> GameList {
        let games = self.games.iter().map(ToContract::to_contract).collect();
        GameList { games, games_left_out: self.left_out }
    }
}

impl ToContract for GameSnapshot {
    type Json = GameInfo;

    fn to_contract(&self) -> GameInfo {
        GameInfo {
            game_id: self.game.to_string(),
            title: self.title.clone(),
            about: About {
                players: self.about.players.map(|(min, max)| Players { min, max }),
                genre: self.about.genre.clone(),
                cover: self.about.cover.clone(),
                start: self.about.start.clone(),
            },
            downloaded: self.downloaded,
            installed: self.installed,
            availability: self.availability.to_contract(),
            peer_count: self.peer_count,
            size: self.bytes,
            eti_game_version: self.version.map(|v| v.to_string()),
            local_version: self.local_version.map(|v| v.to_string()),
            installed_version: self.installed_version.map(|v| v.to_string()),
            content_id: self.content.map(|c| c.to_string()),
            support: self.support.as_ref().map(ToContract::to_contract),
            confirmed_by: self.voices,
            supplier: self.supplier.as_ref().map(ToContract::to_contract),
            offered_content_id: self.offered_content.map(|c| c.to_string()),
            update_needs_confirmation: self.update_needs_confirmation,
            dated_ahead: self.dated_ahead,
            private: self.private,
        }
    }
}

impl ToContract for snapshot::Availability {
    type Json = Availability;

    fn to_contract(&self) -> Availability {
        match self {
            snapshot::Availability::Ready => Availability::Ready,
            snapshot::Availability::LocalOnly => Availability::LocalOnly,
            snapshot::Availability::Remote => Availability::Remote,
        }
    }
}

impl ToContract for trust::Support {
    type Json = Support;

    fn to_contract(&self) -> Support {
        match self {
            trust::Support::Pinned => Support::Pinned,
            trust::Support::Agreed => Support::Agreed,
            trust::Support::Single => Support::Single,
        }
    }
}
