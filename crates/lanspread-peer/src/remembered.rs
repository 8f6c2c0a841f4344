//! Peers of the last party: `peers.json` in the state folder.
//!
//! The file is written whole or not at all. A file that is missing, damaged or of another format counts as empty, since
//! only the speed of finding peers depends on it.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::Path;

use lanspread_types::limits::{ADDRS_PER_PEER_MAX, REMEMBERED_MAX};
use lanspread_types::{KnownPeer, PeerId, PeerName};
use serde::{Deserialize, Serialize};

use crate::atomic_file;

const FILE_NAME: &str = "peers.json";
/// Format of `peers.json`.
const FORMAT: u32 = 1;
/// Largest `peers.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Content of `peers.json`.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u32,
    peers: Vec<Row>,
}

/// One peer in `peers.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    peer: String,
    name: Option<String>,
    addrs: Vec<SocketAddr>,
}

/// Reads the remembered peers.
pub(crate) fn read(state_dir: &Path) -> Vec<KnownPeer> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(state_dir.join(FILE_NAME))
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    decode(&bytes).unwrap_or_else(|| {
        tracing::warn!("{FILE_NAME} is not readable and is passed over");
        Vec::new()
    })
}

/// Decodes the file, or returns `None` if it is damaged or of another format. Skips rows without a valid peer id, and
/// everything beyond the bounds.
pub fn decode(bytes: &[u8]) -> Option<Vec<KnownPeer>> {
    let file = serde_json::from_slice::<File>(bytes).ok().filter(|file| file.format == FORMAT)?;
    Some(file.peers.into_iter().filter_map(known).take(REMEMBERED_MAX).collect())
}

fn known(row: Row) -> Option<KnownPeer> {
    let peer: PeerId = row.peer.parse().ok()?;
    let addrs = row.addrs.into_iter().take(ADDRS_PER_PEER_MAX).collect();
    Some(KnownPeer { peer, name: row.name.and_then(|name| PeerName::new(name).ok()), addrs })
}

/// Replaces the remembered peers. A failure is only logged.
pub(crate) fn write(state_dir: &Path, peers: &[KnownPeer]) {
    if let Err(error) = replace(state_dir, peers) {
        tracing::warn!(%error, "{FILE_NAME} could not be written");
    }
}

/// Encodes the file that [`decode`] reads.
pub fn encode(peers: &[KnownPeer]) -> serde_json::Result<Vec<u8>> {
    let row = |peer: &KnownPeer| Row {
        peer: peer.peer.to_string(),
        name: peer.name.as_ref().map(ToString::to_string),
        addrs: peer.addrs.clone(),
    };
    let mut text =
        serde_json::to_vec_pretty(&File { format: FORMAT, peers: peers.iter().map(row).collect() })?;
    text.push(b'\n');
    Ok(text)
}

fn replace(state_dir: &Path, peers: &[KnownPeer]) -> io::Result<()> {
    atomic_file::write(&state_dir.join(FILE_NAME), &encode(peers)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_known_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), []);
        let peers = vec![
            KnownPeer {
                peer: PeerId([7; 32]),
                name: Some(PeerName::new("ada").unwrap()),
                addrs: vec!["192.168.1.7:24930".parse().unwrap(), "[fd00::7]:24930".parse().unwrap()],
            },
            KnownPeer { peer: PeerId([8; 32]), name: None, addrs: vec!["10.0.0.1:1".parse().unwrap()] },
        ];
        write(dir.path(), &peers);
        assert_eq!(read(dir.path()), peers);
        write(dir.path(), &peers[1..]);
        assert_eq!(read(dir.path()), peers[1..]);
    }

    #[test]
    fn damaged_file_counts_as_empty() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", r#"{"format":2,"peers":[]}"#, "\u{0}\u{0}"] {
            std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
            assert_eq!(read(dir.path()), [], "{text:?}");
        }
        std::fs::write(
            dir.path().join(FILE_NAME),
            r#"{"format":1,"peers":[{"peer":"x","name":null,"addrs":[]}]}"#,
        )
        .unwrap();
        assert_eq!(read(dir.path()), []);
    }
}
