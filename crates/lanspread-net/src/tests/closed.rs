//! Tests of closed parties: which peers get in, what strangers learn, and that a relay gains nothing.

use lanspread_proto::hello::{self, Greeting};
use lanspread_proto::party::PartyFrame;
use lanspread_proto::preamble::{self, Role};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::Message;
use lanspread_types::{Party, PartyMismatch, PartyName, PassPhrase, RefusalCause, RequestFailure};
use tokio::net::TcpStream;

use super::{PATIENCE, Peer, chunk_request, config};
use crate::connect::handshake::{Accepted, Local, accept, dial_data};
use crate::party::secrets::Door;
use crate::tls::config::TlsConfigs;
use crate::tls::tls_stream::{StreamError, TlsStream};
use crate::{EndpointConfig, Identity, NetEvent};

fn party(name: &str, phrase: &str) -> Party {
    Party { name: PartyName::new(name).unwrap(), phrase: PassPhrase::new(phrase).unwrap() }
}

async fn guest(name: &str, party: Option<Party>) -> Peer {
    Peer::with(EndpointConfig { party, ..config(name) }, PROTOCOL_VERSION).await
}

/// Returns the mismatch that each side of a dial reports; `None` if they connect.
async fn meet(ann: &mut Peer, bob: &mut Peer) -> [Option<PartyMismatch>; 2] {
    ann.endpoint.dial(bob.addr());
    let mut reports = [None, None];
    for (peer, report) in [ann, bob].into_iter().zip(&mut reports) {
        *report = match peer.event().await {
            NetEvent::OtherParty { mismatch, .. } => Some(mismatch),
            NetEvent::Connected { .. } => None,
            other => panic!("{other:?}"),
        };
    }
    reports
}

#[tokio::test]
async fn guests_meet_and_talk() {
    let friday = party("friday", "correct horse battery");
    let (mut ann, mut bob) = (guest("Ann", Some(friday.clone())).await, guest("Bob", Some(friday)).await);
    ann.endpoint.dial(bob.addr());
    let NetEvent::Connected { conn, peer, addr, hello, .. } = ann.event().await else { panic!() };
    assert_eq!((peer, addr, hello.name.as_str()), (bob.id(), bob.addr(), "Bob"));
    assert_eq!(hello.listen_port, bob.addr().port());
    let NetEvent::Connected { peer, addr, hello, .. } = bob.event().await else { panic!() };
    assert_eq!((peer, addr, hello.name.as_str()), (ann.id(), ann.addr(), "Ann"));
    ann.endpoint.send(conn, &Message::Ping { nonce: 5 });
    let event = bob.event().await;
    assert!(matches!(event, NetEvent::Message { message: Message::Ping { nonce: 5 }, .. }), "{event:?}");
    // Data connections need no further proof, in both directions.
    ann.endpoint.request(bob.id(), bob.addr(), chunk_request(1, 0));
    assert!(matches!(bob.event().await, NetEvent::Requested { .. }));
    bob.endpoint.request(ann.id(), ann.addr(), chunk_request(1, 0));
    assert!(matches!(ann.event().await, NetEvent::Requested { .. }));
}

#[tokio::test]
async fn both_sides_learn_why_they_do_not_meet() {
    use PartyMismatch::{Closed, Open, WrongPassPhrase};
    let (friday, saturday) =
        (party("friday", "correct horse battery"), party("saturday", "wrong donkey cell"));
    let wrong = party("friday", "correct horse batterx");
    let name = |party: &Party| Closed(party.name.clone());
    for (of_ann, of_bob, expected) in [
        (Some(&friday), None, [Open, name(&friday)]),
        (None, Some(&friday), [name(&friday), Open]),
        (Some(&friday), Some(&saturday), [name(&saturday), name(&friday)]),
        (Some(&friday), Some(&wrong), [WrongPassPhrase, WrongPassPhrase]),
    ] {
        let (mut ann, mut bob) = (guest("Ann", of_ann.cloned()).await, guest("Bob", of_bob.cloned()).await);
        assert_eq!(meet(&mut ann, &mut bob).await, expected.map(Some));
    }
}

#[tokio::test]
async fn stranger_gets_no_data_connection() {
    let friday = party("friday", "correct horse battery");
    let (mut ann, mut bob) = (guest("Ann", Some(friday)).await, guest("Bob", None).await);
    bob.endpoint.request(ann.id(), ann.addr(), chunk_request(1, 0));
    let event = bob.event().await;
    assert!(matches!(event, NetEvent::RequestFailed { failure: RequestFailure::Lost(_), .. }), "{event:?}");
    ann.endpoint.dial(bob.addr());
    assert!(matches!(ann.event().await, NetEvent::OtherParty { .. }), "and Ann heard of no request");
    assert!(matches!(ann.complaints[..], [RefusalCause::Protocol(_)]), "{:?}", ann.complaints);
}

#[tokio::test]
async fn guessing_is_slow() {
    let (friday, wrong) =
        (party("friday", "correct horse battery"), party("friday", "correct horse batterx"));
    let mut ann = guest("Ann", Some(friday.clone())).await;
    let mut limited = 0;
    // A new key for each try does not help Eve.
    for _ in 0..12 {
        let mut eve = guest("Eve", Some(wrong.clone())).await;
        eve.endpoint.dial(ann.addr());
        for peer in [&mut eve, &mut ann] {
            match peer.event().await {
                NetEvent::OtherParty { mismatch: PartyMismatch::TooManyTries, .. } => limited += 1,
                NetEvent::OtherParty { mismatch: PartyMismatch::WrongPassPhrase, .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(limited >= 10, "{limited} of 24 reports speak of the limit");
}

/// Eight attackers, each at its own address, use up the budget for strangers. Guests, and peers that a guest
/// introduces, still get in.
#[tokio::test]
async fn guessers_at_many_addresses_do_not_lock_guests_out() {
    let friday = party("friday", "correct horse battery");
    let mut ann = guest("Ann", Some(friday.clone())).await;
    let (mut bob, mut carol) =
        (guest("Bob", Some(friday.clone())).await, guest("Carol", Some(friday.clone())).await);
    let mut dora = guest("Dora", Some(friday)).await;
    assert_eq!(meet(&mut bob, &mut ann).await, [None, None]);
    let (mut wrong, mut unheard) = (0, 0);
    for n in 0..8 {
        let listen = std::net::SocketAddr::from(([127, 0, 72, 1 + n], 0));
        let wrong_phrase = Some(party("friday", &format!("correct horse batter{n}")));
        let config = EndpointConfig { party: wrong_phrase, listen, ..config("Eve") };
        let mut eve = Peer::with(config, PROTOCOL_VERSION).await;
        for _ in 0..3 {
            let [learned, seen] = meet(&mut eve, &mut ann).await;
            assert_eq!(learned, seen);
            match learned {
                Some(PartyMismatch::WrongPassPhrase) => wrong += 1,
                Some(PartyMismatch::TooManyTries) => unheard += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((wrong, unheard), (6, 18), "looked at and not");
    let strangers = [PartyMismatch::TooManyTries, PartyMismatch::TooManyTries].map(Some);
    assert_eq!(meet(&mut dora, &mut ann).await, strangers);
    // Bob is a guest; Carol counts as one once Bob has introduced her.
    assert_eq!(meet(&mut bob, &mut ann).await, [None, None]);
    bob.endpoint.dial(ann.addr());
    let (to_ann, ..) = bob.connected().await;
    ann.connected().await;
    let introduction = lanspread_types::message::Introduction { peer: carol.id(), addr: carol.addr() };
    bob.endpoint.send(to_ann, &Message::Introduce { peers: vec![introduction] });
    assert!(matches!(ann.event().await, NetEvent::Message { message: Message::Introduce { .. }, .. }));
    assert_eq!(meet(&mut carol, &mut ann).await, [None, None]);
}

#[tokio::test]
async fn dialled_peer_of_another_party_is_reported_once() {
    let friday = party("friday", "correct horse battery");
    let (mut ann, bob) = (guest("Ann", Some(friday)).await, guest("Bob", None).await);
    ann.endpoint.dial_peer(bob.id(), vec![bob.addr()]);
    let event = ann.event().await;
    assert!(
        matches!(&event, NetEvent::OtherParty { peer, addr, mismatch: PartyMismatch::Open, dialled: true }
            if *peer == bob.id() && *addr == bob.addr()),
        "{event:?}"
    );
    // A different peer answers at that address: it is reported, and the dial has failed all the same.
    let nobody = guest("Nobody", None).await.id();
    ann.endpoint.dial_peer(nobody, vec![bob.addr()]);
    let event = ann.event().await;
    assert!(matches!(&event, NetEvent::OtherParty { peer, .. } if *peer == bob.id()), "{event:?}");
    let event = ann.event().await;
    assert!(matches!(&event, NetEvent::PeerDialFailed { peer, .. } if *peer == nobody), "{event:?}");
}

fn local(party: &Party) -> Local {
    let identity = Identity::generate().unwrap();
    let hello = hello::encode_closed(PROTOCOL_VERSION, 4242, &party.name).unwrap();
    let name = lanspread_types::PeerName::new("local").unwrap();
    let door = Some(Door::new(party, &name, "test").unwrap());
    let tls = TlsConfigs::new(&identity).unwrap();
    Local { peer: identity.peer_id(), name, protocol: PROTOCOL_VERSION, hello, tls, door }
}

/// Opens the relay's own TLS session to a guest.
async fn relay_to(peer: &Peer, relay: &Local) -> TlsStream {
    let socket = TcpStream::connect(peer.addr()).await.unwrap();
    TlsStream::client(socket, relay.tls.any_peer.clone()).await.unwrap().0
}

/// Relays all bytes in both directions until one stream ends.
async fn pass_on(one: &mut TlsStream, other: &mut TlsStream) {
    for round in 0.. {
        let mut said = [Vec::new(), Vec::new()];
        for (stream, said) in [&mut *one, &mut *other].into_iter().zip(&mut said) {
            match stream.open(&mut |plain| said.extend_from_slice(plain)) {
                Ok(_) => {}
                Err(_) => return,
            }
        }
        let [from_one, from_other] = said;
        if round > 0 && from_one.is_empty() && from_other.is_empty() {
            let moved = tokio::select! {
                moved = one.drive(true) => moved,
                moved = other.drive(true) => moved,
            };
            if moved.is_err() {
                return;
            }
            continue;
        }
        for (to, bytes) in [(&mut *other, from_one), (&mut *one, from_other)] {
            if !bytes.is_empty() && {
                to.send(&bytes);
                to.flush(PATIENCE).await.is_err()
            } {
                return;
            }
        }
    }
}

#[tokio::test]
async fn relay_gets_nobody_in() {
    let friday = party("friday", "correct horse battery");
    let (mut ann, mut bob) =
        (guest("Ann", Some(friday.clone())).await, guest("Bob", Some(friday.clone())).await);
    let relay = local(&friday);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, listener) = (socket.local_addr().unwrap(), socket);
    ann.endpoint.dial(addr);
    let (socket, _) = listener.accept().await.unwrap();
    let (mut to_ann, _) = TlsStream::server(socket, relay.tls.server.clone()).await.unwrap();
    let mut to_bob = relay_to(&bob, &relay).await;
    let relaying = tokio::spawn(async move { pass_on(&mut to_ann, &mut to_bob).await });
    // Both know the passphrase, yet Bob rejects Ann's tag, which covers another session.
    let event = bob.event().await;
    assert!(
        matches!(event, NetEvent::OtherParty { mismatch: PartyMismatch::WrongPassPhrase, .. }),
        "{event:?}"
    );
    let event = ann.event().await;
    assert!(matches!(event, NetEvent::OtherParty { .. } | NetEvent::DialFailed { .. }), "{event:?}");
    relaying.abort();
}

#[tokio::test]
async fn replayed_proof_opens_no_session() {
    let friday = party("friday", "correct horse battery");
    let mut bob = guest("Bob", Some(friday.clone())).await;
    // The replay comes from the same key, as from an attacker who recorded a guest's PC and has its key, but not the
    // passphrase.
    let ann = local(&friday);
    let mut recorded: Option<(Vec<u8>, Vec<u8>)> = None;
    for replay in [false, true] {
        let socket = TcpStream::connect(bob.addr()).await.unwrap();
        let config = std::sync::Arc::clone(&ann.tls.any_peer);
        let (mut stream, peer) = TlsStream::client(socket, config).await.unwrap();
        stream.send(&preamble::encode(Role::Control));
        stream.send(&ann.hello);
        let mut bytes = Vec::new();
        let greeting: Result<Greeting, crate::connect::handshake::AcceptError> =
            stream.receive(&mut bytes, hello::split).await;
        assert!(matches!(greeting.unwrap(), Greeting::Closed { .. }));
        let binding = stream.channel_binding().unwrap();
        let session = crate::party::secrets::Session { dialler: ann.peer, listener: peer, binding };
        let (proof, share) = crate::party::secrets::Proof::begin(
            &ann.door.as_ref().unwrap().secret,
            crate::party::secrets::Side::Dialler,
            session,
        )
        .unwrap();
        let share = match &recorded {
            Some((share, _)) => share.clone(),
            None => lanspread_proto::encode(&share).unwrap(),
        };
        stream.send(&share);
        let answer: Result<PartyFrame, crate::party::proof::EntryError> =
            stream.receive(&mut bytes, lanspread_proto::split).await;
        let PartyFrame::Share(theirs) = answer.unwrap() else { panic!() };
        let confirm = match &recorded {
            Some((_, confirm)) => confirm.clone(),
            None => lanspread_proto::encode(&PartyFrame::Confirm(proof.tags(&theirs).unwrap().ours)).unwrap(),
        };
        stream.send(&confirm);
        let answer: Result<PartyFrame, crate::party::proof::EntryError> =
            stream.receive(&mut bytes, lanspread_proto::split).await;
        let confirmed = matches!(answer.unwrap(), PartyFrame::Confirm(_));
        assert_eq!(confirmed, !replay);
        recorded = Some((share, confirm));
        drop(stream);
    }
    let event = bob.event().await;
    assert!(
        matches!(event, NetEvent::OtherParty { mismatch: PartyMismatch::WrongPassPhrase, .. }),
        "the first session ended before its welcome, the second by the replay: {event:?}"
    );
}

/// Whatever a stranger sends, it gets the hello, which has no peer name, and nothing else.
#[tokio::test]
async fn stranger_learns_only_the_name_of_the_party() {
    let friday = party("friday", "correct horse battery");
    let ann = guest("Ann", Some(friday.clone())).await;
    let stranger = local(&friday);
    let mut stream = relay_to(&ann, &stranger).await;
    stream.send(&preamble::encode(Role::Control));
    stream.send(&stranger.hello);
    let hello = hello::encode_closed(PROTOCOL_VERSION, ann.addr().port(), &friday.name).unwrap();
    let (mut said, mut asked) = (Vec::new(), false);
    loop {
        if said.len() >= hello.len() && !asked {
            asked = true;
            for message in [Message::Ping { nonce: 1 }, Message::Introduce { peers: Vec::new() }] {
                stream.send(&lanspread_proto::encode(&message).unwrap());
            }
        }
        match stream.open(&mut |plain| said.extend_from_slice(plain)) {
            Ok(true) => continue,
            Ok(false) if stream.drive(true).await.is_ok() => continue,
            Ok(false) | Err(StreamError::Ended | StreamError::Io(_) | StreamError::Tls(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(asked, "she has said hello");
    assert_eq!(said, hello, "and nothing else, whatever she was asked");
}

#[tokio::test]
async fn data_connection_needs_a_proved_key() {
    let friday = party("friday", "correct horse battery");
    let (ann, bob) = (local(&friday), local(&friday));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    for guest in [false, true] {
        if guest {
            let ip = addr.ip();
            bob.door.as_ref().unwrap().guesses.admit(crate::party::guesses::Visitor { peer: ann.peer, ip });
        }
        let dial = dial_data(addr, None, ann.tls.only_peer(bob.peer).unwrap());
        let accepted = async {
            let (socket, from) = socket.accept().await.unwrap();
            accept(socket, from.ip(), &bob).await
        };
        let dialled = async {
            let mut stream = dial.await.unwrap();
            let _ = stream.flush(PATIENCE).await;
            stream
        };
        let (accepted, _stream) = tokio::join!(accepted, dialled);
        assert_eq!(matches!(accepted, Ok(Accepted::Data { .. })), guest, "{accepted:?}");
    }
}
