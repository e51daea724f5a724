use bitcoin::consensus::deserialize;
use bitcoin::{Transaction, TxOut};

use super::*;

#[test]
fn miners_get_a_template_before_anybody_has_taken_it() {
    // JDC-07
    let mut desk = Desk::new(1);
    desk.servers[0].jds = Manner::Mute;
    desk.provider = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    assert_eq!(desk.published.len(), 1);
    assert_eq!(desk.job().upstream(), Some(0));
    assert_eq!(desk.job().stage, Stage::Waiting(None));
    assert!(desk.declared.is_empty());
}

#[test]
fn each_template_is_declared_and_set_once() {
    // JDC-06, 11, 14, T-19, T-20
    let mut desk = Desk::working(1);
    for id in 2..=10 {
        desk.template(id);
    }
    let declared: Vec<u64> = desk.declared.iter().map(|(_, d)| d.job).collect();
    let set: Vec<u64> = desk.set.iter().map(|(_, job)| job.job).collect();
    assert_eq!(declared, (1..=10).collect::<Vec<u64>>());
    assert_eq!(set, declared);
    assert_eq!(desk.asked, (1..=10).collect::<Vec<u64>>());
    for (_, job) in &desk.set {
        assert_eq!(job.token, token(0xdd, job.job), "the new token");
    }
}

#[test]
fn coinbase_only_shows_nobody_a_transaction() {
    // JDC-13, 14
    let mut desk = Desk::in_mode(Mode::CoinbaseOnly, 1);
    desk.connect(0);
    desk.tip(1);
    desk.template(2);
    assert!(desk.asked.is_empty());
    assert!(desk.declared.is_empty());
    assert_eq!(desk.taken, [(0, 1), (0, 2)]);
    let tokens: Vec<&Vec<u8>> = desk.set.iter().map(|(_, job)| &job.token).collect();
    assert_eq!(
        tokens,
        [&token(0xaa, 1), &token(0xaa, 2)],
        "the allocated token"
    );
}

#[test]
fn a_custom_job_says_what_template_and_tip_say() {
    // JDC-18, T-25
    let desk = Desk::working(1);
    let (_, job) = &desk.set[0];
    let work = desk.work.as_ref().unwrap();
    assert_eq!(job.prev_hash, work.prev_hash.prev_hash);
    assert_eq!(job.min_ntime, work.prev_hash.header_timestamp);
    assert_eq!(job.n_bits, work.prev_hash.n_bits);
    assert_eq!(job.version, work.template.version);
    assert_eq!(job.merkle_path, work.template.merkle_path);
    assert_eq!(job.coinbase_tx_version, 2);
    assert_eq!(job.coinbase_tx_input_sequence, 0xffff_fffe);
    assert_eq!(job.coinbase_tx_locktime, 101);
    assert!(
        job.coinbase_prefix
            .starts_with(&work.template.coinbase_prefix)
    );
    assert!(job.coinbase_prefix.len() <= MAX_TEMPLATE_PREFIX);
}

#[test]
fn pool_and_jds_can_build_the_coinbase_that_the_miners_hash() {
    // JDC-10, 15, 16, 17, 19, 23
    let mut desk = Desk::new(1);
    let scripts: PayoutScripts = [script(1), script(2)].into();
    desk.connect_pool(0);
    desk.step(Input::Jds(
        0,
        DeclarationEvent::Payout(Arc::clone(&scripts)),
    ));
    desk.tip(1);
    let found = desk.find(3);
    let mined = desk.job().template.coinbase.full(&[&found.extranonce]);
    let mined: Transaction = deserialize(&mined).unwrap();

    let (_, share) = &desk.relayed[0];
    let (_, custom) = &desk.set[0];
    let (_, declaration) = &desk.declared[0];
    let prefix = &custom.seat.extranonce_prefix;
    assert_eq!(share.extranonce.len(), custom.seat.extranonce_size);

    let script_sig = [&custom.coinbase_prefix[..], prefix, &share.extranonce].concat();
    assert_eq!(mined.input[0].script_sig.as_bytes(), script_sig);
    let outputs: Vec<TxOut> = deserialize(&custom.coinbase_tx_outputs).unwrap();
    assert_eq!(outputs, mined.output);

    let (before, behind) = (
        &declaration.coinbase_tx_prefix,
        &declaration.coinbase_tx_suffix,
    );
    let declared = [&before[..], prefix, &share.extranonce, behind].concat();
    assert_eq!(deserialize::<Transaction>(&declared).unwrap(), mined);

    let paid: Vec<(u64, &ScriptBuf)> = outputs
        .iter()
        .map(|output| (output.value.to_sat(), &output.script_pubkey))
        .collect();
    assert_eq!(paid[..2], [(5_000_000_000, &scripts[0]), (0, &scripts[1])]);
    assert!(
        paid[2].1.is_op_return(),
        "the template's outputs are the last"
    );
}

#[test]
fn a_job_for_a_tip_to_come_is_declared_when_the_tip_is_there() {
    // JDC-33, TPC-05, 06
    let mut desk = Desk::working(1);
    let (future, other) = (template(2), template(3));
    let before = desk.work.clone().unwrap();
    desk.give(Work {
        futures: vec![Arc::clone(&future), other],
        ..before
    });
    let announced = desk.published.last().unwrap().clone();
    assert_eq!(announced.futures.len(), 2);
    assert_eq!(desk.declared.len(), 1);
    assert_eq!(desk.asked, [1, 2, 3], "in time");

    desk.give(Work {
        prev_hash: prev_hash(2),
        template: future,
        futures: Vec::new(),
        past: Arc::default(),
    });
    let active = desk.published.last().unwrap();
    assert!(Arc::ptr_eq(&active.template, &announced.futures[0]));
    assert_eq!(desk.declared.len(), 2);
    assert_eq!(desk.set[1].1.prev_hash, [2; 32]);
    let dropped = desk.declarator.jobs.get(announced.futures[1].id).unwrap();
    assert_eq!(dropped.stage, Stage::Over(Ending::Stale));
}

#[test]
fn no_two_jobs_search_the_same_space() {
    let mut desk = Desk::working(1);
    let first = desk.job().template.coinbase.prefix.clone();
    desk.lose_jds(0);
    let solo = desk.job().template.coinbase.prefix.clone();
    desk.connect_jds(0);
    desk.pass(Duration::from_secs(1));
    assert_eq!(desk.job().upstream(), Some(0));
    let back = desk.job().template.coinbase.prefix.clone();
    desk.lose_jds(0);
    let solo_again = desk.job().template.coinbase.prefix.clone();
    assert_ne!(first, back);
    assert_ne!(solo, solo_again);
    assert_eq!(first.len(), back.len());
    let ids: Vec<u64> = desk.published.iter().map(|work| work.template.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
}

#[test]
fn a_new_prefix_makes_a_new_job() {
    // JDC-31
    let mut desk = Desk::working(1);
    desk.servers[0].pool = Manner::Mute;
    desk.template(2);
    let under_way = desk.job().id;
    desk.find(1);
    desk.step(Input::Pool(0, seated(77)));
    assert_eq!(desk.published.len(), 3);
    let prefix = &desk.job().terms.as_ref().unwrap().seat.extranonce_prefix;
    assert_eq!(prefix[..], [77; 3]);
    let over = desk.declarator.jobs.get(under_way).unwrap();
    assert_eq!(over.stage, Stage::Over(Ending::OtherTerms));
    assert_eq!(desk.lost(), [(1, "other-terms")]);
    // What the pool took before it keeps, with the prefix it had then.
    desk.find_on(1, 5);
    assert_eq!(desk.relayed_nonces(), [5]);
}

#[test]
fn a_target_that_changes_much_makes_a_new_job() {
    // JDC-32, T-30
    let mut desk = Desk::new(1);
    desk.servers[0].target = Target::one_in(100.0).unwrap();
    desk.connect(0);
    desk.tip(1);
    for (hashes, jobs) in [(150.0, 1), (51.0, 1), (1000.0, 2), (1100.0, 2), (10.0, 3)] {
        let target = Target::one_in(hashes).unwrap();
        desk.servers[0].target = target;
        desk.step(Input::Pool(0, CustomWorkEvent::Target(target)));
        assert_eq!(desk.published.len(), jobs, "{hashes}");
        assert_eq!(desk.set.len(), jobs, "{hashes}");
    }
}

#[test]
fn a_pool_that_keeps_changing_its_terms_is_left() {
    let mut desk = Desk::working(2);
    for n in 0..100 {
        desk.step(Input::Pool(0, seated(10 + n)));
    }
    assert_eq!(desk.declarator.active(), Some(1));
    assert!(desk.published.len() <= MAX_JOBS_PER_TEMPLATE + 2);
}

#[test]
fn without_its_transactions_a_template_is_not_declared() {
    // TPC-15
    let mut desk = Desk::new(1);
    desk.provider = Manner::Refuses("zzz-unknown");
    desk.connect(0);
    desk.tip(1);
    let ending = Ending::NoTransactions("zzz-unknown".to_owned());
    assert_eq!(desk.job().stage, Stage::Over(ending));
    desk.find(1);
    assert_eq!(desk.lost(), [(1, "no-transactions")]);
    assert_eq!(desk.published.len(), 1);
    desk.provider = Manner::Takes;
    desk.template(2);
    assert_eq!(desk.set.len(), 1);
    assert!(desk.failures().is_empty(), "it is not the upstream's fault");
}

#[test]
fn there_is_an_end_to_the_jobs_that_are_kept() {
    let mut desk = Desk::new(1);
    desk.servers[0].jds = Manner::Mute;
    desk.connect(0);
    desk.tip(1);
    desk.find(1);
    for id in 2..1000 {
        desk.template(id);
    }
    assert_eq!(desk.declarator.jobs().count(), super::super::jobs::MAX_JOBS);
    assert_eq!(desk.lost(), [(1, "forgotten")]);
    desk.find_on(1, 2);
    assert_eq!(desk.lost().len(), 2);
    assert!(desk.declarator.sources.len() < 5);
}

#[test]
fn the_hash_rate_is_told_when_it_has_changed_enough() {
    let mut desk = Desk::working(2);
    for rate in [100.0, 110.0, 130.0, 100.0, 0.0] {
        desk.step(Input::HashRate(rate));
    }
    desk.step(Input::HashRate(50.0));
    desk.lose_pool(0, vec![]);
    let told: Vec<(usize, u32)> = desk
        .hash_rates
        .iter()
        .map(|(upstream, rate)| (*upstream, *rate as u32))
        .collect();
    assert_eq!(told, [(0, 100), (0, 130), (0, 100), (0, 50), (1, 50)]);
}
