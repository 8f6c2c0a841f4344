//! What is simulated: who takes part, over which links, and what goes wrong.

/// Nanoseconds since the first click.
pub type Nanos = u64;

pub const SECOND: Nanos = 1_000_000_000;
pub const MILLI: Nanos = 1_000_000;

/// One participant; the first of a room is the seed.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Bytes per second.
    pub up: f64,
    pub down: f64,
    /// When it clicks.
    pub clicks: Nanos,
    /// When it stops without a word: nothing that it sends afterwards arrives.
    pub dies: Option<Nanos>,
    /// The switch that it is plugged into.
    pub switch: usize,
    pub complete: bool,
    /// Slower than the others, and counted by itself.
    pub slow: bool,
}

/// How often and for how long a PC does nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stalls {
    None,
    /// At random moments, a mean of `every` apart: it neither sends nor verifies nor reads messages for `length`.
    Moments {
        every: Nanos,
        length: Nanos,
    },
    /// Each transfer takes `length` longer with the probability of its own time over `every`, as in the probes.
    PerTransfer {
        every: Nanos,
        length: Nanos,
    },
}

/// What is out of the ordinary in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Situation {
    MassStart,
    /// Each receiver clicks five seconds after the one before.
    Staggered,
    /// The receiver in the middle has a fifth of the rate.
    Slow,
    /// The receiver in the middle sends 2 MB/s at most, or a fifth of the rate if that is less.
    Uploads,
    /// The receiver in the middle dies at half of the bound.
    Dies,
    /// Three receivers, a quarter of the room apart, die at that moment.
    ThreeDie,
    /// The seed dies at 60 % of the bound; one more peer has everything and has sent nothing so far.
    SeedLeaves,
    /// Receivers in four groups behind switches whose links to each other have the rate of one host.
    Groups,
}

/// A room, the game and the noise.
#[derive(Debug, Clone)]
pub struct Room {
    pub guests: Vec<Guest>,
    /// Bytes of the game.
    pub bytes: u64,
    /// Bytes of the unit that is sent, verified and forwarded: a chunk, or a verified slice of one.
    pub block: u64,
    /// Deviation of the time of a transfer, as a part of that time.
    pub jitter: f64,
    /// One draw of the jitter lasts for so many bytes of a link, at least one block.
    pub jitter_span: u64,
    pub stalls: Stalls,
    /// One way between two peers.
    pub latency: Nanos,
    /// Verifying and writing a block: a fixed part, and nanoseconds per byte.
    pub overhead: Nanos,
    pub overhead_per_byte: f64,
    /// Blocks that a sender hands to its system ahead of the link; they cannot be taken back.
    pub ahead: u32,
    /// Blocks on the way from one sender to one receiver, which the receiver's system has not taken in.
    pub window: u32,
    /// Bytes that a receiver's system takes in while the PC stalls or verifies.
    pub receive_buffer: u64,
    /// Messages leave behind the data that was handed over before them.
    pub messages_behind_data: bool,
    /// Bytes per second of the link that each switch has to the others, in each direction.
    pub switch_rate: Option<f64>,
    /// Bytes per second of the unpacker that runs beside the transfer.
    pub unpack_rate: f64,
    /// Stops a run that does not end.
    pub deadline: Nanos,
    pub seed: u64,
}

impl Room {
    /// One seed and `receivers` at `mbit`, who all click at once; a quiet network.
    pub fn mass_start(receivers: usize, mbit: f64, bytes: u64, block: u64, seed: u64) -> Self {
        let rate = mbit * 1e6 / 8.0;
        let guest =
            Guest { up: rate, down: rate, clicks: 0, dies: None, switch: 0, complete: false, slow: false };
        let mut guests = vec![guest; receivers + 1];
        guests[0].complete = true;
        let bound = (bytes as f64 / rate * 1e9) as Nanos;
        Self {
            guests,
            bytes,
            block,
            jitter: 0.0,
            jitter_span: 0,
            stalls: Stalls::None,
            latency: 200_000,
            overhead: 50_000,
            overhead_per_byte: 1.0,
            ahead: 2,
            window: 2,
            receive_buffer: 8 << 20,
            messages_behind_data: true,
            switch_rate: None,
            unpack_rate: rate,
            deadline: bound * 12 + 60 * SECOND,
            seed,
        }
    }

    /// Adds the noise of the comparison: chunk times ± 30 %, and each PC stalls 100 ms every 10 s.
    ///
    /// A draw lasts for the time of 1 MiB at 1 Gbit/s whatever the size of a block is: whoever cuts smaller gains no quiet.
    pub fn noisy(mut self) -> Self {
        self.jitter = 0.3;
        self.jitter_span = (self.rate() * 8.4e-3) as u64;
        self.stalls = Stalls::Moments { every: 10 * SECOND, length: 100 * MILLI };
        self
    }

    /// Arranges what is out of the ordinary.
    pub fn with(mut self, situation: Situation) -> Self {
        let receivers = self.guests.len() - 1;
        let middle = receivers.div_ceil(2);
        let bound = (self.bytes as f64 / self.rate() * 1e9) as Nanos;
        match situation {
            Situation::MassStart => {}
            Situation::Staggered => {
                for (at, guest) in self.guests.iter_mut().skip(1).enumerate() {
                    guest.clicks = at as Nanos * 5 * SECOND;
                }
                self.deadline += receivers as Nanos * 5 * SECOND;
            }
            Situation::Slow => {
                let guest = &mut self.guests[middle];
                guest.up /= 5.0;
                guest.down /= 5.0;
                guest.slow = true;
            }
            Situation::Uploads => {
                let guest = &mut self.guests[middle];
                guest.up = (guest.up / 5.0).min(2e6);
                guest.slow = true;
            }
            Situation::Dies => self.guests[middle].dies = Some(bound / 2),
            Situation::ThreeDie => {
                for quarter in 1..=3 {
                    self.guests[(receivers * quarter).div_ceil(4)].dies = Some(bound / 2);
                }
            }
            Situation::SeedLeaves => {
                self.guests.push(self.guests[0].clone());
                self.guests[0].dies = Some(bound / 5 * 3);
            }
            Situation::Groups => {
                for (at, guest) in self.guests.iter_mut().skip(1).enumerate() {
                    guest.switch = at * 4 / receivers;
                }
                self.switch_rate = Some(self.rate());
            }
        }
        self
    }

    /// The peer beside the seed that has everything.
    pub fn spare(&self) -> Option<usize> {
        (1..self.guests.len()).find(|&peer| self.guests[peer].complete)
    }

    /// The assumptions of the probes: knowledge is immediate and nothing costs anything but the link.
    pub fn as_probes(mut self, jitter: f64, stalls: Stalls) -> Self {
        self.jitter = jitter;
        self.jitter_span = 0;
        self.stalls = stalls;
        self.latency = 0;
        self.overhead = 0;
        self.overhead_per_byte = 0.0;
        self.ahead = 1;
        self.window = u32::MAX;
        self.receive_buffer = u64::MAX;
        self.messages_behind_data = false;
        self
    }

    pub fn blocks(&self) -> u32 {
        self.bytes.div_ceil(self.block) as u32
    }

    /// Bytes per second of the seed's uplink, which everybody's bound is derived from.
    pub fn rate(&self) -> f64 {
        self.guests[0].up
    }

    /// Time of one block on the seed's link.
    pub fn block_time(&self) -> Nanos {
        (self.block as f64 / self.rate() * 1e9) as Nanos
    }

    /// Time of one copy for this guest.
    pub fn bound(&self, guest: usize) -> f64 {
        self.bytes as f64 / self.rate().min(self.guests[guest].down)
    }

    /// Number of receivers.
    pub fn receivers(&self) -> usize {
        self.guests.iter().filter(|guest| !guest.complete).count()
    }
}
