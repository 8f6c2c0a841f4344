//! Many receivers of one game that serve each other.

use std::collections::BTreeMap;

use lanspread_api::Event;

use super::flow::{MIB, await_finished, require_committed_once, require_same_game};
use super::line::{click_together, room};
use crate::figures;
use crate::games::Game;
use crate::lab::Lab;
use crate::log::event;
use crate::manifest::Manifest;
use crate::scenario::{Body, EVERYWHERE, Outcome, Sabotage, Scenario, require};
use crate::transfer::{Transfer, pieces_of};

pub const SCENARIOS: &[Scenario] = &[Scenario {
    id: "S49",
    title: "swarm",
    claim: "Receivers serve each other before they are complete, so the seed sends little more than one copy",
    setup: "1 seed and 6 clients, every one connected to every other and limited to 20 MB/s of upload, 64 MiB, all start together",
    expected: "all byte-equal with exact chunks; at least one whole copy came from clients that were not complete themselves; the seed sends less than 2 copies in all",
    sabotages: &[
        Sabotage::new("never-serve-incoming", &["chunks came from clients that were not complete"]),
        Sabotage::new("one-source-only", &["chunks came from clients that were not complete"]),
        Sabotage::new("place-at-seed", &["chunks came from clients that were not complete"]),
    ],
    // The upload limit replaces a link. On unshaped loopback one client may finish before the others have really
    // begun, which says nothing about the claim.
    labs: EVERYWHERE,
    body: Body::Run(swarm),
}];

fn swarm(lab: &Lab) -> Outcome {
    let game = Game::blob("ggoo", 49, 64 * MIB);
    let (seed, clients) = room(lab, &game, 6, "20000000")?;
    let marks = click_together(&clients)?;
    let all = pieces_of(&Manifest::root_files(&seed.game_dir("ggoo"))?);
    let mut ends = BTreeMap::new();
    for (client, &since) in clients.iter().zip(&marks) {
        let (end, _) = await_finished(client, since, "ggoo")?;
        ends.insert(client.id(), client.log().at(end).unwrap_or_default());
        Transfer::since(client, since, "ggoo").require_exactly(&all)?;
        require_same_game(client, &seed, "ggoo")?;
        require_committed_once(client, since, "ggoo")?;
    }
    let mut early: BTreeMap<String, usize> = ends.keys().map(|id| (id.clone(), 0)).collect();
    for (client, &since) in clients.iter().zip(&marks) {
        let source = |line: &lanspread_api::Line| match event(line) {
            Some(Event::DownloadChunkFinished { peer_id, .. }) => Some(peer_id.clone()),
            _ => None,
        };
        for (mark, source) in client.log().pick(since, source) {
            let before_its_end =
                ends.get(&source).zip(client.log().at(mark)).is_some_and(|(end, at)| at < *end);
            if let Some(count) = early.get_mut(&source).filter(|_| before_its_end) {
                *count += 1;
            }
        }
    }
    // Chunks sent in vain count, too.
    let copies = seed.status()?.traffic.sent_bytes as f64 / all.iter().map(|p| p.length).sum::<u64>() as f64;
    figures::note("S49", format!("the seed sent {copies:.2} copies to 6 clients"));
    let (served, chunks) = (early.values().sum::<usize>(), all.len());
    require!(
        served >= chunks,
        "{served} chunks came from clients that were not complete, one copy has {chunks}; the seed sent {copies:.2} copies"
    );
    require!(copies < 2.0, "the seed sent {copies:.2} copies, although clients served each other");
    Ok(())
}
