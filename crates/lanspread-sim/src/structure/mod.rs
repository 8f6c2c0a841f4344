//! Which structure spreads a game through a room: candidates, side by side, on one model of links and PCs.
//!
//! This is a model for a decision (docs/decisions/0002), at the level of blocks, and shares no code with the product: [`network`]
//! says when a block arrives, and each candidate ([`line`], [`cube`], [`rows`]) who sends it. The same room and seed give the
//! same figures on every machine.

pub mod cube;
pub mod figures;
pub mod line;
pub mod network;
pub mod random;
pub mod room;
pub mod rows;

use cube::{Choice, Cube, CubeRules, IdealCube};
use figures::Figures;
use line::{Line, LineRules};
use network::Network;
use room::Room;
use rows::{RowRules, Rows};

/// A way to spread a game.
#[derive(Debug, Clone, PartialEq)]
pub enum Candidate {
    /// Each receiver follows the one before, as the line was formed.
    Line,
    /// The same; who takes nothing for a few block times goes to the tail, and so does who is slow.
    SkippingLine,
    /// A sparse cube whose neighbours ask each other.
    Cube(Choice),
    /// The cube of the probe, with immediate knowledge.
    IdealCube(Choice),
    /// A line of cubes of so many.
    CubeLine(usize, Choice),
    /// Rows of so many.
    Rows(usize, RowRules),
}

/// Plays a room.
pub fn play(room: Room, candidate: &Candidate) -> Figures {
    let peers = room.guests.len();
    let receivers = room.receivers();
    let spare = room.spare();
    let blocks = room.blocks();
    match candidate {
        Candidate::Line | Candidate::SkippingLine => {
            let patience = (*candidate == Candidate::SkippingLine).then_some(8);
            let mut line = Line::new(peers, LineRules { patience });
            if let Some(spare) = spare {
                line = line.with_spare_seed(spare);
            }
            Network::new(room).run(&mut line)
        }
        &Candidate::Cube(choice) => {
            let graph = cube::cube(peers);
            Network::new(room).run(&mut Cube::new(graph, blocks, CubeRules::new(choice)))
        }
        &Candidate::IdealCube(choice) => {
            let graph = cube::cube(peers);
            Network::new(room).run(&mut IdealCube::new(graph, blocks, choice))
        }
        &Candidate::CubeLine(size, choice) => {
            let graph = cube::line_of_cubes(receivers, size);
            Network::new(room).run(&mut Cube::new(graph, blocks, CubeRules::new(choice)))
        }
        &Candidate::Rows(width, rules) => {
            let mut rows = Rows::new(&rows::layout_of(&room, width), rules);
            if let Some(spare) = spare {
                rows = rows.with_spare_seed(spare);
            }
            Network::new(room).run(&mut rows)
        }
    }
}
