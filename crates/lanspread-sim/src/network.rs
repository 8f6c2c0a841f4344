//! Bulk transfers through one switch that never blocks, or through the switches of several groups of peers.
//!
//! Transfers are fluid: at every moment each has its weighted max-min fair share of its sender's uplink and its
//! receiver's downlink, and of the uplinks of both groups' switches, which is what TCP flows over one switch settle on (they find it in a few round trips, far below
//! the time of a chunk). Real flows do not share evenly: who has just lost a packet has less. So each transfer brings a
//! weight. Two transfers between the same two peers share one connection, so they run one after the other; and the
//! sender's system takes some bytes ahead of what has left: a transfer is *handed over* some time before it has *ended*.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use lanspread_core::time::Time;

/// Rates of one peer's full-duplex link, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkRate {
    pub up: f64,
    pub down: f64,
}

/// One direction of a link: those of link `n` are `2n` (up) and `2n + 1` (down).
pub type End = usize;

/// The ends that something passes from one peer to another: its sender's and its receiver's, and those of the uplinks
/// between two groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    ends: [End; 4],
    len: usize,
}

impl Path {
    pub fn ends(&self) -> &[End] {
        &self.ends[..self.len]
    }
}

/// One chunk on its way.
#[derive(Debug, Clone)]
pub struct Transfer<T> {
    pub from: usize,
    pub to: usize,
    pub bytes: u64,
    /// Its share where links are contended, against those of others.
    pub weight: f64,
    pub tag: T,
}

/// What has come of a transfer.
#[derive(Debug)]
pub enum Progress<T> {
    /// The sender's system has all of it.
    HandedOver(Transfer<T>),
    /// The last byte has left.
    Ended(Transfer<T>),
}

/// The connection between two peers while it has something to send.
#[derive(Debug)]
struct Flow<T> {
    from: usize,
    to: usize,
    path: Path,
    /// The first runs, the others wait for it to end.
    queue: VecDeque<Transfer<T>>,
    /// So many of the queue, from the front, are handed over.
    handed: usize,
    /// Bytes of the first that have not left.
    remaining: f64,
    rate: f64,
}

impl<T> Flow<T> {
    /// What remains of the first transfer when the next one that is not handed over will be; `None` if all are, or if
    /// it will not be before the first has ended.
    fn hands_over_at(&self, ahead: f64) -> Option<f64> {
        let waiting = self.queue.iter().take(self.handed + 1).skip(1);
        let at = ahead - waiting.map(|transfer| transfer.bytes as f64).sum::<f64>();
        (self.handed < self.queue.len() && at >= 0.0).then_some(at)
    }

    /// Seconds until something comes of it.
    fn next(&self, ahead: f64) -> f64 {
        let until = self.hands_over_at(ahead).unwrap_or(0.0);
        (self.remaining - until).max(0.0) / self.rate
    }
}

/// What remains of a transfer is compared with this, in bytes: sums of floats are not exact.
const DONE: f64 = 0.5;

#[derive(Debug)]
pub struct Network<T> {
    /// Those of the peers, then the uplinks of the groups.
    links: Vec<LinkRate>,
    /// The group of each peer, and the uplink of the first group; nobody has a group if there is one switch.
    group_of: Vec<usize>,
    first_uplink: usize,
    flows: Vec<Flow<T>>,
    /// Bytes that a connection takes ahead of what has left.
    ahead: f64,
    now: Time,
    stale: bool,
    next_done: Option<Time>,
}

impl<T: Clone> Network<T> {
    pub fn new(links: Vec<LinkRate>, ahead: u64) -> Self {
        Self {
            first_uplink: links.len(),
            group_of: Vec::new(),
            links,
            flows: Vec::new(),
            ahead: ahead as f64,
            now: Time::START,
            stale: false,
            next_done: None,
        }
    }

    /// Puts each peer behind the switch of its group. The switches' uplinks meet in a core switch that never blocks.
    pub fn with_groups(mut self, group_of: Vec<usize>, uplinks: &[LinkRate]) -> Self {
        self.links.truncate(self.first_uplink);
        self.links.extend(uplinks);
        self.group_of = group_of;
        self
    }

    /// What lies between two peers.
    pub fn path(&self, from: usize, to: usize) -> Path {
        let (mut ends, mut len) = ([from * 2, to * 2 + 1, 0, 0], 2);
        if let (Some(a), Some(b)) = (self.group_of.get(from), self.group_of.get(to))
            && a != b
        {
            (ends[2], ends[3], len) = ((self.first_uplink + a) * 2, (self.first_uplink + b) * 2 + 1, 4);
        }
        Path { ends, len }
    }

    /// Adds a transfer. Returns whether it runs at once.
    pub fn start(&mut self, transfer: Transfer<T>, now: Time) -> bool {
        self.settle(now);
        self.stale = true;
        let (from, to) = (transfer.from, transfer.to);
        if let Some(flow) = self.flows.iter_mut().find(|flow| (flow.from, flow.to) == (from, to)) {
            flow.queue.push_back(transfer);
            return false;
        }
        let (path, remaining) = (self.path(from, to), transfer.bytes as f64);
        self.flows.push(Flow { from, to, path, queue: [transfer].into(), handed: 0, remaining, rate: 0.0 });
        true
    }

    /// Ends all transfers between some peers, unfinished. Returns those that ran, with the bytes that had left.
    pub fn cut(&mut self, between: impl Fn(usize, usize) -> bool, now: Time) -> Vec<(Transfer<T>, u64)> {
        self.settle(now);
        let mut ran = Vec::new();
        self.flows.retain_mut(|flow| {
            let cut = between(flow.from, flow.to);
            if cut && let Some(transfer) = flow.queue.pop_front() {
                let left = (transfer.bytes as f64 - flow.remaining).max(0.0) as u64;
                ran.push((transfer, left));
            }
            !cut
        });
        self.stale = true;
        ran
    }

    /// Changes the rate of a link: a peer's, or the uplink of a group, which follow those of the peers.
    pub fn set_rate(&mut self, link: usize, rate: LinkRate, now: Time) {
        self.settle(now);
        self.links[link] = rate;
        self.stale = true;
    }

    /// When something next comes of a transfer, if nothing changes until then.
    pub fn next_done(&mut self) -> Option<Time> {
        if self.stale {
            self.share();
            let soonest = self.flows.iter().map(|flow| flow.next(self.ahead)).min_by(f64::total_cmp);
            // Rounded up to the next nanosecond: never a moment too early.
            self.next_done =
                soonest.map(|s| self.now + Duration::from_nanos((s * 1e9).ceil().max(0.0) as u64 + 1));
            self.stale = false;
        }
        self.next_done
    }

    /// Lets time pass and returns what came of transfers. The next one of the same connection runs at once: see
    /// [`Self::runs`].
    pub fn advance(&mut self, now: Time) -> Vec<Progress<T>> {
        self.settle(now);
        let mut done = Vec::new();
        for at in (0..self.flows.len()).rev() {
            let flow = &mut self.flows[at];
            while flow.hands_over_at(self.ahead).is_some_and(|until| flow.remaining <= until + DONE) {
                done.push(Progress::HandedOver(flow.queue[flow.handed].clone()));
                flow.handed += 1;
            }
            if flow.remaining <= DONE
                && let Some(ended) = flow.queue.pop_front()
            {
                done.push(Progress::Ended(ended));
                flow.handed -= 1;
                match flow.queue.front() {
                    Some(next) => flow.remaining = next.bytes as f64,
                    None => drop(self.flows.swap_remove(at)),
                }
            }
        }
        self.stale |= !done.is_empty();
        done
    }

    /// The transfer that runs between two peers.
    pub fn runs(&self, from: usize, to: usize) -> Option<&Transfer<T>> {
        self.flows.iter().find(|flow| (flow.from, flow.to) == (from, to))?.queue.front()
    }

    /// Brings what remains of each flow up to now.
    fn settle(&mut self, now: Time) {
        let passed = now.since(self.now).as_secs_f64();
        if passed > 0.0 {
            self.next_done();
            self.now = now;
            self.flows.iter_mut().for_each(|flow| flow.remaining -= flow.rate * passed);
        }
    }

    /// Progressive filling: the most contended end on any path gives each of its flows the same share; what they cannot
    /// use elsewhere is left to the others; and so on. An end's share only grows while others are settled, so a heap
    /// with stale entries finds the next one.
    fn share(&mut self) {
        let ends = self.links.len() * 2;
        let mut at_end: Vec<Vec<usize>> = vec![Vec::new(); ends];
        let weight = |flow: &Flow<T>| flow.queue.front().map_or(1.0, |transfer| transfer.weight);
        let mut open = vec![(0_usize, 0.0); ends];
        for (index, flow) in self.flows.iter().enumerate() {
            for &end in flow.path.ends() {
                at_end[end].push(index);
                open[end] = (open[end].0 + 1, open[end].1 + weight(flow));
            }
        }
        let mut left: Vec<f64> = self.links.iter().flat_map(|link| [link.up, link.down]).collect();
        let mut settled = vec![false; self.flows.len()];
        let key = |left: f64, weights: f64| (left.max(0.0) / weights.max(1e-9) * 16.0) as u64;
        let mut heap: BinaryHeap<_> = (0..ends)
            .filter(|&end| open[end].0 > 0)
            .map(|end| Reverse((key(left[end], open[end].1), end)))
            .collect();
        while let Some(Reverse((share, end))) = heap.pop() {
            if open[end].0 == 0 {
                continue;
            }
            let current = key(left[end], open[end].1);
            if current > share {
                heap.push(Reverse((current, end)));
                continue;
            }
            let per_weight = left[end] / open[end].1.max(1e-9);
            for &index in &at_end[end] {
                if std::mem::replace(&mut settled[index], true) {
                    continue;
                }
                let flow = &mut self.flows[index];
                let weight = flow.queue.front().map_or(1.0, |transfer| transfer.weight);
                flow.rate = (per_weight * weight).max(1.0);
                for &other in flow.path.ends() {
                    left[other] -= flow.rate;
                    open[other] = (open[other].0 - 1, open[other].1 - weight);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkRate = LinkRate { up: 100.0, down: 100.0 };

    fn transfer(from: usize, to: usize, bytes: u64, weight: f64, tag: usize) -> Transfer<usize> {
        Transfer { from, to, bytes, weight, tag }
    }

    /// When which transfer ended, and when it was handed over.
    fn play(links: Vec<LinkRate>, ahead: u64, transfers: Vec<Transfer<usize>>) -> Vec<(f64, f64)> {
        play_on(Network::new(links, ahead), transfers)
    }

    fn play_on(mut network: Network<usize>, transfers: Vec<Transfer<usize>>) -> Vec<(f64, f64)> {
        let mut times = vec![(0.0, 0.0); transfers.len()];
        for transfer in transfers {
            network.start(transfer, Time::START);
        }
        while let Some(at) = network.next_done() {
            let seconds = (at.since_start().as_secs_f64() * 10.0).round() / 10.0;
            for progress in network.advance(at) {
                match progress {
                    Progress::HandedOver(transfer) => times[transfer.tag].1 = seconds,
                    Progress::Ended(transfer) => times[transfer.tag].0 = seconds,
                }
            }
        }
        times
    }

    fn finish(links: Vec<LinkRate>, transfers: &[(usize, usize, u64)]) -> Vec<(usize, f64)> {
        finish_on(Network::new(links, 0), transfers)
    }

    fn finish_on(network: Network<usize>, transfers: &[(usize, usize, u64)]) -> Vec<(usize, f64)> {
        let all =
            transfers.iter().enumerate().map(|(tag, &(from, to, bytes))| transfer(from, to, bytes, 1.0, tag));
        play_on(network, all.collect()).into_iter().map(|(ended, _)| ended).enumerate().collect()
    }

    /// Two groups of two behind uplinks with these rates.
    fn two_groups(first: LinkRate, second: LinkRate) -> Network<usize> {
        Network::new(vec![LINK; 4], 0).with_groups(vec![0, 0, 1, 1], &[first, second])
    }

    #[test]
    fn flows_share_the_narrowest_end_fairly() {
        assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000)]), [(0, 10.0)]);
        assert_eq!(finish(vec![LINK; 3], &[(0, 1, 1000), (0, 2, 1000)]), [(0, 20.0), (1, 20.0)]);
        // Full duplex: both directions at once.
        assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000), (1, 0, 1000)]), [(0, 10.0), (1, 10.0)]);
        // What a slow receiver cannot take is left to the other: 20 and 80, then 20 alone.
        let slow = LinkRate { up: 20.0, down: 20.0 };
        assert_eq!(finish(vec![LINK, slow, LINK], &[(0, 1, 1000), (0, 2, 1000)]), [(0, 50.0), (1, 12.5)]);
    }

    #[test]
    fn a_flow_between_groups_has_the_rate_of_the_narrower_uplink() {
        let (wide, narrow) = (LinkRate { up: 50.0, down: 25.0 }, LinkRate { up: 10.0, down: 20.0 });
        assert_eq!(finish_on(two_groups(wide, narrow), &[(0, 2, 1000)]), [(0, 50.0)]);
        assert_eq!(finish_on(two_groups(wide, narrow), &[(2, 0, 1000)]), [(0, 100.0)]);
        // Within a group no uplink counts.
        assert_eq!(finish_on(two_groups(wide, narrow), &[(0, 1, 1000)]), [(0, 10.0)]);
    }

    #[test]
    fn flows_between_groups_share_the_uplink_fairly() {
        let uplink = LinkRate { up: 50.0, down: 50.0 };
        // Both cross the same uplink: 25 each. What they leave of the first sender's link goes to its fellow.
        let across = [(0, 2, 1000), (1, 3, 1000), (0, 1, 1500)];
        assert_eq!(finish_on(two_groups(uplink, uplink), &across), [(0, 40.0), (1, 40.0), (2, 20.0)]);
        // One in each direction: full duplex.
        let duplex = [(0, 2, 1000), (2, 0, 1000)];
        assert_eq!(finish_on(two_groups(uplink, uplink), &duplex), [(0, 20.0), (1, 20.0)]);
    }

    #[test]
    fn uplinks_that_never_fill_change_nothing() {
        let endless = LinkRate { up: f64::INFINITY, down: f64::INFINITY };
        let transfers = [(0, 2, 1000), (0, 3, 700), (1, 2, 500), (3, 0, 900)];
        let flat = Network::new(vec![LINK; 4], 0);
        assert_eq!(finish_on(two_groups(endless, endless), &transfers), finish_on(flat, &transfers));
    }

    #[test]
    fn what_is_cut_tells_what_had_left() {
        let mut network = Network::new(vec![LINK; 2], 0);
        for tag in 0..2 {
            network.start(transfer(0, 1, 1000, 1.0, tag), Time::START);
        }
        let cut = network.cut(|from, _| from == 0, Time::from_start(Duration::from_secs(4)));
        assert_eq!(
            cut.into_iter().map(|(transfer, left)| (transfer.tag, left)).collect::<Vec<_>>(),
            [(0, 400)]
        );
        assert_eq!(network.next_done(), None);
    }

    #[test]
    fn one_connection_carries_one_answer_after_the_other() {
        assert_eq!(finish(vec![LINK; 2], &[(0, 1, 1000), (0, 1, 1000)]), [(0, 10.0), (1, 20.0)]);
    }

    #[test]
    fn who_weighs_more_gets_more() {
        let both = vec![transfer(0, 1, 1000, 3.0, 0), transfer(0, 2, 1000, 1.0, 1)];
        let times = play(vec![LINK; 3], 0, both);
        assert_eq!(times, [(13.3, 13.3), (20.0, 20.0)]);
    }

    #[test]
    fn what_the_system_takes_ahead_is_handed_over_before_it_has_left() {
        let three = (0..3).map(|tag| transfer(0, 1, 1000, 1.0, tag)).collect();
        let times = play(vec![LINK; 2], 1500, three);
        assert_eq!(times, [(10.0, 0.0), (20.0, 5.0), (30.0, 15.0)]);
    }
}
