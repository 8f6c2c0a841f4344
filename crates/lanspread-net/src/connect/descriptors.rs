//! File descriptors. Every socket and every open file takes one, and strangers decide how many sockets there are.
//!
//! The process raises its limit as far as the system allows, and inbound connections leave a reserve to everything
//! else.

use std::sync::LazyLock;

use lanspread_types::failpoint;

use crate::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED};

/// Raises this process's limit of open files to the most that the system allows.
///
/// Call it once, before the first connection: the bound on inbound connections is derived from the limit at its first
/// use. Returns the limit that now holds, or `None` if there is none (Windows) or it cannot be read.
pub fn raise_file_limit() -> Option<u64> {
    #[cfg(unix)]
    {
        // This call also respects the second limit of macOS.
        match rlimit::increase_nofile_limit(u64::MAX) {
            Ok(limit) => Some(limit),
            Err(error) => {
                tracing::warn!(%error, "the limit of open files stays as it is");
                file_limit()
            }
        }
    }
    #[cfg(not(unix))]
    None
}

/// Returns the current limit of open files, if there is one.
fn file_limit() -> Option<u64> {
    #[cfg(unix)]
    return rlimit::Resource::NOFILE.get_soft().ok();
    #[cfg(not(unix))]
    None
}

/// Returns how many inbound connections may exist at a time. The value is fixed at the first call.
pub(crate) fn connections_max() -> usize {
    static MAX: LazyLock<usize> = LazyLock::new(|| inbound_of(file_limit()));
    *MAX
}

/// Derives the bound on inbound connections from the limit of open files.
fn inbound_of(file_limit: Option<u64>) -> usize {
    let Some(limit) = file_limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return CONNECTIONS_MAX;
    };
    if limit < CONNECTIONS_MAX + DESCRIPTORS_RESERVED && failpoint!("forget-the-reserve") {
        return CONNECTIONS_MAX;
    }
    CONNECTIONS_MAX.min(limit - DESCRIPTORS_RESERVED.min(limit / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbound_connections_leave_a_reserve() {
        assert_eq!(inbound_of(None), CONNECTIONS_MAX);
        assert_eq!(inbound_of(Some(1 << 20)), CONNECTIONS_MAX);
        assert_eq!(inbound_of(Some(u64::MAX)), CONNECTIONS_MAX);
        assert_eq!(inbound_of(Some(1024)), 1024 - DESCRIPTORS_RESERVED);
        assert_eq!(inbound_of(Some(256)), 128, "half of a small limit");
        assert_eq!(inbound_of(Some(0)), 0);
    }

    #[cfg(unix)]
    #[test]
    fn file_limit_is_raised_to_the_hard_limit() {
        let hard = rlimit::Resource::NOFILE.get_hard().unwrap();
        assert!(raise_file_limit().is_some_and(|limit| limit == hard || cfg!(target_os = "macos")));
    }
}
