//! What the user chose, kept in the state folder as `settings.json`.
//!
//! It holds the pass phrase of a closed party, so nobody but its owner can read it.
//! The file is written whole or not at all. One that cannot be read counts as none: the first-run screen comes again,
//! and the old file is kept beside it as `settings.json.broken`.
//!
//! A portable program's games folder is kept relative to the program where it is below it: the drive has another letter
//! on each machine.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use lanspread_api::page;
use lanspread_peer::whole_file;
use lanspread_types::{Party, PartyName, PassPhrase};
use serde::{Deserialize, Serialize};

use crate::place;

const FILE_NAME: &str = "settings.json";
/// Format of `settings.json`.
const FORMAT: u32 = 1;
/// Largest `settings.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    format: u32,
    #[serde(flatten)]
    pub chosen: page::Settings,
    /// Bytes per second; `None` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_limit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_limit: Option<u64>,
    /// The closed party that was joined on the page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<KeptParty>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptParty {
    pub name: PartyName,
    pub phrase: String,
}

impl KeptParty {
    /// `None` if its phrase is none any more.
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
    /// Reads the file; the default if there is none, or none of this format.
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
            if let (Some(folder), Some(dir)) = (place::portable_folder(state_dir), &mut kept.chosen.games_dir)
            {
                // A path that is absolute stays what it is.
                *dir = folder.join(dir.as_str()).to_string_lossy().into_owned();
            }
            return Ok(kept);
        }
        tracing::warn!("{} is not of this format; it is set aside", path.display());
        fs::rename(&path, state_dir.join(format!("{FILE_NAME}.broken")))?;
        Ok(Self::default())
    }

    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        fs::create_dir_all(state_dir)?;
        let mut kept = Self { format: FORMAT, ..self.clone() };
        if let (Some(folder), Some(dir)) = (place::portable_folder(state_dir), &mut kept.chosen.games_dir)
            && let Some(below) = Path::new(dir.as_str()).strip_prefix(folder).ok().and_then(Path::to_str)
        {
            *dir = below.to_owned();
        }
        let mut text = serde_json::to_vec_pretty(&kept)?;
        text.push(b'\n');
        whole_file::write(&state_dir.join(FILE_NAME), &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_comes_back() {
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
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Kept::default().write(dir.path()).unwrap();
        let mode = fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn a_portable_program_finds_its_games_under_another_drive_letter() {
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
    fn what_cannot_be_read_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "{", r#"{"format":2}"#] {
            fs::write(dir.path().join(FILE_NAME), text).unwrap();
            assert_eq!(Kept::read(dir.path()).unwrap(), Kept::default(), "{text}");
            assert_eq!(fs::read_to_string(dir.path().join("settings.json.broken")).unwrap(), text);
        }
    }
}
