//! Description of a simulated room: the peers, their links, the game, the noise and the faults.

/// Nanoseconds since the first click.
pub type Nanos = u64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
/// One millisecond.
pub const MILLI: Nanos = 1_000_000;

/// One peer; the first peer of a room is the seed.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Rate of the uplink, in bytes per second.
    pub up: f64,
    /// Rate of the downlink, in bytes per second.
    pub down: f64,
    /// When it clicks and takes part.
    pub clicks: Nanos,
    /// When it dies silently: nothing that it sends afterwards arrives. `None` if it stays.
    pub dies: Option<Nanos>,
    /// Number of the switch that it is plugged into.
    pub switch: usize,
    /// True if it has the whole game from the start.
    pub complete: bool,
    /// True if it has a slower link than the rest; figures count it separately.
    pub slow: bool,
}

/// How often and for how long each PC stalls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stalls {
    /// Never.
    None,
    /// At random moments, `every` apart on average, for `length`. Meanwhile the PC neither sends nor verifies nor
    /// reads messages.
    Moments {
        /// Mean time between two stalls of one PC.
        every: Nanos,
        /// Length of a stall.
        length: Nanos,
    },
    /// Each transfer takes `length` longer, with a probability of its own time ÷ `every`, as in the probes.
    PerTransfer {
        /// Transfer time for each stall.
        every: Nanos,
        /// Length of a stall.
        length: Nanos,
    },
}

/// Deviation from a plain mass start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Situation {
    /// All receivers click at once.
    MassStart,
    /// Each receiver clicks five seconds after the one before.
    Staggered,
    /// The receiver in the middle has a fifth of the rate.
    Slow,
    /// The receiver in the middle sends 2 MB/s at most, or a fifth of the rate if that is less.
    Uploads,
    /// The receiver in the middle dies at half of the bound.
    Dies,
    /// Three receivers, a quarter of the room apart, die at half of the bound.
    ThreeDie,
    /// The seed dies at 60 % of the bound; one more peer has the whole game and has sent nothing until then.
    SeedLeaves,
    /// Receivers form four groups behind switches. The link of each switch has the rate of one host.
    Groups,
}

/// A room with its game, noise and limits.
#[derive(Debug, Clone)]
pub struct Room {
    /// The peers; their numbers are indices into this list.
    pub guests: Vec<Guest>,
    /// Size of the game in bytes.
    pub bytes: u64,
    /// Size of a block in bytes, the unit that is sent, verified and forwarded: a chunk, or a verified slice of a
    /// chunk.
    pub block: u64,
    /// Standard deviation of the time of a transfer, as a fraction of that time.
    pub jitter: f64,
    /// One draw of the jitter lasts for this many bytes of a link, and for at least one block.
    pub jitter_span: u64,
    /// Stalls of the PCs.
    pub stalls: Stalls,
    /// One-way latency between two peers.
    pub latency: Nanos,
    /// Fixed time to verify and write a block.
    pub overhead: Nanos,
    /// Additional time to verify and write a block, in nanoseconds per byte.
    pub overhead_per_byte: f64,
    /// Blocks that a sender hands to its operating system ahead of the link; they cannot be taken back.
    pub ahead: u32,
    /// Blocks on the way from one sender to one receiver that the receiver's operating system has not taken in.
    pub window: u32,
    /// Bytes that a receiver's operating system takes in while the PC stalls or verifies.
    pub receive_buffer: u64,
    /// True if messages leave behind the data that was handed over before them.
    pub messages_behind_data: bool,
    /// Rate of the link from each switch to the rest, in bytes per second and in each direction. `None` if it never
    /// fills.
    pub switch_rate: Option<f64>,
    /// Rate of the unpacker that runs beside the download, in bytes per second.
    pub unpack_rate: f64,
    /// When a run that does not end is stopped.
    pub deadline: Nanos,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Room {
    /// Returns a room of one seed and `receivers` receivers on links of `mbit` Mbit/s that all click at once, without
    /// noise.
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

    /// Adds the noise of the comparison: block times ± 30 %, and each PC stalls for 100 ms every 10 s.
    ///
    /// A draw lasts for the time of 1 MiB at 1 Gbit/s whatever the size of a block, so smaller blocks do not reduce
    /// the noise.
    pub fn noisy(mut self) -> Self {
        self.jitter = 0.3;
        self.jitter_span = (self.rate() * 8.4e-3) as u64;
        self.stalls = Stalls::Moments { every: 10 * SECOND, length: 100 * MILLI };
        self
    }

    /// Changes the room according to a situation.
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

    /// Returns the second peer that has the whole game.
    pub fn spare(&self) -> Option<usize> {
        (1..self.guests.len()).find(|&peer| self.guests[peer].complete)
    }

    /// Changes the room to the assumptions of the probes: knowledge is immediate, and only the links take time.
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

    /// Returns the number of blocks of the game.
    pub fn blocks(&self) -> u32 {
        self.bytes.div_ceil(self.block) as u32
    }

    /// Returns the rate of the seed's uplink in bytes per second. All bounds are derived from it.
    pub fn rate(&self) -> f64 {
        self.guests[0].up
    }

    /// Returns the time of one block on the seed's link.
    pub fn block_time(&self) -> Nanos {
        (self.block as f64 / self.rate() * 1e9) as Nanos
    }

    /// Returns the seconds that one copy takes for this guest.
    pub fn bound(&self, guest: usize) -> f64 {
        self.bytes as f64 / self.rate().min(self.guests[guest].down)
    }

    /// Returns the number of receivers.
    pub fn receivers(&self) -> usize {
        self.guests.iter().filter(|guest| !guest.complete).count()
    }
}
