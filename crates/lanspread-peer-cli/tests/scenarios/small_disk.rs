//! A small disk for tests of a full disk and of a read-only one: a tmpfs of some megabytes, which only root may mount.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scenario::{Failure, Outcome, require};

/// Scenarios that need a small disk. Without root they are listed as left out, with the reason in their name.
pub const NEEDED_BY: &[&str] = &["S55", "S87"];

/// Returns whether this process may mount disks.
pub fn can_be_had() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// A mounted disk. Dropping it unmounts it.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    pub fn mount(path: &Path, bytes: u64) -> Outcome<Self> {
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output()?;
        let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
        require!(mounted.status.success(), "a small disk cannot be mounted: {why}");
        Ok(Self { path: path.to_path_buf() })
    }

    /// Makes the disk read-only.
    pub fn forbid_writing(&self) -> Outcome {
        let mounted = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.path).output()?;
        let why = String::from_utf8_lossy(&mounted.stderr).into_owned();
        require!(mounted.status.success(), "the small disk cannot be made read-only: {why}");
        Ok(())
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast.bin")
    }

    /// Fills the disk until only `free` bytes are left.
    pub fn leave_free(&self, free: u64) -> Outcome {
        self.make_room()?;
        let mut file = std::fs::File::create(self.ballast())?;
        let block = vec![7; 4 << 20];
        // Peers write meanwhile, so the free space is read before each write.
        loop {
            let left = usize::try_from(self.free()?.saturating_sub(free))?;
            if left == 0 {
                break;
            }
            std::io::Write::write_all(&mut file, &block[..left.min(block.len())])?;
        }
        Ok(())
    }

    pub fn make_room(&self) -> Outcome {
        match std::fs::remove_file(self.ballast()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    /// Returns the free bytes, as `df` reports them.
    pub fn free(&self) -> Outcome<u64> {
        let told = Command::new("df").args(["--output=avail", "--block-size=1"]).arg(&self.path).output()?;
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let free = text.lines().nth(1).and_then(|line| line.trim().parse().ok());
        free.ok_or_else(|| Failure(format!("df says {text:?}")))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A process that still uses the disk keeps it until it ends.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
