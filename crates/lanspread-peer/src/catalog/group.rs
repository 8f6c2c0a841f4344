//! Groups in a catalogue: names for the networks of a room with several switches. What a group does is the core's
//! concern.
//!
//! ```toml
//! [[group]]
//! name = "Row A"
//! cidrs = ["10.1.0.0/24", "2001:db8:1::/64"]
//! ```

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use lanspread_core::groups::Groups;
use lanspread_types::limits::GROUP_NAME_CHARS_MAX;
use serde::{Deserialize, Serialize};

/// A group as it stands in a catalogue file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupText {
    /// Name for people; one line of at most 32 characters, unique in the catalogue.
    pub name: String,
    /// Networks of the group, at least one. No two groups share a network.
    pub cidrs: Vec<Cidr>,
}

/// A network as `ADDRESS/PREFIX`, without host bits. A network of IPv4-mapped addresses becomes the IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr(pub IpNet);

impl TryFrom<String> for Cidr {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let network: IpNet = text
            .parse()
            .map_err(|_| format!("{text:?} is no network: write ADDRESS/PREFIX, such as 10.1.0.0/24"))?;
        let whole = network.trunc();
        if whole != network {
            return Err(format!("{network} is an address in a network: write {whole}"));
        }
        let mapped = match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
            (IpAddr::V4(ip), Some(prefix)) if !network.addr().is_ipv4() => Ipv4Net::new(ip, prefix).ok(),
            _ => None,
        };
        Ok(Self(mapped.map_or(network, IpNet::V4)))
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.0.to_string()
    }
}

/// Checks the groups of a catalogue and returns them. The error says which group is wrong.
pub(crate) fn to_groups(groups: &[GroupText]) -> Result<Groups, String> {
    for group in groups {
        one_line("the name of a group", &group.name, GROUP_NAME_CHARS_MAX)?;
    }
    let networks = |group: &GroupText| group.cidrs.iter().map(|cidr| cidr.0).collect();
    Groups::new(groups.iter().map(|group| (group.name.clone(), networks(group)))).map_err(|e| e.to_string())
}

/// Checks that a text is one line of 1 to `max` visible characters.
pub(crate) fn one_line(what: &str, text: &str, max: usize) -> Result<(), String> {
    if text.is_empty() || text.chars().count() > max || lanspread_types::name::first_invisible(text).is_some()
    {
        return Err(format!("{what} is one line of 1 to {max} visible characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::catalog::text::parse;

    fn group_at(text: &str, ip: &str) -> Result<String, String> {
        let catalog = parse(text.as_bytes())?.to_catalog()?;
        Ok(catalog.group_of(ip.parse().unwrap()).to_string())
    }

    fn row_a(cidrs: &str) -> String {
        format!("[[group]]\nname = 'Row A'\ncidrs = [{cidrs}]\n")
    }

    #[test]
    fn catalogue_names_groups() {
        let text =
            row_a("'10.1.0.0/24', '2001:db8:1::/64'") + "[[group]]\nname='Bar'\ncidrs=['10.1.0.8/32']\n";
        for (ip, group) in [
            ("10.1.0.7", "Row A"),
            ("2001:db8:1::7", "Row A"),
            ("10.1.0.8", "Bar"),
            ("10.2.0.7", "10.2.0.0/24"),
        ] {
            assert_eq!(group_at(&text, ip).as_deref(), Ok(group), "{ip}");
        }
    }

    #[test]
    fn mapped_network_is_its_ipv4_network() {
        assert_eq!(group_at(&row_a("'::ffff:10.1.0.0/120'"), "10.1.0.7").as_deref(), Ok("Row A"));
        let twice = group_at(&row_a("'::ffff:10.1.0.0/120', '10.1.0.0/24'"), "10.1.0.7");
        assert!(twice.is_err_and(|error| error.contains("10.1.0.0/24 is listed twice")));
    }

    #[test]
    fn mistakes_in_networks_name_their_line() {
        for (cidr, part) in [
            ("'10.1.0.0/33'", "is no network"),
            ("'10.1.0.0'", "is no network"),
            ("'10.1.0.7/24'", "write 10.1.0.0/24"),
            ("7", "expected a string"),
        ] {
            let error = group_at(&row_a(cidr), "10.1.0.7").unwrap_err();
            assert!(error.contains("line 3,") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn mistakes_in_groups_are_reported() {
        let named = |name: &str| format!("[[group]]\nname='{name}'\ncidrs=['10.2.0.0/24']\n");
        for (text, part) in [
            (row_a("'10.1.0.0/24'") + &row_a("'10.2.0.0/24'"), "the group Row A is listed twice"),
            (row_a("'10.2.0.0/24'") + &named("B"), "in the groups Row A and B"),
            (row_a(""), "has no network"),
            (named(""), "one line of 1 to 32"),
            (named(&"x".repeat(33)), "one line of 1 to 32"),
            ("[[group]]\nname=\"a\\nb\"\ncidrs=['10.2.0.0/24']".to_owned(), "one line"),
            ("[[group]]\nname='A'".to_owned(), "cidrs"),
            (row_a("'10.1.0.0/24'") + "colour='red'", "colour"),
        ] {
            let error = group_at(&text, "10.1.0.7").unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
