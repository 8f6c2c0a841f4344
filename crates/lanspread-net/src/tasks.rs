//! Tasks of an endpoint: started in one place and stopped together, so that none outlives a shutdown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::inbox::lock;

/// Sleeps until `deadline`, or forever if there is none.
pub(crate) async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// All tasks of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
    stop: Arc<watch::Sender<bool>>,
}

/// Stop signal of an endpoint, as one task sees it.
#[derive(Debug, Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Resolves when the endpoint stops, and at once from then on.
    pub(crate) async fn stopped(&mut self) {
        // An error means that the sender is gone, and with it the endpoint.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

impl Tasks {
    pub(crate) fn new() -> Self {
        Self { set: Arc::default(), stop: Arc::new(watch::Sender::new(false)) }
    }

    /// Returns a stop signal for a task.
    pub(crate) fn stop_signal(&self) -> Stop {
        Stop(self.stop.subscribe())
    }

    /// Starts a task, unless the endpoint is stopping.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = lock(&self.set);
        while set.try_join_next().is_some() {}
        if !*self.stop.borrow() {
            set.spawn(task);
        }
    }

    /// Asks all tasks to end, waits for them, and aborts those that take longer than `limit`.
    pub(crate) async fn shut_down(&self, limit: Duration) {
        let mut set = {
            let mut set = lock(&self.set);
            // Under the lock, so that no task is spawned afterwards.
            self.stop.send_replace(true);
            std::mem::take(&mut *set)
        };
        let all = async { while set.join_next().await.is_some() {} };
        if timeout(limit, all).await.is_err() {
            set.shutdown().await;
        }
    }

    /// Aborts all tasks at their next await.
    pub(crate) fn abort(&self) {
        let mut set = lock(&self.set);
        self.stop.send_replace(true);
        set.abort_all();
    }
}
