//! Miners that speak Stratum V1, and their blocks in the chain.

use std::process::{Command, Stdio};

use protocol::message::common::Protocol;
use protocol::target::Target;
use regtest::{Program, Sv1Miner, free_port};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::farm::Farm;
use crate::site::{program, until};

/// A translator for these upstreams, best first, once it has work.
fn translator(upstreams: &[&Program], plain: &str) -> Program {
    let mut keys = format!(
        "{plain}\n[downstream_difficulty_config]\n\
         min_individual_miner_hashrate = 10.0\nenable_vardiff = false\n"
    );
    for upstream in upstreams {
        let upstream = upstream.upstream(Protocol::MiningProtocol);
        keys += &format!(
            "[[upstreams]]\naddress = \"{}\"\nport = {}\nauthority_pubkey = \"{}\"\n\
             user_identity = \"farm\"\n",
            upstream.address.host, upstream.address.port, upstream.authority,
        );
    }
    let translator = Program::start_plain(program("translator"), free_port(), &keys);
    translator.wait_for_health(0);
    translator
}

/// The miner submits one block after the other, until one is in the chain that pays whom it should.
async fn block_for(farm: &Farm, miner: &mut Sv1Miner, payee: u8) -> String {
    let before = farm.node.height().await;
    let what = format!("a block of a Stratum V1 miner for {payee}");
    until(&what, async || {
        let job = miner.some_job().await;
        let found = miner.find_for(Target::from_compact(job.n_bits), 0, None);
        // Late ones are refused; the next job is on its way.
        let answer = miner.submit(&found).await;
        farm.paid_above(before, payee)
            .await
            .ok_or_else(|| format!("the last was answered {answer:?}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_a_stratum_v1_miner_is_in_the_chain() {
    // PROXY-15, 20, 26
    for plain in ["", "aggregate_channels = false"] {
        let farm = Farm::start("full-template", 1).await;
        let pool = &farm.upstreams[0].pool;
        let translator = translator(&[pool], plain);
        let mut miner = Sv1Miner::join(translator.address(), "farm.rig").await;
        let first = block_for(&farm, &mut miner, 0).await;
        let second = block_for(&farm, &mut miner, 0).await;
        assert_ne!(first, second);
        // Its shares are accepted as well; some come too late, for the translator or its upstream.
        until("an accepted share", async || {
            miner.some_job().await;
            let share = miner.find(0, None);
            let answer = miner.submit(&share).await;
            let told = translator.get("/metrics");
            let is_accepted = told.contains("sv2_server_shares_accepted_total{upstream=");
            is_accepted
                .then_some(())
                .ok_or_else(|| format!("the last was answered {answer:?}\n{told}"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_job_comes_to_a_stratum_v1_miner_and_becomes_a_block() {
    // PROXY-12: the client leaves exactly the bytes that are needed.
    let farm = Farm::start("full-template", 1).await;
    let translator = translator(&[&farm.jdc], "");
    let mut miner = Sv1Miner::join(translator.address(), "farm.rig").await;
    farm.job("a job that the pool takes", |job| job["state"] == "set")
        .await;
    let hash = block_for(&farm, &mut miner, 0).await;
    let job = farm
        .job("the block's job", |job| {
            let mut blocks = job["blocks"].as_array().unwrap().iter();
            blocks.any(|block| *block == json!(hash))
        })
        .await;
    assert!(job["upstream"].is_string(), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_device_mines_through_translator_client_and_pool() {
    let farm = Farm::start("full-template", 1).await;
    let translator = translator(&[&farm.jdc], "");
    let before = farm.node.height().await;
    let url = format!("stratum+tcp://{}", translator.address());
    let device = Command::new(program("mining-device"))
        .args(["-a", "sha256d", "-o", &url, "-u", "farm.cpu", "-p", "x"])
        .args(["-t", "1", "--share-interval", "0.25", "--until-blocks", "2"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&device.stderr);
    assert!(device.status.success(), "{stderr}");
    let report: Value = serde_json::from_slice(&device.stdout).unwrap();
    assert!(report["blocks_accepted"].as_u64() >= Some(2), "{report}");
    assert!(farm.paid_above(before, 0).await.is_some(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_miners_stay_when_their_pool_is_killed_and_go_on_when_it_is_back() {
    // PROXY-26
    let mut farm = Farm::start("full-template", 1).await;
    let translator = translator(&[&farm.upstreams[0].pool], "");
    let mut miners = Vec::new();
    for number in 0..20 {
        let mut miner = Sv1Miner::join(translator.address(), &format!("farm.rig{number}")).await;
        miner.some_job().await;
        miners.push(miner);
    }
    block_for(&farm, &mut miners[0], 0).await;
    let seats: Vec<String> = miners.iter().map(Sv1Miner::extranonce1).collect();
    for _ in 0..2 {
        farm.upstreams[0].pool.kill();
        translator.wait_for_health(1);
        farm.upstreams[0].pool.restart();
        translator.wait_for_health(0);
        let before = miners[1].job.clone();
        for miner in &mut miners {
            miner.next_job().await;
        }
        assert_ne!(before, miners[1].job);
        for number in [0, 7, 19] {
            block_for(&farm, &mut miners[number], 0).await;
        }
    }
    // None was dropped: each answers on the connection it has had from the start.
    for (miner, seat) in miners.iter_mut().zip(seats) {
        assert_eq!(miner.extranonce1(), seat);
        miner.call(&sv1::Call::Ping).await.unwrap();
    }
    let metrics = translator.get("/metrics");
    assert!(metrics.contains("sv1_clients 20"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_pool_takes_over_the_miners_and_the_first_gets_them_back() {
    // PROXY-26
    let mut farm = Farm::start("full-template", 2).await;
    let pools = [&farm.upstreams[0].pool, &farm.upstreams[1].pool];
    let translator = translator(&pools, "");
    let mut miner = Sv1Miner::join(translator.address(), "farm.rig").await;
    block_for(&farm, &mut miner, 0).await;
    farm.upstreams[0].pool.kill();
    block_for(&farm, &mut miner, 1).await;
    translator.wait_for_health(0);
    farm.upstreams[0].pool.restart();
    block_for(&farm, &mut miner, 0).await;
    let metrics = translator.get("/metrics");
    assert!(metrics.contains("sv1_clients 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_miners_come_at_once_and_a_block_reaches_them_all() {
    // PROXY-02
    let farm = Farm::start("full-template", 1).await;
    let pool = &farm.upstreams[0].pool;
    // Otherwise those who are slow to subscribe make room for others after a second.
    let patient = "max_handshakes = 1000\nsetup_timeout_sec = 60";
    let translator = translator(&[pool], patient);
    let address = translator.address();
    let mut joining = JoinSet::new();
    for number in 0..1000 {
        joining.spawn(async move {
            let mut miner = Sv1Miner::join(address, &format!("farm.rig{number}")).await;
            miner.some_job().await;
            miner
        });
    }
    let mut miners = joining.join_all().await;
    let tip = miners[0].some_job().await.prev_hash;
    block_for(&farm, &mut miners[0], 0).await;
    let mut told = JoinSet::new();
    for mut miner in miners.drain(..) {
        told.spawn(async move {
            while miner.some_job().await.prev_hash == tip && miner.hear().await.is_some() {}
        });
    }
    assert_eq!(told.join_all().await.len(), 1000);
    pool.wait_for_metric("sv2_clients_total 2");
}
