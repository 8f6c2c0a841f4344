//! Tests of the relay line: the placer's list, a receiver that follows, and a sender with followers.

use std::time::Duration;

use lanspread_types::message::{FollowRequest, Place, PlaceWanted, Refusal, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet, ContentId, PeerId};

use super::line::Lines;
use super::picker::LineAction;
use super::tests::{CHUNK, at, content, peer, request_of};
use super::{Failure, Picker, Tuning, Uplink, UplinkAction};
use crate::border::net::LinkId;
use crate::groups::{Group, Groups};
use crate::time::Time;

const ME: u8 = 100;
const CONTENT: ContentId = ContentId([7; 32]);
const CHUNKS: u32 = 160;

fn wanted(below: u32) -> PlaceWanted {
    PlaceWanted { content: CONTENT, below: ChunkIndex(below), upload_limit: None, instead_of: None }
}

/// Line of a content of 160 chunks, so the slack is ten chunks.
#[derive(Default)]
struct Line(Lines);

impl Line {
    fn asks(&mut self, n: u8, group: u8, wanted: &PlaceWanted, now: Time) -> Vec<(PeerId, Place)> {
        self.asks_from(n, Group::subnet([10, 0, group, 1].into()), wanted, now)
    }

    fn asks_from(&mut self, n: u8, group: Group, wanted: &PlaceWanted, now: Time) -> Vec<(PeerId, Place)> {
        let home = Group::subnet([10, 0, 9, 1].into());
        self.0.place((peer(ME), home), (peer(n), group), wanted, CHUNKS, now)
    }

    /// Lets members ask from these addresses. Returns all members in the order of the line.
    fn order(&mut self, groups: &Groups, members: &[(u8, [u8; 4])]) -> Vec<u8> {
        for &(n, ip) in members {
            self.asks_from(n, groups.of(ip.into()), &wanted(0), at(0));
        }
        self.0.order(&CONTENT).iter().map(|peer| peer.0[0]).collect()
    }

    fn joins(&mut self, n: u8) -> Vec<u8> {
        self.upstreams(n, &wanted(0))
    }

    /// Returns the upstreams that a peer is told when it asks.
    fn upstreams(&mut self, n: u8, wanted: &PlaceWanted) -> Vec<u8> {
        let told = self.asks(n, 0, wanted, at(0));
        told.iter().find(|(to, _)| *to == peer(n)).map(|(_, place)| numbers(place)).unwrap()
    }
}

fn numbers(place: &Place) -> Vec<u8> {
    place.upstreams.iter().map(|peer| peer.0[0]).collect()
}

fn told(places: &[(PeerId, Place)]) -> Vec<(u8, Vec<u8>)> {
    places.iter().map(|(to, place)| (to.0[0], numbers(place))).collect()
}

#[test]
fn members_follow_in_the_order_of_their_clicks() {
    let mut line = Line::default();
    let places = [line.joins(1), line.joins(2), line.joins(3), line.joins(4)];
    assert_eq!(places, [vec![ME], vec![1, ME], vec![2, 1, ME], vec![3, 2, 1]]);
    assert_eq!(line.joins(2), [1, ME], "asked again, it stays where it is");
}

#[test]
fn lost_member_is_told_to_those_behind() {
    let mut line = Line::default();
    (1..=6).for_each(|n| drop(line.joins(n)));
    let places = line.0.remove(peer(ME), peer(2));
    assert_eq!(told(&places), [(3, vec![1, ME]), (4, vec![3, 1, ME]), (5, vec![4, 3, 1])]);
    assert!(line.0.remove(peer(ME), peer(2)).is_empty());
}

#[test]
fn accused_member_moves_to_the_end() {
    let mut line = Line::default();
    (1..=4).for_each(|n| drop(line.joins(n)));
    let complaint = PlaceWanted { instead_of: Some(peer(2)), ..wanted(0) };
    assert_eq!(line.upstreams(3, &complaint), [1, ME]);
    assert_eq!(line.joins(2), [4, 3, 1]);
    // A second complaint within a second does not count.
    let again = PlaceWanted { instead_of: Some(peer(1)), ..wanted(0) };
    assert_eq!(line.upstreams(3, &again), [1, ME]);
    let later = line.asks(3, 0, &again, at(1000));
    assert!(told(&later).contains(&(3, vec![ME])));
}

/// No later guest stands behind a liar. Members that were blamed without reason still feed each other.
#[test]
fn accused_member_feeds_only_its_like() {
    let mut line = Line::default();
    (1..=3).for_each(|n| drop(line.joins(n)));
    let complaint = |n| PlaceWanted { instead_of: Some(peer(n)), ..wanted(0) };
    assert_eq!(line.upstreams(2, &complaint(1)), [ME]);
    assert_eq!(line.joins(4), [3, 2, ME]);
    assert_eq!(line.joins(1), [4, 3, 2]);
    line.asks(4, 0, &complaint(3), at(1000));
    assert_eq!(
        [line.joins(1), line.joins(3), line.joins(5)],
        [vec![4, 2, ME], vec![1, 4, 2], vec![4, 2, ME]]
    );
}

/// Members that are done, and the placer, feed those that would have to share an upstream.
#[test]
fn no_upstream_is_shared_while_another_is_idle() {
    let mut line = Line::default();
    (1..=4).for_each(|n| drop(line.joins(n)));
    (1..=4).for_each(|n| line.0.progress(peer(n), CONTENT, ChunkIndex(100)));
    // 3 goes behind 4, which complains, and feeds no newcomer.
    let complaint = PlaceWanted { instead_of: Some(peer(3)), ..wanted(100) };
    assert_eq!(line.upstreams(4, &complaint), [2, 1, ME]);
    assert_eq!(line.upstreams(3, &wanted(100)), [4, 2, 1]);
    assert_eq!(line.joins(5), [4, 2, 1], "everyone feeds somebody");
    line.0.done(peer(1), CONTENT);
    assert_eq!(line.joins(5), [ME, 4, 2], "nobody needs the placer");
    line.0.done(peer(2), CONTENT);
    assert_eq!(line.joins(5), [1, 4, 2], "2 need not follow 1");
    assert_eq!(line.joins(6), [5, 4, 2]);
}

#[test]
fn accused_member_that_is_done_leaves() {
    let mut line = Line::default();
    (1..=3).for_each(|n| drop(line.joins(n)));
    line.0.done(peer(2), CONTENT);
    let complaint = PlaceWanted { instead_of: Some(peer(2)), ..wanted(0) };
    assert_eq!(line.upstreams(3, &complaint), [1, ME]);
    assert_eq!(line.joins(4), [3, 1, ME]);
}

/// A peer feeds no member with a higher upload limit, and stands behind those that came at the same moment.
#[test]
fn limited_uplink_feeds_its_like() {
    let mut line = Line::default();
    line.joins(1);
    let slow = PlaceWanted { upload_limit: Some(2_000_000), ..wanted(0) };
    assert_eq!(line.upstreams(2, &slow), [1, ME]);
    assert_eq!(line.joins(3), [1, ME]);
    let slower = PlaceWanted { upload_limit: Some(1_000_000), ..wanted(0) };
    assert_eq!(line.upstreams(4, &slower), [2, 3, 1]);
    assert_eq!(line.upstreams(5, &slow), [2, 3, 1], "equal limits feed each other");
    // Its owner begins to play, which limits its upload.
    assert_eq!(line.upstreams(1, &slow), [5, 2, 3]);
}

/// Members of the placer's group stand first, but not if they may upload less than others.
#[test]
fn limited_member_of_the_placers_group_is_not_first() {
    let mut line = Line::default();
    let slow = PlaceWanted { upload_limit: Some(2_000_000), ..wanted(0) };
    line.asks(1, 9, &wanted(0), at(0));
    let told_to = |line: &mut Line, n, wanted: &PlaceWanted| told(&line.asks(n, 9, wanted, at(0)));
    assert_eq!(told_to(&mut line, 2, &slow), [(2, vec![1, ME])]);
    assert_eq!(told_to(&mut line, 3, &wanted(0)), [(2, vec![3, 1, ME]), (3, vec![1, ME])]);
}

#[test]
fn late_and_returning_guests_stand_with_their_like() {
    let mut line = Line::default();
    (1..=3).for_each(|n| drop(line.joins(n)));
    for (n, below) in [(1, 120), (2, 90), (3, 60)] {
        line.0.progress(peer(n), CONTENT, ChunkIndex(below));
    }
    assert_eq!(line.joins(4), [3, 2, 1]);
    assert_eq!(line.upstreams(5, &wanted(95)), [2, 1, ME], "3 has not got so far");
    let slow = PlaceWanted { upload_limit: Some(2_000_000), ..wanted(100) };
    assert_eq!(line.upstreams(6, &slow), [5, 2, 1]);
    assert_eq!(line.joins(7), [4, 3, 5], "not behind the slow one");
}

#[test]
fn guests_of_one_switch_stand_together() {
    let mut line = Line::default();
    for (n, group) in [(1, 1), (2, 2), (3, 1), (4, 2)] {
        line.asks(n, group, &wanted(0), at(0));
    }
    let order: Vec<_> = (1..=4).map(|n| line.joins(n)).collect();
    assert_eq!(order, [vec![ME], vec![3, 1, ME], vec![1, ME], vec![2, 3, 1]]);
    let of_the_placer = line.asks(6, 9, &wanted(0), at(0));
    assert!(told(&of_the_placer).contains(&(6, vec![ME])));
    line.0.remove(peer(ME), peer(6));
    // The others are too far ahead to follow a newcomer.
    (1..=4).for_each(|n| line.0.progress(peer(n), CONTENT, ChunkIndex(100)));
    let late = line.asks(5, 1, &wanted(0), at(9000));
    assert_eq!(told(&late), [(5, vec![4, 2, 3])]);
}

fn named(rows: &[(&str, &[&str])]) -> Groups {
    let networks = |all: &[&str]| all.iter().map(|text| text.parse().unwrap()).collect();
    Groups::new(rows.iter().map(|(name, all)| ((*name).to_owned(), networks(all)))).unwrap()
}

/// Members 1 and 3 are in one subnet, 2 in another, 4 in a third.
const ROOM: [(u8, [u8; 4]); 4] =
    [(1, [10, 0, 1, 1]), (2, [10, 0, 2, 1]), (3, [10, 0, 1, 201]), (4, [10, 0, 3, 1])];

#[test]
fn subnets_of_one_named_group_stand_together() {
    let rows = named(&[("Row A", &["10.0.1.0/24", "10.0.3.0/24"])]);
    assert_eq!(Line::default().order(&Groups::default(), &ROOM), [1, 3, 2, 4], "by subnet");
    assert_eq!(Line::default().order(&rows, &ROOM), [1, 3, 4, 2]);
}

#[test]
fn subnet_in_two_named_groups_is_split() {
    let rows =
        named(&[("Row A", &["10.0.1.0/25", "10.0.3.0/24"]), ("Row B", &["10.0.1.128/25", "10.0.2.0/24"])]);
    assert_eq!(Line::default().order(&rows, &ROOM), [1, 4, 2, 3]);
}

#[test]
fn members_placed_before_count_to_their_new_groups() {
    let (rows, newcomer) = (named(&[("Row A", &["10.0.1.0/24", "10.0.5.0/24"])]), (5, [10, 0, 5, 1]));
    let mut line = Line::default();
    line.order(&Groups::default(), &ROOM);
    let ip_of = |peer: &PeerId| ROOM.iter().find(|(n, _)| *n == peer.0[0]).map(|(_, ip)| *ip);
    line.0.regroup(|peer| Some(rows.of(ip_of(peer)?.into())));
    assert_eq!(line.order(&rows, &[]), [1, 3, 2, 4], "nobody is moved");
    assert_eq!(line.order(&rows, &[newcomer]), [1, 3, 5, 2, 4]);
}

/// A receiver that follows peer 2; peer 1, the seed, stands before that.
struct Follower {
    download: Picker,
    ids: u64,
}

impl Follower {
    fn new() -> Self {
        Self::of(65)
    }

    /// Receives a content of this many chunks.
    fn of(chunks: u32) -> Self {
        let tuning = Tuning::default();
        let mut download = Picker::new(content(chunks), ChunkSet::empty(chunks), 7, tuning);
        download.add_source(peer(1), ChunkSet::full(chunks), at(0));
        download.add_fellow(peer(2), at(0));
        let mut follower = Self { download, ids: 0 };
        assert_eq!(follower.follows(at(0)), None);
        assert_eq!(follower.actions(), [LineAction::AskPlace { of: peer(1), instead_of: None }]);
        assert!(follower.download.placed(peer(1), &place(&[2, 1]), at(0)));
        follower
    }

    fn actions(&mut self) -> Vec<LineAction> {
        self.download.line_actions().collect()
    }

    fn follows(&mut self, now: Time) -> Option<(PeerId, FollowRequest)> {
        let ids = &mut self.ids;
        let follow = self.download.next_follow(now, &mut || {
            *ids += 1;
            RequestId(*ids)
        });
        if follow.is_none() {
            let chunk = self.download.next_request(now, &mut || RequestId(9999));
            assert_eq!(chunk, None, "nothing is asked by name in a line");
        }
        follow
    }

    /// Returns the upstream, the chunks that are now awaited from it, and the number of the first request.
    fn awaits(&mut self, now: Time) -> (PeerId, Vec<u32>, u64) {
        let (of, request) = self.follows(now).unwrap();
        (of, request.chunks.iter().map(|chunk| chunk.0).collect(), request.first.0)
    }

    /// Begins to follow and gets the first chunk after 20 ms.
    fn fed() -> Self {
        let mut follower = Self::new();
        follower.awaits(at(0));
        follower.stored(2, 1, 0, at(20));
        follower
    }

    fn stored(&mut self, from: u8, id: u64, chunk: u32, now: Time) {
        assert!(self.download.stored(peer(from), RequestId(id), ChunkIndex(chunk), now).new);
    }
}

fn place(upstreams: &[u8]) -> Place {
    let upstreams = upstreams.iter().map(|&n| peer(n)).collect();
    Place { content: content(65).content_id(), upstreams, ask: None }
}

#[test]
fn chunks_are_awaited_in_order_and_a_liar_costs_one() {
    let mut follower = Follower::new();
    assert_eq!(follower.awaits(at(0)), (peer(2), vec![0], 1));
    assert_eq!(follower.follows(at(10)), None);
    follower.stored(2, 1, 0, at(20));
    let (of, chunks, first) = follower.awaits(at(20));
    assert_eq!((of, first), (peer(2), 2));
    assert!(
        (8..20).contains(&chunks.len()) && chunks.iter().copied().eq(1..=chunks.len() as u32),
        "{chunks:?}"
    );
}

/// One slow chunk says little about an upstream that has many more.
#[test]
fn upstream_that_is_far_ahead_is_kept_busy_from_the_start() {
    let mut follower = Follower::of(400);
    follower.download.source_has_below(peer(2), ChunkIndex(100), at(0));
    follower.awaits(at(0));
    follower.stored(2, 1, 0, at(20));
    assert_eq!(follower.awaits(at(20)), (peer(2), (1..=64).collect(), 2));
}

/// Lets the upstream send a chunk each 18 ms until the first probe, and then each `now_ms`, while the probe gets one each
/// 6 ms. Returns true if the probe makes the receiver complain about the upstream.
fn is_blamed_after_probe(now_ms: u64) -> bool {
    let mut follower = Follower::of(400);
    follower.download.source_has_below(peer(2), ChunkIndex(200), at(0));
    follower.awaits(at(0));
    follower.stored(2, 1, 0, at(20));
    let (_, awaited, first) = follower.awaits(at(20));
    let mut sent = (first..).zip(awaited);
    for (n, (id, chunk)) in sent.by_ref().take(17).enumerate() {
        follower.stored(2, id, chunk, at(20 + 18 * n as u64));
    }
    let (of, probe, id) = follower.awaits(at(326));
    assert_eq!((of, probe.len()), (peer(1), 8));
    let mut arrivals: Vec<(u64, u8, u64, u32)> =
        (id..).zip(probe).enumerate().map(|(n, (id, chunk))| (400 + 6 * n as u64, 1, id, chunk)).collect();
    let beside = (400..=442).step_by(now_ms as usize);
    arrivals.extend(beside.zip(sent).map(|(ms, (id, chunk))| (ms, 2, id, chunk)));
    arrivals.sort_unstable();
    arrivals.iter().for_each(|&(ms, from, id, chunk)| follower.stored(from, id, chunk, at(ms)));
    follower.follows(at(443));
    follower.actions().contains(&LineAction::AskPlace { of: peer(1), instead_of: Some(peer(2)) })
}

#[test]
fn probe_finds_an_upstream_that_is_slow() {
    assert!(is_blamed_after_probe(18));
}

/// While TCP doubles the rate, the upstream is not judged by it.
#[test]
fn upstream_that_gains_speed_is_not_probed() {
    let mut follower = Follower::of(400);
    follower.download.source_has_below(peer(2), ChunkIndex(200), at(0));
    follower.awaits(at(0));
    follower.stored(2, 1, 0, at(200));
    let (_, awaited, first) = follower.awaits(at(200));
    let mut sent = (first..).zip(awaited);
    for (from, count) in [(201, 5), (301, 10), (401, 20)] {
        for (n, (id, chunk)) in sent.by_ref().take(count).enumerate() {
            let now = at(from + n as u64 * 99 / count as u64);
            follower.stored(2, id, chunk, now);
            let follow = follower.follows(now);
            assert!(follow.is_none_or(|(of, _)| of == peer(2)), "at {now:?}");
        }
    }
    // It sends 20 chunks in the next 100 ms as well, so its rate counts now.
    for (n, (id, chunk)) in sent.take(20).enumerate() {
        follower.stored(2, id, chunk, at(501 + 4 * n as u64));
    }
    assert_eq!(follower.awaits(at(601)).0, peer(1));
}

/// An upstream was slow at first, because its connection had just begun. Now it is faster than the probe beside it.
#[test]
fn upstream_that_has_gained_speed_is_kept() {
    assert!(!is_blamed_after_probe(4));
}

#[test]
fn silent_upstream_is_left_for_the_one_before_it() {
    let mut follower = Follower::fed();
    let (_, awaited, _) = follower.awaits(at(20));
    // A probe would be due, but one chunk says nothing about the upstream's rate.
    assert_eq!(follower.download.next_wakeup(), Some(at(300)));
    assert_eq!(follower.follows(at(300)), None);
    // The upstream says nothing at all.
    let silent = at(20) + Duration::from_millis(300);
    assert_eq!(follower.download.next_wakeup(), Some(silent));
    assert_eq!(follower.follows(silent), None);
    let asked = [LineAction::AskProgress(peer(2)), LineAction::AskProgress(peer(1))];
    assert_eq!(follower.actions(), asked);
    let judged = silent + Duration::from_millis(300);
    assert_eq!(follower.awaits(judged), (peer(1), vec![1], 2 + awaited.len() as u64));
    let complaint = LineAction::AskPlace { of: peer(1), instead_of: Some(peer(2)) };
    assert!(follower.actions().contains(&complaint));
    assert_eq!(follower.download.cancels().count(), awaited.len());
    // The placer names the blamed peer again, but it is not followed.
    follower.download.placed(peer(1), &place(&[2, 1]), judged);
    follower.stored(1, 2 + awaited.len() as u64, 1, judged);
    assert_eq!(follower.awaits(judged).0, peer(1));
}

/// A peer that reconnects is a new source, which has sent nothing yet.
#[test]
fn upstream_that_reconnects_is_followed_again() {
    let mut follower = Follower::fed();
    let (_, awaited, first) = follower.awaits(at(20));
    for (id, chunk) in (first..).zip(&awaited) {
        follower.stored(2, id, *chunk, at(30));
    }
    follower.download.remove_source(peer(2));
    follower.download.add_source(peer(2), ChunkSet::full(65), at(40));
    assert_eq!(follower.awaits(at(320)).0, peer(2));
}

/// A blamed peer may be followed again after two seconds. That is no fault of the peer that was followed meanwhile.
#[test]
fn returning_to_a_nearer_upstream_blames_nobody() {
    let mut follower = Follower::fed();
    follower.awaits(at(20));
    assert_eq!(follower.follows(at(320)), None);
    let (of, _, id) = follower.awaits(at(620));
    assert_eq!(of, peer(1));
    let ask = |instead_of| LineAction::AskPlace { of: peer(1), instead_of };
    assert!(follower.actions().contains(&ask(Some(peer(2)))));
    follower.stored(1, id, 1, at(2600));
    follower.follows(at(2621));
    assert_eq!(follower.actions().last(), Some(&ask(None)));
}

/// If the whole line stands still, no peer is blamed.
#[test]
fn starving_upstream_is_waited_for() {
    let mut follower = Follower::new();
    follower.download.add_fellow(peer(3), at(0));
    follower.download.placed(peer(1), &place(&[3, 2]), at(0));
    follower.awaits(at(0));
    for round in 1..=5 {
        let silent = at(300 * (2 * round - 1));
        assert_eq!(follower.follows(silent), None);
        for n in [3, 2] {
            assert!(follower.actions().contains(&LineAction::AskProgress(peer(n))) || n == 2);
            follower.download.source_has_below(peer(n), ChunkIndex(0), silent);
        }
        assert_eq!(follower.follows(at(600 * round)), None, "round {round}");
    }
}

/// A 10 Gbit/s link: the bound on bytes in flight limits the awaited chunks, and never stops them.
#[test]
fn very_fast_upstream_is_kept_busy() {
    let mut follower = Follower::new();
    follower.awaits(at(0));
    follower.stored(2, 1, 0, at(0));
    let (_, first, id) = follower.awaits(at(0));
    assert_eq!(first.len(), 64);
    for (n, chunk) in first.into_iter().enumerate() {
        follower.stored(2, id + n as u64, chunk, at(0));
    }
    assert!(follower.download.is_complete());
}

#[test]
fn refused_follower_turns_elsewhere() {
    let mut follower = Follower::new();
    follower.awaits(at(0));
    follower.download.failed(peer(2), RequestId(1), Failure::Refused(Refusal::OtherLine), at(5));
    assert_eq!(follower.awaits(at(5)).0, peer(1));
}

#[test]
fn recommended_placer_recommends_nobody_else() {
    let mut follower = Follower::new();
    let ask = |n| Place { content: content(65).content_id(), upstreams: Vec::new(), ask: Some(peer(n)) };
    follower.download.add_fellow(peer(3), at(0));
    follower.download.placed(peer(1), &ask(2), at(0));
    assert_eq!(follower.actions(), [LineAction::AskPlace { of: peer(2), instead_of: None }]);
    follower.download.placed(peer(2), &ask(3), at(0));
    assert_eq!(follower.actions(), []);
    assert!(!follower.download.placed(peer(3), &place(&[3]), at(0)), "it was not asked");
}

#[test]
fn lone_receiver_asks_all_sources() {
    let mut download = Picker::new(content(65), ChunkSet::empty(65), 7, Tuning::default());
    (1..=2).for_each(|n| download.add_source(peer(n), ChunkSet::full(65), at(0)));
    let mut ids = 0;
    let mut next = || {
        ids += 1;
        RequestId(ids)
    };
    assert_eq!(download.next_follow(at(0), &mut next), None);
    let asked: Vec<PeerId> =
        std::iter::from_fn(|| download.next_request(at(0), &mut next)).map(|r| r.0).collect();
    assert!(asked.contains(&peer(1)) && asked.contains(&peer(2)), "{asked:?}");
}

/// Alone for a moment, a receiver asks the seed by name. Once it is in the line, these chunks come from the upstream.
#[test]
fn joining_the_line_cancels_requests_by_name() {
    let mut download = Picker::new(content(65), ChunkSet::empty(65), 7, Tuning::default());
    download.add_source(peer(1), ChunkSet::full(65), at(0));
    let mut ids = 0;
    let mut next = || {
        ids += 1;
        RequestId(ids)
    };
    let (_, first) = download.next_request(at(0), &mut next).unwrap();
    download.stored(peer(1), first.id, ChunkIndex(0), at(10));
    let asked: Vec<u64> =
        std::iter::from_fn(|| download.next_request(at(10), &mut next)).map(|(_, r)| r.id.0).collect();
    assert!(asked.len() >= 2, "{asked:?}");
    download.started(peer(1), RequestId(asked[0]), ChunkIndex(1), at(15));
    download.add_fellow(peer(2), at(20));
    assert_eq!(download.next_follow(at(20), &mut next), None);
    assert!(download.placed(peer(1), &place(&[2, 1]), at(20)));
    let cancelled: Vec<u64> = download.cancels().map(|(_, id)| id.0).collect();
    assert_eq!(cancelled, asked[1..], "the chunk that is arriving is kept");
    let (of, request) = download.next_follow(at(20), &mut next).unwrap();
    assert_eq!((of, request.chunks), (peer(2), vec![ChunkIndex(2)]));
}

fn follow(first: u64, chunks: &[u32]) -> FollowRequest {
    let content = content(65);
    FollowRequest {
        first: RequestId(first),
        game: content.manifest().game().clone(),
        content: content.content_id(),
        placer: peer(ME),
        chunks: chunks.iter().map(|&chunk| ChunkIndex(chunk)).collect(),
    }
}

fn served(action: Option<UplinkAction>) -> Option<(u64, u32)> {
    match action {
        Some(UplinkAction::Serve { id, chunk, .. }) => Some((id.0, chunk.0)),
        _ => None,
    }
}

#[test]
fn awaited_chunk_is_sent_when_it_is_there() {
    let mut uplink = Uplink::new();
    uplink.follow(LinkId(1), peer(1), &follow(1, &[3, 4]), 65, at(0));
    assert_eq!(uplink.next(at(0), |_, _| false), None);
    assert_eq!(served(uplink.next(at(1), |_, chunk| chunk.0 == 3)), Some((1, 3)));
    assert_eq!(uplink.next(at(1), |_, chunk| chunk.0 == 3), None);
    uplink.cancel(LinkId(1), RequestId(2));
    let refused = UplinkAction::Refuse { link: LinkId(1), id: RequestId(2), reason: Refusal::Cancelled };
    assert_eq!(uplink.next(at(2), |_, _| true), Some(refused));
    assert!(uplink.active_per_game().values().eq([&1]));
    uplink.link_closed(LinkId(1));
    assert!(uplink.is_idle() && uplink.active_per_game().is_empty());
}

#[test]
fn followers_await_no_more_than_they_may() {
    let mut uplink = Uplink::new();
    let many: Vec<u32> = (0..64).collect();
    (0..5).for_each(|n| uplink.follow(LinkId(1), peer(1), &follow(1 + 64 * n, &many), 65, at(0)));
    let refused: Vec<UplinkAction> = std::iter::from_fn(|| uplink.next(at(0), |_, _| false)).collect();
    assert_eq!(refused.len(), 64);
    assert!(refused.iter().all(|r| matches!(r, UplinkAction::Refuse { reason: Refusal::TooMany, .. })));
    uplink.follow(LinkId(2), peer(2), &follow(1, &[65]), 65, at(0));
    let none = UplinkAction::Refuse { link: LinkId(2), id: RequestId(1), reason: Refusal::NoSuchChunk };
    assert_eq!(uplink.next(at(0), |_, _| false), Some(none));
}

/// Requests by name get what the line leaves of the uplink, and one chunk in 33 where it leaves nothing.
#[test]
fn line_goes_first_and_nobody_starves() {
    let mut uplink = Uplink::new();
    let asked = |id| request_of(65, id, 5);
    uplink.enqueue(LinkId(2), peer(2), asked(500), 65, at(0)).unwrap();
    let chunks: Vec<u32> = (0..64).collect();
    uplink.follow(LinkId(1), peer(1), &follow(1, &chunks), 65, at(0));
    let mut order = Vec::new();
    while let Some((id, _)) = served(uplink.next(at(0), |_, _| true)) {
        order.push(id);
        let link = if id == 500 { LinkId(2) } else { LinkId(1) };
        // The next chunk is chosen while the one before is being sent.
        if let Some((next, _)) = served(uplink.next(at(0), |_, _| true)) {
            order.push(next);
            let link = if next == 500 { LinkId(2) } else { LinkId(1) };
            uplink.served(link, RequestId(next), CHUNK, true, at(0));
        }
        uplink.served(link, RequestId(id), CHUNK, true, at(0));
    }
    assert_eq!(order.len(), 65);
    let when = order.iter().position(|id| *id == 500).unwrap();
    assert!((30..=34).contains(&when), "{when}");
}

/// A follower that reads nothing delays no request by name, and the node is woken for that request.
#[test]
fn stalled_follower_holds_up_nobody() {
    let mut uplink = Uplink::new();
    uplink.follow(LinkId(1), peer(1), &follow(1, &[0, 1, 2, 3]), 65, at(0));
    while uplink.next(at(0), |_, _| true).is_some() {}
    uplink.enqueue(LinkId(2), peer(2), request_of(65, 500, 5), 65, at(100)).unwrap();
    assert_eq!(uplink.next(at(349), |_, _| true), None);
    assert_eq!(uplink.next_wakeup(at(349)), Some(at(350)));
    assert!(uplink.is_overdue(at(350)));
    assert_eq!(served(uplink.next(at(350), |_, _| true)), Some((500, 5)));
    assert_eq!((uplink.is_overdue(at(350)), uplink.next_wakeup(at(350))), (false, None));
}

/// Overdue requests by name take turns with followers; they do not get all turns.
#[test]
fn overdue_requests_and_followers_take_turns() {
    let mut uplink = Uplink::new();
    for id in 500..520 {
        uplink.enqueue(LinkId(2), peer(2), request_of(65, id, 5), 65, at(0)).unwrap();
    }
    uplink.follow(LinkId(1), peer(1), &follow(1, &(0..20).collect::<Vec<_>>()), 65, at(0));
    let mut by_name = 0;
    for _ in 0..20 {
        let (id, _) = served(uplink.next(at(1000), |_, _| true)).unwrap();
        by_name += u32::from(id >= 500);
        let link = if id >= 500 { LinkId(2) } else { LinkId(1) };
        uplink.served(link, RequestId(id), CHUNK, true, at(1000));
    }
    assert_eq!(by_name, 10);
}

/// Peers that await as many chunks as they may still leave room for a newcomer.
#[test]
fn newcomer_gets_a_share_of_the_awaited_chunks() {
    let mut uplink = Uplink::new();
    let many: Vec<u32> = (0..64).collect();
    for stranger in 1..=16_u8 {
        let link = LinkId(stranger.into());
        (0..4).for_each(|n| uplink.follow(link, peer(stranger), &follow(1 + 64 * n, &many), 65, at(0)));
    }
    assert_eq!(uplink.next(at(0), |_, _| false), None, "all places are taken");
    uplink.follow(LinkId(17), peer(17), &follow(1, &[9, 10]), 65, at(0));
    let lost = std::iter::from_fn(|| uplink.next(at(0), |_, _| false));
    let lost: Vec<LinkId> = lost
        .filter_map(|action| match action {
            UplinkAction::Refuse { link, reason: Refusal::TooMany, .. } => Some(link),
            _ => None,
        })
        .collect();
    assert!(lost.len() == 2 && !lost.contains(&LinkId(17)), "{lost:?}");
}

/// A stranger may claim any progress.
#[test]
fn claimed_progress_is_bounded_by_the_content() {
    let mut line = Line::default();
    line.joins(1);
    line.0.progress(peer(1), CONTENT, ChunkIndex(u32::MAX));
    assert_eq!(line.upstreams(2, &wanted(u32::MAX)), [1, ME]);
}
