//! Miners in numbers, and what can be seen of them.

use std::sync::Arc;

use nix::sys::signal::Signal;
use regtest::Sv1Miner;
use sv1::Call;
use tokio::task::JoinSet;

use crate::site::{CHANNEL, Site, easy};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_miners_connect_at_once_and_all_have_the_next_job() {
    // PROXY-02, 30
    // Otherwise those who are slow to subscribe make room for others after a second.
    let patient = "max_handshakes = 1000\nsetup_timeout_sec = 60";
    let mut site = Site::start(1, patient).await;
    let mut pool = site.working(0).await;
    let address = site.program.address();
    let mut joining = JoinSet::new();
    for number in 0..1000 {
        joining.spawn(async move {
            let mut miner = Sv1Miner::join(address, &format!("farm.rig{number}")).await;
            miner.some_job().await;
            miner
        });
    }
    let mut miners = joining.join_all().await;
    let mut seats: Vec<String> = miners.iter().map(Sv1Miner::extranonce1).collect();
    seats.sort();
    seats.dedup();
    assert_eq!(seats.len(), 1000);
    pool.job(CHANNEL, 2).await;
    pool.tip(CHANNEL, 2, 2).await;
    let mut told = JoinSet::new();
    for mut miner in miners.drain(..) {
        told.spawn(async move {
            while miner.next_job().await.prev_hash != [2; 32] {}
            miner
        });
    }
    assert_eq!(told.join_all().await.len(), 1000);
}

#[tokio::test]
async fn shares_at_the_wish_of_the_miner_and_a_clean_stop() {
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    let job = miner.some_job().await;
    // PROXY-13, 23: late times are fine, and the same share is not taken twice.
    let share = miner.find_for(easy(), 600, None);
    miner.submit(&share).await.unwrap();
    assert_eq!(miner.submit(&share).await.unwrap_err().code, 22);
    assert_eq!(Arc::strong_count(&job), 2, "no other job came meanwhile");
    pool.share().await;
    site.wait_for("/api/v1/status", "\"sv1_clients\":1").await;
    // What SRI's translator tells of a miner, under the same names.
    let told = site.program.get("/api/v1/sv1/clients");
    for fact in [
        "\"client_id\":1,".to_owned(),
        format!("\"channel_id\":{CHANNEL},"),
        "\"authorized_worker_name\":\"farm.rig\",".to_owned(),
        "\"user_identity\":\"farm.rig\",".to_owned(),
        format!("\"extranonce1_hex\":\"{}\",", miner.extranonce1()),
        "\"extranonce2_len\":4,".to_owned(),
        "\"version_rolling_mask\":\"1fffffe0\",".to_owned(),
        "\"version_rolling_min_bit\":\"00000000\",".to_owned(),
        "\"hashrate\":10.0,".to_owned(),
    ] {
        assert!(told.contains(&fact), "{fact} is not in {told}");
    }
    assert!(told.contains("\"target_hex\":\""), "{told}");
    site.wait_for(
        "/metrics",
        "sv1_client_shares_rejected_total{reason=\"duplicate\"} 1",
    )
    .await;
    site.program.signal(Signal::SIGTERM);
    miner.closed().await;
    let (status, log) = site.program.end();
    assert!(status.success(), "{log}");
}

/// Shares of each miner, and how many it sends before it looks at the answers.
const FLOOD: usize = 3000;
const AT_ONCE: usize = 200;

/// All at once, again and again; every one is taken.
async fn flood(mut miner: Sv1Miner) -> Sv1Miner {
    miner.some_job().await;
    for _ in 0..FLOOD / AT_ONCE {
        for _ in 0..AT_ONCE {
            let share = miner.find_for(easy(), 0, None);
            miner.send(&Call::Submit(share.submit)).await;
        }
        let mut answers = 0;
        while answers < AT_ONCE {
            if let Some((_, answer)) = miner.hear().await.expect("the server stays") {
                answer.unwrap();
                answers += 1;
            }
        }
    }
    miner
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_shares_reaches_the_upstream_whole() {
    let mut site = Site::start(1, "max_messages_per_second = 0").await;
    let mut pool = site.working(0).await;
    let mut miners = JoinSet::new();
    for name in ["farm.a", "farm.b"] {
        miners.spawn(flood(site.miner(name).await));
    }
    for number in 0..2 * FLOOD as u32 {
        let share = pool.share().await;
        assert_eq!(share.sequence_number, number);
        if (number + 1) % 100 == 0 {
            pool.accept(&share).await;
        }
    }
    assert_eq!(miners.join_all().await.len(), 2);
    let metrics = site.program.get("/metrics");
    assert!(!metrics.contains("shares_lost_total{"), "{metrics}");
}
