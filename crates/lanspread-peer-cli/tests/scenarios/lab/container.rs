//! The lab `container`: each peer is a container that holds only the program, on a private network of the lab.
//!
//! Uses podman or docker, whichever works. `just peer-cli-image` builds the image without a registry. Folders are
//! mounted at the same paths inside and outside. Networks and containers are named `lsc<process id>-<lab>…`, and the
//! next run removes those of a killed run.

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
/// Number of networks `10.216.N.0/24`. If one is taken, the next one is tried.
const NETWORKS: u32 = 250;

static LABS: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

/// The container engine, or the reason why there is none.
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

/// Starts one container, to see whether any can be started.
pub fn first_start() -> Outcome {
    let engine = engine()?;
    let started = run(engine, &["run", "--rm", "--pull=never", IMAGE, "--version"]);
    started.map(drop).map_err(|Failure(reason)| {
        let reason = reason.lines().last().unwrap_or_default();
        Failure(format!(
            "{engine} is installed, but starts no container ({reason}); mend it until `{engine} run --rm {IMAGE} \
             --version` works (control groups of version 2 are what most often is missing), or use LANSPREAD_LAB=netns"
        ))
    })
}

fn engine() -> Outcome<&'static str> {
    ENGINE.clone().map_err(Failure)
}

/// A private network. Dropping it removes its containers, too.
pub struct Network {
    engine: &'static str,
    name: String,
    /// Third byte of its addresses.
    number: u8,
    root: PathBuf,
}

impl Network {
    /// Creates a network. `root` is the folder that all peers of the lab share with the host.
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
        // The engine uses the first addresses itself.
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
    /// Number of starts. Each start has its own container name, because the engine may still be cleaning up after the
    /// previous one.
    starts: AtomicU32,
    ip: Ipv4Addr,
    root: PathBuf,
}

impl Host for Container {
    fn ip(&self) -> IpAddr {
        self.ip.into()
    }

    /// Returns a command that starts the container. The image has one program, so the host's program is not used.
    fn command(&self, _program: &Path) -> Command {
        let start = self.starts.fetch_add(1, Ordering::SeqCst) + 1;
        if start > 1 {
            // The previous container has ended, but its address is only free once the engine has cleaned up.
            let _ = run(self.engine, &["rm", "--force", &format!("{}-{}", self.name, start - 1)]);
        }
        let same = |path: &Path, mode: &str| format!("--volume={0}:{0}:{mode}", path.display());
        let mut command = Command::new(self.engine);
        command.args(["run", "--rm", "--interactive", "--pull=never", "--env=LANSPREAD_SABOTAGE"]);
        command.args(["--ulimit=nofile=10000:10000", "--ulimit=nproc=4096:4096"]);
        command.arg(format!("--name={}-{start}", self.name));
        // The MAC address is constant: other hosts remember it and would not find a peer that returns with a new one.
        let [a, b, c, d] = self.ip.octets();
        command.arg(format!("--mac-address=02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}"));
        command.arg(format!("--network={}", self.network)).arg(format!("--ip={}", self.ip));
        command.arg(same(&self.root, "rw")).arg(same(&fixtures_dir(), "ro")).arg(IMAGE);
        command
    }

    fn kill(&self, child: &mut Child) -> std::io::Result<()> {
        let name = format!("{}-{}", self.name, self.starts.load(Ordering::SeqCst));
        // If the container is already gone, only the engine's own process is left to kill.
        run(self.engine, &["kill", "--signal=KILL", &name]).map(drop).or_else(|_| child.kill())
    }
}

/// Removes networks and containers of killed runs.
fn sweep_strays(engine: &str) {
    let names = run(engine, &["network", "ls", "--format={{.Name}}"]).unwrap_or_default();
    let owner = |name: &str| -> Option<u32> { name.strip_prefix(TAG)?.split('-').next()?.parse().ok() };
    let strays: BTreeSet<&str> = names
        .lines()
        .filter(|name| owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()))
        .collect();
    strays.into_iter().for_each(|network| remove(engine, network));
}

/// Removes a network with all its containers. Errors are ignored, because the next run tries again.
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
