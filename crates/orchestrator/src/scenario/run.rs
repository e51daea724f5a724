//! Playing a scenario on a lab.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bitcoin::{Amount, FeeRate};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::report::StepReport;
use super::step::{Action, Check, Expectation, Garbage, MessageSeen, Metric, Strike, Told};
use super::{Scenario, Step, What};
use crate::backend::LogRange;
use crate::chaos::Blow;
use crate::lab::{Lab, MinedBy};
use crate::links::Rule;
use crate::progress::{Event, Progress};
use crate::rpc::{self, Rpc};

/// Pause between two looks at what is expected.
const POLL: Duration = Duration::from_millis(50);
/// For everything that is asked over HTTP: what a stalled service does not answer is no answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Enough for every line a service writes during a scenario.
const LOG_LINES: usize = 20_000;
/// Enough for every message of a link that is kept.
const MESSAGES: usize = 1000;

/// A scenario on its way.
struct Play<'a> {
    lab: &'a Lab,
    http: reqwest::Client,
    /// Every fault is over by then, also when nobody is left to heal it.
    ends: Instant,
    /// When the last thing was done, in milliseconds since 1970. Before that everything is new: how
    /// long a lab takes to come up must not decide what a scenario sees of it.
    done_ms: u64,
    /// How many lines each service had written then.
    lines: BTreeMap<String, usize>,
    /// How often each service had ended by itself when the scenario began.
    restarts: BTreeMap<String, u64>,
    /// Connections of strangers, which stay open to the end.
    strangers: Vec<TcpStream>,
}

/// Plays a scenario on a lab that is up; heals the lab in the end. Every step that was begun is in
/// the report; the first that fails is the last.
pub async fn play(scenario: &Scenario, lab: &Lab, progress: Progress<'_>) -> Vec<StepReport> {
    let mut play = Play {
        lab,
        http: rpc::http_client(),
        ends: Instant::now() + scenario.limit,
        done_ms: 0,
        lines: BTreeMap::new(),
        restarts: BTreeMap::new(),
        strangers: Vec::new(),
    };
    let mut reports: Vec<StepReport> = Vec::new();
    if let Ok(status) = lab.status().await {
        let restarts = status
            .services
            .into_iter()
            .map(|one| (one.name, one.restarts));
        play.restarts = restarts.collect();
    }
    for (at, step) in scenario.steps.iter().enumerate() {
        let count = scenario.steps.len();
        progress(Event::Step(format!(
            "{} of {count}: {}",
            at + 1,
            step.title
        )));
        let began = Instant::now();
        let result = match tokio::time::timeout_at(play.ends, play.step(step)).await {
            Ok(result) => result,
            Err(_) => Err(anyhow::anyhow!(
                "the scenario's limit of {:?} is over",
                scenario.limit
            )),
        };
        let failure = result.err().map(|error| format!("{error:#}"));
        let failed = failure.is_some();
        reports.push(StepReport {
            title: step.title.clone(),
            took: began.elapsed(),
            failure,
        });
        if failed {
            break;
        }
    }
    if let Err(error) = lab.heal(&[]).await {
        reports.push(StepReport {
            title: "heal".to_owned(),
            took: Duration::ZERO,
            failure: Some(format!("{error:#}")),
        });
    }
    reports
}

impl Play<'_> {
    async fn step(&mut self, step: &Step) -> Result<()> {
        match &step.what {
            What::Do(action) => {
                self.done_ms = now_ms();
                self.lines.clear();
                for spec in self.lab.services() {
                    let count = self.log(&spec.name).await?.len();
                    self.lines.insert(spec.name.clone(), count);
                }
                self.act(action).await
            }
            What::Expect {
                expectation,
                within,
            } => self.expect(expectation, *within).await,
            What::Hold { expectation, lasts } => self.hold(expectation, *lasts).await,
        }
    }

    async fn act(&mut self, action: &Action) -> Result<()> {
        let quiet = &crate::progress::silent;
        match action {
            Action::Mine(mine) => {
                let by = match mine.rpc {
                    true => MinedBy::Rpc,
                    false => self.lab.miner(),
                };
                self.lab.mine(mine.blocks, by, quiet).await?;
            }
            Action::Send(count) => self.send(*count).await?,
            Action::Reorg(depth) => self.reorg(*depth).await?,
            Action::Stop(services) => drop(self.lab.stop(services, quiet).await?),
            Action::Start(services) => drop(self.lab.start(services, quiet).await?),
            Action::Restart(services) => drop(self.lab.restart(services, quiet).await?),
            Action::Kill(strike) => self.strike(strike, Blow::Kill).await?,
            Action::Pause(strike) => self.strike(strike, Blow::Pause).await?,
            Action::Partition(on) => {
                self.disturb(&on.link, json!({ "fault": "partition" }), on.lasts)
                    .await?;
            }
            Action::Delay(delay) => {
                let fault = json!({
                    "fault": "delay", "delay_ms": delay.ms, "jitter_ms": delay.jitter_ms
                });
                self.disturb(&delay.link, fault, delay.lasts).await?;
            }
            Action::Loss(loss) => {
                let fault = json!({ "fault": "loss", "probability": loss.percent / 100.0 });
                self.disturb(&loss.link, fault, loss.lasts).await?;
            }
            Action::Drop(drop) => self.rule(&drop.link, &drop.rule()).await?,
            Action::Rewrite(rewrite) => self.rule(&rewrite.link, &rewrite.rule()).await?,
            Action::Heal(targets) => drop(self.lab.heal(targets).await?),
            Action::Garbage(garbage) => self.garbage(garbage).await?,
            Action::Check(check) => self.check(check).await?,
        }
        Ok(())
    }

    async fn strike(&self, strike: &Strike, blow: Blow) -> Result<()> {
        // A kill without a time is over at once; a pause without one has to be over at some time.
        let lasts = match blow {
            Blow::Kill => strike.lasts,
            Blow::Pause => Some(self.limited(strike.lasts)),
        };
        self.lab.strike(&strike.service, blow, lasts).await?;
        Ok(())
    }

    /// No fault outlives the scenario's limit.
    fn limited(&self, lasts: Option<Duration>) -> Duration {
        let left = self.ends.saturating_duration_since(Instant::now());
        lasts.map_or(left, |lasts| lasts.min(left))
    }

    async fn disturb(&self, target: &str, fault: Value, lasts: Option<Duration>) -> Result<()> {
        let relay = self.lab.relay()?;
        let lasts = Some(self.limited(lasts));
        for link in relay.find(target).await? {
            relay.disturb(&link.name, fault.clone(), lasts).await?;
        }
        Ok(())
    }

    async fn rule(&self, target: &str, rule: &Rule) -> Result<()> {
        let relay = self.lab.relay()?;
        let lasts = Some(self.limited(None));
        for link in relay.find(target).await? {
            if link.protocol == "sv2" {
                relay.rule(&link.name, rule, lasts).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, count: u32) -> Result<()> {
        let rpc = self.lab.rpc()?;
        let mut wallet = self.lab.wallet()?;
        let rate = FeeRate::from_sat_per_vb(10).context("ten fits")?;
        for _ in 0..count {
            let to = wallet.address();
            wallet
                .send(&rpc, &to, Amount::from_sat(50_000), rate)
                .await?;
        }
        Ok(())
    }

    async fn reorg(&self, depth: u32) -> Result<()> {
        let rpc = self.lab.rpc()?;
        let height = rpc.block_count().await?;
        let depth = u64::from(depth);
        ensure!(depth < height, "the chain has no {depth} blocks to replace");
        let first = rpc.block_hash(height - depth + 1).await?;
        rpc.call::<Value>("invalidateblock", json!([first])).await?;
        // To another address, or the very same blocks would be mined again.
        let address = self.lab.wallet()?.address().to_string();
        rpc.generate(depth + 1, &address).await?;
        Ok(())
    }

    async fn garbage(&mut self, garbage: &Garbage) -> Result<()> {
        let spec = self.lab.service(&garbage.service)?;
        let address = spec
            .socket(&garbage.port)
            .with_context(|| format!("{} has no port '{}'", garbage.service, garbage.port))?;
        for at in 0..garbage.connections {
            let Ok(mut stream) = TcpStream::connect(address).await else {
                // Whoever is turned away is no failure: it is what limits are for.
                continue;
            };
            let noise: Vec<u8> = (0..garbage.bytes)
                .map(|byte| (byte * 31) as u8 ^ at as u8)
                .collect();
            // It may well be closed on before all is written.
            let _ = tokio::time::timeout(PATIENCE, stream.write_all(&noise)).await;
            self.strangers.push(stream);
        }
        Ok(())
    }

    async fn check(&self, check: &Check) -> Result<()> {
        let spec = self.lab.service(&check.service)?;
        let file = spec.files.first().context("it has a configuration")?;
        let mut config: toml::Table = toml::from_str(&file.text)?;
        for (key, value) in &check.set {
            config.insert(key.clone(), value.clone());
        }
        let directory = self.lab.state().path().join("checks");
        crate::state::create_private_dir(&directory)?;
        let path = directory.join(format!("{}.toml", spec.name));
        crate::state::write_private(&path, toml::to_string(&config)?.as_bytes())?;
        let output = tokio::process::Command::new(self.lab.programs().find(&spec.program)?)
            .arg("--check-config")
            .arg("--config")
            .arg(&path)
            .output()
            .await?;
        std::fs::remove_file(&path)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(check.exit) && said.contains(&check.says),
            "it ended with {} and said: {}",
            output.status,
            said.trim()
        );
        Ok(())
    }

    async fn expect(&mut self, expectation: &Expectation, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let since = self.height().await;
        loop {
            match self.is_so(expectation, since).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("not within {within:?}")));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    async fn hold(&mut self, expectation: &Expectation, lasts: Duration) -> Result<()> {
        let end = Instant::now() + lasts;
        let since = self.height().await;
        while Instant::now() < end {
            self.is_so(expectation, since).await?;
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The node's height; none while it does not answer.
    async fn height(&self) -> Option<u64> {
        let rpc = self.lab.rpc().ok()?;
        tokio::time::timeout(PATIENCE, rpc.block_count())
            .await
            .ok()?
            .ok()
    }

    async fn is_so(&self, expectation: &Expectation, since: Option<u64>) -> Result<()> {
        match expectation {
            Expectation::Ready(service) => match self.why_not_ready(service).await? {
                None => Ok(()),
                Some(reason) => bail!("{service} is not ready: {reason}"),
            },
            Expectation::NotReady(service) => match self.why_not_ready(service).await? {
                None => bail!("{service} is ready"),
                Some(_) => Ok(()),
            },
            Expectation::Blocks(count) => {
                let now = self.height().await.context("the node does not answer")?;
                let came = now.saturating_sub(since.unwrap_or(now));
                ensure!(came >= *count, "{came} blocks came, not {count}");
                Ok(())
            }
            Expectation::BlockWith(text) => self.block_with(text, since).await,
            Expectation::SameTip(nodes) => self.same_tip(nodes).await,
            Expectation::Told(told) => self.told(told).await,
            Expectation::Metric(metric) => self.metric(metric).await,
            Expectation::Message(wanted) => {
                let (seen, last) = self.messages(wanted).await?;
                ensure!(
                    seen >= wanted.times,
                    "{seen} such {} passed {}, not {}; the last one: {last}",
                    wanted.message,
                    wanted.link,
                    wanted.times
                );
                Ok(())
            }
            Expectation::NoMessage(wanted) => {
                let (seen, last) = self.messages(wanted).await?;
                ensure!(
                    seen == 0,
                    "{} passed {}: {last}",
                    wanted.message,
                    wanted.link
                );
                Ok(())
            }
            Expectation::Log(wanted) => {
                let lines = self.log(&wanted.service).await?;
                let old = self.lines.get(&wanted.service).copied().unwrap_or_default();
                let mut new = lines.iter().skip(old);
                ensure!(
                    new.any(|line| line.contains(&wanted.contains)),
                    "{} did not write '{}'",
                    wanted.service,
                    wanted.contains
                );
                Ok(())
            }
            Expectation::NeverEnded(services) => {
                let status = self.lab.status().await?;
                for one in status.services {
                    let before = self.restarts.get(&one.name).copied().unwrap_or_default();
                    ensure!(
                        one.restarts <= before || !services.contains(&one.name),
                        "{} ended and was started again",
                        one.name
                    );
                }
                Ok(())
            }
        }
    }

    async fn why_not_ready(&self, service: &str) -> Result<Option<String>> {
        let status = self.lab.status().await?;
        let found = status.services.into_iter().find(|one| one.name == service);
        Ok(found
            .context("the scenario names services that are there")?
            .reason)
    }

    async fn block_with(&self, text: &str, since: Option<u64>) -> Result<()> {
        let rpc = self.lab.rpc()?;
        let now = rpc.block_count().await?;
        for height in since.unwrap_or(now) + 1..=now {
            let block = rpc.block(rpc.block_hash(height).await?).await?;
            let coinbase = block.txdata.first().and_then(|first| first.input.first());
            let script = coinbase
                .map(|input| input.script_sig.to_bytes())
                .unwrap_or_default();
            if script
                .windows(text.len())
                .any(|bytes| bytes == text.as_bytes())
            {
                return Ok(());
            }
        }
        bail!("no block with {text} in its coinbase came up to height {now}")
    }

    async fn same_tip(&self, nodes: &[String]) -> Result<()> {
        let mut tips = Vec::new();
        for node in nodes {
            let address = self.lab.service(node)?.socket("rpc");
            let address = address.with_context(|| format!("{node} is no node"))?;
            let rpc = Rpc::new(address, self.lab.secrets());
            tips.push(rpc.chain_info().await?.best_block_hash.to_string());
        }
        ensure!(
            tips.windows(2).all(|pair| pair[0] == pair[1]),
            "the tips are {tips:?}"
        );
        Ok(())
    }

    fn http_of(&self, service: &str) -> Result<SocketAddrV4> {
        let spec = self.lab.service(service)?;
        spec.socket("http")
            .with_context(|| format!("{service} serves no HTTP"))
    }

    async fn text(&self, service: &str, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.http_of(service)?);
        let request = self.http.get(&url).timeout(PATIENCE).send();
        let answer = request
            .await
            .with_context(|| format!("{service} gives no answer"))?;
        Ok(answer.text().await?)
    }

    async fn told(&self, wanted: &Told) -> Result<()> {
        let text = self.text(&wanted.service, &wanted.path).await?;
        let answer: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} {}: {text}", wanted.service, wanted.path))?;
        let value = answer.pointer(&wanted.at).unwrap_or(&Value::Null);
        ensure!(
            wanted.is.holds(value),
            "{} {}{}: it is {value}",
            wanted.service,
            wanted.path,
            wanted.at
        );
        Ok(())
    }

    async fn metric(&self, wanted: &Metric) -> Result<()> {
        let text = self.text(&wanted.service, "/metrics").await?;
        let series = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(&wanted.name)?;
            if !rest.starts_with([' ', '{', ',', '}']) {
                return None;
            }
            rest.rsplit_once(' ')?.1.parse::<f64>().ok()
        });
        let values: Vec<f64> = series.collect();
        let sum: f64 = values.iter().sum();
        // A counter that never counted may have no series yet.
        ensure!(
            wanted.is.holds(&json!(sum)),
            "{} of {} is {sum}",
            wanted.name,
            wanted.service
        );
        Ok(())
    }

    /// How many such messages passed since the last thing was done, and the last of that type.
    async fn messages(&self, wanted: &MessageSeen) -> Result<(usize, String)> {
        let relay = self.lab.relay()?;
        let mut count = 0;
        let mut last = "none of that type".to_owned();
        for link in relay.find(&wanted.link).await? {
            for message in relay.messages(&link.name, MESSAGES).await? {
                let is_new = message.time_ms >= self.done_ms;
                if !is_new || !message.message.eq_ignore_ascii_case(&wanted.message) {
                    continue;
                }
                let as_wanted = wanted.fields.iter().all(|(name, condition)| {
                    condition.holds(message.fields.get(name).unwrap_or(&Value::Null))
                });
                let fate = wanted
                    .fate
                    .as_ref()
                    .is_none_or(|fate| *fate == message.fate);
                count += usize::from(as_wanted && fate);
                last = serde_json::to_string(&message)?;
            }
        }
        Ok((count, last))
    }

    async fn log(&self, service: &str) -> Result<Vec<String>> {
        let range = LogRange {
            tail: LOG_LINES,
            follow: false,
        };
        let lines = self.lab.logs(service, range).await?;
        let lines: Vec<Result<String>> = lines.collect().await;
        lines.into_iter().collect()
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_millis() as u64
}
