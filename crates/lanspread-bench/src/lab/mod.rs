//! A room of hosts on this machine: a network namespace for each host, a veth pair to a bridge in another
//! namespace, and `tc tbf` on both ends of every pair.
//!
//! With several groups, each group has its own bridge. Its uplink to the bridge in the middle is a veth pair that is
//! shaped like a host's.
//!
//! | module | owns |
//! | --- | --- |
//! | `layout` | groups and addresses |
//! | `neighbours` | room in the kernel's ARP table |
//! | `tools` | the system's programs |
//! | `sweep` | names, and the clean-up |

mod layout;
mod neighbours;
mod sweep;
mod tools;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use anyhow::{Context, Result};

pub use layout::group_of;
use layout::{Layout, PREFIX_BITS, SUBNET, SWITCH};
pub use sweep::{delete, scratch_folder, sweep, sweep_strays, tag};
pub use tools::{has_tool, output, require_means, run, stop};

/// Bytes that a token bucket may send at once: a few of the largest packets that leave a host in one piece (64 KiB),
/// so that the shaper never has to cut one; 10 ms at 100 Mbit/s.
const BURST_BYTES: u64 = 128 << 10;
/// Name of the bridge in the middle.
const MIDDLE: &str = "br0";

/// The speed of a host's link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Rate in each direction; `None` means unshaped.
    pub mbit_per_s: Option<f64>,
    /// Longest queue in front of the link, as time at its rate.
    pub queue_ms: u32,
}

impl Link {
    /// Returns the link at a fraction of its rate.
    pub fn slowed(self, factor: f64) -> Self {
        Self { mbit_per_s: self.mbit_per_s.map(|rate| rate * factor), ..self }
    }
}

/// Switches between the hosts and the switch in the middle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Groups {
    /// Number of groups. With one, all hosts are at the switch in the middle and there is no uplink.
    pub count: usize,
    /// Link of each group's switch to the middle.
    pub uplink: Link,
}

/// Settings of every host's kernel.
#[derive(Debug, clap::Args)]
pub struct Kernel {
    /// TCP congestion control; CUBIC is the default of Windows, macOS and nearly every Linux
    #[arg(long, value_name = "NAME", default_value = "cubic")]
    congestion: String,
    /// A setting, such as net.ipv4.tcp_notsent_lowat=131072; may be repeated
    #[arg(long = "sysctl", value_name = "KEY=VALUE")]
    sysctls: Vec<String>,
}

/// A namespace with one interface, `eth0`, and its address.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: String,
    ip: Ipv4Addr,
}

impl Host {
    /// Describes a namespace that was made elsewhere.
    pub fn at(namespace: &str, ip: Ipv4Addr) -> Self {
        Self { namespace: namespace.to_owned(), ip }
    }

    /// Address of `eth0`.
    pub fn ip(&self) -> IpAddr {
        self.ip.into()
    }

    /// Returns a command that will run inside the namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    /// Returns the bytes that the shaper has sent to the network; `None` if the link is not shaped.
    pub fn sent_bytes(&self) -> Result<Option<u64>> {
        shaper_bytes(&self.namespace, "eth0")
    }
}

/// Bytes that crossed the uplink of a group's switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossed {
    /// From the group to the middle.
    pub out_bytes: u64,
    /// From the middle into the group.
    pub in_bytes: u64,
}

/// The hosts, switches and links of a room. Dropping it deletes them.
#[derive(Debug)]
pub struct Lab {
    /// Hosts in the order of their links; the seed is first.
    pub hosts: Vec<Host>,
    /// Namespace of the bridges. A tracker runs at its address in the middle, so that a question to it loads only the
    /// uplink of the host that asks.
    pub switch: Host,
    groups: usize,
}

impl Lab {
    /// Builds one host for each link, all at one switch.
    pub fn new(links: &[Link], kernel: &Kernel) -> Result<Self> {
        Self::grouped(links, Groups { count: 1, uplink: Link { mbit_per_s: None, queue_ms: 0 } }, kernel)
    }

    /// Builds one host for each link, spread over groups.
    pub fn grouped(links: &[Link], groups: Groups, kernel: &Kernel) -> Result<Self> {
        let layout = Layout::new(links.len(), groups.count)?;
        neighbours::make_room(layout.hosts(), &tag())?;
        let host = |name: String, ip: Ipv4Addr| Host { namespace: format!("{}-{name}", tag()), ip };
        let switch = host("sw".to_owned(), SWITCH);
        let hosts = (0..layout.hosts()).map(|i| host(format!("h{i}"), layout.address_of(i))).collect();
        // From here on Drop cleans up, however far the build gets.
        let lab = Self { hosts, switch, groups: layout.groups() };
        lab.switch_on()?;
        if lab.has_uplinks() {
            (0..lab.groups).try_for_each(|group| lab.add_group(group, groups.uplink))?;
        }
        for (i, (host, link)) in lab.hosts.iter().zip(links).enumerate() {
            let bridge = if lab.has_uplinks() { bridge(layout.group_of(i)) } else { MIDDLE.to_owned() };
            lab.plug_in(host, i, &bridge, *link, kernel)?;
            for setting in &kernel.sysctls {
                run("ip", &["netns", "exec", &host.namespace, "sysctl", "-q", "-w", setting])?;
            }
        }
        Ok(lab)
    }

    /// Returns the bytes that have crossed each group's uplink so far. Empty with a single switch or unshaped
    /// uplinks.
    pub fn uplinks(&self) -> Result<Vec<Crossed>> {
        if !self.has_uplinks() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for group in 0..self.groups {
            let [upper, lower] = uplink(group);
            let bytes = |device: &str| shaper_bytes(&self.switch.namespace, device);
            let both = bytes(&lower)?.zip(bytes(&upper)?);
            all.extend(both.map(|(out_bytes, in_bytes)| Crossed { out_bytes, in_bytes }));
        }
        Ok(all)
    }

    fn has_uplinks(&self) -> bool {
        self.groups > 1
    }

    fn switch_on(&self) -> Result<()> {
        let ns = self.switch.namespace.as_str();
        run("ip", &["netns", "add", ns])?;
        run("ip", &["-n", ns, "link", "set", "lo", "up"])?;
        self.add_bridge(MIDDLE)?;
        let address = format!("{}/{PREFIX_BITS}", self.switch.ip);
        run("ip", &["-n", ns, "addr", "add", &address, "dev", MIDDLE])
    }

    fn add_bridge(&self, name: &str) -> Result<()> {
        let ns = self.switch.namespace.as_str();
        run("ip", &["-n", ns, "link", "add", name, "type", "bridge"])?;
        run("ip", &["-n", ns, "link", "set", name, "up"])
    }

    /// Adds a group's bridge and its uplink.
    fn add_group(&self, group: usize, link: Link) -> Result<()> {
        let ns = self.switch.namespace.as_str();
        let [upper, lower] = uplink(group);
        self.add_bridge(&bridge(group))?;
        run("ip", &["-n", ns, "link", "add", &lower, "type", "veth", "peer", "name", &upper])?;
        run("ip", &["-n", ns, "link", "set", &lower, "master", &bridge(group), "up"])?;
        run("ip", &["-n", ns, "link", "set", &upper, "master", MIDDLE, "up"])?;
        [upper, lower].iter().try_for_each(|device| shape(ns, device, link))
    }

    fn plug_in(&self, host: &Host, number: usize, bridge: &str, link: Link, kernel: &Kernel) -> Result<()> {
        let (ns, switch) = (host.namespace.as_str(), self.switch.namespace.as_str());
        let port = format!("v{number}");
        let address = format!("{}/{PREFIX_BITS}", host.ip);
        run("ip", &["netns", "add", ns])?;
        run(
            "ip",
            &["-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", &port, "netns", switch],
        )?;
        run("ip", &["-n", switch, "link", "set", &port, "master", bridge, "up"])?;
        run("ip", &["-n", ns, "addr", "add", &address, "dev", "eth0"])?;
        run("ip", &["-n", ns, "link", "set", "eth0", "up"])?;
        run("ip", &["-n", ns, "link", "set", "lo", "up"])?;
        // Set by the route, because a namespace may not choose among the algorithms that its host restricts.
        let own = host.ip.to_string();
        let route = [SUBNET, "dev", "eth0", "src", &own, "congctl", &kernel.congestion];
        run("ip", &[&["-n", ns, "route", "replace"], &route[..]].concat())?;
        for (ns, device) in [(ns, "eth0"), (switch, port.as_str())] {
            shape(ns, device, link)?;
        }
        Ok(())
    }
}

fn bridge(group: usize) -> String {
    format!("grp{group}")
}

/// Names of both ends of a group's uplink: the end at the middle, whose shaper sends into the group, and the end at
/// the group.
fn uplink(group: usize) -> [String; 2] {
    [format!("down{group}"), format!("up{group}")]
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

/// Bytes that a shaper has sent, including the headers of every single frame; the interface's own counter only counts
/// large packets before they are cut. `None` if the device is not shaped.
fn shaper_bytes(namespace: &str, device: &str) -> Result<Option<u64>> {
    let text = output("tc", &["-n", namespace, "-s", "-j", "qdisc", "show", "dev", device])?;
    let disciplines: serde_json::Value = serde_json::from_str(&text).context("output of tc")?;
    let shaper = disciplines.as_array().into_iter().flatten().find(|d| d["kind"] == "tbf");
    Ok(shaper.and_then(|d| d["bytes"].as_u64()))
}

impl Drop for Lab {
    fn drop(&mut self) {
        for host in self.hosts.iter().chain([&self.switch]) {
            delete(&host.namespace);
        }
    }
}
