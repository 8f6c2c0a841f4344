//! What others say of themselves, what they are told, and what they wish.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use lanspread_types::limits::DOWNLOADS_PER_STATE_MAX;
use lanspread_types::message::{DownloadState, Message, PeerState};
use lanspread_types::{CatalogKey, GameId, PeerId, failpoint};

use super::Node;
use crate::command::{CommandError, CommandId, OperationKind, Reply};
use crate::event::Event;
use crate::io::ConnId;
use crate::limits::ROOM_GAMES_MAX;
use crate::room::{Counted, RoomSnapshot, Standing, WISHED_DOWNLOADS_MAX, overview};
use crate::time::Time;
use crate::trust::Support;

impl Node {
    /// Asks everybody how they stand; the answer comes when all have said it, or when it is time.
    pub(super) fn ask_room(&mut self, now: Time, id: CommandId) {
        self.room.ask(id);
        self.answer_rooms(now);
    }

    pub(super) fn room_wakeup(&self) -> Option<Time> {
        self.room.next_wakeup()
    }

    pub(super) fn answer_rooms(&mut self, now: Time) {
        if self.room.begin_question(self.roster.iter().map(|p| p.id), now) {
            let conns: Vec<ConnId> = self.roster.iter().map(|p| p.conn).collect();
            conns.into_iter().for_each(|conn| self.send(conn, Message::StateWanted));
        }
        if let Some((askers, asked)) = self.room.end_question(now) {
            let view = Arc::new(self.room_snapshot(now, asked));
            for id in askers {
                self.reply(id, Ok(Reply::Room(Arc::clone(&view))));
            }
        }
    }

    fn room_snapshot(&self, now: Time, asked: Time) -> RoomSnapshot {
        let me = Standing {
            peer: self.config.me,
            name: self.config.name.clone(),
            group: self.own_group(),
            state: Some(self.own_state(now)),
        };
        let others = self.roster.iter().map(|p| Standing {
            peer: p.id,
            name: p.name.clone(),
            group: self.group_of(p),
            state: self.room.state(p.id, asked).cloned(),
        });
        let guests: Vec<Standing> = [me].into_iter().chain(others).collect();
        let (games, left_out) = self.games_that_matter(&guests);
        let games: Vec<Counted> = games.into_iter().map(|game| self.counted(game)).collect();
        overview(&guests, &games, self.edition(), left_out)
    }

    /// The games of a view, and how many were left out: those of the catalogue, those that are here and those that are
    /// fetched here come first, then those that most peers have or fetch.
    fn games_that_matter(&self, guests: &[Standing]) -> (Vec<GameId>, usize) {
        let knows = |game: &GameId| self.config.catalog.knows(game);
        let offered = self.roster.offer_table().games().filter(|(game, _)| knows(game));
        let mut ranked: Vec<_> =
            offered.map(|(game, peers)| (Reverse(false), Reverse(peers), game)).collect();
        // By game until it is ranked: what is offered may be very much, the rest is little.
        let offered = ranked.len();
        let place = |ranked: &[(_, _, &GameId)], game: &GameId| {
            ranked[..offered].binary_search_by(|(.., other)| (*other).cmp(game))
        };
        for download in guests.iter().filter_map(|g| g.state.as_ref()).flat_map(|state| &state.downloads) {
            // What is only said to be fetched is no game of the room until somebody offers it.
            if let Ok(at) = place(&ranked, &download.game) {
                ranked[at].1.0 += 1;
            }
        }
        let own = self.library.iter().map(|(game, _)| game);
        let catalogue = self.config.catalog.games().map(|(game, _)| game);
        let first: BTreeSet<&GameId> = own.chain(catalogue).chain(self.fetches.keys()).collect();
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
        let download = |fetch: &crate::fetch::Fetch| {
            let transfer = fetch.transfer()?;
            Some(DownloadState {
                game: fetch.game.clone(),
                version: fetch.version,
                content: fetch.content,
                done_bytes: transfer.had_bytes(),
                total_bytes: transfer.content.manifest().total_bytes(),
                bytes_per_second: transfer.rate(fetch.started(), now),
            })
        };
        PeerState {
            catalog: self.edition(),
            accepts_wants: self.config.rules.accept_wants,
            downloads: self.fetches.values().filter_map(download).take(DOWNLOADS_PER_STATE_MAX).collect(),
            own_group_bytes: self.traffic.received_bytes - self.traffic.other_groups_bytes,
            other_groups_bytes: self.traffic.other_groups_bytes,
        }
    }

    pub(super) fn tell_state(&mut self, now: Time, conn: ConnId, peer: PeerId) {
        if self.room.may_tell(peer, now) {
            let state = self.own_state(now);
            self.send(conn, Message::State(state));
        }
    }

    pub(super) fn state_told(&mut self, now: Time, peer: PeerId, state: PeerState) {
        self.room.said(peer, state, now);
        self.answer_rooms(now);
    }

    /// Asks everybody to fetch a game.
    pub(super) fn want_game(&mut self, id: CommandId, game: &GameId) {
        if !self.config.catalog.knows(game) {
            return self.reply(id, Err(CommandError::UnknownGame { game: game.clone() }));
        }
        let conns: Vec<ConnId> = self.roster.iter().map(|p| p.conn).collect();
        for &conn in &conns {
            self.send(conn, Message::FetchWanted { game: game.clone() });
        }
        self.reply(id, Ok(Reply::Wanted { asked: conns.len() }));
    }

    /// Somebody asks everybody to fetch a game. It is done if the owner allows such wishes and the catalogue names the
    /// very content; for anything else the owner has to click.
    pub(super) fn fetch_wanted(&mut self, now: Time, peer: PeerId, game: &GameId) {
        let Some(ip) = self.roster.get(&peer).map(|p| p.addr.ip()) else { return };
        if !self.room.wished(peer, ip, game, now) {
            return;
        }
        let name = self.roster.name_of(&peer);
        let accepted = self.fetch_on_wish(now, game);
        self.event(Event::FetchWanted { peer, name, game: game.clone(), accepted });
    }

    fn fetch_on_wish(&mut self, now: Time, game: &GameId) -> bool {
        let downloads = self.operations.snapshot();
        let running = downloads.iter().filter(|o| o.kind == OperationKind::Downloading).count();
        let allowed = self.config.rules.accept_wants && !failpoint!("grant-no-wish");
        if !(allowed || failpoint!("grant-every-wish"))
            || running >= WISHED_DOWNLOADS_MAX
            || self.check_command(game).is_err()
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
