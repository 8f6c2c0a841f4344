//! The room: who is connected, and why others are not.

use lanspread_api::reply::{FoundBy, OtherPeer, PeerInfo, PeerList};

use crate::show::Table;
use crate::show::table::Align::{Left, Right};

/// The answer of `lanspread peers`.
pub fn described(list: &PeerList) -> Vec<String> {
    let mut lines = if list.peers.is_empty() {
        vec!["Nobody else is here. `lanspread doctor` looks for the reason.".to_owned()]
    } else {
        connected(&list.peers)
    };
    if !list.others.is_empty() {
        lines.push(String::new());
        lines.push("Heard of, but not connected:".to_owned());
        lines.extend(others(&list.others));
    }
    lines
}

fn connected(peers: &[PeerInfo]) -> Vec<String> {
    let mut table = Table::new(&[
        ("PEER", Left),
        ("ADDRESS", Left),
        ("ID", Left),
        ("FOUND BY", Left),
        ("GAMES", Right),
        ("OFFERS", Left),
    ]);
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
    table.lines()
}

fn others(others: &[OtherPeer]) -> Vec<String> {
    let mut table =
        Table::new(&[("PEER", Left), ("ADDRESS", Left), ("ID", Left), ("FOUND BY", Left), ("WHY NOT", Left)]);
    for other in others {
        table.row([
            other.name.clone().unwrap_or_else(|| "?".to_owned()),
            other.addrs.first().map(ToString::to_string).unwrap_or_default(),
            other.peer_id.as_deref().map(short).unwrap_or_default().to_owned(),
            ways(&other.found_by),
            other.message.clone(),
        ]);
    }
    table.lines()
}

fn ways(found_by: &[FoundBy]) -> String {
    let words = found_by.iter().map(|means| match means {
        FoundBy::Typed => "typed",
        FoundBy::Mdns => "mdns",
        FoundBy::Broadcast => "broadcast",
        FoundBy::Introduced => "introduced",
        FoundBy::Remembered => "remembered",
        FoundBy::Inbound => "it came",
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The first few of many.
pub(super) fn shortened(names: &[&str], most: usize) -> String {
    match names.len().checked_sub(most) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{}, and {more} more", names[..most].join(", ")),
    }
}

/// The first eight digits of an id: enough to tell apart what stands in one list.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use lanspread_api::reply::AbsenceCode;

    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(shortened(&["a", "b"], 2), "a, b");
        assert_eq!(shortened(&["a", "b", "c"], 2), "a, b, and 1 more");
    }

    #[test]
    fn who_is_not_connected_is_shown_with_the_reason() {
        let other = OtherPeer {
            peer_id: Some("0123456789abcdef".to_owned()),
            name: Some("ada".to_owned()),
            addrs: vec!["192.168.1.7:24930".parse().unwrap()],
            found_by: vec![FoundBy::Mdns, FoundBy::Broadcast],
            reason: AbsenceCode::OtherVersion,
            message: "it speaks protocol version 2, this peer speaks 1".to_owned(),
            protocol: Some(2),
        };
        let lines = described(&PeerList { peers: Vec::new(), others: vec![other] });
        assert_eq!(
            lines[2..],
            [
                "Heard of, but not connected:",
                "PEER  ADDRESS            ID        FOUND BY         WHY NOT",
                "ada   192.168.1.7:24930  01234567  mdns, broadcast  it speaks protocol version 2, this peer speaks 1",
            ]
        );
        assert!(lines[0].contains("doctor"));
    }
}
