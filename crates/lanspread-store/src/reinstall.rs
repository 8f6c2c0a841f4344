//! Replacing what is installed by the downloaded version, so that nothing of the user's is lost.
//!
//! The new version is unpacked beside the installed one, then takes over whatever is not the old version's own:
//!
//! | file of the old folder | new version has none there | new version has one |
//! | --- | --- | --- |
//! | as the install left it | goes | the new one |
//! | added or changed since | stays | stays; the new one stands beside it as `NAME.new`, unless it is the same, or the update left that file as it was |
//!
//! So saves, settings, mods and screenshots survive, and nothing that the update brings is thrown away either. Where it
//! is not known what the install had put there (it was not made by this program), the new version's files win, and
//! an old file that stood in the way is kept below `local/before-update/`; everything else stays.
//!
//! What stays is linked into the new folder, not copied, where the disk can: it is the same file in both, so what is
//! written to it meanwhile is not lost. The old folder is whole until the new one is complete.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use lanspread_core::install::{Intent, Record, plan_reinstall};
use lanspread_core::io::KeptFiles;
use lanspread_types::manifest::LOCAL_FOLDER;
use lanspread_types::{GameId, RelPath, failpoint};

use crate::cancel::Cancel;
use crate::execute::{Executor, Stuck};
use crate::fault::{Fault, OrFault};
use crate::files;
use crate::install::{InstallError, Unpacking};
use crate::installed::{InstallListing, hash_of};
use crate::scan::{local_folder, read_sentinel};
use crate::store::Store;
use crate::unpack::Unpacker;
use crate::walk::Look;

/// Where old files go that stood in the way of new ones and may have been the user's.
const BEFORE_UPDATE: &str = "before-update";

impl Store {
    /// Puts the downloaded version in the place of what is installed. `progress` is told the bytes unpacked and the
    /// bytes in all.
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
            let mut carrying = Carrying::new(old.clone(), staging.join(LOCAL_FOLDER), listing.as_ref());
            if !failpoint!("forget-user-files") {
                carrying.folder(Path::new(""))?;
            }
            kept = carrying.kept;
            Ok::<(), InstallError>(())
        });
        match done {
            Ok(()) | Err(Stuck { committed: true, .. }) => {
                self.tidy_notes(game);
                Ok(kept)
            }
            Err(Stuck { committed: false, error }) => {
                let _ = executor.recover();
                Err(error)
            }
        }
    }
}

/// Takes the user's files over into the new folder.
struct Carrying<'a> {
    old: PathBuf,
    new: PathBuf,
    listing: Option<std::collections::HashMap<&'a str, &'a crate::installed::InstalledFile>>,
    kept: KeptFiles,
}

impl<'a> Carrying<'a> {
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

    /// Makes the same file stand in the new folder: by a link, or a copy where the disk knows no links.
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
        let in_the_way = io::Error::other("the new version has a file where a folder with own files is");
        Err(Fault::new("keep", folder, in_the_way))
    }

    fn listed(&self, rel: &Path) -> Option<&'a crate::installed::InstalledFile> {
        let name = slashed(rel)?;
        self.listing.as_ref()?.get(name.as_str()).copied()
    }
}

/// A path with `/`, as listings have it.
fn slashed(rel: &Path) -> Option<String> {
    let parts = rel.components().map(|part| part.as_os_str().to_str());
    Some(parts.collect::<Option<Vec<&str>>>()?.join("/"))
}

fn rel_path(rel: &Path) -> Option<RelPath> {
    RelPath::new(slashed(rel)?).ok()
}

/// `NAME.new`, or the first of `NAME.new2`, `NAME.new3`, ... that is free.
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
