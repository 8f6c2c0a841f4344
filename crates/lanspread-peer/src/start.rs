//! Starting and ending a peer.

use std::net::SocketAddr;

use lanspread_types::PeerId;

use crate::config::PeerConfig;
use crate::handle::{EventStream, PeerHandle};

/// A peer that runs until it is told to shut down.
#[derive(Debug)]
pub struct RunningPeer {
    pub handle: PeerHandle,
    /// Everything from the start on, the first event included.
    pub events: EventStream,
    pub peer: PeerId,
    pub addr: SocketAddr,
    pub(crate) done: tokio::task::JoinHandle<()>,
}

impl RunningPeer {
    /// Waits for the end of the peer, after a `Shutdown` command.
    pub async fn ended(self) {
        let _ = self.done.await;
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the games folder {path} cannot be used: {reason}")]
    GamesDir { path: std::path::PathBuf, reason: String },
    #[error("the state folder {path} cannot be used: {reason}")]
    StateDir { path: std::path::PathBuf, reason: String },
    #[error("cannot listen on {addr}: {reason}")]
    Listen { addr: SocketAddr, reason: String },
}

/// Opens the library, listens, and starts the loop. The library's scan goes on in the background; the event
/// `LocalPeerReady` tells when it is done.
pub async fn start(config: PeerConfig) -> Result<RunningPeer, StartError> {
    Err(StartError::Listen { addr: config.listen, reason: "not built yet".to_owned() })
}
