//! Scenarios whose time has not come, each with the subject that it waits for.

use crate::scenario::{Body, EVERYWHERE, LabKind, Scenario};

pub const SCENARIOS: &[Scenario] = &[
    pending(
        "S30",
        "a chain of introductions",
        "A knows B, B knows C: A learns of C through B and downloads from it",
        "introductions",
    ),
    pending("S52", "mDNS", "Peers find each other with no `connect` at all", "discovery"),
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
