//! The workers behind a channel (extension 0x0002).

use std::collections::BTreeMap;
use std::sync::Arc;

/// Workers that are told apart on one channel. The names are the client's to choose, so there must
/// be an end; the shares of further ones count for the channel only.
const MAX_WORKERS: usize = 1024;

/// What one worker sent, all in all.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// What the client calls it.
    pub name: Arc<str>,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares rejected.
    pub rejected: u64,
    /// Hashes that the accepted ones took on average.
    pub hashes: f64,
}

/// Those of one channel, by name.
#[derive(Debug, Default)]
pub(super) struct Workers(BTreeMap<Arc<str>, Worker>);

impl Workers {
    /// Counts a share, which took `hashes` or was rejected. Returns the worker as it is now.
    pub(super) fn count(&mut self, name: &str, hashes: Option<f64>) -> Option<Worker> {
        if !self.0.contains_key(name) {
            if self.0.len() == MAX_WORKERS {
                return None;
            }
            let name: Arc<str> = name.into();
            let worker = Worker {
                name: Arc::clone(&name),
                accepted: 0,
                rejected: 0,
                hashes: 0.0,
            };
            self.0.insert(name, worker);
        }
        let worker = self.0.get_mut(name)?;
        match hashes {
            Some(hashes) => {
                worker.accepted += 1;
                worker.hashes += hashes;
            }
            None => worker.rejected += 1,
        }
        Some(worker.clone())
    }
}
