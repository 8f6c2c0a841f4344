//! The relay line of each content: the order in which its receivers follow each other. The *placer*, a peer that has
//! the whole content, keeps the line.
//!
//! Members stand in order of progress. Members with equal progress stand in order of upload limit, then by group, then
//! by the time of their requests. A member follows the nearest member before it whose upload limit is not lower than
//! its own. The placer tells only members whose upstreams change.
//!
//! A member whose upstream does not deliver complains. The accused member moves back, and from then on feeds only
//! members that were accused as well.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanspread_types::limits::UPSTREAMS_MAX;
use lanspread_types::message::{Place, PlaceWanted};
use lanspread_types::{ChunkIndex, ContentId, PeerId, failpoint};

use crate::groups::Group;
use crate::time::Time;

/// Shortest interval between two complaints of a member that count, so that no member can shuffle the line at will.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);
/// Members whose progress differs by less than this fraction of the content (one in 16) count as equally far, because
/// progress messages are rare.
const SLACK_PART: u32 = 16;

/// The relay lines that this peer keeps, one per content.
#[derive(Debug, Default)]
pub struct Lines {
    lines: BTreeMap<ContentId, Line>,
}

/// Receivers of one content, in the order of the line.
#[derive(Debug, Default)]
struct Line {
    members: Vec<Member>,
    /// Chunks of the content.
    chunks: u32,
    /// The placer's own group. Its members stand first.
    home: Option<Group>,
}

#[derive(Debug, Clone)]
struct Member {
    peer: PeerId,
    group: Group,
    /// The member has every chunk below this one.
    below: u32,
    /// Upload limit in bytes per second; `u64::MAX` without a limit.
    uplink: u64,
    /// A follower complained about this member, so it feeds only members that were accused as well.
    accused: bool,
    /// The member has finished or given up.
    done: bool,
    /// Time of the member's last complaint that counted.
    complained: Option<Time>,
}

impl Member {
    /// Returns true if this member may be the upstream of the other one.
    fn may_feed(&self, other: &Self) -> bool {
        self.uplink >= other.uplink && (other.accused || !self.accused)
    }
}

impl Lines {
    /// Gives a receiver its place in the line of a content of `chunks` chunks. `me` is the placer and `home` its group.
    /// A receiver that already has a place keeps it unless its upload limit has changed, and the peer that it complains
    /// about moves back. Returns the new places of all members whose upstreams changed, and the place of the receiver
    /// itself.
    pub fn place(
        &mut self,
        (me, home): (PeerId, Group),
        (peer, group): (PeerId, Group),
        wanted: &PlaceWanted,
        chunks: u32,
        now: Time,
    ) -> Vec<(PeerId, Place)> {
        let line = self.lines.entry(wanted.content).or_default();
        (line.chunks, line.home) = (chunks, Some(home));
        let before = line.upstreams(me);
        let below = wanted.below.0.min(chunks);
        let limit = wanted.upload_limit.filter(|_| !failpoint!("ignore-upload-limits"));
        let uplink = limit.unwrap_or(u64::MAX);
        match line.at(peer) {
            None => line.insert(Member {
                peer,
                group,
                below,
                uplink,
                accused: false,
                done: false,
                complained: None,
            }),
            Some(at) => {
                let member = &mut line.members[at];
                (member.done, member.below, member.group) = (false, below, group);
                let may = member.complained.is_none_or(|at| at + COMPLAINT_INTERVAL <= now);
                let accused = wanted.instead_of.filter(|accused| may && *accused != peer);
                if accused.is_some() {
                    member.complained = Some(now);
                }
                if std::mem::replace(&mut member.uplink, uplink) != uplink {
                    line.move_back(at);
                }
                if let Some(at) = accused.and_then(|accused| line.at(accused)) {
                    line.members[at].accused = !failpoint!("forget-blame");
                    line.move_back(at);
                }
            }
        }
        line.changes(me, wanted.content, &before, Some(peer))
    }

    /// Updates the groups of members for which `group_of` returns one. No member moves, so none loses an upstream that
    /// delivers.
    pub fn regroup(&mut self, group_of: impl Fn(&PeerId) -> Option<Group>) {
        for member in self.lines.values_mut().flat_map(|line| &mut line.members) {
            if let Some(group) = group_of(&member.peer) {
                member.group = group;
            }
        }
    }

    /// Notes that a member has every chunk below this one.
    pub fn progress(&mut self, peer: PeerId, content: ContentId, below: ChunkIndex) {
        let chunks = self.lines.get(&content).map_or(0, |line| line.chunks);
        if let Some(member) = self.member_mut(peer, content) {
            member.below = below.0.min(chunks);
        }
    }

    /// Notes that a member has finished or given up.
    pub fn done(&mut self, peer: PeerId, content: ContentId) {
        if let Some(member) = self.member_mut(peer, content) {
            member.done = true;
        }
    }

    /// Removes a peer that has left the room. Returns the new places of the members behind it.
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

    /// Forgets the line of a content that is no longer here.
    pub fn content_gone(&mut self, content: &ContentId) {
        self.lines.remove(content);
    }

    /// Returns the members in their order, for tests.
    #[cfg(test)]
    pub fn order(&self, content: &ContentId) -> Vec<PeerId> {
        self.lines[content].members.iter().map(|member| member.peer).collect()
    }

    fn member_mut(&mut self, peer: PeerId, content: ContentId) -> Option<&mut Member> {
        self.lines.get_mut(&content)?.members.iter_mut().find(|member| member.peer == peer)
    }
}

impl Line {
    fn at(&self, peer: PeerId) -> Option<usize> {
        self.members.iter().position(|member| member.peer == peer)
    }

    fn insert(&mut self, new: Member) {
        let at = self.place_for(&new, Some(&new.group));
        self.members.insert(at, new);
    }

    /// Returns the index for a new member: behind the last member that could feed it, or, among members with equal
    /// progress, behind the last one of `group`. A member with more progress never ends up right behind the new one.
    fn place_for(&self, new: &Member, group: Option<&Group>) -> usize {
        let slack = self.chunks / SLACK_PART;
        let feeds = |member: &Member| member.may_feed(new) && member.below + slack >= new.below;
        let behind = |at: usize| {
            let farther = |member: &&Member| member.below > new.below + slack;
            at + self.members[at..].iter().take_while(farther).count()
        };
        let last = self.members.iter().rposition(feeds).map_or(0, |at| at + 1);
        let mate =
            |member: &Member| feeds(member) && member.uplink == new.uplink && Some(&member.group) == group;
        let mate = self.members[..last].iter().rposition(mate).map(|at| at + 1);
        // The placer's group stands first, but behind members that may upload more.
        let weaker = |member: &Member| member.uplink <= new.uplink;
        let first = || self.members.iter().position(weaker).unwrap_or(self.members.len());
        let at_home = group.is_some() && self.home.as_ref() == group;
        let mate = mate.or_else(|| at_home.then(first));
        let mate = mate.filter(|_| !failpoint!("ignore-groups"));
        mate.filter(|&at| behind(at) == at).unwrap_or_else(|| behind(last))
    }

    /// Moves a member to the place that a newcomer like it would get. A member that has finished leaves the line.
    fn move_back(&mut self, at: usize) {
        let member = self.members.remove(at);
        if member.done {
            return;
        }
        // Without its group, which would keep the member where it is.
        let place = self.place_for(&member, None);
        self.members.insert(place, member);
    }

    /// Returns the upstreams of each member, nearest first. The placer stands before every member.
    ///
    /// Where two members would follow the same peer, the second one follows a member that is done and feeds nobody, or
    /// the placer, if there is one.
    fn upstreams(&self, me: PeerId) -> BTreeMap<PeerId, Vec<PeerId>> {
        let mut feeding = BTreeSet::new();
        let mut upstreams = BTreeMap::new();
        for (at, follower) in self.members.iter().enumerate() {
            let at = if failpoint!("place-at-seed") { 0 } else { at };
            let before = self.members[..at].iter().rev().filter(|member| member.may_feed(follower));
            let mut of: Vec<PeerId> =
                before.map(|member| member.peer).chain([me]).take(UPSTREAMS_MAX).collect();
            if !follower.done {
                let idle = |member: &&Member| member.done && member.may_feed(follower);
                let mut idle = self.members.iter().rev().filter(idle).map(|member| member.peer).chain([me]);
                if feeding.contains(&of[0])
                    && let Some(idle) = idle.find(|peer| !feeding.contains(peer))
                {
                    of.retain(|peer| *peer != idle);
                    of.insert(0, idle);
                    of.truncate(UPSTREAMS_MAX);
                }
                feeding.insert(of[0]);
            }
            upstreams.insert(follower.peer, of);
        }
        upstreams
    }

    /// Returns the places that differ from `before`, and the place of the member that `asked`.
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
