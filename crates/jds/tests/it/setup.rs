//! SetupConnection, tokens, and what the program says of itself.

use bitcoin::TxOut;
use bitcoin::consensus::deserialize;
use daemon::dial::DialError;
use nix::sys::signal::Signal;
use protocol::message::JobDeclarationOwned;
use protocol::message::common::Protocol;
use protocol::message::declaration::AllocateMiningJobTokenOwned;
use protocol::message::text;
use protocol::setup::Refused;
use protocol::token::{Commitment, Scope, Token};
use regtest::Node;

use crate::jdc::{Answer, Jds, secret};
use crate::job::payout;

#[tokio::test(flavor = "multi_thread")]
async fn only_job_declaration_with_known_flags_is_served() {
    // JDS-01, JDS-02, JDS-03, JDS-04
    let node = Node::with_blocks(1).await;
    let jds = Jds::start(&node);
    for (protocol, flags, code, unsupported) in [
        (Protocol::MiningProtocol, 0, "unsupported-protocol", 0),
        (
            Protocol::TemplateDistributionProtocol,
            1,
            "unsupported-protocol",
            0,
        ),
        (
            Protocol::JobDeclarationProtocol,
            0xffff_fffe,
            "unsupported-feature-flags",
            0xffff_fffe,
        ),
        (
            Protocol::JobDeclarationProtocol,
            0xffff_ffff,
            "unsupported-feature-flags",
            0xffff_fffe,
        ),
    ] {
        let mut upstream = jds.upstream(protocol);
        upstream.request.flags = flags;
        let Err(DialError::Refused { source, .. }) = jds.connect(&upstream).await else {
            panic!("{protocol:?} with {flags:#x} is not refused");
        };
        let expected = Refused::ByServer {
            code: code.to_owned(),
            flags: unsupported,
        };
        assert_eq!(source, expected);
    }
    for flags in [0, 1] {
        jds.client_with_flags(flags).await.token().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_get_a_token_each() {
    // JDS-05, JDS-07, JDS-09
    let node = Node::with_blocks(1).await;
    let jds = Jds::start(&node);
    let mut jdc = jds.client().await;
    for request_id in 100..110 {
        let user_identifier = text("alice");
        let request = AllocateMiningJobTokenOwned {
            user_identifier,
            request_id,
        };
        jdc.send(JobDeclarationOwned::AllocateMiningJobToken(request))
            .await;
    }
    for expected in 100..110 {
        let Answer::Token {
            request_id,
            outputs,
            ..
        } = jdc.receive().await
        else {
            panic!("not a token");
        };
        assert_eq!(request_id, expected);
        let outputs: Vec<TxOut> = deserialize(&outputs).unwrap();
        assert_eq!(outputs[0].script_pubkey, payout());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coinbase_only_client_gets_tokens_the_pool_can_check() {
    // SV2 6.3.1, JDC-14
    let node = Node::with_blocks(1).await;
    let jds = Jds::start(&node);
    let token = jds.client_with_flags(0).await.token().await;
    assert_eq!(Token::claimed_scope(&token), Ok(Scope::CoinbaseOnly));
    let commitment = Commitment::payout([payout().as_script()]);
    Token::verify(&secret(), &token, &commitment, daemon::clock::unix()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_how_it_is_and_stops_when_told() {
    let node = Node::with_blocks(3).await;
    let mut jds = Jds::ready(&node);
    let status = jds.get("/api/v1/status");
    let tip = node.tip().await;
    assert!(
        status.contains(&tip) && status.contains("\"height\":3"),
        "{status}"
    );
    jds.wait_for_metric("sv2_jds_tip_height 3");
    node.mine(1).await;
    jds.wait_for_metric("sv2_jds_tip_height 4");

    let _client = jds.client().await;
    jds.signal(Signal::SIGTERM);
    let (status, log) = jds.end();
    assert!(status.success(), "{status}: {log}");
}
