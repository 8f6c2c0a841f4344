//! Starting a peer: takes the folders, opens the port, and starts the loop.
//!
//! Two peers never share a games folder or, if the program takes [`lock_state_dir`], an identity.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lanspread_core::NodeConfig;
use lanspread_core::discovery::DiscoverySettings;
use lanspread_core::rules::OwnerPolicy;
use lanspread_net::discovery::{BEACON_PORT, DiscoveryConfig};
use lanspread_net::{BindError, Endpoint, EndpointConfig, Identity};
use lanspread_store::{FolderLock, FolderLockError, Holder, OpenError, Store};
use lanspread_types::{PeerId, PeerName, failpoint};
use tokio::sync::{broadcast, mpsc};

use crate::catalog::choice::{self, CatalogChoice};
use crate::config::{Find, PeerConfig};
use crate::handle::{EventStream, PeerHandle};
use crate::remembered;
use crate::runtime::disk::Disk;
use crate::runtime::traffic::{self, Traffic};
use crate::runtime::{Inputs, Runtime};

/// Events that a slow reader may fall behind before some are dropped: about as many as a large game has chunks.
const EVENTS_KEPT: usize = 16_384;
/// Most commands that wait for the loop.
const COMMANDS_WAITING: usize = 64;
/// Most network events that wait for the loop; beyond that, sockets are not read.
const NET_EVENTS_WAITING: usize = 1024;
/// Most unverified payloads that wait for a worker; beyond that, sockets are not read.
const PAYLOADS_WAITING: usize = 4;

/// A peer that runs until it is told to shut down.
#[derive(Debug)]
pub struct RunningPeer {
    /// Handle for commands and further event streams.
    pub handle: PeerHandle,
    /// All events since the start, the first included.
    pub events: EventStream,
    /// This peer's id.
    pub peer: PeerId,
    /// Address at which other peers most likely reach this peer.
    pub addr: SocketAddr,
    pub(crate) done: tokio::task::JoinHandle<()>,
}

impl RunningPeer {
    /// Waits until the peer has ended, which a `Shutdown` command brings about.
    pub async fn ended(self) {
        // An error means that the loop panicked, which has been printed already.
        let _ = self.done.await;
    }
}

/// Why a peer could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The games folder does not exist or cannot be read.
    #[error("the games folder {path} cannot be used: {reason}")]
    GamesDir {
        /// The folder, as it was configured.
        path: PathBuf,
        /// Why the library cannot be opened, for people.
        reason: String,
    },
    /// The state folder cannot be made, or the identity in it cannot be used.
    #[error("the state folder {path} cannot be used: {reason}")]
    StateDir {
        /// The folder, as it was configured.
        path: PathBuf,
        /// What failed in it, for people.
        reason: String,
    },
    /// Another process has the games folder.
    #[error("the games folder {} is in use by {}", path.display(), by(holder.as_ref()))]
    GamesDirInUse {
        /// The folder, as it was configured.
        path: PathBuf,
        /// The process; `None` if its lock file does not say.
        holder: Option<Holder>,
    },
    /// Another process has the state folder.
    #[error("the state folder {} is in use by {}", path.display(), by(holder.as_ref()))]
    StateDirInUse {
        /// The folder, as it was configured.
        path: PathBuf,
        /// The process; `None` if its lock file does not say.
        holder: Option<Holder>,
    },
    /// The endpoint could not be started, most often because the port is in use.
    #[error("cannot listen on {addr}: {reason}")]
    Listen {
        /// Address that was configured, with the port that was wanted.
        addr: SocketAddr,
        /// Why the endpoint did not start, for people.
        reason: String,
    },
}

/// Names the process that has a folder.
fn by(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another lanspread".to_owned(), Holder::to_string)
}

impl StartError {
    fn of_games_dir(path: PathBuf, error: OpenError) -> Self {
        match error {
            OpenError::InUse { holder, .. } => Self::GamesDirInUse { path, holder },
            other => Self::GamesDir { path, reason: other.to_string() },
        }
    }
}

/// Locks the state folder for this process until the lock is dropped, because two peers on one state folder would have
/// the same identity. Makes the folder if it does not exist.
pub fn lock_state_dir(state_dir: &Path) -> Result<FolderLock, StartError> {
    let path = || state_dir.to_owned();
    std::fs::create_dir_all(state_dir)
        .map_err(|e| StartError::StateDir { path: path(), reason: e.to_string() })?;
    FolderLock::take(state_dir).map_err(|error| match error {
        FolderLockError::Held { holder } => StartError::StateDirInUse { path: path(), holder },
        FolderLockError::Io(fault) => StartError::StateDir { path: path(), reason: fault.to_string() },
    })
}

/// Locks the games folder for a caller that puts games into it before a peer runs on it. The lock must be dropped
/// before [`start`], which takes it itself.
pub fn lock_games_dir(games_dir: &Path) -> Result<FolderLock, StartError> {
    Store::lock(games_dir).map_err(|error| StartError::of_games_dir(games_dir.to_owned(), error))
}

/// Opens the library, listens, and starts the loop. The first scan of the library goes on in the background; the event
/// `LocalPeerReady` says that it is done.
pub async fn start(config: PeerConfig) -> Result<RunningPeer, StartError> {
    let PeerConfig {
        games_dir,
        state_dir,
        listen,
        port_fallback,
        name,
        catalog,
        invited,
        accept_wants,
        private,
        party,
        limits,
        find,
    } = config;
    let identity = open_identity(state_dir.clone()).await?;
    let store = open_store(games_dir.clone(), state_dir.clone()).await?;

    let name = name.unwrap_or_else(|| host_name(identity.peer_id()));
    let (net_events, net) = mpsc::channel(NET_EVENTS_WAITING);
    let (payloads, arrived) = mpsc::channel(PAYLOADS_WAITING);
    let endpoint_config = EndpointConfig {
        identity,
        listen,
        port_fallback,
        name: name.clone(),
        program: concat!("lanspread ", env!("CARGO_PKG_VERSION")).to_owned(),
        party: party.clone(),
    };
    let endpoint = Endpoint::bind(endpoint_config, net_events, payloads)
        .await
        .map_err(|e| StartError::Listen { addr: listen, reason: bind_reason(e) })?;
    let endpoint = Arc::new(endpoint);
    let (peer, addr) = (endpoint.peer_id(), reachable(endpoint.local_addr()));

    // Unbounded, but each job and each expected payload makes one report, and the node bounds those.
    let (reports, reported) = mpsc::unbounded_channel();
    let traffic = Traffic::default();
    let taking_in = tokio::spawn(traffic::take_in(arrived, traffic.clone(), reports.clone()));

    let (commands, commanded) = mpsc::channel(COMMANDS_WAITING);
    let (events, stream) = broadcast::channel(EVENTS_KEPT);
    let trust = match &catalog {
        CatalogChoice::Plain(_) => None,
        CatalogChoice::Trusted(trust) => Some(trust.clone()),
    };
    let node = NodeConfig {
        me: peer,
        name: name.to_string(),
        addr,
        games_dir,
        catalog: catalog.catalog(),
        limits,
        rules: OwnerPolicy {
            party: party.map(|party| party.name),
            trust,
            declined: choice::declined(&state_dir),
            invited,
            accept_wants,
            private,
        },
        seed: random_seed(),
    };
    let finding = finding(find, state_dir.clone()).await;
    if find.mdns || find.broadcast {
        endpoint.discover(DiscoveryConfig {
            mdns: find.mdns,
            broadcast: find.broadcast,
            beacon_port: BEACON_PORT,
        });
    }
    let disk = Disk::new(store, state_dir.clone(), reports.clone());
    let runtime = Runtime::new((node, finding), endpoint, disk, traffic, reports, events.clone(), state_dir);
    let inputs = Inputs { commands: commanded, net, reports: reported };
    let done = tokio::spawn(async move {
        runtime.run(inputs).await;
        // The endpoint is gone, and with it the sender of payloads, so this ends, too.
        let _ = taking_in.await;
    });
    let handle = PeerHandle { commands, events: events.downgrade() };
    drop(events);
    Ok(RunningPeer { handle, events: EventStream(stream), peer, addr, done })
}

/// Returns the node's settings for finding other peers, with the remembered peers.
async fn finding(find: Find, state_dir: PathBuf) -> DiscoverySettings {
    let remembered = if find.remembered {
        // A file that cannot be read must not prevent the start.
        tokio::task::spawn_blocking(move || remembered::read(&state_dir)).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    DiscoverySettings { introductions: find.introductions, remembered, remember: find.remembered }
}

fn bind_reason(error: BindError) -> String {
    match error {
        BindError::Listen { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

async fn open_identity(state_dir: PathBuf) -> Result<Identity, StartError> {
    let path = state_dir.clone();
    let failed = |reason: String| StartError::StateDir { path, reason };
    let opened = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(&state_dir).map_err(|e| e.to_string())?;
        let fresh = failpoint!("new-identity-each-start");
        let identity = if fresh { Identity::generate() } else { Identity::load_or_create(&state_dir) };
        identity.map_err(|e| e.to_string())
    });
    opened.await.map_err(|e| e.to_string()).flatten().map_err(failed)
}

async fn open_store(games_dir: PathBuf, state_dir: PathBuf) -> Result<Arc<Store>, StartError> {
    let path = games_dir.clone();
    match tokio::task::spawn_blocking(move || Store::open_or_read(&games_dir, &state_dir)).await {
        Ok(Ok(store)) => Ok(Arc::new(store)),
        Ok(Err(error)) => Err(StartError::of_games_dir(path, error)),
        Err(panic) => Err(StartError::GamesDir { path, reason: panic.to_string() }),
    }
}

/// Returns the computer's name as a first guess at the owner's, or a name made from the peer id.
fn host_name(peer: PeerId) -> PeerName {
    let from_env = ["COMPUTERNAME", "HOSTNAME"].iter().filter_map(|key| std::env::var(key).ok());
    let from_file = std::fs::read_to_string("/etc/hostname").ok();
    let named = from_env.chain(from_file).find_map(|name| PeerName::new(name.trim()).ok());
    named.unwrap_or_else(|| peer.guest_name())
}

/// Returns the address to show as this peer's: if it listens on every interface, the address that packets to other
/// networks leave from.
fn reachable(addr: SocketAddr) -> SocketAddr {
    if !addr.ip().is_unspecified() {
        return addr;
    }
    // Documentation addresses (RFC 5737, RFC 3849). Connecting a UDP socket sends nothing; the system only chooses a
    // route.
    let (any, elsewhere, loopback): (IpAddr, &str, IpAddr) = match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), "192.0.2.1:9", Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), "[2001:db8::1]:9", Ipv6Addr::LOCALHOST.into()),
    };
    let routed = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(elsewhere)?;
        socket.local_addr()
    });
    SocketAddr::new(routed.map_or(loopback, |local| local.ip()), addr.port())
}

/// Returns a seed for the node, random enough that two peers break ties differently.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
