//! Reading of chunks to serve them, from a spool, a download or a committed game.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use lanspread_core::io::DiskError;
use lanspread_types::manifest::ChunkPart;
use lanspread_types::{ChunkIndex, GameContent};

use crate::download::arriving::{Arrivals, Found};
use crate::download::spool::Pin;
use crate::fs::fault::{Fault, OrFault};
use crate::fs::files;
use crate::store::Store;

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The content has no such chunk, or it has not arrived or was dropped.
    #[error("there is no chunk {0}")]
    NoSuchChunk(ChunkIndex),
    /// A file, named as game and path, does not have the announced size.
    #[error("{0} has changed since it was announced")]
    Changed(String),
    /// A disk operation failed.
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

/// Reader within one chunk. Cheap to create: the store keeps large files open, and a run of small files is read at
/// once.
#[derive(Debug)]
pub struct ChunkReader {
    source: Source,
    name: String,
    len: u64,
    /// Keeps a spool slot from being reused for another chunk.
    _pin: Option<Pin>,
}

#[derive(Debug)]
enum Source {
    /// File, and the chunk's offset in it.
    File(Arc<File>, u64),
    Memory(Vec<u8>),
}

impl ChunkReader {
    /// Returns the length of the chunk, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the chunk has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `bytes` from `offset_in_chunk` on. Fails if the range ends beyond the chunk.
    pub fn read_at(&mut self, offset_in_chunk: u64, bytes: &mut [u8]) -> Result<(), ReadError> {
        let end = offset_in_chunk.checked_add(bytes.len() as u64);
        let Some(end) = end.filter(|&end| end <= self.len) else {
            let beyond = io::Error::new(io::ErrorKind::InvalidInput, "that is beyond the end of the chunk");
            return Err(Fault::new("read", &self.name, beyond).into());
        };
        match &self.source {
            Source::File(file, offset) => read_exact(file, bytes, offset + offset_in_chunk, &self.name),
            Source::Memory(chunk) => {
                bytes.copy_from_slice(&chunk[offset_in_chunk as usize..end as usize]);
                Ok(())
            }
        }
    }
}

fn read_exact(file: &File, bytes: &mut [u8], offset: u64, name: &str) -> Result<(), ReadError> {
    match files::read_exact_at(file, bytes, offset) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(ReadError::Changed(name.to_owned())),
        read => Ok(read.or_fault("read", Path::new(name))?),
    }
}

impl Store {
    /// Opens a chunk for reading. If `incoming`, reads it from the open download or spool; otherwise, or if the
    /// download was committed meanwhile, from the game's folder.
    pub fn chunk_reader(
        &self,
        content: &Arc<GameContent>,
        incoming: bool,
        chunk: ChunkIndex,
    ) -> Result<ChunkReader, ReadError> {
        let manifest = content.manifest();
        let place = manifest.place(chunk).ok_or(ReadError::NoSuchChunk(chunk))?;
        let name_of = |file: usize| format!("{}/{}", manifest.game(), manifest.files()[file].path);
        let name = name_of(place.file);
        if let Some(spool) = self.spool(manifest.game()).filter(|_| incoming) {
            let mine = spool.content().content_id() == content.content_id();
            let found = if mine { spool.find(chunk) } else { Err(io::ErrorKind::NotFound.into()) };
            let Found { file, offset, pin } = found.map_err(|_| ReadError::NoSuchChunk(chunk))?;
            return Ok(ChunkReader { source: Source::File(file, offset), name, len: place.len, _pin: pin });
        }
        let under_way =
            self.incoming(manifest.game()).filter(|i| i.content().content_id() == content.content_id());
        let download = under_way.filter(|_| incoming);
        if download.as_ref().is_some_and(|download| !download.has(chunk)) {
            return Err(ReadError::NoSuchChunk(chunk));
        }
        let open = |file: usize, cached: bool| match &download {
            Some(download) => download.file_to_read(file, cached).map_err(ReadError::from),
            None => self.open_committed(content, file, cached),
        };
        let parts: Vec<ChunkPart> = manifest.parts(place).collect();
        let source = match parts.as_slice() {
            [only] => Source::File(open(only.file, true)?, only.offset),
            several => {
                let mut chunk = vec![0; place.len as usize];
                for part in several {
                    let bytes = &mut chunk[part.start as usize..(part.start + part.len) as usize];
                    read_exact(&*open(part.file, false)?, bytes, 0, &name_of(part.file))?;
                }
                Source::Memory(chunk)
            }
        };
        Ok(ChunkReader { source, name, len: place.len, _pin: None })
    }

    /// Opens a file of a game; its size must not have changed. If `cached`, it stays open for the next chunk.
    fn open_committed(
        &self,
        content: &GameContent,
        file: usize,
        cached: bool,
    ) -> Result<Arc<File>, ReadError> {
        let manifest = content.manifest();
        let entry = &manifest.files()[file];
        let path = entry.path.to_path(&self.layout().game(manifest.game()));
        let opened = match cached {
            true => self.handles().get(&path, || File::open(&path)),
            false => File::open(&path).map(Arc::new),
        };
        let file = opened.or_fault("open", &path)?;
        if file.metadata().or_fault("look at", &path)?.len() != entry.size {
            return Err(ReadError::Changed(format!("{}/{}", manifest.game(), entry.path)));
        }
        Ok(file)
    }
}
