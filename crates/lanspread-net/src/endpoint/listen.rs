//! The listener: accepts connections within bounds, and runs each as a control connection or as a *link*, an inbound
//! data connection.
//!
//! A connection that [`Admission`] has no place for is closed at once. One that breaks the handshake is reported as
//! misbehaviour.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanspread_types::{RefusalCause, failpoint};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::connect::admission::{Admission, Ticket};
use crate::connect::handshake::{AcceptError, Accepted, accept};
use crate::control;
use crate::data::serve as link;
use crate::event::NetEvent;
use crate::limits::HANDSHAKE_TIME_MAX;
use crate::party::proof::EntryError;
use crate::shared::Shared;
use crate::tls::tls_stream::StreamError;

/// Pending connections that the system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// Opens the listening socket.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(addr);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // On Unix this allows a restart while old connections linger. On Windows it is not needed, and would let another
    // program take over the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until the endpoint stops.
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
                None => {
                    refuse(socket);
                    shared.complain(from, None, RefusalCause::TooManyConnections);
                }
            },
            Err(error) => {
                // Most likely no file descriptor is left, and trying again at once would only burn the CPU.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => {}
                    () = stop.stopped() => return,
                }
            }
        }
    }
}

/// Closes a connection that there is no place for.
fn refuse(socket: TcpStream) {
    failpoint!("hoard-refused-connections", crate::sabotage::leak_memory());
    failpoint!("leak-refused-connections", return crate::sabotage::leak_some(socket));
    drop(socket);
}

/// Runs the handshake of an accepted connection, and then the connection itself.
async fn begin(shared: Arc<Shared>, socket: TcpStream, from: SocketAddr, mut ticket: Ticket) {
    let mut stop = shared.tasks.stop_signal();
    let accepted = tokio::select! {
        accepted = timeout(HANDSHAKE_TIME_MAX, accept(socket, from.ip(), &shared.local)) => accepted,
        () = stop.stopped() => return,
        // Its address holds the most handshake places, and a connection from another address needs one.
        () = ticket.evicted() => return shared.complain(from, None, RefusalCause::TooManyConnections),
    };
    ticket.handshake_done();
    match accepted {
        Ok(Ok(Accepted::Control(greeted))) => {
            let stated = greeted.hello.listen_port;
            let port = if failpoint!("listen-port-from-socket") { from.port() } else { stated };
            let addr = listener_of(from, port);
            control::run(shared, greeted, addr, false).await;
        }
        Ok(Ok(Accepted::Data { stream, peer, rest })) => link::run(shared, peer, from, stream, rest).await,
        Ok(Ok(Accepted::OtherVersion { peer, theirs, listen_port })) => {
            let addr = listener_of(from, listen_port);
            shared.report(&mut stop, NetEvent::Incompatible { addr, peer, theirs, dialled: false }).await;
        }
        Ok(Ok(Accepted::OtherParty { peer, listen_port, mismatch })) => {
            let addr = listener_of(from, listen_port);
            let event = NetEvent::OtherParty { addr, peer, mismatch, dialled: false };
            shared.report(&mut stop, event).await;
        }
        Ok(Ok(Accepted::OwnKey)) => tracing::debug!(%from, "a connection from ourselves is ignored"),
        Ok(Err(error)) => {
            tracing::debug!(%from, %error, "an inbound connection failed");
            if let Some(how) = offence(&error) {
                shared.complain(from, None, how);
            }
        }
        Err(_) => {
            let how = RefusalCause::TooSlow("handshake timed out".to_owned());
            shared.complain(from, None, how);
        }
    }
}

/// Returns the offence of an inbound connection that failed. A broken or closed connection is none: the peer may have
/// gone away.
fn offence(error: &AcceptError) -> Option<RefusalCause> {
    let stream = match error {
        AcceptError::Stream(error) | AcceptError::Entry(EntryError::Stream(error)) => Some(error),
        _ => None,
    };
    match stream {
        Some(StreamError::Io(_) | StreamError::Ended | StreamError::WriteStalled) => None,
        None if matches!(error, AcceptError::NoGuest) => Some(RefusalCause::Protocol(error.to_string())),
        _ => Some(RefusalCause::NotAPeer(error.to_string())),
    }
}

/// Returns where a peer accepts connections: the address that it comes from, with the port that it states. Its source
/// port leads nowhere.
pub(crate) fn listener_of(from: SocketAddr, listen_port: u16) -> SocketAddr {
    let mut addr = from;
    if from.ip().to_canonical().is_ipv4() {
        addr = SocketAddr::new(from.ip().to_canonical(), 0);
    }
    addr.set_port(listen_port);
    addr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_has_source_address_and_stated_port() {
        let of = |from: &str| listener_of(from.parse().unwrap(), 4242).to_string();
        assert_eq!(of("192.168.1.7:51999"), "192.168.1.7:4242");
        assert_eq!(of("[::ffff:192.168.1.7]:51999"), "192.168.1.7:4242");
        assert_eq!(of("[fe80::1%3]:51999"), "[fe80::1%3]:4242");
    }
}
