//! Records of where a game's contents came from: which peers supplied them, which content is installed, and which
//! contents the owner has allowed to start.
//!
//! Each game has one small file with a checksum (`change::sealed`). What a record means is decided by
//! `lanspread_core::trust`. The origin of a content is recorded before the content is committed, so that no crash
//! leaves a content of unknown origin.

use std::fs;
use std::path::Path;

use lanspread_core::trust::{Origin, Provenance};
use lanspread_types::{ContentId, GameId, GameVersion};

use crate::change::sealed::{seal, unseal};
use crate::fs::fault::{Fault, OrFault, is_gone};
use crate::fs::files;
use crate::library::scan::local_folder;
use crate::library::walk::Look;
use crate::store::Store;

/// Magic number. Its last byte is the version.
const MAGIC: [u8; 8] = *b"LSORIGN\x01";

impl Store {
    /// Returns the record of a game; empty if there is none. A damaged record is set aside.
    pub(crate) fn provenance(&self, game: &GameId) -> Result<Provenance, Fault> {
        let path = self.layout().origin_of(game);
        let bytes = match fs::read(&path) {
            Err(error) if is_gone(&error) => return Ok(Provenance::default()),
            bytes => bytes.or_fault("read", &path)?,
        };
        Ok(unseal(MAGIC, &bytes).unwrap_or_else(|| {
            tracing::warn!(path = %path.display(), "the record of a game's origin cannot be read and is set aside");
            let _ = files::rename(&path, &self.layout().broken().join(format!("origin-{game}")));
            Provenance::default()
        }))
    }

    /// Records where a content comes from. Call this before the content is committed.
    pub fn note_origin(&self, game: &GameId, origin: &Origin) -> Result<(), Fault> {
        self.change_provenance(game, |known| known.note_origin(origin.clone()))
    }

    /// Deletes the origin of a content that was not committed. A failure is only logged: the record then names a
    /// content that does not exist here, which is harmless.
    pub fn forget_origin(&self, game: &GameId, content: ContentId) {
        if let Err(error) = self.change_provenance(game, |known| known.forget_origin(content)) {
            tracing::warn!(%game, %error, "a note of where a download came from cannot be taken back");
        }
    }

    /// Records the content of `folder`, which is about to become `local/`. Does nothing if the content's origin is not
    /// recorded.
    pub(crate) fn note_installed_content(
        &self,
        game: &GameId,
        version: GameVersion,
        folder: &Path,
    ) -> Result<(), Fault> {
        let content = self.provenance(game)?.content_of_version(version);
        match content.zip(identity(folder)) {
            Some((content, folder)) => {
                self.change_provenance(game, |known| known.note_installed(folder, content))
            }
            None => Ok(()),
        }
    }

    /// Returns the content of the installed folder, if it is recorded.
    pub(crate) fn installed_content(
        &self,
        game: &GameId,
        known: &Provenance,
    ) -> Result<Option<ContentId>, Fault> {
        let folder = self.layout().game(game);
        let local = local_folder(&folder)?.map(|name| folder.join(name));
        Ok(local.and_then(|local| known.installed(identity(&local)?)))
    }

    /// Records that the owner allows this content to start.
    pub fn confirm_start(&self, game: &GameId, content: ContentId) -> Result<(), Fault> {
        self.change_provenance(game, |known| known.note_confirmed(content))
    }

    fn change_provenance(&self, game: &GameId, change: impl FnOnce(&mut Provenance)) -> Result<(), Fault> {
        let path = self.layout().origin_of(game);
        let before = self.provenance(game)?;
        let mut known = before.clone();
        change(&mut known);
        if known == before {
            return Ok(());
        }
        let sealed = seal(MAGIC, &known).map_err(std::io::Error::other).or_fault("encode", &path)?;
        files::make_folders(&self.layout().origins(), "")?;
        files::replace(&self.layout().scratch(), &path, &sealed)
    }
}

fn identity(folder: &Path) -> Option<u64> {
    Look::at(folder).ok().and_then(|look| look.identity)
}
