//! A measured process: its CPU time and memory, whether it has ended, and that it does not outlive its owner.

use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Pause between two looks at a process: 0.1 % of the shortest transfer that is timed this way.
pub const POLL: Duration = Duration::from_millis(2);
/// Clock ticks per second in `/proc` (`USER_HZ`, the same on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// Resources that one process used during a timed run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU seconds between the start and the end of the clock.
    pub cpu_s: f64,
    /// Peak resident memory over its whole life; 0 if unknown.
    pub peak_rss_bytes: u64,
}

/// A child process. Dropping it kills and reaps it. It is reaped only then, so that its usage can still be read after
/// its end.
#[derive(Debug)]
pub struct Process {
    /// Name in error messages.
    pub name: String,
    child: Child,
}

impl Process {
    /// Starts the process.
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name, child })
    }

    /// Takes its standard input, which must be a pipe and can be taken once.
    pub fn take_stdin(&mut self) -> Result<ChildStdin> {
        self.child.stdin.take().with_context(|| format!("{} has no standard input", self.name))
    }

    /// Takes its standard output, which must be a pipe and can be taken once.
    pub fn take_stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().with_context(|| format!("{} has no standard output", self.name))
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds so far, user and system, of all threads and of children that have ended.
    pub fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(self.proc_file("stat")).unwrap_or_default();
        cpu_seconds_of(&text).unwrap_or(0.0)
    }

    /// Peak of its resident memory in bytes; `None` once it has ended.
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.proc_file("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    }

    fn proc_file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }

    /// Returns whether it has ended and, if so, whether with success. Does not reap it.
    pub fn ended(&self) -> Result<Option<bool>> {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            bail!("{} has no process id", self.name);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::Pid(pid), options).with_context(|| self.name.clone())?;
        Ok(status.map(|status| status.exit_status() == Some(0)))
    }

    /// Waits until it ends with success, and returns when; an error if it fails or takes longer than `limit`.
    pub fn finish(&self, limit: Duration) -> Result<Instant> {
        let start = Instant::now();
        loop {
            match self.ended()? {
                Some(true) => return Ok(Instant::now()),
                Some(false) => bail!("{} failed", self.name),
                None if start.elapsed() > limit => bail!("{} did not end within {limit:?}", self.name),
                None => thread::sleep(POLL),
            }
        }
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) {
        // Fails only if the process has ended.
        let _ = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// Sums fields 14 to 17 of `/proc/PID/stat`. Counts behind the name, which may contain anything.
fn cpu_seconds_of(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()? + next()? + next()?) / TICKS_PER_SECOND)
}

/// Waits for a condition; `what` completes "gave up waiting until ...".
pub fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        if start.elapsed() > limit {
            bail!("gave up waiting until {what} (after {limit:?})");
        }
        thread::sleep(POLL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "77 (a) b ( c) S 1 77 77 0 -1 4194560 1000 0 0 0 250 40 7 3 20 0 9 0 100";
        assert_eq!(cpu_seconds_of(stat), Some(3.0));
        assert_eq!(cpu_seconds_of("77 (x"), None);
    }

    #[test]
    fn ended_process_can_still_be_asked() {
        let process = Process::spawn("true", &mut Command::new("true")).unwrap();
        process.finish(Duration::from_secs(10)).unwrap();
        assert_eq!(process.ended().unwrap(), Some(true));
        assert!(process.cpu_seconds() < 1.0);
        let process = Process::spawn("false", &mut Command::new("false")).unwrap();
        assert!(process.finish(Duration::from_secs(10)).is_err());
    }
}
