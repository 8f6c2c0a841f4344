//! The door of a closed party: what comes between the hellos and the first message. An open peer walks through.

use std::net::IpAddr;

use lanspread_proto::hello::Greeting;
use lanspread_proto::party::{PartyFrame, Rejection, SHARE_BYTES};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::Hello;
use lanspread_types::{PartyMismatch, PeerId, failpoint};

use crate::guesses::Guesses;
use crate::handshake::read;
use crate::party::{BadShare, Door, Proof, Session, Side, Tags};
use crate::stream::{StreamError, TlsStream};

/// Why it came to no decision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EntryError {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Decode(#[from] lanspread_proto::DecodeError),
    #[error(transparent)]
    Encode(#[from] lanspread_proto::EncodeError),
    #[error(transparent)]
    Share(#[from] BadShare),
    #[error("it broke the protocol: this is not what a closed party begins with")]
    OutOfTurn,
}

/// The two ends of the connection.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) me: PeerId,
    pub(crate) peer: PeerId,
    pub(crate) side: Side,
    /// Where the other end is.
    pub(crate) ip: IpAddr,
}

impl Ends {
    fn session(&self, stream: &TlsStream) -> Result<Session, EntryError> {
        let binding = stream.channel_binding()?;
        let (dialler, listener) = match self.side {
            Side::Dialler => (self.me, self.peer),
            Side::Listener => (self.peer, self.me),
        };
        Ok(Session { dialler, listener, binding })
    }
}

/// Decides by their greeting, and where both are closed by a proof of the pass phrase on both sides, whether the peer
/// may come in. Says who it is, or why it may not; what is to be said about that is queued and not yet sent.
pub(crate) async fn enter(
    stream: &mut TlsStream,
    bytes: &mut Vec<u8>,
    door: Option<&Door>,
    greeting: Greeting,
    ends: Ends,
) -> Result<Result<Hello, PartyMismatch>, EntryError> {
    match (door, greeting) {
        (None, Greeting::Hello(hello)) => Ok(Ok(hello)),
        (Some(_), Greeting::Hello(hello)) if failpoint!("admit-other-parties") => Ok(Ok(hello)),
        (Some(_), Greeting::Hello(_)) => Ok(Err(PartyMismatch::Open)),
        (Some(door), Greeting::Closed { listen_port, party }) if party == *door.name() => {
            Knock { stream, bytes, door, ends }.prove(listen_port).await
        }
        (_, Greeting::Closed { party, .. }) => Ok(Err(PartyMismatch::Closed(party))),
        (_, Greeting::OtherVersion { .. }) => Err(EntryError::OutOfTurn),
    }
}

struct Knock<'a> {
    stream: &'a mut TlsStream,
    bytes: &'a mut Vec<u8>,
    door: &'a Door,
    ends: Ends,
}

impl Knock<'_> {
    /// The whole conversation. The dialler begins with its share and is the first to show its tag.
    async fn prove(mut self, listen_port: u16) -> Result<Result<Hello, PartyMismatch>, EntryError> {
        let Some(attempt) = Guesses::attempt(&self.door.guesses, self.ends.ip) else {
            self.say(&PartyFrame::Rejected(Rejection::TooManyTries))?;
            return Ok(Err(PartyMismatch::TooManyTries));
        };
        let (proof, share) = Proof::begin(&self.door.party, self.ends.side, self.ends.session(self.stream)?)?;
        let proved = match self.ends.side {
            Side::Dialler => self.prove_first(proof, &share).await?,
            Side::Listener => self.prove_second(proof, &share).await?,
        };
        if let Err(mismatch) = proved {
            return Ok(Err(mismatch));
        }
        attempt.succeeded();
        self.door.guests.admit(self.ends.peer);
        self.stream.send(&self.door.welcome);
        match self.hear().await? {
            Ok(PartyFrame::Welcome { name, program }) => {
                Ok(Ok(Hello { protocol: PROTOCOL_VERSION, name, listen_port, program }))
            }
            Ok(_) => Err(EntryError::OutOfTurn),
            Err(mismatch) => Ok(Err(mismatch)),
        }
    }

    async fn prove_first(&mut self, proof: Proof, share: &PartyFrame) -> Result<Proved, EntryError> {
        self.say(share)?;
        let tags = match self.hear_share().await? {
            Ok(theirs) => proof.tags(&theirs)?,
            Err(mismatch) => return Ok(Err(mismatch)),
        };
        self.say(&PartyFrame::Confirm(tags.ours))?;
        self.check(&tags).await
    }

    async fn prove_second(&mut self, proof: Proof, share: &PartyFrame) -> Result<Proved, EntryError> {
        let tags = match self.hear_share().await? {
            Ok(theirs) => proof.tags(&theirs)?,
            Err(mismatch) => return Ok(Err(mismatch)),
        };
        self.say(share)?;
        let proved = self.check(&tags).await?;
        if proved.is_ok() {
            self.say(&PartyFrame::Confirm(tags.ours))?;
        }
        Ok(proved)
    }

    async fn hear_share(&mut self) -> Result<Result<[u8; SHARE_BYTES], PartyMismatch>, EntryError> {
        match self.hear().await? {
            Ok(PartyFrame::Share(share)) => Ok(Ok(share)),
            Ok(_) => Err(EntryError::OutOfTurn),
            Err(mismatch) => Ok(Err(mismatch)),
        }
    }

    /// Waits for the other side's tag.
    async fn check(&mut self, tags: &Tags) -> Result<Proved, EntryError> {
        match self.hear().await? {
            Ok(PartyFrame::Confirm(theirs)) if tags.prove(theirs) => Ok(Ok(())),
            Ok(PartyFrame::Confirm(_)) => {
                self.say(&PartyFrame::Rejected(Rejection::WrongPassPhrase))?;
                Ok(Err(PartyMismatch::WrongPassPhrase))
            }
            Ok(_) => Err(EntryError::OutOfTurn),
            Err(mismatch) => Ok(Err(mismatch)),
        }
    }

    fn say(&mut self, frame: &PartyFrame) -> Result<(), EntryError> {
        self.stream.send(&lanspread_proto::encode(frame)?);
        Ok(())
    }

    /// The next frame; a rejection is no frame but an end.
    async fn hear(&mut self) -> Result<Result<PartyFrame, PartyMismatch>, EntryError> {
        let frame = read::<_, _, EntryError>(self.stream, self.bytes, lanspread_proto::split).await?;
        Ok(match frame {
            PartyFrame::Rejected(Rejection::WrongPassPhrase) => Err(PartyMismatch::WrongPassPhrase),
            PartyFrame::Rejected(Rejection::TooManyTries) => Err(PartyMismatch::TooManyTries),
            frame => Ok(frame),
        })
    }
}

type Proved = Result<(), PartyMismatch>;
