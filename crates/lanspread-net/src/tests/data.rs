//! Tests of data connections: requests, payloads, and every way in which they end.

use std::io;
use std::sync::Arc;

use lanspread_types::message::{Refusal, Request, RequestId, Response};
use lanspread_types::{ChunkIndex, LinkId, RequestFailure};
use tokio::net::TcpListener;

use super::{Peer, chunk_request, config, game};
use crate::connect::handshake::{Accepted, Local, accept};
use crate::tls::config::TlsConfigs;
use crate::tls::tls_stream::TlsStream;
use crate::{EndpointConfig, NetEvent, PayloadKind, PayloadSource};

/// Returns the byte at an offset of a chunk.
fn byte(chunk: u32, offset: u64) -> u8 {
    ((u64::from(chunk) << 40 | offset).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Source of made-up chunks that may fail from a given offset on.
struct Pattern {
    chunk: u32,
    fails_at: Option<u64>,
}

impl PayloadSource for Pattern {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if self.fails_at.is_some_and(|at| at < offset + buf.len() as u64) {
            return Err(io::Error::other("the disk was pulled out"));
        }
        for (at, b) in buf.iter_mut().enumerate() {
            *b = byte(self.chunk, offset + at as u64);
        }
        Ok(())
    }
}

fn head(id: RequestId, chunk: u32, len: u32) -> Response {
    Response::Chunk { id, chunk: ChunkIndex(chunk), len }
}

/// Waits for a chunk request and returns its link, id and chunk.
async fn requested(source: &mut Peer) -> (LinkId, RequestId, u32) {
    match source.event().await {
        NetEvent::Requested { link, request: Request::Chunk(request), .. } => {
            (link, request.id, request.chunk.0)
        }
        other => panic!("{other:?}"),
    }
}

async fn failure(receiver: &mut Peer) -> (u64, RequestFailure) {
    match receiver.event().await {
        NetEvent::RequestFailed { id, failure, .. } => (id.0, failure),
        other => panic!("{other:?}"),
    }
}

async fn lost(receiver: &mut Peer) -> (u64, String) {
    match failure(receiver).await {
        (id, RequestFailure::Lost(reason)) => (id, reason),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_arrive_as_they_are() {
    const LEN: u32 = (4 << 20) - 13;
    const CHUNKS: u32 = 25;
    const IN_FLIGHT: u32 = 4;
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    let (peer, addr, receiver_id) = (source.id(), source.addr(), receiver.id());
    let serving = tokio::spawn(async move {
        let mut served = Vec::new();
        while served.len() < CHUNKS as usize {
            match source.event().await {
                NetEvent::Requested { link, peer, request: Request::Chunk(request) } => {
                    assert_eq!(peer, receiver_id);
                    let chunk = request.chunk.0;
                    let pattern = Box::new(Pattern { chunk, fails_at: None });
                    source.endpoint.serve_source(link, head(request.id, chunk, LEN), pattern);
                }
                NetEvent::Served { id, bytes, ok, .. } => {
                    assert_eq!((bytes, ok), (u64::from(LEN), true));
                    served.push(id.0);
                }
                other => panic!("{other:?}"),
            }
        }
        (source, served)
    });
    let ask = |n: u32| receiver.endpoint.request(peer, addr, chunk_request(u64::from(n), n));
    (0..IN_FLIGHT).for_each(ask);
    for n in 0..CHUNKS {
        let event = receiver.events.recv().await.unwrap();
        assert!(
            matches!(event, NetEvent::ChunkStarted { id, chunk, .. } if (id.0, chunk.0) == (u64::from(n), n))
        );
        let payload = receiver.payloads.recv().await.unwrap();
        assert_eq!(
            (payload.peer, payload.id.0, payload.what),
            (peer, u64::from(n), PayloadKind::Chunk(ChunkIndex(n)))
        );
        assert_eq!(payload.bytes.len(), LEN as usize);
        assert!(payload.bytes.iter().enumerate().all(|(at, &b)| b == byte(n, at as u64)), "chunk {n}");
        if n + IN_FLIGHT < CHUNKS {
            receiver.endpoint.request(peer, addr, chunk_request(u64::from(n + IN_FLIGHT), n + IN_FLIGHT));
        }
    }
    let (_source, served) = serving.await.unwrap();
    assert_eq!(served, (0..u64::from(CHUNKS)).collect::<Vec<_>>());
}

/// Source that gives one slice and then blocks until the other end of its channel is dropped.
struct Stalls(std::sync::mpsc::Receiver<()>);

impl PayloadSource for Stalls {
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        buf.fill(0);
        if offset > 0 {
            // The test never sends; dropping its end lets this return.
            let _ = self.0.recv();
        }
        Ok(())
    }
}

/// Four manifests of 96 MiB exceed all budgets together.
#[tokio::test]
async fn announced_manifests_block_no_other_payload() {
    let mut receiver = Peer::new("Receiver").await;
    let content = lanspread_types::ContentId([7; 32]);
    let (mut slow, mut ends) = (Vec::new(), Vec::new());
    for n in 0..4 {
        let mut source = Peer::new("Slow").await;
        let ask = Request::Manifest { id: RequestId(n), game: game(), content };
        receiver.endpoint.request(source.id(), source.addr(), ask);
        let NetEvent::Requested { link, request: Request::Manifest { id, .. }, .. } = source.event().await
        else {
            panic!()
        };
        let (end, stalls) = std::sync::mpsc::channel();
        let len = lanspread_types::limits::MANIFEST_BYTES_MAX as u32;
        source.endpoint.serve_source(link, Response::Manifest { id, len }, Box::new(Stalls(stalls)));
        let begun = receiver.event().await;
        assert!(matches!(begun, NetEvent::ManifestStarted { bytes, .. } if bytes == u64::from(len)));
        slow.push(source);
        ends.push(end);
    }
    let mut honest = Peer::new("Honest").await;
    receiver.endpoint.request(honest.id(), honest.addr(), chunk_request(9, 5));
    let (link, id, chunk) = requested(&mut honest).await;
    honest.endpoint.serve_bytes(link, head(id, chunk, 8 << 20), vec![7; 8 << 20]);
    let payload = receiver.payload().await;
    assert_eq!((payload.peer, payload.bytes.len()), (honest.id(), 8 << 20));
    drop(ends);
}

#[tokio::test]
async fn all_kinds_of_answers_share_a_connection() {
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    let (peer, addr) = (source.id(), source.addr());
    let content = lanspread_types::ContentId([7; 32]);
    receiver.endpoint.request(peer, addr, Request::Manifest { id: RequestId(1), game: game(), content });
    receiver.endpoint.request(peer, addr, chunk_request(2, 5));
    receiver.endpoint.request(peer, addr, chunk_request(3, 6));
    receiver.endpoint.request(peer, addr, Request::Cancel { id: RequestId(2) });
    let NetEvent::Requested { link, request: Request::Manifest { id, .. }, .. } = source.event().await else {
        panic!()
    };
    let manifest: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    assert_eq!(requested(&mut source).await.1, RequestId(2));
    assert_eq!(requested(&mut source).await.1, RequestId(3));
    assert!(matches!(
        source.event().await,
        NetEvent::Requested { request: Request::Cancel { id: RequestId(2) }, .. }
    ));
    source.endpoint.refuse(link, RequestId(2), Refusal::Cancelled);
    source.endpoint.serve_bytes(
        link,
        Response::Manifest { id, len: manifest.len() as u32 },
        manifest.clone(),
    );
    source.endpoint.serve_bytes(link, head(RequestId(3), 6, 4), Arc::<[u8]>::from(*b"abcd"));

    assert_eq!(failure(&mut receiver).await, (2, RequestFailure::Refused(Refusal::Cancelled)));
    let begun = receiver.event().await;
    assert!(matches!(begun, NetEvent::ManifestStarted { id: RequestId(1), bytes: 3_000_000, .. }));
    let payload = receiver.payload().await;
    assert_eq!((payload.id, payload.what), (RequestId(1), PayloadKind::Manifest));
    assert!(*payload.bytes == manifest[..]);
    assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { id: RequestId(3), .. }));
    assert_eq!(&*receiver.payload().await.bytes, b"abcd");
    assert!(matches!(
        source.event().await,
        NetEvent::Served { id: RequestId(1), bytes: 3_000_000, ok: true, .. }
    ));
    assert!(matches!(source.event().await, NetEvent::Served { id: RequestId(3), bytes: 4, ok: true, .. }));
}

#[tokio::test]
async fn only_the_expected_peer_may_answer() {
    let (source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    let other = Peer::new("Other").await;
    receiver.endpoint.request(source.id(), other.addr(), chunk_request(1, 0));
    assert_eq!(lost(&mut receiver).await, (1, "another peer answers at that address".to_owned()));
}

#[tokio::test]
async fn unreadable_payload_is_refused_and_the_next_sent() {
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    let (peer, addr) = (source.id(), source.addr());
    receiver.endpoint.request(peer, addr, chunk_request(1, 0));
    receiver.endpoint.request(peer, addr, chunk_request(2, 1));
    let (link, id, chunk) = requested(&mut source).await;
    source.endpoint.serve_source(
        link,
        head(id, chunk, 1000),
        Box::new(Pattern { chunk, fails_at: Some(500) }),
    );
    let (link, id, chunk) = requested(&mut source).await;
    source.endpoint.serve_source(link, head(id, chunk, 1000), Box::new(Pattern { chunk, fails_at: None }));
    assert_eq!(failure(&mut receiver).await, (1, RequestFailure::Refused(Refusal::ReadFailed)));
    assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { id: RequestId(2), .. }));
    assert_eq!(receiver.payload().await.id, RequestId(2));
    assert!(matches!(source.event().await, NetEvent::Served { id: RequestId(1), ok: false, .. }));
    assert!(matches!(source.event().await, NetEvent::Served { id: RequestId(2), ok: true, .. }));
}

#[tokio::test]
async fn failure_in_mid_payload_fails_open_requests() {
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    let (peer, addr) = (source.id(), source.addr());
    for id in 1..=3 {
        receiver.endpoint.request(peer, addr, chunk_request(id, 0));
    }
    let (link, id, chunk) = requested(&mut source).await;
    requested(&mut source).await;
    requested(&mut source).await;
    let pattern = Box::new(Pattern { chunk, fails_at: Some(6 << 20) });
    source.endpoint.serve_source(link, head(id, chunk, 8 << 20), pattern);
    assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { id: RequestId(1), .. }));
    for id in 1..=3 {
        assert_eq!(lost(&mut receiver).await.0, id);
    }
    assert!(matches!(source.event().await, NetEvent::Served { id: RequestId(1), ok: false, .. }));
    assert!(matches!(source.event().await, NetEvent::LinkClosed { link: closed } if closed == link));
    assert!(receiver.payloads.try_recv().is_err(), "half a payload is none");

    // The next request opens a new connection.
    receiver.endpoint.request(peer, addr, chunk_request(4, 9));
    let (link, id, chunk) = requested(&mut source).await;
    source.endpoint.serve_source(link, head(id, chunk, 10), Box::new(Pattern { chunk, fails_at: None }));
    assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { id: RequestId(4), .. }));
    assert_eq!(receiver.payload().await.id, RequestId(4));
}

#[tokio::test]
async fn vanished_source_fails_open_requests() {
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    let (peer, addr) = (source.id(), source.addr());
    receiver.endpoint.request(peer, addr, chunk_request(1, 0));
    receiver.endpoint.request(peer, addr, chunk_request(2, 0));
    requested(&mut source).await;
    drop(source);
    assert_eq!(lost(&mut receiver).await.0, 1);
    assert_eq!(lost(&mut receiver).await.0, 2);
    // The listener is gone, too.
    receiver.endpoint.request(peer, addr, chunk_request(3, 0));
    assert_eq!(lost(&mut receiver).await.0, 3);
}

#[tokio::test]
async fn dropped_source_fails_requests_and_ends_link() {
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    receiver.endpoint.request(source.id(), source.addr(), chunk_request(1, 0));
    let (link, ..) = requested(&mut source).await;
    receiver.endpoint.drop_source(source.id());
    assert_eq!(lost(&mut receiver).await.0, 1);
    assert!(matches!(source.event().await, NetEvent::LinkClosed { link: closed } if closed == link));
}

#[tokio::test]
async fn unrequested_answer_ends_the_connection() {
    let answers: [fn(RequestId) -> Response; 3] =
        [|id| head(id, 8, 4), |id| Response::Manifest { id, len: 4 }, |id| head(id, 0, 4)];
    for (n, answer) in answers.into_iter().enumerate() {
        let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
        receiver.endpoint.request(source.id(), source.addr(), chunk_request(1, 0));
        let (link, id, _) = requested(&mut source).await;
        source.endpoint.serve_bytes(link, answer(id), *b"abcd");
        match n {
            2 => {
                assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { .. }));
                assert_eq!(&*receiver.payload().await.bytes, b"abcd");
            }
            _ => assert!(lost(&mut receiver).await.1.contains("nobody asked"), "answer {n}"),
        }
    }
}

#[tokio::test]
async fn slow_consumer_loses_nothing() {
    const LEN: u32 = 1 << 20;
    const CHUNKS: u64 = 40;
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    let (peer, addr) = (source.id(), source.addr());
    for id in 0..CHUNKS {
        receiver.endpoint.request(peer, addr, chunk_request(id, 0));
    }
    let link = loop {
        let (link, id, chunk) = requested(&mut source).await;
        source.endpoint.serve_source(link, head(id, chunk, LEN), Box::new(Pattern { chunk, fails_at: None }));
        if id.0 == CHUNKS - 1 {
            break link;
        }
    };
    // The channel for payloads holds one; other payloads wait in the connection and in the sockets.
    for n in 0..CHUNKS {
        assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { id, .. } if id.0 == n));
        assert_eq!(receiver.payload().await.id.0, n);
    }
    for n in 0..CHUNKS {
        assert!(
            matches!(source.event().await, NetEvent::Served { link: l, id, ok: true, .. } if (l, id.0) == (link, n))
        );
    }
}

/// Accepts one data connection and leaves the answers to the test.
async fn raw_source(listener: &TcpListener, local: &Local) -> TlsStream {
    let (socket, _) = listener.accept().await.unwrap();
    match accept(socket, std::net::Ipv4Addr::LOCALHOST.into(), local).await.unwrap() {
        Accepted::Data { stream, .. } => stream,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn source_that_stalls_in_mid_payload_is_dropped() {
    let mut receiver = Peer::new("Receiver").await;
    let identity = config("Mallory").identity;
    let local = Local {
        peer: identity.peer_id(),
        name: lanspread_types::PeerName::new("Mallory").unwrap(),
        protocol: lanspread_types::limits::PROTOCOL_VERSION,
        hello: Vec::new(),
        tls: TlsConfigs::new(&identity).unwrap(),
        door: None,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    receiver.endpoint.request(local.peer, listener.local_addr().unwrap(), chunk_request(1, 3));
    let mut stream = raw_source(&listener, &local).await;
    stream.send(&lanspread_proto::encode(&head(RequestId(1), 3, 1000)).unwrap());
    stream.send(&[0; 999]);
    stream.flush(super::PATIENCE).await.unwrap();
    assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { id: RequestId(1), .. }));
    tokio::time::pause();
    assert!(lost(&mut receiver).await.1.contains("middle"));
}

#[cfg(any(target_os = "linux", target_os = "windows"))]
#[tokio::test]
async fn request_comes_from_the_listening_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let one_of_many = EndpointConfig { listen: "127.0.0.78:0".parse().unwrap(), ..config("Receiver") };
    let receiver = Peer::with(one_of_many, lanspread_types::limits::PROTOCOL_VERSION).await;
    let source = config("Source").identity.peer_id();
    receiver.endpoint.request(source, listener.local_addr().unwrap(), chunk_request(1, 3));
    let (_, came_from) = listener.accept().await.unwrap();
    assert_eq!(came_from.ip(), receiver.addr().ip());
}

#[tokio::test]
async fn repeated_request_id_ends_the_link() {
    let mut source = Peer::new("Source").await;
    let identity = config("Mallory").identity;
    let tls = TlsConfigs::new(&identity).unwrap();
    let config = tls.only_peer(source.id()).unwrap();
    let mut stream = crate::connect::handshake::dial_data(source.addr(), None, config).await.unwrap();
    let request = lanspread_proto::encode(&chunk_request(1, 3)).unwrap();
    stream.send(&[&request[..], &request[..]].concat());
    stream.flush(super::PATIENCE).await.unwrap();
    requested(&mut source).await;
    assert!(matches!(source.event().await, NetEvent::LinkClosed { .. }));
}

#[tokio::test]
async fn shutdown_in_mid_transfer_ends_each_request() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let (mut source, mut receiver) = (Peer::new("Source").await, Peer::new("Receiver").await);
    receiver.endpoint.request(source.id(), source.addr(), chunk_request(1, 0));
    receiver.endpoint.request(source.id(), source.addr(), chunk_request(2, 0));
    let (link, id, chunk) = requested(&mut source).await;
    let pattern = Box::new(Pattern { chunk, fails_at: None });
    source.endpoint.serve_source(link, head(id, chunk, 8 << 20), pattern);
    assert!(matches!(receiver.event().await, NetEvent::ChunkStarted { .. }));
    receiver.endpoint.shutdown().await;
    let mut failed = Vec::new();
    while let Ok(event) = receiver.events.try_recv() {
        match event {
            NetEvent::RequestFailed { id, .. } => failed.push(id.0),
            other => panic!("{other:?}"),
        }
    }
    failed.extend(std::iter::from_fn(|| receiver.payloads.try_recv().ok()).map(|payload| payload.id.0));
    failed.sort_unstable();
    assert_eq!(failed, [1, 2], "each request ends once");
    source.endpoint.shutdown().await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}
