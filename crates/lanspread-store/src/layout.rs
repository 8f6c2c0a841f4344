//! Where everything stands. See `docs/disk.md`.

use std::path::{Path, PathBuf};

use lanspread_core::install::{Area, Place};
use lanspread_types::{ContentId, GameId};

/// Name of our folder in the games folder.
pub const OWN_FOLDER: &str = ".lanspread";

/// The paths of one library.
#[derive(Debug, Clone)]
pub struct Layout {
    games: PathBuf,
    own: PathBuf,
}

impl Layout {
    pub fn new(games: &Path) -> Self {
        Self { games: games.to_path_buf(), own: games.join(OWN_FOLDER) }
    }

    pub fn games(&self) -> &Path {
        &self.games
    }

    pub fn own(&self) -> &Path {
        &self.own
    }

    /// Says that the folder is ours, and in which format.
    pub fn marker(&self) -> PathBuf {
        self.own.join("format")
    }

    /// Files that are being written; worthless after a restart.
    pub fn scratch(&self) -> PathBuf {
        self.own.join("tmp")
    }

    /// What could not be read and was set aside for a person to look at.
    pub fn broken(&self) -> PathBuf {
        self.own.join("broken")
    }

    pub fn journal(&self) -> PathBuf {
        self.own.join("journal")
    }

    pub fn index(&self) -> PathBuf {
        self.own.join("index")
    }

    /// Where the contents of all games came from.
    pub fn origins(&self) -> PathBuf {
        self.own.join("origins")
    }

    pub fn origin_of(&self, game: &GameId) -> PathBuf {
        self.origins().join(game.as_str())
    }

    /// What is known of the installs of a game.
    pub fn installed_of(&self, game: &GameId) -> PathBuf {
        self.own.join("installed").join(game.as_str())
    }

    pub fn trash(&self) -> PathBuf {
        self.own.join("trash")
    }

    pub fn staging(&self) -> PathBuf {
        self.own.join("staging")
    }

    pub fn all_incoming(&self) -> PathBuf {
        self.own.join("incoming")
    }

    pub fn game(&self, game: &GameId) -> PathBuf {
        self.games.join(game.as_str())
    }

    pub fn record_of(&self, game: &GameId) -> PathBuf {
        self.journal().join(game.as_str())
    }

    pub fn index_of(&self, game: &GameId) -> PathBuf {
        self.index().join(game.as_str())
    }

    /// All downloads of a game, whatever their content.
    pub fn incoming_of(&self, game: &GameId) -> PathBuf {
        self.all_incoming().join(game.as_str())
    }

    /// One download: its files and its have-journal. Sixteen digits tell contents apart; the journal has all of them.
    pub fn incoming(&self, game: &GameId, content: ContentId) -> PathBuf {
        self.incoming_of(game).join(&content.to_string()[..16])
    }

    pub fn incoming_files(&self, game: &GameId, content: ContentId) -> PathBuf {
        self.incoming(game, content).join("files")
    }

    /// The folder of an area. For a download that is the folder of the game's downloads, which go together.
    pub fn area(&self, game: &GameId, area: Area) -> PathBuf {
        match area {
            Area::Game => self.game(game),
            Area::Incoming => self.incoming_of(game),
            Area::Trash => self.trash().join(game.as_str()),
            Area::Staging => self.staging().join(game.as_str()),
        }
    }

    /// The folder that the paths of an area are relative to.
    pub fn base(&self, game: &GameId, content: Option<ContentId>, area: Area) -> PathBuf {
        match (area, content) {
            (Area::Incoming, Some(content)) => self.incoming_files(game, content),
            _ => self.area(game, area),
        }
    }

    pub fn place(&self, game: &GameId, content: Option<ContentId>, place: &Place) -> PathBuf {
        let base = self.base(game, content, place.area);
        place.path.as_ref().map_or_else(|| base.clone(), |path| path.to_path(&base))
    }
}
