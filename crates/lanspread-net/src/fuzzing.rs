//! Hostile peers ("strangers") for the fuzz targets: each connects to a real endpoint on loopback and sends it the
//! fuzzer's bytes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::preamble::{self, Role};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::{ChunkRequest, Hello, Refusal, Request, RequestId, Response};
use lanspread_types::{ChunkIndex, ContentId, GameId, Party, PeerName};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::connect::handshake::{Local, connect};
use crate::limits::CLOSE_TIME_MAX;
use crate::tls::config::TlsConfigs;
use crate::tls::tls_stream::{StreamError, TlsStream};
use crate::{Endpoint, EndpointConfig, Identity, NetEvent, Payload};

/// Length in bytes of each payload that the endpoint serves, and of each that it is told to expect.
const PAYLOAD_BYTES: u32 = 3000;

/// How long a stranger that asks for chunks waits for them.
const ANSWERS_TIME: Duration = Duration::from_millis(2);

/// What a stranger does before it sends the fuzzer's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Nothing: the bytes stand in place of TLS.
    Plain,
    /// Encrypts: the bytes stand in place of the preamble.
    Encrypts,
    /// Asks for a control connection: the bytes stand in place of the hello, and of the proof in a closed party.
    Knocks,
    /// Has said hello: the bytes stand in place of messages.
    Talks,
    /// Asks for a data connection: the bytes stand in place of requests.
    Asks,
    /// Is asked for a manifest and a chunk: the bytes stand in place of its answers.
    Answers,
    /// Is dialled: the bytes stand in place of its hello.
    IsDialled,
}

impl Stranger {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Plain, Self::Encrypts, Self::Knocks, Self::Talks, Self::Asks, Self::Answers, Self::IsDialled];
}

/// An endpoint, and the key of the strangers that it meets.
#[derive(Debug)]
pub struct Host {
    runtime: Runtime,
    endpoint: Endpoint,
    events: mpsc::Receiver<NetEvent>,
    payloads: mpsc::Receiver<Payload>,
    stranger: Local,
}

impl Host {
    /// Starts an endpoint, in a closed party or open.
    #[expect(clippy::missing_errors_doc, reason = "any failure ends the fuzzer")]
    pub fn new(party: Option<Party>) -> Result<Self, Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, events) = mpsc::channel(64);
        let (payload_sender, payloads) = mpsc::channel(1);
        let config = EndpointConfig {
            identity: Identity::generate()?,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            port_fallback: false,
            name: PeerName::new("host")?,
            program: "fuzzed".to_owned(),
            party,
        };
        let endpoint = runtime.block_on(Endpoint::bind(config, sender, payload_sender))?;
        Ok(Self { runtime, endpoint, events, payloads, stranger: stranger()? })
    }

    /// Lets a stranger send `bytes`, and waits until the endpoint is done with it. Returns the endpoint's events, each
    /// as its first word.
    pub fn meet(&mut self, stranger: Stranger, bytes: &[u8]) -> Vec<String> {
        let Self { runtime, endpoint, events, payloads, stranger: local } = self;
        runtime.block_on(async {
            let mut seen = Vec::new();
            let answers = TcpListener::bind("127.0.0.1:0").await.ok();
            let own = answers.as_ref().and_then(|listener| listener.local_addr().ok());
            // Number of requests and dials whose end the endpoint has not reported yet.
            let mut open = match (stranger, own) {
                (Stranger::Answers, Some(addr)) => {
                    let (game, content) = (GameId::new("ggoo").ok(), ContentId([7; 32]));
                    let Some(game) = game else { return seen };
                    let (id, chunk) = (RequestId(1), ChunkIndex(0));
                    let chunk = ChunkRequest { id, game: game.clone(), content, chunk };
                    endpoint.request(local.peer, addr, Request::Chunk(chunk));
                    let manifest = Request::Manifest { id: RequestId(2), game, content };
                    endpoint.request(local.peer, addr, manifest);
                    2
                }
                (Stranger::IsDialled, Some(addr)) => {
                    endpoint.dial(addr);
                    1
                }
                _ => 0,
            };
            let mut talk = std::pin::pin!(talk(stranger, local, endpoint.local_addr(), answers, bytes));
            let mut talks = true;
            while talks || open > 0 {
                tokio::select! {
                    _ = &mut talk, if talks => talks = false,
                    Some(event) = events.recv() => {
                        open -= usize::from(ends(&event)).min(open);
                        seen.push(first_word(&event));
                        answer(endpoint, event);
                    }
                    Some(_) = payloads.recv() => {
                        open = open.saturating_sub(1);
                        seen.push("Payload".to_owned());
                    }
                }
            }
            endpoint.drop_source(local.peer);
            // Each control connection reports its end with `Closed`, so wait for that.
            let mut connected = count(&seen, "Connected").saturating_sub(count(&seen, "Closed"));
            while connected > 0
                && let Some(event) = events.recv().await
            {
                seen.push(first_word(&event));
                connected -= usize::from(matches!(event, NetEvent::Closed { .. }));
                answer(endpoint, event);
            }
            while let Ok(event) = events.try_recv() {
                seen.push(first_word(&event));
                answer(endpoint, event);
            }
            seen
        })
    }
}

fn count(seen: &[String], word: &str) -> usize {
    seen.iter().filter(|seen| *seen == word).count()
}

/// Returns whether the event is the last one of a request or of a dial.
fn ends(event: &NetEvent) -> bool {
    matches!(
        event,
        NetEvent::RequestFailed { .. }
            | NetEvent::DialFailed { .. }
            | NetEvent::Connected { dialled: true, .. }
            | NetEvent::Incompatible { dialled: true, .. }
            | NetEvent::OtherParty { dialled: true, .. }
    )
}

fn first_word(event: &NetEvent) -> String {
    format!("{event:?}").chars().take_while(char::is_ascii_alphabetic).collect()
}

/// Serves every other chunk, and refuses everything else.
fn answer(endpoint: &Endpoint, event: NetEvent) {
    let NetEvent::Requested { link, request, .. } = event else { return };
    for id in request.ids() {
        match &request {
            Request::Chunk(chunk) if id.0 % 2 == 0 => {
                let head = Response::Chunk { id, chunk: chunk.chunk, len: PAYLOAD_BYTES };
                endpoint.serve_bytes(link, head, vec![7; PAYLOAD_BYTES as usize]);
            }
            _ => endpoint.refuse(link, id, Refusal::NotHad),
        }
    }
}

fn stranger() -> Result<Local, Box<dyn std::error::Error>> {
    let identity = Identity::generate()?;
    let (name, protocol) = (PeerName::new("stranger")?, PROTOCOL_VERSION);
    let hello = Hello { protocol, name: name.clone(), listen_port: 4242, program: "fuzzer".to_owned() };
    let hello = lanspread_proto::hello::encode(&hello)?;
    let tls = TlsConfigs::new(&identity)?;
    Ok(Local { peer: identity.peer_id(), name, protocol, hello, tls, door: None })
}

/// Plays the stranger's part until the endpoint has closed the connection. Errors are ignored, because the endpoint may
/// end the connection at any time.
async fn talk(
    stranger: Stranger,
    local: &Local,
    host: SocketAddr,
    answers: Option<TcpListener>,
    bytes: &[u8],
) -> Option<()> {
    if matches!(stranger, Stranger::Answers | Stranger::IsDialled) {
        let (socket, _) = timeout(CLOSE_TIME_MAX, answers?.accept()).await.ok()?.ok()?;
        let (mut stream, _) = TlsStream::server(socket, Arc::clone(&local.tls.server)).await.ok()?;
        stream.send(bytes);
        stream.finish(CLOSE_TIME_MAX).await;
        return Some(());
    }
    let socket = connect(host, None).await.ok()?;
    if stranger == Stranger::Plain {
        return plain(socket, bytes).await;
    }
    let (mut stream, _) = TlsStream::client(socket, Arc::clone(&local.tls.any_peer)).await.ok()?;
    match stranger {
        Stranger::Knocks | Stranger::Talks => stream.send(&preamble::encode(Role::Control)),
        Stranger::Asks => stream.send(&preamble::encode(Role::Data)),
        Stranger::Plain | Stranger::Encrypts | Stranger::Answers | Stranger::IsDialled => {}
    }
    if stranger == Stranger::Talks {
        stream.send(&local.hello);
    }
    stream.send(bytes);
    if stranger == Stranger::Asks {
        // Leaves the endpoint time to answer. If the stranger closed at once, no answer would be sent.
        let _ = timeout(ANSWERS_TIME, read_on(&mut stream)).await;
    }
    stream.finish(CLOSE_TIME_MAX).await;
    Some(())
}

/// Reads, and drops what it reads, until the connection ends.
async fn read_on(stream: &mut TlsStream) -> Result<(), StreamError> {
    loop {
        stream.drive(true).await?;
        while stream.open(&mut |_| {})? {}
    }
}

async fn plain(mut socket: TcpStream, bytes: &[u8]) -> Option<()> {
    socket.write_all(bytes).await.ok()?;
    socket.shutdown().await.ok()?;
    let mut buffer = [0; 1024];
    loop {
        socket.readable().await.ok()?;
        match socket.try_read(&mut buffer) {
            Ok(0) => return Some(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}
