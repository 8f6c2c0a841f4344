//! Trust in offers: which offers count, what supports a content, and what the owner is asked.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_types::message::GameOffer;
use lanspread_types::{ContentId, GameId, GameVersion, PeerId, failpoint};

use super::Node;
use crate::agreement::{Agreed, Disagreement, Offer, agree, voices_of};
use crate::api::command::{CommandError, FirstStart, Replacement};
use crate::io::StartInfo;
use crate::library::LocalGame;
use crate::roster::RemotePeer;
use crate::trust::{
    Evidence, Origin, StartedContent, Supplier, Support, Voice, is_dated_ahead, unconfirmed_start,
};

/// What the room says about one game, for the list of games.
#[derive(Debug, Default)]
pub(super) struct GameSupport {
    /// Support of the content that counts; absent if peers disagree or no peer offers it.
    pub support: Option<Support>,
    /// Independent voices for that content.
    pub voices: usize,
    /// The peer behind a content that has the support of a single voice.
    pub supplier: Option<Supplier>,
    /// The content that a download would fetch.
    pub offered_content: Option<ContentId>,
    /// A download would ask the owner before it replaces the copy that is here.
    pub update_needs_confirmation: bool,
}

impl Node {
    /// Returns the content that the catalogue names for a game.
    pub(super) fn pinned_content(&self, game: &GameId) -> Option<ContentId> {
        self.config.catalog.entry(game).and_then(|e| e.content).filter(|_| !failpoint!("ignore-pin"))
    }

    /// Returns the offers that count. A version that the catalogue names counts whatever its date, because a clock may
    /// be wrong.
    pub(super) fn counted_offers<'a>(
        &'a self,
        game: &'a GameId,
    ) -> impl Iterator<Item = (&'a RemotePeer, &'a GameOffer)> {
        let named = self.config.catalog.entry(game).map(|e| e.version);
        let counts = move |offer: &GameOffer| {
            named == Some(offer.version) || !is_dated_ahead(offer.version, self.today)
        };
        self.roster.offers(game).filter(move |(_, offer)| counts(offer))
    }

    /// Returns the version to have: the one that the catalogue names. Without one, it is the newest version that
    /// several voices offer, if that is newer than what is here or being downloaded; otherwise the newest version that
    /// is here, being downloaded or offered.
    pub(super) fn wanted_version(&self, game: &GameId) -> Option<GameVersion> {
        self.wanted_among(game, &self.offers(game))
    }

    /// Like [`Self::wanted_version`], for offers that the caller has at hand.
    pub(super) fn wanted_among(&self, game: &GameId, offers: &[Offer<'_>]) -> Option<GameVersion> {
        if let Some(oldest) = offers.iter().map(|o| o.offer.version).min()
            && failpoint!("oldest-version-wins")
        {
            return Some(oldest);
        }
        if let Some(entry) = self.config.catalog.entry(game)
            && !failpoint!("newest-version-wins")
        {
            return Some(entry.version);
        }
        let here = self.library.get(game).and_then(|l| l.version);
        let coming = self.downloads.get(game).map(|download| download.version);
        let mine = here.max(coming);
        let agreed = agreed_version(offers).filter(|&version| Some(version) > mine);
        agreed.or_else(|| offers.iter().map(|o| o.offer.version).chain(mine).max())
    }

    /// Returns the version that counts for the whole room. The offer of one peer does not displace a version that is
    /// here.
    pub(super) fn settled_version(&self, game: &GameId) -> Option<GameVersion> {
        let offers = self.offers(game);
        let here = self.library.get(game).and_then(|l| l.version);
        let settled = agreed_version(&offers).max(here).filter(|_| self.config.catalog.entry(game).is_none());
        settled.or_else(|| self.wanted_among(game, &offers))
    }

    /// Chooses the content of a version: the pinned one, or else the one with the strict majority of voices.
    pub(super) fn choose_content(
        &self,
        game: &GameId,
        version: Option<GameVersion>,
    ) -> Result<Agreed, Disagreement> {
        let version = version.ok_or(Disagreement::NoSource)?;
        agree(&self.offers(game), version, self.pinned_content(game))
    }

    /// Returns the content that the owner named, if it is offered and the catalogue allows it.
    pub(super) fn named_content(&self, game: &GameId, named: ContentId) -> Option<Agreed> {
        let entry = self.config.catalog.entry(game);
        let version = self.counted_offers(game).find(|(_, offer)| offer.content == named)?.1.version;
        let allowed = entry.is_none_or(|e| e.version == version && e.content.is_none_or(|c| c == named));
        if !allowed {
            return None;
        }
        agree(&self.offers(game), version, Some(named)).ok()
    }

    /// Returns the offers that count, each with its voice.
    pub(super) fn offers<'a>(&'a self, game: &'a GameId) -> Vec<Offer<'a>> {
        let offer = |(peer, offer): (&'a RemotePeer, &'a GameOffer)| Offer {
            peer: peer.id,
            voice: Voice::of(peer.addr),
            name: &peer.name,
            offer,
        };
        self.counted_offers(game).map(offer).collect()
    }

    /// Returns the number of independent voices that offer the version, whatever its content.
    pub(super) fn voices_for(&self, game: &GameId, version: GameVersion) -> usize {
        let offers = self.offers(game);
        voices_of(offers.iter().filter(|o| o.offer.version == version))
    }

    /// Returns the support of a content that is offered.
    pub(super) fn support_of(&self, game: &GameId, agreed: &Agreed) -> Support {
        Support::of(Evidence {
            pinned: self.pinned_content(game) == Some(agreed.content),
            voices: agreed.voices,
            held: self.library.get(game).is_some_and(|local| local.is_content(agreed.content)),
        })
    }

    /// Returns the first of the peers that offer a content.
    fn supplier_of(&self, agreed: &Agreed) -> Supplier {
        let peer = agreed.sources.first().copied().unwrap_or(PeerId([0; 32]));
        Supplier { peer, name: self.roster.name_of(&peer) }
    }

    /// Returns what is recorded about a downloaded content.
    pub(super) fn origin_of(&self, game: &GameId, agreed: &Agreed) -> Origin {
        let supplier = |peer: &PeerId| Supplier { peer: *peer, name: self.roster.name_of(peer) };
        let suppliers = agreed.sources.iter().map(supplier).collect();
        Origin::new(agreed.content, agreed.version, self.support_of(game, agreed), suppliers)
    }

    /// Returns the question to ask before one source's offer replaces a game that is here, or `None` if there is none.
    pub(super) fn replacement(&self, game: &GameId, agreed: &Agreed) -> Option<Replacement> {
        let local = self.library.get(game)?;
        // A game that is installed without its archives is replaced as soon as the archives of another version are
        // here.
        let replaced =
            local.downloaded() || local.installed_version.is_some_and(|version| version != agreed.version);
        if !replaced || self.support_of(game, agreed) > Support::Single || failpoint!("replace-unconfirmed") {
            return None;
        }
        Some(Replacement {
            game: game.clone(),
            version: local.version.or(local.installed_version),
            content: local.content_id(),
            new_version: agreed.version,
            new_content: agreed.content,
            supplier: self.supplier_of(agreed),
        })
    }

    /// Returns what `list-games` says about the support of a game.
    pub(super) fn standing(
        &self,
        game: &GameId,
        version: Option<GameVersion>,
        offers: &[Offer<'_>],
    ) -> GameSupport {
        let chosen = version.and_then(|version| agree(offers, version, self.pinned_content(game)).ok());
        let here = self.library.get(game).filter(|_| self.is_here(game, version)).map(|local| {
            let pinned = self.pinned_content(game).is_some_and(|pinned| local.is_content(pinned));
            Support::of(Evidence { pinned, held: true, ..Evidence::default() })
        });
        let support = here.or_else(|| chosen.as_ref().map(|agreed| self.support_of(game, agreed)));
        let supplier = chosen.as_ref().filter(|_| support == Some(Support::Single));
        let asks = |agreed: &Agreed| here.is_none() && self.replacement(game, agreed).is_some();
        GameSupport {
            support,
            voices: chosen.as_ref().map_or(0, |agreed| agreed.voices),
            supplier: supplier.map(|agreed| self.supplier_of(agreed)),
            offered_content: chosen.as_ref().map(|agreed| agreed.content),
            update_needs_confirmation: chosen.as_ref().is_some_and(asks),
        }
    }

    /// Returns the oldest offered version if all offered versions are dated after tomorrow.
    pub(super) fn oldest_future_version(&self, game: &GameId) -> Option<GameVersion> {
        if self.counted_offers(game).next().is_some() {
            return None;
        }
        self.roster.offers(game).map(|(_, offer)| offer.version).min()
    }

    /// Returns the question to ask before a game is started, or `None` if there is none.
    ///
    /// Two contents decide what runs: the installed one, and the downloaded one if its `lanspread.toml` names the
    /// program. A folder that the owner made by hand belongs to the owner, and is not asked about.
    pub(super) fn first_start(
        &self,
        game: &GameId,
        info: &StartInfo,
        word: Option<ContentId>,
    ) -> Option<FirstStart> {
        let pinned = self.pinned_content(game).filter(|_| !failpoint!("ask-about-pinned"));
        let involved = self.decides_start(game, info);
        let word =
            if failpoint!("take-any-word") { word.and(involved.first().map(|s| s.content)) } else { word };
        let content =
            unconfirmed_start(involved, pinned, word).filter(|_| !failpoint!("start-unconfirmed"))?;
        Some(FirstStart {
            game: game.clone(),
            program: info.program.clone(),
            args: info.args.clone(),
            content,
            suppliers: info.provenance.origin(content).map(|o| o.suppliers.clone()).unwrap_or_default(),
        })
    }

    /// Returns the contents that decide what a start runs, as far as they are known.
    pub(super) fn decides_start(&self, game: &GameId, info: &StartInfo) -> Vec<StartedContent> {
        let Some(local) = self.library.get(game) else { return Vec::new() };
        let downloaded = local.content_id().or(info.downloaded).filter(|_| local.downloaded());
        let is_downloaded_one = info.noted && local.installed_version == local.version;
        let installed = info.installed.or(downloaded.filter(|_| is_downloaded_one));
        let named_by = downloaded.filter(|_| info.from_game_file);
        let started = |content: ContentId| StartedContent {
            content,
            confirmed: info.provenance.is_confirmed(content) && !failpoint!("forget-confirmed-start"),
        };
        installed.into_iter().chain(named_by).map(started).collect()
    }

    pub(super) fn version_ahead(&self, game: &GameId) -> Option<CommandError> {
        let version = self.oldest_future_version(game)?;
        Some(CommandError::VersionAhead { game: game.clone(), version })
    }
}

/// Returns the newest version for which several voices offer the same content.
fn agreed_version(offers: &[Offer<'_>]) -> Option<GameVersion> {
    let mut voices: BTreeMap<(GameVersion, ContentId), BTreeSet<Voice>> = BTreeMap::new();
    for Offer { voice, offer, .. } in offers.iter().filter(|_| offers.len() > 1) {
        voices.entry((offer.version, offer.content)).or_default().insert(*voice);
    }
    voices.into_iter().rev().find(|(_, voices)| voices.len() > 1).map(|((version, _), _)| version)
}

impl LocalGame {
    /// Returns true if other peers take this version for one of the future.
    pub(super) fn is_dated_ahead(&self, today: Option<crate::trust::CalendarDate>) -> bool {
        self.version.is_some_and(|version| is_dated_ahead(version, today))
    }
}
