//! Discovery: announcing this peer on every usable interface, and hearing of others.
//!
//! Multicast DNS ([`mdns`]) where it passes, a broadcast [`beacon`] where it does not; both run beside each other,
//! because nobody can know in advance. What is heard is reported as it is: unproven, perhaps stale. Whom to dial is
//! decided above.

mod beacon;
mod hearing;
pub mod interfaces;
mod mdns;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::{PeerId, PeerName};

use crate::event::NetEvent;
use crate::handshake::Local;
use crate::shared::Shared;
use crate::tasks::Stop;

pub use beacon::{BeaconSocket, Heard, Senders};
pub use hearing::{Ear, Hearing, listen};
pub use interfaces::Interface;
pub use mdns::SERVICE_TYPE;

/// The UDP port of beacons. The same number as the default listening port (TCP), so that one rule opens a firewall.
pub const BEACON_PORT: u16 = 24_930;
/// Interfaces come and go: cables, Wi-Fi, VPNs.
const INTERFACES_EVERY: Duration = Duration::from_secs(3);

/// What is done to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscoveryConfig {
    pub mdns: bool,
    pub broadcast: bool,
    /// UDP port of beacons.
    pub beacon_port: u16,
}

/// What this peer announces, to everybody on the network.
#[derive(Debug, Clone)]
struct Announced {
    peer: PeerId,
    /// A member of a closed party tells its name to nobody who has not proven that it belongs there.
    name: Option<PeerName>,
    protocol: u16,
    listen: SocketAddr,
}

impl Announced {
    fn of(local: &Local, listen: SocketAddr) -> Self {
        let name = local.door.is_none().then(|| local.name.clone());
        Self { peer: local.peer, name, protocol: local.protocol, listen }
    }

    /// The address that we are bound to, if it is a certain one.
    fn only(&self) -> Option<IpAddr> {
        Some(self.listen.ip()).filter(|ip| !ip.is_unspecified())
    }
}

/// Starts what is asked for, as tasks of the endpoint. A peer that listens on loopback keeps to its machine.
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

/// Looks for changes until the endpoint stops.
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

/// Waits; tells whether the endpoint stopped meanwhile.
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
    use crate::party::Door;
    use crate::tls::TlsConfigs;

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
