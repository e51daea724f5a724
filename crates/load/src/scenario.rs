//! One measurement on a fresh pool.

mod connect;
mod fanout;
mod memory;
mod paced;
mod shares;

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::client::Client;
use crate::command_line::{self, Scenario};
use crate::contender::Contender;
use crate::miner::{Channel, Pace};
use crate::pool::Pool;
use crate::report::Figures;
use crate::subject::Subject;
use crate::swarm::{Swarm, wait_until_ready};
use crate::translator::Translator;

/// Shares are sent for this long before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// Miners that connect at the same time where connecting is not what is measured.
const AT_ONCE: usize = 32;
/// One of whom something is measured.
pub(crate) struct Bench<S> {
    subject: S,
}

/// Starts the contender, measures, ends it.
pub(crate) async fn run(
    subject: &command_line::Subject,
    contender: &Contender,
) -> anyhow::Result<Figures> {
    match subject {
        command_line::Subject::Pool(scenario) => {
            let subject = Pool::start(contender).await?;
            Bench { subject }.run(scenario).await
        }
        command_line::Subject::Translator(options) => {
            let subject = Translator::start(contender, !options.separate)?;
            Bench { subject }.run(&options.scenario).await
        }
        command_line::Subject::Jdc(options) => {
            let subject = Client::start(contender)?;
            Bench { subject }.run(&options.scenario).await
        }
    }
}

impl<S: Subject> Bench<S> {
    async fn run(mut self, scenario: &Scenario) -> anyhow::Result<Figures> {
        let figures = self.measure(scenario).await;
        let last_words = || self.subject.process().last_words();
        let figures = figures.with_context(|| format!("its last words:\n{}", last_words()))?;
        self.subject.stop().await?;
        Ok(figures)
    }

    async fn measure(&mut self, scenario: &Scenario) -> anyhow::Result<Figures> {
        wait_until_ready(self.subject.player(Channel::Extended)).await?;
        match scenario {
            Scenario::Shares(options) => shares::measure(self, options).await,
            Scenario::Paced(options) => paced::measure(self, options).await,
            Scenario::Fanout(options) => fanout::measure(self, options).await,
            Scenario::Connect(options) => connect::measure(self, options).await,
            Scenario::Memory(options) => memory::measure(self, options).await,
        }
    }

    fn swarm(&self, channel: Channel) -> Swarm<S::Player> {
        Swarm::new(self.subject.player(channel))
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        self.subject.process().cpu()
    }

    fn resident(&self) -> anyhow::Result<u64> {
        self.subject.process().resident()
    }

    /// Goes on for `length`, with a new tip whenever `interval` has passed.
    async fn pass(&mut self, length: Duration, interval: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + length;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            tokio::time::sleep(left.min(interval)).await;
            if left >= interval {
                self.subject.new_tip().await?;
            }
        }
        Ok(())
    }

    /// Lets `swarm` send shares, and measures once it is warm.
    async fn submit(
        &mut self,
        swarm: &Swarm<S::Player>,
        pace: Pace,
        length: Duration,
        tip_interval: u64,
    ) -> anyhow::Result<Figures> {
        let interval = Duration::from_secs(tip_interval.max(1));
        let tally = &swarm.tally;
        swarm.set_pace(pace);
        self.pass(WARM_UP, interval).await?;
        tally.time(true);
        let (start, cpu, accepted) = (Instant::now(), self.cpu()?, tally.accepted());
        let passed_on = self.subject.passed_on();
        self.pass(length, interval).await?;
        let (wall, cpu) = (start.elapsed(), self.cpu()? - cpu);
        let accepted = (tally.accepted() - accepted) as f64;
        let passed_on = self.subject.passed_on().zip(passed_on);
        tally.time(false);
        swarm.set_pace(Pace::Silent);
        let mut figures = Figures::default();
        figures.add("shares per CPU second", accepted / cpu.as_secs_f64());
        figures.add("CPU per share, us", cpu.as_secs_f64() * 1e6 / accepted);
        figures.add("shares per second", accepted / wall.as_secs_f64());
        if let Some((after, before)) = passed_on {
            figures.add("passed on, %", 100.0 * (after - before) as f64 / accepted);
        }
        let mut ages: Vec<f64> = tally
            .take_acknowledged()
            .into_iter()
            .map(|age| f64::from(age) / 1e3)
            .collect();
        figures.add_quantiles("acknowledged after, ms", &mut ages);
        for (reason, count) in tally.rejected() {
            figures.add(format!("rejected: {reason}"), count as f64);
        }
        figures.add("connections lost", tally.lost() as f64);
        Ok(figures)
    }
}
