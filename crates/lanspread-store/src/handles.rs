//! A bounded set of open files, so that serving and writing chunks does not open a file for each.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Open files by path; the one that was used longest ago gives way.
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
    pub fn new(max: usize) -> Self {
        Self { open: Mutex::default(), max }
    }

    /// The file at `path`, opened by `open` if it is not open already. It stays open while somebody holds it.
    pub fn get(&self, path: &Path, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
        if let Some(file) = self.lock().touch(path) {
            return Ok(file);
        }
        // Opened outside the lock: a slow disk holds up nobody who needs another file.
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

    pub fn clear(&self) {
        self.lock().files.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Open> {
        // The map is whole after each of the operations above, so a panic elsewhere does not spoil it.
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
    fn the_longest_unused_file_gives_way() {
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
