//! `find`: how long a new peer takes until it and all others see each other.
//!
//! Each start is a fresh room of network namespaces with fresh state folders. The first peers have already seen each
//! other when the clock starts, just before the new peer's process. It stops when every peer counts all others as
//! connected.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::contenders::peer::Peer;
use crate::figures::{Report, Spread, say};
use crate::lab::{self, Host, run};

/// Options of `find`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Starts on each network, with and without a decoy
    #[arg(long, default_value_t = 20)]
    runs: usize,
    /// Add a JSON line for each start to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Program of the peer to measure
    #[arg(long, value_name = "FILE", default_value = "target/release/lanspread-peer-cli")]
    program: PathBuf,
}

/// Network between the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// One switch that forwards everything.
    Open,
    /// One switch that drops IPv4 and IPv6 multicast.
    NoMulticast,
    /// Two switches with a router between them; the new peer gets the address of one peer beyond the router.
    TwoSubnets,
}

impl Network {
    const ALL: [Self; 3] = [Self::Open, Self::NoMulticast, Self::TwoSubnets];

    const fn name(self) -> &'static str {
        match self {
            Self::Open => "multicast",
            Self::NoMulticast => "multicast blocked",
            Self::TwoSubnets => "two subnets, one introduction",
        }
    }

    /// Longest acceptable time, in seconds.
    const fn goal(self) -> f64 {
        match self {
            Self::Open => 3.0,
            Self::NoMulticast | Self::TwoSubnets => 10.0,
        }
    }
}

/// Runs the benchmark and prints its table.
pub fn run_find(options: &Options) -> Result<()> {
    ensure!(options.program.is_file(), "{} is not there: build it first", options.program.display());
    ensure!(lab::has_tool("nft"), "`nft` is not installed: one of the networks drops multicast by its rules");
    let mut report = Report::begin(options.json.as_deref())?;
    say("network                        decoy  median   min    max   (s)  goal");
    for network in Network::ALL {
        for decoy in [false, true] {
            let mut seconds = Vec::new();
            for start in 0..options.runs {
                let took = once(&options.program, network, decoy, start)?;
                report.record(&json!({
                    "bench": "find", "network": network.name(), "decoy": decoy, "start": start, "seconds": took,
                }))?;
                seconds.push(took);
            }
            let Some(Spread { median, min, max, .. }) = Spread::of(seconds) else { continue };
            let met = if max <= network.goal() { "met" } else { "MISSED" };
            say(&format!(
                "{:<30} {:<5}  {median:>5.2}  {min:>5.2}  {max:>5.2}        {} {met}",
                network.name(),
                if decoy { "yes" } else { "no" },
                network.goal()
            ));
        }
    }
    Ok(())
}

/// Measures one start in a fresh room; returns seconds.
fn once(program: &Path, network: Network, decoy: bool, start: usize) -> Result<f64> {
    let room = Room::new(network, decoy, start)?;
    let found = ["--find", "mdns,broadcast,introductions", "--listen", "0.0.0.0:24930"];
    let begin = |at: usize| -> Result<Peer> {
        let name = format!("p{at}");
        let folder = room.folder.join(&name);
        std::fs::create_dir_all(folder.join("games"))?;
        Peer::start_with(program, &room.hosts[at], &name, &folder, &found)
    };
    let last = room.hosts.len() - 1;
    let mut peers = Vec::new();
    for at in 0..last {
        peers.push(begin(at)?);
    }
    for peer in &mut peers {
        peer.wait_peers(last - 1)?;
    }
    let clock = Instant::now();
    let mut late = begin(last)?;
    if network == Network::TwoSubnets {
        late.connect((room.hosts[0].ip(), 24_930).into())?;
    }
    late.wait_peers(last)?;
    for peer in &mut peers {
        peer.wait_peers(last)?;
    }
    let took = clock.elapsed().as_secs_f64();
    peers.push(late);
    peers.into_iter().try_for_each(Peer::shut_down)?;
    Ok(took)
}

/// Namespaces and folders of one start. Dropping it deletes them.
struct Room {
    hosts: Vec<Host>,
    spaces: Vec<String>,
    folder: PathBuf,
}

impl Room {
    fn new(network: Network, decoy: bool, start: usize) -> Result<Self> {
        let tag = format!("{}-f{start}", lab::tag());
        let folder = std::env::temp_dir().join(format!("lanspread-find-{tag}"));
        let mut room = Self { hosts: Vec::new(), spaces: Vec::new(), folder };
        room.space(&format!("{tag}-s0"))?;
        let switch = room.spaces[0].clone();
        room.bridge(&switch, "br0")?;
        let near = if network == Network::TwoSubnets { 3 } else { 2 };
        if network == Network::NoMulticast {
            drop_multicast(&switch)?;
        }
        for number in 0..near {
            // With two subnets, the last host is beyond the router; its peer starts late.
            let beyond = network == Network::TwoSubnets && number + 1 == near;
            if beyond {
                room.bridge(&switch, "br1")?;
            }
            let (bridge, subnet) = if beyond { ("br1", 2) } else { ("br0", 1) };
            let ip = Ipv4Addr::new(10, 215, subnet, number + 1);
            room.host(&format!("{tag}-h{number}"), &switch, bridge, ip, decoy)?;
        }
        if network == Network::TwoSubnets {
            room.router(&format!("{tag}-r"), &switch)?;
        }
        Ok(room)
    }

    fn space(&mut self, name: &str) -> Result<()> {
        self.spaces.push(name.to_owned());
        run("ip", &["netns", "add", name])?;
        run("ip", &["-n", name, "link", "set", "lo", "up"])
    }

    fn bridge(&self, switch: &str, name: &str) -> Result<()> {
        run("ip", &["-n", switch, "link", "add", name, "type", "bridge", "mcast_snooping", "0"])?;
        run("ip", &["-n", switch, "link", "set", name, "up"])
    }

    /// Connects a namespace to a bridge.
    fn cable(&self, space: &str, device: &str, address: &str, switch: &str, bridge: &str) -> Result<()> {
        let port = format!("v{}", self.spaces.len() * 10 + usize::from(device == "eth1"));
        let pair = ["link", "add", device, "type", "veth", "peer", "name", &port, "netns", switch];
        run("ip", &[&["-n", space], &pair[..]].concat())?;
        run("ip", &["-n", switch, "link", "set", &port, "master", bridge, "up"])?;
        run("ip", &["-n", space, "addr", "add", address, "brd", "+", "dev", device])?;
        run("ip", &["-n", space, "link", "set", device, "up"])
    }

    fn host(&mut self, name: &str, switch: &str, bridge: &str, ip: Ipv4Addr, decoy: bool) -> Result<()> {
        self.space(name)?;
        self.cable(name, "eth0", &format!("{ip}/24"), switch, bridge)?;
        if decoy {
            // Looks like a network that all hosts share, but each host's leads only into a switch of its own.
            let alone = format!("{name}-d");
            self.space(&alone)?;
            self.bridge(&alone, "br0")?;
            let address = format!("192.168.56.{}/24", ip.octets()[3]);
            self.cable(name, "eth1", &address, &alone, "br0")?;
        }
        let router = Ipv4Addr::new(10, 215, ip.octets()[2], 254).to_string();
        run("ip", &["-n", name, "route", "add", "default", "via", &router])?;
        self.hosts.push(Host::at(name, ip));
        Ok(())
    }

    fn router(&mut self, name: &str, switch: &str) -> Result<()> {
        self.space(name)?;
        self.cable(name, "eth0", "10.215.1.254/24", switch, "br0")?;
        self.cable(name, "eth1", "10.215.2.254/24", switch, "br1")?;
        run("ip", &["netns", "exec", name, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    }
}

/// Drops multicast at the switch, as access points and cheap mesh routers do.
fn drop_multicast(switch: &str) -> Result<()> {
    let rules = "table bridge quiet { chain pass { type filter hook forward priority 0; \
                 ip daddr 224.0.0.0/4 drop; ip6 daddr ff02::fb drop; }; }";
    let nft = ["netns", "exec", switch, "nft", rules];
    run("ip", &nft)
}

impl Drop for Room {
    fn drop(&mut self) {
        for space in &self.spaces {
            lab::delete(space);
        }
        // A failure leaves a few kilobytes in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
