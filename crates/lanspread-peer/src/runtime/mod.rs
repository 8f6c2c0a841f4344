//! The loop: takes one input, lets the node decide, and carries out its outputs.
//!
//! Nothing is awaited while an input is being handled. Slow work leaves the loop and comes back as an input.

pub mod disk;
mod manifests;
pub mod reports;
pub mod traffic;
mod upkeep;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanspread_core::command::{CommandError, CommandId, Reply};
use lanspread_core::discovery::DiscoverySettings;
use lanspread_core::event::Event;
use lanspread_core::io::{Connected, DiskReport, Input, NetInput, Output, Serving};
use lanspread_core::time::Time;
use lanspread_core::trust::CalendarDate;
use lanspread_core::{Node, NodeConfig};
use lanspread_net::{Endpoint, NetEvent};
use lanspread_types::message::Request;
use lanspread_types::{CloseReason, ConnId, PeerId, RefusalCause, RequestFailure, failpoint};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant as Moment;

use self::disk::Disk;
use self::manifests::Manifests;
use self::reports::Reports;
use self::traffic::{Expected, Traffic};
use crate::catalog::{choice, signed};
use crate::handle::{CommandIds, Commanded};
use crate::{calendar, remembered};

/// Time between scans of the library when no change is seen, because network drives report none.
const RESCAN_INTERVAL: Duration = Duration::from_secs(60);
/// Time until the next scan after one that failed, whose cause may be gone soon.
const RESCAN_AFTER_FAULT: Duration = Duration::from_secs(5);
/// Longest sleep when nothing is due.
const SLEEP_MAX: Duration = Duration::from_secs(3600);
/// Sleep while the node asks to be woken again at once, so that such a bug does not occupy a processor.
const SPIN_PAUSE: Duration = Duration::from_millis(20);

type Answered = Result<Reply, CommandError>;
type Answer = oneshot::Sender<Answered>;

/// Channels that the loop reads.
pub(crate) struct Inputs {
    /// Commands of the programs.
    pub commands: mpsc::Receiver<Commanded>,
    /// Events of the endpoint.
    pub net: mpsc::Receiver<NetEvent>,
    /// Results of disk jobs and workers, and failures that the loop reports to itself.
    pub reports: mpsc::UnboundedReceiver<Input>,
}

/// The node, and everything that carries out its outputs.
pub(crate) struct Runtime {
    node: Node,
    started: Instant,
    endpoint: Arc<Endpoint>,
    disk: Disk,
    traffic: Traffic,
    manifests: Manifests,
    reports: Reports,
    events: broadcast::Sender<Event>,
    state_dir: PathBuf,
    ids: CommandIds,
    /// Where the answers to open commands go.
    answers: HashMap<CommandId, Answer>,
    peers: Peers,
    /// The date that the node was told last.
    today: Option<CalendarDate>,
    /// The node has stopped.
    stopped: bool,
    /// Answers to `Shutdown` commands, which are sent when everything has ended.
    last_answers: Vec<(CommandId, Answered)>,
    #[cfg(feature = "sabotage")]
    saboteur: crate::sabotage::Saboteur,
}

impl Runtime {
    /// Starts the node. The loop does not run yet.
    pub fn new(
        (config, finding): (NodeConfig, DiscoverySettings),
        endpoint: Arc<Endpoint>,
        disk: Disk,
        traffic: Traffic,
        reports: Reports,
        events: broadcast::Sender<Event>,
        state_dir: PathBuf,
    ) -> Self {
        #[cfg(feature = "sabotage")]
        let saboteur = crate::sabotage::Saboteur::new(config.games_dir.clone());
        let mut node = Node::new(config);
        node.find_peers(Time::START, finding);
        Self {
            #[cfg(feature = "sabotage")]
            saboteur,
            node,
            started: Instant::now(),
            manifests: Manifests::new(endpoint.clone(), reports.clone()),
            endpoint,
            disk,
            traffic,
            reports,
            events,
            state_dir,
            ids: CommandIds::default(),
            answers: HashMap::new(),
            peers: Peers::default(),
            today: None,
            stopped: false,
            last_answers: Vec::new(),
        }
    }

    /// Runs until the node stops. Then ends connections and jobs, and answers the commands that asked for the end.
    pub async fn run(mut self, mut inputs: Inputs) {
        let mut rescan = tokio::time::interval_at(Moment::now() + RESCAN_INTERVAL, RESCAN_INTERVAL);
        self.tell_date();
        self.carry_out();
        let (mut woken_at, mut spin_reported) = (None, false);
        while !self.stopped {
            let now = self.now();
            let due = self.node.next_wakeup(now);
            let sleep = match woken_at.take() {
                Some(woken) if due.is_some_and(|due| due <= woken) => {
                    // Logged once, so that a spin that a stranger causes does not fill the log.
                    if !std::mem::replace(&mut spin_reported, true) {
                        tracing::error!("the node was woken and wants to be woken again at once");
                    }
                    debug_assert!(false, "the runtime spins");
                    SPIN_PAUSE
                }
                _ => due.map_or(SLEEP_MAX, |at| at.since(now)),
            };
            let input = tokio::select! {
                Some(commanded) = inputs.commands.recv() => Some(self.take_command(commanded)),
                Some(event) = inputs.net.recv() => Some(self.input_of(event)),
                Some(report) = inputs.reports.recv() => {
                    if is_faulty_scan(&report) {
                        rescan.reset_after(RESCAN_AFTER_FAULT);
                    }
                    Some(report)
                }
                () = tokio::time::sleep(sleep) => Some(Input::Wake),
                _ = rescan.tick() => {
                    self.disk.scan();
                    self.tell_date();
                    None
                }
            };
            if let Some(input) = input {
                woken_at = matches!(input, Input::Wake).then_some(now);
                self.apply(input);
            }
        }
        self.end(inputs).await;
    }

    fn now(&self) -> Time {
        Time::from_start(self.started.elapsed())
    }

    /// Tells the node the date if it has changed.
    fn tell_date(&mut self) {
        let today = calendar::today().filter(|today| self.today != Some(*today));
        if let Some(today) = today {
            self.today = Some(today);
            self.node.handle(self.now(), Input::Today(today));
        }
    }

    /// Numbers a command and keeps the channel for its answer.
    fn take_command(&mut self, Commanded { command, answer }: Commanded) -> Input {
        let id = self.ids.next();
        self.answers.insert(id, answer);
        Input::Command { id, command }
    }

    /// Gives an input to the node and carries out what follows from it.
    fn apply(&mut self, input: Input) {
        #[cfg(feature = "sabotage")]
        let Some(input) = self.saboteur.input(input) else { return };
        self.node.handle(self.now(), input);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.node.poll_output() {
            #[cfg(not(feature = "sabotage"))]
            self.perform(output);
            #[cfg(feature = "sabotage")]
            self.saboteur.output(output).into_iter().for_each(|output| self.perform(output));
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Dial { addr } => self.endpoint.dial(addr),
            Output::DialPeer { peer, addrs } => self.endpoint.dial_peer(peer, addrs),
            Output::Probe { peer, addr } => self.endpoint.probe(peer, addr),
            Output::Remember(peers) => {
                let state_dir = self.state_dir.clone();
                self.disk.spawn(move || remembered::write(&state_dir, &peers));
            }
            Output::Send { conn, message } => self.endpoint.send(conn, &message),
            Output::Close { conn, reason } => {
                self.endpoint.close(conn, reason == CloseReason::Leaving);
            }
            Output::Request { peer, request } => self.request(peer, request),
            Output::Serve { link, id, what: Serving::Manifest { content } } => {
                self.manifests.serve(&self.disk, link, id, content);
            }
            Output::Serve { link, id, what: Serving::Chunk { content, chunk, incoming } } => {
                let to = (link, id);
                if incoming && self.traffic.serve_recent(&self.endpoint, to, &content, chunk) {
                    return;
                }
                let (endpoint, store) = (self.endpoint.clone(), self.disk.store().clone());
                let reports = self.reports.clone();
                let what = (content, chunk, incoming);
                self.disk.spawn(move || {
                    traffic::serve(&endpoint, &store, &reports, to, (&what.0, what.1, what.2));
                });
            }
            Output::Refuse { link, id, reason } => self.endpoint.refuse(link, id, reason),
            Output::DropSource { peer } => self.endpoint.drop_source(peer),
            Output::DropLink { link } => self.endpoint.drop_link(link),
            Output::Disk(job) => self.disk.start(job),
            Output::CheckCatalog { peer, bytes } => {
                let reports = self.reports.clone();
                self.disk.spawn(move || {
                    let result = signed::open(bytes).map_err(|error| error.to_string());
                    // Cannot fail while the loop runs, which holds the receiver.
                    let _ = reports.send(Input::CatalogChecked { peer, result });
                });
            }
            Output::KeepCatalog(catalog) => {
                let state_dir = self.state_dir.clone();
                self.disk.spawn(move || {
                    if let Err(error) = choice::keep(&state_dir, &catalog) {
                        tracing::warn!(%error, "the catalogue is not kept for the next start");
                    }
                });
            }
            Output::KeepOrganiser(_) if failpoint!("forget-organiser") => {}
            Output::KeepOrganiser(key) => {
                let state_dir = self.state_dir.clone();
                self.disk.spawn(move || {
                    if let Err(error) = choice::keep_organiser(&state_dir, key) {
                        tracing::warn!(%error, "the organiser is trusted until the end only");
                    }
                });
            }
            Output::KeepDeclined(declined) => {
                let state_dir = self.state_dir.clone();
                self.disk.spawn(move || {
                    if let Err(error) = choice::keep_declined(&state_dir, &declined) {
                        tracing::warn!(%error, "the next start asks about the organiser again");
                    }
                });
            }
            Output::Event(event) => {
                // Fails only while there is no subscriber.
                let _ = self.events.send(event);
            }
            // A `Shutdown` is answered when everything has ended.
            Output::Reply { id, result } if self.stopped => self.last_answers.push((id, result)),
            Output::Reply { id, result } => self.answer(id, result),
            Output::Stopped => self.stopped = true,
        }
    }

    fn answer(&mut self, id: CommandId, result: Answered) {
        if let Some(answer) = self.answers.remove(&id) {
            // The caller may have stopped waiting.
            let _ = answer.send(result);
        }
    }

    /// Sends a request to a source, or reports it as failed if the source is gone or the download is given up.
    fn request(&mut self, peer: PeerId, request: Request) {
        let expected = Expected::of(&request, self.disk.store());
        match self.peers.addr_of(&peer).zip(expected) {
            Some((addr, expected)) => self.endpoint.request_with(peer, addr, request, Arc::new(expected)),
            None => {
                for id in request.ids() {
                    let failure = RequestFailure::Lost("there is no connection to that peer".to_owned());
                    // Cannot fail, because the loop itself holds the receiver.
                    let _ = self.reports.send(Input::Net(NetInput::RequestFailed { peer, id, failure }));
                }
            }
        }
    }

    /// Returns the input for the node of an event of the network.
    fn input_of(&mut self, event: NetEvent) -> Input {
        Input::Net(match event {
            NetEvent::Connected { conn, peer, hello, addr, local_ip, dialled } => {
                self.peers.connected(conn, peer, addr);
                NetInput::Connected(Connected { conn, peer, hello, addr, local_ip, dialled })
            }
            NetEvent::Closed { conn, reason } => {
                self.peers.closed(conn);
                NetInput::Closed { conn, reason }
            }
            NetEvent::Incompatible { addr, peer, theirs, .. } => {
                NetInput::Incompatible { addr, peer: Some(peer), theirs }
            }
            NetEvent::OtherParty { addr, peer, mismatch, dialled } => {
                NetInput::Refused { addr, peer: Some(peer), cause: RefusalCause::Party(mismatch), dialled }
            }
            NetEvent::Misbehaved { addr, peer, how } => {
                NetInput::Refused { addr, peer, cause: how, dialled: false }
            }
            NetEvent::DialFailed { addr, failure } => NetInput::DialFailed { addr, failure },
            NetEvent::PeerDialFailed { peer, reason } => NetInput::PeerDialFailed { peer, reason },
            NetEvent::Reached { peer, addr } => NetInput::Reached { peer, addr },
            NetEvent::Sighted(sighting) => NetInput::Sighted(sighting),
            NetEvent::Subnets(subnets) => NetInput::Subnets(subnets),
            NetEvent::Message { conn, message } => NetInput::Message { conn, message },
            NetEvent::Requested { link, peer, request } => NetInput::Requested { link, peer, request },
            NetEvent::Served { link, id, bytes, ok } => NetInput::Served { link, id, bytes, ok },
            NetEvent::LinkClosed { link } => NetInput::LinkClosed { link },
            NetEvent::ChunkStarted { peer, id, chunk } => NetInput::ChunkStarted { peer, id, chunk },
            NetEvent::RequestFailed { peer, id, failure } => NetInput::RequestFailed { peer, id, failure },
            NetEvent::ManifestStarted { peer, id, bytes } => NetInput::ManifestStarted { peer, id, bytes },
        })
    }

    /// Ends connections first, so that no peer sends requests any more, then disk jobs and the store, then answers.
    async fn end(self, inputs: Inputs) {
        let Self { endpoint, disk, mut answers, last_answers, .. } = self;
        drop(inputs);
        endpoint.shutdown().await;
        disk.finish().await;
        for (id, result) in last_answers {
            if let Some(answer) = answers.remove(&id) {
                let _ = answer.send(result);
            }
        }
    }
}

/// Returns true for a scan that failed, in whole or in part.
fn is_faulty_scan(report: &Input) -> bool {
    match report {
        Input::Disk(DiskReport::ScanFailed { .. }) => true,
        Input::Disk(DiskReport::Scanned(scan)) => scan.fault.is_some(),
        _ => false,
    }
}

/// Addresses at which the connected peers accept data connections.
#[derive(Debug, Default)]
struct Peers {
    by_conn: HashMap<ConnId, PeerId>,
    addrs: HashMap<PeerId, SocketAddr>,
}

impl Peers {
    fn connected(&mut self, conn: ConnId, peer: PeerId, addr: SocketAddr) {
        self.by_conn.insert(conn, peer);
        self.addrs.insert(peer, addr);
    }

    fn closed(&mut self, conn: ConnId) {
        let Some(peer) = self.by_conn.remove(&conn) else { return };
        if !self.by_conn.values().any(|other| *other == peer) {
            self.addrs.remove(&peer);
        }
    }

    fn addr_of(&self, peer: &PeerId) -> Option<SocketAddr> {
        self.addrs.get(peer).copied()
    }
}
