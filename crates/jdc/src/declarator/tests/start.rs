use super::*;

#[test]
fn the_template_provider_is_told_of_constraints_when_a_payout_is_known() {
    // JDC-04, TPC-04
    let mut desk = Desk::new(1);
    desk.connect_pool(0);
    assert!(desk.constraints.is_empty());
    let scripts: PayoutScripts = [script(1), script(2), vec![0xac; 60].into()].into();
    desk.step(Input::Jds(0, DeclarationEvent::Payout(scripts)));
    let [constraints] = desk.constraints[..] else {
        panic!("{:?}", desk.constraints);
    };
    assert_eq!(constraints.size, 31 + 31 + 8 + 1 + 60);
    // Sixty bare OP_CHECKSIGs count four times each.
    assert_eq!(constraints.sigops, 240);
}

#[test]
fn constraints_grow_with_the_upstreams_and_never_shrink() {
    // TPC-04
    let mut desk = Desk::working(1);
    let before = desk.constraints.clone();
    assert_eq!(before.len(), 1);
    let larger: PayoutScripts = [script(1), script(2)].into();
    desk.step(Input::Jds(0, DeclarationEvent::Payout(larger)));
    assert_eq!(desk.constraints.len(), 2);
    assert!(desk.constraints[1].size > before[0].size);
    desk.lose_jds(0);
    desk.connect_jds(0);
    assert_eq!(desk.constraints.len(), 2);
}

#[test]
fn a_template_without_room_for_a_payout_is_not_used_for_it() {
    let mut desk = Desk::working(1);
    let larger: PayoutScripts = [script(1), script(2)].into();
    desk.step(Input::Jds(0, DeclarationEvent::Payout(Arc::clone(&larger))));
    assert_eq!(desk.declarator.active(), None);
    assert!(desk.job().terms.is_none(), "solo work meanwhile");
    // The provider makes one with more room at once.
    desk.template(2);
    assert_eq!(desk.declarator.active(), Some(0));
    assert_eq!(desk.declared.last().unwrap().1.payout, larger);
}

#[test]
fn miners_wait_a_moment_for_an_upstream_and_then_get_solo_work() {
    // JDC-30
    let mut desk = Desk::new(1);
    desk.pass(START_GRACE - Duration::from_millis(1));
    assert!(desk.constraints.is_empty());
    desk.pass(Duration::from_millis(1));
    assert_eq!(desk.constraints, [kit().constraints(None)]);
    desk.tip(1);
    assert!(desk.job().terms.is_none());
}

#[test]
fn an_upstream_that_comes_in_time_spares_the_miners_solo_work() {
    let mut desk = Desk::new(1);
    desk.connect_jds(0);
    desk.tip(1);
    assert!(desk.published.is_empty());
    desk.connect_pool(0);
    assert_eq!(desk.job().upstream(), Some(0));
    assert_eq!(desk.published.len(), 1);
}

#[test]
fn solo_mode_asks_nobody() {
    let mut desk = Desk::in_mode(Mode::Solo, 2);
    assert_eq!(desk.constraints, [kit().constraints(None)]);
    desk.tip(1);
    assert_eq!(desk.published.len(), 1);
    assert_eq!(desk.job().stage, Stage::Solo);
    assert!(desk.asked.is_empty());
    let coinbase = desk.job().template.coinbase.full(&[&[7; LOCAL_EXTRANONCE]]);
    let coinbase: bitcoin::Transaction = bitcoin::consensus::deserialize(&coinbase).unwrap();
    assert_eq!(coinbase.output[0].script_pubkey, kit().reward_script);
    assert_eq!(coinbase.output[0].value.to_sat(), 5_000_000_000);
}
