//! What a client sees of the program before any template.

use std::time::Duration;

use protocol::message::TemplateDistributionOwned;
use protocol::message::common::Protocol;
use protocol::message::template::RequestTransactionData;

use crate::node::{Kind, Node};
use crate::program::Program;

// TPS-01, TPS-02, CONN-04, CONN-06, CONN-08
#[tokio::test]
async fn only_template_distribution_is_served_and_every_time_the_same() {
    let node = Node::with_blocks(1).await;
    let program = Program::start(&node, Kind::Ipc);
    for _ in 0..3 {
        for protocol in [Protocol::MiningProtocol, Protocol::JobDeclarationProtocol] {
            let refusal = program.refusal(protocol, 0).await;
            assert!(refusal.contains("unsupported-protocol"), "{refusal}");
        }
        let refusal = program
            .refusal(Protocol::TemplateDistributionProtocol, 0b101)
            .await;
        assert!(refusal.contains("unsupported-feature-flags"), "{refusal}");
        assert!(refusal.contains("0x5"), "{refusal}");
        program.client().await;
    }
}

// CONN-03
#[tokio::test]
async fn server_says_nothing_before_it_is_spoken_to() {
    let node = Node::with_blocks(1).await;
    let program = Program::start(&node, Kind::Ipc);
    drop(program.client().await);
    let mut connection = program.handshake().await;
    let silence = tokio::time::timeout(Duration::from_millis(500), connection.receive());
    assert!(silence.await.is_err());
}

// CONN-22, TPS-25
#[tokio::test]
async fn every_request_has_one_answer_with_its_own_id() {
    let node = Node::with_blocks(101).await;
    for kind in Kind::BOTH {
        let program = Program::start(&node, kind);
        let mut client = program.client().await;
        client.constrain(100).await;
        let held = client.work().await.template_id();
        let mut asked = vec![held, 77, held, 1 << 63, held, 0, 77, held];
        for template_id in &asked {
            let template_id = *template_id;
            client
                .send(TemplateDistributionOwned::RequestTransactionData(
                    RequestTransactionData { template_id },
                ))
                .await;
        }
        while !asked.is_empty() {
            let answered = match client.receive().await.unwrap() {
                TemplateDistributionOwned::RequestTransactionDataSuccess(data) => {
                    assert_eq!(data.template_id, held);
                    held
                }
                TemplateDistributionOwned::RequestTransactionDataError(error) => {
                    assert_ne!(error.template_id, held);
                    error.template_id
                }
                other => panic!("nobody asked for {other}"),
            };
            let place = asked.iter().position(|id| *id == answered);
            asked.remove(place.expect("it was asked for, and not answered before"));
        }
        assert!(client.is_quiet(Duration::from_millis(300)).await);
    }
}
