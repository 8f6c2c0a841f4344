//! The beginning of a connection: TCP, TLS, the preamble and, on a control connection, the hellos and admission.
//!
//! The functions here report no events and keep no state: they return the outcome, and the endpoint acts on it. Callers
//! limit the time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanspread_proto::hello::{self, Greeting};
use lanspread_proto::preamble::{self, Role};
use lanspread_types::message::Hello;
use lanspread_types::{DialFailure, PartyMismatch, PeerId, PeerName, failpoint};
use rustls::ClientConfig;
use tokio::net::{TcpSocket, TcpStream};

use crate::limits::CLOSE_TIME_MAX;
use crate::party::proof::{Ends, EntryError, enter};
use crate::party::secrets::{Door, Side};
use crate::tls::config::{OTHER_PEER, TlsConfigs};
use crate::tls::tls_stream::{StreamError, TlsStream};

/// What this peer states about itself, and what it needs for a handshake.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) peer: PeerId,
    pub(crate) name: PeerName,
    pub(crate) protocol: u16,
    /// The encoded hello.
    pub(crate) hello: Vec<u8>,
    pub(crate) tls: TlsConfigs,
    /// The closed party that this peer belongs to; `None` for an open peer.
    pub(crate) door: Option<Door>,
}

/// A control connection that is ready for messages.
#[derive(Debug)]
pub(crate) struct Greeted {
    pub(crate) stream: TlsStream,
    pub(crate) peer: PeerId,
    pub(crate) hello: Hello,
    /// Bytes already received that belong to the first messages.
    pub(crate) rest: Vec<u8>,
}

/// Outcome of a dial that found a lanspread peer.
#[derive(Debug)]
pub(crate) enum Dialled {
    Peer(Box<Greeted>),
    OtherVersion { peer: PeerId, theirs: u16 },
    OtherParty { peer: PeerId, mismatch: PartyMismatch },
}

/// Outcome of an inbound connection from a lanspread peer.
#[derive(Debug)]
pub(crate) enum Accepted {
    Control(Greeted),
    Data {
        stream: TlsStream,
        peer: PeerId,
        /// Bytes already received that belong to the first requests.
        rest: Vec<u8>,
    },
    /// A control connection from a peer of another version, already closed.
    OtherVersion {
        peer: PeerId,
        theirs: u16,
        listen_port: u16,
    },
    /// A control connection from a peer of another party, already closed.
    OtherParty {
        peer: PeerId,
        listen_port: u16,
        mismatch: PartyMismatch,
    },
    /// This peer has dialled itself. The dialling side reports that.
    OwnKey,
}

/// Why an inbound connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Preamble(#[from] preamble::PreambleError),
    #[error(transparent)]
    Hello(#[from] hello::HelloError),
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A data connection came from a peer that has not proved the passphrase.
    #[error("data connection from a peer that has not proved the passphrase")]
    NoGuest,
}

/// Opens a control connection to an address that the user asked for. `from` is the listener's address, if it is bound
/// to one: the other side assumes that we can be reached at the address that we come from.
pub(crate) async fn dial_control(
    addr: SocketAddr,
    from: Option<IpAddr>,
    local: &Local,
) -> Result<Dialled, DialFailure> {
    let socket = connect(addr, from).await.map_err(|error| DialFailure::Unreachable(error.to_string()))?;
    greet(socket, addr, local, true).await
}

/// Turns a socket that we dialled into a control connection. `typed` means that the user asked for this address.
pub(crate) async fn greet(
    socket: TcpStream,
    addr: SocketAddr,
    local: &Local,
    typed: bool,
) -> Result<Dialled, DialFailure> {
    let not_a_peer = |error: StreamError| DialFailure::NotAPeer(error.to_string());
    let config = Arc::clone(&local.tls.any_peer);
    let (mut stream, peer) = TlsStream::client(socket, config).await.map_err(not_a_peer)?;
    if peer == local.peer && !failpoint!("accept-self") {
        // Finish the handshake, so that the listening end can identify us and ignore the connection.
        stream.finish(CLOSE_TIME_MAX).await;
        return Err(DialFailure::OwnAddress);
    }
    stream.send(&preamble::encode(Role::Control));
    stream.send(&local.hello);
    let mut bytes = Vec::new();
    let greeting = stream.receive(&mut bytes, hello::split).await;
    let greeting = greeting.map_err(|error: AcceptError| DialFailure::NotAPeer(error.to_string()))?;
    if let Greeting::OtherVersion { protocol, .. } = greeting {
        stream.finish(CLOSE_TIME_MAX).await;
        return Ok(Dialled::OtherVersion { peer, theirs: protocol });
    }
    let side = Side::Dialler;
    let ends = Ends { me: local.peer, peer, side, ip: addr.ip(), typed };
    let entered = enter(&mut stream, &mut bytes, local.door.as_ref(), greeting, ends).await;
    match entered.map_err(|error| DialFailure::NotAPeer(error.to_string()))? {
        Ok(hello) => Ok(Dialled::Peer(Box::new(Greeted { stream, peer, hello, rest: bytes }))),
        Err(mismatch) => {
            stream.finish(CLOSE_TIME_MAX).await;
            Ok(Dialled::OtherParty { peer, mismatch })
        }
    }
}

/// Checks whether the peer that `config` expects answers at `addr`, and hangs up.
pub(crate) async fn probe(addr: SocketAddr, config: Arc<ClientConfig>) -> Result<(), StreamError> {
    let (stream, _) = TlsStream::client(connect(addr, None).await?, config).await?;
    stream.finish(CLOSE_TIME_MAX).await;
    Ok(())
}

/// Opens a data connection to the peer that `config` expects. It comes from the same address as control connections, so
/// that another peer on this machine does not use up the other side's limits for our address.
pub(crate) async fn dial_data(
    addr: SocketAddr,
    from: Option<IpAddr>,
    config: Arc<ClientConfig>,
) -> Result<TlsStream, String> {
    let socket = connect(addr, from).await.map_err(|error| error.to_string())?;
    let (mut stream, _) = TlsStream::client(socket, config).await.map_err(|error| match error {
        StreamError::Tls(rustls::Error::General(text)) if text == OTHER_PEER => text,
        other => other.to_string(),
    })?;
    stream.send(&preamble::encode(Role::Data));
    Ok(stream)
}

/// Returns true if a fault for tests lets this peer connect to itself.
fn own_key_is_taken() -> bool {
    if failpoint!("accept-own-key") {
        return true;
    }
    failpoint!("accept-self")
}

/// Runs the listening side of the handshake.
pub(crate) async fn accept(socket: TcpStream, ip: IpAddr, local: &Local) -> Result<Accepted, AcceptError> {
    set_options(&socket).map_err(StreamError::from)?;
    let config = Arc::clone(&local.tls.server);
    let (mut stream, peer) = TlsStream::server(socket, config).await?;
    if peer == local.peer && !own_key_is_taken() {
        return Ok(Accepted::OwnKey);
    }
    let mut rest = Vec::new();
    if stream.receive::<_, _, AcceptError>(&mut rest, preamble::split).await? == Role::Data {
        return match &local.door {
            Some(door) if !door.guesses.is_guest(&peer) && !failpoint!("serve-strangers") => {
                Err(AcceptError::NoGuest)
            }
            _ => Ok(Accepted::Data { stream, peer, rest }),
        };
    }
    stream.send(&local.hello);
    let greeting = stream.receive::<_, _, AcceptError>(&mut rest, hello::split).await?;
    let (Greeting::Hello(Hello { listen_port, .. })
    | Greeting::Closed { listen_port, .. }
    | Greeting::OtherVersion { listen_port, .. }) = greeting;
    if let Greeting::OtherVersion { protocol, .. } = greeting {
        // Closes in order, so that the peer learns our version, too.
        stream.finish(CLOSE_TIME_MAX).await;
        return Ok(Accepted::OtherVersion { peer, theirs: protocol, listen_port });
    }
    let ends = Ends { me: local.peer, peer, side: Side::Listener, ip, typed: false };
    match enter(&mut stream, &mut rest, local.door.as_ref(), greeting, ends).await? {
        Ok(hello) => {
            stream.flush(Duration::MAX).await?;
            Ok(Accepted::Control(Greeted { stream, peer, hello, rest }))
        }
        Err(mismatch) => {
            stream.finish(CLOSE_TIME_MAX).await;
            Ok(Accepted::OtherParty { peer, listen_port, mismatch })
        }
    }
}

/// Opens a TCP connection, from the address `from` if that can lead to `addr`.
pub(crate) async fn connect(addr: SocketAddr, from: Option<IpAddr>) -> std::io::Result<TcpStream> {
    // From an address of another family, or between loopback and the network, there is no way; the system chooses then.
    let leads_there =
        |ip: &IpAddr| ip.is_ipv4() == addr.is_ipv4() && ip.is_loopback() == addr.ip().is_loopback();
    let socket = match from.filter(leads_there) {
        Some(ip) => {
            let socket = if ip.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.bind(SocketAddr::new(ip, 0))?;
            socket.connect(addr).await?
        }
        None => TcpStream::connect(addr).await?,
    };
    set_options(&socket)?;
    Ok(socket)
}

/// Bytes that may wait unsent in the system's send buffer, on systems that let us set this.
///
/// The uplink frees an answer's place as soon as the system has taken its bytes. If the system takes many bytes ahead,
/// the uplink chooses answers too early, and answers that wait in the buffer hold places that others could use. With
/// 512 KiB, in two of four rooms of twelve peers one receiver finished long after the others. With 128 KiB that
/// happened in none, and a link without a rate limit is as fast (`docs/benchmarks.md`).
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Sets the options of a TCP connection. Small messages do not wait for an acknowledgement. Keep-alive notices a peer
/// whose cable was pulled even on an idle connection. On Linux, the system takes few bytes before it can send them.
fn set_options(socket: &TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let options = socket2::SockRef::from(socket);
    let keepalive =
        socket2::TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(3));
    options.set_tcp_keepalive(&keepalive)?;
    // Windows and macOS size their buffers themselves, by the bytes that the connection has in flight.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    options.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lanspread_types::PeerName;
    use lanspread_types::limits::PROTOCOL_VERSION;
    use tokio::net::TcpListener;

    use super::*;
    use crate::tls::identity::Identity;

    fn local(identity: &Identity, protocol: u16) -> Local {
        let name = PeerName::new("Ann").unwrap();
        let hello = Hello { protocol, name: name.clone(), listen_port: 4242, program: "test".to_owned() };
        let hello = lanspread_proto::hello::encode(&hello).unwrap();
        let tls = TlsConfigs::new(identity).unwrap();
        Local { peer: identity.peer_id(), name, protocol, hello, tls, door: None }
    }

    /// Returns the result of `accept` at `listener` for a connection on which `dialler` says hello. The dialler takes
    /// any key for the answering peer's, so it may dial itself.
    async fn greet(dialler: &Local, listener: &Local) -> Result<Accepted, AcceptError> {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let dial = async {
            let config = Arc::clone(&dialler.tls.any_peer);
            let socket = connect(addr, None).await.unwrap();
            let (mut stream, _) = TlsStream::client(socket, config).await.unwrap();
            stream.send(&preamble::encode(Role::Control));
            stream.send(&dialler.hello);
            stream.finish(CLOSE_TIME_MAX).await;
        };
        let accepted = async {
            let (socket, from) = socket.accept().await.unwrap();
            accept(socket, from.ip(), listener).await
        };
        tokio::join!(accepted, dial).0
    }

    #[tokio::test]
    async fn inbound_hello_from_self_is_ignored() {
        let (ann, bob) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (ann, bob) = (local(&ann, PROTOCOL_VERSION), local(&bob, PROTOCOL_VERSION));
        let own = greet(&ann, &ann).await;
        assert!(matches!(own, Ok(Accepted::OwnKey)), "{own:?}");
        let other = greet(&bob, &ann).await;
        assert!(
            matches!(other, Ok(Accepted::Control(greeted)) if greeted.peer == bob.peer),
            "others are not"
        );
    }

    #[cfg(any(target_os = "linux", target_os = "windows"))]
    #[tokio::test]
    async fn dial_comes_from_the_listening_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        for (from, expected) in
            [("127.0.0.77", "127.0.0.77"), ("192.0.2.1", "127.0.0.1"), ("::1", "127.0.0.1")]
        {
            let _socket = connect(addr, Some(from.parse().unwrap())).await.unwrap();
            let (_, came_from) = listener.accept().await.unwrap();
            assert_eq!(came_from.ip().to_string(), expected, "{from}");
        }
    }

    #[tokio::test]
    async fn other_version_is_reported_with_its_listener() {
        let (ann, bob) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let (ann, bob) = (local(&ann, PROTOCOL_VERSION), local(&bob, 77));
        let accepted = greet(&bob, &ann).await;
        assert!(matches!(accepted, Ok(Accepted::OtherVersion { theirs: 77, listen_port: 4242, .. })));
    }
}
