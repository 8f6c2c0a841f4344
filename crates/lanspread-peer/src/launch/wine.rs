//! Choice of what runs a Windows program on other systems: Wine if it is installed, otherwise Steam's Proton.
//!
//! Proton runs without Steam's container, with one prefix of ours for all games. It gets `.exe` files only: batch files
//! and links need Wine, whose `start` opens them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use lanspread_store::Program;

/// Names of Wine on the search path, best first.
const WINE_NAMES: [&str; 3] = ["wine", "wine64", "wine-stable"];
/// Where Debian keeps Wine if only its 64-bit half is installed.
const WINE_ELSEWHERE: &str = "/usr/lib/wine/wine64";
/// Where Steam is, below the home folder: installed directly, or as a Flatpak.
const STEAM: [&str; 3] =
    [".steam/root", ".local/share/Steam", ".var/app/com.valvesoftware.Steam/.local/share/Steam"];
/// Where Proton is, below Steam: Steam's own versions, and those that people add.
const PROTON: [&str; 2] = ["steamapps/common", "compatibilitytools.d"];

/// Places to search for Wine and Proton.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// Folders of the search path.
    pub path: Vec<PathBuf>,
    /// Home folder of the user.
    pub home: Option<PathBuf>,
    /// Folder for the data of programs, in which Proton's prefix goes.
    pub data: Option<PathBuf>,
    /// Path of a Wine that is not on the search path.
    pub wine_elsewhere: Option<PathBuf>,
}

impl Surroundings {
    /// Reads the places from the environment.
    pub fn of_this_process() -> Self {
        let folder = |name| std::env::var_os(name).filter(|v: &OsString| !v.is_empty()).map(PathBuf::from);
        let home = folder("HOME");
        Self {
            path: std::env::var_os("PATH").map(|p| std::env::split_paths(&p).collect()).unwrap_or_default(),
            data: folder("XDG_DATA_HOME").or_else(|| Some(home.as_ref()?.join(".local/share"))),
            home,
            wine_elsewhere: Some(PathBuf::from(WINE_ELSEWHERE)),
        }
    }
}

/// A means to run a Windows program here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Runner {
    Wine(PathBuf),
    Proton { script: PathBuf, steam: PathBuf, prefix: PathBuf },
}

/// Returns the best means to run this program, or `None` if there is none.
pub(super) fn find(around: &Surroundings, program: &Path) -> Option<Runner> {
    let on_path = WINE_NAMES.iter().flat_map(|name| around.path.iter().map(move |folder| folder.join(name)));
    if let Some(wine) = on_path.chain(around.wine_elsewhere.clone()).find(|path| path.is_file()) {
        return Some(Runner::Wine(wine));
    }
    if super::has_extension(program, &["exe"]) { proton(around) } else { None }
}

fn proton(around: &Surroundings) -> Option<Runner> {
    let (home, data) = (around.home.as_ref()?, around.data.as_ref()?);
    STEAM.iter().map(|steam| home.join(steam)).find_map(|steam| {
        let folders = PROTON.iter().flat_map(|folder| std::fs::read_dir(steam.join(folder)));
        let found = folders.flat_map(|entries| entries.flatten().map(|entry| entry.path()));
        let scripts = found.filter(|path| is_proton(path)).map(|path| path.join("proton"));
        let script = scripts.filter(|script| script.is_file()).max_by_key(|script| version(script))?;
        Some(Runner::Proton { script, prefix: data.join("lanspread/proton"), steam })
    })
}

fn is_proton(folder: &Path) -> bool {
    folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.contains("Proton"))
}

/// Returns the numbers in the name of the script's folder, such as 9 and 0 in `Proton 9.0 (Beta)`. A name without
/// numbers sorts lowest.
fn version(script: &Path) -> Vec<u32> {
    let name = script.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

impl Runner {
    /// Returns the command that runs the program. Its path is one argument, and no shell reads it.
    pub fn command(&self, program: &Program) -> io::Result<Command> {
        let mut command = match self {
            Self::Wine(wine) => {
                let mut command = Command::new(wine);
                if !super::has_extension(&program.path, &["exe"]) {
                    command.args(["start", "/wait", "/unix"]);
                }
                command
            }
            Self::Proton { script, steam, prefix } => {
                std::fs::create_dir_all(prefix)?;
                let mut command = Command::new(script);
                command.env("STEAM_COMPAT_CLIENT_INSTALL_PATH", steam).env("STEAM_COMPAT_DATA_PATH", prefix);
                command.arg("run");
                command
            }
        };
        command.arg(&program.path).args(&program.args);
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a home folder with these files, and returns places to search that leave out the machine's own Wine.
    fn around(dir: &Path, files: &[&str]) -> Surroundings {
        for file in files {
            let path = dir.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        Surroundings {
            path: vec![dir.join("empty"), dir.join("bin")],
            home: Some(dir.to_owned()),
            data: Some(dir.join("data")),
            wine_elsewhere: None,
        }
    }

    fn found(files: &[&str], program: &str) -> (tempfile::TempDir, Option<Runner>) {
        let dir = tempfile::tempdir().unwrap();
        let runner = find(&around(dir.path(), files), Path::new(program));
        (dir, runner)
    }

    const STEAMS_OWN: [&str; 3] = [
        ".steam/root/steamapps/common/Proton 9.0 (Beta)/proton",
        ".steam/root/steamapps/common/Proton 10.0/proton",
        ".steam/root/steamapps/common/Proton - Experimental/proton",
    ];

    #[test]
    fn wine_comes_first_then_the_newest_proton() {
        let wine = |file: &str| {
            let (dir, runner) = found(&[file, STEAMS_OWN[0]], "go.exe");
            assert_eq!(runner, Some(Runner::Wine(dir.path().join(file))), "{file}");
        };
        wine("bin/wine");
        wine("bin/wine64");
        let (dir, runner) = found(&STEAMS_OWN, "GO.EXE");
        let Some(Runner::Proton { script, .. }) = runner else { panic!("{runner:?}") };
        assert_eq!(script, dir.path().join(STEAMS_OWN[1]));
        assert_eq!(found(&[".steam/root/steamapps/common/Portal/proton"], "go.exe").1, None);
    }

    #[test]
    fn batch_files_and_links_are_for_wine_alone() {
        for program in ["go.bat", "go.cmd", "go.lnk"] {
            assert_eq!(found(&STEAMS_OWN, program).1, None, "{program}");
            assert!(found(&["bin/wine"], program).1.is_some(), "{program}");
        }
    }

    #[test]
    fn a_program_is_one_argument_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let args = |runner: &Runner, path: &str| -> Vec<String> {
            let program = Program { path: path.into(), args: vec!["$(x)".to_owned(), "a b".to_owned()] };
            let command = runner.command(&program).unwrap();
            command.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect()
        };
        let wine = Runner::Wine("wine".into());
        let name = "/games/a game/local/bin; rm -rf ~/go.EXE";
        assert_eq!(args(&wine, name), [name, "$(x)", "a b"]);
        assert_eq!(args(&wine, "/g/go.bat"), ["start", "/wait", "/unix", "/g/go.bat", "$(x)", "a b"]);
        let prefix = dir.path().join("prefix");
        let proton =
            Runner::Proton { script: "proton".into(), steam: "/steam".into(), prefix: prefix.clone() };
        assert_eq!(args(&proton, name), ["run", name, "$(x)", "a b"]);
        assert!(prefix.is_dir(), "Proton wants it to be there");
    }
}
