//! Shares of many miners at a steady rate.

use std::time::Duration;

use super::{AT_ONCE, Bench};
use crate::command_line::Paced;
use crate::miner::{Channel, Pace};
use crate::report::Figures;
use crate::subject::Subject;

pub(super) async fn measure(
    bench: &mut Bench<impl Subject>,
    options: &Paced,
) -> anyhow::Result<Figures> {
    let mut swarm = bench.swarm(Channel::Extended);
    swarm.grow(options.connections, AT_ONCE).await?;
    let length = Duration::from_secs(options.seconds);
    let pace = Pace::Every(Duration::from_secs_f64(1.0 / options.rate));
    bench
        .submit(&swarm, pace, length, options.tip_interval)
        .await
}
