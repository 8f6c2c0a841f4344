//! Network interfaces of this machine: which are usable, and which are probably virtual.
//!
//! The system's list has no reliable mark for virtual adapters, so names decide. Nothing here opens a socket.

use std::net::{IpAddr, Ipv4Addr};

use if_addrs::{IfAddr, IfOperStatus};
use lanspread_types::{Adapter, Subnet};

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Name of the interface, as the system gives it.
    pub name: String,
    /// The address, its prefix length and the kind of adapter.
    pub subnet: Subnet,
    /// Directed broadcast address. `None` for IPv6, loopback and point-to-point links.
    pub broadcast: Option<Ipv4Addr>,
    /// True if the interface is up, or if its driver does not say.
    pub up: bool,
}

/// Parts of the names of virtual adapters on Windows, where a name is a description, in lower case.
const VIRTUAL_PARTS: [&str; 16] = [
    "vethernet",
    "hyper-v",
    "wsl",
    "virtualbox",
    "vmware",
    "tap-",
    "wireguard",
    "wintun",
    "openvpn",
    "tailscale",
    "zerotier",
    "hamachi",
    "radmin",
    "vpn",
    "npcap",
    "bluetooth",
];
/// Beginnings of the names of virtual adapters on Linux and macOS.
const VIRTUAL_BEGINNINGS: [&str; 20] = [
    "docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "tun", "tap", "wg", "zt", "ts", "utun", "ppp",
    "lxc", "lxd", "cni", "flannel", "podman", "dummy", "awdl",
];

/// Returns every address of every interface, unusable ones included. Returns none if the system gives no list.
pub fn all() -> Vec<Interface> {
    let found = match if_addrs::get_if_addrs() {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, "the interfaces cannot be listed");
            Vec::new()
        }
    };
    found.into_iter().map(described).collect()
}

/// Returns the addresses through which other machines may be reached.
pub fn usable() -> Vec<Interface> {
    let mut usable = all();
    usable.retain(Interface::is_usable);
    usable
}

impl Interface {
    /// Returns true if the interface is up and is not the loopback.
    pub fn is_usable(&self) -> bool {
        self.up && self.subnet.adapter != Adapter::Loopback
    }
}

fn described(found: if_addrs::Interface) -> Interface {
    // Some drivers never report their state.
    let up = matches!(found.oper_status, IfOperStatus::Up | IfOperStatus::Unknown);
    let adapter = if found.is_loopback() {
        Adapter::Loopback
    } else if found.is_p2p || is_virtual(&found.name) {
        Adapter::Virtual
    } else {
        Adapter::Physical
    };
    let (prefix, broadcast) = match &found.addr {
        IfAddr::V4(v4) => (v4.prefixlen, broadcast_of(v4.ip, v4.prefixlen).filter(|_| !found.is_p2p)),
        IfAddr::V6(v6) => (v6.prefixlen, None),
    };
    Interface { subnet: Subnet { ip: found.ip(), prefix, adapter }, broadcast, up, name: found.name }
}

fn is_virtual(name: &str) -> bool {
    let name = name.to_lowercase();
    VIRTUAL_PARTS.iter().any(|part| name.contains(part))
        || VIRTUAL_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Returns the directed broadcast address (RFC 919). It is computed, because systems often leave theirs unset.
fn broadcast_of(ip: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(u32::from(prefix))?;
    (prefix <= 30 && prefix > 0 && !ip.is_loopback()).then(|| Ipv4Addr::from(u32::from(ip) | hosts))
}

impl Interface {
    /// Returns the address if it is an IPv4 address.
    pub fn v4(&self) -> Option<Ipv4Addr> {
        match self.subnet.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_adapters_are_known_by_their_names() {
        for name in ["vEthernet (WSL)", "VMware Network Adapter VMnet8", "docker0", "br-3f2a", "wg0", "tun1"]
        {
            assert!(is_virtual(name), "{name}");
        }
        for name in ["Ethernet", "Ethernet 2", "WLAN", "Wi-Fi", "eth0", "enp5s0", "wlan0", "br0", "en0"] {
            assert!(!is_virtual(name), "{name}");
        }
    }

    #[test]
    fn broadcast_address_follows_from_the_prefix() {
        let of = |ip: &str, prefix| broadcast_of(ip.parse().unwrap(), prefix).map(|b| b.to_string());
        assert_eq!(of("192.168.1.7", 24).as_deref(), Some("192.168.1.255"));
        assert_eq!(of("10.1.2.3", 9).as_deref(), Some("10.127.255.255"));
        assert_eq!(of("10.1.2.3", 31), None);
        assert_eq!(of("10.1.2.3", 32), None);
        assert_eq!(of("127.0.0.1", 8), None);
    }

    #[test]
    fn loopback_is_listed_but_not_usable() {
        let all = all();
        assert!(all.iter().any(|i| i.subnet.adapter == Adapter::Loopback), "{all:?}");
        assert!(usable().iter().all(|i| i.subnet.adapter != Adapter::Loopback));
    }
}
