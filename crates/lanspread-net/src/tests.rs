//! Tests of whole endpoints on real loopback sockets, in one process.

use std::net::SocketAddr;
use std::time::Duration;

use lanspread_types::message::{ChunkRequest, Request, RequestId};
use lanspread_types::{ChunkIndex, ConnId, ContentId, GameId, PeerId, PeerName, RefusalCause};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{Endpoint, EndpointConfig, Identity, NetEvent, Payload};

mod closed;
mod control;
mod data;

/// Longer than any step takes; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

struct Peer {
    endpoint: Endpoint,
    events: mpsc::Receiver<NetEvent>,
    payloads: mpsc::Receiver<Payload>,
    /// Reports of misbehaviour that arrived between other events.
    complaints: Vec<RefusalCause>,
}

fn config(name: &str) -> EndpointConfig {
    EndpointConfig {
        identity: Identity::generate().unwrap(),
        listen: "127.0.0.1:0".parse().unwrap(),
        port_fallback: false,
        name: PeerName::new(name).unwrap(),
        program: "test".to_owned(),
        party: None,
    }
}

impl Peer {
    async fn new(name: &str) -> Self {
        Self::with(config(name), lanspread_types::limits::PROTOCOL_VERSION).await
    }

    async fn with(config: EndpointConfig, version: u16) -> Self {
        let (event_sender, events) = mpsc::channel(64);
        let (payload_sender, payloads) = mpsc::channel(1);
        let endpoint = Endpoint::bind_version(config, event_sender, payload_sender, version).await.unwrap();
        Self { endpoint, events, payloads, complaints: Vec::new() }
    }

    fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    fn id(&self) -> PeerId {
        self.endpoint.peer_id()
    }

    /// Returns the next event. Reports of misbehaviour go to `complaints` instead.
    async fn event(&mut self) -> NetEvent {
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await;
            match event.expect("an event comes").expect("the endpoint lives") {
                NetEvent::Misbehaved { how, .. } => self.complaints.push(how),
                event => return event,
            }
        }
    }

    async fn payload(&mut self) -> Payload {
        timeout(PATIENCE, self.payloads.recv()).await.expect("a payload comes").expect("the endpoint lives")
    }

    async fn connected(&mut self) -> (ConnId, PeerId, SocketAddr, bool) {
        match self.event().await {
            NetEvent::Connected { conn, peer, addr, dialled, .. } => (conn, peer, addr, dialled),
            other => panic!("expected a connection, got {other:?}"),
        }
    }
}

/// Returns two peers with a control connection, which the first has dialled.
async fn pair() -> (Peer, ConnId, Peer, ConnId) {
    let (mut ann, mut bob) = (Peer::new("Ann").await, Peer::new("Bob").await);
    ann.endpoint.dial(bob.addr());
    let (to_bob, ..) = ann.connected().await;
    let (to_ann, ..) = bob.connected().await;
    (ann, to_bob, bob, to_ann)
}

fn game() -> GameId {
    GameId::new("ggoo").unwrap()
}

fn chunk_request(id: u64, chunk: u32) -> Request {
    Request::Chunk(ChunkRequest {
        id: RequestId(id),
        game: game(),
        content: ContentId([7; 32]),
        chunk: ChunkIndex(chunk),
    })
}
