//! Scenarios that cannot run yet, each with what it waits for.

use crate::scenario::{Body, EVERYWHERE, LabKind, Scenario};

pub const SCENARIOS: &[Scenario] = &[];

#[expect(dead_code, reason = "nothing is pending at the moment")]
const fn pending(
    id: &'static str,
    title: &'static str,
    claim: &'static str,
    subject: &'static str,
) -> Scenario {
    let labs: &[LabKind] = EVERYWHERE;
    Scenario { id, title, claim, setup: "", expected: "", sabotages: &[], labs, body: Body::Pending(subject) }
}
