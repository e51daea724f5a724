//! Blocks from declared jobs, and what becomes of the miners when somebody is lost.

use bitcoin::Amount;
use regtest::Program;
use regtest::chain::{spending, to_anyone};
use serde_json::{Value, json};

use crate::farm::{Farm, SOLO};
use crate::site::until;

/// Puts `count` transactions into the mempool of the miners' node, every other one also into that of
/// the pools', and waits until a job with all of them is set. How many were provided for it, and for
/// the jobs with a part of them that came before: what was provided once is not asked for again.
async fn with_transactions(farm: &Farm, count: u32, first_coin: u32) -> u64 {
    let last = farm.jobs().first().map_or(0, number_of);
    for number in 0..count {
        let (coin, value) = farm.node.coinbase_of(first_coin + number).await;
        let output = to_anyone(value - Amount::from_sat(10_000));
        let transaction = spending(coin, vec![output]);
        // The pools' node first: a job may be declared at any moment.
        if number % 2 == 1 {
            farm.pools_node().send(&transaction).await;
        }
        farm.node.send(&transaction).await;
    }
    let what = format!("a job with {count} transactions that the pool takes");
    let wanted = json!(count);
    let is_it = |job: &Value| job["state"] == "set" && job["template"]["transactions"] == wanted;
    let job = number_of(&farm.job(&what, is_it).await);
    let jobs = farm.jobs();
    let since = jobs
        .iter()
        .filter(|one| (last + 1..=job).contains(&number_of(one)));
    let provided = since.map(|one| one["declaration"]["provided"].as_u64().unwrap());
    provided.sum()
}

fn number_of(job: &Value) -> u64 {
    job["job"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_block_of_any_size_reaches_both_nodes_and_pays_the_pool() {
    // JDC-12, 20, 21, 36, JDS-13, 24, 27
    let farm = Farm::apart("full-template").await;
    let mut coin = 1;
    for count in [0, 1, 50] {
        let provided = with_transactions(&farm, count, coin).await;
        coin += count;
        let lacking = u64::from(count).div_ceil(2);
        assert!(
            provided >= lacking && (lacking > 0 || provided == 0),
            "{provided} of {lacking} that the pools' node lacks"
        );
        let before = farm.node.height().await;
        let report = farm.mine(1);
        assert_eq!(report["shares_rejected"], json!({}), "{report}");
        let hash = farm.block_for(0, before).await;
        let block = farm.node.rpc("getblock", json!([hash])).await;
        assert_eq!(block["nTx"], count + 1);
        // No line joins the nodes but PushSolution.
        farm.reaches_pool(&hash).await;
        let job = farm
            .job("the block's job", |job| job["blocks"][0] == json!(hash))
            .await;
        assert_eq!(job["template"]["transactions"], count, "{job}");
        assert!(job["upstream"].is_string(), "{job}");
        farm.meet().await;
    }
    farm.upstreams[0]
        .pool
        .wait_for_metric("sv2_clients_total 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_coinbase_only_the_pool_is_paid_and_shown_nothing() {
    // JDC-13, 14
    let farm = Farm::start("coinbase-only", 1).await;
    let (coin, value) = farm.node.coinbase_of(1).await;
    let output = to_anyone(value - Amount::from_sat(10_000));
    farm.node.send(&spending(coin, vec![output])).await;
    let before = farm.node.height().await;
    farm.job("a job that the pool takes", |job| job["state"] == "set")
        .await;
    farm.mine(2);
    farm.block_for(0, before).await;
    for job in farm.jobs() {
        assert_eq!(job["template"]["transactions"], json!(null), "{job}");
        assert_eq!(job["declaration"]["sent_us"], json!(null), "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn miners_work_on_when_pool_or_jds_are_killed_and_come_back() {
    // JDC-30
    let mut farm = Farm::start("full-template", 1).await;
    let device = farm.steady_device();
    farm.block_for(0, farm.node.height().await).await;
    for (pool, jds) in [(true, false), (false, true), (true, true)] {
        let upstream = &mut farm.upstreams[0];
        if pool {
            upstream.pool.kill();
        }
        if jds {
            upstream.jds.kill();
        }
        farm.block_for(SOLO, farm.node.height().await).await;
        farm.jdc.wait_for_health(1);
        let upstream = &mut farm.upstreams[0];
        if pool {
            upstream.pool.restart();
        }
        if jds {
            upstream.jds.restart();
        }
        farm.block_for(0, farm.node.height().await).await;
    }
    farm.job("a job with a share that the pool has taken", |job| {
        job["shares"]["acknowledged"].as_u64() > Some(0)
    })
    .await;
    let report = device.stop();
    assert_eq!(report["connections"], 1, "{report}");
    // Whatever the pool has said yes to is in the books of the one that came back.
    let acknowledged = counted(&farm.jdc, "sv2_server_shares_accepted_total{");
    assert!(acknowledged > 0);
    // Totals are added up now and then.
    until("all that was acknowledged is in the totals", async || {
        let recorded = counted(&farm.upstreams[0].pool, "sv2_pool_shares_accepted_total ");
        let what = format!("{recorded} of {acknowledged}");
        (recorded >= acknowledged).then_some(()).ok_or(what)
    })
    .await;
}

/// What the series that begin so count together.
fn counted(program: &Program, series: &str) -> u64 {
    let metrics = program.get("/metrics");
    let lines = metrics.lines().filter(|line| line.starts_with(series));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn miners_stay_when_their_own_node_is_killed() {
    let mut farm = Farm::start("full-template", 1).await;
    let device = farm.steady_device();
    farm.block_for(0, farm.node.height().await).await;
    farm.node.kill();
    farm.node.spawn();
    farm.node.wait_for_rpc().await;
    farm.block_for(0, farm.node.height().await).await;
    let report = device.stop();
    assert_eq!(report["connections"], 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_pool_takes_over_and_the_first_gets_the_miners_back() {
    // JDC-26, 30
    let mut farm = Farm::start("full-template", 2).await;
    let device = farm.steady_device();
    farm.block_for(0, farm.node.height().await).await;
    farm.upstreams[0].pool.kill();
    farm.block_for(1, farm.node.height().await).await;
    farm.jdc.wait_for_health(0);
    farm.upstreams[0].pool.restart();
    farm.block_for(0, farm.node.height().await).await;
    let report = device.stop();
    assert_eq!(report["connections"], 1, "{report}");
}
