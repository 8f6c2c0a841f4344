//! Detects a start by double click or from the start menu. Such a start has no terminal, so no console may appear and
//! errors must show in a window.
//!
//! On Windows the program is a console program, so that shells wait for it and can read its output. Its manifest asks
//! for no console of its own, which Windows obeys since Windows 11 24H2. Older versions give a new console to a program
//! that Explorer starts; the program then starts itself again without one, and ends.

#[cfg(windows)]
pub use windows::{Start, start};

/// How the program was started.
#[cfg(not(windows))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// From a terminal, a script or another program that reads its output.
    Ordinary,
}

#[cfg(not(windows))]
impl Start {
    /// Returns whether another process has taken over; never on this system.
    pub fn is_handed_over(self) -> bool {
        false
    }

    /// Does nothing: errors go to the terminal.
    pub fn complain(self, _: &str) {}
}

/// Tells how the program was started. Other systems' file managers give a program no terminal, and no window can open
/// without a toolkit.
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
    /// Environment variable that marks the second start.
    const MARK: &str = "LANSPREAD_STARTED_BY_HAND";
    /// Program that runs double clicks and the start menu.
    const EXPLORER: &str = "explorer.exe";

    /// How the program was started.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Start {
        /// From a terminal, a script or another program that reads its output.
        Ordinary,
        /// By hand; nobody sees its output.
        ByHand,
        /// By hand; another process goes on without the console window that this one got.
        HandedOver,
    }

    impl Start {
        /// Returns whether another process has taken over, so that this one must end.
        pub fn is_handed_over(self) -> bool {
            self == Self::HandedOver
        }

        /// Shows an error to a person who has no terminal to read it in.
        pub fn complain(self, text: &str) {
            if self == Self::ByHand {
                // If even that fails, there is nobody to tell.
                let _ = HWND::NULL.MessageBox(text, "lanspread", co::MB::ICONERROR);
            }
        }
    }

    /// Tells how the program was started. Call it once, and only for a start without a command: it may start a second
    /// process.
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
            // The console window stays then; that is better than no program.
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

    /// Returns the name of the program that started this one; `None` if it has ended.
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
        fn test_is_not_started_by_hand() {
            assert_eq!(start(), Start::Ordinary);
        }
    }
}
