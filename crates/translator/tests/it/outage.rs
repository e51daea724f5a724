//! Upstreams that go away, come back, and send us elsewhere.

use protocol::message::common::ReconnectOwned;
use protocol::message::{CommonMessagesOwned, text};
use regtest::Sv1Miner;

use crate::channels::check_share;
use crate::site::{CHANNEL, Site, easy};

#[tokio::test]
async fn miners_stay_while_the_only_upstream_is_away_and_go_on_when_it_is_back() {
    // PROXY-26
    let mut site = Site::start(1, "").await;
    let pool = site.working(0).await;
    let mut miners: Vec<Sv1Miner> = Vec::new();
    for number in 0..20 {
        let mut miner = site.miner(&format!("farm.rig{number}")).await;
        miner.some_job().await;
        miners.push(miner);
    }
    let seats: Vec<String> = miners.iter().map(Sv1Miner::extranonce1).collect();
    drop(pool);
    let fake = site.pools.remove(0).restart().await;
    site.pools.push(fake);
    // Whatever the miners do meanwhile: their job is over, and they hear so.
    let share = miners[0].find(0, None);
    let answer = miners[0].submit(&share).await;
    if let Err(rejection) = answer {
        assert_eq!(rejection.code, 21);
    }
    // Another prefix, another channel, the same tip.
    let mut pool = site.connected(0).await;
    pool.open_next(CHANNEL + 1).await;
    pool.job(CHANNEL + 1, 9).await;
    pool.tip(CHANNEL + 1, 9, 1).await;
    for miner in &mut miners {
        let job = miner.next_job().await;
        assert!(job.clean_jobs);
    }
    assert_eq!(
        miners.iter().map(Sv1Miner::extranonce1).collect::<Vec<_>>(),
        seats
    );
    for miner in &mut miners {
        check_share(miner, &mut pool, 1).await;
    }
    site.wait_for("/metrics", "sv1_clients 20").await;
}

#[tokio::test]
async fn miners_move_to_the_second_upstream_and_back() {
    // PROXY-26
    let mut site = Site::start(2, "").await;
    let first = site.working(0).await;
    let mut second = site.working(1).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    site.wait_for("/api/v1/upstreams", "\"state\":\"standby\"")
        .await;
    second.job(CHANNEL, 2).await;
    second.tip(CHANNEL, 2, 2).await;
    drop(first);
    while miner.next_job().await.prev_hash != [2; 32] {}
    check_share(&mut miner, &mut second, 2).await;
    let mut first = site.working(0).await;
    while miner.next_job().await.prev_hash != [1; 32] {}
    check_share(&mut miner, &mut first, 1).await;
    site.wait_for("/metrics", "translator_upstream_failures_total")
        .await;
}

#[tokio::test]
async fn a_reconnect_is_between_the_upstream_and_us() {
    // PROXY-07
    let mut site = Site::start(2, "").await;
    let mut first = site.working(0).await;
    let mut miner = site.miner("farm.rig").await;
    miner.some_job().await;
    miner.notices.clear();
    let message = ReconnectOwned {
        new_host: text(""),
        new_port: 0,
    };
    first
        .line
        .say(CommonMessagesOwned::Reconnect(message))
        .await;
    let mut again = site.working(0).await;
    miner.next_job().await;
    check_share(&mut miner, &mut again, 1).await;
    let about_jobs =
        |notice: &String| ["mining.notify", "mining.set_difficulty"].contains(&notice.as_str());
    assert!(miner.notices.iter().all(about_jobs), "{:?}", miner.notices);
}

#[tokio::test]
async fn a_miner_that_comes_before_any_upstream_waits_and_one_that_comes_back_has_its_place() {
    // PROXY-14
    let mut site = Site::start(1, "").await;
    let mut miner = site.miner("farm.rig").await;
    assert_eq!(site.program.health().0, Some(1));
    let mut pool = site.working(0).await;
    miner.some_job().await;
    site.program.wait_for_health(0);
    check_share(&mut miner, &mut pool, 1).await;
    let subscribed = miner.subscribed.clone().unwrap();
    drop(miner);
    site.wait_for("/metrics", "sv1_clients 0").await;
    let mut miner = Sv1Miner::connect(site.program.address()).await;
    miner.authorize("farm.rig", "x").await.unwrap();
    miner.subscribe("test/1", Some(&subscribed.session)).await;
    assert_eq!(miner.subscribed, Some(subscribed));
    miner.some_job().await;
    // What was found before the break is known to be.
    let share = miner.find_for(easy(), 1, None);
    miner.submit(&share).await.unwrap();
    assert_eq!(pool.share().await.nonce, share.submit.nonce);
}
