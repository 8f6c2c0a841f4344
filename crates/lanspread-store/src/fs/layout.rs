//! Paths of everything in a library; see `docs/disk.md`. Nothing here touches the disk.

use std::fs;
use std::path::{Path, PathBuf};

use lanspread_core::install::{Area, Place};
use lanspread_types::{ContentId, GameId};

/// Name of our folder in the games folder.
pub const OWN_FOLDER: &str = ".lanspread";

/// Paths of one library.
#[derive(Debug, Clone)]
pub struct Layout {
    games: PathBuf,
    own: PathBuf,
}

impl Layout {
    /// Returns the layout of the library in the folder `games`.
    pub fn new(games: &Path) -> Self {
        Self { games: games.to_path_buf(), own: games.join(OWN_FOLDER) }
    }

    /// Returns the layout of a library whose folder cannot be written. What belongs to it is below `aside`, in a folder
    /// that is named after the library's path.
    pub fn beside(games: &Path, aside: &Path) -> Self {
        let path = fs::canonicalize(games).unwrap_or_else(|_| games.to_path_buf());
        let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        Self { games: games.to_path_buf(), own: aside.join("read-only").join(&name[..16]) }
    }

    /// Returns the games folder.
    pub fn games(&self) -> &Path {
        &self.games
    }

    /// Returns our folder: on the same disk as the games, unless these cannot be changed.
    pub fn own(&self) -> &Path {
        &self.own
    }

    /// Returns the file that marks the folder as ours and names its format.
    pub fn marker(&self) -> PathBuf {
        self.own.join("format")
    }

    /// Returns the folder of files that are being written. They are worthless after a restart.
    pub fn scratch(&self) -> PathBuf {
        self.own.join("tmp")
    }

    /// Returns the folder of unreadable files that were set aside for a person to look at.
    pub fn broken(&self) -> PathBuf {
        self.own.join("broken")
    }

    /// Returns the folder of the journal.
    pub fn journal(&self) -> PathBuf {
        self.own.join("journal")
    }

    /// Returns the folder of the hash indexes.
    pub fn index(&self) -> PathBuf {
        self.own.join("index")
    }

    /// Returns the folder with the provenance of all games.
    pub fn origins(&self) -> PathBuf {
        self.own.join("origins")
    }

    /// Returns the file with the provenance of a game.
    pub fn origin_of(&self, game: &GameId) -> PathBuf {
        self.origins().join(game.as_str())
    }

    /// Returns the folder with the notes and listings of a game's installs.
    pub fn installed_of(&self, game: &GameId) -> PathBuf {
        self.own.join("installed").join(game.as_str())
    }

    /// Returns the folder of the small files of all streamed games.
    pub fn streamed(&self) -> PathBuf {
        self.own.join("streamed")
    }

    /// Returns the folder with the small files of a streamed game.
    pub fn streamed_of(&self, game: &GameId) -> PathBuf {
        self.streamed().join(game.as_str())
    }

    /// Returns the trash folder of all games.
    pub fn trash(&self) -> PathBuf {
        self.own.join("trash")
    }

    /// Returns the staging folder of all games.
    pub fn staging(&self) -> PathBuf {
        self.own.join("staging")
    }

    /// Returns the folder of all downloads.
    pub fn all_incoming(&self) -> PathBuf {
        self.own.join("incoming")
    }

    /// Returns the folder of a game.
    pub fn game(&self, game: &GameId) -> PathBuf {
        self.games.join(game.as_str())
    }

    /// Returns the file of a game's journal record.
    pub fn record_of(&self, game: &GameId) -> PathBuf {
        self.journal().join(game.as_str())
    }

    /// Returns the file of a game's hash index.
    pub fn index_of(&self, game: &GameId) -> PathBuf {
        self.index().join(game.as_str())
    }

    /// Returns the folder of a game's downloads, of every content.
    pub fn incoming_of(&self, game: &GameId) -> PathBuf {
        self.all_incoming().join(game.as_str())
    }

    /// Returns the folder of one download, with its files and its have-journal. Sixteen digits of the content id
    /// suffice for the name; the journal holds all of them.
    pub fn incoming(&self, game: &GameId, content: ContentId) -> PathBuf {
        self.incoming_of(game).join(&content.to_string()[..16])
    }

    /// Returns the folder in which a download's files are filled.
    pub fn incoming_files(&self, game: &GameId, content: ContentId) -> PathBuf {
        self.incoming(game, content).join("files")
    }

    /// Returns the folder of an area. For `Incoming` it holds all downloads of the game, which are deleted together.
    pub fn area(&self, game: &GameId, area: Area) -> PathBuf {
        match area {
            Area::Game => self.game(game),
            Area::Incoming => self.incoming_of(game),
            Area::Trash => self.trash().join(game.as_str()),
            Area::Staging => self.staging().join(game.as_str()),
        }
    }

    /// Returns the folder that the paths of an area are relative to.
    pub fn base(&self, game: &GameId, content: Option<ContentId>, area: Area) -> PathBuf {
        match (area, content) {
            (Area::Incoming, Some(content)) => self.incoming_files(game, content),
            _ => self.area(game, area),
        }
    }

    /// Returns the path of a place. `content` names the download that `Incoming` refers to.
    pub fn place(&self, game: &GameId, content: Option<ContentId>, place: &Place) -> PathBuf {
        let base = self.base(game, content, place.area);
        place.path.as_ref().map_or_else(|| base.clone(), |path| path.to_path(&base))
    }
}
