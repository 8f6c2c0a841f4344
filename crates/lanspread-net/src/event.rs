//! Events that an endpoint reports, and the types that they carry.
//!
//! Events of one connection come in order. `Closed` is the last event of a control connection, `LinkClosed` that of an
//! inbound data connection.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lanspread_types::message::{Hello, Message, Request, RequestId};
use lanspread_types::{
    ChunkIndex, CloseReason, ConnId, DialFailure, LinkId, PartyMismatch, PeerId, RefusalCause,
    RequestFailure, Sighting, Subnet,
};

use crate::pool::PooledBuf;

/// An event of the network. Events of one connection come in order.
#[derive(Debug)]
pub enum NetEvent {
    /// A control connection is established: the peer has proved its key and said hello. Exactly one `Closed` follows.
    Connected {
        /// Number of the new connection.
        conn: ConnId,
        /// The proved key of the peer.
        peer: PeerId,
        /// What the peer states about itself.
        hello: Hello,
        /// Where the peer accepts connections: the address that was dialled, or the address it came from with the port
        /// that its hello states.
        addr: SocketAddr,
        /// This peer's own address on the connection, if the system tells it.
        local_ip: Option<IpAddr>,
        /// True if we dialled and the peer accepted.
        dialled: bool,
    },
    /// A peer speaks another protocol version. A dial ends with this event.
    Incompatible {
        /// Where the peer accepts connections.
        addr: SocketAddr,
        /// The proved key of the peer.
        peer: PeerId,
        /// The peer's protocol version.
        theirs: u16,
        /// True if we dialled.
        dialled: bool,
    },
    /// A peer is not a guest of our party, or we are not a guest of its party. A dial ends with this event.
    OtherParty {
        /// Where the peer accepts connections.
        addr: SocketAddr,
        /// The proved key of the peer.
        peer: PeerId,
        /// Why the two peers do not meet.
        mismatch: PartyMismatch,
        /// True if we dialled.
        dialled: bool,
    },
    /// A peer, or a program that is not a peer, broke the protocol, and its connection ends. These events are
    /// rate-limited, except for an established control connection: its event is always reported, and `Closed` follows.
    Misbehaved {
        /// Where the connection came from, or the listener that we dialled.
        addr: SocketAddr,
        /// The key of the peer, if it proved one.
        peer: Option<PeerId>,
        /// What it did; never [`RefusalCause::Party`] or [`RefusalCause::BadData`].
        how: RefusalCause,
    },
    /// A dial by `Endpoint::dial` has failed.
    DialFailed {
        /// The address that was dialled.
        addr: SocketAddr,
        /// What was found there.
        failure: DialFailure,
    },
    /// None of a peer's addresses led to it.
    PeerDialFailed {
        /// The peer that was dialled.
        peer: PeerId,
        /// What was found at each address, for people to read.
        reason: String,
    },
    /// The listener of a probed peer answered and proved its key.
    Reached {
        /// The probed peer.
        peer: PeerId,
        /// Where it answered.
        addr: SocketAddr,
    },
    /// Discovery heard of a peer. Nothing in the sighting is proven.
    Sighted(Sighting),
    /// The networks that this machine is in, at the start of discovery and whenever they change.
    Subnets(Vec<Subnet>),
    /// The last event of a control connection.
    Closed {
        /// The connection that ended.
        conn: ConnId,
        /// Why it ended.
        reason: CloseReason,
    },
    /// A message arrived on a control connection.
    Message {
        /// The connection that it came by.
        conn: ConnId,
        /// The message, decoded and within its bounds.
        message: Message,
    },

    /// Another peer sent a request. Each of its ids must be answered once, by `serve_*` or `refuse`. A
    /// `Request::Cancel` has no id that needs an answer.
    Requested {
        /// The inbound data connection, which the answer names.
        link: LinkId,
        /// The proved key of the receiver.
        peer: PeerId,
        /// The request, decoded and within its bounds.
        request: Request,
    },
    /// The socket has taken the whole of an answer that `serve_*` gave, or the answer has failed.
    Served {
        /// The inbound data connection.
        link: LinkId,
        /// The id that was answered.
        id: RequestId,
        /// Length of the payload in bytes; 0 if it failed.
        bytes: u64,
        /// True if the whole answer was sent.
        ok: bool,
    },
    /// The last event of an inbound data connection. Requests that are still unanswered need no answer any more.
    LinkClosed {
        /// The connection that ended.
        link: LinkId,
    },

    /// A source has begun to send a chunk. Its [`Payload`] or `RequestFailed` follows.
    ChunkStarted {
        /// The source.
        peer: PeerId,
        /// The id of our request.
        id: RequestId,
        /// The requested chunk.
        chunk: ChunkIndex,
    },
    /// A source has begun to send a manifest. Its [`Payload`] or `RequestFailed` follows.
    ManifestStarted {
        /// The source.
        peer: PeerId,
        /// The id of our request.
        id: RequestId,
        /// Length of the encoded manifest in bytes, as the source states it.
        bytes: u64,
    },
    /// No payload will come for this request.
    RequestFailed {
        /// The source.
        peer: PeerId,
        /// The id of our request.
        id: RequestId,
        /// Why it failed.
        failure: RequestFailure,
    },
}

/// Value that the endpoint's caller attaches to a request. It comes back with the payload; this crate never looks into
/// it.
pub type Context = Arc<dyn Any + Send + Sync>;

/// A request on its way to a source, with its context.
pub(crate) type Asked = Box<(Request, Context)>;

/// The whole answer to a request, not yet verified.
#[derive(Debug)]
pub struct Payload {
    /// The source.
    pub peer: PeerId,
    /// The id of our request.
    pub id: RequestId,
    /// What the bytes are; always what was requested.
    pub what: PayloadKind,
    /// The bytes, as the source sent them.
    pub bytes: PooledBuf,
    /// What was attached to the request.
    pub context: Context,
}

/// Kind of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// The bytes of one chunk.
    Chunk(ChunkIndex),
    /// An encoded manifest.
    Manifest,
}
