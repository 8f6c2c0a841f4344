//! Scenarios whose time has not come, each with the subject that it waits for.

use crate::scenario::{Body, EVERYWHERE, LabKind, Scenario};

pub const SCENARIOS: &[Scenario] = &[
    pending(
        "S30",
        "a chain of introductions",
        "A knows B, B knows C: A learns of C through B and downloads from it",
        "introductions",
    ),
    pending(
        "S38",
        "first-play stamping",
        "The first `play` stamps name and language, keeps line endings, and says so the second time",
        "play",
    ),
    pending(
        "S50",
        "update keeps the old copy",
        "The old version stays playable and servable until the new one is committed",
        "transactions",
    ),
    pending(
        "S51",
        "update fetches only what changed",
        "Chunks that the old version holds are not sent again",
        "transactions",
    ),
    pending("S52", "mDNS", "Peers find each other with no `connect` at all", "discovery"),
    pending(
        "S55",
        "disk full",
        "A full disk at the receiver is a clear failure, and it goes on after space was made",
        "transactions",
    ),
];

const fn pending(
    id: &'static str,
    title: &'static str,
    claim: &'static str,
    subject: &'static str,
) -> Scenario {
    let labs: &[LabKind] = EVERYWHERE;
    Scenario { id, title, claim, setup: "", expected: "", sabotages: &[], labs, body: Body::Pending(subject) }
}
