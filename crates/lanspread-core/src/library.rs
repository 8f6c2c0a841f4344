//! The local library: which games are here, which of them are hashed, and what is announced.
//!
//! Owns the local games, the order of hashing and the revisions of the announcements. Does not decide what may be
//! served (see [`crate::serve`]) and does not touch the disk. A game is announced only when it is hashed and not
//! known to be damaged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use lanspread_types::limits::GAMES_PER_LIBRARY_MESSAGE_MAX;
use lanspread_types::message::{GameOffer, LibraryUpdate};
use lanspread_types::{ContentId, GameContent, GameId, GameVersion, failpoint};

use crate::border::disk::{DiskError, FileStamp, IgnoredFolder, Scan, ScannedGame};
use crate::catalog::Catalog;

/// One game on this disk.
#[derive(Debug, Clone)]
pub struct LocalGame {
    /// Version stated by the sentinel; `None` if the game is not downloaded.
    pub version: Option<GameVersion>,
    /// Whether the game is installed.
    pub installed: bool,
    /// Installed version, if known.
    pub installed_version: Option<GameVersion>,
    /// Size of all servable files, in bytes.
    pub bytes: u64,
    stamp: FileStamp,
    content: Option<Arc<GameContent>>,
    /// Content of this version when it was whole. Known before the game is hashed, and while it is damaged.
    recorded: Option<ContentId>,
    /// Whether files are known to be broken. Such a game is neither shared nor hashed, so that it does not pass for
    /// another content.
    damaged: bool,
}

impl LocalGame {
    /// Returns true if the game is downloaded.
    pub fn downloaded(&self) -> bool {
        self.version.is_some()
    }

    /// Returns true if files are known to be broken.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Returns the content of this copy: the hashed one or, until it is hashed and while it is damaged, the recorded
    /// one.
    pub fn content_id(&self) -> Option<ContentId> {
        self.content.as_ref().map(|c| c.content_id()).or(self.recorded)
    }

    /// Returns true if this copy is known to be that content.
    pub fn is_content(&self, content: ContentId) -> bool {
        self.content_id() == Some(content)
    }

    /// Returns the hashed content; `None` until the game is hashed.
    pub fn content(&self) -> Option<&Arc<GameContent>> {
        self.content.as_ref()
    }
}

/// All games on this disk.
#[derive(Debug, Default)]
pub struct LocalLibrary {
    games: BTreeMap<GameId, LocalGame>,
    ignored: Vec<IgnoredFolder>,
    to_hash: VecDeque<GameId>,
    hashing: Option<GameId>,
    announced: BTreeMap<GameId, GameOffer>,
    revision: u64,
    scanned: bool,
    /// Why the library, or a part of it, could not be read at the last scan.
    fault: Option<DiskError>,
    /// The games folder cannot be written.
    read_only: bool,
    /// Games that the owner keeps out of sharing, whether they are here or not.
    private: BTreeSet<GameId>,
}

impl LocalLibrary {
    /// Returns a game.
    pub fn get(&self, game: &GameId) -> Option<&LocalGame> {
        self.games.get(game)
    }

    /// Returns a game that other peers may have; `None` if it is private.
    pub fn shared(&self, game: &GameId) -> Option<&LocalGame> {
        self.games.get(game).filter(|_| !self.is_private(game))
    }

    /// Returns true if the owner keeps the game out of sharing.
    pub fn is_private(&self, game: &GameId) -> bool {
        self.private.contains(game)
    }

    /// Shares a game, or keeps it out of sharing. The next [`Self::changes`] announce or withdraw it.
    pub fn set_private(&mut self, game: GameId, private: bool) {
        if private {
            self.private.insert(game);
        } else {
            self.private.remove(&game);
        }
    }

    /// Returns all games, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&GameId, &LocalGame)> {
        self.games.iter()
    }

    /// Returns the number of downloaded games.
    pub fn downloaded_games(&self) -> usize {
        self.games.values().filter(|g| g.downloaded()).count()
    }

    /// Returns the folders that are not games.
    pub fn ignored(&self) -> &[IgnoredFolder] {
        &self.ignored
    }

    /// Returns the hashed content of a game; `None` until it is hashed.
    pub fn content_of(&self, game: &GameId) -> Option<ContentId> {
        Some(self.games.get(game)?.content.as_ref()?.content_id())
    }

    /// Returns the number of chunks of a content that is shared, if all of them are here.
    pub fn complete_chunks(&self, content: ContentId) -> Option<u32> {
        let shared = self.games.iter().filter(|(game, local)| local.downloaded() && !self.is_private(game));
        let mut held = shared.filter_map(|(_, local)| local.content());
        held.find(|held| held.content_id() == content).map(|held| held.manifest().chunk_count())
    }

    /// Notes that a scan has ended. Returns true for the first one.
    pub fn scan_ended(&mut self) -> bool {
        !std::mem::replace(&mut self.scanned, true)
    }

    /// Returns whether the games folder cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Returns why the library, or a part of it, could not be read at the last scan.
    pub fn fault(&self) -> Option<&DiskError> {
        self.fault.as_ref()
    }

    /// Notes what the last scan could not read. Returns it if the scan before could read everything.
    pub fn set_fault(&mut self, fault: Option<DiskError>) -> Option<DiskError> {
        let before = std::mem::replace(&mut self.fault, fault);
        self.fault.clone().filter(|_| before.is_none())
    }

    /// Takes over the result of a scan. Returns true if anything visible changed.
    ///
    /// Games in `busy` stay unchanged, because the operation that runs on them reports its result. So do games that
    /// could not be read.
    pub fn apply_scan(&mut self, scan: Scan, catalog: &Catalog, busy: &BTreeSet<GameId>) -> bool {
        let unread = scan.unread;
        let as_it_was = |game: &GameId| busy.contains(game) || unread.contains(game);
        let mut changed = self.ignored != scan.ignored;
        self.ignored = scan.ignored;
        self.read_only = scan.read_only;
        let mut found: BTreeMap<GameId, ScannedGame> =
            scan.games.into_iter().map(|g| (g.game.clone(), g)).collect();
        found.retain(|game, _| !as_it_was(game));
        let before = self.games.len();
        self.games.retain(|game, _| as_it_was(game) || found.contains_key(game));
        changed |= self.games.len() != before;
        for (game, scanned) in found {
            changed |= self.apply_game(&game, &scanned);
        }
        let unhashed = |(game, local): (&GameId, &LocalGame)| {
            let unhashed = local.downloaded() && local.content.is_none() && !local.damaged;
            (unhashed && catalog.knows(game)).then(|| game.clone())
        };
        self.to_hash =
            self.games.iter().filter_map(unhashed).filter(|g| self.hashing.as_ref() != Some(g)).collect();
        changed
    }

    fn apply_game(&mut self, game: &GameId, scanned: &ScannedGame) -> bool {
        let new = LocalGame {
            version: scanned.version,
            installed: scanned.installed,
            installed_version: scanned.installed_version,
            bytes: scanned.bytes,
            stamp: scanned.stamp,
            content: None,
            recorded: scanned.recorded,
            damaged: false,
        };
        match self.games.get_mut(game) {
            Some(known) if known.stamp == new.stamp && known.version == new.version => {
                let changed = known.installed != new.installed;
                known.installed = new.installed;
                known.installed_version = new.installed_version;
                changed
            }
            _ => {
                self.games.insert(game.clone(), new);
                true
            }
        }
    }

    /// Returns the next game to hash, one at a time.
    pub fn next_to_hash(&mut self) -> Option<(GameId, FileStamp)> {
        if self.hashing.is_some() {
            return None;
        }
        let game = self.to_hash.pop_front()?;
        let stamp = self.games.get(&game)?.stamp;
        self.hashing = Some(game.clone());
        Some((game, stamp))
    }

    /// Returns the number of games that wait to be hashed, including the one being hashed.
    pub fn hashes_outstanding(&self) -> usize {
        self.to_hash.len() + usize::from(self.hashing.is_some())
    }

    /// Takes over a game's hashes, unless its files have changed since. Returns true if they were taken over.
    pub fn indexed(
        &mut self,
        game: &GameId,
        stamp: FileStamp,
        result: &Result<Arc<GameContent>, DiskError>,
    ) -> bool {
        if self.hashing.as_ref() == Some(game) {
            self.hashing = None;
        }
        match (self.games.get_mut(game), result) {
            (Some(local), Ok(content))
                if local.stamp == stamp && local.version == Some(content.manifest().version()) =>
            {
                local.content = Some(content.clone());
                true
            }
            (Some(local), Err(DiskError::Damaged(_))) if local.stamp == stamp => {
                local.damaged = true;
                false
            }
            _ => false,
        }
    }

    /// Notes that a download was committed.
    pub fn downloaded(&mut self, content: &Arc<GameContent>, stamp: FileStamp) {
        let manifest = content.manifest();
        let known = self.games.get(manifest.game());
        let game = LocalGame {
            version: Some(manifest.version()),
            installed: known.is_some_and(|g| g.installed),
            installed_version: known.and_then(|g| g.installed_version),
            bytes: manifest.total_bytes(),
            stamp,
            content: Some(content.clone()),
            recorded: Some(content.content_id()),
            damaged: false,
        };
        self.games.insert(manifest.game().clone(), game);
    }

    /// Notes that a game's downloaded files are gone.
    pub fn removed(&mut self, game: &GameId) {
        match self.games.get_mut(game) {
            Some(local) if local.installed => {
                (local.version, local.content, local.bytes) = (None, None, 0);
                local.recorded = None;
            }
            _ => {
                self.games.remove(game);
            }
        }
    }

    /// Notes that a game was installed without being downloaded.
    pub fn streamed(&mut self, game: &GameId) {
        let installed = LocalGame {
            version: None,
            installed: true,
            installed_version: None,
            bytes: 0,
            stamp: FileStamp::default(),
            content: None,
            recorded: None,
            damaged: false,
        };
        self.games.insert(game.clone(), installed);
    }

    /// Notes that some of a game's files are broken. The game is not shared until it is whole again.
    pub fn set_damaged(&mut self, game: &GameId) {
        if let Some(local) = self.games.get_mut(game) {
            let whole = local.content.take().map(|content| content.content_id());
            local.recorded = whole.or(local.recorded);
            local.damaged = true;
        }
    }

    /// Notes that the downloaded version is now installed, or that nothing is installed any more.
    pub fn set_installed(&mut self, game: &GameId, installed: bool) {
        let Some(local) = self.games.get_mut(game) else { return };
        local.installed = installed;
        local.installed_version = local.version.filter(|_| installed);
        if !installed && !local.downloaded() {
            self.games.remove(game);
        }
    }

    /// Forgets all games, because the games folder has changed. The next [`Self::changes`] withdraw all
    /// announcements.
    pub fn clear(&mut self) {
        self.games.clear();
        self.ignored.clear();
        self.to_hash.clear();
        self.hashing = None;
    }

    /// Compares the servable games with the announced ones, and returns the messages that announce the difference;
    /// `None` if there is none. Private games and those for which `withheld` returns true are
    /// not servable.
    pub fn changes(
        &mut self,
        catalog: &Catalog,
        withheld: impl Fn(&GameId) -> bool,
    ) -> Option<Vec<LibraryUpdate>> {
        let servable = |(game, local): (&GameId, &LocalGame)| {
            let offer = offer_of(game, local)?;
            let private = self.is_private(game) && !failpoint!("announce-private");
            (catalog.knows(game) && !private && !withheld(game)).then(|| (game.clone(), offer))
        };
        let now: BTreeMap<GameId, GameOffer> = self.games.iter().filter_map(servable).collect();
        let removed: Vec<GameId> = self.announced.keys().filter(|g| !now.contains_key(*g)).cloned().collect();
        let games: Vec<GameOffer> = now
            .iter()
            .filter(|(g, offer)| self.announced.get(*g) != Some(offer))
            .map(|(_, o)| o.clone())
            .collect();
        if removed.is_empty() && games.is_empty() {
            return None;
        }
        let base = self.revision;
        self.revision += 1;
        self.announced = now;
        if base == 0 {
            return Some(self.snapshot());
        }
        Some(in_messages(base, self.revision, games, removed))
    }

    /// Returns the messages that announce the whole library to a peer that has just connected.
    pub fn snapshot(&self) -> Vec<LibraryUpdate> {
        in_messages(0, self.revision.max(1), self.announced.values().cloned().collect(), Vec::new())
    }

    /// Returns the announced games.
    pub fn announced_games(&self) -> Vec<GameId> {
        self.announced.keys().cloned().collect()
    }

    /// Returns the announced offer of a game.
    pub fn announced_offer(&self, game: &GameId) -> Option<&GameOffer> {
        self.announced.get(game)
    }

    /// Returns true if the game is announced.
    pub fn is_announced(&self, game: &GameId) -> bool {
        self.announced.contains_key(game)
    }
}

fn offer_of(game: &GameId, local: &LocalGame) -> Option<GameOffer> {
    let content = local.content.as_ref()?;
    let manifest = content.manifest();
    Some(GameOffer {
        game: game.clone(),
        version: local.version?,
        content: content.content_id(),
        bytes: manifest.total_bytes(),
        files: manifest.files().len() as u32,
    })
}

/// Splits an update into messages that fit a frame. All but the last have `more` set.
fn in_messages(base: u64, revision: u64, games: Vec<GameOffer>, removed: Vec<GameId>) -> Vec<LibraryUpdate> {
    let mut parts: Vec<LibraryUpdate> = Vec::new();
    let part = |games: &[GameOffer], removed: &[GameId]| LibraryUpdate {
        revision,
        base,
        more: true,
        games: games.to_vec(),
        removed: removed.to_vec(),
    };
    parts.extend(removed.chunks(GAMES_PER_LIBRARY_MESSAGE_MAX).map(|r| part(&[], r)));
    parts.extend(games.chunks(GAMES_PER_LIBRARY_MESSAGE_MAX).map(|g| part(g, &[])));
    if parts.is_empty() {
        parts.push(part(&[], &[]));
    }
    if let Some(last) = parts.last_mut() {
        last.more = false;
    }
    parts
}

#[cfg(test)]
mod tests {
    use lanspread_types::tree::ChunkHash;
    use lanspread_types::{FileEntry, Manifest, RelPath};

    use super::*;

    fn game(id: &str) -> GameId {
        GameId::new(id).unwrap()
    }

    fn content(id: &str) -> Arc<GameContent> {
        let bytes = b"20250101";
        let root = ChunkHash(*blake3::hash(bytes).as_bytes());
        let file = FileEntry { path: RelPath::new("version.ini").unwrap(), size: 8, root };
        let manifest = Manifest::new(game(id), GameVersion::new(20_250_101).unwrap(), vec![file]).unwrap();
        Arc::new(GameContent::new(manifest, vec![root]).unwrap())
    }

    fn scanned(id: &str, stamp: u64) -> ScannedGame {
        let version = GameVersion::new(20_250_101).ok();
        ScannedGame {
            game: game(id),
            version,
            installed: false,
            installed_version: None,
            recorded: None,
            bytes: 8,
            files: 1,
            stamp: FileStamp(stamp),
        }
    }

    fn scan(games: &[ScannedGame]) -> Scan {
        Scan { games: games.to_vec(), ..Scan::default() }
    }

    fn library_with(ids: &[&str]) -> LocalLibrary {
        let mut library = LocalLibrary::default();
        let games: Vec<ScannedGame> = ids.iter().map(|id| scanned(id, 1)).collect();
        library.apply_scan(scan(&games), &Catalog::Open, &BTreeSet::new());
        while let Some((game, stamp)) = library.next_to_hash() {
            assert!(library.indexed(&game, stamp, &Ok(content(game.as_str()))));
        }
        library
    }

    fn changes(library: &mut LocalLibrary) -> Option<(u64, u64, Vec<String>, Vec<String>)> {
        let parts = library.changes(&Catalog::Open, |_| false)?;
        let games = parts.iter().flat_map(|p| p.games.iter().map(|o| o.game.to_string())).collect();
        let removed = parts.iter().flat_map(|p| p.removed.iter().map(ToString::to_string)).collect();
        Some((parts[0].base, parts[0].revision, games, removed))
    }

    #[test]
    fn game_is_announced_once_it_is_hashed() {
        let mut library = LocalLibrary::default();
        library.apply_scan(scan(&[scanned("a", 1), scanned("b", 1)]), &Catalog::Open, &BTreeSet::new());
        assert_eq!(changes(&mut library), None);
        let (first, stamp) = library.next_to_hash().unwrap();
        assert_eq!(library.next_to_hash(), None, "one at a time");
        library.indexed(&first, stamp, &Ok(content("a")));
        assert_eq!(changes(&mut library), Some((0, 1, vec!["a".to_owned()], vec![])));
        assert_eq!(library.hashes_outstanding(), 1);
    }

    #[test]
    fn changes_build_on_each_other() {
        let mut library = library_with(&["a", "b"]);
        assert_eq!(changes(&mut library).map(|c| (c.0, c.1)), Some((0, 1)));
        assert_eq!(changes(&mut library), None);
        library.apply_scan(scan(&[scanned("b", 1)]), &Catalog::Open, &BTreeSet::new());
        assert_eq!(changes(&mut library), Some((1, 2, vec![], vec!["a".to_owned()])));
        assert_eq!(library.snapshot()[0].revision, 2);
    }

    #[test]
    fn unread_game_stays_as_it_was() {
        let mut library = library_with(&["a", "b"]);
        changes(&mut library);
        let mut unread = scan(&[scanned("b", 1)]);
        unread.cannot_read("a".to_owned(), DiskError::OutOfFiles("no more files".to_owned()));
        unread.cannot_read("no id".to_owned(), DiskError::Other("later".to_owned()));
        assert_eq!(unread.fault, Some(DiskError::OutOfFiles("no more files".to_owned())), "the first counts");
        library.apply_scan(unread, &Catalog::Open, &BTreeSet::new());
        assert_eq!(changes(&mut library), None, "nothing is withdrawn");
        assert_eq!(library.ignored().len(), 2, "the owner is told of both");
        library.apply_scan(scan(&[scanned("b", 1)]), &Catalog::Open, &BTreeSet::new());
        assert_eq!(changes(&mut library), Some((1, 2, vec![], vec!["a".to_owned()])), "gone is gone");
    }

    #[test]
    fn hashes_of_changed_files_are_discarded() {
        let mut library = LocalLibrary::default();
        library.apply_scan(scan(&[scanned("a", 1)]), &Catalog::Open, &BTreeSet::new());
        let (a, old) = library.next_to_hash().unwrap();
        library.apply_scan(scan(&[scanned("a", 2)]), &Catalog::Open, &BTreeSet::new());
        assert!(!library.indexed(&a, old, &Ok(content("a"))));
        assert_eq!(changes(&mut library), None);
    }

    #[test]
    fn scan_leaves_busy_games_alone() {
        let mut library = library_with(&["a", "b"]);
        let busy = BTreeSet::from([game("a")]);
        library.apply_scan(scan(&[]), &Catalog::Open, &busy);
        assert!(library.get(&game("a")).is_some() && library.get(&game("b")).is_none());
        library.apply_scan(scan(&[scanned("a", 9)]), &Catalog::Open, &busy);
        assert!(library.content_of(&game("a")).is_some(), "the half-changed folder is not looked at");
    }

    #[test]
    fn scan_tells_whether_anything_changed() {
        let mut library = LocalLibrary::default();
        let mut look = |games: &[ScannedGame], ignored: Vec<IgnoredFolder>| {
            let scan = Scan { games: games.to_vec(), ignored, ..Scan::default() };
            (library.apply_scan(scan, &Catalog::Open, &BTreeSet::new()), library.downloaded_games())
        };
        let a = scanned("a", 1);
        let strange = || vec![IgnoredFolder { name: "A b".to_owned(), reason: "no id".to_owned() }];
        assert_eq!(look(&[], vec![]), (false, 0));
        assert_eq!(look(std::slice::from_ref(&a), vec![]), (true, 1));
        assert_eq!(look(std::slice::from_ref(&a), vec![]), (false, 1));
        assert_eq!(look(std::slice::from_ref(&a), strange()), (true, 1), "a folder that is no game");
        assert_eq!(look(std::slice::from_ref(&a), strange()), (false, 1));
        let installed = ScannedGame { installed: true, ..a.clone() };
        assert_eq!(look(std::slice::from_ref(&installed), strange()), (true, 1));
        assert_eq!(look(&[installed.clone(), scanned("b", 1)], strange()), (true, 2));
        assert_eq!(look(&[installed], strange()), (true, 1), "one is gone");
        assert_eq!(look(&[scanned("a", 2)], strange()), (true, 1), "it is another one");
    }

    #[test]
    fn only_whole_downloaded_games_wait_to_be_hashed() {
        let waiting = |library: &mut LocalLibrary, games: &[ScannedGame], catalog: &Catalog| {
            library.apply_scan(scan(games), catalog, &BTreeSet::new());
            (library.hashes_outstanding(), library.next_to_hash().map(|(game, _)| game))
        };
        let (a, b) = (scanned("a", 1), scanned("b", 1));
        let mut library = LocalLibrary::default();
        assert_eq!(waiting(&mut library, &[a.clone(), b.clone()], &Catalog::Open), (2, Some(game("a"))));
        assert_eq!(library.hashes_outstanding(), 2, "the one that is being hashed counts");
        assert_eq!(
            waiting(&mut library, &[a.clone(), b.clone()], &Catalog::Open),
            (2, None),
            "one at a time"
        );

        let nothing = |library: &mut LocalLibrary, games: &[ScannedGame], catalog: &Catalog| {
            assert_eq!(waiting(library, games, catalog), (0, None));
        };
        let installed = ScannedGame { version: None, installed: true, ..a.clone() };
        nothing(&mut LocalLibrary::default(), &[installed], &Catalog::Open);
        nothing(&mut LocalLibrary::default(), std::slice::from_ref(&a), &Catalog::empty());
        nothing(&mut library_with(&["a"]), std::slice::from_ref(&a), &Catalog::Open);
        let mut damaged = library_with(&["a"]);
        damaged.set_damaged(&game("a"));
        nothing(&mut damaged, &[a], &Catalog::Open);
    }

    #[test]
    fn verdict_on_changed_files_is_discarded() {
        let damaged = Err(DiskError::Damaged("ggoo.eti".to_owned()));
        for (stamp, believed) in [(1, true), (2, false)] {
            let mut library = library_with(&["a"]);
            library.apply_scan(scan(&[scanned("a", 1)]), &Catalog::Open, &BTreeSet::new());
            assert!(!library.indexed(&game("a"), FileStamp(stamp), &damaged));
            assert_eq!(library.get(&game("a")).map(LocalGame::is_damaged), Some(believed));
        }
    }

    #[test]
    fn other_games_folder_begins_empty() {
        let mut library = library_with(&["a"]);
        let strange = IgnoredFolder { name: "A b".to_owned(), reason: "no id".to_owned() };
        let both = Scan {
            games: vec![scanned("a", 1), scanned("b", 1)],
            ignored: vec![strange.clone()],
            ..Scan::default()
        };
        library.apply_scan(both, &Catalog::Open, &BTreeSet::new());
        changes(&mut library);
        library.next_to_hash().unwrap();
        assert_eq!(library.ignored(), [strange]);
        library.clear();
        assert_eq!(
            (library.iter().count(), library.ignored().len(), library.hashes_outstanding()),
            (0, 0, 0)
        );
        assert_eq!(changes(&mut library).map(|c| c.3), Some(vec!["a".to_owned()]), "and others are told");
    }

    #[test]
    fn announced_games_are_what_was_sent() {
        let mut library = library_with(&["a", "b"]);
        assert_eq!(library.announced_games(), []);
        changes(&mut library);
        assert_eq!(library.announced_games(), [game("a"), game("b")]);
        assert!(library.is_announced(&game("a")) && !library.is_announced(&game("c")));
        assert_eq!(library.announced_games().len(), 2);
    }

    #[test]
    fn large_libraries_are_split() {
        let offer = |n: usize| {
            offer_of(&game(&format!("g{n}")), library_with(&["a"]).get(&game("a")).unwrap()).unwrap()
        };
        let games: Vec<GameOffer> = (0..GAMES_PER_LIBRARY_MESSAGE_MAX + 1).map(offer).collect();
        let parts = in_messages(0, 1, games, vec![]);
        assert_eq!(
            parts.iter().map(|p| (p.games.len(), p.more)).collect::<Vec<_>>(),
            [(256, true), (1, false)]
        );
        assert_eq!(in_messages(0, 1, vec![], vec![]).len(), 1, "an empty library is said, too");
    }

    #[test]
    fn removing_keeps_what_is_installed() {
        let mut library = library_with(&["a", "b"]);
        library.set_installed(&game("a"), true);
        library.removed(&game("a"));
        library.removed(&game("b"));
        assert_eq!(library.get(&game("a")).map(|g| (g.downloaded(), g.installed)), Some((false, true)));
        assert!(library.get(&game("b")).is_none());
        library.set_installed(&game("a"), false);
        assert!(library.get(&game("a")).is_none());

        let mut library = library_with(&["a"]);
        for installed in [true, false] {
            library.set_installed(&game("a"), installed);
            let shown =
                library.get(&game("a")).map(|g| (g.downloaded(), g.installed, g.installed_version.is_some()));
            assert_eq!(shown, Some((true, installed, installed)), "what is downloaded stays");
        }
    }
}
