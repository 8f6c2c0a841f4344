//! Whom this peer does not deal with, and how its owner hears of it.

use std::net::SocketAddr;

use lanspread_types::PeerId;

use super::Node;
use crate::command::CommandError;
use crate::event::Event;
use crate::refusals::{RefusalCause, Refused};
use crate::snapshot::RefusedSnapshot;
use crate::time::Time;

impl Node {
    /// Somebody was refused or dropped.
    pub(super) fn refused(
        &mut self,
        now: Time,
        addr: SocketAddr,
        peer: Option<PeerId>,
        cause: RefusalCause,
        dialled: bool,
    ) {
        if dialled {
            // Trying again by itself would change nothing, and would look like guessing.
            self.redial.reached(addr);
            if let RefusalCause::Party(mismatch) = &cause {
                self.answer_connects(addr, |addr| {
                    Err(CommandError::OtherParty { addr, mismatch: mismatch.clone() })
                });
            }
        }
        if self.refusals.note(addr, peer, cause.clone(), now) {
            self.event(Event::PeerRefused { peer, addr, cause });
        }
    }

    pub(super) fn refused_list(&self, now: Time) -> Vec<RefusedSnapshot> {
        let line = |Refused { addr, peer, cause, count, at }| RefusedSnapshot {
            addr,
            peer,
            cause,
            count,
            seconds_ago: now.since(at).as_secs(),
        };
        self.refusals.list().into_iter().map(line).collect()
    }
}
