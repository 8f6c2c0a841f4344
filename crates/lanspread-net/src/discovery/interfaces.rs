//! The machine's interfaces: which are usable, and which most likely exist in this machine only.

use std::net::{IpAddr, Ipv4Addr};

use if_addrs::{IfAddr, IfOperStatus};
use lanspread_types::{Adapter, Subnet};

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub subnet: Subnet,
    /// Where everybody in its network hears us; IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    pub up: bool,
}

/// Parts of names that virtual adapters have, in lower case: first those of Windows, which are descriptions, then those
/// of Linux and macOS, which are beginnings.
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
const VIRTUAL_BEGINNINGS: [&str; 20] = [
    "docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "tun", "tap", "wg", "zt", "ts", "utun", "ppp",
    "lxc", "lxd", "cni", "flannel", "podman", "dummy", "awdl",
];

/// Every address of every interface, the unusable ones among them.
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

/// Those that others may be reached through.
pub fn usable() -> Vec<Interface> {
    let mut usable = all();
    usable.retain(Interface::is_usable);
    usable
}

impl Interface {
    pub fn is_usable(&self) -> bool {
        self.up && self.subnet.adapter != Adapter::Loopback
    }
}

fn described(found: if_addrs::Interface) -> Interface {
    // Some drivers never say that they are up.
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

/// The directed broadcast address (RFC 919). It is computed: what a system states is often left unset.
fn broadcast_of(ip: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(u32::from(prefix))?;
    (prefix <= 30 && prefix > 0 && !ip.is_loopback()).then(|| Ipv4Addr::from(u32::from(ip) | hosts))
}

impl Interface {
    /// Its IPv4 address, if it is one.
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
    fn broadcast_addresses() {
        let of = |ip: &str, prefix| broadcast_of(ip.parse().unwrap(), prefix).map(|b| b.to_string());
        assert_eq!(of("192.168.1.7", 24).as_deref(), Some("192.168.1.255"));
        assert_eq!(of("10.1.2.3", 9).as_deref(), Some("10.127.255.255"));
        assert_eq!(of("10.1.2.3", 31), None);
        assert_eq!(of("10.1.2.3", 32), None);
        assert_eq!(of("127.0.0.1", 8), None);
    }

    #[test]
    fn this_machine_has_a_loopback_and_it_is_not_usable() {
        let all = all();
        assert!(all.iter().any(|i| i.subnet.adapter == Adapter::Loopback), "{all:?}");
        assert!(usable().iter().all(|i| i.subnet.adapter != Adapter::Loopback));
    }
}
