//! The scenarios. Each module covers one part of the product's contract and declares its scenarios beside their
//! functions.

mod archives;
mod bombs;
mod cables;
mod closed;
mod commands;
mod crowds;
mod descriptors;
mod downloads;
mod ending;
mod finding;
mod floods;
mod flow;
mod folders;
mod guessing;
mod healing;
mod hostile;
mod kills;
mod liars;
mod library;
mod line;
mod manifests;
mod meeting;
mod offered;
mod organiser;
mod pending;
mod play;
mod private;
mod read_only;
mod restarts;
mod sources;
mod spoofs;
mod streaming;
mod swarm;
mod trust;
mod updates;

use crate::matrix::number;
use crate::scenario::Scenario;

/// Returns all scenarios, by number.
pub fn all() -> Vec<&'static Scenario> {
    let groups: &[&'static [Scenario]] = &[
        meeting::SCENARIOS,
        downloads::SCENARIOS,
        sources::SCENARIOS,
        restarts::SCENARIOS,
        library::SCENARIOS,
        line::SCENARIOS,
        healing::SCENARIOS,
        liars::SCENARIOS,
        manifests::SCENARIOS,
        commands::SCENARIOS,
        archives::SCENARIOS,
        streaming::SCENARIOS,
        swarm::SCENARIOS,
        bombs::SCENARIOS,
        cables::SCENARIOS,
        closed::SCENARIOS,
        guessing::SCENARIOS,
        hostile::SCENARIOS,
        floods::SCENARIOS,
        crowds::SCENARIOS,
        spoofs::SCENARIOS,
        finding::SCENARIOS,
        updates::SCENARIOS,
        play::SCENARIOS,
        kills::SCENARIOS,
        organiser::SCENARIOS,
        offered::SCENARIOS,
        descriptors::SCENARIOS,
        folders::SCENARIOS,
        read_only::SCENARIOS,
        ending::SCENARIOS,
        trust::SCENARIOS,
        pending::SCENARIOS,
        private::SCENARIOS,
    ];
    let mut all: Vec<&Scenario> = groups.iter().copied().flatten().collect();
    all.sort_by_key(|s| number(s.id));
    if let Some(pair) = all.windows(2).find(|pair| pair[0].id == pair[1].id) {
        unreachable!("{} is declared twice", pair[0].id);
    }
    all
}
