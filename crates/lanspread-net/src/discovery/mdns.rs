//! Multicast DNS: announces this peer as a service instance (RFC 6762, RFC 6763) and browses for other peers.
//!
//! The instance is named after the first 16 digits of the peer id, so that names do not clash. Its TXT record has `id`
//! (64 hexadecimal digits), `v` (the protocol version) and, outside closed parties, `name`. The port of the service is
//! that of the listener, which control and data connections share.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::limits::ADDRS_PER_PEER_MAX;
use lanspread_types::{Means, PeerName, Sighting, failpoint};
use mdns_sd::{IfKind, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::time::timeout;

use super::Announced;
use crate::event::NetEvent;
use crate::shared::Shared;

/// Service type of lanspread peers.
pub const SERVICE_TYPE: &str = "_lanspread._tcp.local.";
/// Seconds between two looks at the interfaces.
const INTERFACE_CHECK_SECONDS: u32 = 3;
/// Longest wait for the daemon to withdraw the announcement, and again for it to end.
const GOODBYE_TIME_MAX: Duration = Duration::from_millis(500);

/// Announces this peer and browses until the endpoint stops, then withdraws the announcement.
pub(super) async fn run(shared: Arc<Shared>, announced: Announced) {
    let mut stop = shared.tasks.stop_signal();
    let (daemon, found, fullname) = match open(&announced) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::warn!(%error, "multicast DNS does not work here");
            return;
        }
    };
    loop {
        let event = tokio::select! {
            event = found.recv_async() => event,
            () = stop.stopped() => break,
        };
        match event {
            Ok(ServiceEvent::ServiceResolved(service)) => {
                if let Some(sighting) = sighting_of(&service).filter(|s| s.peer != announced.peer) {
                    shared.report(&mut stop, NetEvent::Sighted(sighting)).await;
                }
            }
            Ok(_) => {}
            Err(_) => {
                tracing::warn!("multicast DNS has ended");
                return;
            }
        }
    }
    if let Ok(done) = daemon.unregister(&fullname) {
        // Best effort: the connections say goodbye, too.
        let _ = timeout(GOODBYE_TIME_MAX, done.recv_async()).await;
    }
    if let Ok(done) = daemon.shutdown() {
        let _ = timeout(GOODBYE_TIME_MAX, done.recv_async()).await;
    }
}

/// The daemon, the services that it finds, and the full name of ours.
type Opened = (ServiceDaemon, mdns_sd::Receiver<ServiceEvent>, String);

fn open(announced: &Announced) -> Result<Opened, mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    daemon.set_ip_check_interval(INTERFACE_CHECK_SECONDS)?;
    let id = announced.peer.to_string();
    let instance = &id[..16.min(id.len())];
    let txt = txt(announced);
    let host = format!("lanspread-{instance}.local.");
    let mut service = ServiceInfo::new(SERVICE_TYPE, instance, &host, "", announced.listen.port(), &txt[..])?
        .enable_addr_auto();
    // The name is unique, so probing for conflicts would only delay the announcement.
    service.set_requires_probe(false);
    service.set_interfaces(match announced.only() {
        Some(ip) => vec![IfKind::Addr(ip)],
        None if announced.listen.is_ipv4() => vec![IfKind::IPv4],
        None => vec![IfKind::All],
    });
    let fullname = service.get_fullname().to_owned();
    let found = daemon.browse(SERVICE_TYPE)?;
    if !failpoint!("mdns-announce-nothing") {
        daemon.register(service)?;
    }
    Ok((daemon, found, fullname))
}

/// Returns the TXT record of this peer.
pub(super) fn txt(announced: &Announced) -> Vec<(&'static str, String)> {
    let name = announced.name.as_ref().map(|name| ("name", name.to_string()));
    let always = [("id", announced.peer.to_string()), ("v", announced.protocol.to_string())];
    always.into_iter().chain(name).collect()
}

/// Turns a resolved service into a sighting; `None` if it is not that of a lanspread peer.
fn sighting_of(service: &ResolvedService) -> Option<Sighting> {
    let text = |key: &str| service.get_property_val_str(key);
    let port = service.get_port();
    let mut addrs: Vec<SocketAddr> = service.get_addresses().iter().map(|ip| with_port(ip, port)).collect();
    addrs.sort();
    addrs.truncate(ADDRS_PER_PEER_MAX);
    Some(Sighting {
        peer: text("id")?.parse().ok()?,
        name: text("name").and_then(|name| PeerName::new(name).ok()),
        protocol: text("v")?.parse().ok()?,
        addrs,
        means: Means::Mdns,
    })
}

/// Adds the port to an address. A link-local IPv6 address also keeps its interface, without which it leads nowhere.
fn with_port(ip: &ScopedIp, port: u16) -> SocketAddr {
    match (ip, ip.to_ip_addr()) {
        (ScopedIp::V6(scoped), IpAddr::V6(v6)) if v6.is_unicast_link_local() => {
            SocketAddrV6::new(v6, port, 0, scoped.scope_id().index).into()
        }
        (_, ip) => SocketAddr::new(ip, port),
    }
}
