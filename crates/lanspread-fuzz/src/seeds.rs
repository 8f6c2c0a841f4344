//! Seeds of the targets: valid inputs of every kind, made by the product itself.

use std::io::Cursor;

use lanspread_peer::catalog::text as catalog_text;
use lanspread_peer::pack::Packer;
use lanspread_peer::remembered;
use lanspread_proto::beacon::{self as beacons, Beacon};
use lanspread_proto::party::{PartyFrame, Rejection};
use lanspread_proto::preamble::{self, Role};
use lanspread_proto::{Frame, encode, hello as hellos, manifest as manifests};
use lanspread_store::fuzzing;
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::{
    ChunkRequest, DownloadState, FollowRequest, GameOffer, HaveMap, Hello, Introduction, LibraryUpdate,
    Message, PeerState, Place, PlaceWanted, Refusal, Request, RequestId, Response,
};
use lanspread_types::{
    CatalogKey, ChunkHash, ChunkIndex, FileEntry, GameContent, GameId, GameVersion, KnownPeer, Manifest,
    PartyName, PeerId, PeerName, RelPath,
};

use crate::files;
use crate::operations::CONTENT;
use crate::strangers::CLOSED;

fn game() -> Option<GameId> {
    GameId::new("game1").ok()
}

fn version() -> Option<GameVersion> {
    GameVersion::new(20_250_101).ok()
}

/// Returns the seeds that `make` makes. It cannot fail; if it did, there would be no seeds, and a test checks that
/// there are some.
fn all<T>(make: impl FnOnce() -> Option<Vec<T>>) -> Vec<T> {
    make().unwrap_or_default()
}

fn control() -> Vec<Message> {
    all(|| {
        let offer = GameOffer { game: game()?, version: version()?, content: CONTENT, bytes: 300, files: 2 };
        let download = DownloadState {
            game: game()?,
            version: version()?,
            content: CONTENT,
            done_bytes: 1,
            total_bytes: 2,
            bytes_per_second: 3,
        };
        let key = CatalogKey([5; 32]);
        let state = PeerState {
            catalog: Some((key, 3)),
            accepts_wants: true,
            downloads: vec![download],
            own_group_bytes: 300,
            other_groups_bytes: u64::MAX,
        };
        let introduction = Introduction { peer: PeerId([3; 32]), addr: "10.0.0.3:4000".parse().ok()? };
        Some(vec![
            Message::Library(LibraryUpdate {
                revision: 1,
                base: 0,
                more: false,
                games: vec![offer.clone()],
                removed: Vec::new(),
            }),
            Message::Library(LibraryUpdate {
                revision: 2,
                base: 1,
                more: true,
                games: vec![offer],
                removed: vec![game()?],
            }),
            Message::Interested { game: game()?, content: CONTENT },
            Message::NotInterested { content: CONTENT },
            Message::HaveMap(HaveMap::All { content: CONTENT }),
            Message::HaveMap(HaveMap::None { content: CONTENT }),
            Message::HaveMap(HaveMap::Part { content: CONTENT, first: ChunkIndex(0), bits: vec![0xff, 1] }),
            Message::Have { content: CONTENT, chunks: vec![ChunkIndex(1), ChunkIndex(300)] },
            Message::Progress { content: CONTENT, below: ChunkIndex(300) },
            Message::ProgressWanted { content: CONTENT },
            Message::PlaceWanted(PlaceWanted {
                content: CONTENT,
                below: ChunkIndex(300),
                upload_limit: Some(1_000_000),
                instead_of: Some(PeerId([3; 32])),
            }),
            Message::Place(Place {
                content: CONTENT,
                upstreams: vec![PeerId([3; 32]), PeerId([4; 32])],
                ask: Some(PeerId([5; 32])),
            }),
            Message::Introduce { peers: vec![introduction] },
            Message::CatalogOffer { key, serial: 3, bytes: 4 },
            Message::CatalogWanted { key, serial: 3, offset: 0 },
            Message::CatalogPart { serial: 3, offset: 0, part: vec![1, 2, 3, 4] },
            Message::StateWanted,
            Message::State(state),
            Message::DownloadWanted { game: game()? },
            Message::Ping { nonce: 1 },
            Message::Pong { nonce: 1 },
            Message::Goodbye,
        ])
    })
}

fn requests() -> Vec<Request> {
    all(|| {
        let chunk = ChunkRequest { id: RequestId(2), game: game()?, content: CONTENT, chunk: ChunkIndex(5) };
        Some(vec![
            Request::Manifest { id: RequestId(1), game: game()?, content: CONTENT },
            Request::Chunk(chunk),
            Request::Cancel { id: RequestId(2) },
            Request::Follow(FollowRequest {
                first: RequestId(3),
                game: game()?,
                content: CONTENT,
                placer: PeerId([3; 32]),
                chunks: vec![ChunkIndex(5), ChunkIndex(6), ChunkIndex(300)],
            }),
        ])
    })
}

fn responses() -> Vec<Response> {
    vec![
        Response::Chunk { id: RequestId(2), chunk: ChunkIndex(5), len: 100 },
        Response::Manifest { id: RequestId(1), len: 100 },
        Response::Refused { id: RequestId(2), reason: Refusal::NotHad },
    ]
}

fn party() -> Vec<PartyFrame> {
    all(|| {
        let name = PeerName::new("ann").ok()?;
        Some(vec![
            PartyFrame::Share([1; 33]),
            PartyFrame::Confirm([2; 32]),
            PartyFrame::Welcome { name, program: "x".to_owned() },
            PartyFrame::Rejected(Rejection::WrongPassPhrase),
        ])
    })
}

fn written<T: Frame>(frames: &[T]) -> Vec<Vec<u8>> {
    frames.iter().filter_map(|frame| encode(frame).ok()).collect()
}

/// A stream of frames for each kind of connection, to be read in pieces of three bytes.
pub fn frames() -> Vec<Vec<u8>> {
    let kinds = [written(&control()), written(&requests()), written(&responses()), written(&party())];
    let stream = |(kind, frames): (u8, Vec<Vec<u8>>)| {
        let mut bytes = vec![kind | 2 << 2];
        frames.iter().take(8).for_each(|frame| bytes.extend(frame));
        bytes
    };
    (0u8..).zip(kinds).map(stream).collect()
}

/// What strangers send: for each kind of stranger, and for an open and a closed host, something that fits.
pub fn strangers() -> Vec<Vec<u8>> {
    let proofs = [hello(), written(&party())].concat();
    // The host asks for chunk 0 and for a manifest.
    let heads = [
        Response::Chunk { id: RequestId(1), chunk: ChunkIndex(0), len: 100 },
        Response::Manifest { id: RequestId(2), len: 100 },
        Response::Refused { id: RequestId(2), reason: Refusal::NotHad },
    ];
    let [chunk, manifest, refusal] = heads.map(|head| encode(&head).unwrap_or_default());
    let payload = [7; 100].to_vec();
    let answers = vec![
        [chunk.clone(), payload.clone(), manifest, payload.clone()].concat(),
        [refusal, chunk, payload].concat(),
    ];
    let of_each = [
        vec![b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![22, 3, 1, 2, 0]],
        hello(),
        [proofs.clone(), vec![proofs.concat()]].concat(),
        vec![written(&control()).concat()],
        vec![written(&requests()).concat()],
        [answers, vec![written(&responses()).concat()]].concat(),
        proofs,
    ];
    let with_kind = |(kind, inputs): (u8, Vec<Vec<u8>>)| {
        let inputs = inputs.into_iter();
        inputs.flat_map(move |bytes| [0, CLOSED].map(|door| [vec![kind | door], bytes.clone()].concat()))
    };
    (0u8..).zip(of_each).flat_map(with_kind).collect()
}

/// Single frames of all kinds, without their length fields.
pub fn messages() -> Vec<Vec<u8>> {
    let all = [written(&control()), written(&requests()), written(&responses())].concat();
    all.into_iter().map(|frame| frame[4..].to_vec()).collect()
}

/// Hellos and preambles.
pub fn hello() -> Vec<Vec<u8>> {
    all(|| {
        let name = PeerName::new("ann").ok()?;
        let open = Hello { protocol: PROTOCOL_VERSION, name, listen_port: 4242, program: "x".to_owned() };
        Some(vec![
            hellos::encode(&open).ok()?,
            hellos::encode(&Hello { protocol: 9, ..open }).ok()?,
            hellos::encode_closed(PROTOCOL_VERSION, 4242, &PartyName::new("friday").ok()?).ok()?,
            preamble::encode(Role::Control),
            preamble::encode(Role::Data),
        ])
    })
}

/// Beacons of an open peer, of a peer without a name, and of a peer that leaves.
pub fn beacon() -> Vec<Vec<u8>> {
    all(|| {
        let name = Some(PeerName::new("ann").ok()?);
        let open = Beacon {
            peer: PeerId([3; 32]),
            protocol: 1,
            listen_port: 24_930,
            asks: true,
            leaves: false,
            name,
        };
        let closed = Beacon { asks: false, name: None, ..open.clone() };
        let leaves = Beacon { asks: false, leaves: true, listen_port: 0, ..open.clone() };
        Some([open, closed, leaves].iter().map(beacons::encode).collect())
    })
}

/// An encoded manifest.
pub fn manifest() -> Vec<Vec<u8>> {
    all(|| {
        let file = |path: &str, text: &[u8]| {
            let root = ChunkHash(*blake3::hash(text).as_bytes());
            Some(FileEntry { path: RelPath::new(path).ok()?, size: text.len() as u64, root })
        };
        let files =
            vec![file("a.eti", b"archive")?, file("b/c.txt", b"")?, file("version.ini", b"20250101")?];
        let hashes = files.iter().filter(|f| f.size > 0).map(|f| f.root).collect();
        let content = GameContent::new(Manifest::new(game()?, version()?, files).ok()?, hashes).ok()?;
        Some(vec![manifests::encode(&content).ok()?])
    })
}

/// A catalogue, unsigned, with a false signature, and as the product writes it.
pub fn catalogue() -> Vec<Vec<u8>> {
    let text = "title = \"Friday\"\nserial = 3\n\n[[game]]\nid = \"ggoo\"\nversion = \"20250101\"\ntitle = \"G\"\n\
                players = \"2-16\"\ngenre = \"shooter\"\ncover = \"data:image/png;base64,AAAA\"\nstart = \"x.exe\"\n\n[[group]]\nname = \"Row A\"\ncidrs = [\"10.1.0.0/24\", \"2001:db8::/48\"]\n";
    let header = format!("#lanspread-catalogue-1 key={} signature={}\n", "ab".repeat(32), "cd".repeat(64));
    let parsed = catalog_text::parse(text.as_bytes()).and_then(|text| text.to_toml());
    [text.to_owned(), header + text].into_iter().chain(parsed).map(String::into_bytes).collect()
}

/// Command lines of a script.
pub fn jsonl() -> Vec<Vec<u8>> {
    let lines = [
        r#"{"cmd":"status","id":1}"#,
        r#"{"cmd":"wait-peers","count":2,"timeout_ms":5}"#,
        r#"{"cmd":"connect","addr":"10.0.0.1:4000"}"#,
        r#"{"cmd":"download","game_id":"ggoo","install":false,"id":"x"}"#,
        r#"{"cmd":"set-limits","upload":1000,"download":null}"#,
        r#"{"cmd":"set-priority","game_id":"ggoo","priority":"high"}"#,
        r#"{"cmd":"set-sharing","game_id":"ggoo","shared":false}"#,
        r#"{"cmd":"set-game-dir","path":"/games"}"#,
        r#"{"command":"room"}"#,
        r#"{"cmd":"want-game","game_id":"ggoo"}"#,
    ];
    lines.map(|line| line.as_bytes().to_vec()).to_vec()
}

/// Sentinels in all forms that are read.
pub fn version_ini() -> Vec<Vec<u8>> {
    ["20250101", "\u{feff}20250101\r\n", "[game]\nversion = 20250101\n", "; note\nversion=\"20250101\"\n"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

/// Good paths and hostile ones.
pub fn paths() -> Vec<Vec<u8>> {
    ["data/a.bin", "a\\b\\c.txt", "../x", "C:\\x", "con.txt", "file.txt:ads", "a/./b", "\u{fc}/u\u{308}"]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

/// A record of the journal, without its checksum.
pub fn journal() -> Vec<Vec<u8>> {
    game().map(|game| fuzzing::journal_payload(&game)).into_iter().collect()
}

/// Payloads of an index: an empty one, one that claims a huge length, and one with a file.
pub fn index() -> Vec<Vec<u8>> {
    vec![vec![0, 0], vec![0xff, 0xff, 0xff, 0x7f, 0], vec![1, 5, b'a', b'.', b'e', b't', b'i', 9, 9, 9, 9]]
}

/// Have journals without chunks and with 40.
pub fn have_journal() -> Vec<Vec<u8>> {
    vec![fuzzing::have_image(files::CONTENT, 0), fuzzing::have_image(files::CONTENT, 40)]
}

/// Stored peers: two, and none.
pub fn peers() -> Vec<Vec<u8>> {
    all(|| {
        let name = Some(PeerName::new("ann").ok()?);
        let addrs = vec!["192.168.1.7:24930".parse().ok()?, "[fe80::7]:24930".parse().ok()?];
        let known = [
            KnownPeer { peer: PeerId([3; 32]), name, addrs: addrs.clone() },
            KnownPeer { peer: PeerId([4; 32]), name: None, addrs },
        ];
        Some(vec![remembered::encode(&known).ok()?, remembered::encode(&[]).ok()?])
    })
}

/// An archive with a folder and two files.
pub fn archive() -> Vec<Vec<u8>> {
    all(|| {
        let mut packer = Packer::new(Cursor::new(Vec::new())).ok()?;
        packer.add_folder(&RelPath::new("data").ok()?, 1).ok()?;
        packer.add_file(&RelPath::new("data/a.txt").ok()?, 5, 1, &b"hello"[..]).ok()?;
        packer.add_file(&RelPath::new("b.bin").ok()?, 300, 1, &[7u8; 300][..]).ok()?;
        Some(vec![packer.finish().ok()?.into_inner()])
    })
}

/// Scripts for the node: two peers connect, one offers a game, the game is downloaded, time passes, a peer leaves.
pub fn operations() -> Vec<Vec<u8>> {
    let mut script = vec![7, 1, 2, 5, 6, 0, 0, 0, 0, 1, 1];
    for message in messages() {
        script.extend([1, 0, message.len().min(255) as u8]);
        script.extend(message.iter().take(255));
    }
    let talk = script.clone();
    script.extend([6, 5, 1, 9, 9, 1, 0, 0, 2, 7, 1, 11, 14, 6, 11, 0, 6, 12, 1, 11, 12, 8, 0, 0, 11, 14]);
    vec![talk, script]
}
