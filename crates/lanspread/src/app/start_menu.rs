//! Entries for Windows: links in the start menu's folder and in the startup folder, which the user finds under
//! *Startup apps* in the settings and can switch off there.
//!
//! The shell makes the links itself (`IShellLink`), so this module does not depend on their format.

use std::io;
use std::path::{Path, PathBuf};

use winsafe::prelude::*;
use winsafe::{
    CoCreateInstance, CoInitializeEx, IPersistFile, IShellLink, IUnknown, SHGetKnownFolderPath, co,
};

use super::Places;

const ENTRY: &str = "lanspread.lnk";

/// Returns this user's paths for the program copy and its two links.
pub fn places() -> Result<Places, String> {
    let known = |id: &co::KNOWNFOLDERID| {
        SHGetKnownFolderPath(id, co::KF::DEFAULT, None).map(PathBuf::from).map_err(|e| e.to_string())
    };
    // Some systems know this folder only once it has content.
    let programs = known(&co::KNOWNFOLDERID::UserProgramFiles)
        .or_else(|_| known(&co::KNOWNFOLDERID::LocalAppData).map(|folder| folder.join("Programs")))?;
    Ok(Places {
        program: programs.join("lanspread").join("lanspread.exe"),
        menu_entry: known(&co::KNOWNFOLDERID::Programs)?.join(ENTRY),
        login_entry: known(&co::KNOWNFOLDERID::Startup)?.join(ENTRY),
    })
}

/// Writes a link that starts `program` with `args` in the program's own folder.
pub fn write_entry(entry: &Path, program: &Path, args: &str) -> io::Result<()> {
    let (entry, program_text) = (text(entry)?, text(program)?);
    let folder = program.parent().map(text).transpose()?.unwrap_or_default();
    let write = || {
        let _com = CoInitializeEx(co::COINIT::APARTMENTTHREADED)?;
        let link = CoCreateInstance::<IShellLink>(
            &co::CLSID::ShellLink,
            None::<&IUnknown>,
            co::CLSCTX::INPROC_SERVER,
        )?;
        link.SetPath(program_text)?;
        link.SetArguments(args)?;
        link.SetWorkingDirectory(folder)?;
        link.SetDescription("Share games at a LAN party")?;
        link.QueryInterface::<IPersistFile>()?.Save(Some(entry), true)
    };
    write().map_err(|e: co::HRESULT| io::Error::other(e.to_string()))
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path is not valid Unicode"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_leads_to_program_with_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let entry = dir.path().join(ENTRY);
        write_entry(&entry, &program, super::super::AT_LOGIN).unwrap();
        let _com = CoInitializeEx(co::COINIT::APARTMENTTHREADED).unwrap();
        let link = CoCreateInstance::<IShellLink>(
            &co::CLSID::ShellLink,
            None::<&IUnknown>,
            co::CLSCTX::INPROC_SERVER,
        )
        .unwrap();
        let file = link.QueryInterface::<IPersistFile>().unwrap();
        file.Load(entry.to_str().unwrap(), co::STGM::READ).unwrap();
        assert_eq!(link.GetArguments().unwrap(), "--no-browser");
        let leads_to = link.GetPath(None, co::SLGP::RAWPATH).unwrap();
        assert_eq!(leads_to.to_lowercase(), program.to_str().unwrap().to_lowercase());
    }
}
