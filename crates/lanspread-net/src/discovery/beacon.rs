//! The broadcast beacon: sends datagrams to every local network, and listens for the beacons of other peers.
//!
//! At its start a peer sends three beacons in quick succession that ask for answers; a peer that hears one answers
//! with a beacon of its own within a second. After that, one beacon every ten seconds finds latecomers and repaired
//! networks. The number of beacons sent and accepted is limited, whatever other peers do.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::beacon::{self, Beacon};
use lanspread_types::limits::BEACON_BYTES_MAX;
use lanspread_types::{Means, Sighting};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Announced, Interface};
use crate::event::NetEvent;
use crate::shared::Shared;

/// Pauses after the first beacons, which ask for answers.
const FIRST_PAUSES: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_millis(1000), Duration::from_millis(2000)];
/// Pause between later beacons; up to a quarter is added, so that the beacons of a room spread out.
const PAUSE: Duration = Duration::from_secs(10);
/// Time within which an asking beacon is answered.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Shortest time between an answer and the beacon sent before it.
const ANSWER_EVERY: Duration = Duration::from_secs(2);
/// Most beacons accepted in one second, from all addresses.
const TAKEN_PER_SECOND: usize = 512;
/// Most beacons accepted in one second from one address, which several peers may share.
const TAKEN_PER_ADDRESS: usize = 16;

/// Sends and receives beacons until the endpoint stops, then sends one that says that this peer leaves.
pub(super) async fn run(
    shared: Arc<Shared>,
    announced: Announced,
    port: u16,
    mut interfaces: watch::Receiver<Vec<Interface>>,
) {
    let mut stop = shared.tasks.stop_signal();
    let socket = match BeaconSocket::open(port) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, port, "beacons cannot be heard");
            return;
        }
    };
    let mut pulse = Pulse::new(Instant::now(), u64::from_le_bytes(first8(&announced.peer.0)));
    let mut budget = Budget::default();
    let mut senders = Senders::default();
    loop {
        tokio::select! {
            heard = socket.next() => {
                let Some(heard) = take(heard, &mut budget) else { continue };
                if heard.beacon.peer == announced.peer {
                    continue;
                }
                if heard.beacon.asks {
                    pulse.asked(Instant::now());
                }
                if let Some(sighting) = sighting_of(heard) {
                    shared.report(&mut stop, NetEvent::Sighted(sighting)).await;
                }
            }
            changed = interfaces.changed() => {
                if changed.is_err() {
                    break;
                }
                senders = Senders::open(&interfaces.borrow_and_update(), port);
                pulse.start_anew(Instant::now());
            }
            () = tokio::time::sleep_until(pulse.due) => {
                let asks = pulse.beat(Instant::now());
                senders.send(&own_beacon(&announced, asks, false)).await;
            }
            () = stop.stopped() => break,
        }
    }
    senders.send(&own_beacon(&announced, false, true)).await;
}

fn first8(bytes: &[u8; 32]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&bytes[..8]);
    first
}

/// Encodes this peer's beacon.
pub(super) fn own_beacon(announced: &Announced, asks: bool, leaves: bool) -> Vec<u8> {
    beacon::encode(&Beacon {
        peer: announced.peer,
        protocol: announced.protocol,
        listen_port: announced.listen.port(),
        asks,
        leaves,
        name: announced.name.clone(),
    })
}

/// A received beacon.
#[derive(Debug, Clone)]
pub struct Heard {
    /// What the sender states. Nothing in it is proven.
    pub beacon: Beacon,
    /// Where the datagram came from. The port is not that of the sender's listener.
    pub from: SocketAddr,
}

/// Returns the beacon if the budget allows it.
fn take(heard: io::Result<Heard>, budget: &mut Budget) -> Option<Heard> {
    let heard = heard.ok()?;
    budget.allows(heard.from.ip(), Instant::now()).then_some(heard)
}

/// Turns a beacon into a sighting. `None` for a peer that leaves, which also says goodbye on its connections, and for a
/// sender without a listener, which only asks.
fn sighting_of(Heard { beacon, from }: Heard) -> Option<Sighting> {
    if beacon.leaves || beacon.listen_port == 0 {
        return None;
    }
    Some(Sighting {
        peer: beacon.peer,
        name: beacon.name,
        protocol: beacon.protocol,
        addrs: vec![SocketAddr::new(from.ip(), beacon.listen_port)],
        means: Means::Broadcast,
    })
}

/// Socket that receives beacons. Several programs on one machine may share its port.
#[derive(Debug)]
pub struct BeaconSocket(UdpSocket);

impl BeaconSocket {
    /// Opens a socket on `port` of all IPv4 addresses. Must be called within a tokio runtime.
    pub fn open(port: u16) -> io::Result<Self> {
        let socket = udp_socket()?;
        socket.set_reuse_address(true)?;
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }

    /// Returns the next beacon. Skips other datagrams and errors of the socket.
    pub async fn next(&self) -> io::Result<Heard> {
        let mut bytes = [0; BEACON_BYTES_MAX + 1];
        loop {
            match self.0.recv_from(&mut bytes).await {
                Ok((len, from)) => {
                    if let Ok(beacon) = beacon::decode(&bytes[..len]) {
                        return Ok(Heard { beacon, from });
                    }
                }
                // Windows reports as errors datagrams that are too long, and ICMP answers to datagrams that we sent.
                Err(error) => {
                    tracing::trace!(%error, "a datagram is passed over");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
}

fn udp_socket() -> io::Result<socket2::Socket> {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

/// Sending sockets, one for each local network, with the two broadcast addresses that each sends to.
#[derive(Debug, Default)]
pub struct Senders(Vec<(UdpSocket, [SocketAddr; 2])>);

impl Senders {
    /// Opens a socket for each interface that has a broadcast address, and skips those that fail. Must be called
    /// within a tokio runtime.
    pub fn open(interfaces: &[Interface], port: u16) -> Self {
        let sender = |interface: &Interface| {
            let (ip, directed) = (interface.v4()?, interface.broadcast?);
            match sender_on(interface, ip) {
                Ok(socket) => Some((socket, [directed, Ipv4Addr::BROADCAST].map(|to| (to, port).into()))),
                Err(error) => {
                    tracing::debug!(%error, interface = interface.name, "no beacons from here");
                    None
                }
            }
        };
        Self(interfaces.iter().filter_map(sender).collect())
    }

    /// Broadcasts the bytes in every network. A failure is only logged, since the next beacon tries again.
    pub async fn send(&self, bytes: &[u8]) {
        for (socket, targets) in &self.0 {
            for to in targets {
                if let Err(error) = socket.send_to(bytes, to).await {
                    tracing::trace!(%error, %to, "a beacon was not sent");
                }
            }
        }
    }
}

/// Opens a socket whose packets leave through this interface. Binding to its address is enough on Windows and macOS;
/// Linux sends packets for 255.255.255.255 along the default route unless the socket is bound to the device.
fn sender_on(interface: &Interface, ip: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = udp_socket()?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket.bind_device(Some(interface.name.as_bytes())) {
        tracing::debug!(%error, interface = interface.name, "only the directed broadcast is sure to leave here");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = interface;
    socket.bind(&SocketAddr::from((ip, 0)).into())?;
    UdpSocket::from_std(socket.into())
}

/// Schedule of the beacons to send.
#[derive(Debug)]
struct Pulse {
    /// When the next beacon is due.
    due: Instant,
    /// Beacons sent since the start or the last change of the networks.
    beats: usize,
    /// When the last beacon was sent.
    last: Option<Instant>,
    /// State of the generator that spreads the beacons of a room; it need not be unpredictable.
    spread: u64,
}

impl Pulse {
    fn new(now: Instant, spread: u64) -> Self {
        Self { due: now, beats: 0, last: None, spread }
    }

    /// Returns a pseudo-random time between zero and `time`.
    fn up_to(&mut self, time: Duration) -> Duration {
        self.spread =
            self.spread.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        time.mul_f64((self.spread >> 40) as f64 / (1u64 << 24) as f64)
    }

    /// Notes that a beacon is sent now, and schedules the next. Returns true if this one should ask for answers.
    fn beat(&mut self, now: Instant) -> bool {
        let first = FIRST_PAUSES.get(self.beats).copied();
        self.due = now + first.unwrap_or(PAUSE + self.up_to(PAUSE / 4));
        self.beats += 1;
        self.last = Some(now);
        first.is_some()
    }

    /// Brings the next beacon forward, because a peer asks for one.
    fn asked(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| last + ANSWER_EVERY);
        self.due = self.due.min(earliest.max(now + self.up_to(ANSWER_WITHIN)));
    }

    /// Begins again with asking beacons, because the networks have changed.
    fn start_anew(&mut self, now: Instant) {
        (self.due, self.beats) =
            (self.last.map_or(now, |last| now.max(last + Duration::from_millis(250))), 0);
    }
}

/// Beacons accepted in the current second.
#[derive(Debug, Default)]
struct Budget {
    /// When the current second began.
    second: Option<Instant>,
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Budget {
    /// Returns true, and counts the beacon, if the limits allow it.
    fn allows(&mut self, from: IpAddr, now: Instant) -> bool {
        if self.second.is_none_or(|second| now - second >= Duration::from_secs(1)) {
            (self.second, self.all) = (Some(now), 0);
            self.by_address.clear();
        }
        // Beacons beyond an address's own limit do not count towards the total, so they cost other peers nothing.
        let own = self.by_address.get(&from).copied().unwrap_or(0);
        if own >= TAKEN_PER_ADDRESS || self.all >= TAKEN_PER_SECOND {
            return false;
        }
        self.all += 1;
        self.by_address.insert(from, own + 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_beacons_are_fast_later_ones_slow() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, 7);
        let mut at = Vec::new();
        while pulse.due < start + Duration::from_secs(60) {
            let now = pulse.due;
            at.push(((now - start).as_millis(), pulse.beat(now)));
        }
        assert_eq!(at[..4], [(0, true), (500, true), (1500, true), (3500, false)]);
        assert!(at.len() <= 10, "one in ten seconds: {at:?}");
    }

    #[test]
    fn many_asking_beacons_get_few_answers() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start, 7);
        for _ in 0..4 {
            let due = pulse.due;
            pulse.beat(due);
        }
        let quiet = pulse.last.unwrap() + Duration::from_secs(4);
        let mut sent = 0;
        for ms in 0..5_000 {
            let now = quiet + Duration::from_millis(ms);
            pulse.asked(now);
            if now >= pulse.due {
                pulse.beat(now);
                sent += 1;
            }
        }
        assert!((2..=3).contains(&sent), "{sent} answers in 5 s of 5000 questions");
    }

    #[test]
    fn flood_from_one_address_leaves_room_for_others() {
        let (now, mut budget) = (Instant::now(), Budget::default());
        let from = |n: u32| IpAddr::from(Ipv4Addr::from(n));
        let taken = |budget: &mut Budget, at, ip| (0..10_000).filter(|_| budget.allows(ip, at)).count();
        assert_eq!(taken(&mut budget, now, from(1)), TAKEN_PER_ADDRESS);
        assert_eq!(taken(&mut budget, now, from(2)), TAKEN_PER_ADDRESS);
        for n in 0..1000 {
            budget.allows(from(n), now);
        }
        assert!(budget.by_address.len() <= TAKEN_PER_SECOND);
        assert_eq!(taken(&mut budget, now + Duration::from_secs(1), from(1)), TAKEN_PER_ADDRESS);
    }
}
