//! Peers that find each other without `connect`.

use lanspread_api::Event;
use lanspread_api::reply::FoundBy;

use super::flow::require_same_game;
use crate::games::Game;
use crate::lab::Lab;
use crate::manifest::Manifest;
use crate::peer::Peer;
use crate::scenario::{
    Body, EVERYWHERE, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq,
};
use crate::transfer::{Transfer, pieces_of};
use crate::wait::eventually;

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S30",
        title: "a chain of introductions",
        claim: "A peer that knows one other peer learns of all of them, and downloads from them",
        setup: "three peers with `--find introductions`, each with a game of its own; A connects to B, B connects to C, nobody else to anybody",
        expected: "A and C list each other, one found by introduction and the other the same way or because it was dialled; nobody twice; A downloads C's game, every byte from C",
        sabotages: &[
            Sabotage::new("forget-introductions", &["A did not learn of C from B"]),
            Sabotage::new("ignore-introductions", &["A did not learn of C from B"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(chain),
    },
    Scenario {
        id: "S52",
        title: "mDNS",
        claim: "Peers on one switch find each other without any address",
        setup: "three peers with `--find mdns`, one game; no `connect` at all; then one leaves and comes back",
        expected: "each lists exactly the two others, found by mDNS; one downloads the game; who leaves is gone from both lists and who comes back is the same peer",
        sabotages: &[
            Sabotage::new("mdns-announce-nothing", &["a did not find the others by mDNS"]),
            Sabotage::new("ignore-sightings", &["a did not find the others by mDNS"]),
        ],
        labs: &[LabKind::Netns],
        body: Body::Run(multicast),
    },
];

fn peer(lab: &Lab, name: &str, game: &str, find: &str) -> Outcome<Peer> {
    let peer = lab
        .peer(name)?
        .game(&Game::blob(game, u64::from(game.as_bytes()[0]), 300_000))?
        .arg("--find")
        .arg(find)
        .start()?;
    peer.await_served(game)?;
    Ok(peer)
}

/// Returns how `at` found `other`.
fn found_by(at: &Peer, other: &Peer) -> Outcome<Vec<FoundBy>> {
    let Some(found) = at.peers()?.into_iter().find(|p| p.peer_id == other.id()) else {
        fail!("{} does not list {}", at.name(), other.name())
    };
    Ok(found.found_by)
}

/// Returns the source if the event reports a chunk.
fn served_by(event: &Event) -> Option<String> {
    match event {
        Event::DownloadChunkFinished { peer_id, .. } => Some(peer_id.clone()),
        _ => None,
    }
}

fn chain(lab: &Lab) -> Outcome {
    let find = "introductions";
    let (a, b, c) =
        (peer(lab, "a", "aaa", find)?, peer(lab, "b", "bbb", find)?, peer(lab, "c", "ccc", find)?);
    let since = a.mark();
    a.connect(&b)?;
    b.connect(&c)?;
    a.await_peers(&[(&b, &["bbb"]), (&c, &["ccc"])])
        .map_err(|Failure(why)| Failure(format!("A did not learn of C from B: {why}")))?;
    b.await_peers(&[(&a, &["aaa"]), (&c, &["ccc"])])?;
    c.await_peers(&[(&a, &["aaa"]), (&b, &["bbb"])])?;
    let (forth, back) = (found_by(&a, &c)?, found_by(&c, &a)?);
    let known = |ways: &[FoundBy]| ways.iter().all(|w| matches!(w, FoundBy::Introduced | FoundBy::Inbound));
    require!(known(&forth) && known(&back), "A found C by {forth:?}, C found A by {back:?}");
    require!(
        forth.contains(&FoundBy::Introduced) || back.contains(&FoundBy::Introduced),
        "nobody was introduced: {forth:?}, {back:?}"
    );
    let connected = |event: &Event| match event {
        Event::PeerConnected { peer_id, .. } => Some(peer_id.clone()),
        _ => None,
    };
    let mut met: Vec<String> = a.events_since(since).iter().filter_map(connected).collect();
    met.sort();
    let mut others = [b.id(), c.id()];
    others.sort();
    require_eq!(met, others, "whom A met, each once");

    let since = a.mark();
    a.download("ccc", false)?;
    let game = a.await_game("ccc", "is downloaded", |g| g.downloaded)?;
    require!(game.size > 0, "{game:?}");
    let mut sources: Vec<String> = a.events_since(since).iter().filter_map(served_by).collect();
    sources.dedup();
    require_eq!(sources, [c.id()], "the peers that A's chunks came from");
    let all = pieces_of(&Manifest::root_files(&c.game_dir("ccc"))?);
    Transfer::since(&a, since, "ccc").require_exactly(&all)?;
    require_same_game(&a, &c, "ccc")
}

fn multicast(lab: &Lab) -> Outcome {
    let find = "mdns";
    let (a, b, c) =
        (peer(lab, "a", "aaa", find)?, peer(lab, "b", "bbb", find)?, peer(lab, "c", "ccc", find)?);
    a.await_peers(&[(&b, &["bbb"]), (&c, &["ccc"])])
        .map_err(|Failure(why)| Failure(format!("a did not find the others by mDNS: {why}")))?;
    b.await_peers(&[(&a, &["aaa"]), (&c, &["ccc"])])?;
    c.await_peers(&[(&a, &["aaa"]), (&b, &["bbb"])])?;
    for (at, other) in [(&a, &b), (&b, &c), (&c, &a)] {
        eventually(&format!("{} has seen {} by mDNS", at.name(), other.name()), || {
            let ways = found_by(at, other)?;
            Ok(if ways.contains(&FoundBy::Mdns) { Ok(()) } else { Err(format!("{ways:?}")) })
        })?;
    }
    a.download("bbb", false)?;
    a.await_game("bbb", "is downloaded", |g| g.downloaded)?;
    require_same_game(&a, &b, "bbb")?;

    let id = c.id();
    c.shut_down()?;
    a.await_peers(&[(&b, &["bbb"])])?;
    b.await_peers(&[(&a, &["aaa", "bbb"])])?;
    c.restart()?;
    require_eq!(c.id(), id, "the peer id after the restart");
    a.await_peers(&[(&b, &["bbb"]), (&c, &["ccc"])])
}
