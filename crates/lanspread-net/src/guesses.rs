//! How many wrong pass phrases are taken, from one address and in all.
//!
//! The proof lets nobody guess without asking this peer, so the number of questions is all that protects a short pass
//! phrase. Who proves to know it gets the try back; a party that arrives at once is not held up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lanspread_types::Origin;
use tokio::time::Instant;

use crate::inbox::lock;

/// Tries of one address, and after what time it gets one back.
const OWN: Allowance = Allowance { tries: 6, back_after: Duration::from_secs(20) };
/// Tries of everybody: an attacker may have many addresses. Some 3600 an hour.
const ALL: Allowance = Allowance { tries: 160, back_after: Duration::from_secs(1) };
/// Addresses that are remembered; one that has all its tries needs no memory.
const ADDRESSES_MAX: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Allowance {
    tries: u32,
    back_after: Duration,
}

/// Tries that are used up, as of a certain time.
#[derive(Debug, Clone, Copy)]
struct Used {
    tries: u32,
    since: Instant,
}

impl Used {
    fn none(now: Instant) -> Self {
        Self { tries: 0, since: now }
    }

    /// Gives back what has become due.
    fn refresh(&mut self, allowance: Allowance, now: Instant) {
        while self.tries > 0 && now.duration_since(self.since) >= allowance.back_after {
            self.tries -= 1;
            self.since += allowance.back_after;
        }
        if self.tries == 0 {
            self.since = now;
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    all: Option<Used>,
    by_address: HashMap<Origin, Used>,
}

/// A try that is under way. Dropped without [`Try::succeeded`], it counts.
#[derive(Debug)]
pub(crate) struct Try {
    guesses: Arc<Guesses>,
    address: Origin,
}

impl Guesses {
    /// `None`: this address, or everybody together, has tried too often.
    pub(crate) fn attempt(this: &Arc<Self>, ip: IpAddr) -> Option<Try> {
        let (address, now) = (Origin::of(ip), Instant::now());
        let mut state = lock(&this.0);
        let state = &mut *state;
        let all = state.all.get_or_insert(Used::none(now));
        all.refresh(ALL, now);
        if state.by_address.len() >= ADDRESSES_MAX && !state.by_address.contains_key(&address) {
            state.by_address.retain(|_, used| {
                used.refresh(OWN, now);
                used.tries > 0
            });
            if state.by_address.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        let own = state.by_address.entry(address).or_insert(Used::none(now));
        own.refresh(OWN, now);
        if own.tries >= OWN.tries || all.tries >= ALL.tries {
            return None;
        }
        own.tries += 1;
        all.tries += 1;
        Some(Try { guesses: Arc::clone(this), address })
    }
}

impl Try {
    /// The other side knows the pass phrase.
    pub(crate) fn succeeded(self) {
        let mut state = lock(&self.guesses.0);
        if let Some(all) = &mut state.all {
            all.tries = all.tries.saturating_sub(1);
        }
        if let Some(own) = state.by_address.get_mut(&self.address) {
            own.tries = own.tries.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(guesses: &Arc<Guesses>, from: IpAddr) -> bool {
        Guesses::attempt(guesses, from).is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_phrases_are_limited_and_come_back() {
        let guesses = Arc::default();
        let ann = ip("10.0.0.1");
        assert_eq!((0..100).filter(|_| fail(&guesses, ann)).count(), OWN.tries as usize);
        assert!(fail(&guesses, ip("10.0.0.2")), "others are not held up");
        tokio::time::advance(OWN.back_after).await;
        assert_eq!((0..100).filter(|_| fail(&guesses, ann)).count(), 1);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!((0..100).filter(|_| fail(&guesses, ann)).count(), OWN.tries as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn right_phrases_are_not_limited() {
        let guesses = Arc::default();
        for _ in 0..1000 {
            Guesses::attempt(&guesses, ip("10.0.0.1")).unwrap().succeeded();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_do_not_make_many_guesses() {
        let guesses = Arc::default();
        let many = (0..100_000u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        assert_eq!(many.filter(|&from| fail(&guesses, from)).count(), ALL.tries as usize);
        assert!(lock(&guesses.0).by_address.len() <= ADDRESSES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn one_house_has_one_allowance() {
        let guesses = Arc::default();
        let rooms = (0..100u16).map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]));
        assert_eq!(rooms.filter(|&from| fail(&guesses, from)).count(), OWN.tries as usize);
    }
}
