use super::*;

const IDLE: Duration = Duration::from_secs(300);

fn limited(miner: &Miner) -> Option<Limit> {
    miner.events.iter().find_map(|event| match event {
        ServerEvent::Limited(limit) => Some(*limit),
        _ => None,
    })
}

#[test]
fn a_connection_that_opens_no_channel_is_closed() {
    // POOL-09
    let mut miner = Miner::new(0);
    miner.server.connected(miner.now);
    assert_eq!(miner.server.deadline(), Some(miner.now.instant + IDLE));
    miner.wait(IDLE - Duration::from_secs(1));
    assert_eq!(miner.closed, None);
    miner.wait(Duration::from_secs(1));
    assert!(miner.closed.as_ref().unwrap().contains("idle"));
    assert_eq!(limited(&miner), Some(Limit::Idle));
}

#[test]
fn a_sign_of_life_puts_the_end_off() {
    let mut miner = Miner::new(0);
    miner.server.connected(miner.now);
    miner.wait(IDLE / 2);
    miner.send(update_channel(9, 1.0, &[0xff; 32]));
    miner.wait(IDLE / 2);
    assert_eq!(miner.closed, None);
    miner.wait(IDLE / 2);
    assert_eq!(limited(&miner), Some(Limit::Idle));
}

#[test]
fn a_slow_miner_is_never_idle() {
    // POOL-09: at a high target a CPU may need days for a share.
    let mut miner = Miner::new(0);
    miner.server.connected(miner.now);
    let opened = miner.open_standard(1e15);
    miner.wait(Duration::from_secs(7 * 86_400));
    assert_eq!(miner.closed, None);
    // Without its channel it is like any other.
    miner.send(close_channel(opened.channel_id));
    miner.wait(IDLE);
    assert_eq!(limited(&miner), Some(Limit::Idle));
}
