//! Offers of organisers: the owner of a peer without a catalogue is asked once whether to trust an organiser.

use std::path::{Path, PathBuf};

use lanspread_api::reply::{Availability, CatalogMode, OfferedCatalog};
use lanspread_api::{ErrorCode, Event, Request};
use lanspread_peer::catalog::signed::OrganiserKey;
use lanspread_types::{CatalogKey, Organiser};

use super::flow::KIB;
use crate::games::{CatalogFile, Game, VERSION};
use crate::lab::Lab;
use crate::log::Mark;
use crate::peer::Peer;
use crate::scenario::{Body, EVERYWHERE, Failure, Outcome, Sabotage, Scenario, require, require_eq};
use crate::wait::{eventually, seen_if};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S78",
    title: "trust is offered once",
    claim: "A peer that goes by no catalogue is told once of each organiser that the room has, changes nothing by itself, and goes by the one that its owner names from then on",
    setup: "guest is open and has a game of its own; organiser goes by a signed catalogue, relay was told its key; forger goes by a catalogue of its own key",
    expected: "guest says `catalog-offered` once for the organiser's key, although relay has it, too, and once for forger's; its status shows both with fingerprint, title, edition and from whom, and its mode stays `Open`, its game served; forger's key is declined by its fingerprint and not shown or told again, also after a restart; `trust-catalog` with the organiser's fingerprint makes its catalogue count, now and after a restart, and nothing is offered any more; an unknown fingerprint is refused with `unknown-organiser`, another key with `other-organiser`",
    sabotages: &[
        Sabotage::new("trust-whom-we-meet", &["guest's catalogue while it is asked"]),
        Sabotage::new("offer-every-time", &["how often guest told of the organiser"]),
        Sabotage::new("ask-again", &["the organisers that guest is offered after it declined one"]),
        Sabotage::new("forget-organiser", &["guest's catalogue after a restart without a word"]),
    ],
    labs: EVERYWHERE,
    body: Body::Run(offered_once),
}];

/// Creates an organiser's key and a signed catalogue in a file.
fn desk(lab: &Lab, name: &str, title: &str, games: &CatalogFile) -> Outcome<(CatalogKey, PathBuf)> {
    let folder = lab.folder(name)?;
    let key = OrganiserKey::create(&folder.join("organiser.key")).map_err(|e| Failure(e.to_string()))?;
    let text = format!("title = \"{title}\"\nserial = 1\n\n{}", games.to_toml());
    let signed = key.sign(text.as_bytes()).map_err(|e| Failure(e.to_string()))?;
    let file = folder.join("party.toml");
    std::fs::write(&file, signed)?;
    Ok((key.public(), file))
}

fn with_catalog(lab: &Lab, name: &str, file: &Path) -> Outcome<Peer> {
    lab.peer(name)?.arg("--catalog").arg(&file.display().to_string()).start()
}

fn offered_once(lab: &Lab) -> Outcome {
    let listed = CatalogFile::default().with("ggoo", VERSION).with("other", VERSION);
    let (key, file) = desk(lab, "organiser", "Friday", &listed)?;
    let (forged_key, forged) =
        desk(lab, "forger", "Not Friday", &CatalogFile::default().with("bait", VERSION))?;
    let organiser = lab
        .peer("organiser")?
        .game(&Game::blob("ggoo", 78, 10 * KIB))?
        .arg("--catalog")
        .arg(&file.display().to_string())
        .start()?;
    organiser.await_served("ggoo")?;
    let relay = lab.peer("relay")?.arg("--catalog-key").arg(&key.to_string()).start()?;
    relay.connect(&organiser)?;
    await_edition(&relay)?;
    let forger = with_catalog(lab, "forger", &forged)?;
    let guest = lab.peer("guest")?.game(&Game::blob("own", 79, 10 * KIB))?.start()?;
    guest.await_served("own")?;

    guest.connect(&organiser)?;
    let offered = |event: &Event| matches!(event, Event::CatalogOffered { .. }).then_some(());
    guest.await_event(Mark(0), "catalog-offered", offered)?;
    require_unchanged(&guest)?;
    await_offered(&guest, &[(key, "Friday", &["organiser"])])?;
    guest.connect(&relay)?;
    await_offered(&guest, &[(key, "Friday", &["organiser", "relay"])])?;
    guest.connect(&forger)?;
    await_offered(
        &guest,
        &[(key, "Friday", &["organiser", "relay"]), (forged_key, "Not Friday", &["forger"])],
    )?;
    for (name, key) in [("the organiser", key), ("forger", forged_key)] {
        require_eq!(told(&guest, Mark(0), key), 1, "how often guest told of {name}");
    }
    require_unchanged(&guest)?;

    let unknown: Organiser = Organiser::Fingerprint(CatalogKey([78; 32]).fingerprint());
    guest.refuses(&Request::TrustCatalog { key: unknown }, ErrorCode::UnknownOrganiser)?;
    guest.ask(&Request::DeclineCatalog { key: Organiser::Fingerprint(forged_key.fingerprint()) })?;
    let shown: Vec<String> = guest.status()?.catalog_offered.into_iter().map(|offer| offer.key).collect();
    require_eq!(shown, [key.to_string()], "the organisers that guest is offered after it declined one");
    await_offered(&guest, &[(key, "Friday", &["organiser", "relay"])])?;
    guest.shut_down()?;
    let since = guest.mark();
    guest.restart()?;
    for peer in [&forger, &organiser, &relay] {
        guest.connect(peer)?;
    }
    await_offered(&guest, &[(key, "Friday", &["organiser", "relay"])])?;
    require_eq!(told(&guest, since, forged_key), 0, "how often guest told of a declined key after a restart");

    guest.ask(&Request::TrustCatalog { key: Organiser::Fingerprint(key.fingerprint()) })?;
    await_edition(&guest)?;
    await_offered(&guest, &[])?;
    guest.await_offered("ggoo", 1)?;
    require!(guest.game("own")?.is_none(), "guest still lists a game that the organiser's catalogue lacks");
    guest.refuses(&Request::TrustCatalog { key: Organiser::Key(forged_key) }, ErrorCode::OtherOrganiser)?;
    guest.shut_down()?;
    guest.restart()?;
    let catalog = guest.status()?.catalog;
    require_eq!(
        (catalog.mode, catalog.key, catalog.serial),
        (CatalogMode::Signed, Some(key.to_string()), Some(1)),
        "guest's catalogue after a restart without a word"
    );
    Ok(())
}

/// Requires that the guest goes by no catalogue and serves its own game.
fn require_unchanged(guest: &Peer) -> Outcome {
    require_eq!(guest.status()?.catalog.mode, CatalogMode::Open, "guest's catalogue while it is asked");
    let own = guest.game("own")?.map(|game| game.availability);
    require_eq!(own, Some(Availability::Ready), "guest's own game while it is asked");
    Ok(())
}

/// Returns how often a peer offered a key since a mark.
fn told(peer: &Peer, since: Mark, key: CatalogKey) -> usize {
    let (key, print) = (key.to_string(), key.fingerprint().to_string());
    let of_it = |event: &&Event| matches!(event, Event::CatalogOffered { key: k, fingerprint: f, .. } if *k == key && *f == print);
    peer.events_since(since).iter().filter(of_it).count()
}

fn await_edition(peer: &Peer) -> Outcome {
    eventually(&format!("{} goes by the organiser's catalogue", peer.name()), || {
        let catalog = peer.status()?.catalog;
        let right = catalog.mode == CatalogMode::Signed && catalog.serial == Some(1);
        Ok(seen_if(right, || format!("{catalog:?}")))
    })
}

/// Waits until the peer's status offers exactly these organisers in this order, each with its title and the peers
/// that have it.
fn await_offered(peer: &Peer, expected: &[(CatalogKey, &str, &[&str])]) -> Outcome {
    let right = |(found, (key, title, peers)): (&OfferedCatalog, &(CatalogKey, &str, &[&str]))| {
        let mut names = found.peers.clone();
        names.sort();
        found.key == key.to_string()
            && found.fingerprint == key.fingerprint().to_string()
            && found.title.as_deref() == Some(*title)
            && found.serial == Some(1)
            && names == *peers
            && found.peer_count == peers.len()
            && !found.invited
    };
    eventually(&format!("{} is offered exactly {} organisers", peer.name(), expected.len()), || {
        let found = peer.status()?.catalog_offered;
        let exact = found.len() == expected.len() && found.iter().zip(expected).all(right);
        Ok(seen_if(exact, || format!("{found:?}")))
    })
}
