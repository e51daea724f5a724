//! From TCP to the first work.

use std::time::{Duration, Instant};

use super::Bench;
use crate::command_line::Connect;
use crate::miner::Channel;
use crate::report::Figures;
use crate::subject::Subject;
use crate::swarm::Steps;

pub(super) async fn measure(
    bench: &mut Bench<impl Subject>,
    options: &Connect,
) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let mut swarm = bench.swarm(Channel::Extended);
    let (start, cpu) = (Instant::now(), bench.cpu()?);
    let steps = swarm.grow(options.connections, options.at_once).await?;
    let (wall, cpu) = (start.elapsed(), bench.cpu()? - cpu);
    let count = options.connections as f64;
    figures.add("CPU per connection, ms", milliseconds(cpu) / count);
    figures.add("connections per second", count / wall.as_secs_f64());
    let mut opened = times(&steps, |steps| steps.opened);
    figures.add_quantiles("channel open after, ms", &mut opened);

    let steps = swarm.grow(options.singly, 1).await?;
    let mut opened = times(&steps, |steps| steps.opened);
    figures.add_quantiles("one at a time: channel open after, ms", &mut opened);
    let mut work = times(&steps, |steps| steps.work);
    figures.add_quantiles("one at a time: first work after, ms", &mut work);
    figures.add("connections lost", swarm.tally.lost() as f64);
    Ok(figures)
}

fn times(steps: &[Steps], of: impl Fn(&Steps) -> Duration) -> Vec<f64> {
    steps.iter().map(|steps| milliseconds(of(steps))).collect()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
