//! One proof from end to end: a block mined on each way, and its story checked hop by hop against
//! the chain.

use std::time::Duration;

use anyhow::{Context, Result};
use bitcoin::BlockHash;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Lab;
use super::first_block::{self, Since};
use crate::probe::Readiness;
use crate::progress::{Event, Progress};
use crate::rpc;
use crate::topology::{Kind, MiningPath};

/// What a hop knows of a block comes within a moment of the block.
const PATIENCE: Duration = Duration::from_secs(10);
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

/// A question to a hop's HTTP interface, and how its answer is read.
struct Question {
    hop: String,
    claim: &'static str,
    route: &'static str,
    holds: Box<Reading>,
}

/// The evidence in an answer, if the claim holds.
type Reading = dyn Fn(&Value) -> Option<Value>;

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
            stories.push(self.follow(path).await?);
        }
        Ok(stories)
    }

    async fn follow(&self, path: MiningPath) -> Result<Story> {
        for hop in &path.hops {
            self.wait_until_ready(hop).await?;
        }
        let rpc = self.rpc()?;
        let height = rpc.block_count().await?;
        let miner = path.hops.first().context("a path begins with a miner")?;
        let accepted = number(
            &self.ask_hop(miner, "/api/v1/status").await,
            "blocks_accepted",
        );
        self.ask_miner(miner, 1).await?;
        let silent = &crate::progress::silent;
        let paths = vec![path.clone()];
        let hurry = async |miner: &str| self.hurry(miner).await;
        let since = Since {
            above: height,
            began: Instant::now(),
        };
        let found = first_block::wait(&rpc, paths, since, silent, hurry).await?;
        let block = found.into_iter().next().context("there was one path")?;
        let mut checks = vec![self.in_chain(block.hash).await?];
        for question in self.questions(&path, block.height, block.hash, accepted) {
            checks.push(self.check(question).await);
        }
        Ok(Story {
            path: path.hops,
            height: block.height,
            hash: block.hash,
            checks,
        })
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
                    route: "/api/v1/status",
                    holds: Box::new(move |status| {
                        let now = number(status, "blocks_accepted");
                        (now > accepted_before).then(|| json!({ "blocks_accepted": now }))
                    }),
                }),
                Some(Kind::Translator(_)) => questions.push(Question {
                    hop: hop.clone(),
                    claim: "it translated shares that were accepted",
                    route: "/api/v1/status",
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
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask_hop(&question.hop, question.route).await;
            let evidence = (question.holds)(&answer);
            if evidence.is_some() || Instant::now() > deadline {
                return Check {
                    hop: question.hop,
                    claim: question.claim,
                    holds: evidence.is_some(),
                    evidence: evidence.unwrap_or(Value::Null),
                };
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

/// The job declarator client has the job the block was found on.
fn declared(hop: &str, height: u64, hash: BlockHash) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "it declared the job, and the pool took it",
        route: "/api/v1/declared-jobs?limit=100",
        holds: Box::new(move |jobs| {
            let job = item(jobs, |job| {
                job["blocks"].as_array().is_some_and(|b| has(b, hash))
            })?;
            let fits = job["upstream"].is_string() && job["template"]["height"] == height;
            fits.then(|| {
                json!({
                    "job": job["job"],
                    "upstream": job["upstream"],
                    "template_id": job["template"]["template_id"],
                    "pool_job_id": job["custom_job"]["job_id"],
                })
            })
        }),
    }
}

/// The job declarator server saw the declaration, and the block found with it.
fn solved(hop: &str, hash: BlockHash) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "the declaration is on record, and the block with the node's verdict",
        route: "/api/v1/declarations?limit=100",
        holds: Box::new(move |declarations| {
            let is_it = |block: &Value| block["hash"] == hash.to_string().as_str();
            let blocks = |one: &Value| one["blocks"].as_array().cloned().unwrap_or_default();
            let found = item(declarations, |one| blocks(one).iter().any(is_it))?;
            let block = blocks(found).into_iter().find(is_it)?;
            let good = ["accepted", "duplicate"]
                .iter()
                .any(|v| block["verdict"] == *v);
            good.then(|| json!({ "user": found["user_identity"], "verdict": block["verdict"] }))
        }),
    }
}

/// The pool has the block in its ledger, as the miner's and as accepted.
fn recorded(hop: &str, height: u64, hash: BlockHash, is_declared: bool) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "the block is in the ledger, and the node accepted it",
        route: "/api/v1/blocks?limit=100",
        holds: Box::new(move |blocks| {
            let block = item(blocks, |block| block["hash"] == hash.to_string().as_str())?;
            let fits = block["verdict"] == "accepted"
                && (block["height"] == height || is_declared)
                && block["token"].is_string() == is_declared;
            fits.then(|| {
                json!({
                    "user": block["user"],
                    "channel_id": block["channel_id"],
                    "job_id": block["job_id"],
                    "template_id": block["template_id"],
                    "share": block["share"],
                    "verdict": block["verdict"],
                })
            })
        }),
    }
}

/// The template provider handed solutions to its node.
fn submitted(hop: &str) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "a solution of its templates was accepted",
        route: "/api/v1/status",
        holds: Box::new(|status| {
            let accepted = number(&status["solutions"], "accepted");
            (accepted > 0).then(|| json!({ "accepted": accepted }))
        }),
    }
}

fn item(list: &Value, is_it: impl Fn(&Value) -> bool) -> Option<&Value> {
    list["items"].as_array()?.iter().find(|item| is_it(item))
}

fn has(list: &[Value], hash: BlockHash) -> bool {
    list.iter().any(|one| *one == hash.to_string().as_str())
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;

    fn hash() -> BlockHash {
        BlockHash::from_byte_array([7; 32])
    }

    fn holds(question: &Question, answer: &Value) -> bool {
        (question.holds)(answer).is_some()
    }

    #[test]
    fn a_pool_must_have_the_block_accepted_and_of_the_right_kind() {
        let block = |verdict: &str, height, token: Value| {
            let hash = hash().to_string();
            json!({ "items": [
                { "hash": "00", "verdict": "accepted", "height": 102 },
                { "hash": hash, "verdict": verdict, "height": height, "token": token },
            ]})
        };
        let own = recorded("pool", 102, hash(), false);
        assert!(holds(&own, &block("accepted", 102, Value::Null)));
        assert!(!holds(&own, &block("stale", 102, Value::Null)));
        assert!(!holds(&own, &block("accepted", 103, Value::Null)));
        assert!(!holds(&own, &block("accepted", 102, json!("aa"))));
        assert!(!holds(&own, &Value::Null));
        let declared = recorded("pool", 102, hash(), true);
        assert!(holds(&declared, &block("accepted", 102, json!("aa"))));
        assert!(!holds(&declared, &block("accepted", 102, Value::Null)));
    }

    #[test]
    fn solo_work_of_a_client_is_no_declared_job() {
        let job = |upstream: Value| {
            let blocks = [hash().to_string()];
            json!({ "items": [
                { "blocks": blocks, "upstream": upstream, "template": { "height": 102 } },
            ]})
        };
        let question = declared("jdc", 102, hash());
        assert!(holds(&question, &job(json!("10.10.0.5:34254"))));
        assert!(!holds(&question, &job(Value::Null)));
    }

    #[test]
    fn a_declared_block_may_reach_the_node_twice() {
        let declaration = |verdict: &str| {
            let block = json!({ "hash": hash().to_string(), "verdict": verdict });
            json!({ "items": [{ "user_identity": "farm", "blocks": [block] }] })
        };
        let question = solved("jds", hash());
        assert!(holds(&question, &declaration("accepted")));
        assert!(holds(&question, &declaration("duplicate")));
        assert!(!holds(&question, &declaration("rejected")));
    }
}
