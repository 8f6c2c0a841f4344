//! What came out of a run, and of several.

/// One receiver that was there to the end.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestFigures {
    /// Seconds of one copy over its own links.
    pub bound: f64,
    /// Seconds from its click; infinite if it never was complete.
    pub complete: f64,
    pub playable: f64,
    /// One of those who have a slower link.
    pub slow: bool,
}

/// The outcome of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    pub guests: Vec<GuestFigures>,
    /// What nobody can get below in this run: the stalls of the seed, and of each receiver what its buffer does not bridge.
    pub floor: f64,
    pub seed_copies: f64,
    /// Copies that each peer received in vain.
    pub duplicates: f64,
    /// Messages that each peer sent for each block.
    pub messages: f64,
    /// Most peers that one receiver exchanged blocks with.
    pub connections: usize,
    /// Most copies that left a switch, and that entered one.
    pub switch_copies: [f64; 2],
    pub events: u64,
}

impl Figures {
    /// Last complete ÷ bound, each guest from its own click over its own bound, without the slow ones.
    pub fn complete(&self) -> f64 {
        self.last(false, |guest| guest.complete)
    }

    /// Last playable ÷ bound, without the slow ones.
    pub fn playable(&self) -> f64 {
        self.last(false, |guest| guest.playable)
    }

    /// Last complete ÷ own bound of the slow ones; zero if there are none.
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
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self { median: at(values.len() / 2), low: at(0), high: at(values.len().saturating_sub(1)) }
    }
}
