//! A whole pool that is killed and started again.

use ledger::{History, verify};
use nix::sys::signal::Signal;
use regtest::{Program, free_port};
use tempfile::TempDir;

use crate::miner::Miner;
use crate::provider::Provider;

/// The accepted shares that its metrics tell of.
fn counted(pool: &Program) -> u64 {
    let metrics = pool.get("/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("sv2_pool_shares_accepted_total "));
    line.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_nothing_acknowledged_is_missing_and_no_counter_falls() {
    let provider = Provider::start().await;
    let directory = TempDir::new().unwrap();
    let keys = format!(
        "coinbase_reward_script = \"raw(51)\"\n\
         pool_signature = \"test\"\n\
         [template_provider]\n\
         address = \"{}\"\n\
         public_key = \"{}\"\n\
         [ledger]\n\
         directory = \"{}\"\n",
        provider.address,
        provider.public_key,
        directory.path().display()
    );
    let mut pool = Program::start(env!("CARGO_BIN_EXE_pool"), free_port(), &keys);
    let mut acknowledged = 0;
    let mut counted_before = 0;
    for round in 1..=3 {
        let mut miner = Miner::start(&pool).await;
        // Two whole batches, and a part of one that is not acknowledged for a while.
        miner.submit(25).await;
        while miner.acknowledged < 20 {
            assert!(miner.hear().await, "the pool left");
        }
        counted_before = counted(&pool).max(counted_before);
        pool.crash();
        // What was acknowledged in the last moment counts, too.
        while miner.hear().await {}
        acknowledged += u64::from(miner.acknowledged);
        pool.wait_for_health(0);
        let now = counted(&pool);
        assert!(
            now >= acknowledged,
            "round {round}: {now} of {acknowledged}"
        );
        assert!(
            now >= counted_before,
            "round {round}: {now} after {counted_before}"
        );
    }
    // A part of a batch is acknowledged before long.
    let mut miner = Miner::start(&pool).await;
    miner.submit(3).await;
    while miner.acknowledged < 3 {
        assert!(miner.hear().await, "the pool left");
    }
    pool.signal(Signal::SIGTERM);
    let (status, log) = pool.end();
    assert!(status.success(), "{status}: {log}");
    let report = verify(directory.path()).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert!(report.accepted >= acknowledged + 3);
    let history = History::open(directory.path()).unwrap();
    assert_eq!(history.totals().unwrap().accepted, report.accepted);
    assert_eq!(history.workers(0, 10).unwrap()[0].user, "alice");
}
