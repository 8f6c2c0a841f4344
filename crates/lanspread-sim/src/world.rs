//! Plays a party: carries each node's outputs over a modelled network and disk to the nodes that they concern.
//!
//! The world owns the virtual clock, the event queue and the counters. It makes no decision for a node, and reports
//! each rule that a node breaks as a [`Violation`]. The submodules carry messages and chunks (`carry`), apply faults
//! and noise, and account for the links' load by control messages (`control_load`, `waits`).

mod carry;
mod control_load;
mod faults;
mod noise;
mod outcome;
mod waits;

use self::control_load::ControlLoad;
use self::noise::Disturbances;
use self::outcome::Crossing;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanspread_core::budget::cost;
use lanspread_core::command::{Command, CommandId};
use lanspread_core::event::Event as NodeEvent;
use lanspread_core::io::{ConnId, DiskJob, Input, LinkId, NetInput, Output};
use lanspread_core::swarm::{Picker, Rng};
use lanspread_core::time::Time;
use lanspread_types::message::{Message, RequestId};
use lanspread_types::{ChunkIndex, ChunkSet, GameContent, PeerId};

use crate::check::{Violation, Watcher};
use crate::content::{content_of, game_id, random_32};
use crate::guest::{Disk, Guest};
use crate::network::Network;
use crate::party::{Fault, Party};
use crate::queue::EventQueue;
use crate::report::Report;
use crate::spending::Spending;
use crate::wire::Wire;

/// Time of the first click. Until then the guests read their libraries and exchange them.
pub const MEETING: Duration = Duration::from_millis(100);
/// A receiver whose download fails, for example for want of a source, clicks again after this time.
const CLICK_AGAIN: Duration = Duration::from_millis(250);
/// More events than any party needs. Beyond this number peers only keep each other busy.
const EVENTS_MAX: u64 = 1 << 31;

#[derive(Debug)]
enum Event {
    /// The owner of a guest asks for the game.
    Click {
        guest: usize,
        life: u32,
    },
    /// A control connection is established at this end.
    Connected(ConnId),
    /// A message arrives at this end.
    Message(ConnId, Message),
    /// A node hears of a failed dial, of the end of a connection, or of the result of a request or an answer.
    Net {
        to: usize,
        life: u32,
        input: NetInput,
    },
    /// Something arrives on a data connection that is still open.
    OnLink {
        link: LinkId,
        input: NetInput,
    },
    /// The last byte of a chunk arrives.
    Payload {
        link: LinkId,
        id: RequestId,
        chunk: ChunkIndex,
        true_bytes: bool,
    },
    /// A chunk is verified and written.
    Written {
        link: LinkId,
        life: u32,
        id: RequestId,
        chunk: ChunkIndex,
        true_bytes: bool,
    },
    JobDone {
        guest: usize,
        life: u32,
        job: DiskJob,
    },
    /// A node asked to be woken now.
    Wake {
        guest: usize,
        planned: Time,
    },
    /// The pace of a guest's link changes.
    Pace {
        guest: usize,
    },
    /// A guest stalls.
    Stall {
        guest: usize,
    },
    /// A guest's stall is over.
    GoOn {
        guest: usize,
    },
    /// The rates of the links are reduced by the control messages of the last interval.
    ControlLoad,
    Fault(Fault),
    /// A crashed guest starts again.
    Back {
        guest: usize,
    },
}

/// The answer that a bulk transfer carries.
#[derive(Debug, Clone)]
struct Tag {
    link: LinkId,
    id: RequestId,
    /// The chunk; `None` for the manifest.
    chunk: Option<ChunkIndex>,
}

/// A party that is being played.
#[derive(Debug)]
pub struct World {
    party: Party,
    content: Arc<GameContent>,
    by_id: BTreeMap<PeerId, usize>,
    guests: Vec<Guest>,
    watchers: Vec<Watcher>,
    wire: Wire,
    network: Network<Tag>,
    control_load: ControlLoad,
    disturbances: Disturbances,
    queue: EventQueue<Event>,
    /// Partitions: guests with numbers below the first value cannot reach the rest until the second.
    splits: Vec<(usize, Time)>,
    /// Number of planned returns of each guest.
    returning: Vec<u32>,
    /// When each guest finished its download.
    finished_at: Vec<Option<Time>>,
    /// When the last message of each guest leaves its uplink.
    leaves_at: Vec<Time>,
    /// True once every guest that can finish has finished.
    over: bool,
    commands: u64,
    manifest_bytes: u64,
    /// Number of chunks and encoded size of the last `Have` message: a cache, because a node sends the same message to
    /// all peers.
    have_size: (usize, u64),
    now: Time,
    rng: Rng,
    tally: Tally,
}

/// Counters for the report.
#[derive(Debug, Default)]
struct Tally {
    seed_bytes: u64,
    control_bytes: u64,
    messages: u64,
    duplicates: u64,
    delivered: u64,
    corrupt: u64,
    /// Traffic over each group's uplink.
    crossings: Vec<Crossing>,
    rejected: usize,
    bytes_in_flight_max: u64,
    events: u64,
    spending: Spending,
    progress: Vec<(Duration, [u32; 3])>,
}

impl World {
    /// Returns a party with all clicks and faults planned and all guests dialling each other.
    pub fn new(party: Party) -> Self {
        let mut rng = Rng::new(party.seed ^ 0x5EED);
        let content = Arc::new(content_of(party.game_bytes, &mut rng));
        let chunks = content.manifest().chunk_count();
        let count = party.peers.len();
        let mut guests = Vec::new();
        for (at, spec) in party.peers.iter().enumerate() {
            let id = PeerId(random_32(&mut rng));
            let mut had = if spec.seed { ChunkSet::full(chunks) } else { ChunkSet::empty(chunks) };
            (0..chunks).filter(|_| spec.had > 0.0 && rng.chance(spec.had)).for_each(|chunk| {
                had.insert(ChunkIndex(chunk));
            });
            let disk = Disk::new(had, spec.disk);
            guests.push(Guest::new(at, spec.group, id, disk, rng.next_u64(), &party.tuning));
        }
        let rates: Vec<_> = party.peers.iter().map(|spec| spec.rate).collect();
        let group_of = party.peers.iter().map(|spec| spec.group).collect();
        let uplinks: Vec<_> = (0..party.group_count()).map(|group| party.uplink(group)).collect();
        let mut world = Self {
            by_id: guests.iter().enumerate().map(|(at, guest)| (guest.id, at)).collect(),
            control_load: ControlLoad::new(rates.iter().chain(&uplinks).copied().collect()),
            disturbances: Disturbances::new(count, party.seed),
            network: Network::new(rates, party.sent_ahead).with_groups(group_of, &uplinks),
            watchers: (0..count).map(|_| Watcher::new(chunks)).collect(),
            manifest_bytes: lanspread_proto::manifest::encode(&content).map_or(0, |bytes| bytes.len() as u64),
            wire: Wire::default(),
            queue: EventQueue::default(),
            splits: Vec::new(),
            returning: vec![0; count],
            finished_at: vec![None; count],
            leaves_at: vec![Time::START; count],
            over: false,
            commands: 0,
            have_size: (usize::MAX, 0),
            now: Time::START,
            tally: Tally { crossings: vec![Crossing::default(); party.group_count()], ..Tally::default() },
            party,
            content,
            guests,
            rng,
        };
        world.plan_everything();
        world
    }

    fn plan_everything(&mut self) {
        for (at, spec) in self.party.peers.iter().enumerate() {
            if let Some(click) = spec.joins {
                // People do not click at the same instant.
                let jitter = Duration::from_micros(self.rng.below(20_000));
                let at_time = Time::from_start(MEETING + click + jitter);
                self.queue.plan(at_time, Event::Click { guest: at, life: 0 });
            }
        }
        for fault in self.party.faults.clone() {
            self.queue.plan(Time::from_start(MEETING + fault.at()), Event::Fault(fault));
        }
        self.plan_noise();
        for a in 0..self.guests.len() {
            (0..a).for_each(|b| self.dial(a, b));
        }
    }

    /// Plays the party until every receiver that can finish has the game.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, including a party that does not end in time.
    pub fn run(mut self) -> Result<Report, Violation> {
        match self.play() {
            Ok(()) => Ok(self.report()),
            Err(what) => Err(Violation { seed: self.party.seed, at: self.now, what }),
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let latest_click = self.party.peers.iter().filter_map(|p| p.joins).max().unwrap_or_default();
        let patience = self.party.bound().mul_f64(self.party.patience) + Duration::from_secs(90);
        let limit = Time::START + latest_click + patience;
        (0..self.guests.len()).try_for_each(|at| self.carry_out(at))?;
        while !self.over {
            let (next_event, next_done) = (self.queue.next_at(), self.network.next_done());
            self.tally.events += 1;
            match (next_event, next_done) {
                (None, None) => return Err(format!("deadlock, no events are left: {}", self.stuck())),
                (event, Some(done)) if event.is_none_or(|at| done <= at) => {
                    self.now = done;
                    for progress in self.network.advance(done) {
                        self.transfer_went_on(progress);
                    }
                }
                _ => {
                    let Some((at, event)) = self.queue.pop() else { continue };
                    self.now = self.now.max(at);
                    self.handle_event(event)?;
                }
            }
            if self.tally.events > EVENTS_MAX {
                return Err(format!("livelock: {}", self.stuck()));
            }
            if self.now > limit {
                return Err(format!("not done in time: {}", self.stuck()));
            }
        }
        Ok(())
    }

    /// Updates `over`. Call it when a guest has finished or crashed.
    fn update_over(&mut self) {
        let unfinished = |at: usize| {
            let here = self.guests[at].alive || self.returning[at] > 0;
            here && self.party.peers[at].joins.is_some() && self.finished_at[at].is_none()
        };
        self.over = !(0..self.guests.len()).any(unfinished);
    }

    fn stuck(&self) -> String {
        let one = |(at, guest): (usize, &Guest)| {
            let picker = guest.node.downloads().next().and_then(|f| f.transfer()).map(|t| &t.picker);
            format!(
                "{at}{}: {} of {}, {} sources, {} asked, first missing {:?};",
                if guest.alive { "" } else { " (dead)" },
                guest.disk.had.count(),
                guest.disk.had.len(),
                picker.map_or(0, Picker::source_count),
                picker.map_or(0, Picker::requests_in_flight),
                guest.disk.had.first_missing().map(|c| c.0),
            )
        };
        self.guests.iter().enumerate().map(one).collect::<Vec<_>>().join(" ")
    }

    fn handle_event(&mut self, event: Event) -> Result<(), String> {
        let Some(event) = self.unless_stalled(event) else { return Ok(()) };
        match event {
            Event::Click { guest, life } => self.click(guest, life),
            Event::Connected(conn) => self.established(conn),
            Event::Message(conn, message) => {
                let end = *self.wire.end(conn);
                if !end.open {
                    return Ok(());
                }
                self.tally.spending.note(conn, cost(&message), self.now);
                self.input(end.owner, Input::Net(NetInput::Message { conn, message }))
            }
            Event::Net { to, life, input } if self.guests[to].life == life => self.hear(to, input),
            Event::OnLink { link, input } if self.wire.link(link).open => {
                let link = self.wire.link(link);
                let to =
                    if matches!(input, NetInput::Requested { .. }) { link.source } else { link.receiver };
                self.hear(to, input)
            }
            Event::Payload { link, id, chunk, true_bytes } if self.wire.link(link).open => {
                let to = self.wire.link(link).receiver;
                let bytes = self.content.manifest().place(chunk).map_or(0, |place| place.len);
                let done = self.guests[to].disk.write(bytes, self.now);
                let life = self.guests[to].life;
                self.queue.plan(done, Event::Written { link, life, id, chunk, true_bytes });
                Ok(())
            }
            Event::Written { link, life, id, chunk, true_bytes } => {
                self.written(link, life, id, chunk, true_bytes)
            }
            Event::JobDone { guest, life, job } if self.guests[guest].life == life => {
                match self.guests[guest].disk.perform(job, &self.content) {
                    Some(report) => self.input(guest, Input::Disk(report)),
                    None => Ok(()),
                }
            }
            Event::Wake { guest, planned } if self.guests[guest].wake_planned == Some(planned) => {
                self.guests[guest].wake_planned = None;
                self.input(guest, Input::Wake)?;
                match self.guests[guest].node.next_wakeup(self.now) {
                    Some(at) if at <= self.now && self.guests[guest].alive => {
                        Err(format!("guest {guest} was woken and wants to be woken again at once"))
                    }
                    _ => Ok(()),
                }
            }
            Event::Pace { guest } => {
                self.draw_pace(guest);
                Ok(())
            }
            Event::Stall { guest } => {
                self.stall(guest);
                Ok(())
            }
            Event::GoOn { guest } => self.go_on(guest),
            Event::ControlLoad => {
                self.apply_control_load();
                Ok(())
            }
            Event::Fault(fault) => self.fault(fault),
            Event::Back { guest } => self.back(guest),
            // Events for an earlier life of a guest or for a closed connection are dropped.
            _ => Ok(()),
        }
    }

    fn click(&mut self, guest: usize, life: u32) -> Result<(), String> {
        let here = self.guests[guest].alive && self.guests[guest].life == life;
        if !here || self.finished_at[guest].is_some() {
            return Ok(());
        }
        self.commands += 1;
        let command = Command::Download { game: game_id(), install: false, confirm: None };
        self.input(guest, Input::Command { id: CommandId(self.commands), command })
    }

    fn click_again(&mut self, guest: usize) {
        let life = self.guests[guest].life;
        self.queue.plan(self.now + CLICK_AGAIN, Event::Click { guest, life });
    }

    fn input(&mut self, at: usize, input: Input) -> Result<(), String> {
        if !self.guests[at].alive {
            return Ok(());
        }
        self.guests[at].node.handle(self.now, input);
        self.carry_out(at)
    }

    /// Carries out all outputs of a node and plans its next wake-up.
    fn carry_out(&mut self, at: usize) -> Result<(), String> {
        let mut asked = false;
        while let Some(output) = self.guests[at].node.poll_output() {
            asked |= matches!(output, Output::Request { .. });
            self.perform(at, output)?;
        }
        if asked {
            self.check_bounds(at)?;
        }
        let now = self.now;
        let guest = &mut self.guests[at];
        if let Some(wake) = guest.node.next_wakeup(now) {
            let wake = wake.max(now + Duration::from_nanos(1));
            if guest.wake_planned.is_none_or(|planned| wake < planned) {
                guest.wake_planned = Some(wake);
                self.queue.plan(wake, Event::Wake { guest: at, planned: wake });
            }
        }
        Ok(())
    }

    fn told(&mut self, at: usize, event: &NodeEvent) -> Result<(), String> {
        match event {
            NodeEvent::DownloadFinished { .. } => return self.finished(at),
            NodeEvent::DownloadFailed { .. } => self.click_again(at),
            NodeEvent::SourceRejected { .. } => {
                self.tally.rejected += 1;
                self.watchers[at].source_gone();
            }
            _ => {}
        }
        Ok(())
    }

    fn finished(&mut self, at: usize) -> Result<(), String> {
        if !self.guests[at].disk.committed {
            return Err(format!("guest {at} has finished, but not everything is there"));
        }
        self.finished_at[at] = Some(self.now);
        self.note_progress();
        self.update_over();
        Ok(())
    }

    fn check_bounds(&mut self, at: usize) -> Result<(), String> {
        let Some(transfer) = self.guests[at].node.downloads().next().and_then(|f| f.transfer()) else {
            return Ok(());
        };
        let (tuning, in_flight) = (&self.party.tuning, transfer.picker.bytes_in_flight());
        self.tally.bytes_in_flight_max = self.tally.bytes_in_flight_max.max(in_flight);
        let chunk = self.content.manifest().chunk_size().bytes();
        if in_flight > tuning.in_flight_bytes.max(chunk * tuning.in_flight_chunks_min as u64) {
            return Err(format!("{in_flight} bytes are in flight to guest {at}"));
        }
        Ok(())
    }
}
