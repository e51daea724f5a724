//! What hops are asked about a block, and how their answers are read; no I/O.

use bitcoin::BlockHash;
use serde_json::{Value, json};

use crate::topology::{Kind, MiningPath, Topology};

/// A question to a hop's HTTP interface, and how its answer is read.
pub(super) struct Question {
    pub(super) hop: String,
    pub(super) claim: &'static str,
    pub(super) route: String,
    pub(super) holds: Box<Reading>,
}

/// The evidence in an answer, if the claim holds.
pub(super) type Reading = dyn Fn(&Value) -> Option<Value>;

/// Where a job declarator client tells of its jobs.
pub(super) const JOBS: &str = "/api/v1/declared-jobs?limit=100";

/// Whether the pool has taken a job for the block after `tip`, or nobody has to.
pub(super) fn is_settled(jobs: &Value, tip: &str) -> bool {
    let is_next = |job: &Value| job["template"]["prev_hash"] == tip;
    let is_taken = |job: &Value| ["set", "solo"].iter().any(|state| job["state"] == *state);
    item(jobs, |job| is_next(job) && is_taken(job)).is_some()
}

/// Whether the pool has ever taken the job of a block; `None` while that is not decided. Solo work is
/// nobody's to take, which [`declared`] says.
pub(super) fn was_taken(jobs: &Value, hash: BlockHash) -> Option<bool> {
    let job = job_of(jobs, hash)?;
    match job["state"].as_str()? {
        "waiting" | "declaring" | "setting" => None,
        "over" => Some(!job["custom_job"]["accepted_us"].is_null()),
        _ => Some(true),
    }
}

fn job_of(jobs: &Value, hash: BlockHash) -> Option<&Value> {
    item(jobs, |job| {
        job["blocks"].as_array().is_some_and(|b| has(b, hash))
    })
}

/// The job declarator client has the job the block was found on.
pub(super) fn declared(hop: &str, height: u64, hash: BlockHash) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "it declared the job, and the pool took it",
        route: JOBS.to_owned(),
        holds: Box::new(move |jobs| {
            let job = job_of(jobs, hash)?;
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
pub(super) fn solved(hop: &str, hash: BlockHash) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "the declaration is on record, and the block with the node's verdict",
        route: "/api/v1/declarations?limit=100".to_owned(),
        holds: Box::new(move |declarations| {
            let is_it = |block: &Value| block["hash"] == hash.to_string().as_str();
            let blocks = |one: &Value| one["blocks"].as_array().cloned().unwrap_or_default();
            let found = item(declarations, |one| blocks(one).iter().any(is_it))?;
            let block = blocks(found).into_iter().find(is_it)?;
            let good = ["accepted", "duplicate"]
                .iter()
                .any(|v| block["verdict"] == *v);
            good.then(|| json!({ "user": found["user"], "verdict": block["verdict"] }))
        }),
    }
}

/// The pool has the block in its ledger, as the miner's and as accepted.
pub(super) fn recorded(hop: &str, height: u64, hash: BlockHash, is_declared: bool) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "the block is in the ledger, and the node accepted it",
        route: "/api/v1/blocks?limit=100".to_owned(),
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
pub(super) fn submitted(hop: &str) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "a solution of its templates was accepted",
        route: "/api/v1/status".to_owned(),
        holds: Box::new(|status| {
            let accepted = number(&status["solutions"], "accepted");
            (accepted > 0).then(|| json!({ "accepted": accepted }))
        }),
    }
}

/// Who makes the templates of a way's blocks: the first on it that makes coinbases says.
pub(super) fn provider<'a>(topology: &'a Topology, path: &MiningPath) -> Option<&'a str> {
    path.hops
        .iter()
        .find_map(|hop| match &topology.service(hop)?.kind {
            Kind::Jdc(settings) => Some(settings.template_provider.as_str()),
            Kind::Pool(settings) => Some(settings.template_provider.as_str()),
            _ => None,
        })
}

/// What an explorer has to tell of a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Miners whose blocks look alike: of several on one way, any may have been the first.
    miners: Vec<String>,
    /// Everybody between the miner and the chain, which it ends with.
    way: Vec<String>,
    origin: &'static str,
}

impl Told {
    pub(super) fn expected(topology: &Topology, path: &MiningPath, node: &str) -> Self {
        let behind = |path: &MiningPath| path.hops.iter().skip(1).cloned().collect::<Vec<_>>();
        let way = behind(path);
        let alike = topology.mining_paths().into_iter();
        let miners = alike.filter(|other| behind(other) == way);
        let is_declared = |hop: &String| {
            let kind = topology.service(hop).map(|service| &service.kind);
            matches!(kind, Some(Kind::Jdc(_)))
        };
        Self {
            miners: miners
                .filter_map(|other| other.hops.first().cloned())
                .collect(),
            origin: match way.iter().any(is_declared) {
                true => "declared",
                false => "pool_template",
            },
            way: way
                .into_iter()
                .chain(provider(topology, path).map(str::to_owned))
                .chain([node.to_owned()])
                .collect(),
        }
    }
}

/// The explorer knows who mined the block, over which way, on whose template, and what the node
/// says of it.
pub(super) fn told(hop: &str, hash: BlockHash, expected: Told) -> Question {
    Question {
        hop: hop.to_owned(),
        claim: "it tells the same way, with nothing missing, and the node's verdict",
        route: format!("/api/v1/blocks/{hash}"),
        holds: Box::new(move |block| {
            let story = &block["story"];
            let (miner, way) = story["path"].as_array()?.split_first()?;
            let fits = number(block, "confirmations") > 0
                && expected.miners.iter().any(|known| miner == known.as_str())
                && way.iter().eq(&expected.way)
                && story["credit"]["origin"] == expected.origin
                && story["gaps"].as_array().is_some_and(Vec::is_empty)
                && story["verdict"] == "accepted";
            fits.then(|| {
                json!({
                    "path": story["path"],
                    "origin": story["credit"]["origin"],
                    "worker": story["credit"]["miner"],
                    "verdict": story["verdict"],
                    "took_ms": story["took_ms"],
                })
            })
        }),
    }
}

fn item(list: &Value, is_it: impl Fn(&Value) -> bool) -> Option<&Value> {
    list["items"].as_array()?.iter().find(|item| is_it(item))
}

fn has(list: &[Value], hash: BlockHash) -> bool {
    list.iter().any(|one| *one == hash.to_string().as_str())
}

pub(super) fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;

    use super::*;
    use crate::topology;

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
    fn of_a_block_it_is_known_whether_the_pool_had_its_job() {
        let taken = |state: &str, accepted: Value| {
            let jobs = json!({ "items": [
                { "blocks": [], "state": "declaring" },
                { "blocks": [hash().to_string()], "state": state,
                  "custom_job": { "accepted_us": accepted } },
            ]});
            was_taken(&jobs, hash())
        };
        for state in ["waiting", "declaring", "setting"] {
            assert_eq!(taken(state, Value::Null), None);
        }
        assert_eq!(taken("set", json!(900)), Some(true));
        assert_eq!(taken("over", json!(900)), Some(true));
        assert_eq!(taken("over", Value::Null), Some(false));
        assert_eq!(taken("solo", Value::Null), Some(true));
        assert_eq!(was_taken(&Value::Null, hash()), None);
    }

    #[test]
    fn a_way_is_settled_once_the_pool_has_a_job_on_the_tip() {
        let settled = |state: &str, prev_hash: Value| {
            let jobs = json!({ "items": [
                { "state": "waiting", "template": { "prev_hash": null } },
                { "state": state, "template": { "prev_hash": prev_hash } },
            ]});
            is_settled(&jobs, "aa")
        };
        assert!(settled("set", json!("aa")));
        assert!(settled("solo", json!("aa")));
        assert!(!settled("setting", json!("aa")));
        assert!(!settled("set", json!("bb")));
        assert!(!settled("set", Value::Null));
        assert!(!is_settled(&Value::Null, "aa"));
    }

    #[test]
    fn an_explorer_must_tell_the_whole_way_and_may_name_any_miner_of_it() {
        let text = topology::find("full").unwrap();
        let counts = [("cpuminer".to_owned(), 2)].into();
        let topology = Topology::parse(&text).unwrap().scaled(&counts).unwrap();
        let path = topology.mining_paths().remove(0);
        let expected = Told::expected(&topology, &path, "btc-node");
        assert_eq!(expected.miners, ["cpuminer", "cpuminer-2"]);
        let question = told("btc-explorer", hash(), expected);
        let block = |miner: &str, pool: &str, origin: &str, gaps: &[&str]| {
            let way = [
                "translator-proxy",
                "jdc",
                pool,
                "template-provider",
                "btc-node",
            ];
            let path: Vec<&str> = [miner].into_iter().chain(way).collect();
            json!({ "confirmations": 1, "story": {
                "path": path,
                "credit": { "origin": origin, "miner": "farm.cpuminer" },
                "gaps": gaps,
                "verdict": "accepted",
            }})
        };
        assert!(holds(
            &question,
            &block("cpuminer-2", "pool", "declared", &[])
        ));
        assert!(!holds(
            &question,
            &block("stranger", "pool", "declared", &[])
        ));
        assert!(!holds(
            &question,
            &block("cpuminer", "pool-2", "declared", &[])
        ));
        assert!(!holds(
            &question,
            &block("cpuminer", "pool", "pool_template", &[])
        ));
        assert!(!holds(
            &question,
            &block("cpuminer", "pool", "declared", &["template"])
        ));
        assert!(!holds(&question, &Value::Null));
    }

    #[test]
    fn a_declared_block_may_reach_the_node_twice() {
        let declaration = |verdict: &str| {
            let block = json!({ "hash": hash().to_string(), "verdict": verdict });
            json!({ "items": [{ "user": "farm", "blocks": [block] }] })
        };
        let question = solved("jds", hash());
        assert!(holds(&question, &declaration("accepted")));
        assert!(holds(&question, &declaration("duplicate")));
        assert!(!holds(&question, &declaration("rejected")));
    }
}
