//! Whether the pool does what it is there for: its provider sends work, and its ledger records.

use daemon::http::Health;
use tokio::sync::watch;

/// Joins what the provider's task and the ledger say, until the first of them is gone.
pub(crate) async fn join(
    mut provider: watch::Receiver<Health>,
    mut trouble: watch::Receiver<Option<String>>,
    joined: watch::Sender<Health>,
) {
    loop {
        let now = match &*trouble.borrow_and_update() {
            Some(what) => Health::not_ready(what),
            None => provider.borrow_and_update().clone(),
        };
        now.publish(&joined);
        let changed = tokio::select! {
            changed = provider.changed() => changed,
            changed = trouble.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
