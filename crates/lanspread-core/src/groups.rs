//! Groups of peers that share a switch, judged by their addresses.
//!
//! The organiser's catalogue names groups by their networks; any other address belongs to the group of its subnet. The
//! relay line puts members of one group next to each other, and the view of the room shows what came from other groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use lanspread_types::limits::{GROUP_NETWORKS_MAX, GROUPS_MAX};

/// Prefix lengths of the subnets that count as one switch, for IPv4 and IPv6.
const SUBNET_PREFIX: (u8, u8) = (24, 64);

/// The group of an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A group that the catalogue names.
    Named(Arc<str>),
    /// The /24 (IPv4) or /64 (IPv6) of an address outside all named groups.
    Subnet(IpNet),
}

impl Group {
    /// Returns the subnet group of an address.
    pub fn subnet(ip: IpAddr) -> Self {
        let (v4, v6) = SUBNET_PREFIX;
        Self::Subnet(match ip.to_canonical() {
            IpAddr::V4(ip) => Ipv4Net::new_assert(ip, v4).trunc().into(),
            IpAddr::V6(ip) => Ipv6Net::new_assert(ip, v6).trunc().into(),
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Subnet(net) => net.fmt(f),
        }
    }
}

/// The groups that a catalogue names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// Sorted by prefix length, longest first, so the first network that contains an address decides.
    networks: Vec<(IpNet, Arc<str>)>,
}

/// Why groups are ambiguous or too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupsError {
    /// More than [`GROUPS_MAX`] groups.
    #[error("more than {GROUPS_MAX} groups")]
    TooManyGroups,
    /// More than [`GROUP_NETWORKS_MAX`] networks in all groups.
    #[error("more than {GROUP_NETWORKS_MAX} networks in all groups")]
    TooManyNetworks,
    /// A group is listed twice.
    #[error("the group {0} is listed twice")]
    DuplicateName(String),
    /// A group has no network.
    #[error("the group {0} has no network")]
    NoNetwork(String),
    /// A network is listed twice.
    #[error("the network {network} is listed twice, in the groups {first} and {second}")]
    DuplicateNetwork {
        /// Network that is listed twice.
        network: IpNet,
        /// Group that lists it first.
        first: String,
        /// Group that lists it again.
        second: String,
    },
}

impl Groups {
    /// Builds groups from names with their networks. The networks must be without host bits and not IPv4-mapped.
    ///
    /// # Errors
    ///
    /// Fails if a name or network is duplicated, a group is empty, or there are too many.
    pub fn new(named: impl IntoIterator<Item = (String, Vec<IpNet>)>) -> Result<Self, GroupsError> {
        let mut names = BTreeSet::new();
        let mut networks: BTreeMap<IpNet, Arc<str>> = BTreeMap::new();
        for (name, own) in named {
            let name: Arc<str> = name.into();
            if own.is_empty() {
                return Err(GroupsError::NoNetwork(name.to_string()));
            }
            if !names.insert(Arc::clone(&name)) {
                return Err(GroupsError::DuplicateName(name.to_string()));
            }
            for network in own {
                if let Some(first) = networks.insert(network, Arc::clone(&name)) {
                    let (first, second) = (first.to_string(), name.to_string());
                    return Err(GroupsError::DuplicateNetwork { network, first, second });
                }
            }
        }
        if names.len() > GROUPS_MAX {
            return Err(GroupsError::TooManyGroups);
        }
        if networks.len() > GROUP_NETWORKS_MAX {
            return Err(GroupsError::TooManyNetworks);
        }
        let mut networks: Vec<_> = networks.into_iter().collect();
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Ok(Self { networks })
    }

    /// Returns the group of an address: the group of the longest network that contains it, or its subnet.
    pub fn of(&self, ip: IpAddr) -> Group {
        let ip = ip.to_canonical();
        let named = self.networks.iter().find(|(network, _)| network.contains(&ip));
        named.map_or_else(|| Group::subnet(ip), |(_, name)| Group::Named(Arc::clone(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(named: &[(&str, &[&str])]) -> Result<Groups, GroupsError> {
        let networks = |all: &[&str]| all.iter().map(|text| text.parse().unwrap()).collect();
        Groups::new(named.iter().map(|(name, all)| ((*name).to_owned(), networks(all))))
    }

    fn group_at(groups: &Groups, ip: &str) -> String {
        groups.of(ip.parse().unwrap()).to_string()
    }

    #[test]
    fn longest_prefix_decides() {
        let rows: [(&str, &[&str]); 3] = [
            ("Hall", &["10.1.0.0/16", "2001:db8::/48"]),
            ("Row A", &["10.1.1.0/24", "10.1.2.0/24"]),
            ("Bar", &["10.1.1.128/25"]),
        ];
        let groups = groups(&rows).unwrap();
        for (ip, group) in [
            ("10.1.9.1", "Hall"),
            ("10.1.1.7", "Row A"),
            ("10.1.2.7", "Row A"),
            ("10.1.1.130", "Bar"),
            ("2001:db8::1:2", "Hall"),
        ] {
            assert_eq!(group_at(&groups, ip), group, "{ip}");
        }
    }

    #[test]
    fn address_of_no_named_group_belongs_to_its_subnet() {
        let groups = groups(&[("Row A", &["10.1.1.0/24"])]).unwrap();
        assert_eq!(group_at(&groups, "10.1.2.7"), "10.1.2.0/24");
        assert_eq!(group_at(&groups, "2001:db8:0:1:2::3"), "2001:db8:0:1::/64");
        assert_eq!(group_at(&Groups::default(), "10.1.1.7"), "10.1.1.0/24");
    }

    #[test]
    fn mapped_address_is_its_ipv4_address() {
        let groups = groups(&[("Row A", &["10.1.1.0/24"])]).unwrap();
        assert_eq!(group_at(&groups, "::ffff:10.1.1.7"), "Row A");
        assert_eq!(group_at(&groups, "::ffff:10.1.2.7"), "10.1.2.0/24");
    }

    #[test]
    fn ambiguous_groups_are_refused() {
        let duplicate = |first: &str, second: &str| {
            let network = "10.1.1.0/24".parse().unwrap();
            Err(GroupsError::DuplicateNetwork { network, first: first.into(), second: second.into() })
        };
        assert_eq!(groups(&[("A", &["10.1.1.0/24"]), ("B", &["10.1.1.0/24"])]), duplicate("A", "B"));
        assert_eq!(groups(&[("A", &["10.1.1.0/24", "10.1.1.0/24"])]), duplicate("A", "A"));
        let twice = groups(&[("A", &["10.1.1.0/24"]), ("A", &["10.1.2.0/24"])]);
        assert_eq!(twice, Err(GroupsError::DuplicateName("A".to_owned())));
        assert_eq!(groups(&[("A", &[])]), Err(GroupsError::NoNetwork("A".to_owned())));
    }

    #[test]
    fn groups_and_networks_are_bounded() {
        let net = |n: usize| IpNet::new([10, (n >> 8) as u8, n as u8, 0].into(), 24).unwrap();
        let many = |count: usize| Groups::new((0..count).map(|n| (format!("Row {n}"), vec![net(n)])));
        assert!(many(GROUPS_MAX).is_ok());
        assert_eq!(many(GROUPS_MAX + 1), Err(GroupsError::TooManyGroups));
        let one = |count: usize| Groups::new([("Hall".to_owned(), (0..count).map(net).collect())]);
        assert!(one(GROUP_NETWORKS_MAX).is_ok());
        assert_eq!(one(GROUP_NETWORKS_MAX + 1), Err(GroupsError::TooManyNetworks));
    }
}
