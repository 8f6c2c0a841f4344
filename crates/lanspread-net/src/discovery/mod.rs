//! Discovery: announces this peer on every usable interface and listens for other peers.
//!
//! Multicast DNS ([`mdns`]) and a broadcast [`beacon`] run side by side, because no peer can know in advance which of
//! them a network lets through. A sighting is reported as it was heard: unproven and perhaps stale. The endpoint's
//! caller decides which peers to dial.

mod beacon;
mod hearing;
pub mod interfaces;
mod mdns;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::{PeerId, PeerName};

use crate::connect::handshake::Local;
use crate::event::NetEvent;
use crate::shared::Shared;
use crate::tasks::Stop;

pub use beacon::{BeaconSocket, Heard, Senders};
pub use hearing::{Ear, Hearing, listen};
pub use interfaces::Interface;
pub use mdns::SERVICE_TYPE;

/// UDP port of beacons. Equal to the default TCP listening port, so that one rule opens a firewall.
pub const BEACON_PORT: u16 = 24_930;
/// Time between two looks at the interfaces, which come and go: cables, Wi-Fi, VPNs.
const INTERFACES_EVERY: Duration = Duration::from_secs(3);

/// Means of discovery that an endpoint uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscoveryConfig {
    /// Announce and browse by multicast DNS.
    pub mdns: bool,
    /// Send and hear beacons.
    pub broadcast: bool,
    /// UDP port of beacons, usually [`BEACON_PORT`].
    pub beacon_port: u16,
}

/// What this peer announces to the whole network.
#[derive(Debug, Clone)]
struct Announced {
    peer: PeerId,
    /// `None` in a closed party: its members tell their names only to peers that have proved the passphrase.
    name: Option<PeerName>,
    protocol: u16,
    listen: SocketAddr,
}

impl Announced {
    fn of(local: &Local, listen: SocketAddr) -> Self {
        let name = local.door.is_none().then(|| local.name.clone());
        Self { peer: local.peer, name, protocol: local.protocol, listen }
    }

    /// Returns the address that the listener is bound to, or `None` if it listens on all addresses.
    fn only(&self) -> Option<IpAddr> {
        Some(self.listen.ip()).filter(|ip| !ip.is_unspecified())
    }
}

/// Starts the configured means as tasks of the endpoint. Does nothing for a listener on loopback, which no other
/// machine can reach.
pub(crate) fn start(shared: &Arc<Shared>, listen: SocketAddr, config: DiscoveryConfig) {
    if listen.ip().is_loopback() {
        return;
    }
    let announced = Announced::of(&shared.local, listen);
    let (changes, interfaces) = tokio::sync::watch::channel(Vec::new());
    shared.tasks.spawn(watch_interfaces(Arc::clone(shared), announced.only(), changes));
    if config.mdns {
        shared.tasks.spawn(mdns::run(Arc::clone(shared), announced.clone()));
    }
    if config.broadcast {
        let beaconing = beacon::run(Arc::clone(shared), announced, config.beacon_port, interfaces);
        shared.tasks.spawn(beaconing);
    }
}

/// Watches the interfaces until the endpoint stops. Reports changes as `Subnets` and passes them to the beacon.
async fn watch_interfaces(
    shared: Arc<Shared>,
    only: Option<IpAddr>,
    changes: tokio::sync::watch::Sender<Vec<Interface>>,
) {
    let mut stop = shared.tasks.stop_signal();
    loop {
        let found = tokio::task::spawn_blocking(interfaces::usable).await.unwrap_or_default();
        let found: Vec<Interface> =
            found.into_iter().filter(|i| only.is_none_or(|ip| ip == i.subnet.ip)).collect();
        let changed = changes.send_if_modified(|known| {
            let changed = *known != found;
            known.clone_from(&found);
            changed
        });
        if changed {
            let subnets = found.iter().map(|interface| interface.subnet).collect();
            shared.report(&mut stop, NetEvent::Subnets(subnets)).await;
        }
        if pause(&mut stop, INTERFACES_EVERY).await {
            return;
        }
    }
}

/// Waits for `time`. Returns true if the endpoint stopped meanwhile.
async fn pause(stop: &mut Stop, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => false,
        () = stop.stopped() => true,
    }
}

#[cfg(test)]
mod tests {
    use lanspread_proto::beacon as datagram;
    use lanspread_types::limits::PROTOCOL_VERSION;
    use lanspread_types::{Party, PartyName, PassPhrase};

    use super::*;
    use crate::Identity;
    use crate::party::secrets::Door;
    use crate::tls::config::TlsConfigs;

    fn announced(party: Option<Party>) -> Announced {
        let identity = Identity::generate().unwrap();
        let name = PeerName::new("Ann").unwrap();
        let door = party.map(|party| Door::new(&party, &name, "test").unwrap());
        let (tls, protocol) = (TlsConfigs::new(&identity).unwrap(), PROTOCOL_VERSION);
        let local = Local { peer: identity.peer_id(), name, protocol, hello: Vec::new(), tls, door };
        Announced::of(&local, "0.0.0.0:4000".parse().unwrap())
    }

    #[test]
    fn a_closed_party_hides_its_members_names() {
        let phrase = PassPhrase::new("correct horse battery").unwrap();
        let party = Party { name: PartyName::new("friday").unwrap(), phrase };
        for (party, name) in [(None, Some("Ann")), (Some(party), None)] {
            let announced = announced(party);
            let heard = datagram::decode(&beacon::own_beacon(&announced, true, false)).unwrap();
            assert_eq!(heard.name.as_ref().map(PeerName::as_str), name, "the beacon");
            assert_eq!((heard.peer, heard.listen_port), (announced.peer, 4000));
            let txt = mdns::txt(&announced);
            let told = txt.iter().find(|(key, _)| *key == "name").map(|(_, name)| name.as_str());
            assert_eq!(told, name, "multicast DNS: {txt:?}");
            let id = announced.peer.to_string();
            assert!(txt.contains(&("id", id)) && txt.contains(&("v", PROTOCOL_VERSION.to_string())));
        }
    }
}
