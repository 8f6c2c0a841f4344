//! File operations that std lacks, or lacks in a form that survives crashes, links in the way and virus scanners.
//!
//! No function here follows a link when it creates or deletes folders.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use lanspread_types::RelPath;

use crate::fs::fault::{Fault, OrFault};
use crate::fs::faulty::{self, Op};
use crate::fs::in_use::retry_while_in_use;

/// Returns whether anything exists at `path`. A link counts and is not followed.
pub fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Returns whether a directory exists at `path` that is not a link to one.
pub fn is_real_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.is_dir() && !is_link(&m))
}

/// Returns whether this is a link of any kind, including junctions and other reparse points on Windows.
pub fn is_link(metadata: &fs::Metadata) -> bool {
    #[cfg(windows)]
    {
        use std::os::windows::fs::MetadataExt;
        const REPARSE_POINT: u32 = 0x400;
        if metadata.file_attributes() & REPARSE_POINT != 0 {
            return true;
        }
    }
    metadata.file_type().is_symlink()
}

/// Replaces a file's content, or leaves the old content if it fails: writes beside it, syncs, renames. `scratch` is a
/// folder of ours on the same disk.
pub fn replace(scratch: &Path, target: &Path, content: &[u8]) -> Result<(), Fault> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let beside = scratch.join(format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    let written = write_synced(&beside, content).and_then(|()| rename(&beside, target));
    if written.is_err() {
        // The next opening of the library deletes what is left here.
        let _ = fs::remove_file(&beside);
    }
    written?;
    target.parent().map_or(Ok(()), sync_folder)
}

fn write_synced(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let write = || {
        faulty::before(Op::Write)?;
        let mut file = File::create(path)?;
        faulty::wrote(&file);
        if let Some((some, error)) = faulty::cut_short(content.len()) {
            file.write_all(&content[..some])?;
            return Err(error);
        }
        file.write_all(content)?;
        sync(&file)
    };
    write().or_fault("write", path)
}

/// Renames a file or folder, replacing an existing file. Retries while another program, such as a virus scanner or an
/// indexer, holds it.
pub fn rename(from: &Path, to: &Path) -> Result<(), Fault> {
    make_replaceable(to);
    let rename = || {
        faulty::before(Op::Rename)?;
        fs::rename(from, to)
    };
    retry_while_in_use(rename).or_fault("move", from)?;
    faulty::moved(from, to);
    Ok(())
}

/// Deletes a file; succeeds if there is none.
pub fn delete_file(path: &Path) -> Result<(), Fault> {
    make_replaceable(path);
    let delete = || {
        faulty::before(Op::Delete)?;
        fs::remove_file(path)
    };
    match retry_while_in_use(delete) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.or_fault("delete", path),
    }
}

/// Deletes a folder with everything in it, or any other entry at `path`. Follows no links; succeeds if nothing is
/// there.
pub fn delete_tree(path: &Path) -> Result<(), Fault> {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.is_dir() || is_link(&metadata) {
        return delete_file(path);
    }
    let delete = || {
        faulty::before(Op::Delete)?;
        match fs::remove_dir_all(path) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                make_deletable(path);
                fs::remove_dir_all(path)
            }
            done => done,
        }
    };
    match retry_while_in_use(delete) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.or_fault("delete", path),
    }
}

/// Clears the read-only attribute, because Windows neither replaces nor deletes such a file. Callers intend to do
/// either.
#[cfg(windows)]
fn make_replaceable(path: &Path) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if metadata.is_file() && metadata.permissions().readonly() {
        make_writable(path, &metadata);
    }
}

#[cfg(not(windows))]
fn make_replaceable(_: &Path) {}

/// Clears the read-only attribute. If this fails, the following operation reports the error.
#[cfg(windows)]
#[expect(
    clippy::permissions_set_readonly_false,
    reason = "warns of what it means on Unix, and this is Windows"
)]
fn make_writable(path: &Path, metadata: &fs::Metadata) {
    let mut permissions = metadata.permissions();
    permissions.set_readonly(false);
    let _ = fs::set_permissions(path, permissions);
}

/// Removes what forbids deletion: a folder's missing write permission, or on Windows a file's read-only attribute. The
/// following deletion reports what could not be changed.
fn make_deletable(folder: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        if metadata.is_dir() && !is_link(&metadata) {
            make_deletable(&entry.path());
        } else {
            #[cfg(windows)]
            make_writable(&entry.path(), &metadata);
        }
    }
}

/// Removes a folder if it exists and is empty.
pub fn prune(path: &Path) -> Result<(), Fault> {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    if !is_real_dir(path) {
        return Ok(());
    }
    match fs::remove_dir(path) {
        Err(e) if matches!(e.kind(), NotFound | DirectoryNotEmpty | NotADirectory) => Ok(()),
        done => done.or_fault("remove", path),
    }
}

/// Creates `root` and every folder above `path` below it. Fails if a link is in the way, because it would lead
/// elsewhere.
pub fn make_folders_above(root: &Path, path: &RelPath) -> Result<(), Fault> {
    let parent = path.as_str().rsplit_once('/').map_or("", |(parent, _)| parent);
    make_folders(root, parent)
}

/// Creates `root`, and `folder` with all its parents below it; an empty `folder` means the root alone. Fails if a link
/// is in the way.
pub fn make_folders(root: &Path, folder: &str) -> Result<(), Fault> {
    let mut at = root.to_path_buf();
    make_folder(&at)?;
    for component in folder.split('/').filter(|c| !c.is_empty()) {
        at.push(component);
        make_folder(&at)?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), Fault> {
    match faulty::before(Op::MakeFolder).and_then(|()| fs::create_dir(path)) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && is_real_dir(path) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let in_the_way = io::Error::new(e.kind(), "a file or link of this name exists");
            Err(Fault::new("make the folder", path, in_the_way))
        }
        Err(e) => Err(Fault::new("make the folder", path, e)),
    }
}

/// Makes a file's content survive a power failure.
pub fn sync(file: &File) -> io::Result<()> {
    faulty::before(Op::Sync)?;
    file.sync_all()?;
    faulty::synced(file);
    Ok(())
}

/// Makes everything below a folder survive a power failure.
///
/// Linux has one call for the whole file system, which takes as long as writing the data does. Elsewhere several
/// threads sync file by file, because a disk handles several syncs in one go.
pub fn sync_tree(folder: &Path) -> Result<(), Fault> {
    faulty::before(Op::Sync).or_fault("sync", folder)?;
    #[cfg(target_os = "linux")]
    {
        let synced = File::open(folder).and_then(|f| rustix::fs::syncfs(&f).map_err(io::Error::from));
        synced.or_fault("sync", folder)?;
    }
    #[cfg(not(target_os = "linux"))]
    {
        let mut paths = Vec::new();
        files_below(folder, &mut paths)?;
        crate::fs::parallel::for_each(&paths, |path| {
            // Windows requires write access for a sync.
            let open = File::options().read(true).write(true).open(path);
            open.and_then(|file| file.sync_all()).or_fault("sync", path)
        })?;
    }
    faulty::synced_all();
    Ok(())
}

/// Collects all files below a folder without following links.
#[cfg(not(target_os = "linux"))]
fn files_below(folder: &Path, found: &mut Vec<std::path::PathBuf>) -> Result<(), Fault> {
    for entry in fs::read_dir(folder).or_fault("read the folder", folder)? {
        let entry = entry.or_fault("read the folder", folder)?;
        match entry.file_type().or_fault("look at", &entry.path())? {
            kind if kind.is_dir() => files_below(&entry.path(), found)?,
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

/// Makes renames in a folder survive a power failure. Windows does this by itself and has no such call.
pub fn sync_folder(path: &Path) -> Result<(), Fault> {
    faulty::before(Op::Sync).or_fault("sync", path)?;
    #[cfg(unix)]
    File::open(path).and_then(|f| f.sync_all()).or_fault("sync", path)?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Reads exactly `bytes.len()` bytes at `offset`. Works independently of the file's position, which all users of a
/// handle share.
pub fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset);
    #[cfg(windows)]
    {
        let (mut rest, mut offset) = (bytes, offset);
        while !rest.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(file, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    rest = &mut rest[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Writes all bytes at `offset`. Works independently of the file's position, which all users of a handle share.
pub fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    faulty::before(Op::Write)?;
    faulty::wrote(file);
    if let Some((some, error)) = faulty::cut_short(bytes.len()) {
        write_bytes_at(file, &bytes[..some], offset)?;
        return Err(error);
    }
    write_bytes_at(file, bytes, offset)
}

fn write_bytes_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, offset);
    #[cfg(windows)]
    {
        let (mut rest, mut offset) = (bytes, offset);
        while !rest.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(file, rest, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    rest = &rest[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}
