//! Atomic writes of small files: settings, catalogues, remembered peers.

use std::io::{self, Write};
use std::path::Path;

/// Writes a file, or replaces it in one step, so that a crash leaves the old or the new one. Only its owner can read
/// it: `tempfile` sees to that, and the rename keeps it.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
