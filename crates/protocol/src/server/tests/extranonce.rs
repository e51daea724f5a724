use super::*;

fn move_to(miner: &mut Miner, space: ExtranonceSpace) -> Vec<MiningOwned> {
    let mut out = Outbox::default();
    let input = ServerInput::Space(space);
    miner.server.input(miner.now, input, &mut out);
    miner.collect(out)
}

/// Which channels are told which prefix.
fn moved(messages: &[MiningOwned]) -> Vec<(u32, Vec<u8>)> {
    let mut moved = Vec::new();
    for message in messages {
        let MiningOwned::SetExtranoncePrefix(message) = message else {
            panic!("not a prefix: {message:?}");
        };
        let prefix = message.extranonce_prefix.to_owned_bytes();
        moved.push((message.channel_id, prefix));
    }
    moved
}

fn accepted(miner: &Miner) -> Vec<&Accepted> {
    let events = miner.events.iter();
    events
        .filter_map(|event| match event {
            ServerEvent::Accepted { share, .. } => Some(share),
            _ => None,
        })
        .collect()
}

#[test]
fn an_extranonce_is_what_is_above_the_channel_and_the_miner() {
    // POOL-19: the layout of a proxy whose upstream gave it a prefix of eight bytes.
    let space = ExtranonceSpace::new(&[9; 10], 4).unwrap();
    assert_eq!(space.extranonce_len(), 16);
    let mut miner = Miner::new(0);
    miner.server.space = space;
    let (standard, extended) = (miner.open_standard(2.0), miner.open_extended_of(4));
    assert_eq!(standard.prefix, [&[9; 10][..], &[0, 1], &[0; 4]].concat());
    assert_eq!(extended.prefix, [&[9; 10][..], &[0, 2]].concat());
    assert_eq!(extended.size, 4);
    let too_many = miner.send(open_extended(7, 2.0, &[0xff; 32], 5));
    assert!(matches!(
        too_many[..],
        [MiningOwned::OpenMiningChannelError(_)]
    ));
}

#[test]
fn an_extranonce_has_at_most_32_bytes() {
    // POOL-19
    assert_eq!(
        ExtranonceSpace::new(&[1; 14], 16).map(|space| space.extranonce_len()),
        Ok(32)
    );
    assert_eq!(
        ExtranonceSpace::new(&[1; 15], 16),
        Err(ExtranonceTooLong(33))
    );
}

#[test]
fn a_new_prefix_is_told_to_every_channel_and_to_no_group() {
    // POOL-73
    let mut miner = Miner::new(0);
    let (standard, extended) = (miner.open_standard(2.0), miner.open_extended(2.0));
    let messages = move_to(&mut miner, space([8, 8, 8, 8]));
    let expected = |opened: &Opened| {
        let prefix = [&[8, 8, 8, 8], &opened.prefix[4..]].concat();
        (opened.channel_id, prefix)
    };
    assert_eq!(moved(&messages), [expected(&standard), expected(&extended)]);
    let late = miner.open_extended(2.0);
    assert_eq!(late.prefix[..4], [8, 8, 8, 8]);
}

#[test]
fn jobs_sent_before_a_new_prefix_keep_the_old_one() {
    // POOL-73, T-31: the active one and the future one, which becomes active later.
    for extended in [false, true] {
        let mut miner = Miner::new(0);
        let opened = match extended {
            true => miner.open_extended(2.0),
            false => miner.open_standard(2.0),
        };
        let future = Job::read(&miner.future_template(2)[0]);
        let messages = move_to(&mut miner, space([8, 8, 8, 8]));
        let new = Opened {
            prefix: moved(&messages)[0].1.clone(),
            ..opened.clone()
        };
        assert!(miner.send(opened.good(&opened.job)).is_empty());
        let later = Job::read(&miner.template(3)[0]);
        assert!(miner.send(new.good(&later)).is_empty());
        miner.prev_hash(2, 9);
        let old = Opened {
            prev_hash: [9; 32],
            ..opened.clone()
        };
        assert_eq!(acknowledged(&miner.send(old.good(&future))).1, 3);
        let prefixes: Vec<&[u8]> = accepted(&miner)
            .iter()
            .map(|share| &share.extranonce.as_bytes()[..4])
            .collect();
        assert_eq!(prefixes, [[7, 0, 0, 1], [8, 8, 8, 8], [7, 0, 0, 1]]);
    }
}

#[test]
fn a_prefix_of_another_length_ends_the_connection() {
    // SV2 5.3.10 changes the prefix only; what the miner rolls was settled when it opened.
    for other in [
        ExtranonceSpace::new(&[8; 5], 16),
        ExtranonceSpace::new(&[8; 5], 15),
    ] {
        let mut miner = Miner::new(0);
        miner.open_extended(2.0);
        assert!(move_to(&mut miner, other.unwrap()).is_empty());
        assert!(miner.closed.is_some());
    }
}

#[test]
fn an_accepted_share_has_all_that_its_relay_needs() {
    let mut miner = Miner::new(0);
    let opened = miner.open_extended(2.0);
    let share = opened.mine_with(
        &opened.job,
        MIN_NTIME + 5,
        opened.job.version ^ 0x20,
        |hash| hash <= opened.target,
    );
    miner.send(opened.submit(share.clone()));
    let [accepted] = accepted(&miner)[..] else {
        panic!("not one share");
    };
    assert_eq!(accepted.source, JobSource::Template { session: 0, id: 1 });
    assert_eq!(
        (accepted.nonce, accepted.ntime, accepted.version),
        (share.nonce, share.ntime, share.version)
    );
    let extranonce = [&opened.prefix[..], share.extranonce.as_bytes()].concat();
    assert_eq!(accepted.extranonce.as_bytes(), extranonce);
    assert!(!accepted.is_block);
}
