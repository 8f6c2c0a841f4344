//! A TLS connection over TCP that moves bytes in large portions.
//!
//! What the socket gives is read in one go to where it belongs, and opened in place; what is to be sent is sealed where
//! it lies, and written in one go. [`TlsStream::drive`] is the only place that waits, and it may be dropped at any time
//! without losing a byte, so each connection is one task with one `select!`.

use std::io;
use std::sync::Arc;

use lanspread_types::PeerId;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::incoming::{Incoming, Landed, Landing};
use crate::limits::{KEY_UPDATES_MAX, MESSAGE_READ_BYTES, RECORDS_PER_KEY_MAX};
use crate::negotiate::{Agreed, Early, NextKeys, Side};
use crate::outgoing::Outgoing;
use crate::record::{Key, Kind, PLAIN_BYTES, RecordError};

/// Alert that ends a connection (RFC 8446, section 6.1).
const CLOSE_NOTIFY: &[u8] = &[1, 0];
/// A handshake message that says "from now on my next key", without or with the wish for the same from the other side
/// (section 4.6.3).
const KEY_UPDATE: &[u8] = &[24, 0, 0, 1, 0];
const KEY_UPDATE_REQUESTED: &[u8] = &[24, 0, 0, 1, 1];

#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("TLS: {0}")]
    Record(#[from] RecordError),
    #[error("it reads too slowly")]
    WriteStalled,
    #[error("it ended the connection")]
    Ended,
}

pub(crate) struct TlsStream {
    socket: TcpStream,
    keys: Keys,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Opened during the handshake, and not yet passed on.
    opened: Vec<u8>,
    /// The other side will send no more.
    ended: bool,
}

/// The keys of both directions, and their successors.
struct Keys {
    sealing: Key,
    opening: Key,
    next: NextKeys,
    /// Records that were queued for the sealing key.
    queued: u64,
    /// Key updates that have come.
    updates: u32,
}

impl TlsStream {
    /// Runs the handshake as the dialling side. The caller limits the time.
    pub(crate) async fn client(
        socket: TcpStream,
        config: Arc<ClientConfig>,
    ) -> Result<(Self, PeerId), StreamError> {
        Self::negotiate(socket, Side::client(config)?).await
    }

    /// Runs the handshake as the listening side. The caller limits the time.
    pub(crate) async fn server(
        socket: TcpStream,
        config: Arc<ServerConfig>,
    ) -> Result<(Self, PeerId), StreamError> {
        Self::negotiate(socket, Side::server(config)?).await
    }

    async fn negotiate(socket: TcpStream, side: Side) -> Result<(Self, PeerId), StreamError> {
        let mut incoming = Incoming::new(MESSAGE_READ_BYTES);
        let agreed = side.negotiate(&socket, &mut incoming).await?;
        let Agreed { peer, sealing, opening, next_keys, early } = agreed;
        let keys = Keys { sealing, opening, next: next_keys, queued: 0, updates: 0 };
        let Early { opened, ended } = early;
        let stream = Self { socket, keys, incoming, outgoing: Outgoing::default(), opened, ended };
        Ok((stream, peer))
    }

    /// Waits until bytes have moved: those queued out, and, if `read`, others in. Ready at once if only reading is
    /// possible and the other side has ended.
    pub(crate) async fn drive(&mut self, read: bool) -> Result<(), StreamError> {
        self.drive_into(read, None).await
    }

    /// The same; bytes that come in belong to a payload, if there is one.
    pub(crate) async fn drive_into(
        &mut self,
        read: bool,
        landing: Option<&mut Landing>,
    ) -> Result<(), StreamError> {
        // Readiness costs no budget of the scheduler, and a fast connection is always ready.
        tokio::task::coop::consume_budget().await;
        let write = !self.outgoing.is_empty();
        let read = read && !self.ended;
        let interest = match (read, write) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => return std::future::pending().await,
        };
        let ready = match self.outgoing.stalled_at() {
            Some(deadline) => timeout_at(deadline, self.socket.ready(interest))
                .await
                .map_err(|_| StreamError::WriteStalled)??,
            None => self.socket.ready(interest).await?,
        };
        if write && ready.is_writable() {
            self.write()?;
        }
        if read && ready.is_readable() {
            self.read(landing)?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StreamError> {
        let Keys { sealing, next, .. } = &mut self.keys;
        self.outgoing.seal(sealing, || {
            // rustls derives it from the last one; that cannot fail once a handshake has been completed.
            next.sealing().map_err(|_| RecordError::Keys).and_then(Key::new)
        })?;
        let socket = &self.socket;
        match self.outgoing.write(|slices| socket.try_write_vectored(slices)) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn read(&mut self, mut landing: Option<&mut Landing>) -> Result<(), StreamError> {
        let room = match &mut landing {
            Some(landing) => landing.room(),
            None => self.incoming.room(),
        };
        match (self.socket.try_read(room), landing) {
            (Ok(0), _) => self.ended = true,
            (Ok(len), Some(landing)) => landing.filled(len),
            (Ok(len), None) => self.incoming.filled(len),
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
            (Err(error), _) => return Err(error.into()),
        }
        Ok(())
    }

    /// Opens one record and passes its bytes on. `false`: the socket must give more first. An error when the other
    /// side has ended and everything that it sent was passed on.
    pub(crate) fn open(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        if !self.opened.is_empty() {
            sink(&std::mem::take(&mut self.opened));
            return Ok(true);
        }
        loop {
            let aside = match self.incoming.open(&mut self.keys.opening)? {
                Some((Kind::Data, bytes)) => {
                    sink(bytes);
                    return Ok(true);
                }
                Some((kind, bytes)) => Some((kind, bytes.to_vec())),
                None => None,
            };
            match aside {
                Some((kind, bytes)) => self.handle(kind, &bytes)?,
                None if self.ended => return Err(StreamError::Ended),
                None => return Ok(false),
            }
        }
    }

    /// Has what comes next land in a payload: what is opened already is put in, and a record that has begun goes on
    /// there. Bytes that do not belong to the payload go to `beyond`.
    pub(crate) fn begin_landing(
        &mut self,
        landing: &mut Landing,
        beyond: &mut Vec<u8>,
    ) -> Result<(), StreamError> {
        while landing.missing() > 0 {
            if !self.open(&mut |plain| beyond.extend_from_slice(landing.put(plain)))? {
                landing.adopt(&mut self.incoming);
                break;
            }
        }
        Ok(())
    }

    /// Opens what has landed, until the payload is whole or more must arrive. Bytes that do not belong to the payload
    /// go to `beyond`.
    pub(crate) fn land(&mut self, landing: &mut Landing, beyond: &mut Vec<u8>) -> Result<(), StreamError> {
        while landing.missing() > 0 {
            match landing.open(&mut self.keys.opening)? {
                Landed::Payload => {}
                Landed::Beyond(bytes) => beyond.extend(bytes),
                Landed::Other(kind, bytes) => self.handle(kind, &bytes)?,
                Landed::Incomplete if self.ended => return Err(StreamError::Ended),
                Landed::Incomplete => break,
            }
        }
        Ok(())
    }

    /// A record that is not for those above.
    fn handle(&mut self, kind: Kind, bytes: &[u8]) -> Result<(), StreamError> {
        match (kind, bytes) {
            (Kind::Alert, CLOSE_NOTIFY | &[2, 0]) => {
                self.ended = true;
                self.incoming.clear();
            }
            (Kind::Alert, &[_, number]) => return Err(RecordError::Alert(number).into()),
            (Kind::Handshake, KEY_UPDATE | KEY_UPDATE_REQUESTED) => {
                self.keys.updates += 1;
                if self.keys.updates > KEY_UPDATES_MAX {
                    return Err(RecordError::Unexpected.into());
                }
                self.keys.opening = Key::new(self.keys.next.opening()?)?;
                if bytes == KEY_UPDATE_REQUESTED {
                    self.update_key();
                }
            }
            _ => return Err(RecordError::Unexpected.into()),
        }
        Ok(())
    }

    /// Queues bytes, to be sealed and sent by [`Self::drive`].
    pub(crate) fn send(&mut self, plain: &[u8]) {
        let mut bytes = Vec::with_capacity(plain.len() + 1);
        bytes.extend_from_slice(plain);
        bytes.push(0);
        self.send_owned(bytes);
    }

    /// The same, without a copy: all but the last byte, which is only room. The buffer comes back by
    /// [`Self::take_emptied`].
    pub(crate) fn send_owned(&mut self, bytes: Vec<u8>) {
        let records = bytes.len().div_ceil(PLAIN_BYTES) as u64;
        if self.keys.queued + records > RECORDS_PER_KEY_MAX {
            self.update_key();
        }
        self.keys.queued += records;
        self.outgoing.push(Kind::Data, bytes, false);
    }

    fn update_key(&mut self) {
        self.outgoing.push(Kind::Handshake, [KEY_UPDATE, &[0]].concat(), true);
        self.keys.queued = 0;
    }

    /// Buffers that were sent by [`Self::send_owned`].
    pub(crate) fn take_emptied(&mut self) -> Vec<Vec<u8>> {
        self.outgoing.take_emptied()
    }

    /// Queued bytes that are not yet written to the socket.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.unsent()
    }

    /// Bytes queued, and bytes written to the socket, since the beginning, as they are on the wire.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.outgoing.queued(), self.outgoing.written())
    }

    /// Writes what is queued, within a time limit.
    pub(crate) async fn flush(&mut self, limit: Duration) -> Result<(), StreamError> {
        let all = async {
            while !self.outgoing.is_empty() {
                self.drive(false).await?;
            }
            Ok(())
        };
        timeout(limit, all).await.map_err(|_| StreamError::WriteStalled)?
    }

    /// Sends everything and an end mark, then waits until the other side has taken it: closing a socket with unread
    /// input would reset the connection and could destroy what was sent last.
    pub(crate) async fn finish(mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        self.outgoing.push(Kind::Alert, [CLOSE_NOTIFY, &[0]].concat(), false);
        if self.flush(limit).await.is_err() {
            return;
        }
        if socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        let drain = async {
            while !self.ended && self.drive(true).await.is_ok() {
                self.incoming.clear();
            }
        };
        // What comes after this is no longer of interest, nor is whether it came.
        let _ = timeout_at(deadline, drain).await;
    }
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").field("unsent", &self.unsent()).field("ended", &self.ended).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::identity::Identity;
    use crate::tls::TlsConfigs;

    /// The two ends of a connection over loopback.
    async fn pair() -> (TlsStream, TlsStream) {
        let tls = || TlsConfigs::new(&Identity::generate().unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let accepted = async { TlsStream::server(listener.accept().await.unwrap().0, tls().server).await };
        let (client, server) = tokio::join!(TlsStream::client(socket, tls().any_peer), accepted);
        (client.unwrap().0, server.unwrap().0)
    }

    /// Receives until there are so many bytes.
    async fn receive(stream: &mut TlsStream, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            if !stream.open(&mut |plain| bytes.extend_from_slice(plain)).unwrap() {
                stream.drive(true).await.unwrap();
            }
        }
        bytes
    }

    #[tokio::test]
    async fn bytes_before_and_after_a_key_update_arrive() {
        let (mut client, mut server) = pair().await;
        for turn in 0..2 {
            let (from, to) = if turn == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            from.send(b"before ");
            from.update_key();
            from.send(b"after ");
            from.keys.queued = RECORDS_PER_KEY_MAX;
            from.send(b"and by itself");
            assert_eq!(from.keys.queued, 1, "a key that has served long enough is changed");
            from.flush(Duration::from_secs(60)).await.unwrap();
            assert_eq!(receive(to, 26).await, b"before after and by itself");
            assert_eq!(to.keys.updates, 2);
        }
    }

    #[tokio::test]
    async fn a_key_update_is_answered_where_that_is_wished_for() {
        let (mut client, mut server) = pair().await;
        client.outgoing.push(Kind::Handshake, [KEY_UPDATE_REQUESTED, &[0]].concat(), true);
        client.send(b"ping");
        client.flush(Duration::from_secs(60)).await.unwrap();
        assert_eq!(receive(&mut server, 4).await, b"ping");
        server.send(b"pong");
        server.flush(Duration::from_secs(60)).await.unwrap();
        assert_eq!(receive(&mut client, 4).await, b"pong");
        assert_eq!((client.keys.updates, server.keys.updates), (1, 1));
    }

    #[tokio::test]
    async fn a_payload_lands_and_what_is_no_payload_does_not() {
        let (mut client, mut server) = pair().await;
        let payload: Vec<u8> = (0..300_000_u32).map(|i| (i >> 3) as u8).collect();
        client.send(b"head");
        client.send_owned([&payload[..], &[0]].concat());
        client.send(b"next");
        let (mut plain, mut landing) = (Vec::new(), None);
        let mut landed = None;
        while plain != b"next" {
            tokio::select! {
                driven = client.drive(false) => driven.unwrap(),
                driven = server.drive_into(true, landing.as_mut()) => driven.unwrap(),
            }
            if let Some(landing) = &mut landing {
                server.land(landing, &mut plain).unwrap();
            } else {
                while server.open(&mut |bytes| plain.extend_from_slice(bytes)).unwrap() {
                    if plain.starts_with(b"head") && landed.is_none() {
                        let buffer = crate::PooledBuf::unpooled(Vec::new());
                        let mut begun = Landing::new(buffer, payload.len());
                        assert!(begun.put(&plain[4..]).is_empty());
                        plain.clear();
                        server.begin_landing(&mut begun, &mut plain).unwrap();
                        landing = Some(begun);
                        break;
                    }
                }
            }
            if let Some(whole) = landing.take_if(|landing| landing.missing() == 0) {
                landed = Some(whole.finish());
            }
        }
        assert!(*landed.unwrap() == payload);
    }

    #[tokio::test]
    async fn the_end_comes_after_everything_before_it() {
        let (mut client, server) = pair().await;
        let mut server = server;
        server.send(b"last words");
        let finish = server.finish(Duration::from_secs(60));
        let read = async move {
            assert_eq!(receive(&mut client, 10).await, b"last words");
            loop {
                match client.open(&mut |_| {}) {
                    Ok(_) => client.drive(true).await.unwrap(),
                    Err(error) => break error,
                }
            }
        };
        let (ended, ()) = tokio::join!(read, finish);
        assert!(matches!(ended, StreamError::Ended), "{ended}");
    }
}
