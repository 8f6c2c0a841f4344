//! Small files that are there whole or not at all: settings, catalogues, what is remembered.

use std::io::{self, Write};
use std::path::Path;

/// Writes a file, or replaces it in one step. Only its owner can read it: `tempfile` makes it so, and the rename keeps it.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
