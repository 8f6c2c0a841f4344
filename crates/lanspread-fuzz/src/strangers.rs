//! Target for the network layer: a stranger meets a real endpoint on loopback and sends it the input.

use std::cell::{Cell, RefCell};
use std::sync::Once;

use lanspread_net::fuzzing::{Host, Stranger};
use lanspread_types::{Party, PartyName, PassPhrase};

use crate::Reached;

/// Bit of the first byte that sends the stranger to the closed party.
pub(crate) const CLOSED: u8 = 8;

thread_local! {
    /// Panics on this thread since the first input, those in the endpoint's tasks among them: they run on it, too.
    static PANICS: Cell<u64> = const { Cell::new(0) };
    /// The endpoint in no party, and the one in a closed party.
    static HOSTS: RefCell<[Option<Host>; 2]> = const { RefCell::new([None, None]) };
}

/// A stranger, chosen by the first byte, that sends the other bytes. No task of the endpoint may panic, and each
/// connection, request and dial must come to its end.
pub fn strangers(bytes: &[u8]) -> Reached {
    let Some((stranger, closed, mut events)) = meet(bytes) else { return Reached(0) };
    events.dedup();
    events.truncate(12);
    Reached::of(&(stranger, closed, events))
}

/// Returns the stranger, whether it went to the closed party, and the host's events, each as its first word.
fn meet(bytes: &[u8]) -> Option<(Stranger, bool, Vec<String>)> {
    let (&first, bytes) = bytes.split_first()?;
    let stranger = Stranger::ALL[usize::from(first & (CLOSED - 1)) % Stranger::ALL.len()];
    let closed = first & CLOSED != 0;
    count_panics();
    let before = PANICS.get();
    let seen = HOSTS.with_borrow_mut(|hosts| {
        let host = &mut hosts[usize::from(closed)];
        let party = || {
            let (name, phrase) = (PartyName::new("friday").ok()?, PassPhrase::new("correct horse").ok()?);
            Some(Party { name, phrase })
        };
        if host.is_none() {
            *host = Host::new(closed.then(party).flatten()).ok();
        }
        host.as_mut().map(|host| host.meet(stranger, bytes))
    });
    assert!(seen.is_some(), "the endpoint could not be started");
    assert_eq!(PANICS.get(), before, "a task of the endpoint panicked");
    Some((stranger, closed, seen?))
}

/// Counts panics from now on. A runtime catches those of its tasks, so they would go unnoticed.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host's events for the seeds of a kind of stranger.
    fn events_of(kind: Stranger, in_closed: bool) -> Vec<String> {
        let met = crate::seeds::strangers().into_iter().filter_map(|seed| meet(&seed));
        let met = met.filter(|(stranger, closed, _)| (*stranger, *closed) == (kind, in_closed));
        met.flat_map(|(.., events)| events).collect()
    }

    #[test]
    fn seeds_get_past_every_door() {
        let reached = |kind, word: &str| {
            let events = events_of(kind, false);
            assert!(events.iter().any(|event| event == word), "{kind:?}: {events:?}");
        };
        reached(Stranger::Plain, "Misbehaved");
        reached(Stranger::Encrypts, "LinkClosed");
        reached(Stranger::Knocks, "Incompatible");
        reached(Stranger::Talks, "Message");
        reached(Stranger::Talks, "Closed");
        reached(Stranger::Asks, "Requested");
        reached(Stranger::Asks, "Served");
        reached(Stranger::Answers, "ChunkStarted");
        reached(Stranger::IsDialled, "Incompatible");
        let closed = events_of(Stranger::Knocks, true);
        assert!(closed.iter().any(|event| event == "OtherParty"), "{closed:?}");
    }
}
