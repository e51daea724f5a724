//! Clients that send whatever they like.

use protocol::message::{JobDeclarationOwned, Message, encode};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use regtest::Node;

use crate::jdc::{Jdc, Jds};
use crate::job::Job;

/// Header of a frame.
const HEADER: usize = 6;
const DECLARE_MINING_JOB: u8 = 0x57;
/// Every message of the protocol, and what is none.
const TYPES: [u8; 10] = [0x50, 0x51, 0x55, 0x56, 0x57, 0x58, 0x59, 0x60, 0x61, 0x00];

/// A declaration that is right in everything, as it travels.
async fn honest(client: &mut Jdc, job: &Job) -> Vec<u8> {
    let token = client.token().await;
    let mut bytes = Vec::new();
    let declaration = JobDeclarationOwned::DeclareMiningJob(job.declaration(7, token));
    encode(Message::JobDeclaration(declaration), &mut bytes);
    bytes.split_off(HEADER)
}

/// What is made of it.
fn attack(rng: &mut StdRng, mut payload: Vec<u8>) -> (u8, Vec<u8>) {
    // Behind request_id, token and version: coinbase, transactions, excess data.
    let body = 4 + 1 + usize::from(payload[4]) + 4;
    match rng.gen_range(0..6) {
        0 => payload.truncate(rng.gen_range(0..payload.len())),
        1 => {
            for _ in 0..rng.gen_range(1..8) {
                let at = rng.gen_range(body..payload.len());
                payload[at] ^= 1 << rng.gen_range(0..8);
            }
        }
        // Lengths and counts above all that follows.
        2 => {
            let at = rng.gen_range(body..payload.len() - 1);
            payload[at..at + 2].fill(0xff);
        }
        3 => {
            let at = rng.gen_range(body..payload.len());
            let more = rng.gen_range(1..60_000);
            payload.splice(at..at, std::iter::repeat_n(0xab, more));
        }
        4 => {
            let at = rng.gen_range(body..payload.len());
            let end = rng.gen_range(at..payload.len());
            payload.drain(at..end);
        }
        _ => {
            let mut garbage = vec![0; rng.gen_range(0..2_000)];
            rng.fill_bytes(&mut garbage);
            return (TYPES[rng.gen_range(0..TYPES.len())], garbage);
        }
    }
    (DECLARE_MINING_JOB, payload)
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_truncated_and_hostile_declarations_leave_the_server_serving() {
    // JDS-16, JDS-18, JDS-21, JDS-26
    let node = Node::with_blocks(110).await;
    for height in 1..=3 {
        node.spend_coinbase(height, 10_000).await;
    }
    let jds = Jds::ready(&node);
    let job = Job::best(&node).await;
    let mut served = jds.client().await;
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..100 {
        let mut hostile = jds.client().await;
        let payload = honest(&mut hostile, &job).await;
        let (msg_type, payload) = attack(&mut rng, payload);
        hostile.attack(msg_type, &payload).await;
        served.declared(&job).await;
    }
    let (block, solution) = job.solve();
    served.push(solution).await;
    jds.wait_for_metric("sv2_jds_solutions_total{verdict=\"accepted\"} 1");
    assert_eq!(node.tip().await, block.block_hash().to_string());
}
