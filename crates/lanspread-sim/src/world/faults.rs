//! Faults of a party: crashes, lost connections, partitions and changed rates.

use lanspread_core::io::{CloseReason, LinkId, NetInput, RequestFailure};
use lanspread_types::message::RequestId;

use super::carry::RESET_AFTER;
use super::{Event, World};
use crate::party::Fault;
use crate::wire::Severed;

impl World {
    pub(super) fn fault(&mut self, fault: Fault) -> Result<(), String> {
        let count = self.guests.len();
        match fault {
            Fault::Crash { peer, back_after, .. } => {
                if !self.guests[peer].alive {
                    return Ok(());
                }
                self.guests[peer].crash();
                self.watchers[peer].source_gone();
                if let Some(after) = back_after {
                    self.returning[peer] += 1;
                    self.queue.plan(self.now + RESET_AFTER + after, Event::Back { guest: peer });
                }
                (0..count).filter(|&at| at != peer).for_each(|at| self.sever(peer, at));
                self.update_over();
            }
            Fault::ConnectionLost { a, b, .. } if a != b => self.sever(a, b),
            Fault::ConnectionLost { .. } => {}
            Fault::Partition { split, lasts, .. } => {
                let split = split.min(count);
                self.splits.push((split, self.now + lasts));
                for a in 0..split {
                    (split..count).for_each(|b| self.sever(a, b));
                }
            }
            Fault::Rate { peer, rate, .. } => self.change_rate(peer, rate),
        }
        Ok(())
    }

    /// Starts a crashed process again. Discovery finds the other guests, so it dials all of them.
    pub(super) fn back(&mut self, guest: usize) -> Result<(), String> {
        self.returning[guest] -= 1;
        if self.guests[guest].alive {
            return Ok(());
        }
        let seed = self.rng.next_u64();
        self.guests[guest].restart(guest, seed, &self.party.tuning);
        (0..self.guests.len())
            .filter(|&at| at != guest && self.guests[at].alive)
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|at| self.dial(guest, at));
        self.carry_out(guest)?;
        if self.party.peers[guest].joins.is_some() {
            self.click_again(guest);
        }
        Ok(())
    }

    /// Breaks all connections between two guests.
    fn sever(&mut self, a: usize, b: usize) {
        let Severed { ends, links } = self.wire.sever(a, b);
        for (conn, end) in ends {
            let lost = if end.established {
                NetInput::Closed { conn, reason: CloseReason::Lost }
            } else {
                NetInput::PeerDialFailed { peer: self.guests[end.peer].id, reason: "lost".to_owned() }
            };
            if end.established || end.dialled {
                self.tell(end.owner, RESET_AFTER, lost);
            }
        }
        for (link, unanswered) in links {
            self.link_lost(link, unanswered);
        }
        self.cut(|from, to| (from, to) == (a, b) || (from, to) == (b, a));
    }

    /// Aborts transfers. The bytes that had left have crossed the switches.
    fn cut(&mut self, between: impl Fn(usize, usize) -> bool) {
        for (transfer, left) in self.network.cut(between, self.now) {
            if transfer.tag.chunk.is_some() {
                self.count_crossing(transfer.from, transfer.to, left);
            }
        }
    }

    /// Closes a receiver's data connection to a source.
    pub(super) fn drop_source(&mut self, receiver: usize, source: usize) {
        if let Some((link, unanswered)) = self.wire.drop_link(receiver, source) {
            self.link_lost(link, unanswered);
            self.cut(|from, to| (from, to) == (source, receiver));
        }
    }

    fn link_lost(&mut self, link: LinkId, unanswered: Vec<RequestId>) {
        let (receiver, source) = (self.wire.link(link).receiver, self.wire.link(link).source);
        self.tell(source, RESET_AFTER, NetInput::LinkClosed { link });
        for id in unanswered {
            let (peer, failure) = (self.guests[source].id, RequestFailure::Lost("reset".to_owned()));
            self.tell(receiver, RESET_AFTER, NetInput::RequestFailed { peer, id, failure });
        }
    }
}
