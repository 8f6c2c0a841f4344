//! The lab `netns`: each peer is a process in its own network namespace, with its own address, MAC and cable, on one
//! switch.
//!
//! The namespaces of a lab are named `lsn<process id>-<lab>-<n>`, the switch's `…-sw`. So concurrent runs do not
//! collide, and the next run recognises those of a killed run. All labs use the same addresses, because no two labs
//! share a switch.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Ground, Host};
use crate::scenario::{Failure, Outcome};

const TAG: &str = "lsn";
/// Bytes that the token bucket may send at once: two of the largest packets that leave a host in one piece (64 KiB),
/// so that the shaper never has to split one.
const BURST_BYTES: &str = "131072";
/// Queue in front of a shaped link, as time at its rate.
const QUEUE: &str = "50ms";

static LABS: AtomicU32 = AtomicU32::new(0);
static SWEPT: Once = Once::new();

/// A switch. Cables are added with the peers. Dropping it removes everything.
pub struct Room {
    name: String,
}

impl Room {
    pub fn new() -> Outcome<Self> {
        SWEPT.call_once(sweep_strays);
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        // From here on, dropping the room cleans up if a later step fails.
        let room = Self { name: format!("{TAG}{}-{lab}", std::process::id()) };
        let switch = room.switch();
        ip(&["netns", "add", &switch]).map_err(|Failure(reason)| {
            Failure(format!(
                "the lab netns cannot be set up: {reason}\n  it needs Linux with `ip` and `tc` (Debian: iproute2), and \
                 root or a user namespace, which `just peer-cli-tests-netns` makes"
            ))
        })?;
        // Without snooping the bridge forwards multicast to every port, as simple switches do.
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0"])?;
        ip(&["-n", &switch, "link", "set", "br0", "up"])?;
        Ok(room)
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.name)
    }
}

impl Ground for Room {
    fn host(&self, number: usize) -> Outcome<Box<dyn Host>> {
        let last = u8::try_from(number)?;
        let host = Namespace {
            name: format!("{}-{number}", self.name),
            switch: self.switch(),
            port: format!("v{number}"),
            ip: Ipv4Addr::new(10, 214, 0, last),
        };
        let (ns, switch) = (host.name.as_str(), host.switch.as_str());
        ip(&["netns", "add", ns])?;
        let pair = ["link", "add", "eth0", "type", "veth", "peer", "name", &host.port, "netns", switch];
        ip(&[&["-n", ns], &pair[..]].concat())?;
        ip(&["-n", switch, "link", "set", &host.port, "master", "br0", "up"])?;
        let address = format!("{}/24", host.ip);
        ip(&["-n", ns, "addr", "add", &address, "brd", "+", "dev", "eth0"])?;
        ip(&["-n", ns, "link", "set", "lo", "up"])?;
        ip(&["-n", ns, "link", "set", "eth0", "up"])?;
        ip(&["-n", ns, "route", "add", "224.0.0.0/4", "dev", "eth0"])?;
        Ok(Box::new(host))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        delete_all(&format!("{}-", self.name));
    }
}

struct Namespace {
    name: String,
    switch: String,
    /// The other end of its cable, in the switch.
    port: String,
    ip: Ipv4Addr,
}

impl Host for Namespace {
    fn ip(&self) -> IpAddr {
        self.ip.into()
    }

    fn command(&self, program: &Path) -> Command {
        // `ip` replaces itself by the program, so that a kill hits the program.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    fn shape(&self, mbit_per_s: u32) -> Outcome {
        let rate = format!("{mbit_per_s}mbit");
        for (ns, device) in [(&self.name, "eth0"), (&self.switch, self.port.as_str())] {
            let tbf = ["root", "tbf", "rate", &rate, "burst", BURST_BYTES, "latency", QUEUE];
            run("tc", &[&["-n", ns, "qdisc", "replace", "dev", device], &tbf[..]].concat())?;
        }
        Ok(())
    }

    fn plug(&self, plugged: bool) -> Outcome {
        // At the switch, so that the peer's own interface loses its carrier and keeps its address, as with a real
        // cable.
        ip(&["-n", &self.switch, "link", "set", &self.port, if plugged { "up" } else { "down" }]).map(drop)
    }
}

/// Deletes the namespaces of killed runs.
fn sweep_strays() {
    let owner = |name: &String| -> Option<u32> { name.strip_prefix(TAG)?.split('-').next()?.parse().ok() };
    let owners: BTreeSet<u32> = namespaces().iter().filter_map(owner).collect();
    for gone in owners.into_iter().filter(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
        delete_all(&format!("{TAG}{gone}-"));
    }
}

fn namespaces() -> Vec<String> {
    let text = ip(&["netns", "list"]).unwrap_or_default();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Deletes the namespaces with this prefix and kills their processes. Errors are ignored, because the next run tries
/// again.
fn delete_all(prefix: &str) {
    for namespace in namespaces().iter().filter(|name| name.starts_with(prefix)) {
        for pid in ip(&["netns", "pids", namespace]).unwrap_or_default().split_whitespace() {
            let _ = run("kill", &["-KILL", pid]);
        }
        let _ = ip(&["netns", "del", namespace]);
    }
}

fn ip(args: &[&str]) -> Outcome<String> {
    run("ip", args)
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
