//! A TLS connection over TCP that moves bytes in large portions.
//!
//! rustls works on our buffers: what the socket gives is read in one go into `incoming`, where records are opened; what
//! is sealed collects in `outgoing` and is written in one go. [`TlsStream::drive`] is the only place that waits, and
//! it may be dropped at any time without losing a byte, so each connection is one task with one `select!`.

use std::io;
use std::sync::Arc;

use lanspread_types::PeerId;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ClientConfig, ServerConfig};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::identity::peer_id_of;
use crate::limits::{WRITE_PROGRESS_BYTES, WRITE_STALL_MAX};

/// A record carries up to this much (RFC 8446, section 5.1), and this many bytes around it.
const RECORD_PLAIN_BYTES: usize = 16 << 10;
const RECORD_OVERHEAD_BYTES: usize = 5 + 1 + 16;
/// Memory of an emptied buffer that is worth keeping.
const IDLE_BUFFER_BYTES: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("it reads too slowly")]
    WriteStalled,
    #[error("it ended the connection")]
    Ended,
}

enum Tls {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

pub(crate) struct TlsStream {
    socket: TcpStream,
    tls: Tls,
    incoming: Incoming,
    outgoing: Outgoing,
    /// Opened while something was sealed, and not yet passed on.
    opened: Vec<u8>,
    /// The other side will send no more.
    ended: bool,
    /// TLS has failed.
    broken: bool,
}

/// What to do when rustls is ready to write.
#[derive(Clone, Copy)]
enum Want<'a> {
    Nothing,
    Seal(&'a [u8]),
    CloseNotify,
}

/// What rustls wants next.
enum Step {
    /// Go on.
    Again,
    /// More bytes from the socket.
    Input,
    /// A record was opened.
    Plain,
    /// What was wanted is sealed.
    Sealed,
}

impl TlsStream {
    /// `name` is nowhere shown or checked; TLS clients need one.
    pub(crate) fn client(
        socket: TcpStream,
        config: Arc<ClientConfig>,
        read_bytes: usize,
    ) -> Result<Self, StreamError> {
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let tls = Tls::Client(Box::new(UnbufferedClientConnection::new(config, name)?));
        Ok(Self::new(socket, tls, read_bytes))
    }

    pub(crate) fn server(
        socket: TcpStream,
        config: Arc<ServerConfig>,
        read_bytes: usize,
    ) -> Result<Self, StreamError> {
        let tls = Tls::Server(Box::new(UnbufferedServerConnection::new(config)?));
        Ok(Self::new(socket, tls, read_bytes))
    }

    fn new(socket: TcpStream, tls: Tls, read_bytes: usize) -> Self {
        Self {
            socket,
            tls,
            incoming: Incoming::new(read_bytes),
            outgoing: Outgoing::default(),
            opened: Vec::new(),
            ended: false,
            broken: false,
        }
    }

    /// Runs the handshake. The caller limits the time. What the dialling side says right after its last handshake
    /// message may come with it, and is kept.
    pub(crate) async fn handshake(&mut self) -> Result<PeerId, StreamError> {
        loop {
            let mut opened = std::mem::take(&mut self.opened);
            let step = self.step(Want::Nothing, &mut |plain| opened.extend_from_slice(plain));
            self.opened = opened;
            match step {
                Ok(Step::Again) => {}
                Ok(_) if !self.is_handshaking() => return self.peer_id(),
                Ok(_) if self.ended => return Err(StreamError::Ended),
                Ok(_) => self.drive(true).await?,
                Err(error) => {
                    self.send_alert().await;
                    return Err(error);
                }
            }
        }
    }

    fn is_handshaking(&self) -> bool {
        match &self.tls {
            Tls::Client(tls) => tls.is_handshaking(),
            Tls::Server(tls) => tls.is_handshaking(),
        }
    }

    fn peer_id(&self) -> Result<PeerId, StreamError> {
        let keys = match &self.tls {
            Tls::Client(tls) => tls.peer_certificates(),
            Tls::Server(tls) => tls.peer_certificates(),
        };
        let key = keys.and_then(<[_]>::first).and_then(|spki| peer_id_of(spki));
        key.ok_or(StreamError::Tls(rustls::Error::NoCertificatesPresented))
    }

    /// Waits until bytes have moved: those sealed out, and, if `read`, others in. Ready at once if only reading is
    /// possible and the other side has ended.
    pub(crate) async fn drive(&mut self, read: bool) -> Result<(), StreamError> {
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
            match self.socket.try_write(self.outgoing.unsent()) {
                Ok(len) => self.outgoing.sent(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if read && ready.is_readable() {
            match self.socket.try_read(self.incoming.room()) {
                Ok(0) => self.ended = true,
                Ok(len) => self.incoming.filled(len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
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
            match self.step(Want::Nothing, sink)? {
                Step::Again => {}
                Step::Plain => return Ok(true),
                Step::Input if self.ended => return Err(StreamError::Ended),
                Step::Input | Step::Sealed => return Ok(false),
            }
        }
    }

    /// Seals bytes into the outgoing buffer, to be sent by [`Self::drive`].
    pub(crate) fn seal(&mut self, plain: &[u8]) -> Result<(), StreamError> {
        self.write(Want::Seal(plain))
    }

    /// rustls lets us write only after it has looked at all input, so records that are opened on the way are kept.
    fn write(&mut self, want: Want<'_>) -> Result<(), StreamError> {
        let mut opened = std::mem::take(&mut self.opened);
        let result = loop {
            match self.step(want, &mut |plain| opened.extend_from_slice(plain)) {
                Ok(Step::Again | Step::Plain) => {}
                Ok(Step::Sealed) => break Ok(()),
                Ok(Step::Input) => break Err(StreamError::Ended),
                Err(error) => break Err(error),
            }
        };
        self.opened = opened;
        result
    }

    /// rustls must not be asked again after an error.
    fn step(&mut self, want: Want<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<Step, StreamError> {
        if self.broken {
            return Err(StreamError::Ended);
        }
        let step = self.step_unchecked(want, sink);
        self.broken = step.is_err();
        step
    }

    fn step_unchecked(&mut self, want: Want<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<Step, StreamError> {
        let input = self.incoming.unread();
        let (discard, step) = match &mut self.tls {
            Tls::Client(tls) => step(tls.process_tls_records(input), &mut self.outgoing, want, sink),
            Tls::Server(tls) => step(tls.process_tls_records(input), &mut self.outgoing, want, sink),
        };
        self.incoming.discard(discard);
        Ok(step?.unwrap_or_else(|| {
            self.ended = true;
            Step::Again
        }))
    }

    /// Gives back memory; to be called when nothing is to be sent for now.
    pub(crate) fn rest(&mut self) {
        self.outgoing.shrink();
    }

    /// Sealed bytes that are not yet written to the socket.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.unsent().len()
    }

    /// Bytes sealed, and bytes written to the socket, since the beginning.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.outgoing.written + self.unsent() as u64, self.outgoing.written)
    }

    /// Writes what is sealed, within a time limit.
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
        if self.write(Want::CloseNotify).is_err() || self.flush(limit).await.is_err() {
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

    /// After a failed handshake rustls holds one alert, at most, that tells the other side why.
    async fn send_alert(&mut self) {
        let _ = self.step_unchecked(Want::Nothing, &mut |_| {});
        // It is a courtesy: the connection is lost anyway.
        let _ = self.flush(Duration::from_millis(200)).await;
        let _ = socket2::SockRef::from(&self.socket).shutdown(std::net::Shutdown::Write);
    }
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream").field("unsent", &self.unsent()).field("ended", &self.ended).finish()
    }
}

/// Handles one state of rustls; also tells how many bytes of the input are used up. `None` instead of a step: the other
/// side has said that it is done.
fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    outgoing: &mut Outgoing,
    want: Want<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> (usize, Result<Option<Step>, rustls::Error>) {
    let mut discard = status.discard;
    let state = match status.state {
        Ok(state) => state,
        Err(error) => return (discard, Err(error)),
    };
    let step = match state {
        ConnectionState::EncodeTlsData(mut data) => {
            outgoing.fill(RECORD_PLAIN_BYTES, |room| match data.encode(room) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    Err(required_size)
                }
                // It is in the buffer already.
                Err(EncodeError::AlreadyEncoded) => Ok(0),
                Ok(len) => Ok(len),
            });
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
                        sink(record.payload);
                    }
                    Err(error) => return (discard, Err(error)),
                }
            }
            Step::Plain
        }
        ConnectionState::WriteTraffic(traffic) => match write(traffic, outgoing, want) {
            Ok(step) => step,
            Err(error) => return (discard, Err(error)),
        },
        ConnectionState::BlockedHandshake => Step::Input,
        // Early data is switched off, so whatever else there is is the end, or beyond us.
        _ => return (discard, Ok(None)),
    };
    (discard, Ok(Some(step)))
}

fn write<Data>(
    mut traffic: WriteTraffic<'_, Data>,
    outgoing: &mut Outgoing,
    want: Want<'_>,
) -> Result<Step, rustls::Error> {
    let mut exhausted = false;
    let mut outcome = |result| match result {
        Ok(len) => Ok(len),
        Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => Err(required_size),
        Err(EncryptError::EncryptExhausted) => {
            exhausted = true;
            Ok(0)
        }
    };
    match want {
        Want::Nothing => return Ok(Step::Input),
        Want::CloseNotify => {
            outgoing.fill(RECORD_PLAIN_BYTES, |room| outcome(traffic.queue_close_notify(room)));
        }
        Want::Seal(plain) => {
            let records = plain.len().div_ceil(RECORD_PLAIN_BYTES);
            let sealed = plain.len() + records * RECORD_OVERHEAD_BYTES;
            outgoing.fill(sealed, |room| outcome(traffic.encrypt(plain, room)));
        }
    }
    if exhausted { Err(rustls::Error::EncryptError) } else { Ok(Step::Sealed) }
}

/// Bytes from the socket that are not yet opened.
struct Incoming {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Incoming {
    /// At least one whole record must fit.
    fn new(bytes: usize) -> Self {
        Self { buffer: vec![0; bytes.max(2 * RECORD_PLAIN_BYTES)].into_boxed_slice(), start: 0, end: 0 }
    }

    fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    fn discard(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Room for the socket to write into; never empty, because what is unread is less than a record whenever more is
    /// asked for.
    fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    fn filled(&mut self, len: usize) {
        self.end += len;
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

/// Sealed bytes on their way to the socket.
#[derive(Default)]
struct Outgoing {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that the socket has taken since the beginning.
    written: u64,
    /// When the unsent bytes were last found to move, and how much the socket had taken by then.
    moved: Option<(Instant, u64)>,
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn unsent(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Room for at least `len` bytes after the unsent ones.
    fn room(&mut self, len: usize) -> &mut [u8] {
        if self.start > 0 && self.buffer.len() - self.end < len {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < len {
            self.buffer.resize(self.end + len, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// Lets `write` fill some of at least `len` bytes of room; it may ask for more by an error.
    fn fill(&mut self, mut len: usize, mut write: impl FnMut(&mut [u8]) -> Result<usize, usize>) {
        let filled = loop {
            match write(self.room(len)) {
                Ok(filled) => break filled,
                Err(required) => len = required,
            }
        };
        self.end += filled;
        if filled > 0 && self.moved.is_none() {
            self.moved = Some((Instant::now(), self.written));
        }
    }

    fn sent(&mut self, len: usize) {
        self.start += len;
        self.written += len as u64;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            self.moved = None;
        } else if self.moved.is_some_and(|(_, before)| self.written - before >= WRITE_PROGRESS_BYTES) {
            self.moved = Some((Instant::now(), self.written));
        }
    }

    /// When the other side counts as one that does not read.
    fn stalled_at(&self) -> Option<Instant> {
        self.moved.map(|(at, _)| at + WRITE_STALL_MAX)
    }

    /// Gives back the memory of a burst.
    fn shrink(&mut self) {
        if self.is_empty() && self.buffer.len() > IDLE_BUFFER_BYTES {
            self.buffer = Vec::new();
        }
    }
}
