//! Interfaces, the own listener, multicast, broadcast, and whether anybody is there.

use std::net::SocketAddr;
use std::time::Duration;

use lanspread_net::discovery::{BEACON_PORT, Ear, Hearing, Interface};
use lanspread_types::Adapter;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Health, Patient};

/// It is this very machine.
const CONNECT_TIME: Duration = Duration::from_secs(1);

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
            "plug the cable in or join the Wi-Fi of the party; if a VPN takes everything, switch it off",
        );
    }
    let found =
        if list.is_empty() { "no network at all".to_owned() } else { format!("no usable network: {list}") };
    Check::new("interfaces", Health::Bad, found, "plug the cable in, or join the Wi-Fi of the party")
}

/// Whether the listener answers on each address that others would use.
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
        (true, true) => Check::new(
            "listener",
            Health::Bad,
            format!("the peer listens at {listening}, which nobody else reaches"),
            "start it without --listen, so that it listens on every address",
        ),
        (_, false) => Check::new(
            "listener",
            Health::Bad,
            format!("the peer does not answer at {}", silent.join(", ")),
            "a firewall on this PC blocks its own port: let lanspread through (see the firewall check)",
        ),
    }
}

fn idle_port(port: u16) -> Check {
    match std::net::TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)) {
        Ok(_) => Check::new(
            "listener",
            Health::Unknown,
            format!("no peer runs here; TCP port {port} is free"),
            "start one with `lanspread run --games-dir FOLDER`, and look again",
        ),
        Err(error) => Check::new(
            "listener",
            Health::Poor,
            format!("no peer of this state folder runs, and TCP port {port} cannot be had: {error}"),
            "another program has the port: lanspread would take a free one, which a firewall may not know",
        ),
    }
}

pub(super) fn multicast(hearing: &Hearing, usable: &[Interface]) -> Check {
    let advice = "let UDP port 5353 through this PC's firewall; without it peers are still found by broadcast, a little later";
    heard("multicast", &hearing.multicast, &hearing.broadcast, usable, advice)
}

pub(super) fn broadcast(hearing: &Hearing, usable: &[Interface]) -> Check {
    let advice = format!(
        "let UDP port {BEACON_PORT} through this PC's firewall; where multicast works, nothing else is needed"
    );
    heard("broadcast", &hearing.broadcast, &hearing.multicast, usable, &advice)
}

/// What came of one way, beside the other one.
fn heard(name: &'static str, ear: &Ear, other_way: &Ear, usable: &[Interface], advice: &str) -> Check {
    let expected: Vec<&str> = usable
        .iter()
        .filter(|i| i.v4().is_some() && (name == "multicast" || i.broadcast.is_some()))
        .map(|i| i.name.as_str())
        .collect();
    if expected.is_empty() {
        return Check::new(
            name,
            Health::Unknown,
            "there is no interface to try it on",
            "see the interfaces check",
        );
    }
    let deaf: Vec<&str> = expected.iter().copied().filter(|n| !ear.own.contains(*n)).collect();
    let others = match ear.others.len() {
        0 => "no other PC was heard".to_owned(),
        1 => "1 other PC was heard".to_owned(),
        n => format!("{n} other PCs were heard"),
    };
    let error = ear.error.as_ref().map(|e| format!(" ({e})")).unwrap_or_default();
    if deaf.is_empty() && ear.others.is_empty() && !other_way.others.is_empty() {
        // Our own question never left this machine to come back; theirs would have had to pass the network.
        let found =
            format!("the own question came back on {}, but of the others nothing does", expected.join(", "));
        let advice = "the network between filters it (Wi-Fi access points and mesh routers do), or the others' firewalls: \
                      peers are found the other way, a little later";
        return Check::new(name, Health::Poor, found, advice);
    }
    if deaf.is_empty() {
        return Check::good(name, format!("the own question came back on {}; {others}", expected.join(", ")));
    }
    let found = format!("the own question did not come back on {}{error}; {others}", deaf.join(", "));
    // Whoever hears others is not deaf.
    let health = if ear.others.is_empty() { Health::Bad } else { Health::Poor };
    Check::new(name, health, found, advice)
}

/// Whether anybody is there at all.
pub(super) fn room(patient: &Patient, hearing: &Hearing) -> Check {
    let heard = hearing.multicast.others.union(&hearing.broadcast.others).count();
    match (patient.listening.is_some(), patient.connected, heard) {
        (true, 0, 0) | (false, _, 0) => Check::new(
            "room",
            Health::Poor,
            "nobody else was heard",
            "if others are in the room: compare the network of their address with yours; on a Wi-Fi, client or AP \
             isolation (guest networks) keeps PCs apart: switch it off, or use a cable; over two networks, \
             `lanspread connect ADDR` once is enough for all",
        ),
        (true, 0, heard) => Check::new(
            "room",
            Health::Bad,
            format!("{heard} other PC(s) heard, but none is connected"),
            "`lanspread peers` shows why; most likely a firewall lets UDP pass and blocks TCP",
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
    fn a_machine_without_a_cable_is_told_so() {
        assert_eq!(interfaces(&[]).health, Health::Bad);
        assert_eq!(interfaces(&[interface("docker0", "172.17.0.1", Adapter::Virtual)]).health, Health::Poor);
        let mut eth = interface("eth0", "10.0.0.1", Adapter::Physical);
        assert_eq!(interfaces(std::slice::from_ref(&eth)).health, Health::Good);
        eth.up = false;
        assert_eq!(interfaces(&[eth]).health, Health::Bad);
    }

    #[test]
    fn silence_of_oneself_is_worse_than_silence_of_others() {
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
    fn a_network_that_filters_one_way_is_noticed_by_the_other() {
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
    async fn a_listener_on_loopback_is_no_use_to_others() {
        let patient = Patient { listening: Some("127.0.0.1:9".parse().unwrap()), ..Patient::default() };
        assert_eq!(listener(&patient, &[]).await.health, Health::Bad);
    }
}
