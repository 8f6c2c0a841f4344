//! Turns the outputs of one node into inputs of other nodes: control messages, requests and answers, each with its
//! delay.

use std::time::Duration;

use lanspread_core::command::Reply;
use lanspread_core::io::{
    ChunkFault, CloseReason, ConnId, Connected, Input, LinkId, NetInput, Output, RequestFailure, Serving,
};
use lanspread_core::swarm::Rng;
use lanspread_core::time::Time;
use lanspread_types::limits::{AWAITED_PER_SOURCE_MAX, PROTOCOL_VERSION, REQUESTS_PER_SOURCE_MAX};
use lanspread_types::message::{Hello, Message, Request, RequestId, Response};
use lanspread_types::{ChunkIndex, PeerName};

use super::{Event, Tag, World};
use crate::guest::{guest_at, name_of};
use crate::network::{Progress, Transfer};
use crate::wire::other;

/// Time after which the other end notices that a process died or a connection broke: the kernel resets the
/// connection.
pub(super) const RESET_AFTER: Duration = Duration::from_millis(1);
/// One-way trips of a handshake, before the first request can leave.
const HANDSHAKE_TRIPS: u32 = 3;
/// Seconds for which a TCP connection that lost a packet stays behind others.
const LUCK_LASTS_SECONDS: u64 = 5;
/// Most unanswered requests on one data connection. Cancelled requests count until the source has answered, so the
/// number may exceed the protocol's limit.
const OUTSTANDING_MAX: usize = 2 * (REQUESTS_PER_SOURCE_MAX + AWAITED_PER_SOURCE_MAX);

impl World {
    pub(super) fn perform(&mut self, at: usize, output: Output) -> Result<(), String> {
        match output {
            Output::Dial { addr } => self.dial(at, guest_at(addr)),
            Output::DialPeer { addrs, .. } => {
                if let Some(&addr) = addrs.first() {
                    self.dial(at, guest_at(addr));
                }
            }
            // All guests dial each other at the start, so nothing needs to be probed or remembered.
            Output::Probe { .. } | Output::Remember(_) => {}
            Output::Send { conn, message } => self.send(conn, message),
            Output::Close { conn, reason } => self.close(conn, reason),
            Output::Request { peer, request } => {
                let source = self.by_id[&peer];
                return self.request(at, source, request);
            }
            Output::Serve { link, id, what } => return self.serve(at, link, id, &what),
            Output::Refuse { link, id, reason } => {
                let to = self.wire.link(link).receiver;
                self.count(at, to, &Response::Refused { id, reason });
                let (peer, failure) = (self.guests[at].id, RequestFailure::Refused(reason));
                let arrives = self.leaves(at) + self.trip(at, to);
                let input = NetInput::RequestFailed { peer, id, failure };
                self.queue.plan(arrives, Event::OnLink { link, input });
            }
            Output::DropSource { peer } => {
                let source = self.by_id[&peer];
                self.drop_source(at, source);
            }
            // Guests in a simulation request few manifests and read them, so no node has a reason to drop a
            // connection.
            Output::DropLink { .. } => return Err(format!("guest {at} drops a connection")),
            Output::Disk(job) => {
                let (done, life) = (self.guests[at].disk.job_done_at(self.now), self.guests[at].life);
                self.queue.plan(done, Event::JobDone { guest: at, life, job });
            }
            Output::Event(event) => return self.told(at, &event),
            Output::Reply { result: Err(_), .. } => self.click_again(at),
            // The process died after the commit but before it reported the end of the download.
            Output::Reply { result: Ok(Reply::AlreadyThere { .. }), .. } => return self.finished(at),
            Output::Reply { .. }
            | Output::Stopped
            | Output::CheckCatalog { .. }
            | Output::KeepCatalog(_)
            | Output::KeepOrganiser(_)
            | Output::KeepDeclined(_) => {}
        }
        Ok(())
    }

    // ---- control connections

    pub(super) fn dial(&mut self, from: usize, to: usize) {
        let trip = self.trip(from, to);
        if to >= self.guests.len() || !self.reach(from, to) {
            let Some(peer) = self.guests.get(to).map(|guest| guest.id) else { return };
            return self.tell(from, trip, NetInput::PeerDialFailed { peer, reason: "nobody".to_owned() });
        }
        let conn = self.wire.connect(from, to);
        let stands = self.now + trip * HANDSHAKE_TRIPS + self.wait(from) + self.wait(to);
        for conn in [conn, other(conn)] {
            self.queue.plan(stands, Event::Connected(conn));
        }
    }

    pub(super) fn established(&mut self, conn: ConnId) -> Result<(), String> {
        let end = self.wire.end_mut(conn);
        end.established = true;
        let end = *end;
        if !end.open {
            return Ok(());
        }
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            name: PeerName::new(name_of(end.peer)).map_err(|e| e.to_string())?,
            listen_port: 4000,
            program: String::new(),
        };
        let (peer, addr) = (self.guests[end.peer].id, self.guests[end.peer].addr);
        let connected = Connected { conn, peer, hello, addr, local_ip: None, dialled: end.dialled };
        self.input(end.owner, Input::Net(NetInput::Connected(connected)))
    }

    fn send(&mut self, conn: ConnId, message: Message) {
        let end = *self.wire.end(conn);
        if !end.open {
            return;
        }
        let have = match &message {
            Message::Have { chunks, .. } => chunks.len(),
            _ => usize::MAX,
        };
        if have == usize::MAX || self.have_size.0 != have {
            self.have_size = (have, encoded(&message));
        }
        self.tally.control_bytes += self.have_size.1;
        self.count_message(end.owner, end.peer, self.have_size.1);
        self.tally.messages += 1;
        let at = self.leaves(end.owner) + self.trip(end.owner, end.peer);
        self.queue.plan(at, Event::Message(other(conn), message));
    }

    /// Closes one side of a control connection. Messages that it sent before arrive first.
    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        let end = self.wire.end_mut(conn);
        if !std::mem::replace(&mut end.open, false) {
            return;
        }
        let (owner, peer) = (end.owner, end.peer);
        let theirs = if reason == CloseReason::Leaving { CloseReason::Goodbye } else { CloseReason::Lost };
        let after = self.leaves(owner).since(self.now) + self.trip(owner, peer);
        self.tell(peer, after, NetInput::Closed { conn: other(conn), reason: theirs });
    }

    // ---- data connections

    fn request(&mut self, at: usize, source: usize, request: Request) -> Result<(), String> {
        if let Request::Chunk(chunk) = &request {
            let (source_had, had) = (&self.guests[source].disk.had, &self.guests[at].disk.had);
            self.watchers[at].asked(chunk, source_had, had, &self.party.tuning, self.now)?;
        }
        if let Request::Follow(follow) = &request {
            self.watchers[at].awaited(follow, &self.guests[at].disk.had)?;
        }
        self.count(at, source, &request);
        let ids = request.ids();
        let is_cancel = matches!(request, Request::Cancel { .. });
        let trip = self.trip(at, source);
        if !self.reach(at, source) {
            if !is_cancel {
                let peer = self.guests[source].id;
                for id in ids {
                    let failure = RequestFailure::Lost("nobody".to_owned());
                    self.tell(at, trip, NetInput::RequestFailed { peer, id, failure });
                }
            }
            return Ok(());
        }
        let connected = self.now + trip * (1 + HANDSHAKE_TRIPS) + self.wait(at) + self.wait(source);
        let link_id = self.wire.link_between(at, source, connected);
        let link = self.wire.link_mut(link_id);
        if !is_cancel {
            link.outstanding.extend(ids);
        }
        if link.outstanding.len() > OUTSTANDING_MAX {
            return Err(format!("{} requests of guest {at} wait at {source}", link.outstanding.len()));
        }
        let ready_at = link.ready_at;
        let arrives = ready_at.max(self.leaves(at) + trip);
        let peer = self.guests[at].id;
        let input = NetInput::Requested { link: link_id, peer, request };
        self.queue.plan(arrives, Event::OnLink { link: link_id, input });
        Ok(())
    }

    fn serve(&mut self, at: usize, link: LinkId, id: RequestId, what: &Serving) -> Result<(), String> {
        let to = self.wire.link(link).receiver;
        if !self.wire.link(link).open {
            return Ok(());
        }
        let (bytes, chunk) = match what {
            Serving::Manifest { .. } => (self.manifest_bytes, None),
            Serving::Chunk { content, chunk, .. } => {
                if !self.guests[at].disk.had.contains(*chunk) {
                    return Err(format!("guest {at} serves chunk {chunk}, which it does not have"));
                }
                (content.manifest().place(*chunk).map_or(0, |place| place.len), Some(*chunk))
            }
        };
        let tag = Tag { link, id, chunk };
        let weight = self.weight(at, to);
        let transfer = Transfer { from: at, to, bytes, weight, tag: tag.clone() };
        if self.network.start(transfer, self.now) {
            self.head(at, &tag, bytes);
        }
        Ok(())
    }

    /// Returns the weight of a transfer against others: nearly log-normal. Half of its variance belongs to the
    /// connection and lasts for some seconds, the other half to the single answer.
    fn weight(&mut self, from: usize, to: usize) -> f64 {
        if self.party.unfairness == 0.0 {
            return 1.0;
        }
        let epoch = self.now.since_start().as_secs() / LUCK_LASTS_SECONDS;
        let connection = (from as u64) << 40 | (to as u64) << 20 | epoch;
        let of_connection =
            normal(&mut Rng::new(self.party.seed ^ connection.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let both = (of_connection + normal(&mut self.rng)) / 2.0_f64.sqrt();
        (self.party.unfairness * both).exp()
    }

    /// Sends the head of an answer.
    fn head(&mut self, from: usize, tag: &Tag, bytes: u64) {
        let (id, len, to) = (tag.id, bytes as u32, self.wire.link(tag.link).receiver);
        match tag.chunk {
            Some(chunk) => {
                self.count(from, to, &Response::Chunk { id, chunk, len });
                let peer = self.guests[from].id;
                self.on_link(tag.link, NetInput::ChunkStarted { peer, id, chunk });
            }
            None => self.count(from, to, &Response::Manifest { id, len }),
        }
    }

    pub(super) fn transfer_went_on(&mut self, progress: Progress<Tag>) {
        match progress {
            Progress::HandedOver(Transfer { from, bytes, tag, .. }) => {
                let served = NetInput::Served { link: tag.link, id: tag.id, bytes, ok: true };
                self.tell(from, Duration::ZERO, served);
            }
            Progress::Ended(ended) => self.transfer_ended(&ended),
        }
    }

    fn transfer_ended(&mut self, ended: &Transfer<Tag>) {
        let Transfer { from, to, bytes, tag, .. } = ended;
        let (link, id, peer) = (tag.link, tag.id, self.guests[*from].id);
        match tag.chunk {
            Some(chunk) => {
                let lies = self.party.peers[*from].lies;
                let true_bytes = lies == 0.0 || !self.rng.chance(lies);
                if self.party.peers[*from].seed {
                    self.tally.seed_bytes += bytes;
                }
                self.count_crossing(*from, *to, *bytes);
                let arrives = self.now + self.trip(*from, *to);
                self.queue.plan(arrives, Event::Payload { link, id, chunk, true_bytes });
            }
            None => {
                let result = Ok(self.content.clone());
                self.on_link(link, NetInput::ManifestArrived { peer, id, result });
            }
        }
        if let Some(next) = self.network.runs(*from, *to) {
            let (from, tag, bytes) = (next.from, next.tag.clone(), next.bytes);
            self.head(from, &tag, bytes);
        }
    }

    pub(super) fn written(
        &mut self,
        link: LinkId,
        life: u32,
        id: RequestId,
        chunk: ChunkIndex,
        true_bytes: bool,
    ) -> Result<(), String> {
        let (at, from) = (self.wire.link(link).receiver, self.wire.link(link).source);
        let guest = &mut self.guests[at];
        if guest.life != life || !self.wire.link_mut(link).outstanding.remove(&id) {
            return Ok(());
        }
        self.watchers[at].answered(id);
        let guest = &mut self.guests[at];
        // The download has ended meanwhile, so its node expects no report.
        if !guest.disk.is_open() {
            return Ok(());
        }
        let new = true_bytes && guest.disk.had.insert(chunk);
        self.tally.corrupt += u64::from(!true_bytes);
        self.tally.delivered += u64::from(true_bytes);
        self.tally.duplicates += u64::from(true_bytes && !new);
        if new {
            self.watchers[at].stored(chunk, self.now);
            if chunk.0 == 0 || self.guests[at].disk.had.count().is_multiple_of(8) {
                self.note_progress();
            }
        }
        let result = if true_bytes { Ok(()) } else { Err(ChunkFault::Corrupt) };
        let peer = self.guests[from].id;
        self.input(at, Input::Net(NetInput::ChunkEnded { peer, id, chunk, result }))?;
        let guest = &self.guests[at];
        match guest.node.downloads().next().and_then(|f| f.transfer()) {
            Some(transfer) if *transfer.picker.had() != guest.disk.had => {
                Err(format!("guest {at} counts other chunks than it has"))
            }
            _ => Ok(()),
        }
    }

    /// Tells a node about a connection, or about a request or an answer on one, and updates the records of both.
    pub(super) fn hear(&mut self, to: usize, input: NetInput) -> Result<(), String> {
        match &input {
            NetInput::RequestFailed { peer, id, .. } => {
                self.watchers[to].refused(*id);
                self.answered(to, self.by_id[peer], *id);
            }
            NetInput::ManifestArrived { peer, id, .. } => self.answered(to, self.by_id[peer], *id),
            NetInput::Closed { conn, .. } => {
                let peer = self.wire.end(*conn).peer;
                self.wire.end_mut(*conn).open = false;
                if self.guests[to].alive && self.wire.end(*conn).established && peer != to {
                    self.watchers[to].source_gone();
                }
            }
            _ => {}
        }
        self.input(to, Input::Net(input))
    }

    fn answered(&mut self, receiver: usize, source: usize, id: RequestId) {
        if let Some(link) = self.wire.current_link(receiver, source) {
            link.outstanding.remove(&id);
        }
    }

    fn on_link(&mut self, link: LinkId, input: NetInput) {
        let (receiver, source) = (self.wire.link(link).receiver, self.wire.link(link).source);
        self.queue.plan(self.now + self.trip(receiver, source), Event::OnLink { link, input });
    }

    pub(super) fn tell(&mut self, to: usize, after: Duration, input: NetInput) {
        let life = self.guests[to].life;
        self.queue.plan(self.now + after, Event::Net { to, life, input });
    }

    fn count(&mut self, from: usize, to: usize, frame: &impl lanspread_proto::Frame) {
        let bytes = encoded(frame);
        self.tally.control_bytes += bytes;
        self.count_message(from, to, bytes);
        self.tally.messages += 1;
    }

    /// Returns the one-way latency from one guest over the switch to another.
    pub(super) fn trip(&self, a: usize, b: usize) -> Duration {
        let of = |at: usize| self.party.peers.get(at).map_or(Duration::ZERO, |p| p.latency);
        of(a) + of(b)
    }

    pub(super) fn reach(&self, a: usize, b: usize) -> bool {
        let apart = |&(split, until): &(usize, Time)| self.now < until && (a < split) != (b < split);
        self.guests[a].alive && self.guests[b].alive && !self.splits.iter().any(apart)
    }
}

/// Returns a nearly normally distributed number with mean 0 and standard deviation 1.
pub(super) fn normal(rng: &mut Rng) -> f64 {
    let uniform: f64 = (0..4).map(|_| rng.below(1 << 20) as f64 / f64::from(1 << 20)).sum();
    (uniform - 2.0) * 3.0_f64.sqrt()
}

fn encoded(frame: &impl lanspread_proto::Frame) -> u64 {
    lanspread_proto::encode(frame).map_or(0, |bytes| bytes.len() as u64)
}
