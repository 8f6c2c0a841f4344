//! Load of control messages and requests on the links that also carry chunks.
//!
//! Time is divided into intervals. The message bytes that pass a link in one interval reduce the link's rate in the
//! next one. `carry` delivers the messages themselves.

use std::time::Duration;

use super::{Event, World};
use crate::network::LinkRate;
use crate::party::GOODPUT;

/// Overhead of one message in bytes: Ethernet, IP, TCP and TLS headers (14 + 20 + 32 + 22), and its share of an
/// acknowledgement.
const AROUND_A_MESSAGE: u64 = 88 + 33;
/// Length of the intervals in which message bytes are counted.
const INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of messages on each end of a link since the last interval, and the links' own rates.
#[derive(Debug)]
pub(super) struct ControlLoad {
    bytes: Vec<u64>,
    rates: Vec<LinkRate>,
    /// True while the end of the interval is planned.
    planned: bool,
}

impl ControlLoad {
    /// Returns links with these rates and no messages.
    pub fn new(rates: Vec<LinkRate>) -> Self {
        Self { bytes: vec![0; rates.len() * 2], rates, planned: false }
    }
}

impl World {
    /// Counts a message from one guest to another on all ends that it passes.
    pub(super) fn count_message(&mut self, from: usize, to: usize, bytes: u64) {
        for &end in self.network.path(from, to).ends() {
            self.control_load.bytes[end] += bytes + AROUND_A_MESSAGE;
        }
        if !std::mem::replace(&mut self.control_load.planned, true) {
            self.queue.plan(self.now + INTERVAL, Event::ControlLoad);
        }
    }

    pub(super) fn apply_control_load(&mut self) {
        self.control_load.planned = self.control_load.bytes.iter().any(|&bytes| bytes > 0);
        if self.control_load.planned {
            self.queue.plan(self.now + INTERVAL, Event::ControlLoad);
        }
        for link in 0..self.control_load.rates.len() {
            let up = std::mem::take(&mut self.control_load.bytes[link * 2]);
            let down = std::mem::take(&mut self.control_load.bytes[link * 2 + 1]);
            // Rates count only payload, but `bytes` includes headers, so scale them to payload.
            let taken = |bytes: u64| bytes as f64 * GOODPUT / INTERVAL.as_secs_f64();
            let left = |rate: f64, bytes: u64| (rate - taken(bytes)).max(rate / 10.0);
            let LinkRate { up: up_rate, down: down_rate } = self.control_load.rates[link];
            let rate = LinkRate { up: left(up_rate, up), down: left(down_rate, down) };
            self.network.set_rate(link, rate, self.now);
        }
    }

    /// Changes the rate that a peer's link has without control messages.
    pub(super) fn change_rate(&mut self, peer: usize, rate: LinkRate) {
        self.control_load.rates[peer] = rate;
        self.network.set_rate(peer, rate, self.now);
    }
}
