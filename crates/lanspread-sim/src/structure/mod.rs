//! Comparison of structures that spread a game through a room, on one model of links and PCs.
//!
//! The model works with blocks, was made for one decision (docs/decisions/0002), and shares no code with the product
//! except the random generator. [`network`] decides when a block arrives; each candidate ([`line`], [`cube`],
//! [`rows`]) decides which peer sends it. The same room and seed give the same figures on every machine.

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
    /// A line that stays as it was formed: each receiver follows the one before.
    Line,
    /// A line that moves a receiver to the tail if it takes nothing for a few block times, or is slow.
    SkippingLine,
    /// A sparse cube whose neighbours request blocks from each other.
    Cube(Choice),
    /// An idealised cube: each peer knows at once which blocks its neighbours have.
    IdealCube(Choice),
    /// A line of cubes of this many peers.
    CubeLine(usize, Choice),
    /// Rows of this many receivers.
    Rows(usize, RowRules),
}

/// Plays a room with a candidate and returns the figures.
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
