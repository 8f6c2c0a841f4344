//! One peer's brain: takes what happened, decides, and says what is to be done.
//!
//! The node owns the parts (roster, library, operations, downloads, uplink) and carries news between them. Each file
//! of this folder is one side of it: `commands` (the user), `network` (connections and messages), `serving`,
//! `fetching`, `disk`, `meeting` (who else is in the room), `groups` (which peers share a switch), `upkeep` (updates,
//! verification, play), `timers`, `trust` (whose word counts).

mod catalogue;
mod commands;
mod disk;
mod fetching;
mod groups;
mod line;
mod meeting;
mod network;
mod organiser;
mod refusing;
mod room;
mod serving;
mod streaming;
mod timers;
mod trust;
mod upkeep;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_types::message::{Message, RequestId};
use lanspread_types::{ContentId, GameId, PeerId};

use crate::budget::Sites;
use crate::catalog::Catalog;
use crate::catalog_sync::CatalogSync;
use crate::command::{CommandError, CommandId, RateLimits, Reply};
use crate::event::Event;
use crate::fetch::Fetch;
use crate::io::{ConnId, DiskJob, Input, Output};
use crate::library::LocalLibrary;
use crate::manifest_sends::ManifestSends;
use crate::operations::Operations;
use crate::refusals::Refusals;
use crate::room::Room;
use crate::roster::Roster;
use crate::rules::HouseRules;
use crate::snapshot::Traffic;
use crate::swarm::{Lines, RateLimit, Rng, Tuning, Uplink};
use crate::time::Time;
use crate::trust::CalendarDate;

use commands::Waiting;
use meeting::Meeting;

/// What a node is made with.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    pub me: PeerId,
    pub name: String,
    /// Where this peer listens.
    pub addr: SocketAddr,
    pub games_dir: PathBuf,
    pub catalog: Catalog,
    pub limits: RateLimits,
    pub rules: HouseRules,
    /// Source of all randomness in the node.
    pub seed: u64,
}

/// The brain of one peer.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    rng: Rng,
    roster: Roster,
    /// What the addresses of peers may still cost.
    sites: Sites,
    library: LocalLibrary,
    operations: Operations,
    fetches: BTreeMap<GameId, Fetch>,
    /// Which download a request in flight belongs to.
    requests: BTreeMap<(PeerId, RequestId), GameId>,
    next_request: u64,
    /// What the download limit has spent on requests whose answer has not begun; empty without a limit.
    spent: BTreeMap<(PeerId, RequestId), u64>,
    /// Manifests that are no longer waited for, and when their connection is closed if they have not ended.
    leftover_manifests: BTreeMap<(PeerId, RequestId), Time>,
    uplink: Uplink,
    /// The relay lines that begin here.
    lines: Lines,
    /// The placer of each content that this peer fetched.
    placed_by: BTreeMap<ContentId, PeerId>,
    manifest_sends: ManifestSends,
    download_limit: RateLimit,
    limits: RateLimits,
    traffic: Traffic,
    waiting: Waiting,
    refusals: Refusals,
    catalogs: CatalogSync,
    room: Room,
    meeting: Meeting,
    /// As the runtime last said.
    today: Option<CalendarDate>,
    ready: bool,
    /// Why the library, or a part of it, could not be read at the last scan.
    library_fault: Option<crate::io::DiskError>,
    announced_at: Time,
    /// When to tell of libraries that change too often.
    news_due: Option<Time>,
    /// Hashed games that are still to be announced.
    announce_due: Option<Time>,
    /// When to look for silent peers, at the latest.
    liveness_due: Option<Time>,
    tuning: Tuning,
    outbox: VecDeque<Output>,
}

impl Node {
    /// Makes a node; its first output asks for a scan of the library.
    pub fn new(mut config: NodeConfig) -> Self {
        if let Some(trust) = &config.rules.trust {
            config.catalog = trust.held.as_ref().map_or_else(Catalog::empty, |held| held.catalog.clone());
        }
        let declined = std::mem::take(&mut config.rules.declined);
        let mut catalogs = CatalogSync::new(config.rules.trust.take()).without(declined);
        if config.catalog == Catalog::Open {
            catalogs.suggest(config.rules.invited);
        }
        let limits = config.limits;
        let meeting = Meeting::new(config.me);
        let mut node = Self {
            rng: Rng::new(config.seed),
            roster: Roster::new(config.me, &config.name),
            sites: Sites::default(),
            uplink: Uplink::new(),
            lines: Lines::default(),
            placed_by: BTreeMap::new(),
            manifest_sends: ManifestSends::default(),
            config,
            library: LocalLibrary::default(),
            operations: Operations::default(),
            fetches: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            spent: BTreeMap::new(),
            leftover_manifests: BTreeMap::new(),
            waiting: Waiting::default(),
            refusals: Refusals::default(),
            catalogs,
            room: Room::default(),
            meeting,
            today: None,
            ready: false,
            library_fault: None,
            announced_at: Time::START,
            news_due: None,
            announce_due: None,
            liveness_due: None,
            outbox: VecDeque::from([Output::Disk(DiskJob::Scan)]),
            download_limit: RateLimit::default(),
            limits,
            traffic: Traffic::default(),
            tuning: Tuning::default(),
        };
        node.set_limits(Time::START, limits);
        node
    }

    /// Sets the constants of downloads to come: for simulations, which try others.
    pub fn set_tuning(&mut self, tuning: Tuning) {
        self.tuning = tuning;
    }

    /// Takes in what happened. Whatever follows from it is in the outputs when this returns.
    pub fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Net(input) => self.handle_net(now, input),
            Input::Disk(report) => self.handle_disk(now, report),
            Input::Command { id, command } => self.handle_command(now, id, command),
            Input::CatalogChecked { peer, result } => self.catalog_checked(now, peer, result),
            Input::Today(today) => self.today = Some(today),
            Input::Wake => {}
        }
        self.run_timers(now);
    }

    /// What is to be done next, in order. `None` when there is nothing until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outbox.pop_front()?;
        match output {
            Output::Send { .. } => self.traffic.sent_messages += 1,
            Output::Request { .. } => self.traffic.sent_requests += 1,
            _ => {}
        }
        Some(output)
    }

    /// The downloads that run, for those who check the node from outside.
    pub fn fetches(&self) -> impl Iterator<Item = &Fetch> {
        self.fetches.values()
    }

    fn event(&mut self, event: Event) {
        self.outbox.push_back(Output::Event(event));
    }

    fn reply(&mut self, id: CommandId, result: Result<Reply, CommandError>) {
        self.outbox.push_back(Output::Reply { id, result });
    }

    fn send(&mut self, conn: ConnId, message: Message) {
        self.outbox.push_back(Output::Send { conn, message });
    }

    /// Sends a message to a peer, if it is connected.
    fn send_to(&mut self, peer: &PeerId, message: Message) {
        if let Some(conn) = self.roster.get(peer).map(|remote| remote.conn) {
            self.send(conn, message);
        }
    }

    fn job(&mut self, job: DiskJob) {
        self.outbox.push_back(Output::Disk(job));
    }

    fn operations_changed(&mut self) {
        let operations = self.operations.snapshot();
        self.event(Event::ActiveOperationsChanged { operations });
    }
}
