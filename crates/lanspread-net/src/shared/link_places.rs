//! Bound on the inbound data connections of one key.
//!
//! A peer needs one, and a second one for as long as we have not noticed that the first is dead. A new link always gets
//! a place; if its key then has more than [`LINKS_PER_KEY_MAX`], the oldest link ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use lanspread_types::{LinkId, PeerId, failpoint};

use crate::inbox::{Inbox, lock};
use crate::limits::LINKS_PER_KEY_MAX;
use crate::shared::answer::Answer;

type Own = VecDeque<(LinkId, Arc<Inbox<Answer>>)>;

/// Links of each key, oldest first.
#[derive(Debug, Default)]
pub(crate) struct LinkPlaces(Mutex<HashMap<PeerId, Own>>);

/// Place of one link; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct LinkPlace<'a> {
    places: &'a LinkPlaces,
    peer: PeerId,
    link: LinkId,
}

impl LinkPlaces {
    /// Takes a place for a new link. Ends the key's oldest link if the key has too many.
    pub(crate) fn enter(&self, peer: PeerId, link: LinkId, inbox: &Arc<Inbox<Answer>>) -> LinkPlace<'_> {
        let mut places = lock(&self.0);
        let own = places.entry(peer).or_default();
        own.push_back((link, Arc::clone(inbox)));
        if own.len() > LINKS_PER_KEY_MAX
            && !failpoint!("keep-every-link")
            && let Some((_, oldest)) = own.pop_front()
        {
            oldest.end();
        }
        LinkPlace { places: self, peer, link }
    }
}

impl Drop for LinkPlace<'_> {
    fn drop(&mut self) {
        let mut places = lock(&self.places.0);
        let Some(own) = places.get_mut(&self.peer) else { return };
        own.retain(|(link, _)| *link != self.link);
        if own.is_empty() {
            places.remove(&self.peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_link_of_a_key_gives_way() {
        let places = LinkPlaces::default();
        let (one, other) = (PeerId([1; 32]), PeerId([2; 32]));
        let inboxes: Vec<_> = (0..=LINKS_PER_KEY_MAX).map(|_| Arc::new(Inbox::new(1))).collect();
        let enter = |peer, n: usize| places.enter(peer, LinkId(n as u64), &inboxes[n]);
        let ended = |n: usize| inboxes[n].take().is_none();
        let of_other = Arc::new(Inbox::new(1));
        let held: Vec<_> = (0..LINKS_PER_KEY_MAX).map(|n| enter(one, n)).collect();
        let _another = places.enter(other, LinkId(99), &of_other);
        assert!(!(0..LINKS_PER_KEY_MAX).any(ended) && of_other.take().is_some());
        let newest = enter(one, LINKS_PER_KEY_MAX);
        assert!(ended(0) && !(1..=LINKS_PER_KEY_MAX).any(ended));
        drop((held, newest));
        assert_eq!(lock(&places.0).len(), 1, "nothing is kept of a key without links");
    }
}
