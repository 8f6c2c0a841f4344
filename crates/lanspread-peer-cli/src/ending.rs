//! The end of a run: whoever asks for it (a command, the end of standard input, a signal, a closed output), the process is
//! gone within two seconds, whatever still waits.
//!
//! Owns the time limit only. What is done in that time is the session's concern; what is cut off is made good at the next
//! start, as after a crash.

use std::sync::Arc;
use std::time::Duration;

use lanspread_api::ExitCode;
use lanspread_types::failpoint;
use tokio::sync::watch;

/// Time for an orderly end: goodbyes, jobs on the disk, answers. An idle machine needs milliseconds.
pub const ORDERLY_END_MAX: Duration = Duration::from_millis(1000);
/// Of that, time for the commands that stand before the end to get to the peer. They do in a moment, unless nobody reads the
/// answers.
pub const LAST_COMMANDS_MAX: Duration = Duration::from_millis(300);
/// Time for the last lines after that. A reader that has stopped reading must not keep the process.
pub const LAST_LINES_MAX: Duration = Duration::from_millis(300);
/// When the process is ended from outside the runtime: the last resort when the runtime itself is stuck. A little less than
/// the two seconds that are promised, since the system takes some time, too.
const FORCED_END: Duration = Duration::from_millis(1600);

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
