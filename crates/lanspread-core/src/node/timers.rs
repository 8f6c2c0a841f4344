//! What happens because time passes: liveness, waits.

use std::time::Duration;

use lanspread_types::failpoint;
use lanspread_types::message::Message;

use super::Node;

use crate::io::CloseReason;
use crate::roster::RemotePeer;
use crate::time::Time;

/// A peer that was silent for so long is asked whether it is still there.
const PING_AFTER: Duration = Duration::from_secs(5);
/// A peer that does not answer either is lost: a crash without a closed connection (a pulled cable) goes unnoticed
/// for no longer than this.
const SILENT_AFTER: Duration = Duration::from_secs(15);

impl Node {
    /// When to come back although nothing has happened.
    pub fn next_wakeup(&self, now: Time) -> Option<Time> {
        let fetches = self.fetches.values().filter_map(Self::fetch_wakeup);
        let liveness = self.liveness_due;
        let waits = self.waiting.peers.iter().map(|wait| wait.deadline);
        let limited = if self.fetches.is_empty() { None } else { self.download_limit.next_wakeup(now) };
        let rest = [
            self.catalogs.next_wakeup(),
            self.room_wakeup(),
            self.meeting_wakeup(now),
            self.uplink.next_wakeup(now),
            self.manifest_sends.next_wakeup(),
            self.leftovers_wakeup(),
            limited,
            self.announce_due,
            self.news_due,
        ];
        fetches.chain(liveness).chain(waits).chain(rest.into_iter().flatten()).min()
    }

    pub(super) fn run_timers(&mut self, now: Time) {
        self.answer_peer_waits(now);
        self.check_liveness(now);
        self.announce_if_due(now);
        self.tell_library_news(now);
        self.give_up_late_catalog(now);
        self.answer_rooms(now);
        self.run_meeting_timers(now);
        self.run_fetch_timers(now);
        self.pump_manifests(now);
        self.drop_leftovers(now);
        if self.limits.download.is_some() && self.download_limit.allows(now) {
            self.pump_fetches(now);
        }
        if self.limits.upload.is_some() || self.uplink.is_overdue(now) {
            self.pump_uplink(now);
        }
    }

    /// Sets when to look for silent peers again. Whoever is heard meanwhile only makes that look come too early, so
    /// messages need not change it.
    pub(super) fn look_for_silence(&mut self) {
        let due = |p: &RemotePeer| p.last_heard + if p.pinged { SILENT_AFTER } else { PING_AFTER };
        self.liveness_due = self.roster.iter().map(due).min();
    }

    fn check_liveness(&mut self, now: Time) {
        if self.liveness_due.is_none_or(|due| now < due) {
            return;
        }
        let mut silent = Vec::new();
        let mut to_ping = Vec::new();
        for peer in self.roster.iter_mut() {
            let quiet = now.since(peer.last_heard);
            if quiet >= SILENT_AFTER && !failpoint!("ignore-silence") {
                silent.push(peer.conn);
            } else if quiet >= PING_AFTER && !peer.pinged {
                peer.pinged = true;
                to_ping.push(peer.conn);
            }
        }
        for conn in to_ping {
            let nonce = self.rng.next_u64();
            self.send(conn, Message::Ping { nonce });
        }
        for conn in silent {
            self.close(conn, CloseReason::Silent);
            self.closed(now, conn, CloseReason::Silent);
        }
        // After the silent peers are removed: their deadlines have passed, and would wake the node again at once.
        self.look_for_silence();
    }
}
