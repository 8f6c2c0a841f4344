//! Limit on wrong passphrases: how many this peer checks, and from which peers.
//!
//! Each guess needs a proof that a peer checks, so a limit on checked proofs protects even a short passphrase. The
//! tries are divided among the peers of the party: the more guests a peer knows, the more slowly it regains a try. So
//! an attacker who asks two hundred peers gets no more tries in an hour than one who asks two, apart from the first
//! `GUESSES_BURST_MIN` tries that every peer allows. Strangers use up only each other's tries: guests, and peers that a
//! guest has introduced, have tries of their own. When no try is left for strangers, the peer draws lots among the
//! addresses that wait and reserves each regained try for the winner, so a newcomer need not be faster than an
//! attacker. A right passphrase uses up no try.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use lanspread_types::limits::PEERS_MAX;
use lanspread_types::{Origin, PeerId, failpoint};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::inbox::lock;
use crate::limits::{
    GUESSERS_COUNTED_MAX, GUESSES_BACK_PER_PARTY, GUESSES_BURST_MAX, GUESSES_BURST_MIN,
    GUESSES_BURST_PER_PARTY, GUESSES_DIALLED_BACK_PER_PARTY, GUESSES_DIALLED_BURST_MAX,
    GUESSES_DIALLED_BURST_MIN, GUESSES_DIALLED_BURST_PER_PARTY, GUESSES_FORGIVEN_AFTER, GUEST_GUESSES_BACK,
    GUEST_GUESSES_MAX, GUESTS_MAX, KNOCKING_TIME, RESERVED_TIME,
};

/// Counts wrong passphrases, and knows the guests of the party.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    state: Mutex<State>,
    /// Notified when an outbound try has ended.
    dial_ended: Notify,
}

/// The peer at the other end of an admission, inbound or outbound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visitor {
    pub(crate) peer: PeerId,
    pub(crate) ip: IpAddr,
}

#[derive(Debug, Default)]
struct State {
    guests: Guests,
    /// Budget for inbound tries of strangers.
    knocks: Option<Bucket>,
    /// Budget for outbound tries with strangers.
    dials: Option<Bucket>,
    /// Outbound tries under way with peers that are not guests.
    dialling: u32,
    origins: BTreeMap<Origin, Knocker>,
    /// Makes the draws unpredictable.
    lots: RandomState,
    /// Number of draws so far.
    drawn: u64,
}

/// Keys that the budgets for strangers do not apply to, and their own wrong tries.
#[derive(Debug, Default)]
struct Guests {
    /// Keys that have proved the passphrase to this peer.
    proved: Keys,
    /// Keys that a guest has introduced. Kept apart, so that a guest who introduces thousands displaces no key in
    /// `proved`.
    introduced: Keys,
    wrong: BTreeMap<PeerId, Used>,
}

/// Set of at most [`GUESTS_MAX`] keys; a further one displaces the oldest.
#[derive(Debug, Default)]
struct Keys {
    known: BTreeSet<PeerId>,
    order: VecDeque<PeerId>,
}

/// Token bucket of wrong tries: how many are left, as of `since`.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u32,
    since: Instant,
}

/// Wrong tries that still count, as of `since`.
#[derive(Debug, Clone, Copy)]
struct Used {
    tries: u32,
    since: Instant,
}

/// Inbound tries of one stranger's address.
#[derive(Debug, Clone, Copy)]
struct Knocker {
    /// When the address last tried.
    heard: Instant,
    wrong: Used,
    /// When it was last turned away because no try was left. It takes part in the draws while this is set.
    waits_since: Option<Instant>,
    /// A try is reserved for it until then.
    reserved_until: Option<Instant>,
}

/// Size of a budget, which depends on the number of peers in the party.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// Most tries that are left at a time.
    burst: u32,
    /// Time in which one try comes back.
    back_after: Duration,
}

impl Size {
    fn knocks(party: u32) -> Self {
        let burst = (GUESSES_BURST_PER_PARTY / party).clamp(GUESSES_BURST_MIN, GUESSES_BURST_MAX);
        Self { burst, back_after: GUESSES_BACK_PER_PARTY * party }
    }

    fn dials(party: u32) -> Self {
        let burst = GUESSES_DIALLED_BURST_PER_PARTY / party;
        let burst = burst.clamp(GUESSES_DIALLED_BURST_MIN, GUESSES_DIALLED_BURST_MAX);
        Self { burst, back_after: GUESSES_DIALLED_BACK_PER_PARTY * party }
    }
}

impl Bucket {
    /// Adds the tries that have come back by `now`.
    fn refreshed(bucket: &mut Option<Self>, size: Size, now: Instant) -> &mut Self {
        let this = bucket.get_or_insert(Self { left: size.burst, since: now });
        while this.left < size.burst && now - this.since >= size.back_after {
            this.left += 1;
            this.since += size.back_after;
        }
        if this.left >= size.burst {
            *this = Self { left: size.burst, since: now };
        }
        this
    }
}

impl Used {
    fn none(now: Instant) -> Self {
        Self { tries: 0, since: now }
    }

    /// Forgets one try for each `back_after` that has passed, and returns how many still count.
    fn refreshed(&mut self, back_after: Duration, now: Instant) -> u32 {
        while self.tries > 0 && now - self.since >= back_after {
            self.tries -= 1;
            self.since += back_after;
        }
        if self.tries == 0 {
            self.since = now;
        }
        self.tries
    }
}

impl Guesses {
    /// Returns true if a proof of this visitor would be checked now. Otherwise its address takes part in the draw for
    /// the next try.
    pub(crate) fn may_knock(&self, visitor: Visitor) -> bool {
        lock(&self.state).may_knock(visitor, Instant::now())
    }

    /// Checks a visitor's proof, or returns `None` if no try is left for it. A wrong proof counts. A right one makes
    /// the visitor a guest and gives back the wrong tries of its address.
    pub(crate) fn judge(&self, visitor: Visitor, proof: impl FnOnce() -> bool) -> Option<bool> {
        let (mut state, now) = (lock(&self.state), Instant::now());
        if !state.may_knock(visitor, now) {
            return None;
        }
        let right = proof();
        if right {
            state.admit(visitor, now);
        } else {
            state.count_wrong_knock(visitor, now);
        }
        Some(right)
    }

    /// Waits until a proof may be shown to the peer that we have dialled. Returns `None` if no try is left: too many
    /// strangers were shown a proof and did not prove the passphrase in return.
    pub(crate) async fn may_show(this: &Arc<Self>, visitor: Visitor) -> Option<Showing> {
        loop {
            let ended = this.dial_ended.notified();
            {
                let (mut state, now) = (lock(&this.state), Instant::now());
                let size = Size::dials(state.party());
                let known = state.guests.knows(&visitor.peer, now);
                let left = Bucket::refreshed(&mut state.dials, size, now).left;
                if known || state.dialling < left {
                    state.dialling += u32::from(!known);
                    return Some(Showing { guesses: Arc::clone(this), visitor, known, shown: false });
                }
                if left == 0 {
                    return None;
                }
            }
            ended.await;
        }
    }

    /// Makes a guest of a peer at an address that the user typed, once it has proved the passphrase.
    pub(crate) fn admit(&self, visitor: Visitor) {
        lock(&self.state).admit(visitor, Instant::now());
    }

    /// Treats these keys as guests, because a guest has introduced them.
    pub(crate) fn introduced(&self, peers: impl IntoIterator<Item = PeerId>) {
        let mut state = lock(&self.state);
        peers.into_iter().for_each(|peer| state.guests.introduced.insert(peer));
    }

    /// Returns true for a key that has proved the passphrase to this peer since its start. A data connection shows the
    /// same TLS key and needs no further proof.
    pub(crate) fn is_guest(&self, peer: &PeerId) -> bool {
        lock(&self.state).guests.proved.known.contains(peer)
    }
}

/// Permission to show our proof to the peer that we have dialled. That peer can test one guess of the passphrase with
/// the proof. So a shown proof uses up one try, unless the peer then proves the passphrase ([`Showing::succeeded`]).
#[derive(Debug)]
pub(crate) struct Showing {
    guesses: Arc<Guesses>,
    visitor: Visitor,
    known: bool,
    shown: bool,
}

impl Showing {
    /// Notes that the other side can now test a guess.
    pub(crate) fn now_shown(&mut self) {
        self.shown = true;
    }

    /// Makes a guest of the other side, which has proved that it knows the passphrase.
    pub(crate) fn succeeded(mut self) {
        self.shown = false;
        lock(&self.guesses.state).admit(self.visitor, Instant::now());
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        let (mut state, now) = (lock(&self.guesses.state), Instant::now());
        let size = Size::dials(state.party());
        if self.known {
            if self.shown {
                state.guests.count_wrong(self.visitor.peer, now);
            }
            return;
        }
        state.dialling -= 1;
        if self.shown {
            let bucket = Bucket::refreshed(&mut state.dials, size, now);
            bucket.left = bucket.left.saturating_sub(1);
        }
        drop(state);
        self.guesses.dial_ended.notify_waiters();
    }
}

impl State {
    /// Returns the number of peers in the party, as far as this peer knows, itself included.
    fn party(&self) -> u32 {
        1 + self.guests.count().min(PEERS_MAX) as u32
    }

    fn may_knock(&mut self, visitor: Visitor, now: Instant) -> bool {
        if failpoint!("take-every-guess") || self.guests.knows(&visitor.peer, now) {
            return true;
        }
        let origin = Origin::of(visitor.ip);
        self.draw(now);
        let size = Size::knocks(self.party());
        let left = Bucket::refreshed(&mut self.knocks, size, now).left;
        if failpoint!("first-come-first-judged") {
            return left > 0;
        }
        let reserved =
            self.origins.values().filter(|knocker| knocker.reserved_until.is_some()).count() as u32;
        let waiting = self.origins.values().any(|knocker| knocker.waits_since.is_some());
        let knocker = self.knocker(origin, now);
        if knocker.reserved_until.is_some() {
            return left > 0;
        }
        // If no address waits, this one gets a try at once, as long as more unreserved tries are left than it has wrong
        // tries.
        if !waiting && left.saturating_sub(reserved) > knocker.wrong.tries {
            return true;
        }
        knocker.waits_since = Some(now);
        self.draw(now);
        self.origins.get(&origin).is_some_and(|knocker| knocker.reserved_until.is_some())
    }

    /// Reserves each free try for an address that waits, drawn by lot among those with the fewest wrong tries. An
    /// address must leave as many tries to others as it has used up itself, so the last one goes to an address
    /// without wrong tries.
    fn draw(&mut self, now: Instant) {
        for knocker in self.origins.values_mut() {
            knocker.wrong.refreshed(GUESSES_FORGIVEN_AFTER, now);
            knocker.waits_since = knocker.waits_since.filter(|since| now - *since < KNOCKING_TIME);
            knocker.reserved_until = knocker.reserved_until.filter(|until| now < *until);
        }
        let idle = |k: &Knocker| k.wrong.tries == 0 && k.waits_since.is_none() && k.reserved_until.is_none();
        self.origins.retain(|_, knocker| !idle(knocker));
        let size = Size::knocks(self.party());
        let left = Bucket::refreshed(&mut self.knocks, size, now).left as usize;
        let reserved = self.origins.values().filter(|knocker| knocker.reserved_until.is_some()).count();
        for taken in reserved..left {
            let waiting = self.origins.iter().filter(|(_, k)| k.waits_since.is_some());
            let wrong: Vec<(Origin, u32)> = waiting.map(|(origin, k)| (*origin, k.wrong.tries)).collect();
            let Some(fewest) = wrong.iter().map(|(_, tries)| *tries).min() else { return };
            if fewest as usize >= left - taken {
                return;
            }
            let lots: Vec<Origin> =
                wrong.into_iter().filter(|(_, tries)| *tries == fewest).map(|(origin, _)| origin).collect();
            self.drawn += 1;
            let at = self.lots.hash_one(self.drawn) as usize % lots.len();
            if let Some(knocker) = self.origins.get_mut(&lots[at]) {
                (knocker.waits_since, knocker.reserved_until) = (None, Some(now + RESERVED_TIME));
            }
        }
    }

    /// Returns the record of an address. A new record displaces the one of the address that has not tried for longest.
    fn knocker(&mut self, origin: Origin, now: Instant) -> &mut Knocker {
        if self.origins.len() >= GUESSERS_COUNTED_MAX && !self.origins.contains_key(&origin) {
            let oldest = self.origins.iter().min_by_key(|(_, knocker)| knocker.heard);
            oldest.map(|(oldest, _)| *oldest).map(|oldest| self.origins.remove(&oldest));
        }
        let fresh = Knocker { heard: now, wrong: Used::none(now), waits_since: None, reserved_until: None };
        let knocker = self.origins.entry(origin).or_insert(fresh);
        knocker.heard = now;
        knocker
    }

    /// Counts a wrong try, against the guest's own budget or against that of strangers.
    fn count_wrong_knock(&mut self, visitor: Visitor, now: Instant) {
        if self.guests.knows(&visitor.peer, now) {
            return self.guests.count_wrong(visitor.peer, now);
        }
        let size = Size::knocks(self.party());
        let bucket = Bucket::refreshed(&mut self.knocks, size, now);
        bucket.left = bucket.left.saturating_sub(1);
        let knocker = self.knocker(Origin::of(visitor.ip), now);
        knocker.wrong.tries += 1;
        (knocker.waits_since, knocker.reserved_until) = (None, None);
    }

    /// Makes a guest of the visitor and gives back the wrong tries of its address.
    fn admit(&mut self, visitor: Visitor, now: Instant) {
        self.guests.proved.insert(visitor.peer);
        self.guests.wrong.remove(&visitor.peer);
        if let Some(knocker) = self.origins.remove(&Origin::of(visitor.ip)) {
            let size = Size::knocks(self.party());
            let bucket = Bucket::refreshed(&mut self.knocks, size, now);
            bucket.left = size.burst.min(bucket.left + knocker.wrong.tries);
        }
    }
}

impl Keys {
    fn insert(&mut self, peer: PeerId) {
        if !self.known.insert(peer) {
            return;
        }
        self.order.push_back(peer);
        if self.order.len() > GUESTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Guests {
    fn contains(&self, peer: &PeerId) -> bool {
        self.proved.known.contains(peer) || self.introduced.known.contains(peer)
    }

    /// Returns the number of distinct guests that this peer knows.
    fn count(&self) -> usize {
        let proved = &self.proved.known;
        proved.len() + self.introduced.known.iter().filter(|peer| !proved.contains(peer)).count()
    }

    /// Returns true if the budgets for strangers do not apply to this key: it is a guest's, and has wrong tries left.
    fn knows(&mut self, peer: &PeerId, now: Instant) -> bool {
        if failpoint!("forget-guests") || !self.contains(peer) {
            return false;
        }
        let wrong = self.wrong.get_mut(peer).map_or(0, |used| used.refreshed(GUEST_GUESSES_BACK, now));
        wrong < GUEST_GUESSES_MAX
    }

    fn count_wrong(&mut self, peer: PeerId, now: Instant) {
        if self.wrong.len() >= GUESTS_MAX {
            self.wrong.retain(|_, used| used.refreshed(GUEST_GUESSES_BACK, now) > 0);
        }
        self.wrong.entry(peer).or_insert(Used::none(now)).tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    /// A visitor with a key and an address of its own.
    fn visitor(n: u32) -> Visitor {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&n.to_le_bytes());
        Visitor { peer: PeerId(id), ip: IpAddr::from((0x0a00_0000 + n).to_be_bytes()) }
    }

    fn in_party_of(peers: u32) -> Arc<Guesses> {
        let guesses: Arc<Guesses> = Arc::default();
        guesses.introduced((1..peers).map(|n| visitor(1_000_000 + n).peer));
        guesses
    }

    /// Returns true if a wrong passphrase was checked.
    fn guess(guesses: &Guesses, who: Visitor) -> bool {
        guesses.judge(who, || false).is_some()
    }

    /// Returns how many guesses one peer checks if each of `addresses` tries once a second for `seconds`.
    async fn learned(guesses: &Guesses, addresses: u32, seconds: u64) -> u32 {
        let mut learned = 0;
        for _ in 0..seconds {
            learned += (0..addresses).filter(|n| guess(guesses, visitor(*n))).count() as u32;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        learned
    }

    #[tokio::test(start_paused = true)]
    async fn budget_belongs_to_the_whole_party() {
        for (peers, most_at_once, in_an_hour) in [(2, 12, 252), (10, 60, 300), (200, 600, 840)] {
            let guesses = in_party_of(peers);
            let at_once = (0..50).filter(|n| guess(&guesses, visitor(*n))).count() as u32;
            let all_at_once = at_once * peers;
            let all = (at_once + learned(&guesses, 50, HOUR).await) * peers;
            assert!(all_at_once <= most_at_once && all <= in_an_hour, "{peers}: {all_at_once}, {all}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_leaves_a_try_for_others() {
        for peers in [2, 200] {
            let (guesses, eve) = (in_party_of(peers), visitor(1));
            let looked_at = (0..1000).filter(|_| guess(&guesses, eve)).count();
            assert_eq!(looked_at, if peers == 2 { 3 } else { 2 });
            assert_eq!(guesses.judge(visitor(9), || true), Some(true), "a newcomer is let in at once");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn newcomer_enters_while_many_addresses_guess() {
        let guesses = in_party_of(2);
        let (addresses, newcomer) = (30, visitor(999));
        learned(&guesses, addresses, 60).await;
        let mut waited = 0;
        while guesses.judge(newcomer, || true) != Some(true) {
            learned(&guesses, addresses, 15).await;
            waited += 15;
        }
        // At worst every address that has not guessed yet is drawn first, one in 30 s.
        assert!(waited <= u64::from(addresses) * 30, "{waited} s");
    }

    #[tokio::test(start_paused = true)]
    async fn spent_addresses_do_not_compete_with_a_newcomer() {
        let guesses = in_party_of(2);
        learned(&guesses, 6, 15).await;
        let newcomer = visitor(999);
        assert!(!guesses.may_knock(newcomer), "six addresses have used the tries up");
        for second in 0.. {
            learned(&guesses, 6, 1).await;
            if guesses.judge(newcomer, || true) == Some(true) {
                assert!(second <= 30, "{second} s");
                break;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guests_and_whom_they_introduce_are_always_answered() {
        let guesses = in_party_of(2);
        let (guest, introduced, stranger) = (visitor(100), visitor(101), visitor(102));
        assert_eq!(guesses.judge(guest, || true), Some(true));
        guesses.introduced([introduced.peer]);
        learned(&guesses, 50, 60).await;
        assert_eq!(guesses.judge(stranger, || true), None);
        assert_eq!(guesses.judge(guest, || true), Some(true));
        assert_eq!(guesses.judge(introduced, || true), Some(true));
        // The key of a guest has a limit of its own.
        assert_eq!((0..100).filter(|_| guess(&guesses, guest)).count(), GUEST_GUESSES_MAX as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn right_phrases_cost_nothing() {
        let guesses = Arc::default();
        assert_eq!(
            (0..1000).filter(|n| Guesses::judge(&guesses, visitor(*n), || true).is_some()).count(),
            1000
        );
        assert!(guesses.is_guest(&visitor(7).peer) && !guesses.is_guest(&visitor(1001).peer));
    }

    #[tokio::test(start_paused = true)]
    async fn right_phrase_takes_slips_back() {
        let guesses = in_party_of(200);
        for n in 0..20 {
            assert!(guess(&guesses, visitor(n)), "a slip of the hand");
            assert_eq!(guesses.judge(visitor(n), || true), Some(true));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn proofs_shown_to_unknown_peers_are_few() {
        let guesses = Arc::default();
        for n in 0..GUESSES_DIALLED_BURST_MAX {
            let unshown = Guesses::may_show(&guesses, visitor(50 + n)).await;
            drop(unshown);
            Guesses::may_show(&guesses, visitor(n)).await.unwrap().now_shown();
        }
        assert!(Guesses::may_show(&guesses, visitor(9)).await.is_none());
        tokio::time::advance(GUESSES_DIALLED_BACK_PER_PARTY).await;
        let first = Guesses::may_show(&guesses, visitor(9)).await.unwrap();
        let mut second = Box::pin(Guesses::may_show(&guesses, visitor(10)));
        let waits = tokio::time::timeout(Duration::from_millis(1), second.as_mut()).await;
        assert!(waits.is_err(), "for the one under way");
        first.succeeded();
        assert!(second.await.is_some());
        assert!(Guesses::may_show(&guesses, visitor(9)).await.is_some(), "a guest now");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let guesses: Arc<Guesses> = Arc::default();
        assert_eq!((0..10_000).filter(|n| guess(&guesses, visitor(*n))).count(), GUESSES_BURST_MAX as usize);
        assert!(lock(&guesses.state).origins.len() <= GUESSERS_COUNTED_MAX);
        (0..=GUESTS_MAX as u32).for_each(|n| guesses.admit(visitor(n)));
        assert!(!guesses.is_guest(&visitor(0).peer) && guesses.is_guest(&visitor(1).peer));
        assert_eq!(lock(&guesses.state).guests.count(), GUESTS_MAX);
    }
}
