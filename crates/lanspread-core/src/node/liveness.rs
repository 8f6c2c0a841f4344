//! Liveness: silent peers are pinged, and removed if they stay silent.

use std::time::Duration;

use lanspread_types::failpoint;
use lanspread_types::message::Message;

use super::Node;
use super::timers::Timer;
use crate::io::CloseReason;
use crate::roster::RemotePeer;
use crate::time::Time;

/// Silence after which a peer is pinged.
const PING_AFTER: Duration = Duration::from_secs(5);
/// Silence after which a peer counts as lost. A crash that closes no connection (a pulled cable) goes unnoticed for no
/// longer than this.
const SILENT_AFTER: Duration = Duration::from_secs(15);

impl Node {
    /// Sets when to look for silent peers again. A message that arrives meanwhile only makes that time too early, so
    /// messages need not change it.
    pub(super) fn look_for_silence(&mut self) {
        let due = |p: &RemotePeer| p.last_heard + if p.pinged { SILENT_AFTER } else { PING_AFTER };
        self.timers.set(Timer::Liveness, self.roster.iter().map(due).min());
    }

    pub(super) fn check_liveness(&mut self, now: Time) {
        if !self.timers.is_due(Timer::Liveness, now) {
            return;
        }
        let mut silent = Vec::new();
        let mut to_ping = Vec::new();
        for peer in self.roster.iter_mut() {
            let quiet = now.since(peer.last_heard);
            if quiet >= SILENT_AFTER {
                failpoint!("ignore-silence", {
                    // Otherwise the node would want to be woken at once, again and again.
                    peer.last_heard = now;
                    continue;
                });
                silent.push(peer.conn);
            } else if quiet >= PING_AFTER && !peer.pinged {
                peer.pinged = true;
                to_ping.push(peer.conn);
            }
        }
        for conn in to_ping {
            let nonce = self.rng.next_u64();
            self.outbox.send(conn, Message::Ping { nonce });
        }
        for conn in silent {
            self.outbox.close(conn, CloseReason::Silent);
            self.closed(now, conn, CloseReason::Silent);
        }
        // Only after the silent peers are removed: their deadlines have passed, and would wake the node again at once.
        self.look_for_silence();
    }
}
