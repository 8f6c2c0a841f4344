//! Assigns each host a switch and an address.
//!
//! All hosts are in one subnet, 10.213.0.0/16. The third number of an address is the host's group.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};

/// Subnet of all hosts.
pub const SUBNET: &str = "10.213.0.0/16";
/// Length of the subnet's prefix, in bits.
pub const PREFIX_BITS: u8 = 16;
/// Address of the switch in the middle.
pub const SWITCH: Ipv4Addr = Ipv4Addr::new(10, 213, 255, 254);

const GROUPS_MAX: usize = 64;
/// Most hosts behind one switch, limited by the last number of an address.
const GROUP_HOSTS_MAX: usize = 250;

/// Group and place of each host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    seats: Vec<Seat>,
    groups: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seat {
    group: usize,
    /// Place among the hosts of the group, counted from 0.
    place: usize,
}

/// Returns the group of a host. The seed is host 0 in the first group; the other hosts fill the groups evenly, in
/// order.
pub fn group_of(host: usize, hosts: usize, groups: usize) -> usize {
    host.saturating_sub(1) * groups / (hosts - 1).max(1)
}

impl Layout {
    /// Assigns the hosts to groups. Fails if there are too many groups, or too many hosts in one.
    pub fn new(hosts: usize, groups: usize) -> Result<Self> {
        ensure!((1..=GROUPS_MAX).contains(&groups), "there can be 1 to {GROUPS_MAX} groups, not {groups}");
        ensure!(hosts > groups, "{groups} groups need at least as many receivers");
        let mut seats: Vec<Seat> = Vec::with_capacity(hosts);
        for host in 0..hosts {
            let group = group_of(host, hosts, groups);
            let place = seats.iter().filter(|seat| seat.group == group).count();
            ensure!(
                place < GROUP_HOSTS_MAX,
                "a switch has room for {GROUP_HOSTS_MAX} hosts: take more groups"
            );
            seats.push(Seat { group, place });
        }
        Ok(Self { seats, groups })
    }

    /// Number of hosts.
    pub fn hosts(&self) -> usize {
        self.seats.len()
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Group of a host.
    pub fn group_of(&self, host: usize) -> usize {
        self.seats[host].group
    }

    /// Address of a host.
    pub fn address_of(&self, host: usize) -> Ipv4Addr {
        let Seat { group, place } = self.seats[host];
        // Group and place are below their limits of 64 and 250.
        Ipv4Addr::new(10, 213, group as u8, place as u8 + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn groups(layout: &Layout) -> Vec<usize> {
        (0..layout.hosts()).map(|host| layout.group_of(host)).collect()
    }

    #[test]
    fn receivers_spread_evenly_and_seed_is_in_group_0() {
        assert_eq!(groups(&Layout::new(9, 4).unwrap()), [0, 0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(groups(&Layout::new(8, 3).unwrap()), [0, 0, 0, 0, 1, 1, 2, 2]);
        assert_eq!(groups(&Layout::new(4, 1).unwrap()), [0; 4]);
    }

    #[test]
    fn address_names_the_group() {
        let layout = Layout::new(9, 4).unwrap();
        assert_eq!(layout.address_of(0), Ipv4Addr::new(10, 213, 0, 1));
        assert_eq!(layout.address_of(2), Ipv4Addr::new(10, 213, 0, 3));
        assert_eq!(layout.address_of(3), Ipv4Addr::new(10, 213, 1, 1));
        assert_eq!(layout.address_of(8), Ipv4Addr::new(10, 213, 3, 2));
    }

    #[test]
    fn no_two_hosts_share_an_address() {
        for (hosts, groups) in [(2, 1), (65, 1), (250, 1), (500, 4), (1001, 64)] {
            let layout = Layout::new(hosts, groups).unwrap();
            let mut addresses: BTreeSet<Ipv4Addr> = (0..hosts).map(|host| layout.address_of(host)).collect();
            addresses.insert(SWITCH);
            assert_eq!(addresses.len(), hosts + 1);
        }
    }

    #[test]
    fn oversized_rooms_are_refused() {
        for (hosts, groups) in [(251, 1), (4, 4), (10, 0), (1000, 65)] {
            assert!(Layout::new(hosts, groups).is_err(), "{hosts} hosts in {groups} groups");
        }
    }
}
