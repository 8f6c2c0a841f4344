//! `scp` from our own `sshd` with its own keys and port, on the seed's host. It uses the cheapest cipher,
//! AES-128-GCM. It encrypts, and leaves verification to TCP and the cipher.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::pull::PullParty;
use crate::contenders::contender::{Contender, Party, Room};
use crate::lab::{self, has_tool};
use crate::process::{Process, wait_until};

const PORT: u16 = 2222;
const START_LIMIT: Duration = Duration::from_secs(20);
/// sshd must be started by its full path, which is not on most users' `PATH`.
const SSHD: &str = "/usr/sbin/sshd";
/// Folder that sshd confines itself to; it must exist.
const CONFINEMENT: &str = "/run/sshd";

/// The contender.
#[derive(Debug)]
pub struct Scp;

impl Contender for Scp {
    fn name(&self) -> &'static str {
        "scp"
    }

    fn unavailable(&self) -> Option<String> {
        let missing = ["scp", "ssh-keygen"].into_iter().find(|tool| !has_tool(tool));
        let sshd = (!Path::new(SSHD).exists()).then_some("sshd");
        sshd.or(missing).map(|tool| format!("{tool} is not installed (Debian: openssh-server)"))
    }

    fn unsuited(&self, liar: bool) -> Option<&'static str> {
        liar.then_some("it has one source")
    }

    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let folder = room.scratch.fresh("scp")?;
        let [host_key, user_key] = [make_key(&folder, "host")?, make_key(&folder, "user")?];
        let addr = SocketAddr::new(room.lab.hosts[Room::SEED].ip(), PORT);
        let server = start_sshd(room, addr, &folder, &host_key)?;
        let from = format!("root@{}:{}", addr.ip(), room.game.archive.display());
        PullParty::prepare(room, server, |host, output| {
            let mut command = host.command("scp");
            command.args(["-q", "-B", "-F", "none", "-c", "aes128-gcm@openssh.com"]);
            command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
            command.args(["-o", "LogLevel=ERROR", "-P", &PORT.to_string(), "-i"]).arg(&user_key);
            command.arg(&from).arg(output);
            Ok(command)
        })
    }
}

fn start_sshd(room: &Room<'_>, addr: SocketAddr, folder: &Path, host_key: &Path) -> Result<Process> {
    std::fs::create_dir_all(CONFINEMENT)?;
    let log = folder.join("sshd.log");
    let mut command = room.lab.hosts[Room::SEED].command(SSHD);
    command.args(["-D", "-f", "/dev/null", "-E"]).arg(&log).arg("-h").arg(host_key);
    for option in [
        format!("ListenAddress={addr}"),
        format!("AuthorizedKeysFile={}", folder.join("user.pub").display()),
        "Subsystem=sftp internal-sftp".to_owned(),
        "PermitRootLogin=prohibit-password".to_owned(),
        "StrictModes=no".to_owned(),
        "UsePAM=no".to_owned(),
        "PidFile=none".to_owned(),
    ] {
        command.arg("-o").arg(option);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Process::spawn("sshd", &mut command)?;
    wait_until("sshd listens", START_LIMIT, || {
        ensure!(server.ended()?.is_none(), "sshd has ended: {}", read(&log));
        Ok(read(&log).contains("Server listening"))
    })?;
    Ok(server)
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// Makes a key pair and returns the path of its secret half.
fn make_key(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let text = path.display().to_string();
    lab::run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", &text])?;
    Ok(path)
}
