//! Tests of control connections: how they begin, carry messages and end.

use std::net::SocketAddr;

use lanspread_proto::DecodeError;
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::Message;
use lanspread_types::{CloseReason, DialFailure, RefusalCause};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Peer, config, pair};
use crate::connect::handshake::{Dialled, Greeted, Local, dial_control};
use crate::tls::config::TlsConfigs;
use crate::{Endpoint, Identity, NetEvent};

#[tokio::test]
async fn both_sides_learn_key_and_listener() {
    let (mut ann, mut bob) = (Peer::new("Ann").await, Peer::new("Bob").await);
    ann.endpoint.dial(bob.addr());
    let (_, peer, addr, dialled) = ann.connected().await;
    assert_eq!((peer, addr, dialled), (bob.id(), bob.addr(), true));
    let NetEvent::Connected { peer, addr, dialled, hello, .. } = bob.event().await else { panic!() };
    assert_eq!((peer, addr, dialled), (ann.id(), ann.addr(), false), "the source port is no address");
    assert_eq!((hello.name.as_str(), hello.program.as_str()), ("Ann", "test"));
}

#[tokio::test]
async fn local_address_is_known_and_unmapped() {
    let listen = "[::]:0".parse().unwrap();
    let mut bob = Peer::with(crate::EndpointConfig { listen, ..config("Bob") }, PROTOCOL_VERSION).await;
    let mut ann = Peer::new("Ann").await;
    ann.endpoint.dial(SocketAddr::from(([127, 0, 0, 1], bob.addr().port())));
    for peer in [&mut ann, &mut bob] {
        let NetEvent::Connected { local_ip, .. } = peer.event().await else { panic!() };
        assert_eq!(local_ip, Some([127, 0, 0, 1].into()));
    }
}

#[tokio::test]
async fn messages_arrive_in_order_both_ways() {
    let (mut ann, to_bob, mut bob, to_ann) = pair().await;
    for nonce in 0..1000 {
        ann.endpoint.send(to_bob, &Message::Ping { nonce });
        bob.endpoint.send(to_ann, &Message::Pong { nonce });
    }
    for expected in 0..1000 {
        match bob.event().await {
            NetEvent::Message { conn, message } => {
                assert_eq!((conn, message), (to_ann, Message::Ping { nonce: expected }));
            }
            other => panic!("{other:?}"),
        }
        match ann.event().await {
            NetEvent::Message { conn, message } => {
                assert_eq!((conn, message), (to_bob, Message::Pong { nonce: expected }));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn unread_messages_are_dropped_at_close() {
    let (ann, to_bob, mut bob, to_ann) = pair().await;
    for nonce in 0..5000 {
        ann.endpoint.send(to_bob, &Message::Ping { nonce });
    }
    assert!(matches!(bob.event().await, NetEvent::Message { .. }));
    bob.endpoint.close(to_ann, false);
    let mut more = 0;
    while matches!(bob.event().await, NetEvent::Message { .. }) {
        more += 1;
    }
    assert!(more < 200, "{more} messages, where the channel holds 64");
}

#[tokio::test]
async fn a_peer_does_not_connect_to_itself() {
    let (mut ann, mut bob) = (Peer::new("Ann").await, Peer::new("Bob").await);
    ann.endpoint.dial(ann.addr());
    let event = ann.event().await;
    assert!(
        matches!(event, NetEvent::DialFailed { failure: DialFailure::OwnAddress, addr } if addr == ann.addr())
    );
    bob.endpoint.dial(ann.addr());
    bob.connected().await;
    assert_eq!(ann.connected().await.1, bob.id(), "nothing came of the inbound end");
}

#[tokio::test]
async fn version_mismatch_is_known_on_both_sides() {
    let mut ann = Peer::new("Ann").await;
    let mut bob = Peer::with(config("Bob"), PROTOCOL_VERSION + 6).await;
    // Both run this code and compare with this version, whatever number Bob states. So only Ann refuses; Bob would
    // accept her.
    ann.endpoint.dial(bob.addr());
    let event = ann.event().await;
    assert!(
        matches!(event, NetEvent::Incompatible { addr, theirs, dialled: true, .. } if addr == bob.addr() && theirs == PROTOCOL_VERSION + 6),
        "{event:?}"
    );
    bob.endpoint.dial(ann.addr());
    let event = loop {
        match ann.event().await {
            event @ NetEvent::Incompatible { .. } => break event,
            _ => continue,
        }
    };
    assert!(
        matches!(event, NetEvent::Incompatible { addr, theirs, dialled: false, .. } if addr == bob.addr() && theirs == PROTOCOL_VERSION + 6),
        "{event:?}"
    );
    // Bob has read Ann's hello in both cases, although she hung up, and so learns her version.
    for _ in 0..2 {
        let NetEvent::Connected { hello, .. } = bob.event().await else { panic!() };
        assert_eq!(hello.protocol, PROTOCOL_VERSION);
        assert!(matches!(bob.event().await, NetEvent::Closed { .. }));
    }
}

#[tokio::test]
async fn garbage_ends_only_its_own_connection() {
    let (mut ann, mut bob) = (Peer::new("Ann").await, Peer::new("Bob").await);
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: ann\r\n\r\n"[..], &[0; 100], &[0x16, 3, 1, 0xff, 0xff], &[0xff; 70_000]]
    {
        let mut socket = TcpStream::connect(ann.addr()).await.unwrap();
        // Ann may hang up before she has read everything.
        let _ = socket.write_all(garbage).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert!(answer.len() < 100, "an alert at most");
    }
    bob.endpoint.dial(ann.addr());
    bob.connected().await;
    assert_eq!(ann.connected().await.1, bob.id(), "the garbage made no connection");
    assert!(matches!(ann.complaints[..], [RefusalCause::NotAPeer(_)]), "told once: {:?}", ann.complaints);
}

#[tokio::test(start_paused = true)]
async fn silence_is_hung_up_on() {
    let ann = Peer::new("Ann").await;
    let mut socket = TcpStream::connect(ann.addr()).await.unwrap();
    assert_eq!(socket.read_to_end(&mut Vec::new()).await.unwrap_or(0), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dial_to_silence_ends() {
    let mut ann = Peer::new("Ann").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    ann.endpoint.dial(silent.local_addr().unwrap());
    let event = ann.event().await;
    assert!(matches!(event, NetEvent::DialFailed { failure: DialFailure::TimedOut, .. }), "{event:?}");
}

#[tokio::test]
async fn failed_dial_says_why() {
    let mut ann = Peer::new("Ann").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    ann.endpoint.dial(addr);
    let (mut socket, _) = listener.accept().await.unwrap();
    socket.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
    let event = ann.event().await;
    assert!(matches!(event, NetEvent::DialFailed { failure: DialFailure::NotAPeer(_), .. }), "{event:?}");
    drop((socket, listener));
    ann.endpoint.dial(addr);
    let event = ann.event().await;
    assert!(matches!(event, NetEvent::DialFailed { failure: DialFailure::Unreachable(_), .. }), "{event:?}");
}

#[tokio::test]
async fn goodbye_differs_from_a_loss() {
    let (mut ann, to_bob, mut bob, to_ann) = pair().await;
    ann.endpoint.send(to_bob, &Message::Ping { nonce: 1 });
    ann.endpoint.close(to_bob, true);
    ann.endpoint.send(to_bob, &Message::Ping { nonce: 2 });
    let messages = [bob.event().await, bob.event().await].map(|event| match event {
        NetEvent::Message { conn, message } if conn == to_ann => message,
        other => panic!("{other:?}"),
    });
    assert_eq!(messages, [Message::Ping { nonce: 1 }, Message::Goodbye]);
    assert!(
        matches!(bob.event().await, NetEvent::Closed { conn, reason: CloseReason::Goodbye } if conn == to_ann)
    );
    assert!(
        matches!(ann.event().await, NetEvent::Closed { conn, reason: CloseReason::Leaving } if conn == to_bob)
    );

    let (ann, _, mut bob, to_ann) = pair().await;
    drop(ann);
    let event = bob.event().await;
    assert!(
        matches!(&event, NetEvent::Closed { conn, reason: CloseReason::Lost } if *conn == to_ann),
        "{event:?}"
    );
}

#[tokio::test]
async fn slow_reader_is_closed() {
    let (mut ann, to_bob, _bob, _) = pair().await;
    // No other task runs before the next await, so no byte leaves the queue.
    let chunks = vec![lanspread_types::ChunkIndex(u32::MAX); 8000];
    for _ in 0..30 {
        ann.endpoint.send(
            to_bob,
            &Message::Have { content: lanspread_types::ContentId([0; 32]), chunks: chunks.clone() },
        );
    }
    let event = ann.event().await;
    assert!(
        matches!(event, NetEvent::Closed { conn, reason: CloseReason::Silent } if conn == to_bob),
        "{event:?}"
    );
    assert!(matches!(ann.complaints[..], [RefusalCause::TooSlow(_)]), "{:?}", ann.complaints);
}

#[tokio::test]
async fn a_full_queue_is_not_yet_too_slow() {
    let (ann, to_bob, mut bob, _) = pair().await;
    let chunks = vec![lanspread_types::ChunkIndex(u32::MAX); 8000];
    let message = Message::Have { content: lanspread_types::ContentId([0; 32]), chunks };
    for _ in 0..25 {
        ann.endpoint.send(to_bob, &message);
    }
    for _ in 0..25 {
        assert!(matches!(bob.event().await, NetEvent::Message { message: got, .. } if got == message));
    }
}

/// Connects to Ann as a peer that has said hello and may now send any bytes.
async fn raw_peer(ann: &Peer) -> Greeted {
    let identity = Identity::generate().unwrap();
    let name = lanspread_types::PeerName::new("Mallory").unwrap();
    let hello = lanspread_types::message::Hello {
        protocol: PROTOCOL_VERSION,
        name: name.clone(),
        listen_port: 1,
        program: String::new(),
    };
    let hello = lanspread_proto::hello::encode(&hello).unwrap();
    let local = Local {
        peer: identity.peer_id(),
        name,
        protocol: PROTOCOL_VERSION,
        hello,
        tls: TlsConfigs::new(&identity).unwrap(),
        door: None,
    };
    match dial_control(ann.addr(), None, &local).await.unwrap() {
        Dialled::Peer(greeted) => *greeted,
        Dialled::OtherVersion { .. } | Dialled::OtherParty { .. } => panic!(),
    }
}

#[tokio::test]
async fn a_breach_of_the_protocol_ends_the_connection() {
    let mut ann = Peer::new("Ann").await;
    for (frame, error) in [
        (vec![1, 0, 0, 0, 0x77], DecodeError::UnknownFrame(0x77)),
        (vec![0xff; 4], DecodeError::Length { stated: u32::MAX, max: (64 << 10) - 4 }),
        (vec![2, 0, 0, 0, 0x18, 0], DecodeError::Trailing { number: 0x18, bytes: 1 }),
    ] {
        let mut mallory = raw_peer(&ann).await;
        ann.connected().await;
        mallory.stream.send(&frame);
        mallory.stream.flush(super::PATIENCE).await.unwrap();
        match ann.event().await {
            NetEvent::Closed { reason: CloseReason::ProtocolError, .. } => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(ann.complaints.pop(), Some(RefusalCause::Protocol(error.to_string())));
    }
}

#[tokio::test]
async fn shutdown_says_goodbye_and_leaves_no_task() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let (ann, _, mut bob, _) = pair().await;
    let carol = Peer::new("Carol").await;
    carol.endpoint.dial(ann.addr());
    ann.endpoint.shutdown().await;
    assert!(matches!(bob.event().await, NetEvent::Message { message: Message::Goodbye, .. }));
    assert!(matches!(bob.event().await, NetEvent::Closed { reason: CloseReason::Goodbye, .. }));
    bob.endpoint.shutdown().await;
    carol.endpoint.shutdown().await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_reader_of_events() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let (ann, to_bob, bob, to_ann) = pair().await;
    for nonce in 0..1000 {
        ann.endpoint.send(to_bob, &Message::Ping { nonce });
        bob.endpoint.send(to_ann, &Message::Ping { nonce });
    }
    ann.endpoint.shutdown().await;
    bob.endpoint.shutdown().await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}

#[tokio::test]
async fn taken_port_fails_or_falls_back() {
    let ann = Peer::new("Ann").await;
    let (events, _) = tokio::sync::mpsc::channel(1);
    let (payloads, _) = tokio::sync::mpsc::channel(1);
    let taken = crate::EndpointConfig { listen: ann.addr(), ..config("Bob") };
    assert!(Endpoint::bind(taken.clone(), events.clone(), payloads.clone()).await.is_err());
    let bob = Endpoint::bind(crate::EndpointConfig { port_fallback: true, ..taken }, events, payloads)
        .await
        .unwrap();
    assert_ne!(bob.local_addr(), ann.addr());
}
