//! Replacement of the installed version by the downloaded one, without losing the user's files.
//!
//! The new version is unpacked beside the installed one. Then this rule decides for each file of the old folder:
//!
//! | file of the old folder | new version has no such file | new version has one |
//! | --- | --- | --- |
//! | as the install left it | is dropped | new file |
//! | added or changed since | stays | stays, with the new file beside it as `NAME.new`, unless both are the same or the update did not change that file |
//!
//! So saves, settings, mods and screenshots survive, and nothing that the update brings is lost. If it is unknown what
//! the install had put there (lanspread did not install the game, or its records are damaged), the new version's files
//! win, an old file in the place of a new one is kept below `local/before-update/`, and all other files stay.
//!
//! Files that stay are linked into the new folder where the disk can, not copied: both folders then have the same file,
//! so nothing that is written to it meanwhile is lost. The old folder stays whole until the new one is complete.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use lanspread_core::install::{Intent, Record, plan_reinstall};
use lanspread_core::io::KeptFiles;
use lanspread_types::manifest::LOCAL_FOLDER;
use lanspread_types::{GameId, RelPath, failpoint};

use crate::archive::unpack::Unpacker;
use crate::change::execute::{Executor, Stuck};
use crate::fs::cancel::Cancel;
use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::install::errors::InstallError;
use crate::install::installed::{InstallListing, hash_of};
use crate::install::operations::Unpacking;
use crate::library::scan::{local_folder, read_sentinel};
use crate::library::walk::Look;
use crate::store::Store;

/// Folder for old files that were in the place of new ones and may be the user's.
const BEFORE_UPDATE: &str = "before-update";

impl Store {
    /// Replaces the installed version by the downloaded one. Returns which of the user's files were kept. `progress` is
    /// given the bytes unpacked and the bytes in total.
    pub fn reinstall(
        &self,
        game: &GameId,
        unpacker: &dyn Unpacker,
        cancel: &Cancel,
        progress: Box<dyn FnMut(u64, u64)>,
    ) -> Result<KeptFiles, InstallError> {
        let _change = self.begin_change(game)?;
        let folder = self.layout().game(game);
        if read_sentinel(&folder).is_err() {
            return Err(InstallError::NotDownloaded(game.clone()));
        }
        let name = local_folder(&folder)?.and_then(|name| RelPath::new(name).ok());
        let name = name.ok_or_else(|| InstallError::NotInstalled(game.clone()))?;
        let old = name.to_path(&folder);
        let listing = self.install_listing(game)?;
        let mut job = Unpacking::new(self, game, unpacker, cancel, progress);
        let mut kept = KeptFiles::default();
        let record = Record { game: game.clone(), intent: Intent::Reinstall { folder: name.clone() } };
        let executor = Executor::new(self.layout(), &record);
        let done = executor.run(&plan_reinstall(&name), &mut |staging| {
            job.unpack(&folder, staging)?;
            let mut carrying =
                UserFileCarryOver::new(old.clone(), staging.join(LOCAL_FOLDER), listing.as_ref());
            if !failpoint!("forget-user-files") {
                carrying.folder(Path::new(""))?;
            }
            kept = carrying.kept;
            Ok::<(), InstallError>(())
        });
        match done {
            Ok(()) | Err(Stuck { committed: true, .. }) => {
                self.tidy_notes(game);
                self.forget_streamed_files(game);
                Ok(kept)
            }
            Err(Stuck { committed: false, error }) => {
                let _ = executor.recover();
                Err(error)
            }
        }
    }
}

/// Takeover of the user's files into the new folder.
struct UserFileCarryOver<'a> {
    old: PathBuf,
    new: PathBuf,
    listing: Option<std::collections::HashMap<&'a str, &'a crate::install::installed::InstalledFile>>,
    kept: KeptFiles,
}

impl<'a> UserFileCarryOver<'a> {
    fn new(old: PathBuf, new: PathBuf, listing: Option<&'a InstallListing>) -> Self {
        Self { old, new, listing: listing.map(InstallListing::by_path), kept: KeptFiles::default() }
    }

    fn folder(&mut self, rel: &Path) -> Result<(), Fault> {
        let folder = self.old.join(rel);
        for entry in fs::read_dir(&folder).or_fault("read the folder", &folder)? {
            let entry = entry.or_fault("read the folder", &folder)?;
            let rel = rel.join(entry.file_name());
            let metadata = fs::symlink_metadata(entry.path()).or_fault("look at", &entry.path())?;
            if metadata.is_dir() && !files::is_link(&metadata) {
                let had_any = fs::read_dir(entry.path()).is_ok_and(|mut e| e.next().is_some());
                if !had_any && self.listing.is_none() {
                    self.make_folder(&rel)?;
                }
                self.folder(&rel)?;
            } else {
                self.file(&rel, &metadata)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, rel: &Path, metadata: &Metadata) -> Result<(), Fault> {
        let (from, to) = (self.old.join(rel), self.new.join(rel));
        let look = Look::of(metadata);
        let listed = self.listed(rel);
        if let Some(listed) = listed
            && metadata.is_file()
            && listed.is_unchanged(&from, &look)?
        {
            return Ok(());
        }
        let original = listed.and_then(|file| file.hash);
        let Ok(theirs) = fs::symlink_metadata(&to) else { return self.keep(rel, &from, &to) };
        let same = metadata.is_file()
            && theirs.is_file()
            && theirs.len() == metadata.len()
            && hash_of(&from)? == hash_of(&to)?;
        if same {
            return Ok(());
        }
        if self.listing.is_none() {
            let aside = Path::new(BEFORE_UPDATE).join(rel);
            self.kept.beside.extend(rel_path(&aside));
            let aside_path = self.new.join(&aside);
            return self.keep(&aside, &from, &aside_path);
        }
        let update_left_it = theirs.is_file() && original.is_some() && Some(hash_of(&to)?) == original;
        if update_left_it {
            files::delete_file(&to)?;
        } else {
            let beside = free_name(&to);
            files::rename(&to, &beside)?;
            self.kept.beside.extend(beside.strip_prefix(&self.new).ok().and_then(rel_path));
        }
        self.keep(rel, &from, &to)
    }

    /// Puts the old file into the new folder: as a link, or as a copy where the disk has no links.
    fn keep(&mut self, rel: &Path, from: &Path, to: &Path) -> Result<(), Fault> {
        if let Some(parent) = rel.parent() {
            self.make_folder(parent)?;
        }
        let kept = fs::hard_link(from, to).or_else(|_| {
            fs::copy(from, to)?;
            let times = fs::metadata(from)?.modified()?;
            let copy = fs::File::options().write(true).open(to)?;
            copy.set_modified(times)?;
            files::sync(&copy)
        });
        kept.or_fault("keep", from)?;
        self.kept.kept += 1;
        Ok(())
    }

    fn make_folder(&self, rel: &Path) -> Result<(), Fault> {
        let folder = self.new.join(rel);
        fs::create_dir_all(&folder).or_fault("make the folder", &folder)?;
        if files::is_real_dir(&folder) {
            return Ok(());
        }
        let in_the_way =
            io::Error::other("the new version has a file in the place of a folder with your files");
        Err(Fault::new("keep", folder, in_the_way))
    }

    fn listed(&self, rel: &Path) -> Option<&'a crate::install::installed::InstalledFile> {
        let name = slashed(rel)?;
        self.listing.as_ref()?.get(name.as_str()).copied()
    }
}

/// Returns a path with `/` as separator, as in listings; `None` if it is not Unicode.
fn slashed(rel: &Path) -> Option<String> {
    let parts = rel.components().map(|part| part.as_os_str().to_str());
    Some(parts.collect::<Option<Vec<&str>>>()?.join("/"))
}

fn rel_path(rel: &Path) -> Option<RelPath> {
    RelPath::new(slashed(rel)?).ok()
}

/// Returns the first unused name of `NAME.new`, `NAME.new2`, `NAME.new3`, ...
fn free_name(path: &Path) -> PathBuf {
    let named = |ending: String| {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(ending);
        path.with_file_name(name)
    };
    let endings = std::iter::once(".new".to_owned()).chain((2..).map(|n| format!(".new{n}")));
    endings
        .map(named)
        .find(|candidate| !files::is_there(candidate))
        .unwrap_or_else(|| named(".new".to_owned()))
}
