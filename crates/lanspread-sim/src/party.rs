//! Description of a party: the peers, their links, and what goes wrong.
//!
//! Plain data, so that a party can be printed and played again. `world` plays it.

use std::collections::BTreeMap;
use std::time::Duration;

use lanspread_core::swarm::{Rng, Tuning};

use crate::network::LinkRate;

/// Fraction of a link's bits that carry payload. Ethernet, IP and TCP headers and the gaps between frames take the
/// rest.
pub const GOODPUT: f64 = 0.956;

/// One party.
#[derive(Debug, Clone)]
pub struct Party {
    /// Seed of all random numbers.
    pub seed: u64,
    /// Size of the game's one archive, in bytes.
    pub game_bytes: u64,
    /// The peers; their numbers are indices into this list.
    pub peers: Vec<PeerSpec>,
    /// Rates of the groups' uplinks to the core switch. A group without an entry has an uplink that never fills.
    pub uplinks: BTreeMap<usize, LinkRate>,
    /// Faults; their times count from the first click.
    pub faults: Vec<Fault>,
    /// Constants of the swarm in all nodes.
    pub tuning: Tuning,
    /// Bytes that a sender's operating system buffers for each connection.
    pub sent_ahead: u64,
    /// Queue of a full uplink, as the time that it takes to leave. Messages wait behind it.
    pub queue: Duration,
    /// Noise of the PCs; `None` if each works as evenly as its links.
    pub noise: Option<Noise>,
    /// Unevenness of the shares of TCP flows on a link: the standard deviation of the logarithm of their weights.
    pub unfairness: f64,
    /// The party fails after this many times the bound, plus 90 seconds.
    pub patience: f64,
}

/// One peer.
#[derive(Debug, Clone)]
pub struct PeerSpec {
    /// Rates of its link.
    pub rate: LinkRate,
    /// Group: the switch that the peer is plugged into. Each group is a subnet.
    pub group: usize,
    /// One-way latency to the switch, including the reaction time of a loaded host.
    pub latency: Duration,
    /// Bytes per second that are verified and written.
    pub disk: f64,
    /// True if the peer has the whole game.
    pub seed: bool,
    /// Fraction of the chunks that the peer has from an earlier attempt.
    pub had: f64,
    /// When the owner clicks, after the first click; `None` if the peer downloads nothing.
    pub joins: Option<Duration>,
    /// Probability that a chunk from this peer does not verify.
    pub lies: f64,
}

impl PeerSpec {
    /// Returns a receiver on a link of `mbit` Mbit/s that clicks at once.
    pub fn receiver(mbit: f64) -> Self {
        let rate = mbit * 1e6 / 8.0 * GOODPUT;
        Self {
            rate: LinkRate { up: rate, down: rate },
            group: 0,
            latency: Duration::from_micros(200),
            disk: 1e9,
            seed: false,
            had: 0.0,
            joins: Some(Duration::ZERO),
            lies: 0.0,
        }
    }

    /// Returns a seed on a link of `mbit` Mbit/s.
    pub fn seed(mbit: f64) -> Self {
        Self { seed: true, joins: None, ..Self::receiver(mbit) }
    }
}

/// Noise of a PC, because other programs use its links and its processor, too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Standard deviation of the time that a sender's bytes take, as a fraction of that time.
    pub deviation: f64,
    /// One draw of the deviation lasts for the bytes that the link carries in this time.
    pub span: Duration,
    /// Length of a stall, in which the PC neither sends nor receives nor handles anything.
    pub stall: Duration,
    /// Mean time between two stalls of one PC.
    pub stalls_every: Duration,
}

impl Noise {
    /// The noise of decision 0002.
    pub const USUAL: Self = Self {
        deviation: 0.3,
        span: Duration::from_micros(8400),
        stall: Duration::from_millis(100),
        stalls_every: Duration::from_secs(10),
    };
}

/// How receivers are assigned to groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Consecutive receivers share a group.
    Blocks,
    /// Receivers are assigned to the groups in turn.
    Interleaved,
}

/// Something that goes wrong at a given time.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The process dies. What it had on disk stays, and it may come back and resume.
    Crash { peer: usize, at: Duration, back_after: Option<Duration> },
    /// All connections between two peers are lost and made again.
    ConnectionLost { a: usize, b: usize, at: Duration },
    /// Peers with numbers below `split` and the rest cannot reach each other.
    Partition { split: usize, at: Duration, lasts: Duration },
    /// A link changes its rate.
    Rate { peer: usize, at: Duration, rate: LinkRate },
}

impl Fault {
    /// Returns the time of the fault, after the first click.
    pub fn at(&self) -> Duration {
        let (Self::Crash { at, .. }
        | Self::ConnectionLost { at, .. }
        | Self::Partition { at, .. }
        | Self::Rate { at, .. }) = self;
        *at
    }
}

impl Party {
    /// Returns a party of one seed (peer 0) and `receivers` receivers on equal links that all click at once.
    pub fn mass_start(receivers: usize, mbit: f64, game_bytes: u64, seed: u64) -> Self {
        let mut peers = vec![PeerSpec::receiver(mbit); receivers + 1];
        peers[0] = PeerSpec::seed(mbit);
        Self {
            seed,
            game_bytes,
            peers,
            uplinks: BTreeMap::new(),
            faults: Vec::new(),
            tuning: Tuning::default(),
            sent_ahead: 0,
            queue: Duration::ZERO,
            noise: None,
            unfairness: 0.0,
            patience: 30.0,
        }
    }

    /// Spreads the receivers over groups behind switches with this uplink. The seed is in the first group.
    pub fn in_groups(mut self, groups: usize, uplink: LinkRate, spread: Spread) -> Self {
        let receivers = self.peers.len() - 1;
        for (at, peer) in self.peers.iter_mut().skip(1).enumerate() {
            peer.group = match spread {
                Spread::Blocks => at * groups / receivers,
                Spread::Interleaved => at % groups,
            };
        }
        self.uplinks = (0..groups).map(|group| (group, uplink)).collect();
        self
    }

    /// Adds the effects of TCP and the operating systems: buffered bytes and uneven shares. The values reproduce the
    /// makespans that were measured on real links with six and with twelve receivers.
    pub fn over_tcp(self) -> Self {
        Self { sent_ahead: 128 << 10, unfairness: 0.7, ..self }
    }

    /// Returns a small random party with random faults.
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let receivers = 1 + rng.below(6) as usize;
        let chunks = 8 + rng.below(40);
        let mut party = Self::mass_start(receivers, 100.0, chunks * (64 << 10) - rng.below(64 << 10), seed);
        party.tuning.have_interval = Duration::from_millis(1 + rng.below(50));
        if rng.below(2) == 0 {
            party = party.over_tcp();
        }
        let bound = party.bound();
        let moment = |rng: &mut Rng, end: f64| bound.mul_f64(end * rng.below(1000) as f64 / 1000.0);
        for at in 1..=receivers {
            let peer = &mut party.peers[at];
            let slow = [1.0, 1.0, 1.0, 0.2, 10.0][rng.below(5) as usize];
            peer.rate = LinkRate { up: peer.rate.up * slow, down: peer.rate.down * slow };
            peer.disk = [1e9, 1e8, 2e7][rng.below(3) as usize];
            peer.latency = Duration::from_micros(50 + rng.below(3000));
            match rng.below(8) {
                0 if at > 1 => *peer = PeerSpec { seed: true, joins: None, ..peer.clone() },
                1 if at > 1 => peer.lies = 0.5,
                2 => peer.joins = Some(moment(&mut rng, 1.0)),
                3 => peer.had = rng.below(100) as f64 / 100.0,
                _ => {}
            }
        }
        for _ in 0..rng.below(3) {
            let (a, at) = (rng.below(receivers as u64 + 1) as usize, moment(&mut rng, 1.5));
            let back = moment(&mut rng, 1.0);
            party.faults.push(match rng.below(4) {
                0 if a > 0 => Fault::Crash { peer: a, at, back_after: (rng.below(2) == 0).then_some(back) },
                // The first seed must come back, or nobody could ever finish.
                0 | 1 => Fault::Crash { peer: a, at, back_after: Some(back) },
                2 => Fault::ConnectionLost { a, b: (a + 1) % (receivers + 1), at },
                _ => Fault::Partition { split: 1 + a, at, lasts: back },
            });
        }
        party
    }

    /// Returns the number of groups, including empty ones between others.
    pub fn group_count(&self) -> usize {
        self.peers.iter().map(|peer| peer.group + 1).max().unwrap_or(1)
    }

    /// Returns the uplink of a group.
    pub fn uplink(&self, group: usize) -> LinkRate {
        let endless = LinkRate { up: f64::INFINITY, down: f64::INFINITY };
        self.uplinks.get(&group).copied().unwrap_or(endless)
    }

    /// Returns the time of one copy over the narrowest link that it must pass: the uplink of the fastest seed, the
    /// downlink of the slowest receiver, or the uplink of a group without a seed.
    pub fn bound(&self) -> Duration {
        let seeds = || self.peers.iter().filter(|p| p.seed);
        let up = seeds().map(|p| p.rate.up).fold(0.0, f64::max);
        let down_of = |peer: &PeerSpec| {
            let fed_from_outside = seeds().all(|seed| seed.group != peer.group);
            let uplink = if fed_from_outside { self.uplink(peer.group).down } else { f64::INFINITY };
            peer.rate.down.min(uplink)
        };
        let down = self.peers.iter().filter(|p| p.joins.is_some()).map(down_of).fold(f64::INFINITY, f64::min);
        Duration::from_secs_f64(self.game_bytes as f64 / up.min(down).max(1.0))
    }

    /// Returns the shortest time for one peer alone, from its click: all seeds send to it at once.
    pub fn bound_of(&self, peer: usize) -> Duration {
        let PeerSpec { rate, group, .. } = self.peers[peer];
        let up_of =
            |of: usize| self.peers.iter().filter(|p| p.seed && p.group == of).map(|p| p.rate.up).sum::<f64>();
        let others = (0..self.group_count()).filter(|&other| other != group);
        let from_outside = others.map(|other| up_of(other).min(self.uplink(other).up)).sum::<f64>();
        let up = up_of(group) + from_outside.min(self.uplink(group).down);
        Duration::from_secs_f64(self.game_bytes as f64 / rate.down.min(up.max(1.0)))
    }
}
