//! Targets that decode bytes from the network, from scripts and from people.

use lanspread_api::parse_request;
use lanspread_peer::catalog::{signed, text as catalog_text};
use lanspread_proto::party::PartyFrame;
use lanspread_proto::{
    Decoder, Frame, beacon as beacons, encode, hello, manifest as manifests, preamble, split,
};
use lanspread_types::message::{Message, Request, Response};
use lanspread_types::{GameVersion, RelPath};

use crate::Reached;

/// A stream of bytes that arrives in pieces, for each kind of connection. Decoded frames must be encoded the same.
pub fn frames(bytes: &[u8]) -> Reached {
    let Some((&first, rest)) = bytes.split_first() else { return Reached(0) };
    let piece = usize::from(first >> 2) + 1;
    match first & 3 {
        0 => stream::<Message>(rest, piece),
        1 => stream::<Request>(rest, piece),
        2 => stream::<Response>(rest, piece),
        _ => stream::<PartyFrame>(rest, piece),
    }
}

fn stream<T: Frame + PartialEq + std::fmt::Debug>(bytes: &[u8], piece: usize) -> Reached {
    let mut decoder = Decoder::<T>::new();
    let mut seen = Vec::new();
    for part in bytes.chunks(piece) {
        decoder.push(part);
        loop {
            match decoder.next() {
                Ok(Some(value)) => {
                    check_round_trip(&value);
                    seen.push(value.number());
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next().as_ref(), Err(&error), "an error stays one");
                    return Reached::of(&(seen.len().min(4), error));
                }
            }
        }
        assert!(decoder.buffered() <= bytes.len());
    }
    seen.truncate(6);
    Reached::hash(&seen)
}

fn check_round_trip<T: Frame + PartialEq + std::fmt::Debug>(value: &T) {
    if let Ok(bytes) = encode(value) {
        let again = split::<T>(&bytes);
        assert!(matches!(&again, Ok(Some((same, len))) if same == value && *len == bytes.len()), "{again:?}");
    }
}

/// The rest of one frame after a correct length field, for each kind of connection.
pub fn messages(bytes: &[u8]) -> Reached {
    let mut framed = Vec::with_capacity(bytes.len() + 4);
    framed.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    framed.extend_from_slice(bytes);
    let control = split::<Message>(&framed);
    if let Ok(Some((message, _))) = &control {
        check_round_trip(message);
        return Reached::hash(&[message.number(), bytes.len().min(64) as u8 / 8]);
    }
    let request = split::<Request>(&framed).map(|found| found.map(|(value, _)| value.number()));
    let response = split::<Response>(&framed).map(|found| found.map(|(value, _)| value.number()));
    Reached::of(&(control.err(), request, response))
}

/// Beginning of a connection: preamble and hello.
pub fn hello(bytes: &[u8]) -> Reached {
    let role = preamble::split(bytes);
    let greeting = hello::split(bytes);
    if let Ok(Some((_, used))) = &greeting {
        assert!(*used <= bytes.len());
    }
    Reached::of(&(role, greeting.map(|found| found.map(|(greeting, _)| std::mem::discriminant(&greeting)))))
}

/// A datagram that claims to be a beacon. A decoded beacon must be encoded the same.
pub fn beacon(bytes: &[u8]) -> Reached {
    match beacons::decode(bytes) {
        Ok(beacon) => {
            assert_eq!(beacons::decode(&beacons::encode(&beacon)).as_ref(), Ok(&beacon));
            let named = beacon.name.as_ref().map_or(0, |name| 1 + name.as_str().len() as u8 / 8);
            Reached::hash(&[u8::from(beacon.asks), u8::from(beacon.leaves), named])
        }
        Err(error) => Reached::of(&error),
    }
}

/// A manifest. A decoded manifest must be encoded to the same bytes: each content has exactly one encoding.
pub fn manifest(bytes: &[u8]) -> Reached {
    match manifests::decode(bytes) {
        Ok(content) => {
            let again = manifests::encode(&content).ok();
            assert_eq!(again.as_deref(), Some(bytes), "one content, two encodings");
            Reached::hash(&[1, content.manifest().chunk_count().min(32) as u8])
        }
        Err(error) => Reached::of(&error),
    }
}

/// A catalogue, signed or not. A valid catalogue must be written the same.
pub fn catalogue(bytes: &[u8]) -> Reached {
    let signed = signed::open(bytes.to_vec());
    let text = catalog_text::parse(signed::body(bytes));
    let catalog = text.as_ref().map(catalog_text::CatalogText::to_catalog);
    if let (Ok(text), Ok(Ok(catalog))) = (&text, &catalog) {
        let written = text.to_toml().unwrap_or_default();
        let again = catalog_text::parse(written.as_bytes()).and_then(|text| text.to_catalog());
        assert_eq!(again.as_ref(), Ok(catalog), "it was written otherwise than it was read");
    }
    Reached::of(&(signed.err(), catalog.map(|c| c.map(|c| c.games().count().min(3)))))
}

/// A command line of a script.
pub fn jsonl(bytes: &[u8]) -> Reached {
    match parse_request(bytes) {
        Ok((_, request)) => Reached::hash(request.name().as_str().as_bytes()),
        Err(rejected) => Reached::of(&(rejected.error.code, rejected.id.is_some())),
    }
}

/// Sentinel of a game.
pub fn version_ini(bytes: &[u8]) -> Reached {
    match GameVersion::parse_sentinel(bytes) {
        Ok(version) => {
            assert_eq!(GameVersion::parse_sentinel(version.to_string().as_bytes()), Ok(version));
            Reached(1)
        }
        Err(error) => Reached::of(&error),
    }
}

/// A path from outside. An accepted path must stay below its root.
pub fn paths(bytes: &[u8]) -> Reached {
    let Ok(text) = std::str::from_utf8(bytes) else { return Reached(0) };
    match RelPath::from_foreign(text) {
        Ok(path) => {
            let joined = path.to_path(std::path::Path::new("root"));
            let inside = joined.components().all(|c| matches!(c, std::path::Component::Normal(_)));
            assert!(inside, "{text:?} leads to {joined:?}");
            assert_eq!(RelPath::new(path.as_str()).as_ref(), Ok(&path), "{text:?} has no normal form");
            Reached::hash(&[1, path.as_str().matches('/').count().min(8) as u8])
        }
        Err(error) => Reached::of(&error),
    }
}
