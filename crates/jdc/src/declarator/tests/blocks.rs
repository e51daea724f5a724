use super::*;

#[test]
fn a_block_goes_to_node_jds_and_pool() {
    // JDC-20, 21, 36
    let mut desk = Desk::working(1);
    let found = desk.find_block();
    let [solution] = &desk.solved[..] else {
        panic!("{:?}", desk.solved);
    };
    assert_eq!(
        (solution.session, solution.template_id),
        (1, 1),
        "the provider's names"
    );
    assert_eq!(solution.nonce, found.nonce);
    let [(0, pushed)] = &desk.pushed[..] else {
        panic!("{:?}", desk.pushed);
    };
    let whole: Vec<u8> = [&[0, 0, 0][..], &[0, 1], &found.extranonce].concat();
    assert_eq!(pushed.extranonce, whole, "prefix, padding, miner");
    assert_eq!(pushed.prev_hash, [1; 32]);
    assert_eq!(pushed.n_bits, 0x207f_ffff);
    let fields = (pushed.nonce, pushed.ntime, pushed.version);
    assert_eq!(fields, (found.nonce, found.ntime, found.version));
    assert_eq!(desk.relayed_nonces(), [found.nonce], "once");
    assert_eq!(desk.job().blocks, [found.hash]);
}

#[test]
fn a_block_reaches_the_node_whatever_the_upstream_does() {
    // JDC-20
    type Trouble = fn(&mut Desk);
    let troubles: [Trouble; 4] = [
        |desk| desk.lose_pool(0, vec![]),
        |desk| desk.lose_jds(0),
        |desk| desk.step(Input::Jds(0, refused(2, "zzz"))),
        |_| {},
    ];
    for trouble in troubles {
        let mut desk = Desk::working(1);
        desk.servers[0].jds = Manner::Mute;
        desk.template(2);
        trouble(&mut desk);
        desk.find_block();
        assert_eq!(desk.solved.len(), 1);
    }
}

#[test]
fn a_block_that_is_too_easy_for_the_pool_is_a_block_all_the_same() {
    // JDC-25, T-32
    let mut desk = Desk::new(1);
    desk.servers[0].target = Target::from_le_bytes([0; 32]);
    desk.connect(0);
    desk.tip(1);
    let job = desk.job();
    let solution = Solution {
        session: 0,
        template_id: job.id,
        version: 0,
        ntime: 0,
        nonce: 0,
        coinbase: job.template.coinbase.full(&[&[0; LOCAL_EXTRANONCE]]),
        hash: [5; 32],
        height: None,
    };
    desk.step(Input::Block(solution));
    assert_eq!((desk.solved.len(), desk.pushed.len()), (1, 1));
    assert!(desk.relayed.is_empty());
}

#[test]
fn coinbase_only_and_solo_push_nothing() {
    // JDC-13, 21
    for (mode, relayed) in [(Mode::CoinbaseOnly, 1), (Mode::Solo, 0)] {
        let mut desk = Desk::in_mode(mode, 1);
        if mode == Mode::CoinbaseOnly {
            desk.connect(0);
        }
        desk.tip(1);
        desk.find_block();
        assert_eq!(desk.solved.len(), 1, "{mode:?}");
        assert!(desk.pushed.is_empty(), "{mode:?}");
        assert_eq!(desk.relayed.len(), relayed, "{mode:?}");
    }
}

#[test]
fn a_jds_that_is_still_looking_at_a_job_is_told_of_its_block_afterwards() {
    // JDC-21, T-23
    for tip_changed in [false, true] {
        let mut desk = Desk::new(1);
        desk.servers[0].jds = Manner::Mute;
        desk.connect(0);
        desk.tip(1);
        let found = desk.find_block();
        desk.find_block();
        assert!(desk.pushed.is_empty());
        if tip_changed {
            desk.tip(2);
        }
        desk.step(Input::Jds(0, declared(1)));
        let nonces: Vec<u32> = desk.pushed.iter().map(|(_, block)| block.nonce).collect();
        assert_eq!(nonces, [found.nonce], "the first, once");
    }
}

#[test]
fn there_is_an_end_to_the_blocks_that_are_remembered() {
    let mut desk = Desk::working(1);
    for _ in 0..100 {
        desk.find_block();
    }
    assert_eq!(desk.job().blocks.len(), 16);
    assert_eq!(desk.solved.len(), 100);
}

#[test]
fn a_job_that_was_not_declared_is_not_pushed() {
    let mut desk = Desk::new(1);
    desk.provider = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    let found = desk.find_block();
    assert!(desk.pushed.is_empty());
    assert_eq!(desk.solved.len(), 1);
    // Until it is, and its server hears of the block then.
    let source = Arc::clone(&desk.job().source);
    desk.provider = Manner::Takes;
    let answer = desk.provider_answer(source.session, source.id).unwrap();
    desk.step(answer);
    let nonces: Vec<u32> = desk.pushed.iter().map(|(_, block)| block.nonce).collect();
    assert_eq!(nonces, [found.nonce]);
}

#[test]
fn a_block_nobody_knows_the_template_of_is_told_to_people() {
    let mut desk = Desk::working(1);
    let solution = Solution {
        session: 0,
        template_id: 999,
        version: 0,
        ntime: 0,
        nonce: 0,
        coinbase: Vec::new(),
        hash: [5; 32],
        height: None,
    };
    desk.step(Input::Block(solution));
    assert!(desk.reports.contains(&Report::BlockLost { hash: [5; 32] }));
}
