//! Checks of the network: interfaces, the peer's own listener, multicast, broadcast, and other peers.

use std::net::SocketAddr;
use std::time::Duration;

use lanspread_net::discovery::{BEACON_PORT, Ear, Hearing, Interface};
use lanspread_types::Adapter;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Health, Patient};

/// Time limit for a connection to this machine itself.
const CONNECT_TIME: Duration = Duration::from_secs(1);

/// Checks whether there is a physical interface that is up and has an IPv4 address.
pub(super) fn interfaces(all: &[Interface]) -> Check {
    let described = |i: &Interface| {
        let kind = match i.subnet.adapter {
            Adapter::Virtual => " (virtual)",
            Adapter::Physical | Adapter::Loopback => "",
        };
        let down = if i.up { "" } else { " (down)" };
        format!("{} {}/{}{kind}{down}", i.name, i.subnet.ip, i.subnet.prefix)
    };
    let shown = all.iter().filter(|i| i.subnet.adapter != Adapter::Loopback);
    let list = shown.map(described).collect::<Vec<_>>().join(", ");
    let usable =
        |adapter| all.iter().any(|i| i.is_usable() && i.subnet.adapter == adapter && i.v4().is_some());
    if usable(Adapter::Physical) {
        return Check::good("interfaces", list);
    }
    if usable(Adapter::Virtual) {
        return Check::new(
            "interfaces",
            Health::Poor,
            format!("only virtual adapters: {list}"),
            "plug in the cable or join the party's Wi-Fi; if a VPN takes over all traffic, switch it off",
        );
    }
    let found = if list.is_empty() { "no network".to_owned() } else { format!("no usable network: {list}") };
    Check::new("interfaces", Health::Bad, found, "plug in the cable, or join the party's Wi-Fi")
}

/// Checks whether the listener answers at each address that other machines would use.
pub(super) async fn listener(patient: &Patient, usable: &[Interface]) -> Check {
    let Some(listening) = patient.listening else {
        return idle_port(patient.default_port);
    };
    let any = listening.ip().is_unspecified();
    let mut answers = Vec::new();
    let mut silent = Vec::new();
    for ip in usable.iter().map(|i| i.subnet.ip).filter(std::net::IpAddr::is_ipv4) {
        let addr = SocketAddr::new(ip, listening.port());
        match timeout(CONNECT_TIME, TcpStream::connect(addr)).await {
            Ok(Ok(_)) => answers.push(addr.to_string()),
            _ if any || listening.ip() == ip => silent.push(addr.to_string()),
            _ => {}
        }
    }
    match (answers.is_empty(), silent.is_empty()) {
        (false, true) => Check::good("listener", format!("the peer answers at {}", answers.join(", "))),
        (true, true) if any => Check::new(
            "listener",
            Health::Bad,
            format!(
                "the peer listens at {listening}, but this PC has no network on which others could reach it"
            ),
            "plug the cable in, or join the Wi-Fi of the party",
        ),
        (true, true) => Check::new(
            "listener",
            Health::Bad,
            format!("the peer listens at {listening}, which other PCs cannot reach"),
            "start it without --listen, so that it listens on every address",
        ),
        (_, false) => Check::new(
            "listener",
            Health::Bad,
            format!("the peer does not answer at {}", silent.join(", ")),
            "a firewall on this PC blocks the port: allow lanspread (see the firewall check)",
        ),
    }
}

fn idle_port(port: u16) -> Check {
    match std::net::TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => Check::new(
            "listener",
            Health::Unknown,
            format!("no peer is running here; TCP port {port} is free"),
            "start lanspread, then run the doctor again",
        ),
        Err(error) => Check::new(
            "listener",
            Health::Poor,
            format!("no peer is running with this state folder, and TCP port {port} is taken: {error}"),
            "another program uses the port: lanspread would take a free one, which a firewall may block",
        ),
    }
}

/// Judges what was heard by multicast DNS.
pub(super) fn multicast(hearing: &Hearing, usable: &[Interface]) -> Check {
    let advice = "allow UDP port 5353 in this PC's firewall; without it, peers are still found by broadcast, a little later";
    heard("multicast", &hearing.multicast, &hearing.broadcast, usable, advice)
}

/// Judges what was heard by broadcast beacons.
pub(super) fn broadcast(hearing: &Hearing, usable: &[Interface]) -> Check {
    let advice =
        format!("allow UDP port {BEACON_PORT} in this PC's firewall; if multicast works, it is not needed");
    heard("broadcast", &hearing.broadcast, &hearing.multicast, usable, &advice)
}

/// Judges what was heard by one means, given what was heard by the other.
fn heard(name: &'static str, ear: &Ear, other_way: &Ear, usable: &[Interface], advice: &str) -> Check {
    let expected: Vec<&str> = usable
        .iter()
        .filter(|i| i.v4().is_some() && (name == "multicast" || i.broadcast.is_some()))
        .map(|i| i.name.as_str())
        .collect();
    if expected.is_empty() {
        return Check::new(name, Health::Unknown, "no interface to test it on", "see the interfaces check");
    }
    let deaf: Vec<&str> = expected.iter().copied().filter(|n| !ear.own.contains(*n)).collect();
    let others = match ear.others.len() {
        0 => "no other PC was heard".to_owned(),
        1 => "1 other PC was heard".to_owned(),
        n => format!("{n} other PCs were heard"),
    };
    let error = ear.error.as_ref().map(|e| format!(" ({e})")).unwrap_or_default();
    if deaf.is_empty() && ear.others.is_empty() && !other_way.others.is_empty() {
        // Our own question comes back within this machine, whereas theirs would have had to pass the network.
        let found =
            format!("our own query came back on {}, but no answers from other PCs did", expected.join(", "));
        let advice = "the network filters it (Wi-Fi access points and mesh routers do), or the other PCs' firewalls do: \
                      peers are still found the other way, a little later";
        return Check::new(name, Health::Poor, found, advice);
    }
    if deaf.is_empty() {
        return Check::good(name, format!("our own query came back on {}; {others}", expected.join(", ")));
    }
    let found = format!("our own query did not come back on {}{error}; {others}", deaf.join(", "));
    // A machine that hears other machines is not deaf.
    let health = if ear.others.is_empty() { Health::Bad } else { Health::Poor };
    Check::new(name, health, found, advice)
}

/// Checks whether any other peer is there.
pub(super) fn room(patient: &Patient, hearing: &Hearing) -> Check {
    let heard = hearing.multicast.others.union(&hearing.broadcast.others).count();
    match (patient.listening.is_some(), patient.connected, heard) {
        (true, 0, 0) | (false, _, 0) => Check::new(
            "room",
            Health::Poor,
            "no other PC was heard",
            "if others are here: check that their addresses are in the same network as yours; on Wi-Fi, switch off client or \
             AP isolation (guest networks), or use a cable; between two networks, `lanspread connect ADDR` on one PC \
             is enough for all",
        ),
        (true, 0, heard) => Check::new(
            "room",
            Health::Bad,
            format!("{heard} other PC(s) heard, but none is connected"),
            "`lanspread peers` shows why; most likely a firewall allows UDP and blocks TCP",
        ),
        (true, connected, _) => {
            Check::good("room", format!("{connected} peer(s) connected, {heard} PC(s) heard"))
        }
        (false, _, heard) => Check::good("room", format!("{heard} other PC(s) with lanspread heard")),
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::Subnet;

    use super::*;

    fn interface(name: &str, ip: &str, adapter: Adapter) -> Interface {
        let subnet = Subnet { ip: ip.parse().unwrap(), prefix: 24, adapter };
        Interface { name: name.to_owned(), subnet, broadcast: Some([10, 0, 0, 255].into()), up: true }
    }

    #[test]
    fn machine_without_a_cable_is_noticed() {
        assert_eq!(interfaces(&[]).health, Health::Bad);
        assert_eq!(interfaces(&[interface("docker0", "172.17.0.1", Adapter::Virtual)]).health, Health::Poor);
        let mut eth = interface("eth0", "10.0.0.1", Adapter::Physical);
        assert_eq!(interfaces(std::slice::from_ref(&eth)).health, Health::Good);
        eth.up = false;
        assert_eq!(interfaces(&[eth]).health, Health::Bad);
    }

    #[test]
    fn own_silence_is_worse_than_that_of_others() {
        let usable = [interface("eth0", "10.0.0.1", Adapter::Physical)];
        let mut hearing = Hearing::default();
        assert_eq!(multicast(&hearing, &usable).health, Health::Bad);
        hearing.multicast.others.insert([10, 0, 0, 2].into());
        assert_eq!(multicast(&hearing, &usable).health, Health::Poor);
        hearing.multicast.own.insert("eth0".to_owned());
        assert_eq!(multicast(&hearing, &usable).health, Health::Good);
        assert_eq!(multicast(&hearing, &[]).health, Health::Unknown);
    }

    #[test]
    fn filtered_means_is_noticed_by_the_other() {
        let usable = [interface("eth0", "10.0.0.1", Adapter::Physical)];
        let mut hearing = Hearing::default();
        for ear in [&mut hearing.multicast, &mut hearing.broadcast] {
            ear.own.insert("eth0".to_owned());
        }
        assert_eq!(multicast(&hearing, &usable).health, Health::Good, "nobody is there");
        hearing.broadcast.others.insert([10, 0, 0, 2].into());
        let check = multicast(&hearing, &usable);
        assert!(check.health == Health::Poor && check.advice.is_some_and(|a| a.contains("filters")));
        assert_eq!(broadcast(&hearing, &usable).health, Health::Good);
    }

    #[test]
    fn an_empty_room_is_explained() {
        let running = Patient { listening: Some("0.0.0.0:1".parse().unwrap()), ..Patient::default() };
        assert_eq!(room(&running, &Hearing::default()).health, Health::Poor);
        let mut hearing = Hearing::default();
        hearing.broadcast.others.insert([10, 0, 0, 2].into());
        assert_eq!(room(&running, &hearing).health, Health::Bad, "heard and not connected");
        assert_eq!(room(&Patient { connected: 1, ..running }, &hearing).health, Health::Good);
    }

    #[tokio::test]
    async fn listener_on_loopback_is_bad() {
        let patient = Patient { listening: Some("127.0.0.1:9".parse().unwrap()), ..Patient::default() };
        let check = listener(&patient, &[]).await;
        assert_eq!(check.health, Health::Bad);
        assert!(check.advice.is_some_and(|advice| advice.contains("--listen")));
    }

    #[tokio::test]
    async fn no_network_is_not_blamed_on_an_option() {
        let patient = Patient { listening: Some("0.0.0.0:9".parse().unwrap()), ..Patient::default() };
        let check = listener(&patient, &[]).await;
        assert_eq!(check.health, Health::Bad);
        assert!(check.advice.is_some_and(|advice| !advice.contains("--")));
    }
}
