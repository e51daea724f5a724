//! SubmitSolution (SV2 7.7).

use bitcoin::hashes::{Hash, sha256d};
use stratum_core::binary_sv2::B064KOwned;

use super::*;

const VERSION: u32 = 0x2000_0000;
const TIME: u32 = 1_700_000_001;

/// Version, one input with a two-byte scriptSig, one empty output, locktime.
const STRIPPED_COINBASE: &str = concat!(
    "02000000",
    "01",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ffffffff",
    "02",
    "0166",
    "feffffff",
    "01",
    "00f2052a01000000",
    "00",
    "65000000",
);
/// The same one with its 32-byte witness (BIP-0141).
const COINBASE: &str = concat!(
    "02000000",
    "0001",
    "01",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ffffffff",
    "02",
    "0166",
    "feffffff",
    "01",
    "00f2052a01000000",
    "00",
    "0120",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "65000000",
);

fn bytes(hex: &str) -> Vec<u8> {
    bitcoin::hex::FromHex::from_hex(hex).unwrap()
}

/// Hash of the block that the coinbase makes with a template, put together by hand.
fn block_hash(template: &Template, version: u32, nonce: u32) -> [u8; 32] {
    let mut root = sha256d::Hash::hash(&bytes(STRIPPED_COINBASE)).to_byte_array();
    for sibling in &template.merkle_path {
        root = sha256d::Hash::hash(&[root, *sibling].concat()).to_byte_array();
    }
    let mut header = version.to_le_bytes().to_vec();
    header.extend(template.prev_hash);
    header.extend(root);
    header.extend(TIME.to_le_bytes());
    header.extend(template.n_bits.to_le_bytes());
    header.extend(nonce.to_le_bytes());
    sha256d::Hash::hash(&header).to_byte_array()
}

/// A submission that meets regtest's target, half of all hashes, or just does not.
fn mined(template_id: u64, template: &Template, version: u32, met: bool) -> SubmitSolutionOwned {
    let is_met = |nonce: &u32| block_hash(template, version, *nonce)[31] < 0x7f;
    let header_nonce = (0..).find(|nonce| is_met(nonce) == met).unwrap();
    let coinbase_tx = B064KOwned::new(bytes(COINBASE)).unwrap();
    SubmitSolutionOwned {
        template_id,
        version,
        header_timestamp: TIME,
        header_nonce,
        coinbase_tx,
    }
}

fn solved(template_id: u64) -> SubmitSolutionOwned {
    mined(template_id, &template(1), VERSION, true)
}

#[track_caller]
fn check_refused(step: &Step, expected: &Refusal) {
    assert_eq!(step.refusals(), [expected]);
    // TPS-32
    assert!(step.sent.is_empty());
    assert!(step.requests().is_empty());
    assert!(step.closed.is_none());
}

// TPS-28, TPS-32
#[test]
fn solution_goes_to_the_feed_with_its_block_hash_and_without_an_answer() {
    let mut client = Client::at_work();
    let submitted = solved(1);
    let expected = block_hash(&template(1), VERSION, submitted.header_nonce);
    let step = client.submit(submitted);
    assert!(step.sent.is_empty());
    let [
        Event::Request(Request::Submit {
            key: TemplateKey(1),
            solution,
        }),
        submitted,
    ] = &step.events[..]
    else {
        panic!("{:?}", step.events);
    };
    assert_eq!(solution.block_hash.to_byte_array(), expected);
    // TPS-31: with its witness.
    assert_eq!(solution.coinbase, bytes(COINBASE));
    assert!(matches!(
        submitted,
        Event::SolutionSubmitted { template_id: 1, .. }
    ));

    let (template_id, block_hash) = (1, solution.block_hash);
    for verdict in [
        Verdict::Accepted,
        Verdict::Rejected {
            reason: "bad-cb-amount".to_owned(),
        },
    ] {
        let step = client.feed(source::Event::Verdict {
            template_id,
            block_hash,
            verdict,
        });
        assert!(step.sent.is_empty());
        assert!(step.closed.is_none());
        assert!(matches!(
            step.events[..],
            [Event::SolutionJudged { template_id: 1, .. }]
        ));
    }
}

// TPS-17: no hash, one, several; an order of folding shows only with several.
#[test]
fn merkle_path_is_folded_from_the_deepest_hash() {
    for path in [vec![], vec![[7; 32]], vec![[1; 32], [2; 32], [3; 32]]] {
        let template = Template {
            merkle_path: path,
            ..template(1)
        };
        let mut client = Client::constrained();
        client.feed_template(template.clone());
        let step = client.submit(mined(1, &template, VERSION, true));
        assert_eq!(step.requests(), ["submit 1 for 1"]);
    }
}

// TPS-29
#[test]
fn solution_of_an_earlier_template_of_the_tip_is_submitted() {
    let mut client = Client::at_work();
    client.feed_template(Template {
        merkle_path: Vec::new(),
        ..template(1)
    });
    client.pass(10 * STALE_GRACE);
    assert_eq!(client.submit(solved(1)).requests(), ["submit 1 for 1"]);
}

// TPS-29
#[test]
fn solution_of_a_replaced_tip_is_submitted_until_the_grace_is_over() {
    let mut client = Client::at_work();
    client.feed_template(template(2));
    assert_eq!(client.submit(solved(1)).requests(), ["submit 1 for 1"]);
    client.pass(STALE_GRACE);
    check_refused(&client.submit(solved(1)), &Refusal::Replaced);
}

// TPS-30
#[test]
fn bits_of_bip323_may_be_rolled() {
    for flipped in [0x0000_2000, 0x0000_0020, 0x1000_0000, 0x1fff_ffe0] {
        let version = VERSION ^ flipped;
        let step = Client::at_work().submit(mined(1, &template(1), version, true));
        assert_eq!(step.requests(), ["submit 1 for 1"], "{flipped:08x}");
    }
}

// TPS-30
#[test]
fn bits_outside_bip323_may_not_be_rolled() {
    for flipped in [0x0000_0001, 0x0000_0010, 0x2000_0000, 0x8000_0000] {
        let version = VERSION ^ flipped;
        let step = Client::at_work().submit(mined(1, &template(1), version, true));
        check_refused(
            &step,
            &Refusal::Version {
                version,
                template: VERSION,
            },
        );
    }
}

// TPS-32
#[test]
fn hash_above_the_target_is_refused() {
    let submitted = mined(1, &template(1), VERSION, false);
    let hash = block_hash(&template(1), VERSION, submitted.header_nonce);
    let step = Client::at_work().submit(submitted);
    check_refused(
        &step,
        &Refusal::HashAboveTarget {
            block_hash: BlockHash::from_byte_array(hash),
        },
    );
}

// TPS-11: the target may be stricter than nBits.
#[test]
fn announced_target_decides_and_not_n_bits() {
    let template = Template {
        target: [0; 32],
        ..template(1)
    };
    let mut client = Client::constrained();
    client.feed_template(template.clone());
    let step = client.submit(mined(1, &template, VERSION, true));
    assert!(matches!(
        step.refusals()[..],
        [Refusal::HashAboveTarget { .. }]
    ));
}

// TPS-32
#[test]
fn solution_of_an_id_never_sent_is_refused() {
    for id in [0, 2, u64::MAX] {
        check_refused(&Client::at_work().submit(solved(id)), &Refusal::NeverSent);
    }
    check_refused(&Client::silent().submit(solved(1)), &Refusal::NeverSent);
}

// TPS-32
#[test]
fn garbage_for_a_coinbase_is_refused() {
    for garbage in [
        vec![],
        vec![0; 64],
        bytes(COINBASE)[1..].to_vec(),
        vec![0xff; 65_535],
    ] {
        let coinbase_tx = B064KOwned::new(garbage).unwrap();
        let step = Client::at_work().submit(SubmitSolutionOwned {
            coinbase_tx,
            ..solved(1)
        });
        assert!(
            matches!(step.refusals()[..], [Refusal::Coinbase { .. }]),
            "{step:?}"
        );
        assert!(step.closed.is_none());
    }
}

// TPS-31: the txid is the same, so only the node can tell.
#[test]
fn coinbase_without_witness_is_left_to_the_node() {
    let coinbase_tx = B064KOwned::new(bytes(STRIPPED_COINBASE)).unwrap();
    let step = Client::at_work().submit(SubmitSolutionOwned {
        coinbase_tx,
        ..solved(1)
    });
    assert_eq!(step.requests(), ["submit 1 for 1"]);
}

// TPS-37
#[test]
fn solution_of_a_lost_template_goes_to_the_one_that_makes_the_same_block() {
    let mut client = Client::at_work();
    client.lose_node();
    check_refused(&client.submit(solved(1)), &Refusal::NodeGone);
    client.feed_template(Template {
        header_timestamp: TIME + 60,
        ..template(1)
    });
    assert_eq!(client.submit(solved(1)).requests(), ["submit 2 for 1"]);
}

#[test]
fn solutions_beyond_what_the_node_can_have_waiting_are_refused() {
    let mut client = Client::at_work();
    for _ in 0..MAX_UNANSWERED {
        assert_eq!(client.submit(solved(1)).requests().len(), 1);
    }
    check_refused(
        &client.submit(solved(1)),
        &Refusal::TooMany {
            unanswered: MAX_UNANSWERED,
        },
    );
    let block_hash = BlockHash::all_zeros();
    let verdict = Verdict::NotTip;
    client.feed(source::Event::Verdict {
        template_id: 1,
        block_hash,
        verdict,
    });
    assert_eq!(client.submit(solved(1)).requests().len(), 1);
}
