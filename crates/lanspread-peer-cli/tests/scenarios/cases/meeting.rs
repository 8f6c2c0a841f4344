//! Peers that meet: start, handshake, aggregated libraries, leaving and identity.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use lanspread_api::event::LossCode;
use lanspread_api::reply::Availability;
use lanspread_api::{ErrorCode, Event, Line, ReplyData, Request};
use lanspread_net::NetEvent;
use lanspread_types::message::Message;

use super::flow::require_no_trace;
use crate::games::{Game, fixture_games};
use crate::lab::Lab;
use crate::log::Mark;
use crate::peer::{Peer, advertised};
use crate::scenario::{Body, EVERYWHERE, LabKind, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::stranger::Stranger;
use crate::unit;
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S1",
        title: "startup scan",
        claim: "A peer that starts says who and where it is, and only once it has read its whole library",
        setup: "alpha alone, with the fixtures' catalogue",
        expected: "`local-peer-ready` with id, address and 3 games; `local-library-changed` with exactly these; each downloaded, not installed, `Ready`, in the catalogue's version; nothing else listed as being here",
        sabotages: &[
            Sabotage::new("scan-skip-first-game", &["game_count in local-peer-ready"]),
            Sabotage::new("scan-claim-installed", &["is not shown as downloaded, ready and not installed"]),
            Sabotage::new("ready-wrong-count", &["game_count in local-peer-ready"]),
            Sabotage::new("forget-library-event", &["no local-library-changed"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(startup_scan),
    },
    Scenario {
        id: "S2",
        title: "direct handshake is mutual",
        claim: "After one `connect`, both peers know each other and each other's games",
        setup: "alpha connects to bravo",
        expected: "each has exactly one peer, the other one, at the address that it listens on; alpha sees bravo's 4 games, bravo alpha's 3; `peer-connected` exactly once at each",
        sabotages: &[
            Sabotage::new("forget-library-snapshot", &["alpha sees exactly its"]),
            Sabotage::new("listen-port-from-socket", &["where bravo sees alpha"]),
            Sabotage::new("drop-event-peer-connected", &["the peer-connected events of alpha"]),
            Sabotage::new("duplicate-event", &["the peer-connected events of alpha"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(mutual_handshake),
    },
    Scenario {
        id: "S3",
        title: "aggregation",
        claim: "The libraries of all peers form one list, with each game once and the number of its sources",
        setup: "client connects to alpha and bravo",
        expected: "every game of both exactly once, `ggoo` with `peer_count` 2, all others with 1, nothing downloaded",
        sabotages: &[
            Sabotage::new("lie-about-peer-count", &["the sources of each game"]),
            Sabotage::new("list-games-per-peer", &["how many games are listed, each once"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(aggregation),
    },
    Scenario {
        id: "S10",
        title: "a peer leaves politely",
        claim: "A peer that says goodbye counts as gone at once",
        setup: "client is connected to alpha and bravo; bravo gets `shutdown`",
        expected: "within 2 s of bravo's answer the client prints `peer-lost` with `goodbye` and lists alpha only; bravo's own games are no longer offered, `ggoo` has one source; bravo's process ends with success",
        sabotages: &[
            Sabotage::new("forget-goodbye", &["why the client lost bravo"]),
            Sabotage::new("keep-lost-library", &["client no longer shows bfbc2 as offered"]),
            Sabotage::new("keep-lost-count", &["client shows ggoo as offered by"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(polite_leave),
    },
    Scenario {
        id: "S11",
        title: "restart keeps identity",
        claim: "A peer keeps its identity at another address, because its key identifies it",
        setup: "client is connected to bravo; bravo shuts down, starts again on the same folders, and is connected again; then (not in containers or on Windows) bravo hangs (SIGSTOP) and starts anew with the same key at another address, and is connected while the client still lists it at the old one",
        expected: "the same peer id; after the shutdown bravo leaves the client's list within 5 s; after each start one entry, at the new address, with the same library; the second time no `peer-lost` and no `peer-connected`",
        sabotages: &[
            Sabotage::new("new-identity-each-start", &["the peer id after the restart"]),
            Sabotage::new("keep-stale-peer", &["the client loses bravo"]).at("client"),
            Sabotage::new("keep-duplicate-connections", &["how often the client lists bravo"]).at("client"),
            Sabotage::new("keep-old-address", &["where the client sees bravo"]).at("client"),
        ],
        labs: EVERYWHERE,
        body: Body::Run(restart_keeps_identity),
    },
    Scenario {
        id: "S27",
        title: "no self connection",
        claim: "A peer never counts itself among its peers",
        setup: "alpha listens on every address and connects to its own under several names; the protocol's own guard is a unit test, demanded by name",
        expected: "each refused with `own-address`, no peer, no `peer-connected` in the whole window; `connect::handshake::tests::inbound_hello_from_self_is_ignored` ok, in containers only this",
        sabotages: &[
            Sabotage::new("accept-self", &["instead of refusing it"]),
            Sabotage::new("accept-own-key", &["inbound_hello_from_self_is_ignored is not ok"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(no_self_connection),
    },
    Scenario {
        id: "S28",
        title: "address change without restart",
        claim: "A known identity at a new address is the same peer",
        setup: "unit test, demanded by name",
        expected: "`roster::tests::a_known_identity_at_a_new_address_keeps_its_library` ok",
        sabotages: &[
            Sabotage::new(
                "forget-known-library",
                &["a_known_identity_at_a_new_address_keeps_its_library is not ok"],
            ),
            Sabotage::new(
                "keep-old-address",
                &["a_known_identity_at_a_new_address_keeps_its_library is not ok"],
            ),
        ],
        labs: EVERYWHERE,
        body: Body::Run(address_change),
    },
    Scenario {
        id: "S29",
        title: "full mesh",
        claim: "Peers that all connect to each other, some of them twice, agree on who is there",
        setup: "6 peers with a game of their own and a common one; every one connects to every other, all at the same time, so that many connections are doubled; then (in the lab `local`) a stranger with one key connects to each of them twice",
        expected: "each sees exactly the 5 others with their games, and the same aggregate: own games with 1 source, the common one with 5; no peer is ever listed twice; of the stranger's two connections, of which each is greeted, one entry comes",
        sabotages: &[
            Sabotage::new("keep-duplicate-connections", &["lists a peer twice", "lists the stranger twice"]),
            Sabotage::new("lie-about-peer-count", &["the games that peer0 lists, with their sources"]),
        ],
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

/// Returns the version in a line of a `version.ini`: bare, or the value of an INI entry.
fn stated(line: &str) -> &str {
    line.rsplit('=').next().unwrap_or(line).trim()
}

fn startup_scan(lab: &Lab) -> Outcome {
    let alpha = lab.peer("alpha")?.fixture("alpha")?.fixture_catalog().start()?;
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
    for game in ALPHA {
        alpha.await_served(game)?;
    }

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
        let id = &game.game_id;
        let ready = game.downloaded && !game.installed && game.availability == Availability::Ready;
        require!(ready, "{id} is not shown as downloaded, ready and not installed\n  {game:?}");
        let described = game.size > 0 && game.content_id.is_some() && game.peer_count == 0;
        require!(described, "{id} is not shown with its size, its content and no other source\n  {game:?}");
        let version = std::fs::read_to_string(alpha.game_dir(&game.game_id).join("version.ini"))?;
        let local = game.local_version.clone().unwrap_or_default();
        require!(
            version.lines().any(|line| stated(line) == local),
            "the version of {id} is not that of its file\n  {game:?}\n  {version:?}"
        );
        require_eq!(Some(local), game.eti_game_version, "the version of {id} by the catalogue");
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

/// Longest time from the answer to `shutdown` to the loss at another peer.
const POLITE: Duration = Duration::from_secs(2);

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
    let (lost, code) = client.await_event(since, "peer-lost of bravo", |event| match event {
        Event::PeerLost { peer_id, code, .. } if *peer_id == bravo_id => Some(*code),
        _ => None,
    })?;
    require_eq!(code, LossCode::Goodbye, "why the client lost bravo");
    // Compares the times at which the lab read both lines. The end of bravo's process would be too late a reference: it
    // may come long after bravo's answer.
    let answer = |line: &Line| match line {
        Line::Result(result) if matches!(result.reply, ReplyData::Shutdown(_)) => Some(()),
        _ => None,
    };
    let answered = bravo.log().first(Mark(0), answer).and_then(|(mark, ())| bravo.log().at(mark));
    let (Some(answered), Some(lost)) = (answered, client.log().at(lost)) else {
        fail!("bravo did not answer shutdown")
    };
    let late = lost.saturating_sub(answered);
    require!(late <= POLITE, "the client lost bravo {} ms after bravo's answer", late.as_millis());
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
    // Five seconds prove that the client got bravo's goodbye: it would notice mere silence only later.
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
    // In a container the process is a child of the engine, and Windows has no SIGSTOP.
    if lab.kind() == LabKind::Container || cfg!(windows) {
        return Ok(());
    }
    starts_anew_while_listed(lab, &client, &bravo)
}

/// Suspends bravo and starts a second process with bravo's key at another address, while the client still lists bravo.
fn starts_anew_while_listed(lab: &Lab, client: &Peer, bravo: &Peer) -> Outcome {
    let spec = lab.peer("bravo-anew")?.fixture("bravo")?.fixture_catalog();
    let (new, old) = (spec.games_dir().with_file_name("state"), bravo.games_dir().with_file_name("state"));
    std::fs::create_dir_all(&new)?;
    std::fs::copy(old.join(KEY_FILE), new.join(KEY_FILE))?;
    let anew = spec.start()?;
    require_eq!(anew.id(), bravo.id(), "the peer id of a start with the same key");
    for game in BRAVO {
        anew.await_served(game)?;
    }
    let since = client.mark();
    // The old process is suspended, so that it keeps its connection open and does not react when the connection is
    // replaced.
    let Some(process) = bravo.process_id() else { fail!("bravo does not run") };
    let stopped = std::process::Command::new("kill").args(["-STOP", &process.to_string()]).status()?;
    require!(stopped.success(), "bravo cannot be stopped");
    client.connect(&anew)?;
    let listed = client.peers()?.iter().filter(|peer| peer.peer_id == bravo.id()).count();
    require_eq!(listed, 1, "how often the client lists bravo");
    require_eq!(client.peers()?[0].addr, anew.addr()?, "where the client sees bravo");
    client.await_peers(&[(&anew, &BRAVO)])?;
    client.await_offered("cnctw", 1)?;
    anew.await_peers(&[(client, &[])])?;
    let moved = |e: &Event| matches!(e, Event::PeerConnected { .. } | Event::PeerLost { .. });
    client.require_none(since, "a change among its peers", moved)?;
    bravo.kill();
    Ok(())
}

/// File with the key in a state folder.
const KEY_FILE: &str = "identity.key";

fn no_self_connection(lab: &Lab) -> Outcome {
    // The names of a container's own addresses depend on the engine.
    if lab.kind() != LabKind::Container {
        refuses_itself(lab)?;
    }
    unit::require_ok(lab, "lanspread-net", "connect::handshake::tests::inbound_hello_from_self_is_ignored")
}

/// Lets a peer that listens on every address connect to its own.
fn refuses_itself(lab: &Lab) -> Outcome {
    let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let alpha = lab.peer("alpha")?.game(&Game::blob("ggoo", 1, 1000))?.listen(any).start()?;
    let since = alpha.mark();
    let port = alpha.addr()?.port();
    // The peer can tell that the first address is its own. For the others, only the handshake can show it.
    let own = [alpha.addr()?.ip(), Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 1, 2, 3).into()];
    for ip in own.into_iter().filter(|ip| !ip.is_unspecified()) {
        alpha.refuses(&Request::Connect { addr: SocketAddr::new(ip, port) }, ErrorCode::OwnAddress)?;
        require!(alpha.peers()?.is_empty(), "alpha is its own peer by way of {ip}");
    }
    alpha.await_served("ggoo")?;
    require_eq!(alpha.game("ggoo")?.map(|g| g.peer_count), Some(0), "the sources of alpha's own game");
    alpha.require_none(since, "a connected peer", |e| matches!(e, Event::PeerConnected { .. }))
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
            let ids: BTreeSet<_> = found.iter().map(|p| p.peer_id.clone()).collect();
            require_eq!(
                ids.len(),
                found.len(),
                "{} lists a peer twice, the peers and the entries",
                peer.name()
            );
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
    // Whether two peers have dialled each other at the same time so far depends on chance. This certainly gives each
    // peer a second connection with the same key.
    if lab.kind() == LabKind::Local {
        for peer in &peers {
            doubled_connection_is_one_entry(peer)?;
        }
    }
    Ok(())
}

/// Connects to the peer twice with the same key, and requires that the peer lists one entry. The second connection is
/// complete once the peer has sent its library over it.
fn doubled_connection_is_one_entry(peer: &Peer) -> Outcome {
    let mut stranger = Stranger::enter(peer.addr()?, Ipv4Addr::new(127, 29, 0, 1).into(), "mallory")?;
    let (first, victim, id) = (stranger.conn(), stranger.victim_id(), stranger.id().to_string());
    let entries = || -> Outcome<usize> { Ok(peer.peers()?.iter().filter(|p| p.peer_id == id).count()) };
    eventually(&format!("{} lists the stranger", peer.name()), || {
        let entries = entries()?;
        Ok(seen_if(entries == 1, || format!("{entries} entries")))
    })?;
    stranger.meet(peer.addr()?);
    let mut second = None;
    stranger.await_event("the library over its second connection", |event| match event {
        NetEvent::Connected { conn, peer, .. } if peer == victim && conn != first => {
            second = Some(conn);
            None
        }
        NetEvent::Message { conn, message: Message::Library(_) } if second == Some(conn) => Some(()),
        _ => None,
    })?;
    let entries = entries()?;
    require!(entries != 2, "{} lists the stranger twice", peer.name());
    require_eq!(entries, 1, "the entries of the stranger at {}", peer.name());
    Ok(())
}
