//! A TLS connection over TCP that moves bytes in large portions.
//!
//! rustls does all of TLS; this module moves bytes between rustls and the socket, and bounds the bytes that wait in
//! between. It reads from the socket in large portions that go to rustls at once, and encrypts only a little ahead of
//! the socket. [`TlsStream::drive`] is the only place that waits, and dropping its future loses no byte, so each
//! connection is one task with one `select!`.

use std::cell::RefCell;
use std::io::{self, BufRead, IoSlice};
use std::net::IpAddr;
use std::sync::Arc;

use lanspread_types::PeerId;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout, timeout_at};

use crate::limits::{MESSAGE_READ_BYTES, PAYLOAD_READ_BYTES};
use crate::pool::PooledBuf;
use crate::tls::identity::peer_id_of;
use crate::tls::outgoing::{Outgoing, sealed_len};

/// Label of the channel binding `tls-exporter` (RFC 9266).
const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// Length of a channel binding in bytes.
pub(crate) const BINDING_BYTES: usize = 32;

thread_local! {
    /// Bytes between the socket and rustls. No byte stays here, so the connections of a thread share one buffer, which
    /// remains in the processor's cache.
    static WIRE: RefCell<Box<[u8]>> = RefCell::new(vec![0; PAYLOAD_READ_BYTES].into_boxed_slice());
}

/// Why a connection broke or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Fewer than `WRITE_PROGRESS_BYTES` left within `WRITE_STALL_MAX`.
    #[error("it reads too slowly")]
    WriteStalled,
    /// The other side has ended, and everything that it sent has been passed on.
    #[error("it ended the connection")]
    Ended,
}

/// A TLS connection after its handshake.
pub(crate) struct TlsStream {
    socket: TcpStream,
    tls: Box<Connection>,
    outgoing: Outgoing,
    /// Decrypted bytes that are not yet passed on.
    received: Vec<u8>,
    /// The other side will send no more.
    ended: bool,
}

impl TlsStream {
    /// Runs the handshake as the dialling side. The caller limits the time.
    pub(crate) async fn client(
        socket: TcpStream,
        config: Arc<ClientConfig>,
    ) -> Result<(Self, PeerId), StreamError> {
        // TLS clients need a name; this one is neither sent nor checked.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        Self::handshake(socket, ClientConnection::new(config, name)?.into()).await
    }

    /// Runs the handshake as the listening side. The caller limits the time.
    pub(crate) async fn server(
        socket: TcpStream,
        config: Arc<ServerConfig>,
    ) -> Result<(Self, PeerId), StreamError> {
        Self::handshake(socket, ServerConnection::new(config)?.into()).await
    }

    async fn handshake(socket: TcpStream, mut tls: Connection) -> Result<(Self, PeerId), StreamError> {
        // `Outgoing` bounds what is encrypted and not yet written.
        tls.set_buffer_limit(None);
        let (tls, outgoing) = (Box::new(tls), Outgoing::default());
        let mut stream = Self { socket, tls, outgoing, received: Vec::new(), ended: false };
        while stream.tls.is_handshaking() || stream.tls.wants_write() {
            if stream.ended {
                return Err(StreamError::Ended);
            }
            if let Err(error) = stream.drive(stream.tls.is_handshaking()).await {
                stream.send_alert().await;
                return Err(error);
            }
        }
        let key = stream.tls.peer_certificates().and_then(<[_]>::first);
        let peer = key.and_then(|spki| peer_id_of(spki)).ok_or(rustls::Error::NoCertificatesPresented)?;
        Ok((stream, peer))
    }

    /// Sends the alert that rustls may have made of a failure. This is a courtesy: the connection is lost anyway.
    async fn send_alert(&mut self) {
        while self.tls.wants_write() && self.drive(false).await.is_ok() {}
        let _ = socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write);
    }

    /// Returns 32 bytes that only the two ends of this TLS session know: `tls-exporter` of RFC 9266.
    pub(crate) fn channel_binding(&self) -> Result<[u8; BINDING_BYTES], StreamError> {
        Ok(self.tls.export_keying_material([0; BINDING_BYTES], BINDING_LABEL, None)?)
    }

    /// Waits until bytes have moved: queued bytes out and, if `read`, received bytes in. Never resolves if there is
    /// nothing to send and nothing more to read.
    pub(crate) async fn drive(&mut self, read: bool) -> Result<(), StreamError> {
        self.drive_into(read, None).await
    }

    /// Does the same as [`Self::drive`]. Received bytes go to `payload` until it is complete, and from then on to
    /// [`Self::open`].
    pub(crate) async fn drive_into(
        &mut self,
        read: bool,
        payload: Option<&mut PooledBuf>,
    ) -> Result<(), StreamError> {
        // Waiting for readiness takes none of the task's budget, and a fast connection is always ready: without this it
        // would never yield.
        tokio::task::coop::consume_budget().await;
        let write = !self.outgoing.is_empty() || self.tls.wants_write();
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
            self.read(payload)?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), StreamError> {
        self.outgoing.encrypt(&mut self.tls.writer())?;
        match self.tls.write_tls(&mut Socket(&self.socket)) {
            Ok(len) => self.outgoing.wrote(len, self.tls.wants_write()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn read(&mut self, payload: Option<&mut PooledBuf>) -> Result<(), StreamError> {
        let most = match &payload {
            // The rest of the payload takes at least this many bytes on the wire, so the read hardly goes beyond it.
            Some(payload) => sealed_len(payload.missing()).clamp(1, PAYLOAD_READ_BYTES),
            None => MESSAGE_READ_BYTES,
        };
        WIRE.with_borrow_mut(|wire| match self.socket.try_read(&mut wire[..most]) {
            Ok(0) => {
                self.ended = true;
                Ok(())
            }
            Ok(len) => self.decrypt(&wire[..len], payload),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        })
    }

    /// Gives bytes from the socket to rustls and takes out all plain text. rustls keeps at most one incomplete record.
    fn decrypt(&mut self, mut wire: &[u8], mut payload: Option<&mut PooledBuf>) -> Result<(), StreamError> {
        while !wire.is_empty() && !self.ended {
            self.tls.read_tls(&mut wire)?;
            let state = self.tls.process_new_packets()?;
            let mut left = state.plaintext_bytes_to_read();
            let mut reader = self.tls.reader();
            while left > 0 {
                let plain = reader.fill_buf()?;
                let rest = payload.as_mut().map_or(plain, |payload| payload.fill(plain));
                self.received.extend_from_slice(rest);
                let len = plain.len();
                reader.consume(len);
                left -= len;
            }
            self.ended = state.peer_has_closed();
        }
        Ok(())
    }

    /// Returns this peer's own address on the connection. An IPv4-mapped IPv6 address is returned as IPv4.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        self.socket.local_addr().ok().map(|addr| addr.ip().to_canonical())
    }

    /// Passes received bytes to `sink`. Returns false if more must arrive first, and an error if the other side has
    /// ended and everything that it sent has been passed on.
    pub(crate) fn open(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<bool, StreamError> {
        if !self.received.is_empty() {
            // Taken, not cleared, so that an idle connection keeps no buffer.
            sink(&std::mem::take(&mut self.received));
            Ok(true)
        } else if self.ended {
            Err(StreamError::Ended)
        } else {
            Ok(false)
        }
    }

    /// Queues bytes, which [`Self::drive`] encrypts and sends.
    pub(crate) fn send(&mut self, plain: &[u8]) {
        self.send_owned(plain.to_vec());
    }

    /// Does the same as [`Self::send`] with one copy less. [`Self::take_emptied`] returns the buffer if it is large.
    pub(crate) fn send_owned(&mut self, bytes: Vec<u8>) {
        self.outgoing.push(bytes);
    }

    /// Receives until `split` finds a value at the beginning of `bytes`, and leaves the bytes after it there.
    pub(crate) async fn receive<T, E, F>(
        &mut self,
        bytes: &mut Vec<u8>,
        split: impl Fn(&[u8]) -> Result<Option<(T, usize)>, E>,
    ) -> Result<T, F>
    where
        F: From<E> + From<StreamError>,
    {
        loop {
            if let Some((value, used)) = split(bytes)? {
                bytes.drain(..used);
                return Ok(value);
            }
            while !self.open(&mut |plain| bytes.extend_from_slice(plain))? {
                self.drive(true).await?;
            }
        }
    }

    /// Returns buffers that were given to [`Self::send_owned`] and are free again.
    pub(crate) fn take_emptied(&mut self) -> Vec<Vec<u8>> {
        self.outgoing.take_emptied()
    }

    /// Returns the number of queued bytes that are not yet written to the socket.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.unsent()
    }

    /// Returns the bytes queued and the bytes written to the socket since the beginning, counted as on the wire.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.outgoing.queued(), self.outgoing.written())
    }

    /// Writes all queued bytes, within a time limit.
    pub(crate) async fn flush(&mut self, limit: Duration) -> Result<(), StreamError> {
        let all = async {
            while !self.outgoing.is_empty() || self.tls.wants_write() {
                self.drive(false).await?;
            }
            Ok(())
        };
        timeout(limit, all).await.map_err(|_| StreamError::WriteStalled)?
    }

    /// Sends all queued bytes and an end mark, then waits until the other side closes, too. Closing a socket with
    /// unread input would reset the connection and could destroy the bytes sent last.
    pub(crate) async fn finish(mut self, limit: Duration) {
        let end = async {
            self.flush(limit).await?;
            self.tls.send_close_notify();
            self.flush(limit).await?;
            socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write)?;
            // Bytes that arrive from now on are of no interest.
            while !self.ended {
                self.received.clear();
                self.drive(true).await?;
            }
            Ok::<_, StreamError>(())
        };
        // Nor does it matter whether the other side closes in order and in time.
        let _ = timeout(limit, end).await;
    }
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").field("unsent", &self.unsent()).field("ended", &self.ended).finish()
    }
}

/// Lets rustls write to the socket as long as that takes bytes.
struct Socket<'a>(&'a TcpStream);

impl io::Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    use rustls::ConnectionTrafficSecrets;
    use rustls::crypto::CryptoProvider;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::pool::Pool;
    use crate::tls::config::TlsConfigs;
    use crate::tls::identity::Identity;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn tls() -> TlsConfigs {
        TlsConfigs::new(&Identity::generate().unwrap()).unwrap()
    }

    /// Returns the two ends of a connection over loopback.
    async fn pair_with(config: Arc<ClientConfig>) -> (TlsStream, TlsStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let accepted = async { TlsStream::server(listener.accept().await.unwrap().0, tls().server).await };
        let (client, server) = tokio::join!(TlsStream::client(socket, config), accepted);
        (client.unwrap().0, server.unwrap().0)
    }

    async fn pair() -> (TlsStream, TlsStream) {
        pair_with(tls().any_peer).await
    }

    /// Receives until at least `len` bytes have arrived.
    async fn receive(stream: &mut TlsStream, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            if !stream.open(&mut |plain| bytes.extend_from_slice(plain)).unwrap() {
                stream.drive(true).await.unwrap();
            }
        }
        bytes
    }

    async fn receive_error(stream: &mut TlsStream) -> StreamError {
        loop {
            if let Err(error) = stream.open(&mut |_| {}) {
                return error;
            }
            if let Err(error) = stream.drive(true).await {
                return error;
            }
        }
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i as u32).wrapping_mul(0x9E37_79B9).to_be_bytes()[1]).collect()
    }

    #[tokio::test]
    async fn channel_binding_is_unique_to_each_session() {
        let tls = tls();
        let mut seen = Vec::new();
        for suite in tls.any_peer.crypto_provider().cipher_suites.iter().filter(|s| s.tls13().is_some()) {
            let provider =
                CryptoProvider { cipher_suites: vec![*suite], ..(**tls.any_peer.crypto_provider()).clone() };
            let config = Arc::new(tls.with_provider(Arc::new(provider)).unwrap());
            let (client, server) = pair_with(config).await;
            let binding = client.channel_binding().unwrap();
            assert_eq!(binding, server.channel_binding().unwrap(), "{:?}", suite.suite());
            seen.push(binding);
        }
        let sessions = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert!(sessions >= 3 && seen.len() == sessions);
    }

    #[tokio::test]
    async fn bytes_before_and_after_a_key_update_arrive() {
        let (mut client, mut server) = pair().await;
        for turn in 0..2 {
            let (from, to) = if turn == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            from.send(b"before ");
            from.flush(PATIENCE).await.unwrap();
            from.tls.refresh_traffic_keys().unwrap();
            from.send(b"after");
            from.flush(PATIENCE).await.unwrap();
            assert_eq!(receive(to, 12).await, b"before after");
            to.send(b"answer");
            to.flush(PATIENCE).await.unwrap();
            assert_eq!(receive(from, 6).await, b"answer", "with the key that was asked for");
            let (queued, written) = from.progress();
            assert_eq!((queued, from.unsent()), (written, 0), "an update is no content");
        }
    }

    #[tokio::test]
    async fn payload_fills_its_buffer_and_the_rest_is_kept() {
        let (mut client, mut server) = pair().await;
        let pool = Pool::new(64 << 20, 0);
        for len in [1, 16_384, 16_385, 300_000, 5 << 20] {
            let payload = pattern(len);
            client.send_owned(payload.clone());
            client.send(b"next");
            let mut buffer = pool.take(len).await;
            while buffer.missing() > 0 {
                tokio::select! {
                    driven = client.drive(false) => driven.unwrap(),
                    driven = server.drive_into(true, Some(&mut buffer)) => driven.unwrap(),
                }
            }
            assert!(buffer[..] == payload, "{len}");
            let sent = async {
                client.flush(PATIENCE).await.unwrap();
                std::future::pending::<()>().await;
            };
            tokio::select! {
                rest = receive(&mut server, 4) => assert_eq!(rest, b"next", "{len}"),
                () = sent => {}
            }
        }
    }

    #[tokio::test]
    async fn encrypted_unsent_bytes_stay_bounded() {
        let (mut client, _server) = pair().await;
        client.send_owned(pattern(64 << 20));
        // The server does not read, so the socket fills up.
        while timeout(Duration::from_millis(200), client.drive(false)).await.is_ok() {}
        let (_, written) = client.progress();
        assert!(written > 0 && client.unsent() > (32 << 20), "{written}");
        let encrypted = std::iter::from_fn(|| Some(client.tls.write_tls(&mut io::sink()).unwrap()))
            .take_while(|len| *len > 0)
            .sum::<usize>();
        let bound = crate::limits::ENCRYPTED_AHEAD_BYTES + sealed_len(1 << 14);
        assert!(encrypted < bound, "{encrypted}");
    }

    #[tokio::test]
    async fn end_comes_after_all_data() {
        let (mut client, mut server) = pair().await;
        server.send(b"last words");
        let finish = server.finish(PATIENCE);
        let read = async move {
            assert_eq!(receive(&mut client, 10).await, b"last words");
            receive_error(&mut client).await
        };
        let (ended, ()) = tokio::join!(read, finish);
        assert!(matches!(ended, StreamError::Ended), "{ended}");
    }

    #[tokio::test]
    async fn handshake_that_fails_says_why() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let other = Identity::generate().unwrap().peer_id();
        let config = tls().only_peer(other).unwrap();
        let accepted = async { TlsStream::server(listener.accept().await.unwrap().0, tls().server).await };
        let (client, server) = tokio::join!(TlsStream::client(socket, config), accepted);
        let (client, server) = (client.unwrap_err(), server.unwrap_err());
        assert!(client.to_string().contains(crate::tls::config::OTHER_PEER), "{client}");
        assert!(matches!(server, StreamError::Tls(rustls::Error::AlertReceived(_))), "{server}");
    }

    /// A client that makes its own records, after a handshake by rustls.
    struct Forger {
        socket: TcpStream,
        key: LessSafeKey,
        iv: [u8; 12],
        sequence: u64,
    }

    impl Forger {
        async fn meet() -> (Self, TlsStream) {
            let mut config = (*tls().any_peer).clone();
            config.enable_secret_extraction = true;
            let (client, server) = pair_with(Arc::new(config)).await;
            let Connection::Client(tls) = *client.tls else { panic!("it dialled") };
            let (sequence, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
            let (algorithm, key, iv) = match &secrets {
                ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
                ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
                _ => panic!("no suite that is preferred anywhere"),
            };
            let key = LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).unwrap());
            let iv = iv.as_ref().try_into().unwrap();
            (Self { socket: client.socket, key, iv, sequence }, server)
        }

        /// Sends application data with `padding` zeros after its type (RFC 8446, section 5.4).
        async fn send(&mut self, content: &[u8], padding: usize) {
            let mut inner = [content, &[23], &vec![0; padding]].concat();
            let len = (inner.len() + 16) as u16;
            let head = [&[23, 3, 3][..], &len.to_be_bytes()].concat();
            let mut nonce = self.iv;
            for (byte, number) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
                *byte ^= number;
            }
            self.sequence += 1;
            let nonce = Nonce::assume_unique_for_key(nonce);
            self.key.seal_in_place_append_tag(nonce, Aad::from(&head), &mut inner).unwrap();
            self.socket.write_all(&[head, inner].concat()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn full_records_are_accepted_padded_or_not() {
        let (mut forger, mut server) = Forger::meet().await;
        let full = pattern(1 << 14);
        forger.send(&full, 0).await;
        forger.send(b"little", (1 << 14) - 6).await;
        let received = receive(&mut server, full.len() + 6).await;
        assert!(received[..full.len()] == full && received[full.len()..] == *b"little");
    }

    #[tokio::test]
    async fn oversized_records_are_refused() {
        for (content, padding) in
            [(1 << 14, 1), (6, (1 << 14) - 5), (16, 230 + (1 << 14)), ((1 << 14) + 1, 0)]
        {
            let (mut forger, mut server) = Forger::meet().await;
            forger.send(&pattern(content), padding).await;
            let error = receive_error(&mut server).await;
            let oversized = matches!(error, StreamError::Tls(rustls::Error::PeerSentOversizedRecord));
            assert!(oversized, "{content} bytes and {padding} of padding: {error}");
        }
    }

    #[tokio::test]
    async fn forged_records_are_refused() {
        let (mut forger, mut server) = Forger::meet().await;
        forger.sequence += 1;
        forger.send(b"out of turn", 0).await;
        let error = receive_error(&mut server).await;
        assert!(matches!(error, StreamError::Tls(rustls::Error::DecryptError)), "{error}");
    }
}
