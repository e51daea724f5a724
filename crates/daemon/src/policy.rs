//! What is wanted of miners, as a role that serves them is told: the same keys for each of them.

use bitcoin::Network;
use protocol::extension::{Extensions, WORKER_TRACKING};
use protocol::server::Policy;

use crate::accept::Limits;
use crate::config::Reader;

/// Takes the policy out of `reader`. Whom it pays beside the server is up to `network`, which is
/// the role's to change.
pub fn read(reader: &mut Reader, network: Network, limits: Limits) -> Policy {
    let shares_per_minute = reader.or("shares_per_minute", 6.0);
    if !(shares_per_minute > 0.0 && f64::is_finite(shares_per_minute)) {
        reader.problem(
            "shares_per_minute",
            format!("{shares_per_minute}: must be above 0"),
        );
    }
    let share_batch_size = reader.or("share_batch_size", 10);
    if share_batch_size == 0 {
        reader.problem("share_batch_size", "0: must be at least 1");
    }
    let defaults = Policy::default();
    Policy {
        shares_per_minute,
        share_batch_size,
        // On regtest a share is a block, so devices are paced on purpose and their share rate says
        // nothing about their hash rate: there vardiff must be asked for.
        vardiff: reader.or("enable_vardiff", network != Network::Regtest),
        network: Some(network),
        extensions: read_extensions(reader),
        idle: limits.idle,
        max_channels: reader.or("max_channels", defaults.max_channels),
        max_jobs: reader.or("max_jobs", defaults.max_jobs).max(1),
        ..defaults
    }
}

/// Takes `supported_extensions` and `required_extensions` out of `reader`.
pub fn read_extensions(reader: &mut Reader) -> Extensions {
    let defaults = Extensions::default();
    let extensions = Extensions {
        supported: reader.or("supported_extensions", defaults.supported),
        required: reader.or("required_extensions", defaults.required),
    };
    let unknown = |extension: &&u16| **extension != WORKER_TRACKING;
    if let Some(unknown) = extensions.supported.iter().find(unknown) {
        let what = format!("{unknown}: only {WORKER_TRACKING} is implemented");
        reader.problem("supported_extensions", what);
    }
    let offered = |extension: &&u16| !extensions.supported.contains(extension);
    if let Some(missing) = extensions.required.iter().find(offered) {
        let what = format!("{missing}: must be in supported_extensions too");
        reader.problem("required_extensions", what);
    }
    extensions
}
