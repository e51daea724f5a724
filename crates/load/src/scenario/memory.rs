//! What idle miners keep, and what remains of those that left.

use std::time::Duration;

use super::{AT_ONCE, Bench};
use crate::command_line::{Memory, TIP_INTERVAL};
use crate::miner::{Channel, Pace};
use crate::report::Figures;
use crate::subject::Subject;

/// Until what was freed is given back, and what was begun is done.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) async fn measure(
    bench: &mut Bench<impl Subject>,
    options: &Memory,
) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let before = bench.resident()?;
    figures.add("without miners, MiB", mebibytes(before));
    let mut swarm = bench.swarm(Channel::Extended);
    for wave in 1..=options.waves {
        swarm.grow(options.connections, AT_ONCE).await?;
        tokio::time::sleep(SETTLE).await;
        let share = |resident: u64| {
            resident.saturating_sub(before) as f64 / 1024.0 / options.connections as f64
        };
        let resident = bench.resident()?;
        figures.add(format!("wave {wave}, KiB per miner"), share(resident));
        if options.busy_seconds > 0 {
            swarm.set_pace(Pace::Every(Duration::from_secs_f64(1.0 / options.rate)));
            let length = Duration::from_secs(options.busy_seconds);
            bench
                .pass(length, Duration::from_secs(TIP_INTERVAL))
                .await?;
            swarm.set_pace(Pace::Silent);
            bench.subject.new_tip().await?;
            tokio::time::sleep(SETTLE).await;
            let resident = bench.resident()?;
            let name = format!("wave {wave} after its shares, KiB per miner");
            figures.add(name, share(resident));
        }
        swarm.leave().await;
        tokio::time::sleep(SETTLE).await;
        let resident = mebibytes(bench.resident()?);
        figures.add(format!("after wave {wave} left, MiB"), resident);
    }
    figures.add("connections lost", swarm.tally.lost() as f64);
    Ok(figures)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
