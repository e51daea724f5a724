//! One measurement on a fresh pool.

mod connect;
mod fanout;
mod memory;
mod paced;
mod shares;

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::command_line::Scenario;
use crate::miner::Pace;
use crate::pool::{Contender, Pool};
use crate::provider::{Listener, Provider};
use crate::report::Figures;
use crate::swarm::{Swarm, wait_until_ready};

/// New tips while shares are sent come at this interval.
const TIP_INTERVAL: Duration = Duration::from_secs(5);
/// Shares are sent for this long before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// Miners that connect at the same time where connecting is not what is measured.
const AT_ONCE: usize = 32;
/// Until the pool has come up and found its template provider.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pool with its template provider.
pub(crate) struct Bench<'a> {
    pool: &'a Pool,
    provider: Provider,
}

/// Starts the contender, measures, ends it.
pub(crate) async fn run(scenario: &Scenario, contender: &Contender) -> anyhow::Result<Figures> {
    let listener = Listener::bind().await?;
    let pool = contender.start(&listener)?;
    let figures = measure(scenario, &pool, listener).await;
    let figures = figures.with_context(|| format!("its last words:\n{}", pool.last_words()))?;
    pool.stop().await?;
    Ok(figures)
}

async fn measure(scenario: &Scenario, pool: &Pool, listener: Listener) -> anyhow::Result<Figures> {
    let provider = tokio::time::timeout(PATIENCE, listener.accept()).await;
    let provider = provider.context("the pool does not connect to its template provider")??;
    wait_until_ready(pool).await?;
    let mut bench = Bench { pool, provider };
    match scenario {
        Scenario::Shares(options) => shares::measure(&mut bench, options).await,
        Scenario::Paced(options) => paced::measure(&mut bench, options).await,
        Scenario::Fanout(options) => fanout::measure(&mut bench, options).await,
        Scenario::Connect(options) => connect::measure(&mut bench, options).await,
        Scenario::Memory(options) => memory::measure(&mut bench, options).await,
    }
}

impl Bench<'_> {
    /// Goes on for `length`, with new tips.
    async fn pass(&mut self, length: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + length;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            tokio::time::sleep(left.min(TIP_INTERVAL)).await;
            if left >= TIP_INTERVAL {
                self.provider.new_tip().await?;
            }
        }
        Ok(())
    }

    /// Lets `swarm` send shares, and measures once it is warm.
    async fn submit(
        &mut self,
        swarm: &Swarm,
        pace: Pace,
        length: Duration,
    ) -> anyhow::Result<Figures> {
        let tally = &swarm.tally;
        swarm.set_pace(pace);
        self.pass(WARM_UP).await?;
        tally.time(true);
        let (start, cpu, accepted) = (Instant::now(), self.pool.cpu()?, tally.accepted());
        self.pass(length).await?;
        let (wall, cpu) = (start.elapsed(), self.pool.cpu()? - cpu);
        let accepted = (tally.accepted() - accepted) as f64;
        tally.time(false);
        swarm.set_pace(Pace::Silent);
        let mut figures = Figures::default();
        figures.add("shares per pool CPU second", accepted / cpu.as_secs_f64());
        figures.add("pool CPU per share, us", cpu.as_secs_f64() * 1e6 / accepted);
        figures.add("shares per second", accepted / wall.as_secs_f64());
        let mut ages: Vec<f64> = tally
            .take_acknowledged()
            .into_iter()
            .map(|age| f64::from(age) / 1e3)
            .collect();
        figures.add_quantiles("acknowledged after, ms", &mut ages);
        figures.add("rejected", tally.rejected() as f64);
        figures.add("connections lost", tally.lost() as f64);
        Ok(figures)
    }
}
