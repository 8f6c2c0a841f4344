//! Announcements: of our library to the room, and of the libraries of other peers to the owner.
//!
//! Both are collected while they change often, so a library of a thousand games needs few messages and few events.
//! What is announced is decided by [`crate::library`].

use std::time::Duration;

use lanspread_types::message::Message;
use lanspread_types::{GameId, PeerId, failpoint};

use super::Node;
use super::outbox::Outbox;
use super::timers::{Timer, TimerTable};
use crate::api::command::OperationKind;
use crate::api::event::Event;
use crate::roster::Roster;
use crate::time::Time;

/// Shortest interval between announcements of newly hashed games: soon enough for people, and no flood.
const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(200);

/// Decides when newly hashed games are announced, and reports remote libraries.
#[derive(Debug, Default)]
pub struct Announcer {
    /// When newly hashed games were last announced.
    announced_at: Time,
}

impl Announcer {
    /// Returns true if a newly hashed game should be announced now. While `more` games are being hashed, it is
    /// announced a little later together with them.
    fn announces_now(&mut self, now: Time, more: bool, timers: &mut TimerTable) -> bool {
        let due = self.announced_at + ANNOUNCE_INTERVAL;
        if more && now < due {
            timers.set_no_later(Timer::Announce, due);
            return false;
        }
        self.announced_at = now;
        true
    }

    /// Reports that a peer's library has changed, or postpones the report if it changes too often.
    pub fn library_changed(
        &self,
        now: Time,
        peer: PeerId,
        roster: &mut Roster,
        timers: &mut TimerTable,
        outbox: &mut Outbox,
    ) {
        let Some(remote) = roster.get_mut(&peer) else { return };
        if remote.news.tell(now) || failpoint!("tell-every-library") {
            report(peer, roster, outbox);
        } else {
            timers.set_no_later(Timer::News, remote.news.next());
        }
    }

    /// Makes the postponed reports that are due.
    pub fn report_overdue(
        &self,
        now: Time,
        roster: &mut Roster,
        timers: &mut TimerTable,
        outbox: &mut Outbox,
    ) {
        if !timers.is_due(Timer::News, now) {
            return;
        }
        let pending = roster.iter_mut().filter(|peer| peer.news.pending);
        let told: Vec<PeerId> = pending.filter_map(|p| p.news.tell(now).then_some(p.id)).collect();
        timers.set(Timer::News, roster.iter().filter(|p| p.news.pending).map(|p| p.news.next()).min());
        told.into_iter().for_each(|peer| report(peer, roster, outbox));
    }
}

fn report(peer: PeerId, roster: &Roster, outbox: &mut Outbox) {
    let games = roster.get(&peer).map_or(0, |remote| roster.game_count(remote));
    outbox.event(Event::RemoteLibraryChanged { peer, games });
}

impl Node {
    /// Announces newly hashed games, now or soon.
    pub(super) fn announce_soon(&mut self, now: Time) {
        let more = self.library.hashes_outstanding() > 0;
        if self.announcer.announces_now(now, more, &mut self.timers) {
            self.announce_library();
        }
    }

    pub(super) fn announce_if_due(&mut self, now: Time) {
        if self.timers.is_due(Timer::Announce, now) {
            self.announce_soon(now);
        }
    }

    /// Tells all peers what has changed in our library.
    pub(super) fn announce_library(&mut self) {
        self.timers.stop(Timer::Announce);
        let removing = |game: &GameId| self.operations.kind(game) == Some(OperationKind::Removing);
        let Some(parts) = self.library.changes(&self.config.catalog, removing) else { return };
        for peer in self.roster.iter() {
            for part in &parts {
                self.outbox.send(peer.conn, Message::Library(part.clone()));
            }
        }
        self.library_changed();
    }

    /// Reports our library to the owner.
    pub(super) fn library_changed(&mut self) {
        let games = self.library.announced_games();
        let ignored = self.library.ignored().to_vec();
        self.outbox.event(Event::LocalLibraryChanged { games, ignored });
    }
}
