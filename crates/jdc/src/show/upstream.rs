//! The connections to other servers.

use daemon::dial::{Link, LinkView};
use protocol::ranking::State;
use serde::{Serialize, Serializer};
use tokio::sync::watch;
use utoipa::ToSchema;

use super::Facts;
use crate::config::Pair;

/// The template provider.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Provider {
    pub(crate) address: String,
    pub(crate) link: LinkView,
}

/// A pool with its job declarator server.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Upstream {
    pub(crate) pool: String,
    pub(crate) pool_link: LinkView,
    pub(crate) jds: String,
    pub(crate) jds_link: LinkView,
    pub(crate) user_identity: String,
    /// `connecting`, `resting` after a failure, `on_probation`, `standby` or `active`.
    #[serde(serialize_with = "name")]
    #[schema(value_type = String)]
    pub(crate) state: State,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_failure: Option<String>,
}

impl Upstream {
    pub(super) fn of(
        facts: &Facts<'_>,
        number: usize,
        pair: &Pair,
        (pool, jds): &(watch::Receiver<Link>, watch::Receiver<Link>),
    ) -> Self {
        let (state, reason) = facts.declarator.state(number, facts.now.instant);
        Self {
            pool: pair.pool.address.to_string(),
            pool_link: pool.borrow().view(),
            jds: pair.jds.address.to_string(),
            jds_link: jds.borrow().view(),
            user_identity: pair.user_identity.clone(),
            state,
            last_failure: reason.map(str::to_owned),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the shape that serde takes"
)]
fn name<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}
