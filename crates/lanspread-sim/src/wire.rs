//! Who is connected to whom: control connections by number, and the data connections that a receiver opens to a source.
//!
//! Owns what is open and what waits for an answer; time and delivery are the world's.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_core::io::{ConnId, LinkId};
use lanspread_core::time::Time;
use lanspread_types::message::RequestId;

/// One end of a control connection. The two ends have the numbers 2n and 2n + 1.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub owner: usize,
    pub peer: usize,
    pub dialled: bool,
    /// Its node was told of the connection.
    pub established: bool,
    pub open: bool,
}

/// A data connection.
#[derive(Debug)]
pub struct Link {
    pub receiver: usize,
    pub source: usize,
    /// Requests do not arrive before this: the connection is being made.
    pub ready_at: Time,
    pub outstanding: BTreeSet<RequestId>,
    pub open: bool,
}

#[derive(Debug, Default)]
pub struct Wire {
    ends: Vec<End>,
    links: Vec<Link>,
    /// The open link from receiver to source.
    current: BTreeMap<(usize, usize), LinkId>,
    /// Control connections between each two guests, the lower one first.
    between: BTreeMap<(usize, usize), Vec<ConnId>>,
}

pub fn other(conn: ConnId) -> ConnId {
    ConnId(conn.0 ^ 1)
}

/// What was between two guests: the ends that were open, and the links with what was asked on them.
#[derive(Debug, Default)]
pub struct Severed {
    pub ends: Vec<(ConnId, End)>,
    pub links: Vec<(LinkId, Vec<RequestId>)>,
}

impl Wire {
    /// A new control connection; the end of the one who dials is returned.
    pub fn connect(&mut self, from: usize, to: usize) -> ConnId {
        let conn = ConnId(self.ends.len() as u64);
        for (owner, peer, dialled) in [(from, to, true), (to, from, false)] {
            self.ends.push(End { owner, peer, dialled, established: false, open: true });
        }
        self.between.entry((from.min(to), from.max(to))).or_default().push(conn);
        conn
    }

    pub fn end(&self, conn: ConnId) -> &End {
        &self.ends[conn.0 as usize]
    }

    pub fn end_mut(&mut self, conn: ConnId) -> &mut End {
        &mut self.ends[conn.0 as usize]
    }

    pub fn link(&self, link: LinkId) -> &Link {
        &self.links[link.0 as usize]
    }

    pub fn link_mut(&mut self, link: LinkId) -> &mut Link {
        &mut self.links[link.0 as usize]
    }

    /// The data connection from a receiver to a source, opened when there is none.
    pub fn link_between(&mut self, receiver: usize, source: usize, ready_at: Time) -> LinkId {
        let links = &mut self.links;
        *self.current.entry((receiver, source)).or_insert_with(|| {
            links.push(Link { receiver, source, ready_at, outstanding: BTreeSet::new(), open: true });
            LinkId(links.len() as u64 - 1)
        })
    }

    /// The open data connection from a receiver to a source.
    pub fn current_link(&mut self, receiver: usize, source: usize) -> Option<&mut Link> {
        let link = *self.current.get(&(receiver, source))?;
        Some(self.link_mut(link))
    }

    /// Ends the data connection from a receiver to a source; returns it with what was unanswered there.
    pub fn drop_link(&mut self, receiver: usize, source: usize) -> Option<(LinkId, Vec<RequestId>)> {
        let id = self.current.remove(&(receiver, source))?;
        let link = self.link_mut(id);
        link.open = false;
        Some((id, std::mem::take(&mut link.outstanding).into_iter().collect()))
    }

    /// Ends everything between two guests.
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
