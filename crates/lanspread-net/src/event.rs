//! What the network reports, and the words it uses.

use std::net::{IpAddr, SocketAddr};

use lanspread_proto::DecodeError;
use lanspread_types::message::{Hello, Message, Refusal, Request, RequestId};
use lanspread_types::{ChunkIndex, PartyMismatch, PeerId, Sighting, Subnet};

use crate::pool::PooledBuf;

/// A control connection; a number is never used twice by an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnKey(pub u64);

/// A data connection on which another peer asks us; a number is never used twice by an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(pub u64);

/// Something happened. Events of one connection come in order.
#[derive(Debug)]
pub enum NetEvent {
    /// A control connection stands: the peer has proven its key and said hello. Exactly one `Closed` follows.
    Connected {
        conn: ConnKey,
        peer: PeerId,
        hello: Hello,
        /// Where the peer accepts connections: the address that was dialled, or the one it came from with the port
        /// that its hello states.
        addr: SocketAddr,
        /// This peer's own address on the connection, if the system tells it.
        local_ip: Option<IpAddr>,
        /// We dialled, they accepted.
        dialled: bool,
    },
    /// Somebody speaks another protocol version. For a dial this is its end.
    Incompatible {
        addr: SocketAddr,
        peer: PeerId,
        theirs: u16,
        dialled: bool,
    },
    /// Somebody is no guest of this party, or we are none of theirs. For a dial this is its end.
    OtherParty {
        addr: SocketAddr,
        peer: PeerId,
        mismatch: PartyMismatch,
        dialled: bool,
    },
    /// Somebody did what no peer does, and its connection has ended. Not every such thing is reported when there are
    /// many.
    Misbehaved {
        /// Where it came from, or where it listens.
        addr: SocketAddr,
        /// Who it is, if it proved that.
        peer: Option<PeerId>,
        how: Misbehaviour,
    },
    DialFailed {
        addr: SocketAddr,
        failure: DialFailure,
    },
    /// None of a peer's addresses led to it; each with what was found there.
    PeerDialFailed {
        peer: PeerId,
        failures: Vec<(SocketAddr, DialFailure)>,
    },
    /// A peer's listener answered there, with its key.
    Reached {
        peer: PeerId,
        addr: SocketAddr,
    },
    /// Somebody was heard of. Nothing of it is proven.
    Sighted(Sighting),
    /// The networks that this machine is in: at the start of discovery and whenever they change.
    Subnets(Vec<Subnet>),
    Closed {
        conn: ConnKey,
        reason: CloseReason,
    },
    Message {
        conn: ConnKey,
        message: Message,
    },

    /// Somebody asks us. To be answered once with `serve_*` or `refuse`, except for `Request::Cancel`.
    Requested {
        link: LinkKey,
        peer: PeerId,
        request: Request,
    },
    /// An answer given by `serve_*` is in the socket's hands with this many bytes of payload, or has failed.
    Served {
        link: LinkKey,
        id: RequestId,
        bytes: u64,
        ok: bool,
    },
    /// The last event of a link; unanswered requests need no answer any more.
    LinkClosed {
        link: LinkKey,
    },

    /// The source has chosen this chunk; its [`Payload`] or `RequestFailed` follows.
    ChunkStarted {
        peer: PeerId,
        id: RequestId,
        chunk: ChunkIndex,
        len: u32,
    },
    /// A source has begun to send a manifest; its [`Payload`] or `RequestFailed` follows.
    ManifestStarted {
        peer: PeerId,
        id: RequestId,
        len: u32,
    },
    /// No payload will come for this request.
    RequestFailed {
        peer: PeerId,
        id: RequestId,
        failure: RequestFailure,
    },
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaviour {
    #[error("it does not speak the protocol: {0}")]
    NotAPeer(String),
    #[error("it broke the protocol: {0}")]
    Protocol(String),
    #[error("it was too slow: {0}")]
    TooSlow(&'static str),
    #[error("it opened too many connections")]
    TooManyConnections,
}

/// Why a dial did not lead to a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    #[error("nothing answers there: {0}")]
    Unreachable(String),
    #[error("no answer within the time limit")]
    TimedOut,
    #[error("that is this very peer")]
    OwnAddress,
    #[error("whatever answers there is not a lanspread peer: {0}")]
    NotAPeer(String),
    #[error("another peer answers there")]
    OtherPeer,
}

/// Why a control connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer said goodbye.
    #[error("it said goodbye")]
    Goodbye,
    /// The connection broke, or the peer ended it without a word.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The peer does not take what is sent to it.
    #[error("it reads too slowly")]
    TooSlow,
    #[error("it broke the protocol: {0}")]
    Protocol(DecodeError),
    /// We closed it, by `close` or `shutdown`.
    #[error("this peer closed it")]
    Local,
}

/// Why no payload comes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    #[error("{0}")]
    Refused(Refusal),
    #[error("the data connection failed: {0}")]
    Lost(String),
}

/// The whole answer to a request, not yet verified.
#[derive(Debug)]
pub struct Payload {
    pub peer: PeerId,
    pub id: RequestId,
    pub what: PayloadKind,
    pub bytes: PooledBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    Chunk(ChunkIndex),
    Manifest,
}
