//! Interface of the programs that take part: prepare, start at the click, and report the end.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::game::{Game, Scratch, allocated_bytes};
use crate::lab::Lab;
use crate::process::Process;

/// A room for one run: hosts, files and the game.
#[derive(Debug)]
pub struct Room<'a> {
    /// Hosts and links.
    pub lab: &'a Lab,
    /// Folders of the peers.
    pub scratch: &'a Scratch,
    /// The game to carry.
    pub game: &'a Game,
    /// Number of receivers; their hosts come after the seed's.
    pub receivers: usize,
    /// Whether the host after the receivers offers a copy with flipped bytes as good.
    pub liar: bool,
}

impl Room<'_> {
    /// Number of the seed's host.
    pub const SEED: usize = 0;

    /// Returns the host of a receiver, with receivers counted from 0.
    pub fn host_of(&self, receiver: usize) -> usize {
        receiver + 1
    }

    /// Returns the host of the peer with the flipped copy, if the room has one.
    pub fn liar_host(&self) -> Option<usize> {
        self.liar.then_some(self.receivers + 1)
    }
}

/// What a click asks of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Click {
    /// The receiver downloads the game.
    Download,
    /// The receiver also installs it, if the program can.
    Install,
}

/// Messages that a peer has sent so far, without chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Control messages.
    pub messages: u64,
    /// Requests to sources, and cancellations.
    pub requests: u64,
}

/// A program that can carry a game to a room.
pub trait Contender {
    /// Returns the name in tables and records.
    fn name(&self) -> &'static str;

    /// Returns why the program cannot take part on this machine.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// Returns why the program cannot take part in a room with or without a liar.
    fn unsuited(&self, _liar: bool) -> Option<&'static str> {
        None
    }

    /// Starts everything that must run before the clock does.
    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>>;
}

/// A prepared transfer. Dropping it ends all its processes.
pub trait Party {
    /// Performs a receiver's click.
    fn start(&mut self, receiver: usize) -> Result<()>;

    /// Returns when a receiver had the whole game, verified; `None` until then.
    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>>;

    /// Returns whether receivers install the game as well.
    fn installs(&self) -> bool {
        false
    }

    /// Returns when a receiver had the game installed; `None` until then.
    fn playable_at(&mut self, _receiver: usize) -> Result<Option<Instant>> {
        Ok(None)
    }

    /// Returns the folder that the game is installed to.
    fn installed(&self, _receiver: usize) -> Option<PathBuf> {
        None
    }

    /// Returns what each process of [`Self::processes`] has sent so far; `None` for a program that does not count it.
    fn sent(&mut self) -> Result<Vec<Option<Sent>>> {
        Ok(Vec::new())
    }

    /// Kills a receiver with SIGKILL.
    fn kill(&mut self, receiver: usize);

    /// Returns the path of the archive: complete at the end, and at least in part during the transfer.
    fn output(&self, receiver: usize) -> PathBuf;

    /// Returns roughly the bytes that a receiver has so far.
    fn received_bytes(&mut self, receiver: usize) -> u64 {
        allocated_bytes(&self.output(receiver))
    }

    /// Returns the seed's process, then those of the receivers that were started.
    fn processes(&self) -> Vec<&Process>;

    /// Returns the payload bytes that the receivers say they got from the seed; `None` if they do not count them.
    fn stated_seed_bytes(&self) -> Option<u64> {
        None
    }

    /// Returns further observations for the records.
    fn remarks(&self, _start: Instant) -> Vec<serde_json::Value> {
        Vec::new()
    }
}
