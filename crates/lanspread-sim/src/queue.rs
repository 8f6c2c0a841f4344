//! Events in the order of their time; those of one moment in the order in which they were planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lanspread_core::time::Time;

/// The heap holds keys alone: events are large, and a heap moves its elements often.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    /// Events by slot, and the slots that are free.
    events: Vec<Option<E>>,
    free: Vec<usize>,
    count: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), count: 0 }
    }
}

impl<E> EventQueue<E> {
    pub fn plan(&mut self, at: Time, event: E) {
        self.count += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[slot] = Some(event);
        self.heap.push(Reverse((at, self.count, slot)));
    }

    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        Some((at, self.events[slot].take()?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn events_of_one_moment_keep_their_order() {
        let mut queue = EventQueue::default();
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        for (ms, event) in [(2, 'c'), (1, 'a'), (2, 'd')] {
            queue.plan(at(ms), event);
        }
        assert_eq!(queue.pop(), Some((at(1), 'a')));
        // It takes the slot that is free, before those planned earlier.
        queue.plan(at(2), 'e');
        queue.plan(at(1), 'b');
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(rest, ['b', 'c', 'd', 'e']);
    }
}
