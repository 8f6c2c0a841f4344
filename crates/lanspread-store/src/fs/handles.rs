//! A bounded cache of open files, so that serving and writing chunks does not open a file for each chunk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Open files by path. The least recently used file is evicted.
#[derive(Debug)]
pub struct Handles {
    open: Mutex<Open>,
    max: usize,
}

#[derive(Debug, Default)]
struct Open {
    files: HashMap<PathBuf, (Arc<File>, u64)>,
    clock: u64,
}

impl Handles {
    /// Creates a cache of at most `max` files.
    pub fn new(max: usize) -> Self {
        Self { open: Mutex::default(), max }
    }

    /// Returns the file at `path`, opening it with `open` if it is not cached. An evicted file stays open for callers
    /// that still use it.
    pub fn get(&self, path: &Path, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
        if let Some(file) = self.lock().touch(path) {
            return Ok(file);
        }
        // Open outside the lock, so that a slow disk does not delay callers that need another file.
        let file = Arc::new(open()?);
        let mut cache = self.lock();
        if let Some(first) = cache.touch(path) {
            return Ok(first);
        }
        if cache.files.len() >= self.max {
            let oldest = cache.files.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            oldest.and_then(|path| cache.files.remove(&path));
        }
        let used = cache.clock;
        cache.files.insert(path.to_path_buf(), (Arc::clone(&file), used));
        Ok(file)
    }

    /// Forgets all files, so that the next use opens them anew.
    pub fn clear(&self) {
        self.lock().files.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        // Every operation leaves the map valid, so a panic elsewhere does not spoil it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn touch(&mut self, path: &Path) -> Option<Arc<File>> {
        self.clock += 1;
        let (file, used) = self.files.get_mut(path)?;
        *used = self.clock;
        Some(Arc::clone(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_recently_used_file_is_evicted() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::new(2);
        let opened = std::cell::RefCell::new(Vec::new());
        for name in ["a", "b", "a", "c", "a", "b"] {
            let path = dir.path().join(name);
            let open = || {
                opened.borrow_mut().push(name);
                File::create(&path)
            };
            handles.get(&path, open).unwrap();
        }
        assert_eq!(*opened.borrow(), ["a", "b", "c", "b"], "c displaced b, not a");
        assert_eq!(handles.lock().files.len(), 2);
    }
}
