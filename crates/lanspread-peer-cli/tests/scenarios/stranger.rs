//! A hostile peer: it has a key, speaks the protocol, and sends and requests whatever a scenario wants.
//!
//! It uses a real endpoint of `lanspread-net` at its own loopback address, so the victim cannot tell it from an
//! honest peer by its bytes. It makes no decisions and answers nothing unless the scenario does.

// Each attack uses only some of the functions.
#![expect(dead_code, reason = "the scenarios of later attacks use the rest")]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lanspread_net::{Endpoint, EndpointConfig, Identity, NetEvent, Payload};
use lanspread_types::message::{GameOffer, LibraryUpdate, Message, Request, Response};
use lanspread_types::{ConnId, ContentId, GameId, GameVersion, LinkId, PeerId, PeerName};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::scenario::{Failure, Outcome, fail};

/// Longest time for one step of an attack. Only a failing scenario waits that long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events that may wait for the scenario. Beyond that the victim's bytes stay unread.
const EVENTS_WAITING: usize = 4096;

/// A peer under the scenario's control, connected to one victim.
pub struct Stranger {
    endpoint: Endpoint,
    events: mpsc::Receiver<NetEvent>,
    payloads: mpsc::Receiver<Payload>,
    victim: SocketAddr,
    victim_id: PeerId,
    conn: ConnId,
    /// Revision of the library that was last announced to the victim.
    revision: u64,
    /// The last field, so that the endpoint is dropped before its runtime.
    runtime: Runtime,
}

impl Stranger {
    /// Connects to the victim with a new key, from a listener at `ip`.
    pub fn enter(victim: SocketAddr, ip: IpAddr, name: &str) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (net, mut events) = mpsc::channel(EVENTS_WAITING);
        let (data, payloads) = mpsc::channel(4);
        let config = EndpointConfig {
            identity: Identity::generate()?,
            listen: SocketAddr::new(ip, 0),
            port_fallback: false,
            name: PeerName::new(name)?,
            program: String::new(),
            party: None,
        };
        let endpoint = runtime.block_on(Endpoint::bind(config, net, data))?;
        runtime.block_on(async { endpoint.dial(victim) });
        let (conn, victim_id) = loop {
            match next(&runtime, &mut events, PATIENCE) {
                Some(NetEvent::Connected { conn, peer, .. }) => break (conn, peer),
                Some(NetEvent::DialFailed { failure, .. }) => fail!("{name} is not let in: {failure}"),
                Some(_) => {}
                None => fail!("{name} was not let in within {} s", PATIENCE.as_secs()),
            }
        };
        Ok(Self { endpoint, events, payloads, victim, victim_id, conn, revision: 0, runtime })
    }

    /// Returns the address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    pub fn id(&self) -> PeerId {
        self.endpoint.peer_id()
    }

    pub fn victim_id(&self) -> PeerId {
        self.victim_id
    }

    /// Sends a message to the victim on the control connection.
    pub fn say(&self, message: &Message) {
        self.endpoint.send(self.conn, message);
    }

    /// Dials another peer. [`NetEvent::Connected`] follows unless that peer has dialled first.
    pub fn meet(&self, other: SocketAddr) {
        let _inside = self.runtime.enter();
        self.endpoint.dial(other);
    }

    /// Returns the control connection to the victim.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Sends a message on a control connection to any peer.
    pub fn say_to(&self, conn: ConnId, message: &Message) {
        self.endpoint.send(conn, message);
    }

    /// Announces a whole library that replaces the one before, in as few messages as the protocol allows.
    pub fn announce(&mut self, games: &[GameOffer]) {
        self.revision += 1;
        let mut parts = games.chunks(lanspread_types::limits::GAMES_PER_LIBRARY_MESSAGE_MAX).peekable();
        if parts.peek().is_none() {
            return self.announce_part(&[], false);
        }
        while let Some(part) = parts.next() {
            self.announce_part(part, parts.peek().is_some());
        }
    }

    fn announce_part(&self, games: &[GameOffer], more: bool) {
        let revision = self.revision;
        let update = LibraryUpdate { revision, base: 0, more, games: games.to_vec(), removed: Vec::new() };
        self.say(&Message::Library(update));
    }

    /// Sends a request on the data connection to the victim, which is opened on first use.
    pub fn ask(&self, request: Request) {
        // The endpoint starts a task for the connection, which needs the runtime.
        let _inside = self.runtime.enter();
        self.endpoint.request(self.victim_id, self.victim, request);
    }

    /// Answers a request of the victim with true or false bytes.
    pub fn serve(&self, link: LinkId, head: Response, bytes: Vec<u8>) {
        self.endpoint.serve_bytes(link, head, bytes);
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the next event, or `None` if there is none within `patience`.
    pub fn next(&mut self, patience: Duration) -> Option<NetEvent> {
        next(&self.runtime, &mut self.events, patience)
    }

    /// Returns the next payload from the victim, or `None` if there is none within `patience`.
    pub fn payload(&mut self, patience: Duration) -> Option<Payload> {
        let payloads = &mut self.payloads;
        self.runtime.block_on(async { tokio::time::timeout(patience, payloads.recv()).await.ok().flatten() })
    }

    /// Waits for the event that `wanted` picks, and drops all others.
    pub fn await_event<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(NetEvent) -> Option<T>,
    ) -> Outcome<T> {
        let start = Instant::now();
        while let Some(event) = self.next(PATIENCE.saturating_sub(start.elapsed())) {
            if let Some(found) = wanted(event) {
                return Ok(found);
            }
        }
        Err(Failure(format!("the stranger waited in vain for {what}")))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // The connections end with the stranger.
        self.runtime.block_on(self.endpoint.shutdown());
    }
}

fn next(runtime: &Runtime, events: &mut mpsc::Receiver<NetEvent>, patience: Duration) -> Option<NetEvent> {
    runtime.block_on(async { tokio::time::timeout(patience, events.recv()).await.ok().flatten() })
}

/// Returns an offer of a game that need not exist.
pub fn offer(game: &str, version: u32, content: [u8; 32], bytes: u64) -> Outcome<GameOffer> {
    let version = GameVersion::new(version)?;
    Ok(GameOffer { game: GameId::new(game)?, version, content: ContentId(content), bytes, files: 2 })
}
