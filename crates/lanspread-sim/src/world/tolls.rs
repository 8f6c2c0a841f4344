//! What control messages and requests take from the links that carry the bulk.

use std::time::Duration;

use super::{Event, World};
use crate::network::LinkRate;
use crate::party::GOODPUT;

/// Ethernet, IP, TCP and TLS around one message (14 + 20 + 32 + 22 bytes), and its part of an acknowledgement.
const AROUND_A_MESSAGE: u64 = 88 + 33;
/// What was said in this time is taken from the links' rates for as long.
const INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of messages since the last look, by end of a link, and the links' rates without them.
#[derive(Debug)]
pub(super) struct Tolls {
    bytes: Vec<u64>,
    rates: Vec<LinkRate>,
    planned: bool,
}

impl Tolls {
    pub fn new(rates: Vec<LinkRate>) -> Self {
        Self { bytes: vec![0; rates.len() * 2], rates, planned: false }
    }
}

impl World {
    /// A message of so many bytes goes from one guest to another.
    pub(super) fn toll(&mut self, from: usize, to: usize, bytes: u64) {
        for &end in self.network.path(from, to).ends() {
            self.tolls.bytes[end] += bytes + AROUND_A_MESSAGE;
        }
        if !std::mem::replace(&mut self.tolls.planned, true) {
            self.queue.plan(self.now + INTERVAL, Event::Toll);
        }
    }

    pub(super) fn take_tolls(&mut self) {
        self.tolls.planned = self.tolls.bytes.iter().any(|&bytes| bytes > 0);
        if self.tolls.planned {
            self.queue.plan(self.now + INTERVAL, Event::Toll);
        }
        for link in 0..self.tolls.rates.len() {
            let up = std::mem::take(&mut self.tolls.bytes[link * 2]);
            let down = std::mem::take(&mut self.tolls.bytes[link * 2 + 1]);
            // Rates are of payload: a byte on the wire is less.
            let taken = |bytes: u64| bytes as f64 * GOODPUT / INTERVAL.as_secs_f64();
            let left = |rate: f64, bytes: u64| (rate - taken(bytes)).max(rate / 10.0);
            let LinkRate { up: up_rate, down: down_rate } = self.tolls.rates[link];
            let rate = LinkRate { up: left(up_rate, up), down: left(down_rate, down) };
            self.network.set_rate(link, rate, self.now);
        }
    }

    /// The link itself changes.
    pub(super) fn change_rate(&mut self, peer: usize, rate: LinkRate) {
        self.tolls.rates[peer] = rate;
        self.network.set_rate(peer, rate, self.now);
    }
}
