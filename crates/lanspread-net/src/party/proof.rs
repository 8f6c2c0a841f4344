//! Admission to a closed party: the frames between the hellos and the first message.
//!
//! Two open peers exchange nothing here. Two members of one closed party prove to each other that they know the
//! passphrase; the dialler shows its tag first. Every other combination ends the connection with a [`PartyMismatch`].
//! `party` does the cryptography, and `guesses` limits wrong passphrases.

use std::net::IpAddr;

use lanspread_proto::hello::Greeting;
use lanspread_proto::party::{PartyFrame, Rejection, SHARE_BYTES};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::Hello;
use lanspread_types::{PartyMismatch, PeerId, failpoint};

use crate::party::guesses::{Guesses, Visitor};
use crate::party::secrets::{BadShare, Door, Proof, Session, Side};
use crate::tls::tls_stream::{StreamError, TlsStream};

/// Why admission ended without a decision.
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
    /// A frame arrived that does not belong at this point.
    #[error("unexpected frame during the proof of the passphrase")]
    OutOfTurn,
}

/// The two ends of the connection.
#[derive(Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) me: PeerId,
    pub(crate) peer: PeerId,
    pub(crate) side: Side,
    /// Address of the other end.
    pub(crate) ip: IpAddr,
    /// The user asked for this address, so no stranger made us dial it.
    pub(crate) typed: bool,
}

impl Ends {
    /// Returns the keys and the channel binding that the proof covers.
    fn session(&self, stream: &TlsStream) -> Result<Session, EntryError> {
        let binding = stream.channel_binding()?;
        let (dialler, listener) = match self.side {
            Side::Dialler => (self.me, self.peer),
            Side::Listener => (self.peer, self.me),
        };
        Ok(Session { dialler, listener, binding })
    }
}

/// Decides whether the peer may come in: by its greeting and, if both peers are in the same closed party, by proofs of
/// the passphrase from both sides. Returns the peer's hello, or why it is turned away. A rejection for the peer is
/// queued but not yet sent.
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
            ProofExchange { stream, bytes, door, ends }.prove(listen_port).await
        }
        (_, Greeting::Closed { party, .. }) => Ok(Err(PartyMismatch::Closed(party))),
        (_, Greeting::OtherVersion { .. }) => Err(EntryError::OutOfTurn),
    }
}

/// Exchange of proofs on one connection.
struct ProofExchange<'a> {
    stream: &'a mut TlsStream,
    bytes: &'a mut Vec<u8>,
    door: &'a Door,
    ends: Ends,
}

impl ProofExchange<'_> {
    /// Runs the whole exchange. The dialler sends its share first and is the first to show its tag.
    async fn prove(mut self, listen_port: u16) -> Result<Result<Hello, PartyMismatch>, EntryError> {
        let proved = match self.ends.side {
            Side::Dialler => self.prove_first().await?,
            Side::Listener => self.prove_second().await?,
        };
        if let Err(mismatch) = proved {
            return Ok(Err(mismatch));
        }
        self.stream.send(&self.door.welcome);
        match self.hear().await? {
            Ok(PartyFrame::Welcome { name, program }) => {
                Ok(Ok(Hello { protocol: PROTOCOL_VERSION, name, listen_port, program }))
            }
            Ok(_) => Err(EntryError::OutOfTurn),
            Err(mismatch) => Ok(Err(mismatch)),
        }
    }

    fn visitor(&self) -> Visitor {
        Visitor { peer: self.ends.peer, ip: self.ends.ip }
    }

    fn begin(&self) -> Result<(Proof, PartyFrame), EntryError> {
        Ok(Proof::begin(&self.door.secret, self.ends.side, self.ends.session(self.stream)?)?)
    }

    /// Runs the dialler's part.
    async fn prove_first(&mut self) -> Result<Proved, EntryError> {
        let mut showing = if self.ends.typed {
            None
        } else {
            match Guesses::may_show(&self.door.guesses, self.visitor()).await {
                Some(showing) => Some(showing),
                None => return self.too_many_tries(),
            }
        };
        let (proof, share) = self.begin()?;
        self.say(&share)?;
        let tags = match self.hear_share().await? {
            Ok(theirs) => proof.tags(&theirs)?,
            Err(mismatch) => return Ok(Err(mismatch)),
        };
        if let Some(showing) = &mut showing {
            showing.now_shown();
        }
        self.say(&PartyFrame::Confirm(tags.ours))?;
        match self.hear().await? {
            Ok(PartyFrame::Confirm(theirs)) if tags.prove(theirs) => {
                match showing {
                    Some(showing) => showing.succeeded(),
                    None => self.door.guesses.admit(self.visitor()),
                }
                Ok(Ok(()))
            }
            Ok(PartyFrame::Confirm(_)) => self.wrong_pass_phrase(),
            Ok(_) => Err(EntryError::OutOfTurn),
            Err(mismatch) => Ok(Err(mismatch)),
        }
    }

    /// Runs the listener's part.
    async fn prove_second(&mut self) -> Result<Proved, EntryError> {
        if !self.door.guesses.may_knock(self.visitor()) {
            return self.too_many_tries();
        }
        let (proof, share) = self.begin()?;
        let tags = match self.hear_share().await? {
            Ok(theirs) => proof.tags(&theirs)?,
            Err(mismatch) => return Ok(Err(mismatch)),
        };
        self.say(&share)?;
        let theirs = match self.hear().await? {
            Ok(PartyFrame::Confirm(theirs)) => theirs,
            Ok(_) => return Err(EntryError::OutOfTurn),
            Err(mismatch) => return Ok(Err(mismatch)),
        };
        // `judge` checks the budget again, because other peers may have guessed meanwhile. An unchecked tag tells the
        // dialler nothing.
        match self.door.guesses.judge(self.visitor(), || tags.prove(theirs)) {
            Some(true) => {
                self.say(&PartyFrame::Confirm(tags.ours))?;
                Ok(Ok(()))
            }
            Some(false) => self.wrong_pass_phrase(),
            None => self.too_many_tries(),
        }
    }

    fn wrong_pass_phrase(&mut self) -> Result<Proved, EntryError> {
        self.say(&PartyFrame::Rejected(Rejection::WrongPassPhrase))?;
        Ok(Err(PartyMismatch::WrongPassPhrase))
    }

    fn too_many_tries(&mut self) -> Result<Proved, EntryError> {
        self.say(&PartyFrame::Rejected(Rejection::TooManyTries))?;
        Ok(Err(PartyMismatch::TooManyTries))
    }

    async fn hear_share(&mut self) -> Result<Result<[u8; SHARE_BYTES], PartyMismatch>, EntryError> {
        match self.hear().await? {
            Ok(PartyFrame::Share(share)) => Ok(Ok(share)),
            Ok(_) => Err(EntryError::OutOfTurn),
            Err(mismatch) => Ok(Err(mismatch)),
        }
    }

    fn say(&mut self, frame: &PartyFrame) -> Result<(), EntryError> {
        self.stream.send(&lanspread_proto::encode(frame)?);
        Ok(())
    }

    /// Returns the next frame. A rejection is returned as the mismatch that it names.
    async fn hear(&mut self) -> Result<Result<PartyFrame, PartyMismatch>, EntryError> {
        let frame = self.stream.receive::<_, _, EntryError>(self.bytes, lanspread_proto::split).await?;
        Ok(match frame {
            PartyFrame::Rejected(Rejection::WrongPassPhrase) => Err(PartyMismatch::WrongPassPhrase),
            PartyFrame::Rejected(Rejection::TooManyTries) => Err(PartyMismatch::TooManyTries),
            frame => Ok(frame),
        })
    }
}

/// Outcome of an exchange of proofs.
type Proved = Result<(), PartyMismatch>;
