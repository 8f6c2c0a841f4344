//! A process of the program under test that the lab leaves alone: the lab does not read its output, it may refuse to
//! start, and its conduct is not checked at the end. For scenarios about the process itself.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lanspread_api::Line;

use crate::lab::Lab;
use crate::scenario::{Failure, Outcome, fail};
use crate::wait::within;

/// A running process. The scenario chooses its arguments, including the folders.
pub struct Bare<'lab> {
    lab: &'lab Lab,
    name: String,
    child: Child,
}

/// Result of a process that has ended.
pub struct Ended {
    pub status: ExitStatus,
    /// Lines that were not read before the end.
    pub lines: Vec<Line>,
    /// Time from the call of [`Bare::await_end`] to the end.
    pub took: Duration,
}

impl<'lab> Bare<'lab> {
    /// Starts `lanspread-peer-cli` on folders of this name in the lab, with these additional arguments.
    pub fn start(lab: &'lab Lab, name: &str, args: &[&str]) -> Outcome<Self> {
        let folder = lab.folder(name)?;
        let mut all: Vec<String> = Vec::new();
        for (flag, below) in [("--games-dir", "games"), ("--state-dir", "state")] {
            if !args.contains(&flag) {
                all.extend([flag.to_owned(), folder.join(below).to_string_lossy().into_owned()]);
            }
        }
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanspread-peer-cli"));
        command.args(["--listen", "127.0.0.1:0", "--name", name]).args(&all);
        command.env_remove("LANSPREAD_SABOTAGE");
        if let Some(fault) = lab.sabotage().and_then(|sabotage| sabotage.in_peer(name)) {
            command.env("LANSPREAD_SABOTAGE", fault);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { lab, name: name.to_owned(), child: command.spawn()? })
    }

    #[cfg(unix)]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to standard input. Fails if the process does not read.
    pub fn say(&mut self, text: &str) -> Outcome {
        let Some(stdin) = self.child.stdin.as_mut() else { fail!("the input of {} is closed", self.name) };
        stdin.write_all(text.as_bytes()).map_err(|e| Failure(format!("{} does not read: {e}", self.name)))
    }

    pub fn close_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Returns standard output, which the scenario reads from then on.
    pub fn output(&mut self) -> Outcome<ChildStdout> {
        self.child.stdout.take().ok_or_else(|| Failure(format!("the output of {} is taken", self.name)))
    }

    /// Sends a signal, such as `-TERM`.
    #[cfg(unix)]
    pub fn signal(&self, signal: &str) -> Outcome {
        let sent = Command::new("kill").args([signal, &self.id().to_string()]).status()?;
        if sent.success() {
            Ok(())
        } else {
            Err(Failure(format!("{signal} cannot be sent to {}", self.name)))
        }
    }

    /// Waits for the end without reading the output meanwhile. Fails if the process still runs after `limit`.
    pub fn await_end(mut self, limit: Duration, what: &str) -> Outcome<Ended> {
        let began = Instant::now();
        let status = within(limit, &format!("{} {what}", self.name), || {
            Ok(self.child.try_wait()?.ok_or_else(|| "it runs".to_owned()))
        })?;
        let took = began.elapsed();
        let mut text = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut text)?;
        }
        // The last line may be cut off, because nobody read the output.
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Ended { status, lines, took })
    }
}

impl Drop for Bare<'_> {
    fn drop(&mut self) {
        // Both calls fail only if the process is already gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut stderr = String::new();
        if let Some(from) = self.child.stderr.as_mut() {
            let _ = from.read_to_string(&mut stderr);
        }
        self.lab.overhear(&stderr);
    }
}

/// Lines of a process's output as they arrive.
pub struct Lines(mpsc::Receiver<Line>);

impl Lines {
    pub fn of(output: ChildStdout) -> Self {
        let (lines, from) = mpsc::channel();
        std::thread::spawn(move || {
            let read = BufReader::new(output).lines().map_while(Result::ok);
            let lines =
                |line: String| lines.send(serde_json::from_str(&line)?).map_err(std::io::Error::other);
            // The thread ends with the output, or when the receiver of the lines is dropped.
            read.map(lines).find(Result::is_err)
        });
        Self(from)
    }

    /// Returns the next line. Fails if none comes within 30 seconds.
    pub fn next(&self, what: &str) -> Outcome<Line> {
        let patience = Duration::from_secs(30);
        self.0
            .recv_timeout(patience)
            .map_err(|e| Failure(format!("waited {patience:?} for this: {what} ({e})")))
    }

    /// Returns all remaining lines up to the end of the output.
    pub fn rest(self) -> Vec<Line> {
        self.0.iter().collect()
    }
}

/// Returns a path as an argument.
pub fn arg(path: &Path) -> Outcome<&str> {
    path.to_str().ok_or_else(|| Failure(format!("{} is no text", path.display())))
}
