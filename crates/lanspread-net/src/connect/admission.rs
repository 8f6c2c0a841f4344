//! Admission of inbound connections: bounds their number, in total and per address, and the rate of each address.
//!
//! When every handshake place is taken, a new connection evicts the oldest handshake of the address that holds the most
//! places, so an attacker with one address evicts only its own handshakes. The new connection is refused instead if its
//! own address holds as many places as that address, or one fewer. An IPv6 /64 counts as one address. A connection
//! keeps its place until its [`Ticket`] is dropped.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use lanspread_types::{Origin, failpoint};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::connect::descriptors::connections_max;
use crate::inbox::lock;
use crate::limits::{
    ADDRESSES_COUNTED_MAX, BEGINNINGS_PER_IP_BURST, BEGINNINGS_PER_IP_PER_SECOND, CONNECTIONS_PER_IP_MAX,
    CONNECTIONS_PER_NETWORK_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_IP_MAX,
};

/// Places for inbound connections, shared by the listener and all tickets.
#[derive(Debug, Default)]
pub(crate) struct Admission(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// Connections that hold a ticket.
    connections: usize,
    by_origin: HashMap<Origin, Own>,
    /// Connections that are still in their handshake, oldest first.
    handshakes: VecDeque<Handshake>,
    /// Number of the newest connection.
    last: u64,
}

/// Connections and token bucket of one address.
#[derive(Debug)]
struct Own {
    connections: usize,
    /// Connections that the address may begin at once, as of `since`.
    credit: u32,
    since: Instant,
}

#[derive(Debug)]
struct Handshake {
    number: u64,
    origin: Origin,
    evicted: Arc<Notify>,
}

/// A place among the inbound connections; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    origin: Origin,
    number: u64,
    evicted: Arc<Notify>,
}

impl Admission {
    /// Takes a place for a new connection from `ip`, or returns `None` if a limit is reached.
    pub(crate) fn admit(this: &Arc<Self>, ip: IpAddr) -> Option<Ticket> {
        let origin = Origin::of(ip);
        let mut places = lock(&this.0);
        if !places.may_begin(origin) || !places.make_room(origin) {
            return None;
        }
        places.connections += 1;
        places.last += 1;
        let (number, evicted) = (places.last, Arc::new(Notify::new()));
        if let Some(own) = places.by_origin.get_mut(&origin) {
            own.connections += 1;
        }
        places.handshakes.push_back(Handshake { number, origin, evicted: Arc::clone(&evicted) });
        Some(Ticket { admission: Arc::clone(this), origin, number, evicted })
    }
}

impl Places {
    /// Applies the limits of one address and takes a token. Loopback has no such limits, because one machine may run a
    /// whole party on trial.
    fn may_begin(&mut self, origin: Origin) -> bool {
        let now = Instant::now();
        if self.by_origin.len() >= ADDRESSES_COUNTED_MAX && !self.by_origin.contains_key(&origin) {
            self.by_origin
                .retain(|_, own| own.connections > 0 || own.refreshed(now) < BEGINNINGS_PER_IP_BURST);
            if self.by_origin.len() >= ADDRESSES_COUNTED_MAX {
                return false;
            }
        }
        let in_handshake = self.in_handshake(origin);
        let fresh = Own { connections: 0, credit: BEGINNINGS_PER_IP_BURST, since: now };
        let own = self.by_origin.entry(origin).or_insert(fresh);
        if origin.is_loopback() {
            return true;
        }
        let credit = own.refreshed(now);
        if credit != own.credit {
            (own.credit, own.since) = (credit, now);
        }
        let own_max = if origin.is_network() { CONNECTIONS_PER_NETWORK_MAX } else { CONNECTIONS_PER_IP_MAX };
        let allowed = own.credit > 0 && own.connections < own_max && in_handshake < HANDSHAKES_PER_IP_MAX;
        own.credit -= u32::from(allowed);
        allowed
    }

    fn in_handshake(&self, origin: Origin) -> usize {
        self.handshakes.iter().filter(|handshake| handshake.origin == origin).count()
    }

    /// Applies the limits over all addresses. If all handshake places are taken, evicts a handshake of the address that
    /// holds the most. Returns false if the new connection must be refused.
    fn make_room(&mut self, origin: Origin) -> bool {
        if self.handshakes.len() < HANDSHAKES_MAX {
            return self.connections < connections_max();
        }
        let mut held: HashMap<Origin, usize> = HashMap::new();
        self.handshakes.iter().for_each(|handshake| *held.entry(handshake.origin).or_default() += 1);
        let own = held.get(&origin).copied().unwrap_or(0);
        let Some((&greediest, &most)) = held.iter().max_by_key(|(origin, held)| (**held, **origin)) else {
            return false;
        };
        let oldest = self.handshakes.iter().position(|handshake| handshake.origin == greediest);
        let Some(at) = oldest.filter(|_| most > own + 1 && !failpoint!("no-eviction")) else { return false };
        if let Some(handshake) = self.handshakes.remove(at) {
            handshake.evicted.notify_one();
        }
        // The evicted connection still counts until its ticket is dropped.
        self.connections < connections_max()
    }
}

impl Own {
    /// Returns the credit, including the tokens gained since `since`.
    fn refreshed(&self, now: Instant) -> u32 {
        let per_token = Duration::from_secs(1) / BEGINNINGS_PER_IP_PER_SECOND;
        let back = (now - self.since).as_nanos() / per_token.as_nanos();
        BEGINNINGS_PER_IP_BURST.min(self.credit.saturating_add(u32::try_from(back).unwrap_or(u32::MAX)))
    }
}

impl Ticket {
    /// Resolves when the place is needed for a connection from another address.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// Frees the handshake place; the connection keeps its ticket.
    pub(crate) fn handshake_done(&mut self) {
        let mut places = lock(&self.admission.0);
        if let Some(at) = places.handshakes.iter().position(|handshake| handshake.number == self.number) {
            places.handshakes.remove(at);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.handshake_done();
        let mut places = lock(&self.admission.0);
        places.connections -= 1;
        if let Some(own) = places.by_origin.get_mut(&self.origin) {
            own.connections -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_cannot_take_every_place() {
        let admission = Arc::default();
        let mut tickets: Vec<_> = std::iter::from_fn(|| Admission::admit(&admission, ip(1))).collect();
        assert_eq!(tickets.len(), HANDSHAKES_PER_IP_MAX);
        assert!(Admission::admit(&admission, ip(2)).is_some());
        while tickets.len() < CONNECTIONS_PER_IP_MAX {
            tickets.iter_mut().for_each(Ticket::handshake_done);
            tickets.push(Admission::admit(&admission, ip(1)).unwrap());
        }
        tickets.iter_mut().for_each(Ticket::handshake_done);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(Admission::admit(&admission, ip(1)).is_none());
        drop(tickets);
        assert!(Admission::admit(&admission, ip(1)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_begins_so_many_a_second() {
        let admission = Arc::default();
        let begin = |n: usize| (0..n).filter(|_| Admission::admit(&admission, ip(1)).is_some()).count();
        assert_eq!(begin(1000), BEGINNINGS_PER_IP_BURST as usize, "each is over at once");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(begin(1000), BEGINNINGS_PER_IP_PER_SECOND as usize);
        assert!(Admission::admit(&admission, ip(2)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_connections_are_bounded_in_all() {
        let admission = Arc::default();
        let tickets: Vec<_> = (1..).map_while(|n| Admission::admit(&admission, ip(n))).collect();
        assert_eq!(tickets.len(), HANDSHAKES_MAX, "when everybody has one, nobody loses it");
    }

    #[tokio::test(start_paused = true)]
    async fn the_greediest_makes_room_for_others() {
        let admission = Arc::default();
        let greedy = |n| (0..HANDSHAKES_PER_IP_MAX).map(move |_| ip(n));
        let tickets: Vec<_> =
            (1..=4).flat_map(greedy).map(|ip| Admission::admit(&admission, ip).unwrap()).collect();
        assert_eq!(tickets.len(), HANDSHAKES_MAX);
        let honest: Vec<_> = (10..20).map(|n| Admission::admit(&admission, ip(n)).unwrap()).collect();
        assert!(Admission::admit(&admission, ip(1)).is_none(), "whoever is greedy gets no more");
        let evicted = |ticket: &Ticket| {
            lock(&admission.0).handshakes.iter().all(|handshake| handshake.number != ticket.number)
        };
        assert_eq!(tickets.iter().filter(|t| evicted(t)).count(), honest.len());
        assert!(!honest.iter().any(evicted));
        assert!(lock(&admission.0).handshakes.len() <= HANDSHAKES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn on_loopback_the_greediest_is_one_of_many_peers() {
        let admission = Arc::default();
        let attacker: IpAddr = "127.0.0.9".parse().unwrap();
        let tickets: Vec<_> = (0..1000).map_while(|_| Admission::admit(&admission, attacker)).collect();
        assert_eq!(tickets.len(), HANDSHAKES_MAX);
        assert!(Admission::admit(&admission, "127.0.0.2".parse().unwrap()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_forgotten() {
        let admission = Arc::default();
        for n in 0..3 * ADDRESSES_COUNTED_MAX as u32 {
            assert!(Admission::admit(&admission, ip(n)).is_some() || n as usize >= ADDRESSES_COUNTED_MAX);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(lock(&admission.0).by_origin.len() <= ADDRESSES_COUNTED_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn one_ipv6_network_counts_as_one_address() {
        let admission = Arc::default();
        let host = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, n, 0, 0, 1]);
        let mut tickets: Vec<_> = (0..1000).map_while(|n| Admission::admit(&admission, host(n))).collect();
        assert_eq!(tickets.len(), HANDSHAKES_PER_IP_MAX);
        assert!(Admission::admit(&admission, ip(1)).is_some(), "others are not held up");
        for n in 1000.. {
            tickets.iter_mut().for_each(Ticket::handshake_done);
            tokio::time::advance(Duration::from_secs(1)).await;
            match Admission::admit(&admission, host(n)) {
                Some(ticket) => tickets.push(ticket),
                None => break,
            }
        }
        assert_eq!(tickets.len(), CONNECTIONS_PER_NETWORK_MAX);
        assert!(Admission::admit(&admission, "::ffff:10.0.0.2".parse().unwrap()).is_some());
        assert_eq!(lock(&admission.0).by_origin.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_ipv6_network_begins_so_many_a_second() {
        let admission = Arc::default();
        let hosts = (0..1000).map(|n| IpAddr::from([0xfe80, 0, 0, 0, n, 0, 0, 1]));
        let begun = hosts.filter(|host| Admission::admit(&admission, *host).is_some()).count();
        assert_eq!(begun, BEGINNINGS_PER_IP_BURST as usize, "each is over at once");
    }
}
