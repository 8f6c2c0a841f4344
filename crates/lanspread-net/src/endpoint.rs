//! The endpoint: one listening port, and everything that is said over it.
//!
//! Calls return at once; what comes of them is reported as a [`NetEvent`], and payloads through a channel of their
//! own. Each connection is one task. Both channels are bounded by the caller: when they are full, connections stop
//! reading, and TCP slows the other side down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_proto::hello;
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::{Hello, Message, Refusal, Request, RequestId, Response};
use lanspread_types::{Party, PeerId, PeerName};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::discovery::{self, DiscoveryConfig};
use crate::event::{ConnKey, LinkKey, NetEvent, Payload};
use crate::handshake::Local;
use crate::identity::Identity;
use crate::inbox::{Inbox, lock};
use crate::limits::{REQUESTS_PER_LINK_MAX, SHUTDOWN_TIME_MAX};
use crate::link::{Answer, Body, PayloadSource};
use crate::party::{Door, DoorError};
use crate::shared::Shared;
use crate::tls::TlsConfigs;
use crate::{dial, fetch, listen};

#[derive(Debug, Clone)]
pub struct EndpointConfig {
    pub identity: Identity,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Take any free port if that one is taken.
    pub port_fallback: bool,
    /// How this peer introduces itself.
    pub name: PeerName,
    /// Version of the program, for people to read; at most 128 bytes.
    pub program: String,
    /// Let in only who knows this party's pass phrase; everybody if there is none.
    pub party: Option<Party>,
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("the identity cannot be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the hello cannot be written: {0}")]
    Hello(#[from] lanspread_proto::EncodeError),
    #[error("the closed party cannot be joined: {0}")]
    Party(#[from] DoorError),
    #[error("the program is ending")]
    Stopped,
}

/// A running endpoint. Dropping it ends every connection without a word; [`Endpoint::shutdown`] says goodbye.
#[derive(Debug)]
pub struct Endpoint {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
}

impl Endpoint {
    /// Starts to listen. To be called within a tokio runtime.
    pub async fn bind(
        config: EndpointConfig,
        events: mpsc::Sender<NetEvent>,
        payloads: mpsc::Sender<Payload>,
    ) -> Result<Self, BindError> {
        Self::bind_version(config, events, payloads, PROTOCOL_VERSION).await
    }

    /// The same, posing as a peer of another version.
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

    /// Where this peer listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub fn peer_id(&self) -> PeerId {
        self.shared.local.peer
    }

    /// Opens a control connection. `Connected`, `Incompatible` or `DialFailed` follows within seconds.
    pub fn dial(&self, addr: SocketAddr) {
        self.shared.tasks.spawn(dial::one(Arc::clone(&self.shared), addr));
    }

    /// Opens a control connection to a peer at one of its addresses, in this order; see [`dial`]. `Connected`,
    /// `Incompatible` or `PeerDialFailed` follows.
    pub fn dial_peer(&self, peer: PeerId, addrs: Vec<SocketAddr>) {
        self.shared.tasks.spawn(dial::peer(Arc::clone(&self.shared), peer, addrs));
    }

    /// Finds out whether this very peer's listener answers there. `Reached` follows, or nothing.
    pub fn probe(&self, peer: PeerId, addr: SocketAddr) {
        self.shared.tasks.spawn(dial::probe(Arc::clone(&self.shared), peer, addr));
    }

    /// Starts to announce this peer and to listen for others, until the endpoint shuts down. `Sighted` and `Subnets`
    /// follow.
    pub fn discover(&self, config: DiscoveryConfig) {
        discovery::start(&self.shared, self.local_addr, config);
    }

    /// Sends a message. If more than a mebibyte waits for the peer, the connection is closed as too slow. A connection
    /// that has ended takes no messages: its `Closed` is on the way.
    pub fn send(&self, conn: ConnKey, message: &Message) {
        let outbox = lock(&self.shared.routes.conns).get(&conn).cloned();
        if let Some(outbox) = outbox
            && let Err(error) = outbox.push(message)
        {
            // Peers rely on every message, so a gap is worse than a new connection.
            tracing::error!(%error, "a message cannot be encoded; the connection is closed");
            outbox.close(false);
        }
    }

    /// Ends a control connection once what is queued is sent, or a short time has passed. `Closed` follows.
    pub fn close(&self, conn: ConnKey, say_goodbye: bool) {
        if let Some(outbox) = lock(&self.shared.routes.conns).get(&conn) {
            outbox.close(say_goodbye);
        }
    }

    /// Asks a peer on the data connection to it, which is opened to its listener at `addr` if there is none. Only that
    /// very peer may answer. `ChunkStarted` and a [`Payload`], or `RequestFailed` follow; nothing for a `Cancel`.
    /// Numbers of open requests must differ.
    pub fn request(&self, peer: PeerId, addr: SocketAddr, request: Request) {
        let mut sources = lock(&self.shared.routes.sources);
        let request = match sources.get(&peer).map(|inbox| inbox.push(request.clone())) {
            Some(Ok(())) => return,
            Some(Err(request)) => request,
            None => request,
        };
        if matches!(request, Request::Cancel { .. }) {
            // What it cancels went down with its connection.
            return;
        }
        let inbox = Arc::new(Inbox::new(REQUESTS_PER_LINK_MAX));
        if inbox.push(request).is_ok() {
            sources.insert(peer, Arc::clone(&inbox));
            self.shared.tasks.spawn(fetch::run(Arc::clone(&self.shared), peer, addr, inbox));
        }
    }

    /// Ends our data connection to a peer, if there is one: every open request fails.
    pub fn drop_source(&self, peer: PeerId) {
        if let Some(inbox) = lock(&self.shared.routes.sources).get(&peer) {
            inbox.end();
        }
    }

    /// Ends a data connection on which we are asked. `LinkClosed` follows.
    pub fn drop_link(&self, link: LinkKey) {
        if let Some(inbox) = lock(&self.shared.routes.links).get(&link) {
            inbox.end();
        }
    }

    /// Answers with bytes from memory, as many as the head says. `Served` follows, or `LinkClosed` if the link is gone.
    pub fn serve_bytes(
        &self,
        link: LinkKey,
        head: Response,
        payload: impl AsRef<[u8]> + Send + Sync + 'static,
    ) {
        self.answer(link, Answer { head, body: Body::Bytes(Box::new(payload)) });
    }

    /// Answers with bytes that are read when their turn comes, as many as the head says. `Served` follows, or
    /// `LinkClosed` if the link is gone.
    pub fn serve_source(&self, link: LinkKey, head: Response, source: Box<dyn PayloadSource>) {
        self.answer(link, Answer { head, body: Body::Source(source) });
    }

    /// Answers without a payload. No `Served` follows.
    pub fn refuse(&self, link: LinkKey, id: RequestId, reason: Refusal) {
        self.answer(link, Answer { head: Response::Refused { id, reason }, body: Body::None });
    }

    fn answer(&self, link: LinkKey, answer: Answer) {
        let inbox = lock(&self.shared.routes.links).get(&link).cloned();
        // A link that is gone has told so, or is about to.
        let _ = inbox.map(|inbox| inbox.push(answer));
    }

    /// Says goodbye on every control connection, ends all connections and waits until no task is left. Takes a few
    /// seconds at most. Events may still come until it returns.
    pub async fn shutdown(&self) {
        self.shared.tasks.shut_down(SHUTDOWN_TIME_MAX).await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.tasks.abort();
    }
}

/// The port is in use, or Windows keeps it for something else.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}
