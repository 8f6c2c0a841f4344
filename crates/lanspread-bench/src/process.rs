//! A process that is measured: what it has cost, whether it has ended, and that it does not outlive its owner.

use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// How often is looked whether something has happened: 0.1 % of the shortest transfer that is timed this way.
pub const POLL: Duration = Duration::from_millis(2);
/// Clock ticks per second in `/proc` (`USER_HZ`, the same on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// A child process. Killed and reaped when dropped. It is reaped only then, so its usage can be read after its end.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    child: Child,
}

impl Process {
    pub fn spawn(name: impl Into<String>, command: &mut Command) -> Result<Self> {
        let name = name.into();
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name, child })
    }

    pub fn take_stdin(&mut self) -> Result<ChildStdin> {
        self.child.stdin.take().with_context(|| format!("{} has no standard input", self.name))
    }

    pub fn take_stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().with_context(|| format!("{} has no standard output", self.name))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of CPU that it has used so far, user and system, all threads; also its children's that have ended.
    pub fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(self.proc_file("stat")).unwrap_or_default();
        cpu_seconds_of(&text).unwrap_or(0.0)
    }

    /// The most memory that it ever held, in bytes; unknown once it has ended.
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.proc_file("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    }

    fn proc_file(&self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.child.id()).into()
    }

    /// Whether it has ended, and if so whether well. It stays to be read.
    pub fn ended(&self) -> Result<Option<bool>> {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else {
            bail!("{} has no process id", self.name);
        };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::Pid(pid), options).with_context(|| self.name.clone())?;
        Ok(status.map(|status| status.exit_status() == Some(0)))
    }

    /// Waits for a good end.
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

    /// SIGKILL.
    pub fn kill(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// Fields 14 to 17 of `/proc/PID/stat`, counted behind the name, which may contain anything.
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
    fn cpu_time_stands_behind_a_name_with_anything_in_it() {
        let stat = "77 (a) b ( c) S 1 77 77 0 -1 4194560 1000 0 0 0 250 40 7 3 20 0 9 0 100";
        assert_eq!(cpu_seconds_of(stat), Some(3.0));
        assert_eq!(cpu_seconds_of("77 (x"), None);
    }

    #[test]
    fn an_ended_process_can_still_be_asked() {
        let process = Process::spawn("true", &mut Command::new("true")).unwrap();
        process.finish(Duration::from_secs(10)).unwrap();
        assert_eq!(process.ended().unwrap(), Some(true));
        assert!(process.cpu_seconds() < 1.0);
        let process = Process::spawn("false", &mut Command::new("false")).unwrap();
        assert!(process.finish(Duration::from_secs(10)).is_err());
    }
}
