//! The organiser: a signed catalogue that spreads through the room, and a request to all peers to download a game.

use std::path::Path;

use lanspread_api::reply::{CatalogMode, Room};
use lanspread_api::{Event, ReplyData, Request};
use lanspread_peer::catalog::signed::OrganiserKey;

use super::flow::{KIB, await_finished, await_installed, require_no_trace, require_same_game};
use crate::games::{CatalogFile, Game, VERSION};
use crate::lab::Lab;
use crate::log::Mark;
use crate::peer::{Peer, game_id};
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, fail, require, require_eq};
use crate::transfer::Transfer;
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S63",
    title: "the organiser's catalogue and wish",
    claim: "Who was told the organiser's key once gets every newer edition of the catalogue from any peer, and what it pins decides; a wish is fulfilled where the owner allows it, and only there",
    setup: "organiser with a signed catalogue and the game; relay and willing know its key, willing meets relay only; two open peers hold the same version with another content; stranger goes by another organiser's catalogue with a higher serial; the organiser comes back with a second edition that pins the game, then `want-game`",
    expected: "willing takes edition 1 and then 2 from relay, whatever stranger offers; after the wish willing (who allows it) has the game from the organiser alone, byte-equal and installed; relay hears the wish and fetches nothing; the organiser's `room` says who is ready, who has another content, who has none, and that nobody is behind",
    sabotages: &[
        Sabotage::new("keep-first-edition", &["relay goes by edition 2"]),
        Sabotage::new("trust-any-organiser", &["goes by the stranger's catalogue"]),
        Sabotage::new("ignore-pin", &["the peers that served chunks", "whether willing fulfils the wish"]),
        Sabotage::new("grant-every-wish", &["whether relay fulfils the wish"]),
        Sabotage::new("grant-no-wish", &["whether willing fulfils the wish"]),
        Sabotage::new("lie-about-the-room", &["the organiser sees who has the game"]),
    ],
    labs: EVERYWHERE,
    body: Body::Run(organiser),
}];

/// Signs an edition of a catalogue and writes it to a file.
fn publish(key: &OrganiserKey, serial: u64, games: &CatalogFile, to: &Path) -> Outcome {
    let text = format!("title = \"Friday\"\nserial = {serial}\n\n{}", games.to_toml());
    let signed = key.sign(text.as_bytes()).map_err(|e| Failure(e.to_string()))?;
    Ok(std::fs::write(to, signed)?)
}

/// Creates an organiser's key. Returns it with the path for its catalogue.
fn desk(lab: &Lab, name: &str) -> Outcome<(OrganiserKey, std::path::PathBuf)> {
    let folder = lab.folder(name)?;
    let key = OrganiserKey::create(&folder.join("organiser.key")).map_err(|e| Failure(e.to_string()))?;
    Ok((key, folder.join("party.toml")))
}

/// Serial number of the stranger's catalogue. It is higher than those of the organiser's editions.
const FORGED: u64 = 9;

/// Waits until the peer goes by this edition. Fails if it goes by the stranger's instead.
fn await_edition(peer: &Peer, serial: u64) -> Outcome {
    eventually(&format!("{} goes by edition {serial}", peer.name()), || {
        let catalog = peer.status()?.catalog;
        let forged = serial != FORGED && catalog.serial == Some(FORGED);
        require!(!forged, "{} goes by the stranger's catalogue", peer.name());
        let right = catalog.mode == CatalogMode::Signed && catalog.serial == Some(serial);
        Ok(seen_if(right, || format!("{catalog:?}")))
    })
}

fn room_of(peer: &Peer) -> Outcome<Room> {
    match peer.ask(&Request::Room)? {
        ReplyData::Room(room) => Ok(room),
        other => fail!("room answered {other:?}"),
    }
}

fn organiser(lab: &Lab) -> Outcome {
    let (key, file) = desk(lab, "organiser")?;
    let public = key.public().to_string();
    let right = Game::packed("ggoo", &[("data/a.bin", 1, 600 * KIB), ("ggoo.exe", 2, 9 * KIB)]);
    let wrong = Game::packed("ggoo", &[("data/a.bin", 3, 600 * KIB), ("ggoo.exe", 4, 9 * KIB)]);
    publish(&key, 1, &CatalogFile::default().with("first", VERSION), &file)?;
    let catalog = file.display().to_string();
    let organiser = lab.peer("organiser")?.game(&right)?.arg("--catalog").arg(&catalog).start()?;
    let trusting = |name: &str| Ok::<_, Failure>(lab.peer(name)?.arg("--catalog-key").arg(&public));
    let relay = trusting("relay")?.start()?;
    let willing = trusting("willing")?.arg("--accept-wants").start()?;
    let others = [lab.peer("other1")?.game(&wrong)?.start()?, lab.peer("other2")?.game(&wrong)?.start()?];
    let (forger, forged) = desk(lab, "stranger")?;
    publish(&forger, FORGED, &CatalogFile::default().with("forged", VERSION), &forged)?;
    let stranger = lab.peer("stranger")?.arg("--catalog").arg(&forged.display().to_string()).start()?;
    await_edition(&stranger, FORGED)?;
    require_eq!(
        willing.status()?.catalog.mode,
        CatalogMode::Awaited,
        "willing's catalogue before it met anybody"
    );

    willing.connect(&stranger)?;
    willing.connect(&relay)?;
    relay.connect(&organiser)?;
    await_edition(&relay, 1)?;
    await_edition(&willing, 1)?;
    require!(!willing.peers()?.iter().any(|p| p.peer_id == organiser.id()), "willing has met the organiser");

    // Only now is the pinned content known, so the second edition must arrive through the room.
    let content = others[0].await_served("ggoo")?.content_id;
    organiser.shut_down()?;
    publish(&key, 2, &CatalogFile::default().pinned("ggoo", VERSION, &content_of(lab, &right)?), &file)?;
    organiser.restart()?;
    let pinned = organiser.await_served("ggoo")?.content_id;
    require!(pinned != content, "the two contents are the same: {content:?}");
    organiser.connect(&relay)?;
    await_edition(&relay, 2)?;
    await_edition(&willing, 2)?;
    let listed: Vec<String> = willing.games()?.into_iter().map(|g| g.game_id).collect();
    require!(!listed.contains(&"forged".to_owned()), "willing goes by the stranger's catalogue: {listed:?}");

    for peer in [&willing, &others[0], &others[1], &stranger] {
        organiser.connect(peer)?;
    }
    for other in &others {
        willing.connect(other)?;
        relay.connect(other)?;
    }
    let most = [(&others[0], &["ggoo"][..]), (&others[1], &["ggoo"]), (&organiser, &["ggoo"])];
    willing.await_peers(&[&most[..], &[(&relay, &[]), (&stranger, &[])]].concat())?;
    relay.await_peers(&[&most[..], &[(&willing, &[])]].concat())?;
    wish(&organiser, &relay, &willing)?;
    require_room(&organiser, &[&organiser, &willing], &others, &[&relay, &stranger])
}

/// Returns the content id of a game, determined by a separate peer.
fn content_of(lab: &Lab, game: &Game) -> Outcome<String> {
    let scale = lab.peer("scale")?.game(game)?.start()?;
    let content = scale.await_served(&game.id)?.content_id;
    scale.shut_down()?;
    content.ok_or_else(|| Failure("a served game has no content id".to_owned()))
}

fn wish(organiser: &Peer, relay: &Peer, willing: &Peer) -> Outcome {
    let (at_willing, at_relay) = (willing.mark(), relay.mark());
    match organiser.ask(&Request::WantGame { game_id: game_id("ggoo")? })? {
        ReplyData::WantGame(reply) => require_eq!(reply.asked, 5, "peers that were asked"),
        other => fail!("want-game answered {other:?}"),
    }
    for (peer, since, allowed) in [(willing, at_willing, true), (relay, at_relay, false)] {
        let heard = |event: &Event| match event {
            Event::DownloadWanted { peer_id, game_id, accepted, .. } => {
                (*peer_id == organiser.id() && game_id == "ggoo").then_some(*accepted)
            }
            _ => None,
        };
        let (_, accepted) = peer.await_event(since, "the organiser's wish", heard)?;
        require_eq!(accepted, allowed, "whether {} fulfils the wish", peer.name());
    }
    await_finished(willing, at_willing, "ggoo")?;
    await_installed(willing, at_willing, "ggoo")?;
    Transfer::since(willing, at_willing, "ggoo").require_sources(&[organiser])?;
    require_same_game(willing, organiser, "ggoo")?;
    let begun = |event: &Event| matches!(event, Event::GotGameFiles { .. } | Event::DownloadBegin { .. });
    relay.require_none(Mark(0), "a download that its owner has not allowed", begun)?;
    require_no_trace(relay, "ggoo")
}

/// Requires that the organiser's view of the room is right.
fn require_room(organiser: &Peer, ready: &[&Peer], others: &[Peer], without: &[&Peer]) -> Outcome {
    let ids = |peers: &[&Peer]| {
        let mut ids: Vec<String> = peers.iter().map(|peer| peer.id()).collect();
        ids.sort();
        ids
    };
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    eventually("the organiser sees who has the game", || {
        let room = room_of(organiser)?;
        let Some(game) = room.games.iter().find(|game| game.game_id == "ggoo") else {
            return Ok(Err(format!("{room:?}")));
        };
        let other: Vec<String> =
            game.other.iter().filter(|o| o.same_version).map(|o| o.peer_id.clone()).collect();
        let right = sorted(game.ready.clone()) == ids(ready)
            && sorted(other) == ids(&others.iter().collect::<Vec<_>>())
            && sorted(game.without.clone()) == ids(without)
            && game.fetching.is_empty()
            && room.guests.len() == 6
            && room.guests.iter().all(|guest| !guest.behind && !guest.silent);
        Ok(seen_if(right, || format!("{room:?}")))
    })
}
