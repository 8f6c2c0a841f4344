//! Dialling: one address, or a peer that may be at one of several addresses.
//!
//! A peer's addresses are tried in the given order. If an address does not answer within [`NEXT_ADDRESS_AFTER`], the
//! next one is tried beside it; if it refuses, the next one is tried at once (as in RFC 8305). An address that leads
//! nowhere thus costs a quarter of a second. Only TCP connections race: handshakes run one at a time, so that the other
//! side never sees two half-open connections from us.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_types::{DialFailure, PeerId};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::connect::handshake::{self, Dialled, connect, dial_control, greet};
use crate::control;
use crate::event::NetEvent;
use crate::limits::{HANDSHAKE_TIME_MAX, NEXT_ADDRESS_AFTER};
use crate::shared::Shared;
use crate::tasks::Stop;

/// Dials one address and accepts whichever peer answers.
pub(crate) async fn one(shared: Arc<Shared>, addr: SocketAddr) {
    let mut stop = shared.tasks.stop_signal();
    let dialled = async {
        // The semaphore is never closed, and waiting for a permit does not count towards the time limit.
        let _permit = shared.dials.acquire().await;
        timeout(HANDSHAKE_TIME_MAX, dial_control(addr, shared.listen_ip, &shared.local)).await
    };
    let dialled = tokio::select! {
        dialled = dialled => dialled,
        () = stop.stopped() => return,
    };
    let failure = match dialled {
        Ok(Ok(Dialled::Peer(greeted))) => return control::run(shared, *greeted, addr, true).await,
        Ok(Ok(Dialled::OtherVersion { peer, theirs })) => {
            let event = NetEvent::Incompatible { addr, peer, theirs, dialled: true };
            return shared.report(&mut stop, event).await;
        }
        Ok(Ok(Dialled::OtherParty { peer, mismatch })) => {
            let event = NetEvent::OtherParty { addr, peer, mismatch, dialled: true };
            return shared.report(&mut stop, event).await;
        }
        Ok(Err(failure)) => failure,
        Err(_) => DialFailure::TimedOut,
    };
    shared.report(&mut stop, NetEvent::DialFailed { addr, failure }).await;
}

/// Dials a peer at its addresses, in the given order.
pub(crate) async fn peer(shared: Arc<Shared>, peer: PeerId, addrs: Vec<SocketAddr>) {
    let mut stop = shared.tasks.stop_signal();
    let mut race = Race::new(addrs, shared.listen_ip);
    let found = async {
        let _permit = shared.dials.acquire().await;
        race.run(&shared).await
    };
    let found = tokio::select! {
        found = found => found,
        () = stop.stopped() => return,
    };
    let failures = race.failures;
    match found {
        Some((addr, Dialled::Peer(greeted))) => {
            unless_it_is(&shared, &mut stop, peer, (greeted.peer, addr), failures).await;
            control::run(shared, *greeted, addr, true).await;
        }
        Some((addr, Dialled::OtherVersion { peer: at, theirs })) => {
            let event = NetEvent::Incompatible { addr, peer: at, theirs, dialled: true };
            shared.report(&mut stop, event).await;
            unless_it_is(&shared, &mut stop, peer, (at, addr), failures).await;
        }
        Some((addr, Dialled::OtherParty { peer: at, mismatch })) => {
            let event = NetEvent::OtherParty { addr, peer: at, mismatch, dialled: true };
            shared.report(&mut stop, event).await;
            unless_it_is(&shared, &mut stop, peer, (at, addr), failures).await;
        }
        None => {
            let reason = reasons(&failures);
            shared.report(&mut stop, NetEvent::PeerDialFailed { peer, reason }).await;
        }
    }
}

/// Reports that dialling `peer` failed if a different peer answered. What became of the connection to that other peer
/// is reported separately.
async fn unless_it_is(
    shared: &Shared,
    stop: &mut Stop,
    peer: PeerId,
    (found, addr): (PeerId, SocketAddr),
    mut failures: Vec<(SocketAddr, String)>,
) {
    if found != peer {
        failures.push((addr, "another peer answers there".to_owned()));
        let reason = reasons(&failures);
        shared.report(stop, NetEvent::PeerDialFailed { peer, reason }).await;
    }
}

/// Lists what was found at each of a peer's addresses.
fn reasons(failures: &[(SocketAddr, String)]) -> String {
    let each: Vec<String> = failures.iter().map(|(addr, found)| format!("{addr}: {found}")).collect();
    each.join("; ")
}

/// Checks whether a peer's listener answers at `addr`, and reports `Reached` if so.
pub(crate) async fn probe(shared: Arc<Shared>, peer: PeerId, addr: SocketAddr) {
    let mut stop = shared.tasks.stop_signal();
    let Ok(config) = shared.local.tls.only_peer(peer) else { return };
    let probed = async {
        let _permit = shared.dials.acquire().await;
        timeout(HANDSHAKE_TIME_MAX, handshake::probe(addr, config)).await
    };
    let probed = tokio::select! {
        probed = probed => probed,
        () = stop.stopped() => return,
    };
    match probed {
        Ok(Ok(())) => shared.report(&mut stop, NetEvent::Reached { peer, addr }).await,
        Ok(Err(error)) => tracing::debug!(%addr, %error, "a peer's listener does not answer"),
        Err(_) => tracing::debug!(%addr, "a peer's listener does not answer in time"),
    }
}

/// Race between TCP connections to the addresses of one peer.
struct Race {
    /// Addresses that are not yet tried.
    waiting: VecDeque<SocketAddr>,
    /// Local address to dial from, if the listener is bound to one.
    from: Option<std::net::IpAddr>,
    connecting: JoinSet<(SocketAddr, std::io::Result<TcpStream>)>,
    tried: Vec<SocketAddr>,
    /// What was found at each address that led nowhere.
    failures: Vec<(SocketAddr, String)>,
}

impl Race {
    fn new(addrs: Vec<SocketAddr>, from: Option<std::net::IpAddr>) -> Self {
        Self {
            waiting: addrs.into(),
            from,
            connecting: JoinSet::new(),
            tried: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Returns the first address at which a peer answers, with the outcome of its handshake. If there is none,
    /// `failures` says why for each address.
    async fn run(&mut self, shared: &Shared) -> Option<(SocketAddr, Dialled)> {
        let give_up = Instant::now() + HANDSHAKE_TIME_MAX;
        loop {
            let Ok(connected) = timeout_at(give_up, self.next_socket()).await else {
                let answered: Vec<SocketAddr> = self.failures.iter().map(|(addr, _)| *addr).collect();
                let silent = self.tried.iter().filter(|addr| !answered.contains(addr));
                self.failures.extend(silent.map(|&addr| (addr, DialFailure::TimedOut.to_string())));
                return None;
            };
            let (addr, socket) = connected?;
            // Other sockets wait meanwhile: a handshake with the right peer takes a few milliseconds.
            match timeout(HANDSHAKE_TIME_MAX, greet(socket, addr, &shared.local, false)).await {
                Ok(Ok(dialled)) => return Some((addr, dialled)),
                Ok(Err(failure)) => self.failures.push((addr, failure.to_string())),
                Err(_) => self.failures.push((addr, DialFailure::TimedOut.to_string())),
            }
        }
    }

    /// Returns the next TCP connection that is established, or `None` when no address is left.
    async fn next_socket(&mut self) -> Option<(SocketAddr, TcpStream)> {
        loop {
            if let Some(addr) = self.waiting.pop_front() {
                let from = self.from;
                self.tried.push(addr);
                self.connecting.spawn(async move { (addr, connect(addr, from).await) });
            }
            let patience = if self.waiting.is_empty() { HANDSHAKE_TIME_MAX } else { NEXT_ADDRESS_AFTER };
            match timeout(patience, self.connecting.join_next()).await {
                Ok(Some(Ok((addr, Ok(socket))))) => return Some((addr, socket)),
                Ok(Some(Ok((addr, Err(error))))) => {
                    self.failures.push((addr, DialFailure::Unreachable(error.to_string()).to_string()));
                }
                // The task panicked, which has been printed, or the address had its time: try the next one.
                Ok(Some(Err(_))) | Err(_) => {}
                Ok(None) if self.waiting.is_empty() => return None,
                Ok(None) => {}
            }
        }
    }
}
