//! How much work the control messages of one peer may cause.
//!
//! Owns the price of each message and the token buckets of connections and addresses. The node charges for a message
//! before it handles it; what the message means is decided elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lanspread_types::Origin;
use lanspread_types::message::{HaveMap, Message};

use crate::limits::{
    CONNECTIONS_PER_LOOPBACK_SITE, CONNECTIONS_PER_SITE, LIBRARY_NEWS_BURST, LIBRARY_NEWS_PER_SECOND,
    SITES_MAX, UNITS_BURST, UNITS_OWED_MAX, UNITS_PER_SECOND,
};
use crate::time::Time;

/// Price of a ping. Handling one takes two microseconds. The price is much higher, because a peer needs to send only
/// one ping every five seconds.
const PING_UNITS: u32 = UNITS_BURST / 32;
/// Price of a request for a place in a relay line. It may move other members, and an honest receiver needs one
/// request a second.
const PLACE_UNITS: u32 = UNITS_PER_SECOND / 16;
/// Price of a wish. It may start a download, and is reported to the owner in any case.
const WISH_UNITS: u32 = UNITS_PER_SECOND / 64;

/// Returns what handling a message costs, in units of one microsecond of the node's thread. Measured with
/// `cargo run --release -p lanspread-sim --example message_costs`, decoding included, and rounded up.
pub fn cost(message: &Message) -> u32 {
    let each = |items: usize, units: u32| u32::try_from(items).unwrap_or(u32::MAX).saturating_mul(units);
    match message {
        Message::Library(update) => {
            50 + each(update.games.len(), 2).saturating_add(each(update.removed.len(), 2))
        }
        Message::Interested { .. } => 50,
        Message::NotInterested { .. } | Message::Pong { .. } | Message::Goodbye => 5,
        Message::HaveMap(HaveMap::Part { bits, .. }) => 20 + each(bits.len().div_ceil(64), 1),
        Message::HaveMap(_) => 20,
        Message::Have { chunks, .. } => 10 + each(chunks.len().div_ceil(8), 1),
        Message::Progress { below, .. } => 20 + below.0.div_ceil(64),
        Message::ProgressWanted { .. } => 50,
        Message::PlaceWanted(_) => PLACE_UNITS,
        Message::Place(_) => 20,
        Message::Introduce { peers } => 10 + each(peers.len(), 10),
        Message::CatalogOffer { .. } | Message::CatalogWanted { .. } => 20,
        Message::CatalogPart { .. } => 100,
        Message::StateWanted => 50,
        Message::State(state) => 20 + each(state.downloads.len(), 2),
        Message::DownloadWanted { .. } => WISH_UNITS,
        Message::Ping { .. } => PING_UNITS,
    }
}

/// Returns true if nothing breaks when the message is ignored: its sender repeats it, or does without.
pub fn may_be_dropped(message: &Message) -> bool {
    !matches!(message, Message::Library(_) | Message::NotInterested { .. } | Message::Goodbye)
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Handle it.
    Handle,
    /// The budget is used up: ignore the message if it may be dropped.
    Spare,
    /// The budget is far exceeded: close the connection.
    Flood,
}

/// A token bucket of units.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Units left; negative for a debt.
    units: i64,
    /// Time up to which units have been credited.
    at: Time,
    /// Number of connections that share the bucket.
    share: u32,
}

impl Budget {
    /// Returns a full bucket for `share` connections.
    pub fn new(share: u32, now: Time) -> Self {
        Self { units: i64::from(UNITS_BURST) * i64::from(share), at: now, share }
    }

    /// Charges for a message.
    pub fn charge(&mut self, units: u32, now: Time) -> Verdict {
        self.refill(now);
        self.units -= i64::from(units);
        match self.units {
            0.. => Verdict::Handle,
            owed if owed >= -i64::from(UNITS_OWED_MAX) * i64::from(self.share) => Verdict::Spare,
            _ => Verdict::Flood,
        }
    }

    fn refill(&mut self, now: Time) {
        let per_unit = Duration::from_secs(1) / (UNITS_PER_SECOND * self.share);
        let grown = i64::try_from(now.since(self.at).as_nanos() / per_unit.as_nanos()).unwrap_or(i64::MAX);
        let full = i64::from(UNITS_BURST) * i64::from(self.share);
        if grown >= full - self.units {
            (self.units, self.at) = (full, now);
        } else {
            // Time that did not make a whole unit counts at the next refill.
            self.units += grown;
            self.at = self.at + per_unit * u32::try_from(grown).unwrap_or(u32::MAX);
        }
    }

    fn is_full(&mut self, now: Time) -> bool {
        self.refill(now);
        self.units >= i64::from(UNITS_BURST) * i64::from(self.share)
    }
}

/// A token bucket for events that may happen a few times at once and then once in a while.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    left: u32,
    at: Time,
    burst: u32,
    each: Duration,
}

impl Tokens {
    /// Returns a full bucket of `burst` tokens that regains one token in each period.
    pub const fn new(burst: u32, each: Duration, now: Time) -> Self {
        Self { left: burst, at: now, burst, each }
    }

    /// Takes a token. Returns false if there is none.
    pub fn take(&mut self, now: Time) -> bool {
        let had = self.has(now);
        self.left = self.left.saturating_sub(1);
        had
    }

    /// Returns true if there is a token.
    pub fn has(&mut self, now: Time) -> bool {
        let grown = now.since(self.at).as_nanos() / self.each.as_nanos().max(1);
        if grown > 0 {
            let grown = u32::try_from(grown).unwrap_or(u32::MAX);
            self.left = self.burst.min(self.left.saturating_add(grown));
            self.at = now;
        }
        self.left > 0
    }

    /// Returns when the bucket regains a token.
    pub fn next(&self) -> Time {
        self.at + self.each
    }

    /// Returns true if the bucket is full.
    pub fn is_full(&self, now: Time) -> bool {
        now.since(self.at) >= self.each * self.burst.saturating_sub(self.left)
    }
}

/// Limits how often changes of one peer's library are reported.
#[derive(Debug, Clone, Copy)]
pub struct News {
    tokens: Tokens,
    /// Whether a change has not been reported yet.
    pub pending: bool,
}

impl News {
    /// Returns a limiter that allows a burst of [`LIBRARY_NEWS_BURST`].
    pub fn new(now: Time) -> Self {
        let each = Duration::from_secs(1) / LIBRARY_NEWS_PER_SECOND;
        Self { tokens: Tokens::new(LIBRARY_NEWS_BURST, each, now), pending: false }
    }

    /// Returns true if a change should be reported now; otherwise it becomes pending.
    pub fn tell(&mut self, now: Time) -> bool {
        self.pending = !self.tokens.take(now);
        !self.pending
    }

    /// Returns when a pending change may be reported.
    pub fn next(&self) -> Time {
        self.tokens.next()
    }
}

/// Budgets of addresses. A budget outlasts the connections of its address, so reconnecting with a new identity does not
/// refill it.
#[derive(Debug, Default)]
pub struct Sites(BTreeMap<IpAddr, Budget>);

impl Sites {
    /// Charges the address from which a message came.
    pub fn charge(&mut self, ip: IpAddr, units: u32, now: Time) -> Verdict {
        let site = site_of(ip);
        if self.0.len() >= SITES_MAX && !self.0.contains_key(&site) {
            self.0.retain(|_, budget| !budget.is_full(now));
            if self.0.len() >= SITES_MAX {
                self.0.pop_first();
            }
        }
        let share = if site.is_loopback() { CONNECTIONS_PER_LOOPBACK_SITE } else { CONNECTIONS_PER_SITE };
        self.0.entry(site).or_insert_with(|| Budget::new(share, now)).charge(units, now)
    }
}

/// Returns the address that stands for the machine behind `ip`; see [`Origin`].
pub fn site_of(ip: IpAddr) -> IpAddr {
    Origin::of(ip).address()
}

#[cfg(test)]
mod tests {
    use lanspread_types::limits::{CATALOG_BYTES_MAX, CATALOG_PART_BYTES_MAX, GAMES_PER_PEER_MAX, PEERS_MAX};
    use lanspread_types::{ChunkIndex, ContentId, GameId};

    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn burst_holds_what_a_newcomer_says() {
        let libraries = GAMES_PER_PEER_MAX as u32 * 2 + 16 * 50;
        let catalogue = (CATALOG_BYTES_MAX / CATALOG_PART_BYTES_MAX) as u32 * 100;
        let introductions = PEERS_MAX as u32 * 10 + 100;
        assert!(libraries + catalogue + introductions < UNITS_BURST / 4);
    }

    #[test]
    fn budget_is_spent_then_owed_then_a_flood() {
        let mut budget = Budget::new(1, at(0));
        assert_eq!(budget.charge(UNITS_BURST, at(0)), Verdict::Handle);
        assert_eq!(budget.charge(1, at(0)), Verdict::Spare);
        assert_eq!(budget.charge(UNITS_OWED_MAX - 1, at(0)), Verdict::Spare);
        assert_eq!(budget.charge(1, at(0)), Verdict::Flood);
        assert_eq!(budget.charge(0, at(2000)), Verdict::Handle, "time pays debts");
    }

    #[test]
    fn steady_spending_below_the_rate_never_owes() {
        let mut budget = Budget::new(1, at(0));
        // 333 µs is not a whole number of units, so the remainder must carry over to the next refill.
        for step in 0..100_000_u64 {
            let now = Time::from_start(Duration::from_micros(step * 333));
            assert_eq!(budget.charge(6, now), Verdict::Handle, "at {now:?}");
        }
        let last = Time::from_start(Duration::from_micros(100_000 * 333));
        assert_eq!(budget.charge(UNITS_BURST - 10, last), Verdict::Handle, "and nothing was used up");
    }

    #[test]
    fn idle_time_saves_up_one_burst_at_most() {
        let mut budget = Budget::new(1, at(0));
        budget.charge(UNITS_BURST, at(0));
        assert_eq!(budget.charge(UNITS_BURST, at(3_600_000)), Verdict::Handle);
        assert_eq!(budget.charge(1, at(3_600_000)), Verdict::Spare);
    }

    #[test]
    fn library_news_are_told_together_after_a_burst() {
        let mut news = News::new(at(0));
        let told = (0..5000).filter(|ms| news.tell(at(*ms))).count();
        assert_eq!(told, LIBRARY_NEWS_BURST as usize + 4);
        assert!(news.pending && news.next() == at(5000));
        assert!(news.tell(at(5000)) && !news.pending);
    }

    #[test]
    fn identities_of_one_machine_share_its_budget() {
        let mut sites = Sites::default();
        let worth = |sites: &mut Sites, ip: IpAddr| {
            (0..1000).take_while(|_| sites.charge(ip, UNITS_BURST, at(0)) == Verdict::Handle).count()
        };
        assert_eq!(worth(&mut sites, ip("192.168.1.5")), CONNECTIONS_PER_SITE as usize);
        assert_eq!(worth(&mut sites, ip("::ffff:192.168.1.5")), 0, "the same address, written otherwise");
        assert_eq!(worth(&mut sites, ip("192.168.1.6")), CONNECTIONS_PER_SITE as usize);
        assert_eq!(worth(&mut sites, ip("fd00::1")), CONNECTIONS_PER_SITE as usize);
        assert_eq!(worth(&mut sites, ip("fd00::2:1")), 0, "the same /64");
        assert_eq!(worth(&mut sites, ip("fd00:0:0:1::1")), CONNECTIONS_PER_SITE as usize);
        assert_eq!(worth(&mut sites, ip("127.0.0.1")), CONNECTIONS_PER_LOOPBACK_SITE as usize);
    }

    #[test]
    fn remembered_addresses_are_bounded() {
        let mut sites = Sites::default();
        for n in 0..5000_u32 {
            sites.charge(IpAddr::from(n.to_be_bytes()), 1000, at(u64::from(n)));
        }
        assert!(sites.0.len() <= SITES_MAX);
    }

    #[test]
    fn every_message_costs_something_and_large_ones_more() {
        let (content, game) = (ContentId([7; 32]), GameId::new("ggoo").unwrap());
        let map =
            |bytes| Message::HaveMap(HaveMap::Part { content, first: ChunkIndex(0), bits: vec![0; bytes] });
        assert!(cost(&map(1)) > 0 && cost(&map(32 << 10)) > 10 * cost(&map(1)));
        let have = |n| Message::Have { content, chunks: vec![ChunkIndex(0); n] };
        assert!(cost(&have(8192)) > 50 * cost(&have(1)));
        assert!(cost(&Message::DownloadWanted { game }) > 0);
        // A progress message marks every chunk below its number as held, so its price grows with the number.
        let progress = |below| cost(&Message::Progress { content, below: ChunkIndex(below) });
        assert!(progress(131_072) > 50 * progress(1) && progress(u32::MAX) > UNITS_BURST + UNITS_OWED_MAX);
        let pings = UNITS_BURST / cost(&Message::Ping { nonce: 0 });
        assert_eq!(pings, 32, "so many at once, and then four a second");
    }
}
