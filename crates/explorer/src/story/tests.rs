use bitcoin::BlockHash;
use bitcoin::hashes::Hash;

use super::*;
use crate::service::testing::{board, service};

/// When the story's block was found, in milliseconds since 1970.
const FOUND: u64 = 1_000_000;

fn brief(maker: Maker) -> Brief {
    Brief {
        hash: BlockHash::from_byte_array([7; 32]),
        previous: BlockHash::all_zeros(),
        height: 200,
        time: 1000,
        arrived_ms: FOUND + 30,
        transactions: 1,
        size: 300,
        weight: 1000,
        reward: 50,
        maker,
    }
}

fn hash() -> String {
    brief(Maker::Unknown).hash.to_string()
}

fn pool_block() -> pool::Block {
    pool::Block {
        hash: hash(),
        time_ms: FOUND,
        user: "farm".to_owned(),
        peer: "10.0.0.9:5".to_owned(),
        channel_id: 2,
        job_id: 4,
        verdict: Some("accepted".to_owned()),
        verdict_ms: Some(FOUND + 20),
        ..pool::Block::default()
    }
}

fn a_pool(block: pool::Block) -> Service {
    let mut service = service("pool", Kind::Pool, &["tp"]);
    service.pool.blocks.put(hash(), block);
    service
}

fn a_provider(sent_ms: u64) -> Service {
    let mut service = service("tp", Kind::TemplateProvider, &["node"]);
    let solution = provider::Solution {
        hash: hash(),
        submitted_ms: FOUND + 1,
        verdict: Some("accepted".to_owned()),
        verdict_ms: Some(FOUND + 10),
        reason: None,
    };
    service.provider.take(vec![provider::Template {
        template_id: 3,
        vendor: "pool".to_owned(),
        sent_ms,
        solutions: vec![solution],
        ..provider::Template::default()
    }]);
    service
}

fn a_jdc(upstream: Option<&str>) -> Service {
    let mut service = service("jdc", Kind::Jdc, &["pool", "jds", "tp"]);
    service.jdc.take_jobs(vec![jdc::Job {
        job: 9,
        upstream: upstream.map(str::to_owned),
        created_ms: FOUND - 900,
        declaration: jdc::Declaration {
            sent_us: Some(2_000),
            accepted_us: Some(9_000),
            provided: 1,
        },
        custom_job: jdc::CustomJob {
            job_id: Some(4),
            accepted_us: Some(12_000),
        },
        blocks: vec![hash()],
        ..jdc::Job::default()
    }]);
    let block = jdc::Block {
        hash: hash(),
        time_ms: FOUND - 1,
        user_identity: "farm.rig".to_owned(),
        device_id: "rig".to_owned(),
        ..jdc::Block::default()
    };
    service.jdc.blocks.put(hash(), block);
    service
}

fn signed() -> Brief {
    brief(Maker::Signed("/pool/".into()))
}

fn titles(story: &Story) -> Vec<&'static str> {
    story.steps.iter().map(|step| step.title).collect()
}

#[test]
fn a_pools_own_block_goes_from_template_to_verdict_with_times_between() {
    let mut pool = a_pool(pool_block());
    pool.pool.clients = vec![pool::Client {
        who: pool::Who {
            client_id: 1,
            peer: "10.0.0.9:5".to_owned(),
            device_id: "miner".to_owned(),
            ..pool::Who::default()
        },
        ..pool::Client::default()
    }];
    pool.pool.hear(&pool::Told::JobCreated {
        at_ms: FOUND - 400,
        client_id: 1,
        channel_id: 1,
        job_id: 4,
        template_id: Some(3),
        is_future: true,
    });
    let devices = ["miner", "other"].map(|name| service(name, Kind::MiningDevice, &["pool"]));
    let board = board(devices.into_iter().chain([pool, a_provider(FOUND - 500)]));
    let story = tell(&signed(), &board, "node");
    assert_eq!(
        titles(&story),
        [
            "Template sent",
            "Job sent",
            "Share found",
            "Solution handed to the node",
            "The node's verdict",
            "Asked for by the pool",
            "Shown here as part of the chain",
        ]
    );
    let after: Vec<_> = story.steps.iter().map(|step| step.after_ms).collect();
    let expected = [100.0, 400.0, 1.0, 9.0, 10.0, 10.0].map(Some);
    assert_eq!((after[0], &after[1..]), (None, &expected[..]));
    assert_eq!(story.took_ms, Some(510.0));
    assert_eq!(story.path, ["miner", "pool", "tp", "node"]);
    assert_eq!(story.chosen_by, "pool, by way of tp");
    assert_eq!(story.credit.origin, Origin::PoolTemplate);
    assert_eq!(story.verdict.as_deref(), Some("accepted"));
    assert_eq!(story.gaps, Vec::<String>::new());
}

#[test]
fn a_declared_block_names_the_miner_behind_the_client() {
    let block = pool::Block {
        token: Some("aa".repeat(16)),
        ..pool_block()
    };
    let rig = service("rig", Kind::MiningDevice, &["jdc"]);
    let board = board([
        rig,
        a_pool(block),
        a_jdc(Some("10.0.0.5:1")),
        a_provider(FOUND - 901),
    ]);
    let story = tell(&signed(), &board, "node");
    assert_eq!(
        titles(&story)[..7],
        [
            "Template sent",
            "Job made for the miners",
            "Job declared",
            "Declaration accepted",
            "Job taken by the pool",
            "Share found",
            "Share credited",
        ]
    );
    assert_eq!(story.path, ["rig", "jdc", "pool", "tp", "node"]);
    assert_eq!(story.credit.miner.as_deref(), Some("farm.rig"));
    assert_eq!(story.credit.user.as_deref(), Some("farm"));
    assert_eq!(story.credit.origin, Origin::Declared);
    assert_eq!(story.chosen_by, "jdc, by way of tp");
}

#[test]
fn of_miners_whose_names_begin_alike_the_one_that_is_meant_is_named() {
    let names = ["rig", "rig-2", "rig-23"];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        for name in names {
            let rigs = order.map(|place| service(names[place], Kind::MiningDevice, &["pool"]));
            let block = pool::Block {
                worker: Some(format!("farm.{name}")),
                ..pool_block()
            };
            let board = board(rigs.into_iter().chain([a_pool(block)]));
            let story = tell(&signed(), &board, "node");
            assert_eq!(story.path, [name, "pool", "node"]);
        }
    }
}

#[test]
fn a_block_for_no_pool_is_solo() {
    let board = board([a_jdc(None), a_provider(FOUND - 901)]);
    let story = tell(&signed(), &board, "node");
    assert_eq!(story.credit.origin, Origin::Solo);
    assert_eq!(story.path, ["farm.rig", "jdc", "tp", "node"]);
    assert_eq!(story.verdict.as_deref(), Some("accepted"));
}

#[test]
fn what_is_not_known_is_said() {
    let mut block = pool_block();
    block.token = Some("aa".repeat(16));
    let story = tell(&signed(), &board([a_pool(block)]), "node");
    assert_eq!(story.gaps.len(), 2, "{:?}", story.gaps);
    assert_eq!(titles(&story)[..2], ["Share found", "The node's verdict"]);
}

#[test]
fn blocks_of_nobody_here_have_no_story_of_their_own() {
    let nobody = board([]);
    let foreign = tell(&signed(), &nobody, "node");
    assert_eq!(foreign.credit.origin, Origin::Elsewhere);
    assert!(foreign.headline.contains("/pool/"), "{}", foreign.headline);
    let made = tell(&brief(Maker::Node), &nobody, "node");
    assert_eq!(
        (made.credit.origin, &made.path[..]),
        (Origin::Rpc, &["node".to_owned()][..])
    );
    let first = tell(&brief(Maker::Genesis), &nobody, "node");
    assert_eq!(
        (first.credit.origin, first.path.len()),
        (Origin::Genesis, 0)
    );
}
