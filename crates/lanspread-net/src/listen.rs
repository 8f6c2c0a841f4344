//! The listener: accepts within bounds, and sorts what comes in into control connections and links.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::event::NetEvent;
use crate::handshake::{Accepted, accept};
use crate::inbox::lock;
use crate::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_IP_MAX, HANDSHAKE_TIME_MAX, HANDSHAKES_MAX, HANDSHAKES_PER_IP_MAX,
};
use crate::shared::Shared;
use crate::{control, link};

/// Pending connections that the system holds for us.
const BACKLOG: i32 = 1024;

/// Opens the listening socket.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(addr);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // On Unix this allows for a restart while old connections linger. On Windows the option would let another program
    // take the port over, and is not needed.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the endpoint stops.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let mut stop = shared.tasks.stop_signal();
    let admission = Arc::new(Admission::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.stopped() => return,
        };
        match accepted {
            Ok((socket, from)) => match Admission::admit(&admission, from.ip()) {
                Some(ticket) => shared.tasks.spawn(begin(Arc::clone(&shared), socket, from, ticket)),
                None => tracing::debug!(%from, "too many connections; this one is dropped"),
            },
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only burn the CPU.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                    () = stop.stopped() => return,
                }
            }
        }
    }
}

async fn begin(shared: Arc<Shared>, socket: TcpStream, from: SocketAddr, mut ticket: Ticket) {
    let mut stop = shared.tasks.stop_signal();
    let accepted = tokio::select! {
        accepted = timeout(HANDSHAKE_TIME_MAX, accept(socket, &shared.local)) => accepted,
        () = stop.stopped() => return,
    };
    ticket.handshake_done();
    match accepted {
        Ok(Ok(Accepted::Control(greeted))) => {
            let stated = greeted.hello.listen_port;
            let port =
                if lanspread_types::failpoint!("listen-port-from-socket") { from.port() } else { stated };
            let addr = listener_of(from, port);
            control::run(shared, greeted, addr, false).await;
        }
        Ok(Ok(Accepted::Data { stream, peer, rest })) => link::run(shared, peer, stream, rest).await,
        Ok(Ok(Accepted::OtherVersion { theirs, listen_port })) => {
            let addr = listener_of(from, listen_port);
            shared.report(&mut stop, NetEvent::Incompatible { addr, theirs, dialled: false }).await;
        }
        Ok(Ok(Accepted::OwnKey)) => tracing::debug!(%from, "a connection from ourselves is ignored"),
        Ok(Err(error)) => tracing::debug!(%from, %error, "an inbound connection failed"),
        Err(_) => tracing::debug!(%from, "an inbound connection took too long to begin"),
    }
}

/// Where a peer accepts connections: the address that it comes from, with the port that it states. The port that it
/// comes from leads nowhere.
pub(crate) fn listener_of(from: SocketAddr, listen_port: u16) -> SocketAddr {
    let mut addr = from;
    if from.ip().to_canonical().is_ipv4() {
        addr = SocketAddr::new(from.ip().to_canonical(), 0);
    }
    addr.set_port(listen_port);
    addr
}

/// Counts inbound connections.
#[derive(Debug, Default)]
struct Admission(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: Count,
    by_ip: HashMap<IpAddr, Count>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    connections: usize,
    /// Connections among them that are still in their handshake.
    handshakes: usize,
}

impl Count {
    fn allows(self, connections: usize, handshakes: usize) -> bool {
        self.connections < connections && self.handshakes < handshakes
    }
}

/// A place among the inbound connections; free again when dropped.
#[derive(Debug)]
struct Ticket {
    admission: Arc<Admission>,
    ip: IpAddr,
    in_handshake: bool,
}

impl Admission {
    fn admit(this: &Arc<Self>, ip: IpAddr) -> Option<Ticket> {
        let ip = ip.to_canonical();
        let mut counts = lock(&this.0);
        // One machine may run a whole party for trial; an attacker there has easier ways.
        let own = counts.by_ip.get(&ip).copied().unwrap_or_default();
        if !ip.is_loopback() && !own.allows(CONNECTIONS_PER_IP_MAX, HANDSHAKES_PER_IP_MAX)
            || !counts.all.allows(CONNECTIONS_MAX, HANDSHAKES_MAX)
        {
            return None;
        }
        counts.change(ip, |count| {
            count.connections += 1;
            count.handshakes += 1;
        });
        drop(counts);
        Some(Ticket { admission: Arc::clone(this), ip, in_handshake: true })
    }
}

impl Counts {
    fn change(&mut self, ip: IpAddr, change: impl Fn(&mut Count)) {
        change(&mut self.all);
        let own = self.by_ip.entry(ip).or_default();
        change(own);
        if own.connections == 0 {
            self.by_ip.remove(&ip);
        }
    }
}

impl Ticket {
    fn handshake_done(&mut self) {
        if std::mem::take(&mut self.in_handshake) {
            lock(&self.admission.0).change(self.ip, |count| count.handshakes -= 1);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.handshake_done();
        lock(&self.admission.0).change(self.ip, |count| count.connections -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbound_peer_is_reached_at_its_listener() {
        let of = |from: &str| listener_of(from.parse().unwrap(), 4242).to_string();
        assert_eq!(of("192.168.1.7:51999"), "192.168.1.7:4242");
        assert_eq!(of("[::ffff:192.168.1.7]:51999"), "192.168.1.7:4242");
        assert_eq!(of("[fe80::1%3]:51999"), "[fe80::1%3]:4242");
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let admission = Arc::default();
        let greedy: IpAddr = "10.0.0.1".parse().unwrap();
        let mut tickets: Vec<_> = std::iter::from_fn(|| Admission::admit(&admission, greedy)).collect();
        assert_eq!(tickets.len(), HANDSHAKES_PER_IP_MAX);
        assert!(Admission::admit(&admission, "10.0.0.2".parse().unwrap()).is_some());
        while tickets.len() < CONNECTIONS_PER_IP_MAX {
            tickets.iter_mut().for_each(Ticket::handshake_done);
            tickets.push(Admission::admit(&admission, greedy).unwrap());
        }
        tickets.iter_mut().for_each(Ticket::handshake_done);
        assert!(Admission::admit(&admission, greedy).is_none());
        drop(tickets);
        assert!(Admission::admit(&admission, greedy).is_some());
        assert!(lock(&admission.0).by_ip.is_empty(), "addresses are forgotten");
    }

    #[test]
    fn half_open_connections_are_bounded_in_all() {
        let admission = Arc::default();
        let ip = |n: u32| IpAddr::from(n.to_be_bytes());
        let tickets: Vec<_> = (1 << 24..).map_while(|n| Admission::admit(&admission, ip(n))).collect();
        assert_eq!(tickets.len(), HANDSHAKES_MAX);
    }
}
