//! The room as a whole: how all peers stand, our own state, and wishes.
//!
//! Peers are asked only when an owner looks at the room. A wish starts a download only if the owner allows wishes and
//! the catalogue pins the content.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use lanspread_types::limits::DOWNLOADS_PER_STATE_MAX;
use lanspread_types::message::{DownloadState, Message, PeerState};
use lanspread_types::{CatalogKey, GameId, PeerId, failpoint};

use super::Node;
use crate::api::command::{CommandError, CommandId, OperationKind, Reply};
use crate::api::event::Event;
use crate::io::ConnId;
use crate::limits::ROOM_GAMES_MAX;
use crate::room::{Counted, GuestState, RoomSnapshot, WISHED_DOWNLOADS_MAX, overview};
use crate::time::Time;
use crate::trust::Support;

impl Node {
    /// Asks all peers for their states. The command is answered when all have replied, or after the time limit.
    pub(super) fn ask_room(&mut self, now: Time, id: CommandId) {
        self.room.ask(id);
        self.answer_rooms(now);
    }

    pub(super) fn room_wakeup(&self) -> Option<Time> {
        self.room.next_wakeup()
    }

    /// Asks the next question to the room if one is due, and answers the commands whose question has ended.
    pub(super) fn answer_rooms(&mut self, now: Time) {
        if self.room.begin_question(self.roster.iter().map(|p| p.id), now) {
            self.outbox.send_to_all(&self.roster, &Message::StateWanted);
        }
        if let Some((askers, asked)) = self.room.end_question(now) {
            let view = Arc::new(self.room_snapshot(now, asked));
            for id in askers {
                self.outbox.reply(id, Ok(Reply::Room(Arc::clone(&view))));
            }
        }
    }

    fn room_snapshot(&self, now: Time, asked: Time) -> RoomSnapshot {
        let me = GuestState {
            peer: self.config.me,
            name: self.config.name.clone(),
            group: self.own_group(),
            state: Some(self.own_state(now)),
        };
        let others = self.roster.iter().map(|p| GuestState {
            peer: p.id,
            name: p.name.clone(),
            group: self.config.group_of(p),
            state: self.room.state(p.id, asked).cloned(),
        });
        let guests: Vec<GuestState> = [me].into_iter().chain(others).collect();
        let (games, left_out) = self.games_that_matter(&guests);
        let games: Vec<Counted> = games.into_iter().map(|game| self.counted(game)).collect();
        overview(&guests, &games, self.edition(), left_out)
    }

    /// Returns the games of a view, and how many were left out. Games of the catalogue, of our library and of our
    /// downloads come first, then those that most peers have or download.
    fn games_that_matter(&self, guests: &[GuestState]) -> (Vec<GameId>, usize) {
        let knows = |game: &GameId| self.config.catalog.knows(game);
        let offered = self.roster.offer_table().games().filter(|(game, _)| knows(game));
        let mut ranked: Vec<_> =
            offered.map(|(game, peers)| (Reverse(false), Reverse(peers), game)).collect();
        // This part of the list stays sorted by game until it is ranked, for binary searches. Offers may be many; the
        // other games are few.
        let offered = ranked.len();
        let place = |ranked: &[(_, _, &GameId)], game: &GameId| {
            ranked[..offered].binary_search_by(|(.., other)| (*other).cmp(game))
        };
        for download in guests.iter().filter_map(|g| g.state.as_ref()).flat_map(|state| &state.downloads) {
            // A download that a peer only claims does not make a game of the room until a peer offers that game.
            if let Ok(at) = place(&ranked, &download.game) {
                ranked[at].1.0 += 1;
            }
        }
        let own = self.library.iter().map(|(game, _)| game);
        let catalogue = self.config.catalog.games().map(|(game, _)| game);
        let first: BTreeSet<&GameId> = own.chain(catalogue).chain(self.downloads.games()).collect();
        for game in first.into_iter().filter(|game| knows(game)) {
            match place(&ranked, game) {
                Ok(at) => ranked[at].0 = Reverse(true),
                Err(_) => ranked.push((Reverse(true), Reverse(0), game)),
            }
        }
        let most = if failpoint!("list-the-whole-room") { usize::MAX } else { ROOM_GAMES_MAX };
        let left_out = ranked.len().saturating_sub(most);
        if left_out > 0 {
            ranked.select_nth_unstable(most - 1);
            ranked.truncate(most);
        }
        let mut games: Vec<GameId> = ranked.into_iter().map(|(.., game)| game.clone()).collect();
        games.sort_unstable();
        (games, left_out)
    }

    fn counted(&self, game: GameId) -> Counted {
        let entry = self.config.catalog.entry(&game);
        let here = self.library.announced_offer(&game).map(|offer| (self.config.me, offer));
        let others = self.roster.offers(&game).map(|(peer, offer)| (peer.id, offer));
        let mut offers: Vec<_> =
            here.into_iter().chain(others).map(|(peer, o)| (peer, o.version, o.content)).collect();
        offers.sort_unstable_by_key(|(peer, ..)| *peer);
        Counted {
            title: entry.and_then(|e| e.title.clone()),
            version: self.settled_version(&game),
            content: entry.and_then(|e| e.content),
            offers,
            game,
        }
    }

    fn edition(&self) -> Option<(CatalogKey, u64)> {
        self.catalogs.held().map(|held| (held.key, held.serial))
    }

    fn own_state(&self, now: Time) -> PeerState {
        let download = |download: &crate::download::Download| {
            let transfer = download.transfer()?;
            Some(DownloadState {
                game: download.game.clone(),
                version: download.version,
                content: download.content,
                done_bytes: transfer.had_bytes(),
                total_bytes: transfer.content.manifest().total_bytes(),
                bytes_per_second: transfer.rate(download.started(), now),
            })
        };
        PeerState {
            catalog: self.edition(),
            accepts_wants: self.config.rules.accept_wants,
            downloads: self.downloads.iter().filter_map(download).take(DOWNLOADS_PER_STATE_MAX).collect(),
            own_group_bytes: self.traffic.received_bytes - self.traffic.other_groups_bytes,
            other_groups_bytes: self.traffic.other_groups_bytes,
        }
    }

    /// Tells a peer our state, unless it asks too often.
    pub(super) fn tell_state(&mut self, now: Time, conn: ConnId, peer: PeerId) {
        if self.room.may_tell(peer, now) {
            let state = self.own_state(now);
            self.outbox.send(conn, Message::State(state));
        }
    }

    pub(super) fn state_told(&mut self, now: Time, peer: PeerId, state: PeerState) {
        self.room.said(peer, state, now);
        self.answer_rooms(now);
    }

    /// Asks all peers to download a game.
    pub(super) fn want_game(&mut self, id: CommandId, game: &GameId) {
        if !self.config.catalog.knows(game) {
            return self.outbox.reply(id, Err(CommandError::UnknownGame { game: game.clone() }));
        }
        self.outbox.send_to_all(&self.roster, &Message::DownloadWanted { game: game.clone() });
        self.outbox.reply(id, Ok(Reply::Wanted { asked: self.roster.len() }));
    }

    /// Handles a wish that all peers download a game. It is granted if the owner allows wishes and the catalogue names
    /// the exact content; otherwise the owner must decide.
    pub(super) fn download_wanted(&mut self, now: Time, peer: PeerId, game: &GameId) {
        let Some(ip) = self.roster.get(&peer).map(|p| p.addr.ip()) else { return };
        if !self.room.wished(peer, ip, game, now) {
            return;
        }
        let name = self.roster.name_of(&peer);
        let accepted = self.download_on_wish(now, game);
        self.outbox.event(Event::DownloadWanted { peer, name, game: game.clone(), accepted });
    }

    fn download_on_wish(&mut self, now: Time, game: &GameId) -> bool {
        let downloads = self.operations.snapshot();
        let running = downloads.iter().filter(|o| o.kind == OperationKind::Downloading).count();
        let allowed = self.config.rules.accept_wants && !failpoint!("grant-no-wish");
        if !(allowed || failpoint!("grant-every-wish"))
            || running >= WISHED_DOWNLOADS_MAX
            || self.check_change(game).is_err()
            || self.check_name(game).is_err()
        {
            return false;
        }
        let version = self.wanted_version(game);
        if self.library.get(game).is_some_and(|local| local.downloaded() && local.version == version) {
            return false;
        }
        let Ok(agreed) = self.choose_content(game, version) else { return false };
        if self.support_of(game, &agreed) < Support::Pinned && !failpoint!("grant-unpinned-wish") {
            return false;
        }
        self.begin_download(now, game, &agreed, true);
        true
    }
}
