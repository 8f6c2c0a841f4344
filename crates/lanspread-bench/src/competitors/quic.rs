//! A file over QUIC, by quinn: the probe that our transport is compared with. Behind the feature `quic`.
//!
//! The same work as ours: read from a file, encrypted (TLS 1.3, AES-128-GCM), hashed with BLAKE3, written to a file. One
//! stream, windows of 16 MiB, large reads and writes, hashing on a thread of its own. The key is not checked: it costs
//! nothing worth measuring.

#[cfg(feature = "quic")]
mod probe;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::contender::{Contender, Party, Room};
use crate::game::ARCHIVE;
use crate::process::Process;

const PORT: u16 = 4433;

#[derive(Debug)]
pub struct Quic;

impl Contender for Quic {
    fn name(&self) -> &'static str {
        "quic"
    }

    fn unavailable(&self) -> Option<String> {
        (!cfg!(feature = "quic")).then(|| "this build is without it; build with `--features quic`".to_owned())
    }

    fn unsuited(&self, liar: bool) -> Option<&'static str> {
        liar.then_some("it has one source")
    }

    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>> {
        let addr = SocketAddr::new(room.lab.hosts[Room::SEED].ip(), PORT);
        let mut command = room.lab.hosts[Room::SEED].command(std::env::current_exe()?);
        command.arg("quic-serve").arg(addr.to_string()).arg(&room.game.archive);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Process::spawn("QUIC server", &mut command)?;
        BufReader::new(server.take_stdout()?)
            .read_line(&mut String::new())
            .context("the server did not start")?;
        let start = |receiver| {
            let output = room.scratch.fresh(&format!("receiver{receiver}"))?.join(ARCHIVE);
            let mut command = room.lab.hosts[room.host_of(receiver)].command(std::env::current_exe()?);
            command.arg("quic-fetch").arg(addr.to_string()).arg(&output).stdin(Stdio::null());
            anyhow::Ok((command, output))
        };
        let starts = (0..room.receivers).map(start).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(QuicParty { server, clients: starts.iter().map(|_| None).collect(), starts }))
    }
}

struct QuicParty {
    server: Process,
    clients: Vec<Option<Process>>,
    starts: Vec<(Command, PathBuf)>,
}

impl Party for QuicParty {
    fn start(&mut self, receiver: usize) -> Result<()> {
        self.clients[receiver] = Some(Process::spawn("quic-fetch", &mut self.starts[receiver].0)?);
        Ok(())
    }

    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>> {
        match self.clients[receiver].as_ref().map(Process::ended).transpose()?.flatten() {
            Some(true) => Ok(Some(Instant::now())),
            Some(false) => bail!("the QUIC receiver failed"),
            None => Ok(None),
        }
    }

    fn kill(&mut self, receiver: usize) {
        if let Some(process) = &mut self.clients[receiver] {
            process.kill();
        }
    }

    fn output(&self, receiver: usize) -> PathBuf {
        self.starts[receiver].1.clone()
    }

    fn processes(&self) -> Vec<&Process> {
        std::iter::once(&self.server).chain(self.clients.iter().flatten()).collect()
    }
}

/// The sending process.
#[cfg(feature = "quic")]
pub fn serve(addr: SocketAddr, file: &Path) -> Result<()> {
    probe::serve(addr, file)
}

/// The receiving process.
#[cfg(feature = "quic")]
pub fn fetch(addr: SocketAddr, file: &Path) -> Result<()> {
    probe::fetch(addr, file)
}

#[cfg(not(feature = "quic"))]
pub fn serve(_: SocketAddr, _: &Path) -> Result<()> {
    bail!("this build is without QUIC")
}

#[cfg(not(feature = "quic"))]
pub fn fetch(_: SocketAddr, _: &Path) -> Result<()> {
    bail!("this build is without QUIC")
}
