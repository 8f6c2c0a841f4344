//! Connections of a party: numbered control connections between guests, and the data connection from each receiver to
//! a source.
//!
//! Owns which connections are open and which requests are unanswered. Time and delivery belong to `world`.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_core::io::{ConnId, LinkId};
use lanspread_core::time::Time;
use lanspread_types::message::RequestId;

/// One end of a control connection. The two ends have the numbers 2n and 2n + 1.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Guest at this end.
    pub owner: usize,
    /// Guest at the other end.
    pub peer: usize,
    /// True if the owner dialled.
    pub dialled: bool,
    /// True once the owner's node was told of the connection.
    pub established: bool,
    /// True until either side closes or the connection is lost.
    pub open: bool,
}

/// A data connection from a receiver to a source.
#[derive(Debug)]
pub struct Link {
    /// Guest that requests.
    pub receiver: usize,
    /// Guest that answers.
    pub source: usize,
    /// When the handshake is done; no request arrives before.
    pub ready_at: Time,
    /// Unanswered requests.
    pub outstanding: BTreeSet<RequestId>,
    /// True until the receiver closes or the connection is lost.
    pub open: bool,
}

/// All connections of a party.
#[derive(Debug, Default)]
pub struct Wire {
    ends: Vec<End>,
    links: Vec<Link>,
    /// The open data connection of each receiver and source.
    current: BTreeMap<(usize, usize), LinkId>,
    /// Control connections of each two guests, the lower number first.
    between: BTreeMap<(usize, usize), Vec<ConnId>>,
}

/// Returns the other end of a control connection.
pub fn other(conn: ConnId) -> ConnId {
    ConnId(conn.0 ^ 1)
}

/// Everything that `Wire::sever` closed.
#[derive(Debug, Default)]
pub struct Severed {
    /// Ends of control connections that were open.
    pub ends: Vec<(ConnId, End)>,
    /// Data connections, each with its unanswered requests.
    pub links: Vec<(LinkId, Vec<RequestId>)>,
}

impl Wire {
    /// Opens a control connection and returns the end of the guest that dials.
    pub fn connect(&mut self, from: usize, to: usize) -> ConnId {
        let conn = ConnId(self.ends.len() as u64);
        for (owner, peer, dialled) in [(from, to, true), (to, from, false)] {
            self.ends.push(End { owner, peer, dialled, established: false, open: true });
        }
        self.between.entry((from.min(to), from.max(to))).or_default().push(conn);
        conn
    }

    /// Returns an end of a control connection.
    pub fn end(&self, conn: ConnId) -> &End {
        &self.ends[conn.0 as usize]
    }

    /// Returns an end of a control connection for changes.
    pub fn end_mut(&mut self, conn: ConnId) -> &mut End {
        &mut self.ends[conn.0 as usize]
    }

    /// Returns a data connection.
    pub fn link(&self, link: LinkId) -> &Link {
        &self.links[link.0 as usize]
    }

    /// Returns a data connection for changes.
    pub fn link_mut(&mut self, link: LinkId) -> &mut Link {
        &mut self.links[link.0 as usize]
    }

    /// Returns the data connection from a receiver to a source, and opens one if there is none.
    pub fn link_between(&mut self, receiver: usize, source: usize, ready_at: Time) -> LinkId {
        let links = &mut self.links;
        *self.current.entry((receiver, source)).or_insert_with(|| {
            links.push(Link { receiver, source, ready_at, outstanding: BTreeSet::new(), open: true });
            LinkId(links.len() as u64 - 1)
        })
    }

    /// Returns the open data connection from a receiver to a source.
    pub fn current_link(&mut self, receiver: usize, source: usize) -> Option<&mut Link> {
        let link = *self.current.get(&(receiver, source))?;
        Some(self.link_mut(link))
    }

    /// Closes the data connection from a receiver to a source and returns it with its unanswered requests.
    pub fn drop_link(&mut self, receiver: usize, source: usize) -> Option<(LinkId, Vec<RequestId>)> {
        let id = self.current.remove(&(receiver, source))?;
        let link = self.link_mut(id);
        link.open = false;
        Some((id, std::mem::take(&mut link.outstanding).into_iter().collect()))
    }

    /// Closes all connections between two guests.
    pub fn sever(&mut self, a: usize, b: usize) -> Severed {
        let mut ends = Vec::new();
        for conn in self.between.remove(&(a.min(b), a.max(b))).unwrap_or_default() {
            for conn in [conn, other(conn)] {
                let end = self.end_mut(conn);
                if std::mem::replace(&mut end.open, false) {
                    ends.push((conn, *end));
                }
            }
        }
        let links = [(a, b), (b, a)].into_iter().filter_map(|(a, b)| self.drop_link(a, b)).collect();
        Severed { ends, links }
    }
}
