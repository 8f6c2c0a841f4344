//! Figures of one run, and their spread over several runs.

/// Figures of one receiver that stayed to the end.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestFigures {
    /// Seconds that one copy takes over the receiver's own link.
    pub bound: f64,
    /// Seconds from its click until it was complete; infinite if it never was.
    pub complete: f64,
    /// Seconds from its click until its copy was unpacked; infinite if it never was complete.
    pub playable: f64,
    /// True if the receiver has a slower link than the rest.
    pub slow: bool,
}

/// Figures of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Receivers that stayed to the end.
    pub guests: Vec<GuestFigures>,
    /// Lower limit of last complete ÷ bound in this run: the stalls of the seed, or of one receiver as far as its
    /// buffer does not bridge them.
    pub floor: f64,
    /// Copies of the game that the seeds sent.
    pub seed_copies: f64,
    /// Copies of the game that each peer received although it already had the blocks.
    pub duplicates: f64,
    /// Messages that each peer sent, for each block.
    pub messages: f64,
    /// Largest number of peers that one receiver exchanged blocks with.
    pub connections: usize,
    /// Most copies that left one switch, and most that entered one.
    pub switch_copies: [f64; 2],
    /// Events that the simulation handled.
    pub events: u64,
}

impl Figures {
    /// Returns last complete ÷ bound without the slow receivers. Each receiver counts from its own click, over its
    /// own bound.
    pub fn complete(&self) -> f64 {
        self.last(false, |guest| guest.complete)
    }

    /// Returns last playable ÷ bound without the slow receivers.
    pub fn playable(&self) -> f64 {
        self.last(false, |guest| guest.playable)
    }

    /// Returns last complete ÷ bound of the slow receivers; zero if there are none.
    pub fn slow(&self) -> f64 {
        self.last(true, |guest| guest.complete)
    }

    fn last(&self, slow: bool, time: impl Fn(&GuestFigures) -> f64) -> f64 {
        let guests = self.guests.iter().filter(|guest| guest.slow == slow);
        guests.map(|guest| time(guest) / guest.bound).fold(0.0, f64::max)
    }
}

/// Median, smallest and largest of several values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle value; the upper one of two. NaN if there are no values.
    pub median: f64,
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
}

impl Spread {
    /// Returns the spread of some values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), low: at(0), high: at(values.len().saturating_sub(1)) }
    }
}
