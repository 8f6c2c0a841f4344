//! The state that the readers have, so that the next patch holds only what differs.

use std::collections::BTreeMap;

use lanspread_api::page::{Disk, GameRow, Patch, PeerRow, RoomState, Settings, UnfinishedDownload};
use lanspread_api::reply::{OtherPeer, Status};

/// Last state that all readers have.
#[derive(Debug, Default)]
pub struct View {
    status: Option<Status>,
    disk: Disk,
    games: BTreeMap<String, GameRow>,
    peers: BTreeMap<String, PeerRow>,
    others: Vec<OtherPeer>,
    unfinished: Vec<UnfinishedDownload>,
    settings: Settings,
    quiet: bool,
    running: Vec<String>,
}

/// Newly asked parts of the state; `None` was not asked for.
#[derive(Debug, Default)]
pub struct Seen {
    /// The peer's status.
    pub status: Option<Status>,
    /// Space on the library's disk.
    pub disk: Option<Disk>,
    /// All games of the room.
    pub games: Option<Vec<GameRow>>,
    /// All connected peers.
    pub peers: Option<Vec<PeerRow>>,
    /// Peers that are known but not connected.
    pub others: Option<Vec<OtherPeer>>,
    /// Downloads that are not complete.
    pub unfinished: Option<Vec<UnfinishedDownload>>,
    /// The user's settings.
    pub settings: Option<Settings>,
    /// Whether sending is held back.
    pub quiet: Option<bool>,
    /// Games whose program runs.
    pub running: Option<Vec<String>>,
}

impl View {
    /// Takes in newly asked parts and returns what they change.
    pub fn take(&mut self, seen: Seen) -> Patch {
        let mut patch = Patch::default();
        if let Some(status) = seen.status
            && self.status.as_ref() != Some(&status)
        {
            self.status = Some(status.clone());
            patch.status = Some(status);
        }
        if let Some(disk) = seen.disk.filter(|disk| *disk != self.disk) {
            self.disk = disk;
            patch.disk = Some(disk);
        }
        if let Some(settings) = seen.settings.filter(|settings| *settings != self.settings) {
            self.settings = settings.clone();
            patch.settings = Some(settings);
        }
        if let Some(quiet) = seen.quiet.filter(|quiet| *quiet != self.quiet) {
            self.quiet = quiet;
            patch.quiet = Some(quiet);
        }
        if let Some(running) = seen.running.filter(|running| *running != self.running) {
            self.running.clone_from(&running);
            patch.running = Some(running);
        }
        if let Some(games) = seen.games {
            let id = |row: &GameRow| row.game.game_id.clone();
            (patch.games, patch.games_gone) = replace(&mut self.games, games, id);
        }
        if let Some(peers) = seen.peers {
            let id = |row: &PeerRow| row.peer.peer_id.clone();
            (patch.peers, patch.peers_gone) = replace(&mut self.peers, peers, id);
        }
        if let Some(others) = seen.others.filter(|others| *others != self.others) {
            self.others.clone_from(&others);
            patch.others = Some(others);
        }
        if let Some(unfinished) = seen.unfinished.filter(|unfinished| *unfinished != self.unfinished) {
            self.unfinished.clone_from(&unfinished);
            patch.unfinished = Some(unfinished);
        }
        patch
    }

    /// Returns the whole state; `None` until a peer's status was seen.
    pub fn room(&self) -> Option<RoomState> {
        Some(RoomState {
            status: self.status.clone()?,
            disk: self.disk,
            quiet: self.quiet,
            running: self.running.clone(),
            games: self.games.values().cloned().collect(),
            peers: self.peers.values().cloned().collect(),
            others: self.others.clone(),
            unfinished: self.unfinished.clone(),
        })
    }

    /// Returns the settings that the readers have.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }
}

/// Replaces all rows. Returns the new and changed ones, and the ids of those that are gone.
fn replace<Row: Clone + PartialEq>(
    rows: &mut BTreeMap<String, Row>,
    now: Vec<Row>,
    id: impl Fn(&Row) -> String,
) -> (Vec<Row>, Vec<String>) {
    let mut before = std::mem::take(rows);
    let mut changed = Vec::new();
    for row in now {
        let id = id(&row);
        if before.remove(&id).as_ref() != Some(&row) {
            changed.push(row.clone());
        }
        rows.insert(id, row);
    }
    (changed, before.into_keys().collect())
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use lanspread_api::reply::{AbsenceCode, Availability, GameInfo};

    use super::*;

    fn row(id: &str, peer_count: usize) -> GameRow {
        let game = GameInfo {
            game_id: id.to_owned(),
            title: None,
            downloaded: false,
            installed: false,
            availability: Availability::Remote,
            peer_count,
            size: 1,
            eti_game_version: None,
            local_version: None,
            installed_version: None,
            content_id: None,
            support: None,
            confirmed_by: 0,
            supplier: None,
            offered_content_id: None,
            update_needs_confirmation: false,
            dated_ahead: false,
            private: false,
            about: lanspread_api::reply::About::default(),
        };
        GameRow { game, cover: None }
    }

    fn games(rows: &[GameRow]) -> Seen {
        Seen { games: Some(rows.to_vec()), ..Seen::default() }
    }

    #[test]
    fn patch_holds_only_differences() {
        let mut view = View::default();
        assert_eq!(view.take(games(&[row("a", 1), row("b", 1)])).games.len(), 2);
        assert!(view.take(games(&[row("a", 1), row("b", 1)])).is_empty());
        let patch = view.take(games(&[row("b", 2), row("c", 1)]));
        assert_eq!(patch.games, [row("b", 2), row("c", 1)]);
        assert_eq!(patch.games_gone, ["a"]);
        assert!(view.take(Seen::default()).is_empty(), "what was not asked is not gone");
    }

    #[test]
    fn empty_list_of_absent_peers_is_a_change() {
        let other = OtherPeer {
            peer_id: Some("ab".to_owned()),
            name: None,
            addrs: Vec::new(),
            found_by: Vec::new(),
            reason: AbsenceCode::TurnedAway,
            message: "it is not in a closed party".to_owned(),
            protocol: None,
        };
        let others = |others: &[OtherPeer]| Seen { others: Some(others.to_vec()), ..Seen::default() };
        let mut view = View::default();
        assert_eq!(view.take(others(from_ref(&other))).others.as_deref(), Some(from_ref(&other)));
        assert!(view.take(others(from_ref(&other))).is_empty());
        assert!(view.take(Seen::default()).is_empty(), "what was not asked is not gone");
        let patch = serde_json::to_value(view.take(others(&[]))).unwrap();
        assert_eq!(patch, serde_json::json!({ "others": [] }));
    }
}
