//! What others say of themselves, what they are told, and what they wish.

use lanspread_types::limits::DOWNLOADS_PER_STATE_MAX;
use lanspread_types::message::{DownloadState, Message, PeerState};
use lanspread_types::{CatalogKey, GameId, PeerId, failpoint};

use super::Node;
use crate::command::{CommandError, CommandId, OperationKind, Reply};
use crate::event::Event;
use crate::io::ConnId;
use crate::room::{ANSWERS_WITHIN, Counted, RoomSnapshot, Standing, WISHED_DOWNLOADS_MAX, overview};
use crate::time::Time;

impl Node {
    /// Asks everybody how they stand; the answer comes when all have said it, or when it is time.
    pub(super) fn ask_room(&mut self, now: Time, id: CommandId) {
        let conns: Vec<ConnId> = self.roster.iter().map(|p| p.conn).collect();
        for conn in conns {
            self.send(conn, Message::StateWanted);
        }
        self.waiting.rooms.push((id, now));
        self.answer_rooms(now);
    }

    pub(super) fn room_wakeup(&self) -> Option<Time> {
        self.waiting.rooms.iter().map(|(_, asked)| *asked + ANSWERS_WITHIN).min()
    }

    pub(super) fn answer_rooms(&mut self, now: Time) {
        let ready = |node: &Self, asked: Time| {
            now.since(asked) >= ANSWERS_WITHIN
                || node.roster.iter().all(|p| node.room.state(p.id, asked).is_some())
        };
        for (id, asked) in std::mem::take(&mut self.waiting.rooms) {
            if ready(self, asked) {
                let room = self.room_snapshot(now, asked);
                self.reply(id, Ok(Reply::Room(room)));
            } else {
                self.waiting.rooms.push((id, asked));
            }
        }
    }

    fn room_snapshot(&self, now: Time, asked: Time) -> RoomSnapshot {
        let me = Standing {
            peer: self.config.me,
            name: self.config.name.clone(),
            offers: self.library.announced_offers(),
            state: Some(self.own_state(now)),
        };
        let others = self.roster.iter().map(|p| Standing {
            peer: p.id,
            name: p.name.clone(),
            offers: p.snapshot().games,
            state: self.room.state(p.id, asked).cloned(),
        });
        let guests: Vec<Standing> = [me].into_iter().chain(others).collect();
        let mut games = self.roster.offered_games();
        games.extend(self.library.iter().map(|(game, _)| game.clone()));
        games.extend(self.config.catalog.games().map(|(game, _)| game.clone()));
        games.retain(|game| self.config.catalog.knows(game));
        let counted = |game: GameId| {
            let entry = self.config.catalog.entry(&game);
            Counted {
                title: entry.and_then(|e| e.title.clone()),
                version: self.wanted_version(&game),
                content: entry.and_then(|e| e.content),
                game,
            }
        };
        let games: Vec<Counted> = games.into_iter().map(counted).collect();
        overview(&guests, &games, self.edition())
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

    /// Somebody asks everybody to fetch a game. It is done if the owner allows such wishes, the game counts here, and
    /// what is to be fetched is beyond doubt: which content that is, this peer decides as for any download.
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
        self.begin_download(now, game, &agreed, true);
        true
    }
}
