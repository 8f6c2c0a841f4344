//! File descriptors: every socket and every open file takes one, and strangers decide how many sockets there are. So the
//! process asks for as many as the system gives, and inbound connections leave some to everything else.

use std::sync::LazyLock;

use lanspread_types::failpoint;

use crate::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED};

/// Raises this process's limit of open files to what the system allows. To be called once, before the first connection.
/// Returns the limit that holds then; `None` where there is none (Windows) or it cannot be told.
pub fn raise_file_limit() -> Option<u64> {
    #[cfg(unix)]
    {
        // Knows of the second limit that macOS has.
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

fn file_limit() -> Option<u64> {
    #[cfg(unix)]
    return rlimit::Resource::NOFILE.get_soft().ok();
    #[cfg(not(unix))]
    None
}

/// Most inbound connections at a time.
pub(crate) fn connections_max() -> usize {
    static MAX: LazyLock<usize> = LazyLock::new(|| inbound_of(file_limit()));
    *MAX
}

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
    fn inbound_connections_leave_descriptors_to_the_rest() {
        assert_eq!(inbound_of(None), CONNECTIONS_MAX);
        assert_eq!(inbound_of(Some(1 << 20)), CONNECTIONS_MAX);
        assert_eq!(inbound_of(Some(u64::MAX)), CONNECTIONS_MAX);
        assert_eq!(inbound_of(Some(1024)), 1024 - DESCRIPTORS_RESERVED);
        assert_eq!(inbound_of(Some(256)), 128, "half of a small limit");
        assert_eq!(inbound_of(Some(0)), 0);
    }

    #[cfg(unix)]
    #[test]
    fn limit_is_raised_as_far_as_the_system_allows() {
        let hard = rlimit::Resource::NOFILE.get_hard().unwrap();
        assert!(raise_file_limit().is_some_and(|limit| limit == hard || cfg!(target_os = "macos")));
    }
}
