//! Frames of a control connection: one for each [`Message`].

use lanspread_types::limits::{
    CATALOG_PART_BYTES_MAX, CHUNKS_PER_HAVE_MAX, CONTROL_FRAME_BYTES_MAX, DOWNLOADS_PER_STATE_MAX,
    GAMES_PER_LIBRARY_MESSAGE_MAX, HAVE_MAP_BYTES_MAX, INTRODUCTIONS_MAX, UPSTREAMS_MAX,
};
use lanspread_types::message::{HaveMap, Message};

use crate::frame::{DecodeError, Frame, Limit, append, fields};
use crate::registry as number;

impl Frame for Message {
    const BYTES_MAX: usize = CONTROL_FRAME_BYTES_MAX;

    fn number(&self) -> u8 {
        match self {
            Self::Library(_) => number::LIBRARY,
            Self::Interested { .. } => number::INTERESTED,
            Self::NotInterested { .. } => number::NOT_INTERESTED,
            Self::HaveMap(_) => number::HAVE_MAP,
            Self::Have { .. } => number::HAVE,
            Self::Progress { .. } => number::PROGRESS,
            Self::ProgressWanted { .. } => number::PROGRESS_WANTED,
            Self::PlaceWanted(_) => number::PLACE_WANTED,
            Self::Place(_) => number::PLACE,
            Self::Introduce { .. } => number::INTRODUCE,
            Self::CatalogOffer { .. } => number::CATALOG_OFFER,
            Self::CatalogWanted { .. } => number::CATALOG_WANTED,
            Self::CatalogPart { .. } => number::CATALOG_PART,
            Self::StateWanted => number::STATE_WANTED,
            Self::State(_) => number::STATE,
            Self::DownloadWanted { .. } => number::DOWNLOAD_WANTED,
            Self::Ping { .. } => number::PING,
            Self::Pong { .. } => number::PONG,
            Self::Goodbye => number::GOODBYE,
        }
    }

    fn check(&self) -> Result<(), Limit> {
        match self {
            Self::Library(update) => {
                Limit::check("games", update.games.len(), 0, GAMES_PER_LIBRARY_MESSAGE_MAX)?;
                Limit::check("removed games", update.removed.len(), 0, GAMES_PER_LIBRARY_MESSAGE_MAX)
            }
            Self::HaveMap(HaveMap::Part { bits, .. }) => {
                Limit::check("bytes of bitmap", bits.len(), 0, HAVE_MAP_BYTES_MAX)
            }
            Self::Have { chunks, .. } => Limit::check("chunks", chunks.len(), 0, CHUNKS_PER_HAVE_MAX),
            Self::Introduce { peers } => Limit::check("introductions", peers.len(), 0, INTRODUCTIONS_MAX),
            Self::CatalogPart { part, .. } => {
                Limit::check("bytes of catalogue", part.len(), 1, CATALOG_PART_BYTES_MAX)
            }
            Self::State(state) => {
                Limit::check("downloads", state.downloads.len(), 0, DOWNLOADS_PER_STATE_MAX)
            }
            Self::Place(place) => Limit::check("upstreams", place.upstreams.len(), 0, UPSTREAMS_MAX),
            Self::Progress { .. }
            | Self::ProgressWanted { .. }
            | Self::PlaceWanted(_)
            | Self::CatalogOffer { .. }
            | Self::CatalogWanted { .. }
            | Self::StateWanted
            | Self::DownloadWanted { .. }
            | Self::HaveMap(HaveMap::All { .. } | HaveMap::None { .. })
            | Self::Interested { .. }
            | Self::NotInterested { .. }
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::Goodbye => Ok(()),
        }
    }

    fn write(&self, out: Vec<u8>) -> Result<Vec<u8>, postcard::Error> {
        match self {
            Self::Library(update) => append(update, out),
            Self::Interested { game, content } => append(&(game, content), out),
            Self::NotInterested { content } => append(content, out),
            Self::HaveMap(map) => append(map, out),
            Self::Have { content, chunks } => append(&(content, chunks), out),
            Self::Progress { content, below } => append(&(content, below), out),
            Self::ProgressWanted { content } => append(content, out),
            Self::PlaceWanted(wanted) => append(wanted, out),
            Self::Place(place) => append(place, out),
            Self::Introduce { peers } => append(peers, out),
            Self::CatalogOffer { key, serial, bytes } => append(&(key, serial, bytes), out),
            Self::CatalogWanted { key, serial, offset } => append(&(key, serial, offset), out),
            Self::CatalogPart { serial, offset, part } => append(&(serial, offset, part), out),
            Self::StateWanted => Ok(out),
            Self::State(state) => append(state, out),
            Self::DownloadWanted { game } => append(game, out),
            Self::Ping { nonce } | Self::Pong { nonce } => append(nonce, out),
            Self::Goodbye => Ok(out),
        }
    }

    fn read(number: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match number {
            number::LIBRARY => Self::Library(fields(number, payload)?),
            number::INTERESTED => {
                let (game, content) = fields(number, payload)?;
                Self::Interested { game, content }
            }
            number::NOT_INTERESTED => Self::NotInterested { content: fields(number, payload)? },
            number::HAVE_MAP => Self::HaveMap(fields(number, payload)?),
            number::HAVE => {
                let (content, chunks) = fields(number, payload)?;
                Self::Have { content, chunks }
            }
            number::PROGRESS => {
                let (content, below) = fields(number, payload)?;
                Self::Progress { content, below }
            }
            number::PROGRESS_WANTED => Self::ProgressWanted { content: fields(number, payload)? },
            number::PLACE_WANTED => Self::PlaceWanted(fields(number, payload)?),
            number::PLACE => Self::Place(fields(number, payload)?),
            number::INTRODUCE => Self::Introduce { peers: fields(number, payload)? },
            number::CATALOG_OFFER => {
                let (key, serial, bytes) = fields(number, payload)?;
                Self::CatalogOffer { key, serial, bytes }
            }
            number::CATALOG_WANTED => {
                let (key, serial, offset) = fields(number, payload)?;
                Self::CatalogWanted { key, serial, offset }
            }
            number::CATALOG_PART => {
                let (serial, offset, part) = fields(number, payload)?;
                Self::CatalogPart { serial, offset, part }
            }
            number::STATE_WANTED => {
                fields::<()>(number, payload)?;
                Self::StateWanted
            }
            number::STATE => Self::State(fields(number, payload)?),
            number::DOWNLOAD_WANTED => Self::DownloadWanted { game: fields(number, payload)? },
            number::PING => Self::Ping { nonce: fields(number, payload)? },
            number::PONG => Self::Pong { nonce: fields(number, payload)? },
            number::GOODBYE => {
                fields::<()>(number, payload)?;
                Self::Goodbye
            }
            unknown => return Err(DecodeError::UnknownFrame(unknown)),
        })
    }
}
