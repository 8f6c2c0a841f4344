//! The lab `container`: each peer is a container with nothing in it but the program, on a private network of the lab.
//!
//! By podman or docker, whichever works here. The image is made by `just peer-cli-image`, without any registry. Folders
//! are mounted where they are outside, so paths mean the same. Networks and containers are named
//! `lsc<process id>-<lab>…`; the next run takes away what a killed one has left behind.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Once};

use super::{Ground, Host};
use crate::games::fixtures_dir;
use crate::scenario::{Failure, Outcome};

const TAG: &str = "lsc";
const IMAGE: &str = "localhost/lanspread-peer-cli";
/// Networks are `10.216.N.0/24`; where one is taken, by whomever, the next is tried.
const NETWORKS: u32 = 250;

static LABS: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

/// The engine to use, or why there is none.
static ENGINE: LazyLock<Result<&'static str, String>> = LazyLock::new(|| {
    let mut reasons = Vec::new();
    for engine in ["podman", "docker"] {
        match run(engine, &["info"]).and_then(|_| run(engine, &["image", "inspect", IMAGE])) {
            Ok(_) => return Ok(engine),
            Err(Failure(reason)) => reasons.push(reason.lines().last().unwrap_or_default().to_owned()),
        }
    }
    Err(format!(
        "the lab container needs podman or docker, and the image that `just peer-cli-image` makes: {}",
        reasons.join("; ")
    ))
});

fn engine() -> Outcome<&'static str> {
    ENGINE.clone().map_err(Failure)
}

/// A private network. Dropped, it takes its containers with it.
pub struct Network {
    engine: &'static str,
    name: String,
    /// The third part of its addresses.
    number: u8,
    root: PathBuf,
}

impl Network {
    /// `root` is the folder that all the lab's peers share with the host.
    pub fn new(root: &Path) -> Outcome<Self> {
        let engine = engine()?;
        SWEPT.call_once(|| sweep_strays(engine));
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TAG}{}-{lab}", std::process::id());
        let first = std::process::id().wrapping_mul(31).wrapping_add(lab);
        let mut refused = Failure(String::new());
        for try_next in 0..NETWORKS {
            let number = (first.wrapping_add(try_next) % NETWORKS) as u8;
            let subnet = format!("10.216.{number}.0/24");
            match run(engine, &["network", "create", "--subnet", &subnet, &name]) {
                Ok(_) => return Ok(Self { engine, name, number, root: root.to_owned() }),
                Err(failure) => refused = failure,
            }
        }
        Err(Failure(format!("no network for the lab: {}", refused.0)))
    }
}

impl Ground for Network {
    fn host(&self, number: usize) -> Outcome<Box<dyn Host>> {
        // The first addresses are the engine's own.
        let last = u8::try_from(number + 9)?;
        Ok(Box::new(Container {
            engine: self.engine,
            network: self.name.clone(),
            name: format!("{}-{number}", self.name),
            starts: AtomicU32::new(0),
            ip: Ipv4Addr::new(10, 216, self.number, last),
            root: self.root.clone(),
        }))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        remove(self.engine, &self.name);
    }
}

struct Container {
    engine: &'static str,
    network: String,
    name: String,
    /// Each start has a name of its own: the engine may still be tidying up after the one before.
    starts: AtomicU32,
    ip: Ipv4Addr,
    root: PathBuf,
}

impl Host for Container {
    fn ip(&self) -> IpAddr {
        self.ip.into()
    }

    /// The image has one program, so that of the host is not used.
    fn command(&self, _program: &Path) -> Command {
        let start = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        if start > 1 {
            // It has ended, but its address is free only when the engine has tidied up after it.
            let _ = run(self.engine, &["rm", "--force", &format!("{}-{}", self.name, start - 1)]);
        }
        let same = |path: &Path, mode: &str| format!("--volume={0}:{0}:{mode}", path.display());
        let mut command = Command::new(self.engine);
        command.args(["run", "--rm", "--interactive", "--pull=never", "--env=LANSPREAD_SABOTAGE"]);
        command.args(["--ulimit=nofile=10000:10000", "--ulimit=nproc=4096:4096"]);
        command.arg(format!("--name={}-{start}", self.name));
        // Always the same one: others remember it, and would not find a peer that comes back with a new one.
        let [a, b, c, d] = self.ip.octets();
        command.arg(format!("--mac-address=02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"));
        command.arg(format!("--network={}", self.network)).arg(format!("--ip={}", self.ip));
        command.arg(same(&self.root, "rw")).arg(same(&fixtures_dir(), "ro")).arg(IMAGE);
        command
    }

    fn kill(&self, child: &mut Child) -> std::io::Result<()> {
        let name = format!("{}-{}", self.name, self.starts.load(Ordering::SeqCst));
        // Where the container is gone already, what is left is the engine's own process.
        run(self.engine, &["kill", "--signal=KILL", &name]).map(drop).or_else(|_| child.kill())
    }
}

/// Takes away what killed runs have left behind.
fn sweep_strays(engine: &str) {
    let names = run(engine, &["network", "ls", "--format={{.Name}}"]).unwrap_or_default();
    let owner = |name: &str| -> Option<u32> { name.strip_prefix(TAG)?.split('-').next()?.parse().ok() };
    let strays: BTreeSet<&str> = names
        .lines()
        .filter(|name| owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()))
        .collect();
    strays.into_iter().for_each(|network| remove(engine, network));
}

/// Removes a network with all its containers. Nothing to be done where that fails: the next run tries again.
fn remove(engine: &str, network: &str) {
    let filter = format!("--filter=name=^{network}-");
    let containers = run(engine, &["ps", "--all", "--quiet", &filter]).unwrap_or_default();
    for container in containers.split_whitespace() {
        let _ = run(engine, &["rm", "--force", container]);
    }
    let _ = run(engine, &["network", "rm", network]);
}

fn run(program: &str, args: &[&str]) -> Outcome<String> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output();
    let done = done.map_err(|e| Failure(format!("{program} cannot be run: {e}")))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(Failure(format!("`{program} {}`: {}", args.join(" "), said.trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
