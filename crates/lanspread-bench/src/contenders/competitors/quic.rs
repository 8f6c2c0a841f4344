//! A file over QUIC with quinn, to compare our transport with. Needs the feature `quic`.
//!
//! It does the same work as our transport: reads from a file, encrypts (TLS 1.3, AES-128-GCM), hashes with BLAKE3,
//! and writes to a file. It uses one stream, windows of 16 MiB, large reads and writes, and a separate thread for
//! hashing. The peer's key is not checked, which saves nothing worth measuring.

#[cfg(feature = "quic")]
mod probe;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
#[cfg(not(feature = "quic"))]
use anyhow::bail;

use super::pull::{self, PullParty};
use crate::contenders::contender::{Contender, Party, Room};

const PORT: u16 = 4433;

/// The contender.
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
        let server = pull::start_server("QUIC server", &mut command)?;
        PullParty::prepare(room, server, |host, output| {
            let mut command = host.command(std::env::current_exe()?);
            command.arg("quic-fetch").arg(addr.to_string()).arg(output);
            Ok(command)
        })
    }
}

/// Runs the sending process.
#[cfg(feature = "quic")]
pub fn serve(addr: SocketAddr, file: &Path) -> Result<()> {
    probe::serve(addr, file)
}

/// Runs the receiving process.
#[cfg(feature = "quic")]
pub fn fetch(addr: SocketAddr, file: &Path) -> Result<()> {
    probe::fetch(addr, file)
}

/// Fails: this build has no QUIC.
#[cfg(not(feature = "quic"))]
pub fn serve(_: SocketAddr, _: &Path) -> Result<()> {
    bail!("this build is without QUIC")
}

/// Fails: this build has no QUIC.
#[cfg(not(feature = "quic"))]
pub fn fetch(_: SocketAddr, _: &Path) -> Result<()> {
    bail!("this build is without QUIC")
}
