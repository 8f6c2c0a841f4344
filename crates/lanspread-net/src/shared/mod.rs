//! State that the tasks of an endpoint share: this peer's identity, the event channels, the open connections, budgets.
//!
//! Maps are locked only for a moment and never across an await.

pub mod answer;
pub mod link_places;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lanspread_types::{ConnId, LinkId, PeerId, RefusalCause};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::connect::handshake::Local;
use crate::connect::misbehaviour::MisbehaviourReports;
use crate::event::{Asked, NetEvent, Payload};
use crate::inbox::{Inbox, Outbox};
use crate::limits::{DIALS_MAX, MANIFEST_POOL_BYTES_MAX, POOL_BYTES_MAX, POOL_KEPT_BYTES_MAX};
use crate::pool::Pool;
use crate::shared::answer::Answer;
use crate::shared::link_places::LinkPlaces;
use crate::tasks::{Stop, Tasks};

/// State shared by all tasks of an endpoint.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) local: Local,
    /// The address that the listener is bound to; `None` if it listens on all addresses.
    pub(crate) listen_ip: Option<IpAddr>,
    pub(crate) routes: Routes,
    pub(crate) tasks: Tasks,
    /// Buffers and budget for chunks.
    pub(crate) pool: Pool,
    /// Budget for manifests, which is taken as their bytes arrive.
    pub(crate) manifests: Pool,
    /// Permits for dials at a time.
    pub(crate) dials: Semaphore,
    pub(crate) complaints: MisbehaviourReports,
    pub(crate) payloads: mpsc::Sender<Payload>,
    pub(crate) events: mpsc::Sender<NetEvent>,
    last_key: AtomicU64,
}

/// Queues of the open connections.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// Control connections.
    pub(crate) conns: Mutex<HashMap<ConnId, Arc<Outbox>>>,
    /// Inbound data connections.
    pub(crate) links: Mutex<HashMap<LinkId, Arc<Inbox<Answer>>>>,
    /// Outbound data connections, at most one for each source.
    pub(crate) sources: Mutex<HashMap<PeerId, Arc<Inbox<Asked>>>>,
    /// The links of each key.
    pub(crate) link_places: LinkPlaces,
}

impl Shared {
    pub(crate) fn new(
        local: Local,
        listen_ip: Option<IpAddr>,
        events: mpsc::Sender<NetEvent>,
        payloads: mpsc::Sender<Payload>,
    ) -> Self {
        Self {
            local,
            listen_ip,
            routes: Routes::default(),
            tasks: Tasks::new(),
            pool: Pool::new(POOL_BYTES_MAX, POOL_KEPT_BYTES_MAX),
            manifests: Pool::new(MANIFEST_POOL_BYTES_MAX, 0),
            dials: Semaphore::new(DIALS_MAX),
            complaints: MisbehaviourReports::default(),
            payloads,
            events,
            last_key: AtomicU64::new(0),
        }
    }

    /// Returns an unused number for a new connection.
    pub(crate) fn next_key(&self) -> u64 {
        self.last_key.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Logs a misbehaviour and reports it if the limits allow it. Drops the report if the event channel is full, so
    /// that events of honest peers come first.
    pub(crate) fn complain(&self, addr: SocketAddr, peer: Option<PeerId>, how: RefusalCause) {
        tracing::debug!(%addr, ?peer, %how, "misbehaviour");
        self.complaints.tell(&self.events, addr, peer, how);
    }

    /// Reports an event and waits for room in the channel. Once the endpoint stops, it waits only 200 ms, because the
    /// reader may be gone.
    pub(crate) async fn report(&self, stop: &mut Stop, event: NetEvent) {
        let permit = tokio::select! {
            biased;
            permit = self.events.reserve() => permit.ok(),
            () = stop.stopped() => {
                timeout(Duration::from_millis(200), self.events.reserve()).await.ok().and_then(Result::ok)
            }
        };
        if let Some(permit) = permit {
            permit.send(event);
        }
    }
}
