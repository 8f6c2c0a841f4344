//! The endpoint: one listening port, and all connections of this peer.
//!
//! Calls return at once. Their outcome is reported as a [`NetEvent`], and payloads arrive through a channel of their
//! own. Each connection is one task. The caller bounds both channels: while one is full, connections stop reading, and
//! TCP slows the other side down.

mod dial;
mod listen;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_proto::hello;
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::{Hello, Message, Refusal, Request, RequestId, Response};
use lanspread_types::{ConnId, LinkId, Party, PeerId, PeerName};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::connect::handshake::Local;
use crate::data::source_conn as fetch;
use crate::discovery::{self, DiscoveryConfig};
use crate::event::{Context, NetEvent, Payload};
use crate::inbox::{Inbox, lock};
use crate::limits::{REQUESTS_PER_LINK_MAX, SHUTDOWN_TIME_MAX};
use crate::party::secrets::{Door, DoorError};
use crate::shared::Shared;
use crate::shared::answer::{Answer, Body, PayloadSource};
use crate::tls::config::TlsConfigs;
use crate::tls::identity::Identity;

/// Settings of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Key pair of this peer. Its public key is the peer id.
    pub identity: Identity,
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Take any free port if the wanted one is in use.
    pub port_fallback: bool,
    /// Name that this peer tells other peers.
    pub name: PeerName,
    /// Version of the program, for people to read; at most 128 bytes.
    pub program: String,
    /// Closed party of this peer: only peers that know its passphrase are let in. `None` for an open peer.
    pub party: Option<Party>,
}

/// Why an endpoint could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The listening socket cannot be opened.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// Address that was asked for.
        addr: SocketAddr,
        /// Failure of the socket.
        source: io::Error,
    },
    /// rustls does not accept the key pair or the settings.
    #[error("the identity cannot be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The hello does not fit its frame, for example because `program` is too long.
    #[error("the hello cannot be written: {0}")]
    Hello(#[from] lanspread_proto::EncodeError),
    /// The passphrase cannot be stretched, or the welcome cannot be encoded.
    #[error("the closed party cannot be joined: {0}")]
    Party(#[from] DoorError),
    /// The runtime ended while the passphrase was being stretched.
    #[error("the program is ending")]
    Stopped,
}

/// A running endpoint. Dropping it ends every connection without a goodbye; [`Endpoint::shutdown`] says goodbye first.
#[derive(Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
}

impl Endpoint {
    /// Starts to listen. Must be called within a tokio runtime.
    ///
    /// For a closed party this first stretches the passphrase, which takes a moment and 64 MiB.
    pub async fn bind(
        config: EndpointConfig,
        events: mpsc::Sender<NetEvent>,
        payloads: mpsc::Sender<Payload>,
    ) -> Result<Self, BindError> {
        Self::bind_version(config, events, payloads, PROTOCOL_VERSION).await
    }

    /// Does the same as [`Self::bind`], but states another protocol version, for tests.
    pub(crate) async fn bind_version(
        config: EndpointConfig,
        events: mpsc::Sender<NetEvent>,
        payloads: mpsc::Sender<Payload>,
        protocol: u16,
    ) -> Result<Self, BindError> {
        let EndpointConfig { identity, listen: addr, port_fallback, name, program, party } = config;
        let listener = match listen::bind(addr) {
            Err(error) if port_fallback && is_taken(&error) => listen::bind(SocketAddr::new(addr.ip(), 0)),
            result => result,
        };
        let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (local_addr, listener) = bound.map_err(|source| BindError::Listen { addr, source })?;
        let listen_port = local_addr.port();
        let door = match party {
            None => None,
            Some(party) => {
                let (name, program) = (name.clone(), program.clone());
                let stretched = spawn_blocking(move || Door::new(&party, &name, &program)).await;
                Some(stretched.map_err(|_| BindError::Stopped)??)
            }
        };
        let hello = match &door {
            None => hello::encode(&Hello { protocol, name: name.clone(), listen_port, program })?,
            Some(door) => hello::encode_closed(protocol, listen_port, door.name())?,
        };
        let tls = TlsConfigs::new(&identity)?;
        let local = Local { peer: identity.peer_id(), name, protocol, hello, tls, door };
        let listen_ip = Some(local_addr.ip()).filter(|ip| !ip.is_unspecified());
        let shared = Arc::new(Shared::new(local, listen_ip, events, payloads));
        shared.tasks.spawn(listen::run(Arc::clone(&shared), listener));
        Ok(Self { shared, local_addr })
    }

    /// Returns the address and port that this peer listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns this peer's id.
    pub fn peer_id(&self) -> PeerId {
        self.shared.local.peer
    }

    /// Opens a control connection to whichever peer answers at `addr`. `Connected`, `Incompatible`, `OtherParty` or
    /// `DialFailed` follows within seconds.
    pub fn dial(&self, addr: SocketAddr) {
        self.shared.tasks.spawn(dial::one(Arc::clone(&self.shared), addr));
    }

    /// Opens a control connection to a peer at one of its addresses, tried in this order; see [`dial`]. `Connected`,
    /// `Incompatible`, `OtherParty` or `PeerDialFailed` follows. If a different peer answers, its own event and
    /// `PeerDialFailed` follow.
    pub fn dial_peer(&self, peer: PeerId, addrs: Vec<SocketAddr>) {
        self.shared.tasks.spawn(dial::peer(Arc::clone(&self.shared), peer, addrs));
    }

    /// Checks whether the listener of exactly this peer answers at `addr`. `Reached` follows, or nothing.
    pub fn probe(&self, peer: PeerId, addr: SocketAddr) {
        self.shared.tasks.spawn(dial::probe(Arc::clone(&self.shared), peer, addr));
    }

    /// Starts to announce this peer and to listen for other peers, until the endpoint shuts down. `Sighted` and
    /// `Subnets` events follow.
    pub fn discover(&self, config: DiscoveryConfig) {
        discovery::start(&self.shared, self.local_addr, config);
    }

    /// Queues a message. If more than 1 MiB waits for the peer, the connection is closed as too slow. A message for a
    /// connection that has ended is dropped; its `Closed` is on the way.
    pub fn send(&self, conn: ConnId, message: &Message) {
        let outbox = lock(&self.shared.routes.conns).get(&conn).cloned();
        if let Some(outbox) = outbox
            && let Err(error) = outbox.push(message)
        {
            // Peers rely on every message, so a gap is worse than a new connection.
            tracing::error!(%error, "a message cannot be encoded; the connection is closed");
            outbox.close(false);
        }
    }

    /// Ends a control connection once everything queued is sent, or after two seconds. `Closed` follows.
    pub fn close(&self, conn: ConnId, say_goodbye: bool) {
        if let Some(outbox) = lock(&self.shared.routes.conns).get(&conn) {
            outbox.close(say_goodbye);
        }
    }

    /// Sends a request over the data connection to a peer, and first opens one to its listener at `addr` if there is
    /// none. Only that peer may answer. Every request ends with a [`Payload`] or `RequestFailed`; `ChunkStarted` or
    /// `ManifestStarted` may come before. A `Cancel` has no event of its own. Ids of open requests must differ.
    pub fn request(&self, peer: PeerId, addr: SocketAddr, request: Request) {
        self.request_with(peer, addr, request, Arc::new(()));
    }

    /// Does the same as [`Self::request`], and attaches a context that comes back with each [`Payload`].
    pub fn request_with(&self, peer: PeerId, addr: SocketAddr, request: Request, context: Context) {
        let mut sources = lock(&self.shared.routes.sources);
        let request = Box::new((request, context));
        let request = match sources.get(&peer).map(|inbox| inbox.push(request.clone())) {
            Some(Ok(())) => return,
            Some(Err(request)) => request,
            None => request,
        };
        if matches!(request.0, Request::Cancel { .. }) {
            // The request to cancel ended with its connection.
            return;
        }
        let inbox = Arc::new(Inbox::new(REQUESTS_PER_LINK_MAX));
        if inbox.push(request).is_ok() {
            sources.insert(peer, Arc::clone(&inbox));
            self.shared.tasks.spawn(fetch::run(Arc::clone(&self.shared), peer, addr, inbox));
        }
    }

    /// Ends the outbound data connection to a peer, if there is one. Every open request on it fails.
    pub fn drop_source(&self, peer: PeerId) {
        if let Some(inbox) = lock(&self.shared.routes.sources).get(&peer) {
            inbox.end();
        }
    }

    /// Ends an inbound data connection. `LinkClosed` follows.
    pub fn drop_link(&self, link: LinkId) {
        if let Some(inbox) = lock(&self.shared.routes.links).get(&link) {
            inbox.end();
        }
    }

    /// Answers with bytes from memory, exactly as many as the head states. `Served` follows, or `LinkClosed` if the
    /// link is gone.
    pub fn serve_bytes(
        &self,
        link: LinkId,
        head: Response,
        payload: impl AsRef<[u8]> + Send + Sync + 'static,
    ) {
        self.answer(link, Answer { head, body: Body::Bytes(Box::new(payload)) });
    }

    /// Answers with bytes that are read when their turn comes, as many as the head states. `Served` follows, or
    /// `LinkClosed` if the link is gone.
    pub fn serve_source(&self, link: LinkId, head: Response, source: Box<dyn PayloadSource>) {
        self.answer(link, Answer { head, body: Body::Source(source) });
    }

    /// Answers without a payload. No `Served` follows.
    pub fn refuse(&self, link: LinkId, id: RequestId, reason: Refusal) {
        self.answer(link, Answer { head: Response::Refused { id, reason }, body: Body::None });
    }

    fn answer(&self, link: LinkId, answer: Answer) {
        let inbox = lock(&self.shared.routes.links).get(&link).cloned();
        // If the link is gone, its `LinkClosed` has been reported or is about to be.
        let _ = inbox.map(|inbox| inbox.push(answer));
    }

    /// Says goodbye on every control connection, ends all connections and waits until no task is left. Takes a few
    /// seconds at most. Events may still arrive until it returns.
    pub async fn shutdown(&self) {
        self.shared.tasks.shut_down(SHUTDOWN_TIME_MAX).await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.tasks.abort();
    }
}

/// Returns true if the port is in use, or if Windows reserves it for something else.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}
