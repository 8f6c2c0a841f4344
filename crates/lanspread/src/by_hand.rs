//! Started by hand, by a double click or from the start menu: no terminal is there, so none should appear, and what goes
//! wrong has to be shown in a window.
//!
//! On Windows the program is a console program, so that shells wait for it and its output has somewhere to go. Since
//! Windows 11 24H2 its manifest says that it needs no console of its own. Before, Windows gives a new one to a program
//! that is started by the Explorer; then the program starts itself again without one, and ends.

#[cfg(windows)]
pub use windows::{Start, start};

/// How the program was started.
#[cfg(not(windows))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From a terminal, a script or whatever reads what it prints.
    Ordinary,
}

#[cfg(not(windows))]
impl Start {
    pub fn is_handed_over(self) -> bool {
        false
    }

    pub fn complain(self, _: &str) {}
}

/// On other systems file managers give no terminal to a program, and there is no window without a toolkit.
#[cfg(not(windows))]
pub fn start() -> Start {
    Start::Ordinary
}

#[cfg(windows)]
mod windows {
    use std::io::IsTerminal;
    use std::os::windows::process::CommandExt;
    use std::process::{Command, Stdio};

    use winsafe::prelude::*;
    use winsafe::{HPROCESSLIST, HWND, co};

    /// `DETACHED_PROCESS`: no console, not even that of the parent.
    const DETACHED: u32 = 0x8;
    /// Tells the second start that it is one.
    const MARK: &str = "LANSPREAD_STARTED_BY_HAND";
    /// What a double click and the start menu start programs from.
    const EXPLORER: &str = "explorer.exe";

    /// How the program was started.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Start {
        /// From a terminal, a script or whatever reads what it prints.
        Ordinary,
        /// By hand, and nobody sees what it prints.
        ByHand,
        /// By hand, and another process goes on without the console window that this one was given.
        HandedOver,
    }

    impl Start {
        /// Whether there is nothing left to do here.
        pub fn is_handed_over(self) -> bool {
            self == Self::HandedOver
        }

        /// Shows what went wrong to somebody who has no terminal to read it in.
        pub fn complain(self, text: &str) {
            if self == Self::ByHand {
                // If even that fails, there is nobody to tell.
                let _ = HWND::NULL.MessageBox(text, "lanspread", co::MB::ICONERROR);
            }
        }
    }

    /// To be asked once, for a start without a command.
    pub fn start() -> Start {
        if std::env::var_os(MARK).is_some() {
            return Start::ByHand;
        }
        if parent().is_none_or(|name| !name.eq_ignore_ascii_case(EXPLORER)) {
            return Start::Ordinary;
        }
        if !std::io::stdout().is_terminal() {
            return Start::ByHand;
        }
        match again() {
            Ok(()) => Start::HandedOver,
            // Then the console window stays: better than no program.
            Err(error) => {
                tracing::warn!(%error, "the program cannot be started without a console");
                Start::Ordinary
            }
        }
    }

    fn again() -> std::io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(std::env::args_os().skip(1)).env(MARK, "1").creation_flags(DETACHED);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(drop)
    }

    /// Name of the program that started this one; `None` if it has ended.
    fn parent() -> Option<String> {
        let mut list = HPROCESSLIST::CreateToolhelp32Snapshot(co::TH32CS::SNAPPROCESS, None).ok()?;
        let mut names = std::collections::HashMap::new();
        let mut parent = None;
        for entry in list.iter_processes() {
            let entry = entry.ok()?;
            if entry.th32ProcessID == std::process::id() {
                parent = Some(entry.th32ParentProcessID);
            }
            names.insert(entry.th32ProcessID, entry.szExeFile());
        }
        names.remove(&parent?)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_test_is_not_started_by_hand() {
            assert_eq!(start(), Start::Ordinary);
        }
    }
}
