//! Which content of a game to fetch when peers offer several.

use std::collections::BTreeMap;

use lanspread_types::message::GameOffer;
use lanspread_types::{ContentId, GameVersion, PeerId, failpoint};

use crate::command::ContentVariant;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    pub content: ContentId,
    pub version: GameVersion,
    /// Size by the offer; the manifest has the last word.
    pub bytes: u64,
    /// Peers that offer exactly this content.
    pub sources: Vec<PeerId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disagreement {
    /// Nobody offers that version (or that pinned content).
    NoSource,
    /// Several contents, and none is offered by more than half of the peers.
    Ambiguous(Vec<ContentVariant>),
}

/// One peer's offer of the game.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    pub peer: PeerId,
    pub name: &'a str,
    pub offer: &'a GameOffer,
}

/// Groups the offers of one version by content. A pinned content decides alone; otherwise the strict majority of the
/// peers that offer the version wins.
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
    let all: usize = variants.values().map(Vec::len).sum();
    let chosen = match pinned {
        Some(pinned) => variants.get_key_value(&pinned),
        None => variants.iter().find(|(_, offers)| offers.len() * 2 > all),
    };
    let chosen = chosen.or_else(|| variants.iter().next().filter(|_| failpoint!("first-variant-wins")));
    if let Some((&content, offers)) = chosen {
        let bytes = offers[0].offer.bytes;
        return Ok(Agreed { content, version, bytes, sources: offers.iter().map(|o| o.peer).collect() });
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

#[cfg(test)]
mod tests {
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

    /// Agreement over peers 0, 1, 2, … that offer (version, content).
    fn decide(offers: &[(u32, u8)], pinned: Option<u8>) -> Result<(u8, Vec<u8>), Disagreement> {
        let owned: Vec<GameOffer> = offers.iter().map(|&(v, c)| offer(v, c)).collect();
        let offers: Vec<Offer<'_>> = owned
            .iter()
            .enumerate()
            .map(|(i, offer)| Offer { peer: PeerId([i as u8; 32]), name: "guest", offer })
            .collect();
        let version = GameVersion::new(20_250_101).unwrap();
        let agreed = agree(&offers, version, pinned.map(|c| ContentId([c; 32])))?;
        Ok((agreed.content.0[0], agreed.sources.iter().map(|p| p.0[0]).collect()))
    }

    #[test]
    fn the_strict_majority_of_one_version_wins() {
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
    fn a_tie_names_the_variants() {
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
    fn a_pinned_content_decides_alone() {
        const V: u32 = 20_250_101;
        assert_eq!(decide(&[(V, 1), (V, 1), (V, 2)], Some(2)), Ok((2, vec![2])));
        assert_eq!(decide(&[(V, 1), (V, 1)], Some(2)), Err(Disagreement::NoSource));
    }
}
