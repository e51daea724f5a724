//! What the pool tells of its miners over HTTP. Routes, parameters and fields are those of SRI's
//! monitoring where the same thing is meant; what it does not have comes on top.

mod channels;
mod clients;
mod global;
pub(crate) mod history;
mod shares;

use std::sync::Arc;

use daemon::http::{Problem, Routes, routes};
use protocol::server::Policy;

use crate::stats::{Client, Stats};

/// What the routes are answered from.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    stats: Arc<Stats>,
    /// Wanted from each channel.
    shares_per_minute: f64,
    /// Accepted shares per acknowledgement.
    share_batch_size: u32,
}

impl Api {
    pub(crate) fn new(stats: Arc<Stats>, policy: &Policy) -> Self {
        Self {
            stats,
            shares_per_minute: policy.shares_per_minute,
            share_batch_size: policy.share_batch_size,
        }
    }

    pub(crate) fn routes(self) -> Routes {
        Routes::new()
            .routes(routes!(global::global))
            .routes(routes!(clients::list))
            .routes(routes!(clients::one))
            .routes(routes!(channels::list))
            .routes(routes!(channels::workers))
            .with_state(self)
    }

    fn client(&self, id: u64) -> Result<Arc<Client>, Problem> {
        let client = self.stats.client(id);
        client.ok_or_else(|| Problem::not_found(format!("client {id} is not connected")))
    }
}

#[cfg(test)]
mod tests;
