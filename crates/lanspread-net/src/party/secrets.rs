//! A closed party: how two peers prove to each other that they know the passphrase.
//!
//! SPAKE2 over Edwards25519 (RFC 9382 describes the construction; the constants and the transcript are those of the
//! `spake2` crate), with the stretched passphrase as password and the two TLS keys as identities. Each side then
//! shows that it has the same key, by a tag that also covers the TLS session's channel binding. A relay between two
//! sessions has two bindings and two pairs of identities, so the tags of one session are worthless in the other. The
//! dialler shows its tag first, so the listener sees every wrong guess. No frame lets a passphrase be tested
//! offline.
//!
//! Nothing here sends: `entry` exchanges the frames.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use lanspread_proto::EncodeError;
use lanspread_proto::party::{PartyFrame, SHARE_BYTES};
use lanspread_types::{Party, PartyName, PeerId, PeerName, failpoint};
use spake2::{Ed25519Group, Identity, Password, Spake2};

use crate::limits::{STRETCH_LANES, STRETCH_MEMORY_KIB, STRETCH_PASSES};
use crate::party::guesses::Guesses;
use crate::tls::tls_stream::BINDING_BYTES;

/// What a member of a closed party needs to admit other peers.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) secret: Secret,
    /// Encoded frame with our name and program, which only guests are sent.
    pub(crate) welcome: Vec<u8>,
    pub(crate) guesses: Arc<Guesses>,
}

/// Why a closed party could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The welcome does not fit its frame.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Argon2id failed.
    #[error("the passphrase cannot be stretched: {0}")]
    Stretch(argon2::Error),
}

impl Door {
    /// Stretches the passphrase. This takes a while and must not run on an async thread.
    pub(crate) fn new(party: &Party, name: &PeerName, program: &str) -> Result<Self, DoorError> {
        let welcome = PartyFrame::Welcome { name: name.clone(), program: program.to_owned() };
        let welcome = lanspread_proto::encode(&welcome)?;
        let secret = Secret::stretch(party).map_err(DoorError::Stretch)?;
        Ok(Self { secret, welcome, guesses: Arc::default() })
    }

    pub(crate) fn name(&self) -> &PartyName {
        &self.secret.party
    }
}

/// A party's name and its stretched passphrase, which takes the place of the passphrase in every proof.
///
/// SPAKE2 prevents offline guessing. Should it fail at that (its implementation is neither audited nor constant-time),
/// each guess still costs an attacker the memory and time of the stretching.
#[derive(Clone)]
pub(crate) struct Secret {
    party: PartyName,
    stretched: [u8; 32],
}

impl Secret {
    /// Stretches the passphrase by Argon2id with the second recommended option of RFC 9106. All guests must get the
    /// same result, so the salt follows from the party's name, and the parameters belong to the protocol version.
    pub(crate) fn stretch(party: &Party) -> Result<Self, argon2::Error> {
        let params = Params::new(STRETCH_MEMORY_KIB, STRETCH_PASSES, STRETCH_LANES, Some(32))?;
        let salt = blake3::derive_key("lanspread/2 closed party salt", party.name.as_str().as_bytes());
        let mut stretched = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
            party.phrase.as_bytes(),
            &salt,
            &mut stretched,
        )?;
        Ok(Self { party: party.name.clone(), stretched })
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({}, hidden)", self.party)
    }
}

/// Which end of the connection this peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Listener,
}

/// The keys of the two ends, and the channel binding of the TLS session between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) dialler: PeerId,
    pub(crate) listener: PeerId,
    pub(crate) binding: [u8; BINDING_BYTES],
}

/// One side of a proof under way.
pub(crate) struct Proof {
    spake: Spake2<Ed25519Group>,
    side: Side,
    session: Session,
    party: PartyName,
}

/// Tags that the two sides show to prove that they have the same key.
pub(crate) struct Tags {
    /// The tag that we show.
    pub(crate) ours: [u8; 32],
    /// The tag that the other side must show.
    theirs: blake3::Hash,
}

/// Error: the other side's share is not a point of the curve, or is our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid key exchange share")]
pub(crate) struct BadShare;

impl Proof {
    /// Begins a proof and returns the share to send to the other side.
    pub(crate) fn begin(
        secret: &Secret,
        side: Side,
        session: Session,
    ) -> Result<(Self, PartyFrame), BadShare> {
        let password = Password::new(secret.stretched);
        let (a, b) = (Identity::new(&session.dialler.0), Identity::new(&session.listener.0));
        let (spake, share) = match side {
            Side::Dialler => Spake2::<Ed25519Group>::start_a(&password, &a, &b),
            Side::Listener => Spake2::<Ed25519Group>::start_b(&password, &a, &b),
        };
        let share = share.try_into().map_err(|_| BadShare)?;
        Ok((Self { spake, side, session, party: secret.party.clone() }, PartyFrame::Share(share)))
    }

    /// Computes the tags from the other side's share. They match those of the other side only if passphrase, party,
    /// both keys and session are the same.
    pub(crate) fn tags(self, share: &[u8; SHARE_BYTES]) -> Result<Tags, BadShare> {
        let key = self.spake.finish(share).map_err(|_| BadShare)?;
        let mut hasher = blake3::Hasher::new_derive_key("lanspread/2 closed party confirmation");
        hasher.update(&key).update(&self.session.binding);
        hasher.update(&self.session.dialler.0).update(&self.session.listener.0);
        hasher.update(self.party.as_str().as_bytes());
        let (mut dialler, mut listener) = ([0; 32], [0; 32]);
        let mut out = hasher.finalize_xof();
        out.fill(&mut dialler);
        out.fill(&mut listener);
        let (ours, theirs) = match self.side {
            Side::Dialler => (dialler, listener),
            Side::Listener => (listener, dialler),
        };
        Ok(Tags { ours, theirs: theirs.into() })
    }
}

impl Tags {
    /// Returns true if the other side showed the right tag. Compares in constant time.
    pub(crate) fn prove(&self, theirs: [u8; 32]) -> bool {
        blake3::Hash::from(theirs) == self.theirs || failpoint!("admit-wrong-pass-phrase")
    }
}

#[cfg(test)]
mod tests {
    use lanspread_types::PassPhrase;

    use super::*;

    const ANN: PeerId = PeerId([1; 32]);
    const BOB: PeerId = PeerId([2; 32]);
    const EVE: PeerId = PeerId([3; 32]);

    fn party(name: &str, phrase: &str) -> Secret {
        let (name, phrase) = (PartyName::new(name).unwrap(), PassPhrase::new(phrase).unwrap());
        Secret::stretch(&Party { name, phrase }).unwrap()
    }

    fn session(dialler: PeerId, listener: PeerId, binding: u8) -> Session {
        Session { dialler, listener, binding: [binding; BINDING_BYTES] }
    }

    fn share(frame: &PartyFrame) -> [u8; SHARE_BYTES] {
        let PartyFrame::Share(share) = frame else { panic!("{frame:?}") };
        *share
    }

    /// Returns the tags of a dialler and a listener, each with its own secret and its own view of the session.
    fn meet(dialler: (&Secret, Session), listener: (&Secret, Session)) -> (Tags, Tags) {
        let (a, share_a) = Proof::begin(dialler.0, Side::Dialler, dialler.1).unwrap();
        let (b, share_b) = Proof::begin(listener.0, Side::Listener, listener.1).unwrap();
        (a.tags(&share(&share_b)).unwrap(), b.tags(&share(&share_a)).unwrap())
    }

    fn agree((a, b): &(Tags, Tags)) -> bool {
        let both = (b.prove(a.ours), a.prove(b.ours));
        assert_eq!(both.0, both.1, "both sides come to the same end");
        both.0
    }

    #[test]
    fn guests_agree_and_others_do_not() {
        let ours = party("friday", "correct horse battery");
        let here = session(ANN, BOB, 7);
        assert!(agree(&meet((&ours, here), (&ours, here))));
        let wrong = party("friday", "correct horse batterx");
        assert!(!agree(&meet((&ours, here), (&wrong, here))), "another passphrase");
        let other = party("saturday", "correct horse battery");
        assert!(!agree(&meet((&ours, here), (&other, here))), "another party");
    }

    #[test]
    fn a_relay_between_two_sessions_proves_nothing() {
        let ours = party("friday", "correct horse battery");
        // Eve accepts Ann's connection as herself and dials Bob as herself, and passes every byte on.
        assert!(!agree(&meet((&ours, session(ANN, EVE, 1)), (&ours, session(EVE, BOB, 2)))));
        // Even with stolen keys of both: the sessions differ.
        assert!(!agree(&meet((&ours, session(ANN, BOB, 1)), (&ours, session(ANN, BOB, 2)))));
        // Even with equal sessions: the keys differ.
        assert!(!agree(&meet((&ours, session(ANN, EVE, 1)), (&ours, session(EVE, BOB, 1)))));
    }

    #[test]
    fn replayed_frames_prove_nothing() {
        let ours = party("friday", "correct horse battery");
        let here = session(ANN, BOB, 7);
        let (a, share_a) = Proof::begin(&ours, Side::Dialler, here).unwrap();
        let (b, share_b) = Proof::begin(&ours, Side::Listener, here).unwrap();
        let (tags_a, tags_b) = (a.tags(&share(&share_b)).unwrap(), b.tags(&share(&share_a)).unwrap());
        assert!(tags_b.prove(tags_a.ours));
        let (again, _) = Proof::begin(&ours, Side::Listener, here).unwrap();
        let again = again.tags(&share(&share_a)).unwrap();
        assert!(!again.prove(tags_a.ours), "the same bytes, sent again");
        assert!(!tags_b.prove(tags_b.ours), "our own tag, sent back");
    }

    #[test]
    fn bad_shares_are_refused() {
        let ours = party("friday", "correct horse battery");
        let here = session(ANN, BOB, 7);
        let (_, share_b) = Proof::begin(&ours, Side::Listener, here).unwrap();
        for bad in [[0xff; SHARE_BYTES], share(&share_b)] {
            let (b, _) = Proof::begin(&ours, Side::Listener, here).unwrap();
            assert_eq!(b.tags(&bad).err(), Some(BadShare));
        }
    }

    /// A second implementation can check these bytes with any tool that has Argon2id and BLAKE3.
    #[test]
    fn stretching_has_golden_bytes() {
        let secret = party("friday", "correct horse battery");
        let hex: String = secret.stretched.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "79a9ef07043a0854811605640923c115fdbc7cbb2622e07669c6a5e15081d495");
        assert_ne!(secret.stretched, party("saturday", "correct horse battery").stretched);
        assert!(!format!("{secret:?}").contains(&hex));
    }
}
