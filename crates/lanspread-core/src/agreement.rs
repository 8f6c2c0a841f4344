//! The choice of a content when peers offer several for one game.
//!
//! Votes are counted by [`Voice`], not by key: a machine with thirty keys is one voice.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_types::message::GameOffer;
use lanspread_types::{ContentId, GameVersion, PeerId, failpoint};

use crate::api::command::ContentVariant;
use crate::trust::Voice;

/// The content to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Content that won.
    pub content: ContentId,
    /// Version in which the sources offer it.
    pub version: GameVersion,
    /// Size according to an offer, in bytes; only the manifest is certain.
    pub bytes: u64,
    /// Peers that offer this content.
    pub sources: Vec<PeerId>,
    /// Independent voices among them.
    pub voices: usize,
}

/// Why no content could be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disagreement {
    /// No peer offers that version, or the pinned content.
    NoSource,
    /// No content is offered by more than half of the voices.
    Ambiguous(Vec<ContentVariant>),
}

/// One peer's offer of the game.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Peer that makes the offer.
    pub peer: PeerId,
    /// Voice as which the peer counts.
    pub voice: Voice,
    /// Name of the peer, for error messages.
    pub name: &'a str,
    /// Version, content and size that the peer announces.
    pub offer: &'a GameOffer,
}

/// Chooses a content among the offers of one version. A pinned content decides alone; otherwise the strict majority
/// of the voices that offer the version wins.
///
/// # Errors
///
/// Fails if there is no source, or no majority.
pub fn agree(
    offers: &[Offer<'_>],
    version: GameVersion,
    pinned: Option<ContentId>,
) -> Result<Agreed, Disagreement> {
    let mut variants: BTreeMap<ContentId, Vec<Offer<'_>>> = BTreeMap::new();
    let counts = |o: &&Offer<'_>| {
        if o.offer.version == version || failpoint!("ignore-version") {
            return true;
        }
        failpoint!("fetch-any-version")
    };
    for offer in offers.iter().filter(counts) {
        variants.entry(offer.offer.content).or_default().push(*offer);
    }
    let all = voices_of(variants.values().flatten());
    let chosen = match pinned {
        Some(pinned) => variants.get_key_value(&pinned),
        None => most_voices(&variants).filter(|(_, offers)| voices_of(*offers) * 2 > all),
    };
    let chosen = chosen.or_else(|| variants.iter().next().filter(|_| failpoint!("first-variant-wins")));
    if let Some((&content, offers)) = chosen {
        let bytes = offers[0].offer.bytes;
        let sources = offers.iter().map(|o| o.peer).collect();
        return Ok(Agreed { content, version, bytes, sources, voices: voices_of(offers) });
    }
    if all == 0 || pinned.is_some() {
        return Err(Disagreement::NoSource);
    }
    let name = |o: &Offer<'_>| o.name.to_owned();
    let variant = |(&content, offers): (&ContentId, &Vec<Offer<'_>>)| ContentVariant {
        content,
        peers: offers.iter().map(name).collect(),
    };
    Err(Disagreement::Ambiguous(variants.iter().map(variant).collect()))
}

/// Returns the variant with the most voices, or `None` on a tie. Two variants can both have a majority, because one
/// voice may offer both.
fn most_voices<'v, 'a>(
    variants: &'v BTreeMap<ContentId, Vec<Offer<'a>>>,
) -> Option<(&'v ContentId, &'v Vec<Offer<'a>>)> {
    let voices = |(_, offers): &(&ContentId, &Vec<Offer<'a>>)| voices_of(*offers);
    let most = variants.iter().max_by_key(voices)?;
    let ties = variants.iter().filter(|variant| voices(variant) == voices(&most)).count();
    (ties == 1).then_some(most)
}

/// Returns the number of independent voices behind some offers.
pub fn voices_of<'a>(offers: impl IntoIterator<Item = &'a Offer<'a>>) -> usize {
    offers.into_iter().map(|offer| offer.voice).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use lanspread_types::GameId;

    use super::*;

    fn offer(version: u32, content: u8) -> GameOffer {
        GameOffer {
            game: GameId::new("ggoo").unwrap(),
            version: GameVersion::new(version).unwrap(),
            content: ContentId([content; 32]),
            bytes: 1,
            files: 1,
        }
    }

    /// Returns the agreement over peers 0, 1, 2, … that offer (version, content) from addresses ending in these
    /// numbers.
    fn agreed(offers: &[(u32, u8, u8)], pinned: Option<u8>) -> Result<Agreed, Disagreement> {
        let owned: Vec<(GameOffer, u8)> = offers.iter().map(|&(v, c, host)| (offer(v, c), host)).collect();
        let one = |(i, (offer, host)): (usize, &(GameOffer, u8))| {
            let peer = PeerId([i as u8; 32]);
            let addr = SocketAddr::from(([10, 0, 0, *host], 4000));
            (peer, Voice::of(addr), offer.clone())
        };
        let owned: Vec<_> = owned.iter().enumerate().map(one).collect();
        let offers: Vec<Offer<'_>> = owned
            .iter()
            .map(|(peer, voice, offer)| Offer { peer: *peer, voice: *voice, name: "guest", offer })
            .collect();
        let version = GameVersion::new(20_250_101).unwrap();
        agree(&offers, version, pinned.map(|c| ContentId([c; 32])))
    }

    /// The same with an address of its own for each peer.
    fn decide(offers: &[(u32, u8)], pinned: Option<u8>) -> Result<(u8, Vec<u8>), Disagreement> {
        let offers: Vec<(u32, u8, u8)> =
            offers.iter().zip(1..).map(|(&(version, content), host)| (version, content, host)).collect();
        let agreed = agreed(&offers, pinned)?;
        Ok((agreed.content.0[0], agreed.sources.iter().map(|p| p.0[0]).collect()))
    }

    #[test]
    fn one_machine_with_many_keys_is_one_voice() {
        const V: u32 = 20_250_101;
        let many = vec![(V, 2, 66); 30];
        let honest = [(V, 1, 1), (V, 1, 2)];
        let against_two = agreed(&[&honest[..], &many].concat(), None).unwrap();
        assert_eq!((against_two.content.0[0], against_two.voices, against_two.sources.len()), (1, 2, 2));
        let against_one = agreed(&[&honest[..1], &many].concat(), None);
        assert!(matches!(against_one, Err(Disagreement::Ambiguous(v)) if v.len() == 2), "one against one");
        let alone = agreed(&many, None).unwrap();
        assert_eq!((alone.voices, alone.sources.len()), (1, 30));
        let both = agreed(&[(V, 1, 66), (V, 1, 66), (V, 2, 66)], None);
        assert!(matches!(both, Err(Disagreement::Ambiguous(v)) if v.len() == 2), "it cannot outvote itself");
        let scattered: Vec<_> = (2..32).map(|content| (V, content, 66)).collect();
        let won = agreed(&[&honest[..], &scattered].concat(), None).unwrap();
        assert_eq!(won.content.0[0], 1, "nor take the majority from two others by offering thirty contents");
    }

    #[test]
    fn strict_majority_of_one_version_wins() {
        const V: u32 = 20_250_101;
        const OLD: u32 = 20_240_101;
        assert_eq!(decide(&[(V, 1)], None), Ok((1, vec![0])));
        assert_eq!(decide(&[(V, 1), (V, 2), (V, 1)], None), Ok((1, vec![0, 2])));
        assert_eq!(
            decide(&[(V, 1), (OLD, 2), (OLD, 2)], None),
            Ok((1, vec![0])),
            "other versions have no vote"
        );
        assert_eq!(decide(&[(OLD, 1)], None), Err(Disagreement::NoSource));
        assert_eq!(decide(&[], None), Err(Disagreement::NoSource));
    }

    #[test]
    fn tie_names_the_variants() {
        let Err(Disagreement::Ambiguous(variants)) = decide(&[(20_250_101, 1), (20_250_101, 2)], None) else {
            panic!("a tie was decided");
        };
        assert_eq!(
            variants.iter().map(|v| (v.content.0[0], v.peers.len())).collect::<Vec<_>>(),
            [(1, 1), (2, 1)]
        );
        let plurality = decide(&[(20_250_101, 1), (20_250_101, 1), (20_250_101, 2), (20_250_101, 3)], None);
        assert!(matches!(plurality, Err(Disagreement::Ambiguous(_))), "half is no majority");
    }

    #[test]
    fn pinned_content_decides_alone() {
        const V: u32 = 20_250_101;
        assert_eq!(decide(&[(V, 1), (V, 1), (V, 2)], Some(2)), Ok((2, vec![2])));
        assert_eq!(decide(&[(V, 1), (V, 1)], Some(2)), Err(Disagreement::NoSource));
    }
}
