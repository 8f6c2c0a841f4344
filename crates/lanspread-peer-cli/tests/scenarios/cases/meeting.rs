//! Peers meet: start, handshake, aggregation, leaving, identity.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanspread_api::event::LossCode;
use lanspread_api::reply::Availability;
use lanspread_api::{ErrorCode, Event, Request};

use super::flow::require_no_trace;
use crate::games::{Game, fixture_games};
use crate::lab::Lab;
use crate::log::Mark;
use crate::peer::{Peer, advertised};
use crate::scenario::{Body, EVERYWHERE, LabKind, Outcome, Scenario, fail, require, require_eq};
use crate::unit;
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S1",
        title: "startup scan",
        claim: "A peer that starts states who and where it is, and has read its whole library",
        setup: "alpha alone, with the fixtures' catalogue",
        expected: "`local-peer-ready` with id, address and 3 games; `local-library-changed` with exactly these; each downloaded, not installed, `Ready`, in the catalogue's version; nothing else listed as being here",
        sabotages: &[
            "scan-skip-first-game",
            "scan-claim-installed",
            "ready-wrong-count",
            "forget-library-event",
        ],
        labs: EVERYWHERE,
        body: Body::Run(startup_scan),
    },
    Scenario {
        id: "S2",
        title: "direct handshake is mutual",
        claim: "One `connect` makes both sides know each other and each other's games",
        setup: "alpha connects to bravo",
        expected: "each has exactly one peer, the other one, at the address that it listens on; alpha sees bravo's 4 games, bravo alpha's 3; `peer-connected` exactly once at each",
        sabotages: &[
            "forget-library-snapshot",
            "listen-port-from-socket",
            "drop-event-peer-connected",
            "duplicate-event",
        ],
        labs: EVERYWHERE,
        body: Body::Run(mutual_handshake),
    },
    Scenario {
        id: "S3",
        title: "aggregation",
        claim: "The libraries of all peers show as one, each game once, with the number of its sources",
        setup: "client connects to alpha and bravo",
        expected: "every game of both exactly once, `ggoo` with `peer_count` 2, all others with 1, nothing downloaded",
        sabotages: &["lie-about-peer-count", "list-games-per-peer"],
        labs: EVERYWHERE,
        body: Body::Run(aggregation),
    },
    Scenario {
        id: "S10",
        title: "a peer leaves politely",
        claim: "A goodbye is believed at once",
        setup: "client is connected to alpha and bravo; bravo gets `shutdown`",
        expected: "within 2 s of bravo's answer the client prints `peer-lost` with `goodbye` and lists alpha only; bravo's own games are no longer offered, `ggoo` has one source; bravo's process ends with success",
        sabotages: &["forget-goodbye", "keep-lost-library", "keep-lost-count"],
        labs: EVERYWHERE,
        body: Body::Run(polite_leave),
    },
    Scenario {
        id: "S11",
        title: "restart keeps identity",
        claim: "A peer is who its key says, whatever its address",
        setup: "client is connected to bravo; bravo shuts down, starts again on the same folders, and is connected again",
        expected: "the same peer id, one entry, the same library",
        sabotages: &["new-identity-each-start", "keep-stale-peer"],
        labs: EVERYWHERE,
        body: Body::Run(restart_keeps_identity),
    },
    Scenario {
        id: "S27",
        title: "no self connection",
        claim: "A peer never counts itself among its peers",
        setup: "alpha listens on every address and connects to its own under several names; the protocol's own guard is a unit test, demanded by name",
        expected: "each refused with `own-address`, no peer, no `peer-connected` in the whole window; `handshake::tests::inbound_hello_from_self_is_ignored` ok",
        sabotages: &["accept-self", "accept-own-key"],
        labs: &[LabKind::Local, LabKind::Netns],
        body: Body::Run(no_self_connection),
    },
    Scenario {
        id: "S28",
        title: "address change without restart",
        claim: "A known identity at a new address is the same peer",
        setup: "unit test, demanded by name",
        expected: "`roster::tests::a_known_identity_at_a_new_address_keeps_its_library` ok",
        sabotages: &["forget-known-library", "keep-old-address"],
        labs: EVERYWHERE,
        body: Body::Run(address_change),
    },
    Scenario {
        id: "S29",
        title: "full mesh",
        claim: "Many connections, also doubled ones, end in one picture",
        setup: "6 peers with a game of their own and a common one; every one connects to every other, all at the same time, so that many connections are doubled",
        expected: "each sees exactly the 5 others with their games, and the same aggregate: own games with 1 source, the common one with 5",
        sabotages: &["keep-duplicate-connections", "lie-about-peer-count"],
        labs: EVERYWHERE,
        body: Body::Run(full_mesh),
    },
];

const ALPHA: [&str; 3] = ["alienswarm", "bf1942", "ggoo"];
const BRAVO: [&str; 4] = ["bfbc2", "cnc4", "cnctw", "ggoo"];

fn fixture_peer(lab: &Lab, name: &str, games: &[&str]) -> Outcome<Peer> {
    let found = fixture_games(name)?;
    require_eq!(found, games, "the games of the fixture folder {name}");
    let peer = lab.peer(name)?.fixture(name)?.fixture_catalog().start()?;
    for game in games {
        peer.await_served(game)?;
    }
    Ok(peer)
}

fn client(lab: &Lab) -> Outcome<Peer> {
    lab.peer("client")?.fixture_catalog().start()
}

/// The version that a line of a `version.ini` states: bare, or as an INI value.
fn stated(line: &str) -> &str {
    line.rsplit('=').next().unwrap_or(line).trim()
}

fn startup_scan(lab: &Lab) -> Outcome {
    let alpha = fixture_peer(lab, "alpha", &ALPHA)?;
    let ready = alpha.find_event(Mark(0), |event| match event {
        Event::LocalPeerReady { peer_id, name, addr, game_count } => {
            Some((peer_id.clone(), name.clone(), *addr, *game_count))
        }
        _ => None,
    });
    let Some((_, (peer_id, name, addr, game_count))) = ready else { fail!("no local-peer-ready") };
    require!(
        peer_id.len() == 64 && peer_id.bytes().all(|b| b.is_ascii_hexdigit()),
        "{peer_id:?} is no peer id"
    );
    let status = alpha.status()?;
    require_eq!(
        (&peer_id, &name, addr),
        (&status.peer_id, &status.name, status.addr),
        "what local-peer-ready states"
    );
    require!(addr.port() != 0 && name == "alpha", "{name} at {addr} is not what alpha was started as");
    require_eq!(game_count, ALPHA.len(), "game_count in local-peer-ready");

    let changed = |event: &Event| match event {
        Event::LocalLibraryChanged { games, ignored } => Some((games.clone(), ignored.len())),
        _ => None,
    };
    let Some(last) = alpha.events_since(Mark(0)).iter().filter_map(changed).next_back() else {
        fail!("no local-library-changed")
    };
    let games: BTreeSet<&str> = last.0.iter().map(String::as_str).collect();
    require_eq!(games, BTreeSet::from(ALPHA), "the games in local-library-changed");
    require_eq!(
        (last.0.len(), last.1),
        (ALPHA.len(), 0),
        "games and ignored folders in local-library-changed"
    );

    let here: Vec<_> = alpha.games()?.into_iter().filter(|g| g.downloaded || g.installed).collect();
    let ids: Vec<&str> = here.iter().map(|g| g.game_id.as_str()).collect();
    require_eq!(ids, ALPHA, "the games that list-games shows as being here");
    for game in &here {
        require!(game.downloaded && !game.installed && game.availability == Availability::Ready, "{game:?}");
        require!(game.size > 0 && game.content_id.is_some() && game.peer_count == 0, "{game:?}");
        let version = std::fs::read_to_string(alpha.game_dir(&game.game_id).join("version.ini"))?;
        let local = game.local_version.clone().unwrap_or_default();
        require!(
            version.lines().any(|line| stated(line) == local),
            "{game:?}, but its file says {version:?}"
        );
        require_eq!(Some(local), game.eti_game_version, "the version of {} by the catalogue", game.game_id);
    }
    Ok(())
}

fn mutual_handshake(lab: &Lab) -> Outcome {
    let (alpha, bravo) = (fixture_peer(lab, "alpha", &ALPHA)?, fixture_peer(lab, "bravo", &BRAVO)?);
    require!(alpha.id() != bravo.id(), "two peers have the same id");
    let marks = (alpha.mark(), bravo.mark());
    alpha.connect(&bravo)?;
    alpha.await_peers(&[(&bravo, &BRAVO)])?;
    bravo.await_peers(&[(&alpha, &ALPHA)])?;
    for (peer, other, since) in [(&alpha, &bravo, marks.0), (&bravo, &alpha, marks.1)] {
        let seen = peer.peers()?;
        require_eq!(seen[0].addr, other.addr()?, "where {} sees {}", peer.name(), other.name());
        require_eq!(seen[0].name, other.name(), "how {} calls {}", peer.name(), other.name());
        require_eq!(seen[0].protocol, other.status()?.protocol, "the protocol that {} sees", peer.name());
        let connected = |event: &Event| match event {
            Event::PeerConnected { peer_id, .. } => Some(peer_id.clone()),
            _ => None,
        };
        let connected: Vec<String> = peer.events_since(since).iter().filter_map(connected).collect();
        require_eq!(connected, [other.id()], "the peer-connected events of {}", peer.name());
        peer.require_none(since, "a lost peer", |e| matches!(e, Event::PeerLost { .. }))?;
    }
    Ok(())
}

fn aggregation(lab: &Lab) -> Outcome {
    let (alpha, bravo) = (fixture_peer(lab, "alpha", &ALPHA)?, fixture_peer(lab, "bravo", &BRAVO)?);
    let client = client(lab)?;
    client.connect(&alpha)?;
    client.connect(&bravo)?;
    client.await_peers(&[(&alpha, &ALPHA), (&bravo, &BRAVO)])?;
    let games = client.games()?;
    let counts: BTreeMap<&str, usize> = games.iter().map(|g| (g.game_id.as_str(), g.peer_count)).collect();
    require_eq!(counts.len(), games.len(), "how many games are listed, each once");
    let mut expected: BTreeMap<&str, usize> = ALPHA.into_iter().chain(BRAVO).map(|g| (g, 1)).collect();
    expected.insert("ggoo", 2);
    require_eq!(counts, expected, "the sources of each game");
    require!(games.iter().all(|g| !g.downloaded && !g.installed), "the client has nothing: {games:?}");
    require!(games.iter().all(|g| g.availability == Availability::Remote && g.size > 0), "{games:?}");
    Ok(())
}

fn polite_leave(lab: &Lab) -> Outcome {
    let (alpha, bravo) = (fixture_peer(lab, "alpha", &ALPHA)?, fixture_peer(lab, "bravo", &BRAVO)?);
    let client = client(lab)?;
    client.connect(&alpha)?;
    client.connect(&bravo)?;
    client.await_peers(&[(&alpha, &ALPHA), (&bravo, &BRAVO)])?;
    client.await_offered("ggoo", 2)?;
    client.await_offered("cnctw", 1)?;
    let (since, bravo_id) = (client.mark(), bravo.id());
    bravo.shut_down()?;
    let polite = Duration::from_secs(2);
    let code = client.look(polite, "the client hears the goodbye", || {
        let lost = client.find_event(since, |event| match event {
            Event::PeerLost { peer_id, code, .. } if *peer_id == bravo_id => Some(*code),
            _ => None,
        });
        Ok(lost.map(|(_, code)| code).ok_or_else(|| "no peer-lost".to_owned()))
    })?;
    require_eq!(code, LossCode::Goodbye, "why the client lost bravo");
    client.await_peers(&[(&alpha, &ALPHA)])?;
    for game in BRAVO.into_iter().filter(|g| !ALPHA.contains(g)) {
        client.await_withdrawn(game)?;
    }
    client.await_offered("ggoo", 1)?;
    Ok(())
}

fn restart_keeps_identity(lab: &Lab) -> Outcome {
    let bravo = fixture_peer(lab, "bravo", &BRAVO)?;
    let client = client(lab)?;
    client.connect(&bravo)?;
    client.await_peers(&[(&bravo, &BRAVO)])?;
    let id = bravo.id();
    bravo.shut_down()?;
    // By its goodbye, not by its silence, which would take longer.
    client.look(Duration::from_secs(5), "the client loses bravo", || {
        let peers = client.peers()?;
        Ok(seen_if(peers.is_empty(), || format!("{peers:?}")))
    })?;
    bravo.restart()?;
    require_eq!(bravo.id(), id, "the peer id after the restart");
    require_eq!(bravo.status()?.peer_id, id, "the peer id in status after the restart");
    client.connect(&bravo)?;
    client.await_peers(&[(&bravo, &BRAVO)])?;
    require_eq!(client.peers()?[0].addr, bravo.addr()?, "where the client sees bravo");
    bravo.await_peers(&[(&client, &[])])?;
    client.await_offered("cnctw", 1)?;
    Ok(())
}

fn no_self_connection(lab: &Lab) -> Outcome {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let alpha = lab.peer("alpha")?.game(&Game::blob("ggoo", 1, 1000))?.listen(any).start()?;
    let since = alpha.mark();
    let port = alpha.addr()?.port();
    // The first is the address that it knows itself by; the others only the handshake can tell.
    let own = [alpha.addr()?.ip(), Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 1, 2, 3).into()];
    for ip in own.into_iter().filter(|ip| !ip.is_unspecified()) {
        alpha.refuses(&Request::Connect { addr: SocketAddr::new(ip, port) }, ErrorCode::OwnAddress)?;
        require!(alpha.peers()?.is_empty(), "alpha is its own peer by way of {ip}");
    }
    alpha.await_served("ggoo")?;
    require_eq!(alpha.game("ggoo")?.map(|g| g.peer_count), Some(0), "the sources of alpha's own game");
    alpha.require_none(since, "a connected peer", |e| matches!(e, Event::PeerConnected { .. }))?;
    unit::require_ok(lab, "lanspread-net", "handshake::tests::inbound_hello_from_self_is_ignored")
}

fn address_change(lab: &Lab) -> Outcome {
    unit::require_ok(
        lab,
        "lanspread-core",
        "roster::tests::a_known_identity_at_a_new_address_keeps_its_library",
    )
}

fn full_mesh(lab: &Lab) -> Outcome {
    let own: Vec<String> = (0..6).map(|n| format!("own{n}")).collect();
    let common = Game::blob("common", 99, 1000);
    let mut peers = Vec::new();
    for (n, game) in own.iter().enumerate() {
        let spec = lab.peer(&format!("peer{n}"))?.game(&Game::blob(game, n as u64, 1000))?.game(&common)?;
        let peer = spec.start()?;
        peer.await_served(game)?;
        peer.await_served("common")?;
        peers.push(peer);
    }
    std::thread::scope(|scope| {
        let all = &peers;
        let others =
            |from: &Peer| all.iter().filter(|to| to.id() != from.id()).try_for_each(|to| from.connect(to));
        let started: Vec<_> = all.iter().map(|from| scope.spawn(move || others(from))).collect();
        let mut ended = started.into_iter().map(|t| t.join().unwrap_or_else(|_| fail!("a thread panicked")));
        ended.try_for_each(|outcome| outcome)
    })?;
    for (n, peer) in peers.iter().enumerate() {
        eventually(&format!("{} sees the 5 others with their games", peer.name()), || {
            let found = peer.peers()?;
            let seen: BTreeSet<_> = found.iter().map(|p| (p.peer_id.clone(), advertised(p))).collect();
            let others = peers.iter().enumerate().filter(|(m, _)| *m != n);
            let with_games =
                |(m, p): (usize, &Peer)| (p.id(), BTreeSet::from([own[m].clone(), "common".to_owned()]));
            let wanted: BTreeSet<_> = others.map(with_games).collect();
            Ok(if seen == wanted && found.len() == 5 { Ok(()) } else { Err(format!("{found:?}")) })
        })?;
        let counts: BTreeMap<String, usize> =
            peer.games()?.into_iter().map(|g| (g.game_id, g.peer_count)).collect();
        let mut wanted: BTreeMap<String, usize> = own.iter().map(|g| (g.clone(), 1)).collect();
        wanted.insert(own[n].clone(), 0);
        wanted.insert("common".to_owned(), 5);
        require_eq!(counts, wanted, "the games that {} lists, with their sources", peer.name());
        require_no_trace(peer, &own[(n + 1) % 6])?;
    }
    Ok(())
}
