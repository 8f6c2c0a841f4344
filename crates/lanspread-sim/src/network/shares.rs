//! Weighted max-min fair shares of the links' ends.
//!
//! A change affects only the flows that are connected with it, by a common end or through other flows. Only their
//! shares are computed again, in the same order as in a full computation, so that the results are equal to the last
//! bit.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{End, LinkRate, Path, retain};

/// An end is full when no more than this fraction of it is left, because sums of floats are not exact.
const FULL: f64 = 1e-6;

#[derive(Debug)]
struct Member {
    path: Path,
    weight: f64,
}

/// The flows, the ends that they pass, and their shares.
#[derive(Debug, Default)]
pub(super) struct Shares {
    members: Vec<Member>,
    /// The share of each flow, in bytes per second.
    rates: Vec<f64>,
    ends: Vec<AtEnd>,
    /// Ends at which something has changed since the last `renew`.
    changed: Vec<End>,
    /// Scratch space of `reach`: whether each flow was reached from a changed end.
    reached: Vec<bool>,
    /// Scratch space of `reach`: whether each end was reached.
    reached_ends: Vec<bool>,
    /// Scratch space of `fill`: whether each flow has its share.
    settled: Vec<bool>,
    /// Number of shares that were ever computed.
    #[cfg(test)]
    pub found: u64,
}

#[derive(Debug, Default)]
struct AtEnd {
    capacity: f64,
    /// True while the link carries nothing.
    stalled: bool,
    /// Indices of the flows that pass the end, in no order.
    flows: Vec<usize>,
    /// Rate that is not given to flows.
    left: f64,
    /// Number of flows that have no share yet; used by `fill`.
    open: usize,
    /// Sum of the weights of these flows.
    open_weight: f64,
}

impl AtEnd {
    /// Returns the rate that a weight of one would get here, in sixteenths of a byte per second. Ends are filled in
    /// this order.
    fn key(&self) -> u64 {
        (self.left.max(0.0) / self.open_weight.max(1e-9) * 16.0) as u64
    }
}

impl Shares {
    /// Returns the ends of these links, without flows.
    pub fn new(links: &[LinkRate]) -> Self {
        let mut shares = Self::default();
        shares.add_links(links);
        shares
    }

    /// Adds the ends of more links.
    pub fn add_links(&mut self, links: &[LinkRate]) {
        let capacities = links.iter().flat_map(|link| [link.up, link.down]);
        self.ends.extend(capacities.map(|capacity| AtEnd { capacity, ..AtEnd::default() }));
    }

    /// Changes the rate of a link.
    pub fn set_rate(&mut self, link: usize, rate: LinkRate) {
        for (end, capacity) in [(link * 2, rate.up), (link * 2 + 1, rate.down)] {
            if self.ends[end].capacity != capacity {
                self.ends[end].capacity = capacity;
                self.changed.push(end);
            }
        }
    }

    /// Stops a link in both directions, or starts it again.
    pub fn set_stalled(&mut self, link: usize, stalled: bool) {
        for end in [link * 2, link * 2 + 1] {
            self.ends[end].stalled = stalled;
            self.changed.push(end);
        }
    }

    /// Adds a flow with the next free index. Its share is zero until the next `renew`.
    pub fn add(&mut self, path: Path, weight: f64) {
        let at = self.members.len();
        path.ends().iter().for_each(|&end| self.ends[end].flows.push(at));
        self.changed.extend(path.ends());
        self.members.push(Member { path, weight });
        self.rates.push(0.0);
    }

    /// Changes the weight of a flow.
    pub fn set_weight(&mut self, at: usize, weight: f64) {
        let member = &mut self.members[at];
        if member.weight != weight {
            member.weight = weight;
            self.changed.extend(member.path.ends());
        }
    }

    /// Removes a flow. The last flow takes its index.
    pub fn swap_remove(&mut self, at: usize) {
        let gone = self.members.swap_remove(at);
        self.rates.swap_remove(at);
        for &end in gone.path.ends() {
            self.ends[end].flows.retain(|&flow| flow != at);
            self.changed.push(end);
        }
        let last = self.members.len();
        if let Some(moved) = self.members.get(at) {
            for &end in moved.path.ends() {
                self.ends[end].flows.iter_mut().filter(|flow| **flow == last).for_each(|flow| *flow = at);
                // Sums of floats depend on the order of the flows, which is the order of their indices and has
                // changed here.
                self.changed.push(end);
            }
        }
    }

    /// Keeps the flows whose entry in `keep` is true, in their order.
    pub fn retain(&mut self, keep: &[bool]) {
        retain(&mut self.members, keep);
        retain(&mut self.rates, keep);
        self.ends.iter_mut().for_each(|end| end.flows.clear());
        for (at, member) in self.members.iter().enumerate() {
            member.path.ends().iter().for_each(|&end| self.ends[end].flows.push(at));
        }
        self.changed.extend(0..self.ends.len());
    }

    /// Returns whether the flows that pass an end use all of it. The shares must be up to date.
    pub fn is_full(&self, end: End) -> bool {
        let AtEnd { capacity, left, ref flows, .. } = self.ends[end];
        !flows.is_empty() && left <= capacity * FULL
    }

    /// Returns the rate of an end, in bytes per second.
    pub fn capacity(&self, end: End) -> f64 {
        self.ends[end].capacity
    }

    /// Returns the indices of the flows that pass an end.
    pub fn flows(&self, end: End) -> &[usize] {
        &self.ends[end].flows
    }

    /// Returns the share of each flow, by index, in bytes per second.
    pub fn rates(&self) -> &[f64] {
        &self.rates
    }

    /// Computes the shares of all flows that are connected with a change.
    pub fn renew(&mut self) {
        let ends = self.reach();
        for &end in &ends {
            let at_end = &mut self.ends[end];
            at_end.flows.sort_unstable();
            at_end.left = if at_end.stalled { 0.0 } else { at_end.capacity };
            at_end.open = at_end.flows.len();
            at_end.open_weight = at_end.flows.iter().map(|&flow| self.members[flow].weight).sum();
        }
        self.fill(&ends);
    }

    /// Returns the same flows and ends with all shares computed again.
    #[cfg(test)]
    pub fn anew(&self) -> Self {
        let same = |end: &AtEnd| AtEnd { capacity: end.capacity, stalled: end.stalled, ..AtEnd::default() };
        let mut anew = Self { ends: self.ends.iter().map(same).collect(), ..Self::default() };
        self.members.iter().for_each(|member| anew.add(member.path, member.weight));
        anew.renew();
        anew
    }

    /// Returns all ends that are connected with a change.
    fn reach(&mut self) -> Vec<End> {
        let mut ends = std::mem::take(&mut self.changed);
        self.reached.clear();
        self.reached.resize(self.members.len(), false);
        self.reached_ends.clear();
        self.reached_ends.resize(self.ends.len(), false);
        ends.retain(|&end| !std::mem::replace(&mut self.reached_ends[end], true));
        let mut next = 0;
        while let Some(&end) = ends.get(next) {
            next += 1;
            for &flow in &self.ends[end].flows {
                if !std::mem::replace(&mut self.reached[flow], true) {
                    let others = self.members[flow].path.ends().iter();
                    ends.extend(others.filter(|&&end| !std::mem::replace(&mut self.reached_ends[end], true)));
                }
            }
        }
        ends
    }

    /// Fills the ends progressively: the most contended end gives each of its flows the same share per weight, flows
    /// keep that share at their other ends, and the next end follows. The share of an end only grows while others are
    /// filled, so a heap with outdated entries finds the next end.
    fn fill(&mut self, ends: &[End]) {
        self.settled.clear();
        self.settled.resize(self.members.len(), false);
        let contended = ends.iter().filter(|&&end| self.ends[end].open > 0);
        let mut heap: BinaryHeap<_> = contended.map(|&end| Reverse((self.ends[end].key(), end))).collect();
        while let Some(Reverse((share, end))) = heap.pop() {
            if self.ends[end].open == 0 {
                continue;
            }
            let current = self.ends[end].key();
            if current > share {
                heap.push(Reverse((current, end)));
                continue;
            }
            let per_weight = self.ends[end].left / self.ends[end].open_weight.max(1e-9);
            for at in 0..self.ends[end].flows.len() {
                let flow = self.ends[end].flows[at];
                if std::mem::replace(&mut self.settled[flow], true) {
                    continue;
                }
                let Member { path, weight } = &self.members[flow];
                let rate = (per_weight * weight).max(1.0);
                self.rates[flow] = rate;
                #[cfg(test)]
                (self.found += 1);
                for &other in path.ends() {
                    let other = &mut self.ends[other];
                    other.left -= rate;
                    other.open -= 1;
                    other.open_weight -= weight;
                }
            }
        }
    }
}
