//! The relay line of each content: who follows whom. Kept by a peer that has the content in full.
//!
//! Members stand in the order of their progress; those that are equally far, by what they may upload, then by group, then
//! in the order in which they asked. A member follows the nearest one before it that may upload as much as itself. Only
//! members whose upstreams change are told. A member that cannot get on where it stands says so, and the peer that it
//! complains about moves back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lanspread_types::limits::UPSTREAMS_MAX;
use lanspread_types::message::{Place, PlaceWanted};
use lanspread_types::{ChunkIndex, ContentId, PeerId};

use crate::time::Time;

/// A member may have another one moved back this often, so that nobody can shuffle a line at will.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);
/// Members whose progress differs by less than one in so many chunks count as equally far: progress is told seldom.
const SLACK_PART: u32 = 16;

/// The relay lines that begin at this peer.
#[derive(Debug, Default)]
pub struct Lines {
    lines: BTreeMap<ContentId, Line>,
}

#[derive(Debug, Default)]
struct Line {
    members: Vec<Member>,
    slack: u32,
    /// Where the one who places is: its group stands first.
    home: Option<Group>,
}

#[derive(Debug, Clone)]
struct Member {
    peer: PeerId,
    group: Group,
    /// It has every chunk below.
    below: u32,
    /// Bytes per second that it may upload. A member that was complained about where it stands has 0.
    uplink: u64,
    /// It receives no more: it has everything, or gave up.
    done: bool,
    complained: Option<Time>,
}

/// Peers behind one switch, as far as addresses tell: those of one /24 (IPv4) or /64 (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(IpAddr);

impl Group {
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
        })
    }
}

impl Lines {
    /// Gives a receiver of a content with `chunks` chunks its place, or another one. Returns whom to tell what.
    pub fn place(
        &mut self,
        (me, home): (PeerId, Group),
        (peer, group): (PeerId, Group),
        wanted: &PlaceWanted,
        chunks: u32,
        now: Time,
    ) -> Vec<(PeerId, Place)> {
        let line = self.lines.entry(wanted.content).or_default();
        (line.slack, line.home) = (chunks / SLACK_PART, Some(home));
        let before = line.upstreams(me);
        let below = wanted.below.0.min(chunks);
        let uplink = wanted.upload_limit.unwrap_or(u64::MAX);
        match line.at(peer) {
            None => line.insert(Member { peer, group, below, uplink, done: false, complained: None }),
            Some(at) => {
                let member = &mut line.members[at];
                (member.done, member.below) = (false, below);
                let may = member.complained.is_none_or(|at| at + COMPLAINT_INTERVAL <= now);
                let accused = wanted.instead_of.filter(|accused| may && *accused != peer);
                if accused.is_some() {
                    member.complained = Some(now);
                }
                if std::mem::replace(&mut member.uplink, uplink) != uplink {
                    line.move_back(at);
                }
                if let Some(at) = accused.and_then(|accused| line.at(accused)) {
                    line.move_back(at);
                }
            }
        }
        line.changes(me, wanted.content, &before, Some(peer))
    }

    /// A member has every chunk below this one.
    pub fn progress(&mut self, peer: PeerId, content: ContentId, below: ChunkIndex) {
        if let Some(line) = self.lines.get_mut(&content)
            && let Some(at) = line.at(peer)
        {
            line.members[at].below = below.0;
        }
    }

    /// A member has everything, or gave up.
    pub fn done(&mut self, peer: PeerId, content: ContentId) {
        if let Some(line) = self.lines.get_mut(&content)
            && let Some(at) = line.at(peer)
        {
            line.members[at].done = true;
        }
    }

    /// A peer is gone. Returns whom to tell what.
    pub fn remove(&mut self, me: PeerId, peer: PeerId) -> Vec<(PeerId, Place)> {
        let mut told = Vec::new();
        for (content, line) in &mut self.lines {
            let before = line.upstreams(me);
            line.members.retain(|member| member.peer != peer);
            told.extend(line.changes(me, *content, &before, None));
        }
        self.lines.retain(|_, line| !line.members.is_empty());
        told
    }

    /// The content is no longer here.
    pub fn content_gone(&mut self, content: &ContentId) {
        self.lines.remove(content);
    }
}

impl Line {
    fn at(&self, peer: PeerId) -> Option<usize> {
        self.members.iter().position(|member| member.peer == peer)
    }

    fn insert(&mut self, new: Member) {
        let at = self.place_for(&new);
        self.members.insert(at, new);
    }

    /// Behind the last member that could feed the new one; of those that are equally far, behind the last one of the same
    /// group. No member that is farther is to follow the new one.
    fn place_for(&self, new: &Member) -> usize {
        let feeds = |member: &Member| member.uplink >= new.uplink && member.below + self.slack >= new.below;
        let behind = |at: usize| {
            let farther = |member: &&Member| member.below > new.below + self.slack;
            at + self.members[at..].iter().take_while(farther).count()
        };
        let last = self.members.iter().rposition(feeds).map_or(0, |at| at + 1);
        let mate =
            |member: &Member| feeds(member) && member.uplink == new.uplink && member.group == new.group;
        let mate = self.members[..last].iter().rposition(mate).map(|at| at + 1);
        let mate = mate.or_else(|| (self.home == Some(new.group)).then_some(0));
        mate.filter(|&at| behind(at) == at).unwrap_or_else(|| behind(last))
    }

    /// A member that still receives moves to the place that a new one would have. One that would stay feeds nobody from
    /// now on, and one that receives no more leaves the line.
    fn move_back(&mut self, at: usize) {
        let mut member = self.members.remove(at);
        if member.done {
            return;
        }
        // Its group does not keep it where it is.
        let place = self.place_for(&Member { group: Group(IpAddr::V6(0.into())), ..member.clone() });
        if place <= at && place < self.members.len() {
            member.uplink = 0;
        }
        self.members.insert(place, member);
    }

    /// Each member with the peers to follow, nearest first; the one who places stands before all.
    fn upstreams(&self, me: PeerId) -> BTreeMap<PeerId, Vec<PeerId>> {
        let of = |at: usize, follower: &Member| {
            let feeding = self.members[..at].iter().rev().filter(|member| member.uplink >= follower.uplink);
            feeding.map(|member| member.peer).chain([me]).take(UPSTREAMS_MAX).collect()
        };
        self.members.iter().enumerate().map(|(at, member)| (member.peer, of(at, member))).collect()
    }

    fn changes(
        &self,
        me: PeerId,
        content: ContentId,
        before: &BTreeMap<PeerId, Vec<PeerId>>,
        asked: Option<PeerId>,
    ) -> Vec<(PeerId, Place)> {
        let news = |(peer, upstreams): &(PeerId, Vec<PeerId>)| {
            Some(*peer) == asked || before.get(peer) != Some(upstreams)
        };
        let place = |(peer, upstreams)| (peer, Place { content, upstreams, ask: None });
        self.upstreams(me).into_iter().filter(news).map(place).collect()
    }
}
