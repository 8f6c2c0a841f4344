//! Selects the contenders, and finds or builds their programs: our release build, and other programs if they are
//! installed.

pub mod competitors;
pub mod contender;
pub mod ours;
pub mod peer;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::contenders::competitors::aria2::Aria2;
use crate::contenders::competitors::copy::Copy;
use crate::contenders::competitors::http::Http;
use crate::contenders::competitors::libtorrent::Libtorrent;
use crate::contenders::competitors::scp::Scp;
use crate::contenders::competitors::transmission::Transmission;
use crate::contenders::contender::{Click, Contender};
use crate::contenders::ours::Lanspread;
use crate::figures::say;

/// A contender that can be chosen on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// our peer
    Lanspread,
    /// aria2c, a BitTorrent program
    Aria2,
    /// the BitTorrent engine of qBittorrent and Deluge
    Libtorrent,
    /// libtorrent with super-seeding at the seed
    LibtorrentSuper,
    /// transmission-cli, a BitTorrent program
    Transmission,
    /// one HTTP server and curl
    Http,
    /// a bare copy from file to file over TCP: nothing encrypted, nothing verified
    Copy,
    /// `scp` from an `sshd` of our own
    Scp,
    /// a file over QUIC by quinn; needs the feature `quic`
    Quic,
}

/// Name of the other build of our peer.
const BEFORE: &str = "lanspread-before";

/// Options that say where the contenders come from.
#[derive(Debug, Args)]
pub struct Others {
    /// Program of our peer; by default it is built from this tree
    #[arg(long, value_name = "PROGRAM")]
    peer_cli: Option<PathBuf>,
    /// Another build of our peer, which takes part as lanspread-before
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
    /// A Python with the libtorrent module
    #[arg(long, value_name = "PROGRAM", default_value = "target/bench/venv/bin/python")]
    python: PathBuf,
    /// Seed of the game's random bytes
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Others {
    /// Returns the chosen contenders that can take part, and prints why the others cannot.
    pub fn contenders(&self, choices: &[Choice], click: Click) -> Result<Vec<Box<dyn Contender>>> {
        let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
        if let Some(program) = self.before_program()? {
            contenders.push(Box::new(Lanspread { name: BEFORE, program, click }));
        }
        for &choice in choices {
            let contender = self.contender(choice, click)?;
            match contender.unavailable() {
                Some(reason) => say(&format!("skipped  {}: {reason}", contender.name())),
                None => contenders.push(contender),
            }
        }
        ensure!(!contenders.is_empty(), "no contender can run here");
        Ok(contenders)
    }

    fn contender(&self, choice: Choice, click: Click) -> Result<Box<dyn Contender>> {
        Ok(match choice {
            Choice::Lanspread => {
                Box::new(Lanspread { name: "lanspread", program: self.our_program()?, click })
            }
            Choice::Aria2 => Box::new(Aria2),
            Choice::Libtorrent => Box::new(Libtorrent { python: self.python.clone(), super_seeding: false }),
            Choice::LibtorrentSuper => {
                Box::new(Libtorrent { python: self.python.clone(), super_seeding: true })
            }
            Choice::Transmission => Box::new(Transmission),
            Choice::Http => Box::new(Http),
            Choice::Copy => Box::new(Copy),
            Choice::Scp => Box::new(Scp),
            Choice::Quic => Box::new(crate::contenders::competitors::quic::Quic),
        })
    }

    /// Returns the builds of our peer that take part, with their names.
    pub fn our_programs(&self) -> Result<Vec<(&'static str, PathBuf)>> {
        let before = self.before_program()?.map(|program| (BEFORE, program));
        Ok(before.into_iter().chain([("lanspread", self.our_program()?)]).collect())
    }

    fn before_program(&self) -> Result<Option<PathBuf>> {
        let Some(program) = &self.before else { return Ok(None) };
        program.canonicalize().with_context(|| program.display().to_string()).map(Some)
    }

    /// Returns the given program. Without one, cargo builds this tree first, so that the program is never an old one.
    pub fn our_program(&self) -> Result<PathBuf> {
        if let Some(program) = &self.peer_cli {
            return program.canonicalize().with_context(|| program.display().to_string());
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--release", "--quiet", "-p", "lanspread-peer-cli"])
            .current_dir(&root)
            .status()
            .context("cargo cannot be started; name a program with --peer-cli")?;
        ensure!(built.success(), "lanspread-peer-cli does not build");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(target.join("release/lanspread-peer-cli").canonicalize()?)
    }
}
