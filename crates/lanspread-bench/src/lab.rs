//! A room of hosts on this machine: a network namespace for each, a veth pair to a bridge in a namespace of its own, and
//! `tc tbf` on both ends of every pair.
//!
//! Every name starts with [`tag`], which holds this process's id. [`sweep`] ends and deletes whatever carries a tag; it
//! runs at the end, on Ctrl-C, and for the tags of processes that are gone.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// What a bucket may send at once: a few of the largest packets that leave a host in one piece (64 KiB), so that the
/// shaper never has to cut one; 10 ms at 100 Mbit/s.
const BURST_BYTES: u64 = 128 << 10;
const TAG: &str = "lsb";

static STOPPING: AtomicBool = AtomicBool::new(false);

/// What all names of this process start with.
pub fn tag() -> String {
    format!("{TAG}{}", std::process::id())
}

/// The speed of a host's link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// In each direction; `None` does not shape.
    pub mbit_per_s: Option<f64>,
    /// How much may wait in front of the link, as time at its rate.
    pub queue_ms: u32,
}

impl Link {
    pub fn slowed(self, factor: f64) -> Self {
        Self { mbit_per_s: self.mbit_per_s.map(|rate| rate * factor), ..self }
    }
}

/// How the kernel of every host behaves.
#[derive(Debug, clap::Args)]
pub struct Kernel {
    /// TCP's congestion control; CUBIC is the default of Windows, macOS and nearly every Linux
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    congestion: String,
    /// A setting, such as net.ipv4.tcp_notsent_lowat=131072; may be repeated
    #[arg(long = "sysctl", value_name = "KEY=VALUE")]
    sysctls: Vec<String>,
}

/// A namespace with one interface, `eth0`.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: String,
    ip: Ipv4Addr,
}

impl Host {
    /// A namespace that was made elsewhere.
    pub fn at(namespace: &str, ip: Ipv4Addr) -> Self {
        Self { namespace: namespace.to_owned(), ip }
    }

    pub fn ip(&self) -> IpAddr {
        self.ip.into()
    }

    /// A command that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Bytes that the shaper has sent to the network, headers of every single frame included (the interface's own
    /// counter knows only the large packets before they are cut). `None` if the link is not shaped.
    pub fn sent_bytes(&self) -> Result<Option<u64>> {
        let text = output("tc", &["-n", &self.namespace, "-s", "-j", "qdisc", "show", "dev", "eth0"])?;
        let disciplines: serde_json::Value = serde_json::from_str(&text).context("output of tc")?;
        let shaper = disciplines.as_array().into_iter().flatten().find(|d| d["kind"] == "tbf");
        Ok(shaper.and_then(|d| d["bytes"].as_u64()))
    }
}

/// The room. Deleted when dropped.
#[derive(Debug)]
pub struct Lab {
    pub hosts: Vec<Host>,
    /// The namespace of the bridge, with an address of its own: for a tracker, whose traffic then burdens no host's
    /// uplink but that of who asks.
    pub switch: Host,
}

impl Lab {
    /// One host for each link.
    pub fn new(links: &[Link], kernel: &Kernel) -> Result<Self> {
        ensure!(links.len() < 250, "a lab has room for 249 hosts");
        let host = |name: String, last: u8| Host {
            namespace: format!("{}-{name}", tag()),
            ip: Ipv4Addr::new(10, 213, 0, last),
        };
        let switch = host("sw".to_owned(), 254);
        let hosts = (0..links.len()).map(|i| host(format!("h{i}"), i as u8 + 1)).collect();
        // From here on Drop cleans up, however far this gets.
        let lab = Self { hosts, switch };
        lab.switch_on()?;
        for (i, (host, link)) in lab.hosts.iter().zip(links).enumerate() {
            lab.plug_in(host, i, *link, kernel)?;
            for setting in &kernel.sysctls {
                run("ip", &["netns", "exec", &host.namespace, "sysctl", "-q", "-w", setting])?;
            }
        }
        Ok(lab)
    }

    fn switch_on(&self) -> Result<()> {
        let ns = self.switch.namespace.as_str();
        let address = format!("{}/24", self.switch.ip);
        run("ip", &["netns", "add", ns])?;
        run("ip", &["-n", ns, "link", "add", "br0", "type", "bridge"])?;
        run("ip", &["-n", ns, "addr", "add", &address, "dev", "br0"])?;
        run("ip", &["-n", ns, "link", "set", "br0", "up"])?;
        run("ip", &["-n", ns, "link", "set", "lo", "up"])
    }

    fn plug_in(&self, host: &Host, number: usize, link: Link, kernel: &Kernel) -> Result<()> {
        let (ns, switch) = (host.namespace.as_str(), self.switch.namespace.as_str());
        let port = format!("v{number}");
        let address = format!("{}/24", host.ip);
        run("ip", &["netns", "add", ns])?;
        run(
            "ip",
            &["-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", switch],
        )?;
        run("ip", &["-n", switch, "link", "set", &port, "master", "br0", "up"])?;
        run("ip", &["-n", ns, "addr", "add", &address, "dev", "eth0"])?;
        run("ip", &["-n", ns, "link", "set", "eth0", "up"])?;
        run("ip", &["-n", ns, "link", "set", "lo", "up"])?;
        // By the route: a namespace may not choose among what its host restricts.
        let own = host.ip.to_string();
        let route = ["10.213.0.0/24", "dev", "eth0", "src", &own, "congctl", &kernel.congestion];
        run("ip", &[&["-n", ns, "route", "replace"], &route[..]].concat())?;
        for (ns, device) in [(ns, "eth0"), (switch, port.as_str())] {
            shape(ns, device, link)?;
        }
        Ok(())
    }
}

fn shape(namespace: &str, device: &str, link: Link) -> Result<()> {
    let Some(mbit) = link.mbit_per_s else { return Ok(()) };
    let rate = format!("{}kbit", (mbit * 1000.0).round());
    let (burst, latency) = (BURST_BYTES.to_string(), format!("{}ms", link.queue_ms));
    let tbf = ["root", "tbf", "rate", &rate, "burst", &burst, "latency", &latency];
    let mut args = vec!["-n", namespace, "qdisc", "add", "dev", device];
    args.extend(tbf);
    run("tc", &args)
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.hosts.iter().chain([&self.switch]) {
            delete(&host.namespace);
        }
    }
}

/// From now on nothing new is made; for the way out.
pub fn stop() {
    STOPPING.store(true, Ordering::SeqCst);
}

/// Ends all processes in namespaces of a tag, deletes these, and unmounts its scratch folder.
pub fn sweep(tag: &str) {
    for namespace in namespaces().iter().filter(|n| n.starts_with(&format!("{tag}-"))) {
        delete(namespace);
    }
    let folder = scratch_folder(tag);
    if folder.exists() {
        // Fails where nothing is mounted, which is fine: then the files are in the folder itself.
        let _ =
            Command::new("umount").args(["-l".as_ref(), folder.as_os_str()]).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&folder);
    }
}

/// Sweeps after earlier runs that were killed.
pub fn sweep_strays() {
    let stray = |name: &String| {
        let pid: u32 = name.strip_prefix(TAG)?.split('-').next()?.parse().ok()?;
        (!PathBuf::from(format!("/proc/{pid}")).exists()).then(|| format!("{TAG}{pid}"))
    };
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let folders = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let tags: std::collections::BTreeSet<String> =
        namespaces().into_iter().chain(folders).filter_map(|name| stray(&name)).collect();
    for tag in tags {
        sweep(&tag);
    }
}

/// Where the scratch folder of a tag is.
pub fn scratch_folder(tag: &str) -> PathBuf {
    std::env::temp_dir().join(tag)
}

fn namespaces() -> Vec<String> {
    let text = output("ip", &["netns", "list"]).unwrap_or_default();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Ends what runs in a namespace, and deletes it.
pub fn delete(namespace: &str) {
    for pid in output("ip", &["netns", "pids", namespace]).unwrap_or_default().lines() {
        if let Some(pid) = pid.trim().parse().ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "del", namespace]).stderr(Stdio::null()).status();
}

/// Refuses, with a sentence, where a lab cannot be made.
pub fn require_means() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "network namespaces need root: run this as root (sudo), or inside `unshare -Urnm`"
    );
    for tool in ["ip", "tc", "mount", "umount"] {
        ensure!(
            has_tool(tool),
            "`{tool}` is not installed: the lab is made of network namespaces and shaped links (Debian: iproute2, mount)"
        );
    }
    Ok(())
}

/// Whether a program is on the path.
pub fn has_tool(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Runs a tool that must succeed.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    ensure!(!STOPPING.load(Ordering::SeqCst), "interrupted");
    output(program, args).map(drop)
}

/// What a tool that must succeed printed.
pub fn output(program: &str, args: &[&str]) -> Result<String> {
    let done = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    if !done.status.success() {
        bail!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
