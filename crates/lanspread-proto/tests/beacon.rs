//! Golden bytes of the beacon, and how the reader treats other datagrams.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lanspread_proto::beacon::{Beacon, BeaconError, decode, encode};
use lanspread_types::limits::BEACON_BYTES_MAX;
use lanspread_types::{PeerId, PeerName};
use proptest::prelude::*;

fn beacon() -> Beacon {
    Beacon {
        peer: PeerId([0xab; 32]),
        protocol: 1,
        listen_port: 24_930,
        asks: true,
        leaves: false,
        name: Some(PeerName::new("ada").unwrap()),
    }
}

#[test]
fn golden_bytes() {
    let mut golden = b"LSPB\x01\x01\x01\x00\x62\x61".to_vec();
    golden.extend_from_slice(&[0xab; 32]);
    golden.extend_from_slice(b"\x03ada");
    assert_eq!(encode(&beacon()), golden);
    let leaving = Beacon { asks: false, leaves: true, name: None, ..beacon() };
    (golden[5], golden[42]) = (2, 0);
    assert_eq!(encode(&leaving), golden[..43]);
    assert_eq!(decode(&golden[..43]), Ok(leaving));
    golden[5] = 0;
    assert_eq!(decode(&golden[..43]), Ok(Beacon { asks: false, leaves: false, name: None, ..beacon() }));
}

#[test]
fn later_format_is_still_read() {
    let mut bytes = encode(&Beacon { protocol: 77, ..beacon() });
    bytes[4] = 9;
    bytes.extend_from_slice(b"what this version does not know");
    assert_eq!(decode(&bytes), Ok(Beacon { protocol: 77, ..beacon() }));
}

#[test]
fn other_datagrams_are_refused() {
    let bytes = encode(&beacon());
    assert_eq!(decode(b"M-SEARCH * HTTP/1.1"), Err(BeaconError::NotABeacon));
    assert_eq!(decode(&bytes[..41]), Err(BeaconError::TooShort));
    let mut longest = bytes.clone();
    longest.resize(BEACON_BYTES_MAX, 0);
    assert_eq!(decode(&longest), Ok(beacon()));
    longest.push(0);
    assert_eq!(decode(&longest), Err(BeaconError::TooLong));
    let nameless = Beacon { name: None, ..beacon() };
    assert_eq!(decode(&bytes[..44]), Ok(nameless.clone()), "a name that is cut off is none");
    let mut bad = bytes;
    bad[43] = 0xff;
    assert_eq!(decode(&bad), Ok(nameless), "nor is one that is no text");
}

proptest! {
    #[test]
    fn decoder_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), real: bool) {
        let bytes = if real { [b"LSPB".as_slice(), &bytes].concat() } else { bytes };
        if let Ok(beacon) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&beacon)), Ok(beacon));
        }
    }
}
