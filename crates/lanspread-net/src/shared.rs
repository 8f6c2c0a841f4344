//! What the tasks of an endpoint share: who we are, where to report, and which connections there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lanspread_types::PeerId;
use lanspread_types::message::Request;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::complaints::Complaints;
use crate::event::{ConnKey, LinkKey, NetEvent, Payload};
use crate::handshake::Local;
use crate::inbox::{Inbox, Outbox};
use crate::limits::{DIALS_MAX, MANIFEST_POOL_BYTES_MAX, POOL_BYTES_MAX, POOL_KEPT_BYTES_MAX};
use crate::link::Answer;
use crate::link_places::LinkPlaces;
use crate::pool::Pool;
use crate::tasks::{Stop, Tasks};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) local: Local,
    /// The address that we listen on, if it is a certain one.
    pub(crate) listen_ip: Option<IpAddr>,
    pub(crate) routes: Routes,
    pub(crate) tasks: Tasks,
    pub(crate) pool: Pool,
    /// The budget of manifests, which is taken as they arrive.
    pub(crate) manifests: Pool,
    pub(crate) dials: Semaphore,
    pub(crate) complaints: Complaints,
    pub(crate) payloads: mpsc::Sender<Payload>,
    pub(crate) events: mpsc::Sender<NetEvent>,
    last_key: AtomicU64,
}

/// The connections that can be spoken to.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    pub(crate) conns: Mutex<HashMap<ConnKey, Arc<Outbox>>>,
    pub(crate) links: Mutex<HashMap<LinkKey, Arc<Inbox<Answer>>>>,
    pub(crate) sources: Mutex<HashMap<PeerId, Arc<Inbox<Request>>>>,
    /// How many of the links belong to each key.
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
            complaints: Complaints::default(),
            payloads,
            events,
            last_key: AtomicU64::new(0),
        }
    }

    /// A number for a new connection.
    pub(crate) fn next_key(&self) -> u64 {
        self.last_key.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Reports, waiting for room; once the endpoint stops, only for a moment, because the reader may be gone.
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
