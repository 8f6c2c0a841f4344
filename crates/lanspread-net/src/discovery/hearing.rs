//! Test of discovery: whether multicast and broadcast really pass on this machine and in its networks.
//!
//! Works with and without a running peer. It sends a question, as a peer does, and listens for its own question (the
//! way out of and back into this machine) and for the answers of other machines (the network between). It reports no
//! sightings and dials no peer.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanspread_proto::beacon::{self, Beacon};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::{PeerId, PeerName};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::{BeaconSocket, Interface, Senders};

/// Multicast group of mDNS over IPv4 (RFC 6762).
const MDNS_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// UDP port of mDNS.
const MDNS_PORT: u16 = 5353;
/// Question for `_lanspread._tcp.local`, type PTR, class IN (RFC 1035, section 4.1.2), without the header.
const QUESTION: &[u8] = b"\x0a_lanspread\x04_tcp\x05local\x00\x00\x0c\x00\x01";
/// First label of the service type, which every answer contains.
const LABEL: &[u8] = b"\x0a_lanspread";
/// Most other machines that are counted.
const OTHERS_MAX: usize = 512;

/// What was heard by one means: multicast or broadcast.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ear {
    /// Why the means could not be tried, at all or on some interface; the last such error.
    pub error: Option<String>,
    /// Interfaces on which our own question came back.
    pub own: BTreeSet<String>,
    /// Addresses of other machines with a peer.
    pub others: BTreeSet<IpAddr>,
}

/// What was heard by both means.
#[derive(Debug, Clone, Default)]
pub struct Hearing {
    /// What was heard by multicast DNS.
    pub multicast: Ear,
    /// What was heard by broadcast beacons.
    pub broadcast: Ear,
    /// Peers on other machines whose beacons were heard, with the name and protocol version that they state. Members of
    /// a closed party state no name.
    pub versions: BTreeMap<PeerId, (Option<PeerName>, u16)>,
}

/// Sends a question on each of these interfaces and listens for `time`.
pub async fn listen(interfaces: &[Interface], beacon_port: u16, time: Duration) -> Hearing {
    let end = Instant::now() + time;
    let own: BTreeMap<IpAddr, String> = interfaces.iter().map(|i| (i.subnet.ip, i.name.clone())).collect();
    let mut versions = BTreeMap::new();
    let (multicast, broadcast) = tokio::join!(
        async { listen_to_multicast(interfaces, &own, end).await.unwrap_or_else(failed) },
        async {
            listen_to_beacons(interfaces, &own, beacon_port, end, &mut versions).await.unwrap_or_else(failed)
        },
    );
    Hearing { multicast, broadcast, versions }
}

/// Returns the result of a means that could not be tried at all.
fn failed(error: io::Error) -> Ear {
    Ear { error: Some(error.to_string()), ..Ear::default() }
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

async fn listen_to_multicast(
    interfaces: &[Interface],
    own: &BTreeMap<IpAddr, String>,
    end: Instant,
) -> io::Result<Ear> {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    socket.set_reuse_port(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, MDNS_PORT)).into())?;
    socket.set_multicast_loop_v4(true)?;
    let id = (random() as u16).to_be_bytes();
    let question = [&id[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0], QUESTION].concat();
    let mut ear = Ear::default();
    for ip in interfaces.iter().filter_map(Interface::v4) {
        let asked = socket
            .join_multicast_v4(&MDNS_GROUP, &ip)
            .and_then(|()| socket.set_multicast_if_v4(&ip))
            .and_then(|()| socket.send_to(&question, &SocketAddr::from((MDNS_GROUP, MDNS_PORT)).into()));
        if let Err(error) = asked {
            ear.error = Some(format!("{}: {error}", own.get(&ip.into()).map_or("?", String::as_str)));
        }
    }
    let socket = UdpSocket::from_std(socket.into())?;
    let mut bytes = [0; 9000];
    while let Ok(heard) = timeout_at(end, socket.recv_from(&mut bytes)).await {
        let Ok((len, from)) = heard else { continue };
        let packet = &bytes[..len];
        match own.get(&from.ip()) {
            Some(name) if packet == question => {
                ear.own.insert(name.clone());
            }
            Some(_) => {}
            None if is_answer(packet) && ear.others.len() < OTHERS_MAX => {
                ear.others.insert(from.ip());
            }
            None => {}
        }
    }
    Ok(ear)
}

/// Returns true for an answer (RFC 1035, section 4.1.1: the first bit of the flags) that names our service.
fn is_answer(packet: &[u8]) -> bool {
    packet.get(2).is_some_and(|flags| flags & 0x80 != 0)
        && packet.windows(LABEL.len()).any(|part| part.eq_ignore_ascii_case(LABEL))
}

async fn listen_to_beacons(
    interfaces: &[Interface],
    own: &BTreeMap<IpAddr, String>,
    port: u16,
    end: Instant,
    versions: &mut BTreeMap<PeerId, (Option<PeerName>, u16)>,
) -> io::Result<Ear> {
    let socket = BeaconSocket::open(port)?;
    let mut id = [0; 32];
    id.chunks_mut(8).for_each(|part| part.copy_from_slice(&random().to_le_bytes()));
    // It states no listener, so no peer dials this invented id.
    let question = Beacon {
        peer: PeerId(id),
        protocol: PROTOCOL_VERSION,
        listen_port: 0,
        asks: true,
        leaves: false,
        name: None,
    };
    Senders::open(interfaces, port).send(&beacon::encode(&question)).await;
    let mut ear = Ear::default();
    while let Ok(heard) = timeout_at(end, socket.next()).await {
        let Ok(heard) = heard else { continue };
        match own.get(&heard.from.ip()) {
            Some(name) if heard.beacon.peer == question.peer => {
                ear.own.insert(name.clone());
            }
            Some(_) => {}
            None if ear.others.len() < OTHERS_MAX && heard.beacon.listen_port != 0 => {
                ear.others.insert(heard.from.ip());
                versions.insert(heard.beacon.peer, (heard.beacon.name, heard.beacon.protocol));
            }
            None => {}
        }
    }
    Ok(ear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_about_our_service_count() {
        let packet = |flags: u8, rest: &[u8]| [&[0, 0, flags, 0, 0, 0, 0, 1, 0, 0, 0, 0], rest].concat();
        assert!(is_answer(&packet(0x84, QUESTION)));
        assert!(!is_answer(&packet(0, QUESTION)));
        assert!(!is_answer(&packet(0x84, b"\x04_ipp\x04_tcp\x05local\x00")));
        assert!(!is_answer(b"\x00"));
    }
}
