//! The door of a closed party: what comes between the hellos and the first message. An open peer walks through.

use std::net::IpAddr;

use lanspread_proto::hello::Greeting;
use lanspread_proto::party::{PartyFrame, Rejection, SHARE_BYTES};
use lanspread_types::limits::PROTOCOL_VERSION;
use lanspread_types::message::Hello;
use lanspread_types::{PartyMismatch, PeerId, failpoint};

use crate::guesses::{Guesses, Visitor};
use crate::handshake::read;
use crate::party::{BadShare, Door, Proof, Session, Side};
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
    /// Somebody asked for this very address, so it is no stranger's doing that we dial it.
    pub(crate) typed: bool,
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
        // Asked once more, because others may have guessed meanwhile: what is not looked at tells nothing.
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
