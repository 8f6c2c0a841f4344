//! The end of a run: whoever asks for it (a command, the end of standard input, a signal, a closed output), the process is
//! gone within two seconds, whatever still waits.
//!
//! Owns the time limit only. What is done in that time is the session's concern; what is cut off is made good at the next
//! start, as after a crash.

use std::sync::Arc;

use lanspread_api::ExitCode;
use lanspread_types::failpoint;
use tokio::sync::watch;

use crate::limits::{FORCED_END, ORDERLY_END_MAX};

/// The request to end. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub struct Ending(Arc<watch::Sender<bool>>);

impl Ending {
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks for the end. Only the first request counts.
    pub fn ask(&self) {
        if self.0.send_replace(true) || failpoint!("end-when-nothing-waits") {
            return;
        }
        // Without the thread, the time limit of the session itself has to do.
        let _ = std::thread::Builder::new().name("end".to_owned()).spawn(|| {
            std::thread::sleep(FORCED_END);
            std::process::exit(i32::from(ExitCode::Internal.code()));
        });
    }

    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the end was asked for.
    pub async fn asked(&self) {
        // The sender is in `self`.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }

    /// Waits until the time for an orderly end is over.
    pub async fn overdue(&self) {
        self.asked().await;
        if failpoint!("end-when-nothing-waits") {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(ORDERLY_END_MAX).await;
    }
}
