//! Time limit of a run's end: the process is gone within two seconds, whatever still waits and whatever asked for the
//! end (a command, the end of input, a signal, a closed output).
//!
//! Owns only the limit. The session decides what happens in that time. Work that is cut off is recovered at the next
//! start, as after a crash.

use std::sync::Arc;

use lanspread_api::ExitCode;
use lanspread_types::failpoint;
use tokio::sync::watch;

use crate::limits::{FORCED_END, ORDERLY_END_MAX};

/// The request to end the run. All clones share one state.
#[derive(Debug, Clone)]
pub struct Ending(Arc<watch::Sender<bool>>);

impl Ending {
    /// Returns a request that was not made yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks for the end and starts the time limit. Only the first call counts.
    pub fn ask(&self) {
        if self.0.send_replace(true) || failpoint!("end-when-nothing-waits") {
            return;
        }
        // If the thread cannot be started, only the session's own time limit remains.
        let _ = std::thread::Builder::new().name("end".to_owned()).spawn(|| {
            std::thread::sleep(FORCED_END);
            std::process::exit(i32::from(ExitCode::Internal.code()));
        });
    }

    /// Returns whether the end was asked for.
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the end was asked for.
    pub async fn asked(&self) {
        // The wait cannot fail, because `self` holds the sender.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }

    /// Waits until the end was asked for and the time for an orderly end has passed.
    pub async fn overdue(&self) {
        self.asked().await;
        if failpoint!("end-when-nothing-waits") {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(ORDERLY_END_MAX).await;
    }
}
