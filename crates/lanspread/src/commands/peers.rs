//! Output of `lanspread peers`: the connected peers, and why others are not connected.

use lanspread_api::reply::{FoundBy, OtherPeer, PeerInfo, PeerList};

use crate::show::Table;
use crate::show::table::Align::{Left, Right};

/// Returns the lines for people.
pub fn described(list: &PeerList, columns: Option<usize>) -> Vec<String> {
    let mut lines = if list.peers.is_empty() {
        vec!["Nobody else is here. `lanspread doctor` finds out why.".to_owned()]
    } else {
        connected(&list.peers, columns)
    };
    if !list.others.is_empty() {
        lines.push(String::new());
        lines.push("Seen, not connected:".to_owned());
        lines.extend(others(&list.others, columns));
    }
    lines
}

fn connected(peers: &[PeerInfo], columns: Option<usize>) -> Vec<String> {
    let mut table = Table::new(&[
        ("PEER", Left),
        ("ADDRESS", Left),
        ("ID", Left),
        ("FOUND BY", Left),
        ("GAMES", Right),
        ("OFFERS", Left),
    ])
    .whole(1);
    for peer in peers {
        let offers: Vec<&str> = peer.games.iter().map(|g| g.game_id.as_str()).collect();
        table.row([
            peer.name.clone(),
            peer.addr.to_string(),
            short(&peer.peer_id).to_owned(),
            ways(&peer.found_by),
            peer.games.len().to_string(),
            shortened(&offers, 6),
        ]);
    }
    table.lines_within(columns)
}

fn others(others: &[OtherPeer], columns: Option<usize>) -> Vec<String> {
    let mut table =
        Table::new(&[("PEER", Left), ("ADDRESS", Left), ("ID", Left), ("FOUND BY", Left), ("WHY NOT", Left)])
            .whole(1)
            .whole(4);
    for other in others {
        table.row([
            other.name.clone().unwrap_or_else(|| "?".to_owned()),
            other.addrs.first().map(ToString::to_string).unwrap_or_default(),
            other.peer_id.as_deref().map(short).unwrap_or_default().to_owned(),
            ways(&other.found_by),
            other.message.clone(),
        ]);
    }
    table.lines_within(columns)
}

fn ways(found_by: &[FoundBy]) -> String {
    let words = found_by.iter().map(|means| match means {
        FoundBy::Typed => "typed",
        FoundBy::Mdns => "mdns",
        FoundBy::Broadcast => "broadcast",
        FoundBy::Introduced => "introduced",
        FoundBy::Remembered => "remembered",
        FoundBy::Inbound => "connected to us",
    });
    words.collect::<Vec<_>>().join(", ")
}

/// Joins the first `most` names and counts the rest.
pub(super) fn shortened(names: &[&str], most: usize) -> String {
    match names.len().checked_sub(most) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{}, and {more} more", names[..most].join(", ")),
    }
}

/// First eight digits of an id: enough to tell the peers of one list apart.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use lanspread_api::reply::AbsenceCode;

    use super::*;

    fn incompatible() -> OtherPeer {
        OtherPeer {
            peer_id: Some("0123456789abcdef".to_owned()),
            name: Some("ada".to_owned()),
            addrs: vec!["192.168.1.7:24930".parse().unwrap()],
            found_by: vec![FoundBy::Mdns, FoundBy::Broadcast],
            reason: AbsenceCode::OtherVersion,
            message: "it speaks protocol version 2, this peer speaks 1".to_owned(),
            protocol: Some(2),
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(shortened(&["a", "b"], 2), "a, b");
        assert_eq!(shortened(&["a", "b", "c"], 2), "a, b, and 1 more");
    }

    #[test]
    fn peers_fit_into_a_narrow_terminal() {
        let other = incompatible();
        for columns in [80, 40] {
            let lines = others(std::slice::from_ref(&other), Some(columns));
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:?}");
            let text = lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(&other.message), "{text}");
        }
    }

    #[test]
    fn unconnected_peers_are_shown_with_the_reason() {
        let lines = described(&PeerList { peers: Vec::new(), others: vec![incompatible()] }, None);
        assert_eq!(
            lines[2..],
            [
                "Seen, not connected:",
                "PEER  ADDRESS            ID        FOUND BY         WHY NOT",
                "ada   192.168.1.7:24930  01234567  mdns, broadcast  it speaks protocol version 2, this peer speaks 1",
            ]
        );
        assert!(lines[0].contains("doctor"));
    }
}
