//! Whom this peer does not deal with, and how its owner hears of it.
//!
//! `status` has the record of refusals: what was refused of late, how often, known or not. Who is not here and why is
//! the address book's to tell; it learns of those who proved who they are, each of whom it lists once.

use std::net::SocketAddr;

use lanspread_types::{PeerId, failpoint};

use super::Node;
use crate::command::CommandError;
use crate::event::Event;
use crate::io::CloseReason;
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
        if let RefusalCause::Party(mismatch) = &cause {
            let typed = dialled && self.is_typed(addr);
            if let Some(peer) = peer {
                self.meeting.book.other_party(peer, addr, mismatch, typed, now);
            }
            if dialled {
                self.answer_connects(addr, |addr| {
                    Err(CommandError::OtherParty { addr, mismatch: mismatch.clone() })
                });
            }
        } else if let Some(peer) = peer
            && dialled
            && self.roster.get(&peer).is_none()
        {
            // Whatever it is, an attempt to reach it is over.
            self.meeting.book.turned_away(&peer, cause.to_string(), now);
        }
        if self.refusals.note(addr, peer, cause.clone(), now) && !failpoint!("forget-refusals") {
            self.event(Event::PeerRefused { peer, addr, cause });
        }
    }

    /// Ends the connection of somebody who does not keep the rules, and tells of it.
    pub(super) fn let_go(&mut self, now: Time, peer: PeerId, cause: RefusalCause) {
        let Some(remote) = self.roster.get(&peer) else { return };
        let (conn, addr) = (remote.conn, remote.addr);
        self.refused(now, addr, Some(peer), cause, false);
        self.close(conn, CloseReason::ProtocolError);
        self.closed(now, conn, CloseReason::ProtocolError);
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
