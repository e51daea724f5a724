//! Miners that do not mean well.

use std::time::Instant;

use regtest::{LIMIT, Sv1Miner};

use crate::site::{CHANNEL, Site, easy};

#[tokio::test]
async fn nonsense_ends_its_own_connection_and_no_other() {
    // PROXY-23
    let mut site = Site::start(1, "").await;
    let mut pool = site.working(0).await;
    let mut honest = site.miner("farm.rig").await;
    honest.some_job().await;
    let mut endless = vec![b'{'; 40_000];
    endless.push(b'\n');
    let nonsense: [Vec<u8>; 4] = [
        b"not JSON at all\n".repeat(20),
        b"{\"id\":1,\"method\":\"mining.submit\",\"params\":[[[]]]}\n".repeat(20),
        endless,
        [&[0xff, 0xfe, 0x80][..], b"\n"].concat().repeat(20),
    ];
    for bytes in nonsense {
        let mut miner = Sv1Miner::connect(site.program.address()).await;
        miner.say(&bytes).await;
        // Answers, perhaps, and then the end.
        miner.closed().await;
    }
    let share = honest.find_for(easy(), 0, None);
    honest.submit(&share).await.unwrap();
    pool.share().await;
}

#[tokio::test]
async fn who_says_nothing_is_closed_and_who_has_subscribed_may_be_silent() {
    // Long for who says it at once, on a machine that is busy with other things.
    let mut site = Site::start(1, "setup_timeout_sec = 4").await;
    let mut pool = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    let mut idle = Sv1Miner::connect(site.program.address()).await;
    let mut half = Sv1Miner::connect(site.program.address()).await;
    half.subscribe("test/1", None).await;
    idle.closed().await;
    half.closed().await;
    pool.better_job(CHANNEL, 2).await;
    miner.next_job().await;
    site.wait_for(
        "/metrics",
        "sv2_limits_reached_total{limit=\"setup_time\"} 2",
    )
    .await;
}

#[tokio::test]
async fn who_does_not_read_does_not_keep_others_from_their_jobs() {
    let mut site = Site::start(
        1,
        "max_unread_bytes = 65536\nmax_connections_per_address = 3",
    )
    .await;
    let mut pool = site.working(0).await;
    let mut deaf = site.miner("farm.deaf").await;
    deaf.some_job().await;
    let mut honest = site.miner("farm.rig").await;
    honest.some_job().await;
    let mut third = site.miner("farm.third").await;
    third.some_job().await;
    // PROXY-30: there is room for no more.
    let mut fourth = Sv1Miner::connect(site.program.address()).await;
    fourth.closed().await;
    for job in 2..200 {
        pool.better_job(CHANNEL, job).await;
        honest.next_job().await;
    }
    drop(third);
    let deadline = Instant::now() + LIMIT;
    let mut fifth = loop {
        let mut fifth = Sv1Miner::connect(site.program.address()).await;
        // The place is free when the program has noticed.
        if fifth.subscribe_if_open().await {
            break fifth;
        }
        assert!(Instant::now() < deadline, "the place stays taken");
    };
    fifth.authorize("farm.fifth", "x").await.unwrap();
    fifth.some_job().await;
}
