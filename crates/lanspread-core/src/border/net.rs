//! Words of the network that the node reads and writes: connections, what came over them, and how they fail.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lanspread_types::message::{Hello, Message, Request, RequestId};
use lanspread_types::{ChunkIndex, GameContent, PeerId, Sighting, Subnet};

use crate::border::disk::DiskError;

pub use lanspread_types::{CloseReason, ConnId, DialFailure, LinkId, RefusalCause, RequestFailure};

/// An event of the network.
#[derive(Debug, Clone)]
pub enum NetInput {
    /// A control connection is established: identities are proven and hellos exchanged.
    Connected(Connected),
    /// The other side speaks another protocol version.
    Incompatible {
        /// Where we dialled it, or where it came from.
        addr: SocketAddr,
        /// Its identity, if it proved one.
        peer: Option<PeerId>,
        /// Protocol version that it states.
        theirs: u16,
    },
    /// A peer was refused, or refused us, before a control connection was established, or was dropped for its
    /// behaviour. Ends the dial to that address, if there was one.
    Refused {
        /// Address of the peer.
        addr: SocketAddr,
        /// Its identity, if it proved one.
        peer: Option<PeerId>,
        /// Why it was refused or dropped.
        cause: RefusalCause,
        /// Whether we dialled the address.
        dialled: bool,
    },
    /// A dial to a peer failed at all its addresses.
    PeerDialFailed {
        /// Peer that was dialled.
        peer: PeerId,
        /// What happened at each address, for people to read.
        reason: String,
    },
    /// The peer's listener answered at this address, with the peer's key. Answers [`Output::Probe`].
    Reached {
        /// Peer that was probed.
        peer: PeerId,
        /// Address at which its listener answered.
        addr: SocketAddr,
    },
    /// Discovery heard of a peer; nothing about it is proven.
    Sighted(Sighting),
    /// Networks that this machine is in, sent whenever they change.
    Subnets(Vec<Subnet>),
    /// A dial to an address that the owner entered failed.
    DialFailed {
        /// Address that was dialled.
        addr: SocketAddr,
        /// Why it failed.
        failure: DialFailure,
    },
    /// A control connection ended.
    Closed {
        /// Connection that ended.
        conn: ConnId,
        /// Why it ended.
        reason: CloseReason,
    },
    /// A message arrived on a control connection.
    Message {
        /// Connection on which it arrived.
        conn: ConnId,
        /// Decoded content of the frame.
        message: Message,
    },

    /// A peer sent a request on a data connection.
    Requested {
        /// Connection on which it arrived.
        link: LinkId,
        /// Proven identity of the requesting peer.
        peer: PeerId,
        /// Decoded content of the frame.
        request: Request,
    },
    /// The answer to a request was handed to the socket, or its connection failed.
    Served {
        /// Data connection of the request.
        link: LinkId,
        /// Number of the request.
        id: RequestId,
        /// Bytes of the payload that were sent.
        bytes: u64,
        /// Whether the whole answer was sent.
        ok: bool,
    },
    /// An incoming data connection ended.
    LinkClosed {
        /// Connection that ended.
        link: LinkId,
    },

    /// The head of an answer to our request arrived: the source sends this chunk.
    ChunkStarted {
        /// Source that sends it.
        peer: PeerId,
        /// Number of our request.
        id: RequestId,
        /// The chunk being sent.
        chunk: ChunkIndex,
    },
    /// A chunk arrived completely.
    ChunkEnded {
        /// Source that sent it.
        peer: PeerId,
        /// Number of our request.
        id: RequestId,
        /// Chunk that was sent.
        chunk: ChunkIndex,
        /// `Ok` once the chunk is verified and written.
        result: Result<(), ChunkFault>,
    },
    /// The head of an answer to our request arrived: a manifest follows.
    ManifestStarted {
        /// Source that sends it.
        peer: PeerId,
        /// Number of our request.
        id: RequestId,
        /// Size of the manifest, as the source states it.
        bytes: u64,
    },
    /// A manifest arrived completely.
    ManifestArrived {
        /// Source that sent it.
        peer: PeerId,
        /// Number of our request.
        id: RequestId,
        /// The content, once the manifest matches its content id.
        result: Result<Arc<GameContent>, ManifestFault>,
    },
    /// Our request gets no answer.
    RequestFailed {
        /// Source that was asked.
        peer: PeerId,
        /// Number of our request.
        id: RequestId,
        /// Why there is none.
        failure: RequestFailure,
    },
}

/// A control connection that has just been established.
#[derive(Debug, Clone)]
pub struct Connected {
    /// Number of the connection from now on.
    pub conn: ConnId,
    /// Proven identity of the peer.
    pub peer: PeerId,
    /// What the peer said in its hello.
    pub hello: Hello,
    /// Where the peer accepts connections: the address at which we reached it, or the address that it came from with
    /// the port that its hello states. Never the source port of an inbound connection.
    pub addr: SocketAddr,
    /// This peer's own address on the connection, if known.
    pub local_ip: Option<IpAddr>,
    /// True if we dialled, false if the peer did.
    pub dialled: bool,
}

/// Why a chunk that arrived does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChunkFault {
    /// The bytes do not match the chunk's hash. The source is to blame.
    #[error("the bytes do not match the chunk's hash")]
    Corrupt,
    /// The chunk could not be written. The source is not to blame.
    #[error("the chunk could not be written: {0}")]
    Write(DiskError),
}

/// Why a manifest that arrived is not the one of its content id, for people to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest is not valid: {0}")]
pub struct ManifestFault(pub String);
