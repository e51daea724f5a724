//! One proof from end to end: a block mined on each way, and its story checked hop by hop against
//! the chain, and against what the explorer tells of it.

mod question;

use std::time::Duration;

use anyhow::{Context, Result};
use bitcoin::BlockHash;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Lab;
use super::first_block::{self, FirstBlock, Since};
use crate::backend::{Backend, State};
use crate::probe::Readiness;
use crate::progress::{Event, Progress};
use crate::rpc;
use crate::service::Origin;
use crate::topology::{Kind, MiningPath};
use question::{
    JOBS, Question, Told, declared, is_settled, number, provider, recorded, solved, submitted,
    told, was_taken,
};

/// What a hop knows of a block comes within a moment of the block.
const PATIENCE: Duration = Duration::from_secs(10);
/// Blocks mined on one way until the pool has taken the job of one of them.
const TRIES: usize = 5;
/// Pause between two questions.
const POLL: Duration = Duration::from_millis(20);

/// A block's way, and what everybody on it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Everybody its share passed, the miner first.
    pub path: Vec<String>,
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// What was checked, in the order of the hops.
    pub checks: Vec<Check>,
    /// Who was not asked.
    pub left_out: Vec<Omission>,
}

/// Somebody who could have been asked about a block, but for a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Omission {
    /// Who.
    pub hop: String,
    /// The reason.
    pub why: &'static str,
}

/// One claim about a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Who was asked.
    pub hop: String,
    /// What has to be so.
    pub claim: &'static str,
    /// Whether it is.
    pub holds: bool,
    /// What the hop said.
    pub evidence: Value,
}

impl Story {
    /// Whether everybody agrees.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

impl Lab {
    /// Mines a block on every way and asks everybody on it what became of it.
    ///
    /// # Errors
    /// When a service is not ready or no block comes. A hop that disagrees is part of the answer.
    pub async fn verify(&self, progress: Progress<'_>) -> Result<Vec<Story>> {
        let mut stories = Vec::new();
        for path in self.topology.mining_paths() {
            progress(Event::Step(format!(
                "mining through {}",
                path.hops.join(" -> ")
            )));
            stories.push(self.follow(path, progress).await?);
        }
        Ok(stories)
    }

    async fn follow(&self, path: MiningPath, progress: Progress<'_>) -> Result<Story> {
        for hop in &path.hops {
            self.wait_until_ready(hop).await?;
        }
        let miner = path.hops.first().context("a path begins with a miner")?;
        let (accepted, block) = self.mine_through(&path, miner, progress).await?;
        let mut checks = vec![self.in_chain(block.hash).await?];
        let mut questions = self.questions(&path, block.height, block.hash, accepted);
        let (explorers, mut left_out) = self.explorers(&path, block.hash).await?;
        questions.extend(explorers);
        for question in questions {
            match self.service(&question.hop)?.origin {
                Origin::Ours => checks.push(self.check(question).await),
                _ => left_out.push(Omission {
                    hop: question.hop,
                    why: "another program runs in its place, which does not tell",
                }),
            }
        }
        left_out.dedup();
        Ok(Story {
            path: path.hops,
            height: block.height,
            hash: block.hash,
            checks,
            left_out,
        })
    }

    /// Mines a block through a way; with how many its miner had before.
    ///
    /// Miners behind a job declarator client work on a job at once (SV2 6.3: optimistic mining), and
    /// may find its block before the pool has taken it. Most such jobs are taken all the same; where
    /// one is not, its block is in the chain but proves nothing of the way, and another is mined.
    async fn mine_through(
        &self,
        path: &MiningPath,
        miner: &str,
        progress: Progress<'_>,
    ) -> Result<(u64, FirstBlock)> {
        let is_client = |hop: &&String| {
            let kind = self.topology.service(hop).map(|service| &service.kind);
            let is_ours = self
                .service(hop)
                .is_ok_and(|spec| spec.origin == Origin::Ours);
            matches!(kind, Some(Kind::Jdc(_))) && is_ours
        };
        let client = path.hops.iter().find(is_client);
        let mut tries = 0;
        loop {
            tries += 1;
            let is_settled = match client {
                Some(client) => self.is_settled(client).await?,
                None => true,
            };
            let status = self.ask_hop(miner, "/api/v1/status").await;
            let accepted = number(&status, "blocks_accepted");
            let block = self.mine_one(path, miner).await?;
            let Some(client) = client.filter(|_| is_settled && tries < TRIES) else {
                return Ok((accepted, block));
            };
            let taken = |jobs: &Value| was_taken(jobs, block.hash);
            // Who does not know is asked again with the others, and told of.
            if self.ask_until(client, JOBS, taken).await != Some(false) {
                return Ok((accepted, block));
            }
            progress(Event::Step(format!(
                "block {} was found before the pool had its job; mining another",
                block.height
            )));
        }
    }

    /// Whether the pool takes a job of the client's on the tip, in time.
    async fn is_settled(&self, client: &str) -> Result<bool> {
        let tip = self.rpc()?.chain_info().await?.best_block_hash;
        let settled = |jobs: &Value| is_settled(jobs, &tip).then_some(());
        Ok(self.ask_until(client, JOBS, settled).await.is_some())
    }

    async fn mine_one(&self, path: &MiningPath, miner: &str) -> Result<FirstBlock> {
        let rpc = self.rpc()?;
        let since = Since {
            above: rpc.block_count().await?,
            began: Instant::now(),
            network: self.network(),
        };
        self.ask_miner(miner, 1).await?;
        let silent = &crate::progress::silent;
        let hurry = async |miner: &str| self.hurry(miner).await;
        let found = first_block::wait(&rpc, vec![path.clone()], since, silent, hurry).await?;
        found.into_iter().next().context("there was one path")
    }

    /// What the explorers have to tell of the block, and why there is nobody to ask.
    async fn explorers(
        &self,
        path: &MiningPath,
        hash: BlockHash,
    ) -> Result<(Vec<Question>, Vec<Omission>)> {
        let (mut questions, mut left_out) = (Vec::new(), Vec::new());
        let services = self.topology.services.iter();
        for service in services {
            let Kind::Explorer(settings) = &service.kind else {
                continue;
            };
            let state = self.backend.status(&service.name).await?.state;
            let foreign = self.foreign(path)?;
            match (state, foreign) {
                (State::Absent | State::Stopped, _) => left_out.push(Omission {
                    hop: service.name.clone(),
                    why: "it is stopped",
                }),
                (_, true) => left_out.push(Omission {
                    hop: service.name.clone(),
                    why: "another program runs on the way, which does not tell it",
                }),
                _ => questions.push(told(
                    &service.name,
                    hash,
                    Told::expected(&self.topology, path, &settings.node),
                )),
            }
        }
        if questions.is_empty() && left_out.is_empty() {
            left_out.push(Omission {
                hop: "explorer".to_owned(),
                why: "the lab has none",
            });
        }
        Ok((questions, left_out))
    }

    /// Whether a program that is none of ours runs on a way.
    fn foreign(&self, path: &MiningPath) -> Result<bool> {
        let provider = provider(&self.topology, path);
        let on_it = path.hops.iter().map(String::as_str).chain(provider);
        for hop in on_it {
            if self.service(hop)?.origin != Origin::Ours {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn wait_until_ready(&self, hop: &str) -> Result<()> {
        let spec = self.service(hop)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.prober.ask(spec).await {
                Readiness::Ready => return Ok(()),
                Readiness::NotYet(reason) if Instant::now() > deadline => {
                    return Err(crate::fault::Fault::failed(
                        format!("{hop} is not ready: {reason}"),
                        format!("see what it says: lab logs {hop}"),
                    )
                    .into());
                }
                Readiness::NotYet(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// The node has the block in its best chain, and the block pays the lab.
    async fn in_chain(&self, hash: BlockHash) -> Result<Check> {
        let rpc = self.rpc()?;
        let header: Value = rpc.call("getblockheader", json!([hash])).await?;
        let confirmations = header["confirmations"].as_i64().unwrap_or_default();
        let block = rpc.block(hash).await?;
        let script = self.wallet()?.address().script_pubkey();
        let outputs = block.coinbase().map(|coinbase| coinbase.output.clone());
        let paid = outputs.into_iter().flatten();
        let paid: u64 = paid
            .filter(|output| output.script_pubkey == script)
            .map(|output| output.value.to_sat())
            .sum();
        Ok(Check {
            hop: self.node()?.name.clone(),
            claim: "the block is in the best chain and pays the lab",
            holds: confirmations > 0 && paid > 0,
            evidence: json!({
                "confirmations": confirmations,
                "transactions": block.txdata.len(),
                "paid_satoshis": paid,
            }),
        })
    }

    /// What everybody on the way has to say of the block.
    fn questions(
        &self,
        path: &MiningPath,
        height: u64,
        hash: BlockHash,
        accepted_before: u64,
    ) -> Vec<Question> {
        let mut questions = Vec::new();
        let mut is_declared = false;
        for hop in &path.hops {
            match self.topology.service(hop).map(|service| &service.kind) {
                Some(Kind::MiningDevice(_) | Kind::Cpuminer(_)) => questions.push(Question {
                    hop: hop.clone(),
                    claim: "its share was accepted as a block",
                    route: "/api/v1/status".to_owned(),
                    holds: Box::new(move |status| {
                        let now = number(status, "blocks_accepted");
                        (now > accepted_before).then(|| json!({ "blocks_accepted": now }))
                    }),
                }),
                Some(Kind::Translator(_)) => questions.push(Question {
                    hop: hop.clone(),
                    claim: "it translated shares that were accepted",
                    route: "/api/v1/status".to_owned(),
                    holds: Box::new(|status| {
                        let accepted = number(status, "shares_accepted");
                        (accepted > 0).then(|| json!({ "shares_accepted": accepted }))
                    }),
                }),
                Some(Kind::Jdc(settings)) => {
                    is_declared = true;
                    questions.push(declared(hop, height, hash));
                    let jds = settings.used().first().map(|pair| pair.jds.clone());
                    questions.extend(jds.map(|jds| solved(&jds, hash)));
                    questions.push(submitted(&settings.template_provider));
                }
                Some(Kind::Pool(settings)) => {
                    questions.push(recorded(hop, height, hash, is_declared));
                    if !is_declared {
                        questions.push(submitted(&settings.template_provider));
                    }
                }
                _ => {}
            }
        }
        questions
    }

    /// Asks until the claim holds, or patience ends.
    async fn check(&self, question: Question) -> Check {
        let Question {
            hop,
            claim,
            route,
            holds,
        } = question;
        let evidence = self.ask_until(&hop, &route, holds).await;
        Check {
            hop,
            claim,
            holds: evidence.is_some(),
            evidence: evidence.unwrap_or(Value::Null),
        }
    }

    /// Asks until an answer says something, or patience ends.
    async fn ask_until<T>(
        &self,
        hop: &str,
        route: &str,
        reading: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = reading(&self.ask_hop(hop, route).await);
            if said.is_some() || Instant::now() > deadline {
                return said;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What a role says on a route; nothing when it says nothing.
    async fn ask_hop(&self, hop: &str, route: &str) -> Value {
        let address = self.service(hop).ok().and_then(|spec| spec.socket("http"));
        let Some(address) = address else {
            return Value::Null;
        };
        let request = rpc::http_client().get(format!("http://{address}{route}"));
        match request.timeout(PATIENCE).send().await {
            Ok(response) => response.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }
}
