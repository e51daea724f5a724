//! Miners that find more than anybody expects.

use protocol::message::mining::SubmitSharesSuccess;
use protocol::message::{Message, MiningOwned};
use regtest::{Line, want};
use tokio::task::JoinSet;

use crate::miner::Miner;
use crate::site::{CHANNEL, Lines, Site, accept_job, hear_job};

/// Shares of each miner, and how many it sends before it looks at the answers.
const FLOOD: u32 = 3000;
const AT_ONCE: usize = 500;

/// With a first job that the pool has taken.
async fn start() -> (Site, Lines) {
    let mut site = Site::with("coinbase-only", "max_messages_per_second = 0").await;
    let mut lines = site.working().await;
    let job = hear_job(&mut lines.pool).await;
    accept_job(&mut lines.pool, job.request_id, 40).await;
    site.wait_for("/api/v1/declared-jobs", "\"state\":\"set\"")
        .await;
    (site, lines)
}

/// Everything up to that share is accepted.
async fn accept(pool: &mut Line, last_sequence_number: u32) {
    let success = SubmitSharesSuccess {
        channel_id: CHANNEL,
        last_sequence_number,
        new_submits_accepted_count: 100,
        new_shares_sum: 100,
    };
    pool.say(MiningOwned::SubmitSharesSuccess(success)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_shares_reaches_the_pool_whole() {
    let (site, mut lines) = start().await;
    let mut miners = JoinSet::new();
    for _ in 0..2 {
        let mut miner = Miner::connect(&site.program).await;
        miners.spawn(async move {
            miner.flood(0..FLOOD, AT_ONCE).await;
            miner
        });
    }
    let mut number = 0;
    while number < 2 * FLOOD {
        let share = match lines.pool.hear().await {
            Message::Mining(MiningOwned::UpdateChannel(_)) => continue,
            other => want!(other, Mining::SubmitSharesExtended),
        };
        assert_eq!((share.sequence_number, share.job_id), (number, 40));
        number += 1;
        if number.is_multiple_of(100) {
            accept(&mut lines.pool, share.sequence_number).await;
        }
    }
    assert_eq!(miners.join_all().await.len(), 2);
    for fact in ["\"relayed\":6000", "\"acknowledged\":6000", "\"lost\":0"] {
        site.wait_for("/api/v1/declared-jobs", fact).await;
    }
}
