//! Golden bytes of every frame, and how the readers treat wrong bytes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lanspread_proto::hello::{self, Greeting, PROGRAM_BYTES_MAX};
use lanspread_proto::party::{PartyFrame, Rejection};
use lanspread_proto::{DecodeError, Decoder, EncodeError, Frame, encode, manifest, split};
use lanspread_types::message::{
    ChunkRequest, DownloadState, FollowRequest, GameOffer, HaveMap, Hello, Introduction, LibraryUpdate,
    Message, PeerState, Place, PlaceWanted, Refusal, Request, RequestId, Response,
};
use lanspread_types::{
    CatalogKey, ChunkHash, ChunkIndex, ContentId, FileEntry, GameContent, GameId, GameVersion, Manifest,
    PartyName, PeerId, PeerName, RelPath,
};
use proptest::prelude::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn game() -> GameId {
    GameId::new("ggoo").unwrap()
}

const CONTENT: ContentId = ContentId([0xcc; 32]);

fn messages() -> Vec<(Message, String)> {
    let c = "cc".repeat(32);
    let offer = GameOffer {
        game: game(),
        version: GameVersion::new(20_250_101).unwrap(),
        content: CONTENT,
        bytes: 300,
        files: 2,
    };
    let update =
        LibraryUpdate { revision: 2, base: 1, more: true, games: vec![offer], removed: vec![game()] };
    let peers = vec![
        Introduction { peer: PeerId([0xaa; 32]), addr: "10.0.0.1:4242".parse().unwrap() },
        Introduction { peer: PeerId([0xab; 32]), addr: "[::1]:4242".parse().unwrap() },
    ];
    let state = PeerState {
        catalog: Some((CatalogKey([0xdd; 32]), 3)),
        accepts_wants: true,
        downloads: vec![DownloadState {
            game: game(),
            version: GameVersion::new(20_250_101).unwrap(),
            content: CONTENT,
            done_bytes: 1,
            total_bytes: 2,
            bytes_per_second: 300,
        }],
        own_group_bytes: 300,
        other_groups_bytes: 5,
    };
    let (v4, v6) = (
        format!("{}000a0000019221", "aa".repeat(32)),
        format!("{}01{}019221", "ab".repeat(32), "00".repeat(15)),
    );
    vec![
        (
            Message::Library(update),
            format!("3c00000010020101010467676f6f083230323530313031{c}ac0202010467676f6f"),
        ),
        (Message::Interested { game: game(), content: CONTENT }, format!("26000000110467676f6f{c}")),
        (Message::NotInterested { content: CONTENT }, format!("2100000012{c}")),
        (Message::HaveMap(HaveMap::All { content: CONTENT }), format!("220000001300{c}")),
        (Message::HaveMap(HaveMap::None { content: CONTENT }), format!("220000001301{c}")),
        (
            Message::HaveMap(HaveMap::Part { content: CONTENT, first: ChunkIndex(128), bits: vec![0xff, 1] }),
            format!("270000001302{c}800102ff01"),
        ),
        (
            Message::Have { content: CONTENT, chunks: vec![ChunkIndex(1), ChunkIndex(300)] },
            format!("2500000014{c}0201ac02"),
        ),
        (Message::Introduce { peers }, format!("5c0000001502{v4}{v6}")),
        (Message::Ping { nonce: 1 }, "020000001601".into()),
        (Message::Pong { nonce: 128 }, "03000000178001".into()),
        (Message::Goodbye, "0100000018".into()),
        (
            Message::CatalogOffer { key: CatalogKey([0xdd; 32]), serial: 3, bytes: 300 },
            format!("240000001a{}03ac02", "dd".repeat(32)),
        ),
        (
            Message::CatalogWanted { key: CatalogKey([0xdd; 32]), serial: 3, offset: 5 },
            format!("230000001b{}0305", "dd".repeat(32)),
        ),
        (Message::CatalogPart { serial: 3, offset: 5, part: vec![1, 2] }, "060000001c0305020102".into()),
        (Message::StateWanted, "010000001d".into()),
        (Message::State(PeerState::default()), "060000001e0000000000".into()),
        (
            Message::State(state),
            format!("5a0000001e01{}0301010467676f6f083230323530313031{c}0102ac02ac0205", "dd".repeat(32)),
        ),
        (Message::DownloadWanted { game: game() }, "060000001f0467676f6f".into()),
        (Message::Progress { content: CONTENT, below: ChunkIndex(300) }, format!("2300000040{c}ac02")),
        (Message::ProgressWanted { content: CONTENT }, format!("2100000041{c}")),
        (
            Message::PlaceWanted(PlaceWanted {
                content: CONTENT,
                below: ChunkIndex(5),
                upload_limit: Some(300),
                instead_of: Some(PeerId([0xee; 32])),
            }),
            format!("4600000042{c}0501ac0201{}", "ee".repeat(32)),
        ),
        (
            Message::Place(Place { content: CONTENT, upstreams: vec![PeerId([0xee; 32])], ask: None }),
            format!("4300000043{c}01{}00", "ee".repeat(32)),
        ),
    ]
}

fn requests() -> Vec<(Request, String)> {
    let c = "cc".repeat(32);
    let chunk = ChunkRequest { id: RequestId(8), game: game(), content: CONTENT, chunk: ChunkIndex(5) };
    vec![
        (
            Request::Manifest { id: RequestId(7), game: game(), content: CONTENT },
            format!("2700000020070467676f6f{c}"),
        ),
        (Request::Chunk(chunk), format!("2800000021080467676f6f{c}05")),
        (Request::Cancel { id: RequestId(8) }, "020000002208".into()),
        (
            Request::Follow(FollowRequest {
                first: RequestId(8),
                game: game(),
                content: CONTENT,
                placer: PeerId([0xee; 32]),
                chunks: vec![ChunkIndex(5), ChunkIndex(6)],
            }),
            format!("4a00000023080467676f6f{c}{}020506", "ee".repeat(32)),
        ),
    ]
}

fn responses() -> Vec<(Response, String)> {
    use Refusal::{
        Cancelled, NoSuchChunk, NotDownloaded, NotHad, OtherContent, OtherLine, ReadFailed, TooMany,
        UnderOperation, UnknownGame,
    };
    let reasons = [
        UnknownGame,
        NotDownloaded,
        UnderOperation,
        OtherContent,
        NotHad,
        NoSuchChunk,
        TooMany,
        ReadFailed,
        Cancelled,
        OtherLine,
    ];
    let mut all = vec![
        (
            Response::Chunk { id: RequestId(8), chunk: ChunkIndex(5), len: 128 },
            "050000003008058001".to_owned(),
        ),
        (Response::Manifest { id: RequestId(7), len: 1 }, "03000000310701".to_owned()),
    ];
    for (index, reason) in reasons.into_iter().enumerate() {
        all.push((Response::Refused { id: RequestId(9), reason }, format!("030000003209{index:02x}")));
    }
    all
}

/// Checks each frame against its golden bytes, reads it back, cuts it short, lengthens it, and feeds it byte by byte.
fn check<T: Frame + PartialEq + std::fmt::Debug>(frames: Vec<(T, String)>) {
    let mut decoder = Decoder::new();
    for (value, golden) in frames {
        let bytes = encode(&value).unwrap();
        assert_eq!(hex(&bytes), golden, "{value:?}");
        for cut in 0..bytes.len() {
            assert_eq!(split::<T>(&bytes[..cut]), Ok(None));
        }
        let mut long = bytes.clone();
        long.push(0);
        assert_eq!(split::<T>(&long).unwrap().map(|(_, used)| used), Some(bytes.len()));
        long[0] += 1;
        assert!(matches!(split::<T>(&long), Err(DecodeError::Trailing { bytes: 1, .. })), "{value:?}");
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(decoder.next().unwrap(), None::<T>, "before byte {at}");
            decoder.push(&[*byte]);
        }
        assert_eq!(decoder.next(), Ok(Some(value)));
    }
}

#[test]
fn golden_bytes_of_every_frame() {
    check(messages());
    check(requests());
    check(responses());
    check(party_frames());
}

fn party_frames() -> Vec<(PartyFrame, String)> {
    let name = PeerName::new("Ann").unwrap();
    vec![
        (PartyFrame::Share([0x41; 33]), format!("2200000002{}", "41".repeat(33))),
        (PartyFrame::Confirm([0x42; 32]), format!("2100000003{}", "42".repeat(32))),
        (PartyFrame::Welcome { name, program: "x".into() }, "070000000403416e6e0178".into()),
        (PartyFrame::Rejected(Rejection::WrongPassPhrase), "020000000500".into()),
        (PartyFrame::Rejected(Rejection::TooManyTries), "020000000501".into()),
    ]
}

#[test]
fn golden_bytes_of_a_closed_hello() {
    let party = PartyName::new("friday").unwrap();
    let bytes = hello::encode_closed(5, 4242, &party).unwrap();
    assert_eq!(hex(&bytes), "14000000014c414e535052440500921001".to_owned() + "06667269646179");
    assert_eq!(hello::split(&bytes), Ok(Some((Greeting::Closed { listen_port: 4242, party }, bytes.len()))));
}

fn a_hello(protocol: u16) -> Hello {
    Hello { protocol, name: PeerName::new("Ann").unwrap(), listen_port: 4242, program: "x".into() }
}

#[test]
fn golden_bytes_of_the_hello() {
    let bytes = hello::encode(&a_hello(5)).unwrap();
    assert_eq!(hex(&bytes), "13000000014c414e5350524405009210".to_owned() + "0003416e6e0178");
    assert_eq!(hello::split(&bytes), Ok(Some((Greeting::Hello(a_hello(5)), bytes.len()))));
    for cut in 0..bytes.len() {
        assert_eq!(hello::split(&bytes[..cut]), Ok(None));
    }
}

#[test]
fn version_is_readable_before_unknown_bytes() {
    let mut bytes = hello::encode(&a_hello(700)).unwrap();
    let other = Greeting::OtherVersion { protocol: 700, listen_port: 4242 };
    let at = bytes.len();
    bytes[16..].fill(0xff);
    assert_eq!(hello::split(&bytes), Ok(Some((other, at))));
    for not_ours in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[1, 0, 0, 0, 1], &[5, 0, 0, 0, 1, b'L', b'A', b'N', b'X']]
    {
        assert!(hello::split(not_ours).is_err());
    }
}

#[test]
fn limits_hold_in_both_directions() {
    let have = |n| Message::Have { content: CONTENT, chunks: vec![ChunkIndex(0); n] };
    assert!(encode(&have(8192)).is_ok());
    assert!(matches!(encode(&have(8193)), Err(EncodeError::Limit(_))));
    let follow = |first, n: usize| {
        Request::Follow(FollowRequest {
            first: RequestId(first),
            game: GameId::new("x".repeat(64)).unwrap(),
            content: CONTENT,
            placer: PeerId([0xee; 32]),
            chunks: vec![ChunkIndex(u32::MAX); n],
        })
    };
    assert!(encode(&follow(u64::MAX - 64, 64)).is_ok());
    let wrong = [follow(1, 0), follow(1, 65), follow(u64::MAX - 63, 1)];
    assert!(wrong.iter().all(|request| matches!(encode(request), Err(EncodeError::Limit(_)))));
    // A request without chunks, as a peer without this check would write it.
    let none = [b"\x48\x00\x00\x00\x23\x08\x04ggoo".as_slice(), &[0xcc; 32], &[0xee; 32], &[0]].concat();
    assert!(matches!(split::<Request>(&none), Err(DecodeError::Limit { .. })));
    assert!(matches!(split::<Response>(b"\x04\x00\x00\x00\x30\x08\x05\x00"), Err(DecodeError::Limit { .. })));
    assert!(matches!(split::<Message>(&[0, 0, 1, 0]), Err(DecodeError::Length { .. })));
    assert!(matches!(split::<Message>(&[0; 4]), Err(DecodeError::Length { stated: 0, .. })));
    assert_eq!(split::<Message>(b"\x01\x00\x00\x00\x77"), Err(DecodeError::UnknownFrame(0x77)));
    assert_eq!(
        split::<Message>(b"\x02\x00\x00\x00\x22\x08"),
        Err(DecodeError::UnknownFrame(0x22)),
        "not on this connection"
    );
}

#[test]
fn welcome_with_a_long_program_is_refused() {
    let welcome = |len| PartyFrame::Welcome { name: PeerName::new("Ann").unwrap(), program: "x".repeat(len) };
    let longest = encode(&welcome(PROGRAM_BYTES_MAX)).unwrap();
    assert_eq!(split(&longest), Ok(Some((welcome(PROGRAM_BYTES_MAX), longest.len()))));
    assert!(matches!(encode(&welcome(PROGRAM_BYTES_MAX + 1)), Err(EncodeError::Limit(_))));
}

#[test]
fn decoder_counts_the_bytes_it_holds() {
    let goodbye = encode(&Message::Goodbye).unwrap();
    let mut decoder = Decoder::<Message>::new();
    decoder.push(&[&goodbye[..], &goodbye[..3]].concat());
    assert_eq!(decoder.buffered(), goodbye.len() + 3);
    assert_eq!(decoder.next(), Ok(Some(Message::Goodbye)));
    assert_eq!(decoder.buffered(), 3);
    assert_eq!(decoder.next(), Ok(None));
    assert_eq!(decoder.buffered(), 3);
    decoder.push(&goodbye[3..]);
    assert_eq!(decoder.next(), Ok(Some(Message::Goodbye)));
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn decoder_stays_failed() {
    let mut decoder = Decoder::<Message>::new();
    decoder.push(&encode(&Message::Goodbye).unwrap());
    decoder.push(&[1, 0, 0, 0, 0x77]);
    assert_eq!(decoder.next(), Ok(Some(Message::Goodbye)));
    assert_eq!(decoder.next(), Err(DecodeError::UnknownFrame(0x77)));
    decoder.push(&encode(&Message::Goodbye).unwrap());
    assert_eq!(decoder.next(), Err(DecodeError::UnknownFrame(0x77)));
    assert_eq!(decoder.buffered(), 0);
}

fn content() -> GameContent {
    let chunk = 32 << 10;
    let big: Vec<u8> = (0..chunk * 2 + 5).map(|n| (n % 251) as u8).collect();
    let root = |bytes: &[u8]| ChunkHash(*blake3_of(bytes).as_bytes());
    let entry = |path: &str, bytes: &[u8]| FileEntry {
        path: RelPath::new(path).unwrap(),
        size: bytes.len() as u64,
        root: root(bytes),
    };
    let files = vec![
        entry("0.txt", b"x"),
        entry("a.eti", &big),
        entry("empty", b""),
        entry("version.ini", b"20250101"),
    ];
    let at =
        |offset: usize| lanspread_types::tree::ChunkPosition { offset: offset as u64, atomic_file: false };
    let mut hashes = vec![root(b"x")];
    hashes.extend(
        (0..3).map(|i| ChunkHash::of(at(i * chunk), &big[i * chunk..big.len().min((i + 1) * chunk)])),
    );
    hashes.push(root(b"20250101"));
    let manifest = Manifest::new(game(), GameVersion::new(20_250_101).unwrap(), files).unwrap();
    GameContent::new(manifest, hashes).unwrap()
}

/// The ordinary BLAKE3 hash: the chunk hash of a whole file.
fn blake3_of(bytes: &[u8]) -> ChunkHash {
    ChunkHash::of(lanspread_types::tree::ChunkPosition { offset: 0, atomic_file: true }, bytes)
}

#[test]
fn only_canonical_manifests_decode() {
    let content = content();
    let bytes = manifest::encode(&content).unwrap();
    assert_eq!(manifest::decode(&bytes), Ok(content));
    assert_eq!(
        bytes.len(),
        5 + 9 + 1 + (6 + 1 + 32) + (6 + 3 + 32) + (6 + 1 + 32) + (12 + 1 + 32) + 1 + 3 * 32
    );
    for cut in 0..bytes.len() {
        assert!(manifest::decode(&bytes[..cut]).is_err(), "{cut} bytes");
    }
    assert!(manifest::decode(&[&bytes[..], &[0]].concat()).is_err());
    let longer = [&[bytes[0] | 0x80, 0], &bytes[1..]].concat();
    assert_eq!(
        manifest::decode(&longer),
        Err(manifest::ManifestDecodeError::NotCanonical),
        "a length with a spare group"
    );
    let hashes = bytes.len() - 96;
    assert_eq!(
        manifest::decode(&bytes[..hashes + 64]),
        Err(manifest::ManifestDecodeError::Hashes { stated: 3, called_for: 3, bytes: 64 })
    );
    let mut fewer = bytes.clone();
    fewer[hashes - 1] = 2;
    assert_eq!(
        manifest::decode(&fewer),
        Err(manifest::ManifestDecodeError::Hashes { stated: 2, called_for: 3, bytes: 96 })
    );
    let mut bad = bytes;
    bad[hashes] ^= 1;
    assert!(manifest::decode(&bad).is_err());
}

#[test]
fn stated_counts_are_not_believed() {
    let start = b"\x04ggoo\x0820250101";
    for count in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xc0, 0x9a, 0x0c]] {
        assert!(manifest::decode(&[start, count].concat()).is_err());
    }
}

proptest! {
    #[test]
    fn garbage_does_not_accumulate(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
        let mut decoder = Decoder::<Message>::new();
        for piece in &pieces {
            decoder.push(piece);
            while let Ok(Some(_)) = decoder.next() {}
            prop_assert!(decoder.buffered() <= Message::BYTES_MAX);
            let _ = split::<Request>(piece);
            let _ = split::<Response>(piece);
            let _ = hello::split(piece);
            let _ = manifest::decode(piece);
        }
    }

    #[test]
    fn garbage_in_a_good_frame_does_not_panic(number in any::<u8>(), payload in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut frame = (payload.len() as u32 + 1).to_le_bytes().to_vec();
        frame.push(number);
        frame.extend_from_slice(&payload);
        if let Ok(Some((message, used))) = split::<Message>(&frame) {
            prop_assert_eq!(used, frame.len());
            let again = encode(&message).unwrap();
            prop_assert_eq!(split::<Message>(&again).unwrap().map(|(m, _)| m), Some(message));
        }
        let _ = split::<Request>(&frame);
        let _ = split::<Response>(&frame);
    }

    #[test]
    fn lists_round_trip(chunks in prop::collection::vec(any::<u32>(), 0..2000), bits in prop::collection::vec(any::<u8>(), 0..2000), nonce in any::<u64>()) {
        let chunks = chunks.into_iter().map(ChunkIndex).collect();
        for message in [
            Message::Have { content: CONTENT, chunks },
            Message::HaveMap(HaveMap::Part { content: CONTENT, first: ChunkIndex(7), bits }),
            Message::Ping { nonce },
        ] {
            let bytes = encode(&message).unwrap();
            prop_assert_eq!(split(&bytes), Ok(Some((message, bytes.len()))));
        }
    }
}
