//! The user's settings, kept in the state folder as `settings.json`.
//!
//! The file holds the passphrase of a closed party, so only its owner can read it. It is written as a whole or not
//! at all. A file that cannot be parsed is kept as `settings.json.broken` and counts as missing, so the first-run
//! screen comes again.
//!
//! A portable program keeps a games folder below its own folder as a relative path, because the drive has another
//! letter on each machine.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use lanspread_api::page;
use lanspread_peer::atomic_file;
use lanspread_types::{GameId, Party, PartyName, PassPhrase};
use serde::{Deserialize, Serialize};

use crate::state_dir;

const FILE_NAME: &str = "settings.json";
/// Version of the format of `settings.json`.
const FORMAT: u32 = 1;
/// Largest `settings.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    format: u32,
    #[serde(flatten)]
    /// Settings that the page shows and changes.
    pub chosen: page::Settings,
    /// Upload limit in bytes per second; `None` means unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_limit: Option<u64>,
    /// Download limit in bytes per second; `None` means unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_limit: Option<u64>,
    /// Games that are kept out of sharing.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub private_games: BTreeSet<GameId>,
    /// Closed party that was joined on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<KeptParty>,
}

/// A closed party as the file keeps it. Its `Debug` output omits the passphrase.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptParty {
    /// Name of the party.
    pub name: PartyName,
    /// Passphrase as it was typed.
    pub phrase: String,
}

impl KeptParty {
    /// Returns the party; `None` if the kept phrase is no longer accepted.
    pub fn party(&self) -> Option<Party> {
        let phrase = PassPhrase::new(&self.phrase).ok()?;
        Some(Party { name: self.name.clone(), phrase })
    }
}

impl fmt::Debug for KeptParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeptParty").field(&self.name).finish()
    }
}

impl Kept {
    /// Reads the file; the default if it is missing or has another format.
    pub fn read(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join(FILE_NAME);
        let text = match fs::metadata(&path) {
            Ok(found) if found.len() > FILE_BYTES_MAX => String::new(),
            Ok(_) => fs::read_to_string(&path)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(e),
        };
        let kept = serde_json::from_str(&text).ok().filter(|kept: &Self| kept.format == FORMAT);
        if let Some(mut kept) = kept {
            if let (Some(folder), Some(dir)) =
                (state_dir::portable_folder(state_dir), &mut kept.chosen.games_dir)
            {
                // Joining leaves an absolute path unchanged.
                *dir = folder.join(dir.as_str()).to_string_lossy().into_owned();
            }
            return Ok(kept);
        }
        tracing::warn!("{} is not of this format; it is set aside", path.display());
        fs::rename(&path, state_dir.join(format!("{FILE_NAME}.broken")))?;
        Ok(Self::default())
    }

    /// Writes the file; only its owner can read it.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let mut kept = Self { format: FORMAT, ..self.clone() };
        if let (Some(folder), Some(dir)) = (state_dir::portable_folder(state_dir), &mut kept.chosen.games_dir)
            && let Some(below) = Path::new(dir.as_str()).strip_prefix(folder).ok().and_then(Path::to_str)
        {
            *dir = below.to_owned();
        }
        let mut text = serde_json::to_vec_pretty(&kept)?;
        text.push(b'\n');
        atomic_file::write(&state_dir.join(FILE_NAME), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("new");
        assert_eq!(Kept::read(&state).unwrap(), Kept::default());
        let mut kept = Kept { upload_limit: Some(5), ..Kept::default() };
        kept.chosen.name = Some("ada".to_owned());
        let name = PartyName::new("friday").unwrap();
        kept.party = Some(KeptParty { name, phrase: "correct horse battery".to_owned() });
        kept.write(&state).unwrap();
        let back = Kept::read(&state).unwrap();
        assert_eq!((&back.chosen, back.upload_limit, &back.party), (&kept.chosen, Some(5), &kept.party));
        assert!(back.party.unwrap().party().is_some());
        assert!(!format!("{kept:?}").contains("horse"), "it is never printed");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Kept::default().write(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn portable_games_folder_follows_the_drive() {
        let at = |stick: &Path, games: &Path| {
            fs::create_dir_all(stick).unwrap();
            fs::write(stick.join("lanspread-portable.txt"), b"").unwrap();
            let mut kept = Kept::default();
            kept.chosen.games_dir = Some(games.to_str().unwrap().to_owned());
            kept.write(&stick.join("lanspread-state")).unwrap();
        };
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("e"), dir.path().join("f"));
        let games_at = |stick: &Path| {
            Kept::read(&stick.join("lanspread-state")).unwrap().chosen.games_dir.map(std::path::PathBuf::from)
        };
        at(&here, &here.join("Games"));
        assert_eq!(games_at(&here), Some(here.join("Games")));
        fs::rename(&here, &there).unwrap();
        assert_eq!(games_at(&there), Some(there.join("Games")));
        let elsewhere = dir.path().join("elsewhere");
        at(&there, &elsewhere);
        assert_eq!(games_at(&there), Some(elsewhere), "what is not on the stick stays where it is");
    }

    #[test]
    fn unreadable_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", r#"{"format":2}"#] {
            fs::write(dir.path().join(FILE_NAME), text).unwrap();
            assert_eq!(Kept::read(dir.path()).unwrap(), Kept::default(), "{text}");
            assert_eq!(fs::read_to_string(dir.path().join("settings.json.broken")).unwrap(), text);
        }
    }
}
