//! Waits for Ctrl-C, SIGTERM, and on Windows for the end of the console window or the session.

use std::thread;

/// Exit code that a shell expects after an interrupt: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// Ends the process at once, without cleaning up.
pub fn end_at_once() -> ! {
    std::process::exit(EXIT_INTERRUPTED)
}

/// Waits for the next Ctrl-C or request to terminate.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    #[cfg(windows)]
    {
        use tokio::signal::windows::{ctrl_break, ctrl_close, ctrl_shutdown};
        if let (Ok(mut stop), Ok(mut close), Ok(mut shutdown)) = (ctrl_break(), ctrl_close(), ctrl_shutdown())
        {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = stop.recv() => {}
                _ = close.recv() => {}
                _ = shutdown.recv() => {}
            }
            return;
        }
    }
    // Without a signal handler this waits for ever.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Calls `react` at each interrupt until it returns false. If no handler can be set up, the system's default stays.
pub fn on_interrupt(react: impl Fn() -> bool + Send + 'static) {
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            loop {
                interrupted().await;
                if !react() {
                    return;
                }
            }
        });
    });
}
