//! A control connection: messages in both directions, in order, until one side ends it.
//!
//! The task sends the frames of its [`Outbox`] and reports each message that arrives. `Connected` is the first event of
//! a connection and `Closed` the last. If the connection ends because the peer broke the protocol or was too slow,
//! `Misbehaved` comes just before `Closed`.

use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_proto::{DecodeError, Decoder};
use lanspread_types::message::Message;
use lanspread_types::{CloseReason, ConnId, RefusalCause};
use tokio::time::Instant;

use crate::connect::handshake::Greeted;
use crate::event::NetEvent;
use crate::inbox::{Outbox, Phase, lock};
use crate::limits::{CLOSE_TIME_MAX, OUTGOING_LOW_BYTES};
use crate::shared::Shared;
use crate::tasks::{Stop, sleep_until};
use crate::tls::tls_stream::{StreamError, TlsStream};

/// Runs the connection until it ends, and reports its beginning and its end.
pub(crate) async fn run(shared: Arc<Shared>, greeted: Greeted, addr: SocketAddr, dialled: bool) {
    let mut stop = shared.tasks.stop_signal();
    let conn = ConnId(shared.next_key());
    let outbox = Arc::new(Outbox::default());
    lock(&shared.routes.conns).insert(conn, Arc::clone(&outbox));
    let Greeted { stream, peer, hello, rest } = greeted;
    let local_ip = stream.local_ip();
    shared.report(&mut stop, NetEvent::Connected { conn, peer, hello, addr, local_ip, dialled }).await;

    let mut decoder = Decoder::new();
    decoder.push(&rest);
    let mut control = Control { shared: &shared, stop, conn, stream, decoder, said_goodbye: false };
    let end = control.converse(&outbox).await;
    let Control { mut stop, stream, .. } = control;

    lock(&shared.routes.conns).remove(&conn);
    tracing::debug!(conn = conn.0, %end, "connection closed");
    if let Some(how) = end.offence() {
        shared.report(&mut stop, NetEvent::Misbehaved { addr, peer: Some(peer), how }).await;
    }
    shared.report(&mut stop, NetEvent::Closed { conn, reason: end.reason() }).await;
    if matches!(end, End::Local | End::Goodbye) {
        stream.finish(CLOSE_TIME_MAX).await;
    }
}

/// Why the connection ended, with the details.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it said goodbye")]
    Goodbye,
    /// The connection broke, or the peer ended it without a goodbye.
    #[error("the connection was lost: {0}")]
    Lost(StreamError),
    /// More bytes waited for the peer than the queue holds, or it took none for too long.
    #[error("it does not take what is sent to it")]
    TooSlow,
    #[error("it broke the protocol: {0}")]
    Protocol(DecodeError),
    #[error("this peer closed it")]
    Local,
}

impl End {
    fn reason(&self) -> CloseReason {
        match self {
            Self::Goodbye => CloseReason::Goodbye,
            Self::Lost(_) => CloseReason::Lost,
            Self::TooSlow => CloseReason::Silent,
            Self::Protocol(_) => CloseReason::ProtocolError,
            Self::Local => CloseReason::Leaving,
        }
    }

    /// Returns the peer's offence if it is to blame for the end.
    fn offence(&self) -> Option<RefusalCause> {
        match self {
            Self::TooSlow => Some(RefusalCause::TooSlow(self.to_string())),
            Self::Protocol(error) => Some(RefusalCause::Protocol(error.to_string())),
            Self::Goodbye | Self::Lost(_) | Self::Local => None,
        }
    }
}

/// State of the connection's task.
struct Control<'a> {
    shared: &'a Shared,
    stop: Stop,
    conn: ConnId,
    stream: TlsStream,
    decoder: Decoder<Message>,
    /// True once the peer has said goodbye. However the connection ends after that, the end counts as a goodbye.
    said_goodbye: bool,
}

impl Control<'_> {
    async fn converse(&mut self, outbox: &Outbox) -> End {
        // Deadline for sending what is queued, once the connection is closing.
        let mut close_by: Option<Instant> = None;
        loop {
            if let Err(end) = self.pass_messages_on(outbox).await {
                return end;
            }
            if self.stream.unsent() < OUTGOING_LOW_BYTES {
                let (bytes, phase) = outbox.take(OUTGOING_LOW_BYTES);
                self.stream.send(&bytes);
                match phase {
                    Phase::Open => {}
                    Phase::Overflowed => return End::TooSlow,
                    Phase::Closing if self.stream.unsent() == 0 => return End::Local,
                    Phase::Closing => close_by = close_by.or_else(|| Some(Instant::now() + CLOSE_TIME_MAX)),
                }
            }
            tokio::select! {
                driven = self.stream.drive(true) => {
                    if let Err(error) = driven {
                        return self.end_by(error);
                    }
                }
                () = outbox.changed() => {}
                () = sleep_until(close_by) => return End::Local,
                () = self.stop.stopped(), if close_by.is_none() => {
                    outbox.close(true);
                    close_by = Some(Instant::now() + CLOSE_TIME_MAX);
                }
            }
        }
    }

    /// Decodes what has arrived and reports each message. Once the connection is closing, messages are decoded but
    /// dropped, because the peer may have sent many more.
    async fn pass_messages_on(&mut self, outbox: &Outbox) -> Result<(), End> {
        loop {
            while let Some(message) = self.decoder.next().map_err(End::Protocol)? {
                self.said_goodbye |= message == Message::Goodbye;
                if outbox.is_ending() {
                    continue;
                }
                if let (Message::Introduce { peers }, Some(door)) = (&message, &self.shared.local.door) {
                    door.guesses.introduced(peers.iter().map(|introduced| introduced.peer));
                }
                let event = NetEvent::Message { conn: self.conn, message };
                self.shared.report(&mut self.stop, event).await;
            }
            let decoder = &mut self.decoder;
            match self.stream.open(&mut |plain| decoder.push(plain)) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => return Err(self.end_by(error)),
            }
        }
    }

    /// Returns why the connection ended, given the error of its stream.
    fn end_by(&self, error: StreamError) -> End {
        match error {
            _ if self.said_goodbye => End::Goodbye,
            StreamError::WriteStalled => End::TooSlow,
            StreamError::Ended | StreamError::Io(_) | StreamError::Tls(_) => End::Lost(error),
        }
    }
}
