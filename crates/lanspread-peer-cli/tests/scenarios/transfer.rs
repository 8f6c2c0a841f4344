//! Chunks that a download fetched: which ones, from which source, and whether the printed totals agree.

use std::collections::{BTreeMap, BTreeSet};

use lanspread_api::Event;
use lanspread_api::event::Totals;
use lanspread_types::ChunkSize;

use crate::log::Mark;
use crate::manifest::Manifest;
use crate::peer::Peer;
use crate::scenario::{Outcome, fail, require, require_eq};

/// One chunk: its place in a file and its length.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    pub path: String,
    pub offset: u64,
    pub length: u64,
}

/// Returns the chunk size of a game that consists of these files, by the product's own arithmetic.
pub fn chunk_bytes(files: &Manifest) -> u64 {
    ChunkSize::for_game(files.bytes()).bytes()
}

/// Returns every chunk of a game that consists of these files. Only the chunk size comes from the product's own
/// arithmetic.
pub fn pieces_of(files: &Manifest) -> BTreeSet<Piece> {
    let chunk = chunk_bytes(files);
    let cut = |(path, (size, _)): (&String, &(u64, String))| {
        let (path, size) = (path.clone(), *size);
        let starts = (0..size).step_by(chunk as usize);
        starts.map(move |offset| Piece { path: path.clone(), offset, length: chunk.min(size - offset) })
    };
    files.0.iter().flat_map(cut).collect()
}

/// The chunks of a game that a peer reported since a mark, in order, each with the id of its source.
#[derive(Debug, Clone)]
pub struct Transfer(pub Vec<(Piece, String)>);

impl Transfer {
    pub fn since(peer: &Peer, mark: Mark, game: &str) -> Self {
        let chunk = |event: Event| match event {
            Event::DownloadChunkFinished { game_id, path, offset, length, peer_id } if game_id == game => {
                Some((Piece { path, offset, length }, peer_id))
            }
            _ => None,
        };
        Self(peer.events_since(mark).into_iter().filter_map(chunk).collect())
    }

    /// Fails unless exactly these pieces were fetched: none missing, none extra, none twice.
    pub fn require_exactly(&self, expected: &BTreeSet<Piece>) -> Outcome {
        let mut seen = BTreeSet::new();
        for (piece, peer) in &self.0 {
            require!(
                expected.contains(piece),
                "a chunk that does not exist was fetched from {peer}: {piece:?}"
            );
            require!(
                seen.insert(piece.clone()),
                "a chunk was fetched twice, the second time from {peer}: {piece:?}"
            );
        }
        if let Some(missing) = expected.difference(&seen).next() {
            let count = expected.len() - seen.len();
            fail!("{count} of {} chunks were never reported, the first is {missing:?}", expected.len());
        }
        Ok(())
    }

    pub fn pieces(&self) -> BTreeSet<Piece> {
        self.0.iter().map(|(piece, _)| piece.clone()).collect()
    }

    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(piece, _)| piece.length).sum()
    }

    /// Returns the number of chunks and bytes of each source.
    pub fn by_source(&self) -> BTreeMap<String, (u64, u64)> {
        let mut sources = BTreeMap::new();
        for (piece, peer) in &self.0 {
            let sums: &mut (u64, u64) = sources.entry(peer.clone()).or_default();
            sums.0 += 1;
            sums.1 += piece.length;
        }
        sources
    }

    /// Fails unless exactly these peers served chunks.
    pub fn require_sources(&self, peers: &[&Peer]) -> Outcome {
        let expected: BTreeSet<String> = peers.iter().map(|p| p.id()).collect();
        let found: BTreeSet<String> = self.by_source().into_keys().collect();
        require_eq!(found, expected, "the peers that served chunks");
        Ok(())
    }

    /// Fails unless the printed totals agree with the chunks to the byte and their rates follow from bytes and
    /// duration.
    pub fn require_totals(&self, totals: &Totals) -> Outcome {
        require_eq!(
            (totals.chunks, totals.bytes),
            (self.0.len() as u64, self.bytes()),
            "chunks and bytes in the totals"
        );
        let printed = totals.sources.iter().map(|s| (s.peer_id.clone(), (s.chunks, s.bytes)));
        let printed: BTreeMap<_, _> = printed.filter(|(_, sums)| *sums != (0, 0)).collect();
        require_eq!(printed, self.by_source(), "chunks and bytes by source in the totals");
        require_rates(totals)
    }
}

/// Fails unless `mib_per_s` is bytes ÷ duration and `mbit_per_s` is the same rate.
pub fn require_rates(totals: &Totals) -> Outcome {
    require!(totals.bytes > 0 && totals.duration_ms > 0, "bytes and duration are positive: {totals:?}");
    let expected = totals.bytes as f64 / f64::from(1 << 20) / (totals.duration_ms as f64 / 1000.0);
    // Printed rates may be rounded to two decimals.
    let close = |a: f64, b: f64| (a - b).abs() <= 0.01 + b.abs() * 1e-6;
    require!(
        totals.mib_per_s > 0.0 && close(totals.mib_per_s, expected),
        "mib_per_s is not {expected}: {totals:?}"
    );
    let mbit = expected * 8.388_608;
    require!(close(totals.mbit_per_s, mbit), "mbit_per_s is not {mbit}: {totals:?}");
    Ok(())
}
