//! Reading chunks to serve them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use lanspread_core::io::DiskError;
use lanspread_types::{ChunkIndex, GameContent};

use crate::arriving::{Arrivals, Found};
use crate::fault::{Fault, OrFault};
use crate::files;
use crate::spool::Pin;
use crate::store::Store;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("there is no chunk {0}")]
    NoSuchChunk(ChunkIndex),
    #[error("{0} is no longer what was announced")]
    Changed(String),
    #[error(transparent)]
    Io(#[from] Fault),
}

impl From<ReadError> for DiskError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(fault) => fault.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// Reads within one chunk. Cheap to make: the file is kept open by the store.
#[derive(Debug)]
pub struct ChunkReader {
    file: Arc<File>,
    name: String,
    offset: u64,
    len: u64,
    /// Keeps a place in a window from being used for another chunk.
    _pin: Option<Pin>,
}

impl ChunkReader {
    /// Length of the chunk, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `bytes` from `offset_in_chunk` on; all of it lies within the chunk.
    pub fn read_at(&mut self, offset_in_chunk: u64, bytes: &mut [u8]) -> Result<(), ReadError> {
        let end = offset_in_chunk.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            let beyond = io::Error::new(io::ErrorKind::InvalidInput, "that is beyond the end of the chunk");
            return Err(Fault::new("read", &self.name, beyond).into());
        }
        match files::read_exact_at(&self.file, bytes, self.offset + offset_in_chunk) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Changed(self.name.clone())),
            read => Ok(read.or_fault("read", Path::new(&self.name))?),
        }
    }
}

impl Store {
    /// Opens a chunk for reading: from the download if `incoming` says so and it is still under way, otherwise from the
    /// game's folder. A download that was committed in the meantime is found there.
    pub fn chunk_reader(
        &self,
        content: &Arc<GameContent>,
        incoming: bool,
        chunk: ChunkIndex,
    ) -> Result<ChunkReader, ReadError> {
        let manifest = content.manifest();
        let place = manifest.place(chunk).ok_or(ReadError::NoSuchChunk(chunk))?;
        let entry = &manifest.files()[place.file];
        let name = format!("{}/{}", manifest.game(), entry.path);
        if let Some(spool) = self.spool(manifest.game()).filter(|_| incoming) {
            let mine = spool.content().content_id() == content.content_id();
            let found = if mine { spool.find(chunk) } else { Err(io::ErrorKind::NotFound.into()) };
            let Found { file, offset, pin } = found.map_err(|_| ReadError::NoSuchChunk(chunk))?;
            return Ok(ChunkReader { file, name, offset, len: place.len, _pin: pin });
        }
        let under_way =
            self.incoming(manifest.game()).filter(|i| i.content().content_id() == content.content_id());
        if let Some(download) = under_way.filter(|_| incoming) {
            let (file, place) = download.reader(chunk).ok_or(ReadError::NoSuchChunk(chunk))??;
            return Ok(ChunkReader { file, name, offset: place.offset, len: place.len, _pin: None });
        }
        let path = entry.path.to_path(&self.layout().game(manifest.game()));
        let file = self.handles().get(&path, || File::open(&path)).or_fault("open", &path)?;
        if file.metadata().or_fault("look at", &path)?.len() != entry.size {
            return Err(ReadError::Changed(name));
        }
        Ok(ChunkReader { file, name, offset: place.offset, len: place.len, _pin: None })
    }
}
