//! One contender's turn in one room.

use anyhow::Result;

use super::case::Case;
use super::record::{Record, Turn};
use crate::contenders::contender::{Click, Contender, Room};
use crate::figures::say;
use crate::game::{Game, Scratch};
use crate::lab::{Kernel, Lab};
use crate::machine::Machine;
use crate::race;

/// One contender's turn: the room, the game and the click.
pub struct Heat<'a> {
    /// Settings of the hosts' kernels.
    pub kernel: &'a Kernel,
    /// The room to build.
    pub case: &'a Case,
    /// Folders of the peers.
    pub scratch: &'a Scratch,
    /// The game to carry.
    pub game: &'a Game,
    /// What the receivers' clicks ask for.
    pub click: Click,
}

impl Heat<'_> {
    /// Builds the room, runs the transfer and takes the room down. `None` if the contender cannot take part in this
    /// room.
    pub fn run(&self, contender: &dyn Contender, run: u32) -> Result<Option<Record>> {
        let (case, bytes) = (*self.case, self.game.archive_bytes);
        if let Some(reason) = contender.unsuited(case.liar()) {
            if run == 1 {
                say(&format!("{case}: {} is left out: {reason}", contender.name()));
            }
            return Ok(None);
        }
        let lab = Lab::grouped(&case.links(), case.switches(), self.kernel)?;
        let room = Room {
            lab: &lab,
            scratch: self.scratch,
            game: self.game,
            receivers: case.receivers,
            liar: case.liar(),
        };
        let mut party = contender.prepare(&room)?;
        // An installed game takes as much memory again as its archive.
        let copies = case.receivers as u64 * if self.click == Click::Install { 2 } else { 1 };
        room.scratch.warm(bytes * copies)?;
        let load_before = Machine::load();
        let outcome = race::run(party.as_mut(), &room, &case.plan(bytes))?;
        let turn = Turn {
            contender: contender.name(),
            case,
            run,
            bytes,
            load_before,
            stated_seed_bytes: party.stated_seed_bytes(),
            remarks: party.remarks(outcome.start),
        };
        Ok(Record::new(turn, &outcome))
    }
}
