//! AllocateMiningJobToken and what becomes of the tokens.

use std::collections::HashSet;

use bitcoin::TxOut;
use bitcoin::consensus::deserialize;
use protocol::error_code::INVALID_MINING_JOB_TOKEN;
use protocol::token::{Commitment, TOKEN_LEN, TokenError};

use super::*;

#[test]
fn every_request_gets_its_token_with_the_pool_payout_output() {
    // JDS-05, JDS-07, JDS-08, JDS-09, CONN-22
    let mut client = Client::full_template();
    let mut outputs_seen = HashSet::new();
    for request_id in [7, 0, u32::MAX, 7] {
        let step = client.ask(request_id);
        let [
            Sent::Token {
                request_id: id,
                outputs,
                ..
            },
        ] = &step.sent[..]
        else {
            panic!("{step:?}");
        };
        assert_eq!(*id, request_id);
        outputs_seen.insert(outputs.clone());
    }
    assert_eq!(outputs_seen.len(), 1);
    let outputs: Vec<TxOut> = deserialize(outputs_seen.iter().next().unwrap()).unwrap();
    let [pool] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(pool.script_pubkey, payout());
    assert_eq!(pool.value.to_sat(), 0);
}

#[test]
fn tokens_are_distinct_and_short_on_all_connections() {
    // JDS-06, T-19
    let mut other = Client::full_template();
    other.server.ids = StdRng::seed_from_u64(2);
    let mut tokens = HashSet::new();
    for client in [&mut Client::full_template(), &mut other] {
        for _ in 0..50 {
            let token = client.token();
            assert_eq!(token.len(), TOKEN_LEN);
            tokens.insert(token);
        }
    }
    assert_eq!(tokens.len(), 100);
}

#[test]
fn a_token_says_what_it_permits() {
    // SV2 6.3.1, 6.4.3: whatever pays the pool, at the pool or for a declaration.
    for (mut client, scope) in [
        (Client::full_template(), Scope::Allocated),
        (Client::coinbase_only(), Scope::CoinbaseOnly),
    ] {
        let token = client.token();
        let commitment = Commitment::payout([payout().as_script()]);
        let at = |now| Token::verify(&secret(), &token, &commitment, now);
        assert_eq!(at(NOW).unwrap().scope, scope);
        let expires = NOW + LIFETIME.as_secs();
        assert_eq!(at(NOW).unwrap().expires, expires);
        assert_eq!(at(expires), Err(TokenError::Expired { ago: 0 }));
    }
}

#[test]
fn tokens_beyond_the_rate_come_later_and_a_flood_is_closed() {
    // JDS-10
    let mut client = Client::full_template();
    for request_id in 0..120 {
        assert_eq!(client.ask(request_id).sent.len(), 1);
    }
    for request_id in 120..240 {
        let step = client.ask(request_id);
        assert!(step.is_quiet());
        assert!(matches!(step.events[..], [Event::Delayed]));
    }
    // Two a second, in order.
    assert!(client.pass(Duration::from_millis(499)).is_quiet());
    let first = client.pass(Duration::from_millis(1));
    assert!(matches!(
        first.sent[..],
        [Sent::Token {
            request_id: 120,
            ..
        }]
    ));
    assert_eq!(client.pass(Duration::from_secs(10)).sent.len(), 20);
    assert_eq!(client.ask(240).closed, None);

    let mut flood = Client::full_template();
    let closed = (0..1_000).find_map(|request_id| flood.ask(request_id).closed);
    assert!(closed.unwrap().contains("120 tokens a minute"));
}

#[test]
fn a_token_that_is_not_good_here_declares_nothing() {
    // JDS-11, JDS-06, T-19
    let mut client = Client::full_template();
    let foreign = Client::full_template().token();
    let coinbase_only = Client::coinbase_only().token();
    let mut strict = Client::with(
        Policy {
            secret: Secret::new(&[8; 32]),
            ..policy()
        },
        DECLARE_TX_DATA,
        tip(1, NEXT),
    );
    let forged = strict.token();
    for (token, why) in [
        (Vec::new(), "no job token"),
        (vec![1; 255], "no job token"),
        (forged, "not given for this job"),
        (foreign, "not given on this connection"),
        (coinbase_only, "not given on this connection"),
    ] {
        let mut job = job(3, &[]);
        job.mining_job_token = token.try_into().unwrap();
        let step = client.send(JobDeclarationOwned::DeclareMiningJob(job));
        step.is_refused(3, INVALID_MINING_JOB_TOKEN, why);
    }
}

#[test]
fn a_token_declares_once_and_not_after_it_expired() {
    // JDS-11, T-19
    let mut client = Client::full_template();
    let mut job = job(3, &[]);
    job.mining_job_token = client.token().try_into().unwrap();
    client
        .send(JobDeclarationOwned::DeclareMiningJob(job.clone()))
        .proposal();
    job.request_id = 4;
    let again = client.send(JobDeclarationOwned::DeclareMiningJob(job.clone()));
    again.is_refused(4, INVALID_MINING_JOB_TOKEN, "used before");

    job.mining_job_token = client.token().try_into().unwrap();
    client.pass(LIFETIME);
    let late = client.send(JobDeclarationOwned::DeclareMiningJob(job));
    late.is_refused(4, INVALID_MINING_JOB_TOKEN, "expired");
}

#[test]
fn tokens_that_are_never_redeemed_are_bounded() {
    // JDS-10: the oldest is forgotten.
    let mut client = Client::with(
        Policy {
            tokens_per_minute: 2_000,
            ..policy()
        },
        DECLARE_TX_DATA,
        tip(1, NEXT),
    );
    let first = client.token();
    let second = client.token();
    for _ in 0..1_023 {
        client.token();
    }
    for (token, is_known) in [(first, false), (second, true)] {
        let mut job = job(3, &[]);
        job.mining_job_token = token.try_into().unwrap();
        let step = client.send(JobDeclarationOwned::DeclareMiningJob(job));
        assert_eq!(step.sent.is_empty(), is_known, "{step:?}");
    }
}

#[test]
fn in_coinbase_only_mode_nothing_is_declared() {
    // JDS-22, JDS-03
    let mut client = Client::coinbase_only();
    let step = client.declare(job(3, &[]));
    step.is_refused(3, INVALID_MINING_JOB_TOKEN, "coinbase-only");
    assert_eq!(step.closed, None);
    assert_eq!(client.ask(4).sent.len(), 1);
}

#[test]
fn a_client_that_never_asks_for_a_token_is_closed() {
    let mut client = Client::full_template();
    assert!(client.pass(IDLE - Duration::from_millis(1)).is_quiet());
    let step = client.pass(Duration::from_millis(1));
    assert!(step.closed.unwrap().contains("idle"));
    assert!(matches!(step.events[..], [Event::Idle]));

    let mut client = Client::full_template();
    client.ask(1);
    assert!(client.pass(100 * IDLE).is_quiet());
}

#[test]
fn tokens_are_handed_out_while_the_node_is_away() {
    let mut client = Client::with(policy(), DECLARE_TX_DATA, away());
    assert_eq!(client.ask(1).sent.len(), 1);
}
