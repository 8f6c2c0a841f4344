//! `iperf3`: the rate of plain TCP on the same path, without files, hashes or encryption.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::contenders::contender::Room;
use crate::lab::{Lab, has_tool};
use crate::process::Process;
use crate::process::Usage;

const LIMIT: Duration = Duration::from_secs(600);
const START_TIME: Duration = Duration::from_millis(300);
/// Number of attempts. A client that is faster than its server fails; then both are started again.
const ATTEMPTS: u32 = 5;

/// Result of a transfer.
#[derive(Debug)]
pub struct Done {
    /// Time of the transfer, from the rate that the receiver reports.
    pub seconds: f64,
    /// CPU of the client, without its memory.
    pub sender: Usage,
    /// CPU of the server, without its memory.
    pub receiver: Usage,
}

/// Returns why `iperf3` cannot run here.
pub fn unavailable() -> Option<String> {
    (!has_tool("iperf3")).then(|| "iperf3 is not installed".to_owned())
}

/// Sends this many bytes from the seed's host to the first receiver's, over one connection.
pub fn run(lab: &Lab, bytes: u64) -> Result<Done> {
    let mut done = attempt(lab, bytes);
    for _ in 1..ATTEMPTS {
        if done.is_ok() {
            break;
        }
        done = attempt(lab, bytes);
    }
    done
}

fn attempt(lab: &Lab, bytes: u64) -> Result<Done> {
    let (from, to) = (&lab.hosts[Room::SEED], &lab.hosts[1]);
    let ip = to.ip().to_string();
    let mut server = to.command("iperf3");
    server.args(["--server", "--one-off", "--bind", &ip]).stdin(Stdio::null()).stdout(Stdio::null());
    let server = Process::spawn("iperf3 server", &mut server)?;
    thread::sleep(START_TIME);
    let mut client = from.command("iperf3");
    client.args(["--client", &ip, "--bytes", &bytes.to_string(), "--json"]);
    client.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut client = Process::spawn("iperf3 client", &mut client)?;
    let stdout = client.take_stdout()?;
    client.finish(LIMIT)?;
    let report: Value = serde_json::from_reader(stdout).context("output of iperf3")?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().context("iperf3 states no rate")?;
    server.finish(LIMIT)?;
    let usage = |process: &Process| Usage { cpu_s: process.cpu_seconds(), peak_rss_bytes: 0 };
    Ok(Done { seconds: bytes as f64 * 8.0 / rate, sender: usage(&client), receiver: usage(&server) })
}
