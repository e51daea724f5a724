//! From a new tip to each miner: from the write above to the moment the kernel has it for the miner.

use std::time::{Duration, Instant};

use anyhow::ensure;

use super::{AT_ONCE, Bench};
use crate::command_line::Fanout;
use crate::miner::Channel;
use crate::report::Figures;
use crate::subject::Subject;

/// Between tips.
const INTERVAL: Duration = Duration::from_millis(500);
/// Nobody takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn measure(
    bench: &mut Bench<impl Subject>,
    options: &Fanout,
) -> anyhow::Result<Figures> {
    let channel = match options.standard {
        true => Channel::Standard,
        false => Channel::Extended,
    };
    let mut swarm = bench.swarm(channel);
    swarm.grow(options.connections, AT_ONCE).await?;
    let (mut all, mut last, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.tips {
        tokio::time::sleep(INTERVAL).await;
        let cpu = bench.cpu()?;
        let written = bench.subject.new_tip().await?;
        let start = Instant::now();
        while swarm.tally.tips() < options.connections {
            ensure!(
                start.elapsed() < PATIENCE,
                "the tip reached {} of {} miners",
                swarm.tally.tips(),
                options.connections
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let cpu = bench.cpu()? - cpu;
        costs.push(cpu.as_secs_f64() * 1e6 / options.connections as f64);
        let served = swarm.tally.take_tips().into_iter();
        let served: Vec<f64> = served
            .map(|at| at.saturating_sub(written) as f64 / 1e6)
            .collect();
        last.push(served.iter().copied().fold(0.0, f64::max));
        all.extend(served);
    }
    let mut figures = Figures::default();
    figures.add_median("CPU per miner and tip, us", &mut costs);
    figures.add_quantiles("served after, ms", &mut all);
    figures.add_median("last miner served after (median of tips), ms", &mut last);
    figures.add("connections lost", swarm.tally.lost() as f64);
    Ok(figures)
}
