//! The relay line when a peer in it is lost, hangs or lies.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lanspread_api::Event;
use lanspread_net::NetEvent;
use lanspread_types::message::{Message, PlaceWanted, Request, RequestId, Response};
use lanspread_types::{ChunkIndex, ContentId};

use super::flow::{
    CHUNK, MIB, await_chunks, await_chunks_from, await_finished, require_no_failure, require_same_game,
};
use super::line::{click, copies_sent, finished, line_up, room};
use crate::figures;
use crate::games::{CatalogFile, Game};
use crate::lab::Lab;
use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, LabKind, Outcome, Sabotage, Scenario, fail, require};
use crate::stranger::Stranger;
use crate::transfer::{Transfer, pieces_of};
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "S80",
        title: "a guest in the middle hangs",
        claim: "A guest that hangs without closing its connections does not hold up those behind it",
        setup: "1 seed and 4 clients that click one after the other, limited to 4 MB/s of upload, 16 MiB; the second client is stopped (SIGSTOP) when all four have chunks",
        expected: "the other three finish while it hangs, byte-equal, and before it is given up as a lost peer; it finishes when it goes on; the seed sends less than 2.5 copies, so the guests fed each other",
        sabotages: &[Sabotage::new("never-heal", &["was held up until the hanging guest was lost"])],
        labs: &[LabKind::Local, LabKind::Netns],
        body: Body::Run(one_hangs),
    },
    Scenario {
        id: "S81",
        title: "a guest in the middle is killed",
        claim: "Those behind a guest that dies go on with the guest before it",
        setup: "1 seed and 4 clients that click one after the other, limited to 4 MB/s of upload, 16 MiB; the second client is killed (SIGKILL) when all four have chunks",
        expected: "the other three finish, byte-equal, each chunk once; after the kill the third client gets more chunks from the first than from the seed; the seed sends less than 2.5 copies",
        sabotages: &[
            Sabotage::new("forget-in-flight", &["did not finish"]),
            Sabotage::new("heal-at-seed", &["after the kill the third client got"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(one_is_killed),
    },
    Scenario {
        id: "S82",
        title: "a guest in the middle lies",
        claim: "A guest that sends false chunks along the line is named by its follower and costs it one chunk; those behind notice nothing",
        setup: "1 seed and 4 clients that click one after the other, the second one when the first has rejected the stranger, limited to 4 MB/s of upload, 16 MiB; the stranger stands first in the line and sends random bytes for each chunk that is awaited",
        expected: "the first client rejects the stranger, no other client gets a false chunk, and the stranger sent two chunks at most; all four finish byte-equal; the seed sends less than 2.5 copies",
        sabotages: &[
            Sabotage::new("trust-untried", &["the stranger could send"]),
            Sabotage::new(
                "forget-blame",
                &["behind the follower got false chunks", "the stranger could send"],
            ),
            Sabotage::new("drop-event", &["the follower rejects the stranger"]),
            Sabotage::new("skip-verification", &["the follower rejects the stranger"]),
            Sabotage::new("one-source-only", &["the follower rejects the stranger"]),
        ],
        labs: &[LabKind::Local],
        body: Body::Run(one_lies),
    },
    Scenario {
        id: "S84",
        title: "the seed leaves",
        claim: "When the seed leaves in the middle of a transfer, the room goes on with another peer that has the game",
        setup: "2 peers with the game and 5 clients that start together, limited to 4 MB/s of upload, 16 MiB; when all clients have half of the game, the one of the two that feeds the line is killed (SIGKILL)",
        expected: "no download fails; all five finish byte-equal, each chunk once; the two peers with the game send less than 3.5 copies together",
        sabotages: &[
            Sabotage::new("forget-in-flight", &["did not finish"]),
            Sabotage::new("one-source-only", &["did not finish", "copies were sent"]),
            Sabotage::new("place-at-seed", &["copies were sent to five clients"]),
        ],
        labs: EVERYWHERE,
        body: Body::Run(seed_leaves),
    },
];

fn one_hangs(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 80, 16 * MIB);
    let (seed, clients) = room(lab, &game, 4, "4000000")?;
    let marks = line_up(&clients)?;
    for (client, &since) in clients.iter().zip(&marks) {
        await_chunks(client, since, "ggoo", 8)?;
    }
    let hangs = 1;
    await_chunks_from(&clients[hangs + 1], marks[hangs + 1], "ggoo", &[&clients[hangs]], 1)?;
    clients[hangs].frozen(|| {
        for (n, (client, &since)) in clients.iter().zip(&marks).enumerate() {
            if n != hangs {
                await_finished(client, since, "ggoo")?;
                // After 15 seconds the loss of the peer would free the clients behind it, too.
                let lost = client.find_event(since, |e| matches!(e, Event::PeerLost { .. }).then_some(()));
                require!(lost.is_none(), "{} was held up until the hanging guest was lost", client.name());
                require_same_game(client, &seed, "ggoo")?;
            }
        }
        Ok(())
    })?;
    await_finished(&clients[hangs], marks[hangs], "ggoo")?;
    require_same_game(&clients[hangs], &seed, "ggoo")?;
    let copies = copies_sent(&seed)?;
    require!(copies < 2.5, "the seed sent {copies:.3} copies");
    Ok(())
}

fn one_is_killed(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 81, 16 * MIB);
    let (seed, mut clients) = room(lab, &game, 4, "4000000")?;
    let mut marks = line_up(&clients)?;
    for (client, &since) in clients.iter().zip(&marks) {
        await_chunks(client, since, "ggoo", 8)?;
    }
    await_chunks_from(&clients[2], marks[2], "ggoo", &[&clients[1]], 1)?;
    clients[1].kill();
    let at_kill = clients[2].mark();
    drop(clients.remove(1));
    marks.remove(1);
    finished(&seed, &clients, &marks)?;
    let copies = copies_sent(&seed)?;
    let since_kill = Transfer::since(&clients[1], at_kill, "ggoo").by_source();
    let got = |from: &Peer| since_kill.get(&from.id()).map_or(0, |(chunks, _)| *chunks);
    let (healed, from_seed) = (got(&clients[0]), got(&seed));
    figures::note(
        "S81",
        format!(
            "the seed sent {copies:.3} copies; after the kill the third client got {healed} chunks from the first and \
             {from_seed} from the seed"
        ),
    );
    require!(
        healed > from_seed,
        "after the kill the third client got {healed} chunks from the first and {from_seed} from the seed"
    );
    require!(copies < 2.5, "the seed sent {copies:.3} copies");
    Ok(())
}

fn one_lies(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 82, 16 * MIB);
    let (seed, clients) = room(lab, &game, 4, "4000000")?;
    let served = seed.await_served("ggoo")?;
    let content: ContentId =
        served.content_id.ok_or_else(|| Failure("the seed shows no content".into()))?.parse()?;
    // In the seed's network, so that the liar is before the clients in the line.
    let IpAddr::V4(beside) = seed.addr()?.ip() else { fail!("the seed has no IPv4 address") };
    let [a, b, c, _] = beside.octets();
    let mut liar = Stranger::enter(seed.addr()?, Ipv4Addr::new(a, b, c, 250).into(), "mallory")?;
    for client in &clients {
        liar.meet(client.addr()?);
    }
    // The liar has the clients' upload limit, because a different one would change the order of the line.
    let upload_limit = Some(4_000_000);
    let wanted = PlaceWanted { content, below: ChunkIndex(0), upload_limit, instead_of: None };
    liar.say(&Message::PlaceWanted(wanted));
    let (mut placed, mut conns) = (false, vec![liar.conn()]);
    liar.await_event("its place and a connection with each client", |event| {
        match event {
            NetEvent::Connected { conn, .. } => conns.push(conn),
            NetEvent::Message { message: Message::Place(_), .. } => placed = true,
            _ => {}
        }
        (placed && conns.len() > clients.len()).then_some(())
    })?;
    let interested = Message::Interested { game: game_id("ggoo")?, content };
    conns.into_iter().for_each(|conn| liar.say_to(conn, &interested));
    let id = liar.id().to_string();
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| lie(&mut liar, &over, &sent));
        let rejections = fetch_beside(&seed, &clients, &id);
        over.store(true, Ordering::Relaxed);
        attack.join().map_err(|_| Failure("the stranger panicked".to_owned()))?;
        let (behind, sent) = (rejections?, sent.load(Ordering::Relaxed));
        let copies = copies_sent(&seed)?;
        figures::note(
            "S82",
            format!(
                "{sent} false chunks, one rejection by the follower and {behind} behind it; the seed sent {copies:.3} \
                 copies"
            ),
        );
        require!(sent <= 2, "the stranger could send {sent} chunks");
        require!(behind == 0, "{behind} clients behind the follower got false chunks");
        require!(copies < 2.5, "the seed sent {copies:.3} copies");
        Ok(())
    })
}

/// Lets all clients download the game in a room with a liar, which the first one must reject. Returns how many others
/// rejected the liar.
fn fetch_beside(seed: &Peer, clients: &[Peer], liar: &str) -> Outcome<usize> {
    for client in clients {
        eventually("the clients know the liar", || {
            let known = client.peers()?.iter().any(|peer| peer.peer_id == liar);
            Ok(seen_if(known, || format!("{} does not know it", client.name())))
        })?;
    }
    let rejects = |event: &Event| match event {
        Event::SourceRejected { peer_id, .. } if peer_id == liar => Some(()),
        _ => None,
    };
    // The others start when the first has complained about the liar, so the seed knows where to place them.
    let (first, others) = clients.split_at(1);
    let mut marks = vec![first[0].mark()];
    first[0].download("ggoo", false)?;
    eventually("the follower rejects the stranger", || {
        let rejected = first[0].find_event(marks[0], rejects).is_some();
        let arrived = Transfer::since(&first[0], marks[0], "ggoo").0.len();
        Ok(seen_if(rejected, || format!("{arrived} chunks are there")))
    })?;
    await_chunks(&first[0], marks[0], "ggoo", 8)?;
    marks.extend(line_up(others)?);
    finished(seed, clients, &marks)?;
    let rejected = |(client, &since): (&Peer, &Mark)| client.find_event(since, rejects);
    Ok(clients.iter().zip(&marks).skip(1).filter_map(rejected).count())
}

/// Answers every request with false bytes.
fn lie(stranger: &mut Stranger, over: &AtomicBool, sent: &AtomicU64) {
    let false_chunk = |stranger: &Stranger, link, id: RequestId, chunk| {
        sent.fetch_add(1, Ordering::Relaxed);
        stranger.serve(link, Response::Chunk { id, chunk, len: CHUNK as u32 }, vec![0x5a; CHUNK as usize]);
    };
    while !over.load(Ordering::Relaxed) {
        match stranger.next(Duration::from_millis(50)) {
            Some(NetEvent::Message { conn, message: Message::Ping { nonce } }) => {
                stranger.say_to(conn, &Message::Pong { nonce });
            }
            Some(NetEvent::Requested { link, request: Request::Follow(request), .. }) => {
                request.each().for_each(|(id, chunk)| false_chunk(stranger, link, id, chunk));
            }
            Some(NetEvent::Requested { link, request: Request::Chunk(request), .. }) => {
                false_chunk(stranger, link, request.id, request.chunk);
            }
            _ => {}
        }
    }
}

fn seed_leaves(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 84, 16 * MIB);
    let (seed, clients) = room(lab, &game, 5, "4000000")?;
    let catalog = CatalogFile::of(&[&game]);
    let holder =
        lab.peer("holder")?.arg("--upload-limit").arg("4000000").catalog(&catalog)?.game(&game)?.start()?;
    holder.await_served("ggoo")?;
    for client in &clients {
        client.connect(&holder)?;
        client.await_offered("ggoo", 2)?;
    }
    let chunks = pieces_of(&Manifest::root_files(&seed.game_dir("ggoo"))?).len();
    let marks = click(&clients)?;
    for (client, &since) in clients.iter().zip(&marks) {
        await_chunks(client, since, "ggoo", chunks / 2)?;
    }
    let sent = [copies_sent(&seed)?, copies_sent(&holder)?];
    let (leaves, stays) = if sent[0] > sent[1] { (&seed, &holder) } else { (&holder, &seed) };
    let before = sent[0].max(sent[1]);
    leaves.kill();
    finished(&seed, &clients, &marks)?;
    for (client, &since) in clients.iter().zip(&marks) {
        require_no_failure(client, since, "ggoo")?;
    }
    let after = copies_sent(stays)?;
    figures::note(
        "S84",
        format!("the one that was killed had sent {before:.3} copies, the other peer sent {after:.3} in all"),
    );
    require!(before + after < 3.5, "{:.3} copies were sent to five clients", before + after);
    Ok(())
}
