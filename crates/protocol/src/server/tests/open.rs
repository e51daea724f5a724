use super::*;

#[track_caller]
fn refusal(answer: &[MiningOwned]) -> (u32, String) {
    match answer {
        [MiningOwned::OpenMiningChannelError(error)] => {
            (error.request_id, error.error_code.as_utf8_or_hex())
        }
        other => panic!("not a refusal: {other:?}"),
    }
}

#[test]
fn both_kinds_open_on_one_connection() {
    // POOL-01, 15, 16, 20
    let mut miner = Miner::new(0);
    let (standard, extended) = (miner.open_standard(4.0), miner.open_extended(4.0));
    assert_ne!(standard.channel_id, extended.channel_id);
    assert_eq!(standard.group_id, extended.group_id);
    assert!(![standard.channel_id, extended.channel_id].contains(&standard.group_id));
    assert_eq!(standard.prefix.len(), extended.prefix.len() + extended.size);
}

#[test]
fn each_answer_names_its_request() {
    // POOL-10
    let mut miner = Miner::new(0);
    for request_id in [7, 0, u32::MAX, 7] {
        let answer = miner.send(open_standard(request_id, 1.0, &[0xff; 32]));
        let MiningOwned::OpenStandardMiningChannelSuccess(success) = &answer[0] else {
            panic!("{answer:?}");
        };
        assert_eq!(success.request_id, request_id);
        let answer = miner.send(open_extended(request_id, 1.0, &[0xff; 32], 99));
        assert_eq!(refusal(&answer).0, request_id);
    }
}

#[test]
fn the_target_is_no_easier_than_the_client_can_take() {
    // POOL-11
    for byte in [10, 25, 31] {
        let mut max_target = [0; 32];
        max_target[byte] = 0x10;
        let mut miner = Miner::new(0);
        let opened = Opened::read(&miner.send(open_standard(1, 1.0, &max_target)));
        assert_eq!(opened.target, Target::from_le_bytes(max_target));
    }
    let mut miner = Miner::new(0);
    let hashes = miner.open_standard(1e12).target.hashes();
    assert!((hashes / 1e12 - 1.0).abs() < 1e-5, "{hashes}");
}

#[test]
fn what_cannot_be_served_is_refused() {
    // POOL-07, 08, 12, 18, FRAME-13
    let easy = [0xff; 32];
    let cases = [
        (
            0,
            open_standard(1, 1.0, &[0; 32]),
            "max-target-out-of-range",
        ),
        (
            0,
            open_standard(1, f32::NAN, &easy),
            "invalid-nominal-hashrate",
        ),
        (
            0,
            open_standard(1, f32::INFINITY, &easy),
            "invalid-nominal-hashrate",
        ),
        (
            0,
            open_extended(1, -1.0, &easy, 0),
            "invalid-nominal-hashrate",
        ),
        (
            0,
            open_extended(1, 1.0, &easy, 33),
            "min-extranonce-size-too-large",
        ),
        (
            0,
            open_extended(1, 1.0, &easy, 65535),
            "min-extranonce-size-too-large",
        ),
        (
            setup::REQUIRES_STANDARD_JOBS,
            open_extended(1, 1.0, &easy, 0),
            "extended-channels-not-supported-for-standard-jobs",
        ),
        (
            setup::REQUIRES_WORK_SELECTION,
            open_standard(1, 1.0, &easy),
            "standard-channels-not-supported-for-custom-work",
        ),
    ];
    for (flags, open, code) in cases {
        let mut miner = Miner::new(flags);
        assert_eq!(refusal(&miner.send(open)), (1, code.to_owned()));
        assert_eq!(miner.closed, None);
    }
}

#[test]
fn a_proxy_without_devices_gets_a_finite_target() {
    // POOL-14
    let opened = Miner::new(0).open_extended(0.0);
    assert_eq!(opened.target, Target::MAX);
}

#[test]
fn extranonce_sizes_up_to_sixteen_are_granted() {
    // POOL-18, 19
    for min_size in [0, 4, 8, 16] {
        let mut miner = Miner::new(0);
        let opened = Opened::read(&miner.send(open_extended(1, 1.0, &[0xff; 32], min_size)));
        assert!(opened.size >= usize::from(min_size));
        assert!(opened.prefix.len() + opened.size <= 32);
    }
}

#[test]
fn no_channel_searches_where_another_does() {
    // POOL-17: over two connections and both kinds.
    let mut spaces: Vec<(Vec<u8>, usize)> = Vec::new();
    for slot in [1, 2] {
        let mut miner = Miner::new(0);
        miner.server.space = space([7, 0, 0, slot]);
        for _ in 0..10 {
            for opened in [miner.open_standard(1.0), miner.open_extended(1.0)] {
                spaces.push((opened.prefix, opened.size));
            }
        }
    }
    for (i, (a, _)) in spaces.iter().enumerate() {
        for (b, _) in &spaces[i + 1..] {
            assert!(!a.starts_with(b) && !b.starts_with(a), "{a:?} {b:?}");
        }
    }
}

#[test]
fn closed_ids_are_not_used_again_and_the_space_does_not_run_out() {
    // POOL-71, 72
    let mut miner = Miner::new(0);
    let mut last = 0;
    for _ in 0..70_000 {
        let opened = miner.open_extended(1.0);
        assert!(opened.channel_id > last);
        last = opened.channel_id;
        miner.send(close_channel(last));
        miner.received.clear();
        miner.events.clear();
    }
}

#[test]
fn channels_beyond_the_limit_are_refused() {
    let mut miner = Miner::new(0);
    for _ in 0..policy().max_channels {
        miner.open_standard(1.0);
    }
    let answer = miner.send(open_standard(9, 1.0, &[0xff; 32]));
    assert_eq!(refusal(&answer), (9, "channel-capacity-exhausted".into()));
    let limited = |event: &ServerEvent| matches!(event, ServerEvent::Limited(Limit::Channels));
    assert!(miner.events.iter().any(limited));
    assert_eq!(miner.closed, None);
}

#[test]
fn a_user_of_any_bytes_is_taken() {
    // POOL-13
    let mut miner = Miner::new(0);
    let open = OpenStandardMiningChannel {
        request_id: 1,
        user_identity: (&[0xff, 0x00, 0x80][..]).try_into().unwrap(),
        nominal_hash_rate: 1.0,
        max_target: U256::from(&[0xff; 32]),
    };
    Opened::read(&miner.send(MiningOwned::OpenStandardMiningChannel(open.into_owned())));
}
