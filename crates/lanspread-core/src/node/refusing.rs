//! Refused and dropped peers, and what the owner hears about them.
//!
//! `status` has the record of recent refusals: what was refused and how often, whether the peer is known or not. The
//! address book lists why an expected peer is absent; it only learns of peers that proved their identity, and lists
//! each once.

use std::net::SocketAddr;

use lanspread_types::{PeerId, failpoint};

use super::Node;
use crate::api::command::CommandError;
use crate::api::event::Event;
use crate::api::snapshot::RefusedSnapshot;
use crate::io::CloseReason;
use crate::refusals::{RefusalCause, Refused};
use crate::time::Time;

impl Node {
    /// Records that a peer was refused or dropped, and reports it.
    pub(super) fn refused(
        &mut self,
        now: Time,
        addr: SocketAddr,
        peer: Option<PeerId>,
        cause: RefusalCause,
        dialled: bool,
    ) {
        if let RefusalCause::Party(mismatch) = &cause {
            let typed = dialled && self.pending.is_typed(addr);
            if let Some(peer) = peer {
                self.dialling.book.other_party(peer, addr, mismatch, typed, now);
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
            // Whatever the cause, the attempt to reach this peer has ended.
            self.dialling.book.turned_away(&peer, cause.to_string(), now);
        }
        if self.dialling.refusals.note(addr, peer, cause.clone(), now) && !failpoint!("forget-refusals") {
            self.outbox.event(Event::PeerRefused { peer, addr, cause });
        }
    }

    /// Closes the connection of a peer that breaks the rules, and reports it.
    pub(super) fn drop_peer(&mut self, now: Time, peer: PeerId, cause: RefusalCause) {
        let Some(remote) = self.roster.get(&peer) else { return };
        let (conn, addr) = (remote.conn, remote.addr);
        self.refused(now, addr, Some(peer), cause, false);
        self.outbox.close(conn, CloseReason::ProtocolError);
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
        self.dialling.refusals.list().into_iter().map(line).collect()
    }
}
