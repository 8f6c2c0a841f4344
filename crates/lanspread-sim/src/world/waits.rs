//! Delay of control messages and requests behind bulk on the same uplink.
//!
//! A host hands its bulk to a first-in, first-out queue in front of the link, so a later message leaves after it. The
//! length of the queue follows from the network (`Network::backlog`). The bulk itself is not delayed, and neither is
//! the head of an answer, which leaves before its bytes: the network counts bytes when they leave the queue.

use std::time::Duration;

use lanspread_core::time::Time;

use super::World;

impl World {
    /// Returns how long a message that a guest sends now waits before it leaves.
    pub(super) fn wait(&mut self, from: usize) -> Duration {
        let queue = self.party.queue;
        if queue.is_zero() {
            return Duration::ZERO;
        }
        let backlog = self.network.backlog(from, queue, self.now);
        // The bulk in the queue may have been aborted meanwhile, but a message does not overtake earlier ones.
        backlog.max(self.leaves_at[from].since(self.now))
    }

    /// Records a message that a guest sends now and returns when it leaves.
    pub(super) fn leaves(&mut self, from: usize) -> Time {
        let leaves = self.now + self.wait(from);
        self.leaves_at[from] = leaves;
        leaves
    }
}

#[cfg(test)]
mod tests {
    use lanspread_core::io::Output;
    use lanspread_types::message::{Message, RequestId};

    use super::super::{Event, Tag};
    use super::*;
    use crate::Party;
    use crate::network::Transfer;

    const QUEUE: Duration = Duration::from_millis(30);

    /// Returns a party at its start, whose seed sends `bytes` bytes to the one receiver.
    fn sending(queue: Duration, bytes: u64) -> World {
        let mut world = World::new(Party { queue, ..Party::mass_start(1, 100.0, 1 << 20, 1) });
        let link = world.wire.link_between(1, 0, Time::START);
        let tag = Tag { link, id: RequestId(1), chunk: None };
        world.network.start(Transfer { from: 0, to: 1, bytes, weight: 1.0, tag }, Time::START);
        world
    }

    /// Returns how long a message takes that is sent now.
    fn message_takes(world: &mut World, from: usize, to: usize) -> Duration {
        let conn = world.wire.connect(from, to);
        world.perform(from, Output::Send { conn, message: Message::StateWanted }).expect("no rule is broken");
        while let Some((at, event)) = world.queue.pop() {
            if matches!(event, Event::Message(..)) {
                return at.since(world.now);
            }
        }
        panic!("no message is on its way")
    }

    #[test]
    fn message_waits_behind_bulk_on_the_same_uplink() {
        let mut world = sending(QUEUE, 1 << 20);
        let trip = world.trip(0, 1);
        assert_eq!(message_takes(&mut world, 0, 1), trip + QUEUE);
        // Nothing waits in the other direction.
        assert_eq!(message_takes(&mut world, 1, 0), trip);
        // The queue could hold more than is sent.
        let mut world = sending(QUEUE, 119_500);
        let part = message_takes(&mut world, 0, 1) - trip;
        assert!(part.abs_diff(Duration::from_millis(10)) < Duration::from_micros(1), "{part:?}");
    }

    #[test]
    fn nothing_waits_without_a_queue() {
        let mut world = sending(Duration::ZERO, 1 << 20);
        assert_eq!(message_takes(&mut world, 0, 1), world.trip(0, 1));
    }

    #[test]
    fn no_message_overtakes_an_earlier_one() {
        let mut world = sending(QUEUE, 1 << 20);
        let first = world.leaves(0);
        world.network.cut(|_, _| true, world.now);
        world.now = world.now + Duration::from_millis(10);
        assert_eq!((first, world.leaves(0)), (Time::START + QUEUE, first));
        world.now = first;
        assert_eq!(world.leaves(0), first);
    }
}
