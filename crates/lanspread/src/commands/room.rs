//! Output of `lanspread room`: games, downloads and groups of the whole room, as tables.

use std::collections::BTreeMap;

use lanspread_api::reply::{CatalogInfo, CatalogMode, Guest, OfferedCatalog, Room, RoomGame, RoomGroup};

use super::peers::shortened;
use crate::show::table::Align::{Left, Right};
use crate::show::{Table, human};

/// Which catalogue counts, in a few words.
pub fn catalog_in_words(c: &CatalogInfo) -> String {
    let games = human::count(c.game_count, "game");
    let key = c.fingerprint.as_deref().unwrap_or_default();
    match c.mode {
        CatalogMode::Open => "none: all valid games are shown".to_owned(),
        CatalogMode::Unsigned => format!("an unsigned file: {games}"),
        CatalogMode::Signed => {
            format!("signed by {key}, edition {}: {games}", c.serial.unwrap_or_default())
        }
        CatalogMode::Awaited => format!("waiting for that of {key}; games are hidden until then"),
    }
}

/// An organiser whose catalogue the room offers, and how to trust it.
pub fn offered_in_words(offered: &OfferedCatalog) -> String {
    let title = offered.title.as_deref().map(|title| format!("\"{title}\", ")).unwrap_or_default();
    let from = match (offered.invited, offered.peers.first(), offered.peer_count) {
        (true, ..) => "named by your invitation".to_owned(),
        (false, Some(name), 1) => format!("by {name}"),
        (false, Some(name), n) => format!("by {name} and {}", human::count(n - 1, "other")),
        (false, None, _) => "by nobody here".to_owned(),
    };
    let print = &offered.fingerprint;
    format!(
        "{title}{print}, {from}. If the organiser reads out the same digits: lanspread catalog trust {print}"
    )
}

/// Returns the lines for people.
pub fn described(room: &Room, columns: Option<usize>) -> Vec<String> {
    let names: BTreeMap<&str, &str> =
        room.guests.iter().map(|g| (g.peer_id.as_str(), g.name.as_str())).collect();
    let mut lines = games(room).lines_within(columns);
    for game in &room.games {
        lines.extend(fetching(game, &names));
    }
    lines.extend(groups(&room.groups, columns));
    lines.extend(remarks(room, &names));
    lines
}

fn games(room: &Room) -> Table {
    let mut table = Table::new(&[
        ("GAME", Left),
        ("VERSION", Left),
        ("HAVE IT", Right),
        ("DOWNLOADING", Right),
        ("OTHER", Right),
        ("WITHOUT", Right),
        ("LAST DONE", Left),
    ]);
    for g in &room.games {
        let last = match (g.last_ready_seconds, g.fetching.is_empty()) {
            (_, true) => "-".to_owned(),
            (Some(seconds), false) => format!("in {}", human::millis(seconds.saturating_mul(1000))),
            (None, false) => "unknown: a download is stalled".to_owned(),
        };
        table.row([
            g.game_id.clone(),
            g.eti_version.clone().unwrap_or_else(|| "?".to_owned()),
            g.ready.len().to_string(),
            g.fetching.len().to_string(),
            g.other.len().to_string(),
            g.without.len().to_string(),
            last,
        ]);
    }
    table
}

fn name<'a>(names: &BTreeMap<&str, &'a str>, id: &'a str) -> &'a str {
    names.get(id).copied().unwrap_or(id)
}

fn fetching(game: &RoomGame, names: &BTreeMap<&str, &str>) -> Vec<String> {
    let fetch = |f: &lanspread_api::reply::Fetching| {
        let left = f.seconds_left.map_or("waiting".to_owned(), |s| {
            format!("{}/s, {} left", human::bytes(f.bytes_per_second), human::millis(s.saturating_mul(1000)))
        });
        let percent = human::percent(f.done_bytes, f.total_bytes.max(1));
        format!("{} downloads {}: {percent} %, {left}", name(names, &f.peer_id), game.game_id)
    };
    let other = |o: &lanspread_api::reply::OtherCopy| {
        let what = if o.same_version {
            format!("different files for version {}", o.eti_version)
        } else {
            format!("version {}", o.eti_version)
        };
        format!("{} has {what} of {}", name(names, &o.peer_id), game.game_id)
    };
    game.fetching.iter().map(fetch).chain(game.other.iter().map(other)).collect()
}

/// Table of the groups, if there are several.
fn groups(groups: &[RoomGroup], columns: Option<usize>) -> Vec<String> {
    if groups.len() < 2 {
        return Vec::new();
    }
    let mut table =
        Table::new(&[("GROUP", Left), ("PEERS", Right), ("RECEIVED", Right), ("FROM OTHER GROUPS", Right)]);
    for g in groups {
        table.row([
            g.name.clone(),
            g.peers.to_string(),
            human::bytes(g.received_bytes),
            human::bytes(g.from_other_groups_bytes),
        ]);
    }
    table.lines_within(columns)
}

fn remarks(room: &Room, names: &BTreeMap<&str, &str>) -> Vec<String> {
    let told = |what: &str, is: fn(&Guest) -> bool| {
        let who: Vec<&str> = room.guests.iter().filter(|g| is(g)).map(|g| name(names, &g.peer_id)).collect();
        (!who.is_empty()).then(|| format!("{what}: {}", shortened(&who, 12)))
    };
    let everybody = Some(format!("In the room: {}", human::count(room.guests.len(), "peer")));
    let lines = [
        everybody,
        told("Outdated catalogue", |g| g.behind),
        told("No answer from", |g| g.silent),
        told("Accept requests automatically", |g| g.accepts_wants),
        (room.games_left_out > 0)
            .then(|| format!("Not shown: {} that few peers have", human::count(room.games_left_out, "game"))),
    ];
    lines.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use lanspread_api::reply::{Fetching, OtherCopy};

    use super::*;

    #[test]
    fn room_at_a_glance() {
        let guest = |id: &str, name: &str| Guest {
            peer_id: id.to_owned(),
            name: name.to_owned(),
            group: "Row A".to_owned(),
            silent: id == "c",
            catalog_serial: Some(1),
            behind: id == "b",
            accepts_wants: false,
        };
        let game = RoomGame {
            game_id: "ggoo".to_owned(),
            title: None,
            eti_version: Some("20250101".to_owned()),
            content_id: None,
            ready: vec!["a".to_owned()],
            other: vec![OtherCopy {
                peer_id: "c".to_owned(),
                eti_version: "20240101".to_owned(),
                content_id: String::new(),
                same_version: false,
            }],
            fetching: vec![Fetching {
                peer_id: "b".to_owned(),
                eti_version: "20250101".to_owned(),
                done_bytes: 50_000_000,
                total_bytes: 100_000_000,
                bytes_per_second: 10_000_000,
                seconds_left: Some(5),
            }],
            without: Vec::new(),
            last_ready_seconds: Some(5),
        };
        let room = Room {
            guests: vec![guest("a", "ann"), guest("b", "bob"), guest("c", "cem")],
            groups: vec![row("Row A", 3)],
            games: vec![game],
            games_left_out: 0,
        };
        let lines = described(&room, None);
        assert!(
            lines[1].starts_with("ggoo  20250101        1            1      1        0  in 5"),
            "{lines:?}"
        );
        assert!(lines[2].starts_with("bob downloads ggoo: 50 %, 10 MB/s"), "{lines:?}");
        assert_eq!(lines[3], "cem has version 20240101 of ggoo");
        assert_eq!(&lines[4..], ["In the room: 3 peers", "Outdated catalogue: bob", "No answer from: cem"]);
    }

    fn row(name: &str, peers: usize) -> RoomGroup {
        let (received_bytes, from_other_groups_bytes) = (12_000_000_000, 512_000_000);
        RoomGroup { name: name.to_owned(), peers, received_bytes, from_other_groups_bytes }
    }

    #[test]
    fn groups_fit_a_terminal_from_two_groups_on() {
        let long = row(&"x".repeat(32), 512);
        assert!(groups(&[row("Row A", 3)], None).is_empty(), "one switch");
        let lines = groups(&[row("10.1.0.0/24", 3), long], None);
        assert!(lines[0].starts_with("GROUP ") && lines[0].ends_with(" PEERS  RECEIVED  FROM OTHER GROUPS"));
        assert!(
            lines[1].starts_with("10.1.0.0/24 ") && lines[1].ends_with(" 3     12 GB             512 MB")
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
    }
}
