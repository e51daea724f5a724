//! Stopping cleanly: one token, all tasks tracked, a limit on the wait.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

/// How long tasks may take to end after the signal.
const GRACE: Duration = Duration::from_secs(4);

/// Spawns the tasks of a role and ends them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Cancelled when the role is to stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Spawns a task that [`finish`](Self::finish) waits for.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Cancels the token on SIGTERM or SIGINT.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = self.stop.clone();
        self.spawn(async move {
            let name = tokio::select! {
                () = stop.cancelled() => return,
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            info!(signal = name, "stopping");
            stop.cancel();
        });
        Ok(())
    }

    /// Stops and waits until every task has ended, or the grace time is over.
    pub async fn finish(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(GRACE, self.tasks.wait())
            .await
            .is_err()
        {
            warn!(
                tasks = self.tasks.len(),
                "tasks did not end in time and are dropped"
            );
        }
    }
}
