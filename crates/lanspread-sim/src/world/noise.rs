//! Noise: senders whose pace changes, and PCs that stall.
//!
//! The noise has its own random generator, so that a party without noise plays exactly as it would if there were no
//! noise model.

use std::collections::VecDeque;
use std::time::Duration;

use lanspread_core::io::NetInput;
use lanspread_core::swarm::Rng;
use lanspread_core::time::Time;

use super::carry::normal;
use super::{Event, World};
use crate::party::Noise;

/// Lower bound of the random factor by which the time for a sender's bytes is multiplied.
const FASTEST: f64 = 0.2;

/// State of the noise of all guests.
#[derive(Debug)]
pub(super) struct Disturbances {
    rng: Rng,
    guests: Vec<Stall>,
}

#[derive(Debug, Default)]
struct Stall {
    /// True during the stall.
    lasts: bool,
    /// Events that wait for the end of the stall, in order.
    waiting: VecDeque<Event>,
}

impl Disturbances {
    /// Returns guests that do not stall.
    pub fn new(guests: usize, seed: u64) -> Self {
        let guests = (0..guests).map(|_| Stall::default()).collect();
        Self { rng: Rng::new(seed ^ 0x0002_0159), guests }
    }

    /// Draws the factor by which the time for a sender's bytes is multiplied.
    fn factor(&mut self, noise: &Noise) -> f64 {
        (1.0 + noise.deviation * normal(&mut self.rng)).max(FASTEST)
    }

    /// Draws the time to the next stall, exponentially distributed.
    fn until_stall(&mut self, noise: &Noise) -> Duration {
        let uniform = (self.rng.below(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
        noise.stalls_every.mul_f64(-uniform.ln())
    }
}

impl World {
    pub(super) fn plan_noise(&mut self) {
        let Some(noise) = self.party.noise else { return };
        for guest in 0..self.guests.len() {
            self.queue.plan(Time::START, Event::Pace { guest });
            let stalls = Time::START + self.disturbances.until_stall(&noise);
            self.queue.plan(stalls, Event::Stall { guest });
        }
    }

    pub(super) fn draw_pace(&mut self, guest: usize) {
        let Some(noise) = self.party.noise else { return };
        let factor = self.disturbances.factor(&noise);
        self.network.set_pace(guest, 1.0 / factor, self.now);
        self.queue.plan(self.now + noise.span.mul_f64(factor), Event::Pace { guest });
    }

    pub(super) fn stall(&mut self, guest: usize) {
        let Some(noise) = self.party.noise else { return };
        self.disturbances.guests[guest].lasts = true;
        self.network.set_stalled(guest, true, self.now);
        self.queue.plan(self.now + noise.stall, Event::GoOn { guest });
    }

    /// Ends a stall and handles the events that arrived meanwhile, in order.
    pub(super) fn go_on(&mut self, guest: usize) -> Result<(), String> {
        let Some(noise) = self.party.noise else { return Ok(()) };
        self.disturbances.guests[guest].lasts = false;
        self.network.set_stalled(guest, false, self.now);
        let next = self.now + self.disturbances.until_stall(&noise);
        self.queue.plan(next, Event::Stall { guest });
        let waiting = std::mem::take(&mut self.disturbances.guests[guest].waiting);
        waiting.into_iter().try_for_each(|event| self.handle_event(event))
    }

    /// Returns the event if it can be handled now. If it concerns a stalled guest, queues it until the stall ends and
    /// returns `None`.
    pub(super) fn unless_stalled(&mut self, event: Event) -> Option<Event> {
        if self.party.noise.is_some()
            && let Some(guest) = self.concerned(&event)
            && let stall = &mut self.disturbances.guests[guest]
            && stall.lasts
        {
            stall.waiting.push_back(event);
            return None;
        }
        Some(event)
    }

    /// Returns the guest whose processor must handle an event.
    fn concerned(&self, event: &Event) -> Option<usize> {
        match event {
            Event::Click { guest, .. } | Event::JobDone { guest, .. } | Event::Wake { guest, .. } => {
                Some(*guest)
            }
            Event::Connected(conn) | Event::Message(conn, _) => Some(self.wire.end(*conn).owner),
            Event::Net { to, .. } => Some(*to),
            Event::OnLink { link, input: NetInput::Requested { .. } } => Some(self.wire.link(*link).source),
            Event::OnLink { link, .. } | Event::Payload { link, .. } | Event::Written { link, .. } => {
                Some(self.wire.link(*link).receiver)
            }
            Event::ControlLoad
            | Event::Fault(_)
            | Event::Back { .. }
            | Event::Pace { .. }
            | Event::Stall { .. }
            | Event::GoOn { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Party;

    fn noisy() -> World {
        World::new(Party { noise: Some(Noise::USUAL), ..Party::mass_start(2, 100.0, 1 << 20, 1) })
    }

    #[test]
    fn factors_have_mean_one_and_deviation_three_tenths() {
        let mut disturbances = Disturbances::new(1, 7);
        let draws: Vec<f64> = (0..20_000).map(|_| disturbances.factor(&Noise::USUAL)).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!((variance.sqrt() - 0.3).abs() < 0.01, "{}", variance.sqrt());
    }

    #[test]
    fn stalls_are_ten_seconds_apart_on_average() {
        let mut disturbances = Disturbances::new(1, 7);
        let sum: Duration = (0..20_000).map(|_| disturbances.until_stall(&Noise::USUAL)).sum();
        assert!((sum.as_secs_f64() / 20_000.0 - 10.0).abs() < 0.2, "{sum:?}");
    }

    #[test]
    fn events_in_a_stall_are_handled_at_its_end() {
        let mut world = noisy();
        let click = |guest| Event::Click { guest, life: 0 };
        assert!(world.unless_stalled(click(1)).is_some());
        world.stall(1);
        assert!(world.unless_stalled(click(1)).is_none());
        assert!(world.unless_stalled(click(2)).is_some(), "another guest");
        assert!(world.unless_stalled(Event::ControlLoad).is_some(), "nobody's");
        let before = world.commands;
        world.now = world.now + Noise::USUAL.stall;
        world.go_on(1).expect("no rule is broken");
        assert_eq!(world.commands, before + 1, "its click is handled");
        assert!(world.unless_stalled(click(1)).is_some());
    }
}
