//! The handshake of TLS, run by rustls over a socket. What comes out are the peer's key, the keys for the records that
//! follow, and rustls' remains, which know the keys after those.

use std::io;
use std::sync::Arc;

use lanspread_types::PeerId;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus};
use rustls::{ClientConfig, ConnectionTrafficSecrets, ExtractedSecrets, ServerConfig};
use tokio::net::TcpStream;

use crate::identity::peer_id_of;
use crate::incoming::Incoming;
use crate::record::Key;
use crate::stream::StreamError;

/// A connection before its handshake.
pub(crate) enum Side {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What was agreed.
pub(crate) struct Agreed {
    pub(crate) peer: PeerId,
    pub(crate) sealing: Key,
    pub(crate) opening: Key,
    pub(crate) next_keys: NextKeys,
    pub(crate) early: Early,
}

/// What the dialling side says right after its last handshake message may come with it.
#[derive(Default)]
pub(crate) struct Early {
    pub(crate) opened: Vec<u8>,
    /// It has said that it will send no more.
    pub(crate) ended: bool,
}

/// Makes the keys that follow a key update (RFC 8446, section 7.2).
pub(crate) enum NextKeys {
    Client(Box<KernelConnection<ClientConnectionData>>),
    Server(Box<KernelConnection<ServerConnectionData>>),
}

/// A side, a step further.
enum Step {
    /// Go on.
    Again,
    /// More bytes from the socket.
    Input,
    Done,
}

impl Side {
    /// `config` has `enable_secret_extraction`. The name is nowhere shown or checked; TLS clients need one.
    pub(crate) fn client(config: Arc<ClientConfig>) -> Result<Self, StreamError> {
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        Ok(Self::Client(Box::new(UnbufferedClientConnection::new(config, name)?)))
    }

    /// `config` has `enable_secret_extraction`.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, StreamError> {
        Ok(Self::Server(Box::new(UnbufferedServerConnection::new(config)?)))
    }

    /// Runs the handshake. The caller limits the time.
    pub(crate) async fn negotiate(
        mut self,
        socket: &TcpStream,
        incoming: &mut Incoming,
    ) -> Result<Agreed, StreamError> {
        let (mut outgoing, mut early) = (Vec::new(), Early::default());
        loop {
            let step = self.step(incoming, &mut outgoing, &mut early);
            if !matches!(step, Ok(Step::Again)) {
                // After a failure this is an alert, at most: a courtesy, because the connection is lost anyway.
                let written = write_all(socket, &mut outgoing).await;
                step.as_ref().map_or(Ok(()), |_| written)?;
            }
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Done) => return self.agreed(early),
                Ok(Step::Input) if early.ended => return Err(StreamError::Ended),
                Ok(Step::Input) => read_some(socket, incoming).await?,
                Err(error) => {
                    // It lies where rustls is asked for it once more.
                    let _ = self.step(incoming, &mut outgoing, &mut early);
                    let _ = write_all(socket, &mut outgoing).await;
                    let _ = socket2::SockRef::from(socket).shutdown(std::net::Shutdown::Write);
                    return Err(error.into());
                }
            }
        }
    }

    fn step(
        &mut self,
        incoming: &mut Incoming,
        outgoing: &mut Vec<u8>,
        early: &mut Early,
    ) -> Result<Step, rustls::Error> {
        let input = incoming.unread();
        let (discard, step) = match self {
            Self::Client(tls) => step(tls.process_tls_records(input), outgoing, early),
            Self::Server(tls) => step(tls.process_tls_records(input), outgoing, early),
        };
        incoming.discard(discard);
        step
    }

    fn agreed(self, early: Early) -> Result<Agreed, StreamError> {
        let keys = match &self {
            Self::Client(tls) => tls.peer_certificates(),
            Self::Server(tls) => tls.peer_certificates(),
        };
        let peer = keys.and_then(<[_]>::first).and_then(|spki| peer_id_of(spki));
        let peer = peer.ok_or(rustls::Error::NoCertificatesPresented)?;
        let (ExtractedSecrets { tx, rx }, next_keys) = match self {
            Self::Client(tls) => {
                let (secrets, rest) = tls.dangerous_into_kernel_connection()?;
                (secrets, NextKeys::Client(Box::new(rest)))
            }
            Self::Server(tls) => {
                let (secrets, rest) = tls.dangerous_into_kernel_connection()?;
                (secrets, NextKeys::Server(Box::new(rest)))
            }
        };
        Ok(Agreed { peer, sealing: Key::new(tx)?, opening: Key::new(rx)?, next_keys, early })
    }
}

impl NextKeys {
    pub(crate) fn sealing(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error> {
        match self {
            Self::Client(tls) => tls.update_tx_secret(),
            Self::Server(tls) => tls.update_tx_secret(),
        }
    }

    pub(crate) fn opening(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error> {
        match self {
            Self::Client(tls) => tls.update_rx_secret(),
            Self::Server(tls) => tls.update_rx_secret(),
        }
    }
}

/// Handles one state of rustls; also tells how many bytes of the input are used up.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Vec<u8>,
    early: &mut Early,
) -> (usize, Result<Step, rustls::Error>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (discard, Err(error)),
    };
    let step = match state {
        ConnectionState::EncodeTlsData(mut data) => {
            let (start, mut len) = (outgoing.len(), 0);
            loop {
                outgoing.resize(start + len, 0);
                match data.encode(&mut outgoing[start..]) {
                    Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                        len = required_size;
                    }
                    // It is in the buffer already.
                    Err(EncodeError::AlreadyEncoded) | Ok(_) => break,
                }
            }
            Step::Again
        }
        // It lies in order in `outgoing`, which is as good as sent.
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Step::Again
        }
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                match record {
                    Ok(record) => {
                        discard += record.discard;
                        early.opened.extend_from_slice(record.payload);
                    }
                    Err(error) => return (discard, Err(error)),
                }
            }
            Step::Again
        }
        ConnectionState::WriteTraffic(_) => Step::Done,
        ConnectionState::BlockedHandshake => Step::Input,
        ConnectionState::PeerClosed => {
            early.ended = true;
            Step::Again
        }
        // Early data is switched off, and nobody here has ended anything.
        _ => return (discard, Err(rustls::Error::HandshakeNotComplete)),
    };
    (discard, Ok(step))
}

async fn write_all(socket: &TcpStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        socket.writable().await?;
        match socket.try_write(rest) {
            Ok(len) => rest = &rest[len..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    bytes.clear();
    Ok(())
}

async fn read_some(socket: &TcpStream, incoming: &mut Incoming) -> Result<(), StreamError> {
    loop {
        socket.readable().await?;
        match socket.try_read(incoming.room()) {
            Ok(0) => return Err(StreamError::Ended),
            Ok(len) => {
                incoming.filled(len);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}
