//! Queue of future events, in order of time. Events at the same time come out in the order in which they were
//! planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lanspread_core::time::Time;

/// Events by time.
///
/// The heap holds only keys, because events are large and a heap moves its elements often.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    /// Events by slot; `None` in free slots.
    events: Vec<Option<E>>,
    /// Free slots.
    free: Vec<usize>,
    /// Number of events planned so far: the order of events at the same time.
    count: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), count: 0 }
    }
}

impl<E> EventQueue<E> {
    /// Plans an event.
    pub fn plan(&mut self, at: Time, event: E) {
        self.count += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            self.events.len() - 1
        });
        self.events[slot] = Some(event);
        self.heap.push(Reverse((at, self.count, slot)));
    }

    /// Returns the time of the next event.
    pub fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Removes and returns the next event with its time.
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
    fn events_at_the_same_time_keep_their_order() {
        let mut queue = EventQueue::default();
        let at = |ms| Time::from_start(Duration::from_millis(ms));
        for (ms, event) in [(2, 'c'), (1, 'a'), (2, 'd')] {
            queue.plan(at(ms), event);
        }
        assert_eq!(queue.pop(), Some((at(1), 'a')));
        // This event reuses the free slot, which lies before the slots of events that were planned earlier.
        queue.plan(at(2), 'e');
        queue.plan(at(1), 'b');
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(rest, ['b', 'c', 'd', 'e']);
    }
}
