//! The core of one peer as a state machine: [`Node`] takes inputs, decides, and returns outputs.
//!
//! It has no clock, socket, disk or system randomness: everything that happens comes in as an [`Input`], and the
//! runtime carries out each [`Output`].
//!
//! The node consists of parts with their own state. A part writes its outputs to the outbox and takes what else it
//! needs as arguments. What concerns several parts is a method of the node:
//!
//! - parts: `outbox`, `timers`, `announcer`, `downloads`, `serving` (uploads), `line`, `dialling`, and outside this
//!   folder the roster, the library, the operations, the catalogue and the room;
//! - what happens: `commands` (the owner), `network` (connections and messages), `disk`, `downloading`, `streaming`,
//!   `catalogue` and `organiser`, `room`, `refusing`, `liveness`, `upkeep` (updates, verification, play);
//! - what is asked of several parts: `trust` (which offers count), `groups` (switches).

mod announcer;
mod catalogue;
mod commands;
mod dialling;
mod disk;
mod downloading;
mod downloads;
mod groups;
mod line;
mod liveness;
mod network;
mod organiser;
mod outbox;
mod refusing;
mod room;
#[cfg(feature = "sabotage")]
mod sabotage;
mod serving;
mod streaming;
mod timers;
mod trust;
mod upkeep;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use lanspread_types::PeerId;

use crate::api::command::RateLimits;
use crate::api::event::Event;
use crate::api::snapshot::Traffic;
use crate::catalog::Catalog;
use crate::catalog_sync::CatalogSync;
use crate::download::Download;
use crate::io::{DiskJob, Input, Output};
use crate::library::LocalLibrary;
use crate::operations::Operations;
use crate::room::Room;
use crate::roster::Roster;
use crate::rules::OwnerPolicy;
use crate::swarm::{Rng, Tuning};
use crate::time::Time;
use crate::trust::CalendarDate;

use announcer::Announcer;
use commands::PendingCommands;
use dialling::Dialling;
use downloads::Downloads;
use outbox::Outbox;
use serving::Uploads;
use timers::TimerTable;

/// Settings of a new node.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// This peer's id.
    pub me: PeerId,
    /// This peer's name, as other peers see it.
    pub name: String,
    /// Address on which this peer listens.
    pub addr: SocketAddr,
    /// Folder of the library.
    pub games_dir: PathBuf,
    /// The catalogue in force, unless `rules` name a trusted organiser.
    pub catalog: Catalog,
    /// Upload and download limits at the start.
    pub limits: RateLimits,
    /// What the owner decided about the room before entering it.
    pub rules: OwnerPolicy,
    /// Seed of all randomness in the node.
    pub seed: u64,
}

/// State machine of one peer. Each field is a part with its own state.
#[derive(Debug)]
pub struct Node {
    /// Settings, as last changed by the owner or a new catalogue.
    config: NodeConfig,
    /// Today's date, as last told by the runtime.
    today: Option<CalendarDate>,
    /// The source of all randomness.
    rng: Rng,
    /// The connected peers, what they offer and what their messages may cost.
    roster: Roster,
    /// Peers that are not connected: whom to dial, introduce and remember, and which were refused.
    dialling: Dialling,
    /// The games on this disk.
    library: LocalLibrary,
    /// When libraries are announced and reported.
    announcer: Announcer,
    /// The operation that runs on each game.
    operations: Operations,
    /// Downloads and their open requests.
    downloads: Downloads,
    /// Requests of other peers, and the relay lines.
    uploads: Uploads,
    /// Counts of what went over the network.
    traffic: Traffic,
    /// The organiser's catalogue: offered, fetched and checked.
    catalogs: CatalogSync,
    /// The states that other peers told, and their wishes.
    room: Room,
    /// Commands that wait for something to happen.
    pending: PendingCommands,
    /// Deadlines of the node as a whole.
    timers: TimerTable,
    /// Outputs that the runtime has not taken yet.
    outbox: Outbox,
}

impl Node {
    /// Creates a node. Its first output asks for a scan of the library.
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
        let dialling = Dialling::new(config.me);
        let mut node = Self {
            rng: Rng::new(config.seed),
            roster: Roster::new(config.me, &config.name),
            uploads: Uploads::new(config.me),
            config,
            library: LocalLibrary::default(),
            operations: Operations::default(),
            downloads: Downloads::default(),
            pending: PendingCommands::default(),
            catalogs,
            room: Room::default(),
            dialling,
            today: None,
            announcer: Announcer::default(),
            timers: TimerTable::default(),
            outbox: Outbox::default(),
            traffic: Traffic::default(),
        };
        for game in std::mem::take(&mut node.config.rules.private) {
            node.library.set_private(game, true);
        }
        node.outbox.job(DiskJob::Scan);
        node.set_limits(Time::START, limits);
        node
    }

    /// Sets the constants of future downloads, for simulations that try other values.
    pub fn set_tuning(&mut self, tuning: Tuning) {
        self.downloads.tuning = tuning;
    }

    /// Handles an input. All its consequences are in the outputs when this returns.
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

    /// Returns the next output in order, or `None` until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outbox.pop()?;
        match output {
            Output::Send { .. } => self.traffic.sent_messages += 1,
            Output::Request { .. } => self.traffic.sent_requests += 1,
            _ => {}
        }
        Some(output)
    }

    /// Returns the running downloads, for code that checks the node from outside.
    pub fn downloads(&self) -> impl Iterator<Item = &Download> {
        self.downloads.iter()
    }

    fn operations_changed(&mut self) {
        let operations = self.operations.snapshot();
        self.outbox.event(Event::ActiveOperationsChanged { operations });
    }
}
