//! As many shares as it takes.

use std::time::Duration;

use super::{AT_ONCE, Bench};
use crate::command_line::Shares;
use crate::miner::{Channel, Pace};
use crate::report::Figures;
use crate::subject::Subject;

pub(super) async fn measure(
    bench: &mut Bench<impl Subject>,
    options: &Shares,
) -> anyhow::Result<Figures> {
    let channel = match options.standard {
        true => Channel::Standard,
        false => Channel::Extended,
    };
    let mut swarm = bench.swarm(channel);
    swarm.grow(options.connections, AT_ONCE).await?;
    let length = Duration::from_secs(options.seconds);
    let pace = Pace::Window(options.window);
    bench
        .submit(&swarm, pace, length, options.tip_interval)
        .await
}
