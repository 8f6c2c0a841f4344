//! Words that network and core share about connections and requests: their numbers, and why they fail or end.
//!
//! What happened to a connection is told by the network layer, and what follows from it is decided in the core. Both
//! mean the same by these types, so nothing translates between them.

use crate::message::Refusal;
use crate::party::PartyMismatch;

/// Number of a control connection. Chosen by the network layer, which uses each number once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Number of an inbound data connection, on which another peer sends requests. Each number is used once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Why an address could not be dialled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    /// No TCP connection came about; with the system's reason.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// Connection or handshake took too long.
    #[error("no answer within the time limit")]
    TimedOut,
    /// This peer itself answers at the address.
    #[error("that is our own address")]
    OwnAddress,
    /// The handshake failed, so a program answers there that is not a lanspread peer; with the reason.
    #[error("not a lanspread peer: {0}")]
    NotAPeer(String),
}

/// Why a control connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer said goodbye.
    #[error("it said goodbye")]
    Goodbye,
    /// The connection broke without a goodbye.
    #[error("the connection was lost")]
    Lost,
    /// The peer did not answer a ping in time, or stopped reading.
    #[error("it did not answer in time")]
    Silent,
    /// Another connection to the same peer was kept instead.
    #[error("replaced by another connection to the same peer")]
    Replaced,
    /// The peer broke the protocol, or is banned.
    #[error("it broke the protocol")]
    ProtocolError,
    /// The roster is full.
    #[error("there are too many peers")]
    TooManyPeers,
    /// This peer closed the connection, as it does when it shuts down.
    #[error("this peer is shutting down")]
    Leaving,
}

/// Why a request gets no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// The source refused it.
    #[error("{0}")]
    Refused(Refusal),
    /// The data connection could not be opened, or it ended first; with the reason.
    #[error("the data connection failed: {0}")]
    Lost(String),
}

/// Why a peer was refused or dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusalCause {
    /// It belongs to another party, or does not know the passphrase.
    #[error("{0}")]
    Party(PartyMismatch),
    /// It broke the protocol; with the details.
    #[error("it broke the protocol: {0}")]
    Protocol(String),
    /// The program that connected to our port does not speak the protocol; with the details.
    #[error("it does not speak the protocol: {0}")]
    NotAPeer(String),
    /// It did not finish a handshake, a request or an answer in time, or did not read what it asked for; with the
    /// details.
    #[error("it was too slow: {0}")]
    TooSlow(String),
    /// Its address opened more connections than one address may have, or opened them too fast.
    #[error("it opened too many connections")]
    TooManyConnections,
    /// It sent data that does not verify in a second download.
    #[error("it sent corrupt data in a second download")]
    BadData,
}

/// Kind of a refusal. Stable, because scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// It belongs to another party.
    OtherParty,
    /// It does not know the passphrase.
    WrongPassPhrase,
    /// Too many wrong passphrases came recently.
    TooManyTries,
    /// It broke the protocol.
    Protocol,
    /// It does not speak the protocol.
    NotAPeer,
    /// It was too slow.
    TooSlow,
    /// Its address opened too many connections.
    TooManyConnections,
    /// It sent data that does not verify, again.
    BadData,
}

impl RefusalCause {
    /// Returns the kind of this cause.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Self::Party(PartyMismatch::Closed(_) | PartyMismatch::Open) => RefusalKind::OtherParty,
            Self::Party(PartyMismatch::WrongPassPhrase) => RefusalKind::WrongPassPhrase,
            Self::Party(PartyMismatch::TooManyTries) => RefusalKind::TooManyTries,
            Self::Protocol(_) => RefusalKind::Protocol,
            Self::NotAPeer(_) => RefusalKind::NotAPeer,
            Self::TooSlow(_) => RefusalKind::TooSlow,
            Self::TooManyConnections => RefusalKind::TooManyConnections,
            Self::BadData => RefusalKind::BadData,
        }
    }
}
