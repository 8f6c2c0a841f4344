//! What a program must be able to do to take part: get ready, start when told, say when it is done.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::game::{Game, Scratch, allocated_bytes};
use crate::lab::Lab;
use crate::process::Process;

/// Who is where in a room.
#[derive(Debug)]
pub struct Room<'a> {
    pub lab: &'a Lab,
    pub scratch: &'a Scratch,
    pub game: &'a Game,
    /// Receivers; their hosts follow that of the seed.
    pub receivers: usize,
    /// The host after them holds a copy with flipped bytes and offers it as good.
    pub liar: bool,
}

impl Room<'_> {
    /// Number of the seed's host.
    pub const SEED: usize = 0;

    /// The host of a receiver, receivers counted from 0.
    pub fn host_of(&self, receiver: usize) -> usize {
        receiver + 1
    }

    pub fn liar_host(&self) -> Option<usize> {
        self.liar.then_some(self.receivers + 1)
    }
}

/// What a receiver does with the game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Click {
    /// Has it downloaded.
    Download,
    /// Has it installed, too, if the program can.
    Install,
}

/// What a peer has sent so far, chunks apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Control messages.
    pub messages: u64,
    /// Requests to sources, and cancellations.
    pub requests: u64,
}

/// A program that can carry a game to a room.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// Why it cannot take part on this machine.
    fn unavailable(&self) -> Option<String> {
        None
    }

    /// Why it cannot take part in this room.
    fn unsuited(&self, _liar: bool) -> Option<&'static str> {
        None
    }

    /// Starts everything that runs before the clock does.
    fn prepare(&self, room: &Room<'_>) -> Result<Box<dyn Party>>;
}

/// A prepared transfer. Everything ends when it is dropped.
pub trait Party {
    /// The click of a receiver.
    fn start(&mut self, receiver: usize) -> Result<()>;

    /// When the receiver had everything, verified, if it has.
    fn finished_at(&mut self, receiver: usize) -> Result<Option<Instant>>;

    /// Whether receivers install what they fetch.
    fn installs(&self) -> bool {
        false
    }

    /// When the receiver had the game installed, if it has.
    fn playable_at(&mut self, _receiver: usize) -> Result<Option<Instant>> {
        Ok(None)
    }

    /// The folder that the game is installed to.
    fn installed(&self, _receiver: usize) -> Option<PathBuf> {
        None
    }

    /// What each process of [`Self::processes`] has sent so far; nothing for one that cannot tell.
    fn sent(&mut self) -> Result<Vec<Option<Sent>>> {
        Ok(Vec::new())
    }

    /// SIGKILL for a receiver.
    fn kill(&mut self, receiver: usize);

    /// Where the archive lies when all is done; during the transfer at least in part.
    fn output(&self, receiver: usize) -> PathBuf;

    /// Bytes that a receiver has so far, roughly.
    fn received_bytes(&mut self, receiver: usize) -> u64 {
        allocated_bytes(&self.output(receiver))
    }

    /// The seed's process, then those of the receivers that were started.
    fn processes(&self) -> Vec<&Process>;

    /// Payload that the receivers say they had from the seed.
    fn stated_seed_bytes(&self) -> Option<u64> {
        None
    }

    /// What else is worth a word in the records.
    fn remarks(&self, _start: Instant) -> Vec<serde_json::Value> {
        Vec::new()
    }
}
