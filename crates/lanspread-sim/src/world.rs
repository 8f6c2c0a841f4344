//! Plays a party.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanspread_core::io::LinkId;
use lanspread_core::swarm::{Download, Failure, Rng, StartCheck, UplinkAction};
use lanspread_core::time::Time;
use lanspread_types::manifest::{FileEntry, SENTINEL};
use lanspread_types::message::RequestId;
use lanspread_types::tree::root_of;
use lanspread_types::{
    ChunkHash, ChunkIndex, ChunkSet, ChunkSize, GameContent, GameId, GameVersion, Manifest, PeerId, RelPath,
};

use crate::check::{Violation, Watcher};
use crate::network::{Network, Transfer};
use crate::party::{Fault, Party};
use crate::peer::{Message, SimPeer};
use crate::queue::EventQueue;
use crate::report::{PeerReport, Report, unpacked_at};

/// The other end notices so long after a process died or a connection broke: the kernel resets it.
const RESET_AFTER: Duration = Duration::from_millis(1);
/// More events than any party needs: beyond, peers only keep each other busy.
const EVENTS_MAX: u64 = 1 << 31;
/// A lost connection is made anew after so long.
const RECONNECT_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug)]
enum Event {
    Click {
        peer: usize,
    },
    Deliver {
        from: usize,
        to: usize,
        epoch: u32,
        message: Message,
    },
    /// Announcements to everybody who wants to hear them: one event, for the sake of large parties.
    Announce {
        from: usize,
        life: u32,
        chunks: Vec<ChunkIndex>,
    },
    Written {
        peer: usize,
        life: u32,
        from: usize,
        id: RequestId,
        chunk: ChunkIndex,
        hash: ChunkHash,
    },
    Batch {
        peer: usize,
        life: u32,
    },
    Wake {
        peer: usize,
    },
    Fault(Fault),
    Back {
        peer: usize,
    },
    Meet {
        a: usize,
        b: usize,
    },
}

#[derive(Debug, Clone)]
struct Tag {
    link: LinkId,
    id: RequestId,
    chunk: ChunkIndex,
    epoch: u32,
}

#[derive(Debug)]
pub struct World {
    party: Party,
    content: Arc<GameContent>,
    ids: Vec<PeerId>,
    by_id: BTreeMap<PeerId, usize>,
    peers: Vec<SimPeer>,
    watchers: Vec<Watcher>,
    network: Network<Tag>,
    queue: EventQueue<Event>,
    /// Counts the connections between each two peers: what was sent on an earlier one is lost.
    epochs: Vec<u32>,
    /// Crashed peers that will come back.
    returning: Vec<u32>,
    now: Time,
    rng: Rng,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Tally {
    seed_bytes: u64,
    control_bytes: u64,
    duplicates: u64,
    delivered: u64,
    rejected: usize,
    bytes_in_flight_max: u64,
    events: u64,
    progress: Vec<(Duration, [u32; 3])>,
}

impl World {
    pub fn new(party: Party) -> Self {
        let mut rng = Rng::new(party.seed ^ 0x5EED);
        let content = Arc::new(content_of(party.game_bytes, &mut rng));
        let chunks = content.manifest().chunk_count();
        let count = party.peers.len();
        let ids: Vec<_> = (0..count).map(|_| PeerId(random_32(&mut rng))).collect();
        let mut queue = EventQueue::default();
        let mut peers = Vec::new();
        for (at, spec) in party.peers.iter().enumerate() {
            let mut had = if spec.seed { ChunkSet::full(chunks) } else { ChunkSet::empty(chunks) };
            (0..chunks).filter(|_| spec.had > 0.0 && rng.chance(spec.had)).for_each(|chunk| {
                had.insert(ChunkIndex(chunk));
            });
            peers.push(SimPeer::new(had, count));
            if let Some(click) = spec.joins {
                // Fingers are not synchronous.
                let jitter = Duration::from_micros(rng.below(20_000));
                queue.plan(Time::from_start(click + jitter), Event::Click { peer: at });
            }
        }
        for fault in &party.faults {
            let (Fault::Crash { at, .. }
            | Fault::ConnectionLost { at, .. }
            | Fault::Partition { at, .. }
            | Fault::Rate { at, .. }) = fault;
            queue.plan(Time::from_start(*at), Event::Fault(fault.clone()));
        }
        Self {
            network: Network::new(party.peers.iter().map(|spec| spec.rate).collect()),
            by_id: ids.iter().enumerate().map(|(at, id)| (*id, at)).collect(),
            watchers: (0..count).map(|_| Watcher::new(chunks)).collect(),
            epochs: vec![0; count * count],
            returning: vec![0; count],
            now: Time::START,
            tally: Tally::default(),
            party,
            content,
            ids,
            peers,
            queue,
            rng,
        }
    }

    /// Plays until everybody who can has the game.
    pub fn run(mut self) -> Result<Report, Violation> {
        match self.play() {
            Ok(()) => Ok(self.report()),
            Err(what) => Err(Violation { seed: self.party.seed, at: self.now, what }),
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let latest_click = self.party.peers.iter().filter_map(|p| p.joins).max().unwrap_or_default();
        let limit = Time::START
            + latest_click
            + self.party.bound().mul_f64(self.party.patience)
            + Duration::from_secs(30);
        while !self.is_over() {
            let (next_event, next_done) = (self.queue.next_at(), self.network.next_done());
            self.tally.events += 1;
            match (next_event, next_done) {
                (None, None) => return Err(format!("nothing happens any more: {}", self.stuck())),
                (event, Some(done)) if event.is_none_or(|at| done <= at) => {
                    self.now = done;
                    for transfer in self.network.advance(done) {
                        self.transfer_ended(transfer)?;
                    }
                }
                _ => {
                    let Some((at, event)) = self.queue.pop() else { continue };
                    self.now = self.now.max(at);
                    self.happen(event)?;
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

    fn is_over(&self) -> bool {
        let unfinished = |at: usize| {
            let here = self.peers[at].alive || self.returning[at] > 0;
            here && self.party.peers[at].joins.is_some() && !self.peers[at].had.is_full()
        };
        !(0..self.peers.len()).any(unfinished)
    }

    fn stuck(&self) -> String {
        let one = |(at, peer): (usize, &SimPeer)| {
            let d = peer.download.as_ref();
            format!(
                "{at}{}: {} of {}, {} sources, {} asked, first missing {:?};",
                if peer.alive { "" } else { " (dead)" },
                peer.had.count(),
                peer.had.len(),
                d.map_or(0, Download::source_count),
                d.map_or(0, Download::requests_in_flight),
                peer.had.first_missing().map(|c| c.0),
            )
        };
        self.peers.iter().enumerate().map(one).collect::<Vec<_>>().join(" ")
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Click { peer } => self.click(peer),
            Event::Deliver { from, to, epoch, message } => {
                if self.epoch(from, to) == epoch && self.reach(from, to) {
                    self.deliver(from, to, message)?;
                }
                Ok(())
            }
            Event::Announce { from, life, chunks } => self.announce(from, life, &chunks),
            Event::Written { peer, life, from, id, chunk, hash } => {
                if self.peers[peer].life == life {
                    self.written(peer, from, id, chunk, hash)
                } else {
                    Ok(())
                }
            }
            Event::Batch { peer, life } => {
                self.batch(peer, life);
                Ok(())
            }
            Event::Wake { peer } => {
                self.peers[peer].wake_planned = None;
                self.pump(peer)
            }
            Event::Fault(fault) => self.fault(fault),
            Event::Back { peer } => {
                self.returning[peer] -= 1;
                self.peers[peer].alive = true;
                (0..self.peers.len()).for_each(|other| self.meet(peer, other));
                if self.party.peers[peer].joins.is_some() { self.click(peer) } else { Ok(()) }
            }
            Event::Meet { a, b } => {
                self.meet(a, b);
                Ok(())
            }
        }
    }

    fn click(&mut self, peer: usize) -> Result<(), String> {
        if !self.peers[peer].alive || self.peers[peer].download.is_some() {
            return Ok(());
        }
        let seed = self.rng.next_u64();
        self.peers[peer].start_download(&self.content, seed, &self.party.tuning);
        for other in (0..self.peers.len()).filter(|&other| other != peer) {
            self.send(peer, other, Message::Interested);
            if self.peers[peer].interested[other] {
                let had = self.peers[peer].had.clone();
                self.send(peer, other, Message::HaveMap(had));
            }
        }
        self.pump(peer)
    }

    /// Two peers are connected: each says what it is interested in.
    fn meet(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            if from != to && self.peers[from].download.is_some() {
                self.send(from, to, Message::Interested);
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: Message) -> Result<(), String> {
        let (now, from_id) = (self.now, self.ids[from]);
        let peer = &mut self.peers[to];
        match message {
            Message::Interested => {
                peer.interested[from] = true;
                if peer.download.is_some() || !peer.had.is_empty() {
                    let had = peer.had.clone();
                    self.send(to, from, Message::HaveMap(had));
                }
                return Ok(());
            }
            Message::HaveMap(has) => {
                if let Some(download) = &mut peer.download {
                    download.add_source(from_id, has, now);
                }
            }
            Message::Have(chunks) => {
                if let Some(download) = &mut peer.download {
                    download.source_has(from_id, &chunks, now);
                }
            }
            Message::Request(request) => {
                let link = peer.link_of(from);
                let id = request.id;
                let chunks = self.content.manifest().chunk_count();
                if let Err(refusal) = peer.uplink.enqueue(link, from_id, request, chunks, now) {
                    self.send(to, from, Message::Refused(id, refusal));
                }
            }
            Message::Cancel(id) => {
                let link = peer.link_of(from);
                peer.uplink.cancel(link, id);
            }
            Message::Refused(id, refusal) => {
                if let Some(download) = &mut peer.download {
                    download.failed(from_id, id, Failure::Refused(refusal), now);
                    self.watchers[to].refused(id);
                }
            }
            Message::Started(id, chunk) => {
                if let Some(download) = &mut peer.download
                    && download.started(from_id, id, chunk, now) == StartCheck::Breach
                {
                    return Err(format!(
                        "peer {from} answered {to} with chunk {chunk}, which was not asked for"
                    ));
                }
            }
            Message::Payload(id, chunk, hash) => {
                let bytes = self.content.manifest().place(chunk).map_or(0, |place| place.len);
                let takes = Duration::from_secs_f64(bytes as f64 / self.party.peers[to].disk);
                peer.disk_free = peer.disk_free.max(now) + takes;
                let written = Event::Written { peer: to, life: peer.life, from, id, chunk, hash };
                self.queue.plan(peer.disk_free, written);
                return Ok(());
            }
        }
        self.pump(to)
    }

    fn announce(&mut self, from: usize, life: u32, chunks: &[ChunkIndex]) -> Result<(), String> {
        if self.peers[from].life != life {
            return Ok(());
        }
        let bytes = Message::Have(chunks.to_vec()).control_bytes();
        for to in 0..self.peers.len() {
            if !self.peers[from].interested[to] || !self.reach(from, to) {
                continue;
            }
            self.tally.control_bytes += bytes;
            let Some(download) = &mut self.peers[to].download else { continue };
            if !download.is_complete() {
                download.source_has(self.ids[from], chunks, self.now);
                self.pump(to)?;
            }
        }
        Ok(())
    }

    fn written(
        &mut self,
        at: usize,
        from: usize,
        id: RequestId,
        chunk: ChunkIndex,
        hash: ChunkHash,
    ) -> Result<(), String> {
        let (now, from_id) = (self.now, self.ids[from]);
        let peer = &mut self.peers[at];
        let Some(download) = &mut peer.download else { return Ok(()) };
        if hash != self.content.hashes()[chunk.as_usize()] {
            download.failed(from_id, id, Failure::Corrupt, now);
            self.tally.rejected += usize::from(!download.is_rejected(from_id));
            download.reject_source(from_id);
            self.watchers[at].source_gone();
            return self.pump(at);
        }
        self.tally.delivered += 1;
        let new = download.stored(from_id, id, chunk, now).new;
        if new != peer.had.insert(chunk) {
            return Err(format!("peer {at} counts chunk {chunk} wrongly"));
        }
        if *download.had() != peer.had {
            return Err(format!("peer {at} counts chunks that it does not have"));
        }
        if new {
            self.watchers[at].stored(chunk, now);
            peer.news.push(chunk);
            if !peer.batch_planned {
                peer.batch_planned = true;
                self.queue.plan(now + self.party.have_batch, Event::Batch { peer: at, life: peer.life });
            }
            if (chunk.0 == 0) || peer.had.count().is_multiple_of(8) {
                self.note_progress();
            }
        } else {
            self.tally.duplicates += 1;
        }
        self.pump(at)
    }

    fn batch(&mut self, at: usize, life: u32) {
        let latency = self.party.peers[at].latency * 2;
        let peer = &mut self.peers[at];
        if peer.life == life {
            peer.batch_planned = false;
            let chunks = std::mem::take(&mut peer.news);
            self.queue.plan(self.now + latency, Event::Announce { from: at, life, chunks });
        }
    }

    fn transfer_ended(&mut self, ended: Transfer<Tag>) -> Result<(), String> {
        let Transfer { from, to, bytes, tag } = &ended;
        let mut hash = self.content.hashes()[tag.chunk.as_usize()];
        let lies = self.party.peers[*from].lies;
        if lies > 0.0 && self.rng.chance(lies) {
            hash.0[0] ^= 1;
        }
        if self.party.peers[*from].seed {
            self.tally.seed_bytes += bytes;
        }
        self.send_on(*from, *to, tag.epoch, Message::Payload(tag.id, tag.chunk, hash));
        self.peers[*from].uplink.served(tag.link, tag.id, *bytes, true, self.now);
        if let Some(next) = self.network.follow(&ended) {
            let (epoch, head) = (next.tag.epoch, Message::Started(next.tag.id, next.tag.chunk));
            self.send_on(ended.from, ended.to, epoch, head);
        }
        self.pump(ended.from)
    }

    /// Lets a peer say what it has to say.
    fn pump(&mut self, at: usize) -> Result<(), String> {
        let now = self.now;
        while let Some((source, request)) = self.peers[at].next_request(now) {
            let source = self.by_id[&source];
            let peer = &self.peers[at];
            let source_had = &self.peers[source].had;
            self.watchers[at].asked(&request, source_had, &peer.had, &self.party.tuning, now)?;
            self.send(at, source, Message::Request(request));
        }
        let cancels: Vec<_> =
            self.peers[at].download.iter_mut().flat_map(|d| d.cancels().collect::<Vec<_>>()).collect();
        for (source, id) in cancels {
            self.send(at, self.by_id[&source], Message::Cancel(id));
        }
        self.check_bounds(at)?;
        let content = Arc::clone(&self.content);
        while let Some(action) = self.peers[at].next_action(now, &content) {
            self.act(at, action)?;
        }
        self.plan_wake(at);
        Ok(())
    }

    fn act(&mut self, at: usize, action: UplinkAction) -> Result<(), String> {
        match action {
            UplinkAction::Serve { link, id, chunk, .. } => {
                let to = self.peers[at].peer_of(link).ok_or("an answer to nobody")?;
                if !self.peers[at].had.contains(chunk) {
                    return Err(format!("peer {at} serves chunk {chunk}, which it does not have"));
                }
                let bytes = self.content.manifest().place(chunk).map_or(0, |place| place.len);
                let epoch = self.epoch(at, to);
                let tag = Tag { link, id, chunk, epoch };
                if self.network.start(Transfer { from: at, to, bytes, tag }, self.now) {
                    self.send(at, to, Message::Started(id, chunk));
                }
            }
            UplinkAction::Refuse { link, id, reason } => {
                if let Some(to) = self.peers[at].peer_of(link) {
                    self.send(at, to, Message::Refused(id, reason));
                }
            }
        }
        Ok(())
    }

    fn check_bounds(&mut self, at: usize) -> Result<(), String> {
        let peer = &self.peers[at];
        let (waiting, _) = peer.uplink.load();
        if waiting > 64 * self.peers.len() {
            return Err(format!("{waiting} requests wait at peer {at}"));
        }
        let Some(download) = &peer.download else { return Ok(()) };
        let (tuning, in_flight) = (&self.party.tuning, download.bytes_in_flight());
        self.tally.bytes_in_flight_max = self.tally.bytes_in_flight_max.max(in_flight);
        let chunk = self.content.manifest().chunk_size().bytes();
        if in_flight > tuning.in_flight_bytes.max(chunk * tuning.in_flight_chunks_min as u64) {
            return Err(format!("{in_flight} bytes are in flight to peer {at}"));
        }
        Ok(())
    }

    fn plan_wake(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        let wakes =
            [peer.download.as_ref().and_then(Download::next_wakeup), peer.uplink.next_wakeup(self.now)];
        let Some(wake) = wakes.into_iter().flatten().min() else { return };
        let wake = wake.max(self.now + Duration::from_nanos(1));
        if peer.wake_planned.is_none_or(|planned| wake < planned) {
            peer.wake_planned = Some(wake);
            self.queue.plan(wake, Event::Wake { peer: at });
        }
    }

    fn fault(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::Crash { peer, back_after, .. } => {
                if !self.peers[peer].alive {
                    return Ok(());
                }
                self.peers[peer].crash();
                self.watchers[peer].source_gone();
                if let Some(after) = back_after {
                    self.returning[peer] += 1;
                    self.queue.plan(self.now + RESET_AFTER + after, Event::Back { peer });
                }
                (0..self.peers.len()).try_for_each(|other| self.sever(peer, other))
            }
            Fault::ConnectionLost { a, b, .. } => {
                self.queue.plan(self.now + RECONNECT_AFTER, Event::Meet { a, b });
                self.sever(a, b)
            }
            Fault::Partition { split, lasts, .. } => {
                let count = self.peers.len();
                let pairs = (0..split.min(count)).flat_map(|a| (split..count).map(move |b| (a, b)));
                for (a, b) in pairs {
                    self.sever(a, b)?;
                    // Meeting makes what the partition forbids, so it is over then.
                    self.queue.plan(self.now + lasts + RECONNECT_AFTER, Event::Meet { a, b });
                }
                Ok(())
            }
            Fault::Rate { peer, rate, .. } => {
                self.network.set_rate(peer, rate, self.now);
                Ok(())
            }
        }
    }

    /// All connections between two peers are lost.
    fn sever(&mut self, a: usize, b: usize) -> Result<(), String> {
        if a == b {
            return Ok(());
        }
        let count = self.peers.len();
        self.epochs[a * count + b] += 1;
        self.epochs[b * count + a] += 1;
        self.network.cut(|from, to| (from, to) == (a, b) || (from, to) == (b, a), self.now);
        for (one, other) in [(a, b), (b, a)] {
            self.peers[one].forget(other);
            if let Some(download) = &mut self.peers[one].download {
                download.remove_source(self.ids[other]);
                self.watchers[one].source_gone();
            }
        }
        self.pump(a)?;
        self.pump(b)
    }

    fn reach(&self, a: usize, b: usize) -> bool {
        self.peers[a].alive && self.peers[b].alive
    }

    fn epoch(&self, from: usize, to: usize) -> u32 {
        self.epochs[from * self.peers.len() + to]
    }

    fn send(&mut self, from: usize, to: usize, message: Message) {
        self.send_on(from, to, self.epoch(from, to), message);
    }

    fn send_on(&mut self, from: usize, to: usize, epoch: u32, message: Message) {
        self.tally.control_bytes += message.control_bytes();
        let latency = self.party.peers[from].latency + self.party.peers[to].latency;
        self.queue.plan(self.now + latency, Event::Deliver { from, to, epoch, message });
    }

    fn note_progress(&mut self) {
        let mut counts: Vec<u32> = (0..self.peers.len())
            .filter(|&at| self.party.peers[at].joins.is_some())
            .map(|at| self.peers[at].had.count())
            .collect();
        counts.sort_unstable();
        let (slowest, fastest) = (counts[0], counts[counts.len() - 1]);
        let row = [slowest, counts[counts.len() / 2], fastest];
        if self.tally.progress.last().is_none_or(|(_, last)| last[1] != row[1]) {
            self.tally.progress.push((self.now.since_start(), row));
        }
    }

    fn report(self) -> Report {
        let manifest = self.content.manifest();
        let mut peers = Vec::new();
        let (mut makespan, mut playable) = (Time::START, Time::START);
        for (at, spec) in self.party.peers.iter().enumerate() {
            let Some(click) = spec.joins.filter(|_| self.peers[at].had.is_full()) else {
                peers.push(None);
                continue;
            };
            let stored: Vec<(Time, u64)> = (0..manifest.chunk_count())
                .map(|c| {
                    let there = self.watchers[at].stored_at[c as usize].unwrap_or_default();
                    (there, manifest.place(ChunkIndex(c)).map_or(0, |place| place.len))
                })
                .collect();
            let complete = stored.iter().map(|(there, _)| *there).max().unwrap_or_default();
            let unpacked = unpacked_at(&stored, spec.rate.down);
            (makespan, playable) = (makespan.max(complete), playable.max(unpacked));
            let since = |t: Time| t.since(Time::from_start(click));
            let bound = self.party.bound_of(at);
            peers.push(Some(PeerReport { complete: since(complete), playable: since(unpacked), bound }));
        }
        let receivers = self.party.peers.iter().filter(|p| p.joins.is_some()).count();
        Report {
            seed: self.party.seed,
            receivers,
            bound: self.party.bound(),
            makespan: makespan.since_start(),
            playable: playable.since_start(),
            seed_copies: self.tally.seed_bytes as f64 / manifest.total_bytes() as f64,
            duplicates: self.tally.duplicates,
            delivered: self.tally.delivered,
            control_bytes: self.tally.control_bytes / receivers.max(1) as u64,
            peers,
            progress: self.tally.progress,
            rejected: self.tally.rejected,
            bytes_in_flight_max: self.tally.bytes_in_flight_max,
            events: self.tally.events,
        }
    }
}

fn random_32(rng: &mut Rng) -> [u8; 32] {
    std::array::from_fn(|_| rng.next_u64() as u8)
}

/// A game of one archive and its sentinel. Chunk hashes are random: no bytes stand behind them, and they merge to the
/// roots all the same.
fn content_of(bytes: u64, rng: &mut Rng) -> GameContent {
    let sentinel = 8;
    let chunk = ChunkSize::for_game(bytes.max(sentinel));
    let mut files = Vec::new();
    let mut hashes = Vec::new();
    for (path, size) in [("game.eti", bytes.saturating_sub(sentinel)), (SENTINEL, sentinel)] {
        let of_file: Vec<_> = (0..chunk.chunks_in(size)).map(|_| ChunkHash(random_32(rng))).collect();
        let path = RelPath::new(path).expect("a constant path");
        let root = root_of(&of_file, chunk, size).expect("as many hashes as chunks");
        files.push(FileEntry { path, size, root });
        hashes.extend(of_file);
    }
    let game = GameId::new("game").expect("a constant id");
    let version = GameVersion::new(20_250_101).expect("a constant version");
    let manifest = Manifest::new(game, version, files).expect("a well-formed game");
    GameContent::new(manifest, hashes).expect("hashes that merge to the roots")
}
