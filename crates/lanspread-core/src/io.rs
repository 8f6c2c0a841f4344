//! The interface between the core and the runtime: everything that goes into a node and comes out of it.
//!
//! Inputs report what happened ([`NetInput`], [`DiskReport`], commands); outputs ask the runtime to act ([`Output`],
//! [`DiskJob`]). Nothing here does IO. A [`FileStamp`] and a connection number mean nothing to the core beyond
//! equality.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use lanspread_types::message::{ChunkRequest, Message, Refusal, Request, RequestId};
use lanspread_types::{CatalogKey, ChunkIndex, GameContent, KnownPeer, PeerId};

use crate::api::command::{Command, CommandError, CommandId, Reply};
use crate::api::event::Event;
use crate::catalog::SignedCatalog;
use crate::trust::CalendarDate;

pub use crate::border::disk::*;
pub use crate::border::net::*;

/// Something that happened, passed to [`Node::handle`](crate::Node::handle).
#[derive(Debug, Clone)]
pub enum Input {
    /// An event of the network.
    Net(NetInput),
    /// Progress or result of a disk job.
    Disk(DiskReport),
    /// A command of the owner. A `Reply` with the same id follows.
    Command {
        /// Number of the command.
        id: CommandId,
        /// What the owner asks for.
        command: Command,
    },
    /// Result of [`Output::CheckCatalog`].
    CatalogChecked {
        /// Peer that sent the catalogue.
        peer: PeerId,
        /// The catalogue, or why it is not valid.
        result: Result<Arc<SignedCatalog>, String>,
    },
    /// Today's date, sent at the start and whenever it changes. Without one, no version counts as dated ahead.
    Today(CalendarDate),
    /// The time that `next_wakeup` returned has come.
    Wake,
}

/// Work for the runtime, returned by [`Node::poll_output`](crate::Node::poll_output).
#[derive(Debug, Clone)]
pub enum Output {
    /// Open a control connection to an address that the owner entered. Ends with `Connected`, `Incompatible`,
    /// `Refused` or `DialFailed`.
    Dial {
        /// Address to dial.
        addr: SocketAddr,
    },
    /// Open a control connection to a peer at one of its addresses. The next address is tried when the one before has
    /// not answered for a moment. Ends with `Connected`, `Incompatible`, `Refused` or `PeerDialFailed`. If another
    /// peer answers, it is connected, and `PeerDialFailed` follows.
    DialPeer {
        /// Expected identity.
        peer: PeerId,
        /// Its addresses, best first.
        addrs: Vec<SocketAddr>,
    },
    /// Find out whether this peer's listener answers at the address. `Reached` follows, or nothing.
    Probe {
        /// Expected identity.
        peer: PeerId,
        /// Address that the peer states.
        addr: SocketAddr,
    },
    /// Store these peers for the next start, instead of the stored ones.
    Remember(Vec<KnownPeer>),
    /// Send a message on a control connection.
    Send {
        /// Connection to send on.
        conn: ConnId,
        /// Message to encode.
        message: Message,
    },
    /// Close a control connection.
    Close {
        /// Connection to close.
        conn: ConnId,
        /// Why it is closed; with `Leaving` the runtime says goodbye first.
        reason: CloseReason,
    },

    /// Send a request to a source on our data connection to it. The runtime opens one if there is none.
    Request {
        /// Source to ask.
        peer: PeerId,
        /// Request to encode.
        request: Request,
    },
    /// Close our data connection to a source. Every open request on it fails.
    DropSource {
        /// Source whose connection is closed.
        peer: PeerId,
    },
    /// Answer a request.
    Serve {
        /// Data connection of the request.
        link: LinkId,
        /// Number of the request.
        id: RequestId,
        /// Payload of the answer.
        what: Serving,
    },
    /// Refuse a request.
    Refuse {
        /// Data connection of the request.
        link: LinkId,
        /// Number of the request.
        id: RequestId,
        /// Why it is refused.
        reason: Refusal,
    },
    /// Close an incoming data connection. `LinkClosed` follows.
    DropLink {
        /// Connection to close.
        link: LinkId,
    },

    /// Start a disk job.
    Disk(DiskJob),
    /// Check the signature of a catalogue that a peer sent. `CatalogChecked` follows.
    CheckCatalog {
        /// Peer that sent it.
        peer: PeerId,
        /// The signed file as it arrived.
        bytes: Vec<u8>,
    },
    /// Store this catalogue for the next start.
    KeepCatalog(Arc<SignedCatalog>),
    /// Store the key of the trusted organiser.
    KeepOrganiser(CatalogKey),
    /// Store the keys of organisers about whom the owner does not want to be asked.
    KeepDeclined(BTreeSet<CatalogKey>),
    /// Report an event to everybody who listens.
    Event(Event),
    /// Answer a command.
    Reply {
        /// Number of the command.
        id: CommandId,
        /// The answer, or why the command was refused.
        result: Result<Reply, CommandError>,
    },
    /// The node is done, and the runtime may end. The replies to the shutdown commands follow; the runtime delivers
    /// them after it has ended.
    Stopped,
}

/// Payload of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// The manifest of a content.
    Manifest {
        /// Content to encode.
        content: Arc<GameContent>,
    },
    /// A chunk, read from the committed game or from the download under way.
    Chunk {
        /// Content of the chunk.
        content: Arc<GameContent>,
        /// Chunk to send.
        chunk: ChunkIndex,
        /// Whether the chunk is read from the download under way.
        incoming: bool,
    },
}

/// Shorthand for the most frequent output.
impl From<(PeerId, ChunkRequest)> for Output {
    fn from((peer, request): (PeerId, ChunkRequest)) -> Self {
        Self::Request { peer, request: Request::Chunk(request) }
    }
}
