//! PushSolution.

use bitcoin::Block as BitcoinBlock;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash;
use bitcoin::hex::FromHex;

use super::*;

fn solution(extranonce: u8, prev_hash: u8) -> PushSolutionOwned {
    PushSolutionOwned {
        extranonce: vec![extranonce; usize::from(EXTRANONCE_LEN)]
            .try_into()
            .unwrap(),
        prev_hash: [prev_hash; 32].into(),
        nonce: 0,
        ntime: NOW as u32 + 1,
        nbits: REGTEST_BITS,
        version: VERSION,
    }
}

/// Pushes `solution` with one nonce after the other until it solves the newest job.
fn solve(client: &mut Client, mut solution: PushSolutionOwned) -> (Step, PushSolutionOwned) {
    for nonce in 0..100 {
        solution.nonce = nonce;
        let step = client.push(solution.clone());
        assert!(step.is_quiet(), "JDS-26: {step:?}");
        if matches!(step.events[..], [Event::Solved { .. }]) {
            return (step, solution);
        }
    }
    panic!("half of all hashes meet regtest's target");
}

fn solved(step: &Step) -> (u64, BitcoinBlock) {
    let [Event::Solved { number, block }] = &step.events[..] else {
        panic!("{:?}", step.events);
    };
    let parsed: BitcoinBlock = deserialize(&Vec::<u8>::from_hex(&block.to_hex()).unwrap()).unwrap();
    assert_eq!(parsed.block_hash().to_byte_array(), block.hash());
    (*number, parsed)
}

#[track_caller]
fn check_refused(step: &Step, why: &str) {
    assert!(step.is_quiet(), "JDS-26");
    let [Event::NotSolved { reason }] = &step.events[..] else {
        panic!("{:?}", step.events);
    };
    assert!(reason.contains(why), "{reason}");
}

#[test]
fn a_solution_of_the_declared_job_is_a_block() {
    // JDS-24, T-14, T-23
    for count in [0, 1, 2, 5] {
        let transactions = numbered(0..count);
        let mut client = Client::full_template();
        client.declared(5, &transactions);
        let (step, _) = solve(&mut client, solution(3, 1));
        let (_, block) = solved(&step);
        assert!(block.check_merkle_root());
        assert!(regtest_target().is_met_by(block.block_hash()));
        assert_eq!(block.header.time, NOW as u32 + 1);
        assert_eq!(block.txdata.len(), transactions.len() + 1);
        let script_sig = block.txdata[0].input[0].script_sig.as_bytes();
        assert_eq!(script_sig[4..], [3; 8]);
        assert!(!block.txdata[0].input[0].witness.is_empty());
    }
}

#[test]
fn provided_transactions_are_in_the_block() {
    // JDS-27
    let mut client = Client::full_template();
    let step = client.declare(job(5, &numbered([1])));
    client.look_up(&step, &[]);
    let step = client.provide(5, &[transaction(1).bytes().to_vec()]);
    client.judge(&step, Judgement::Valid);
    let (step, _) = solve(&mut client, solution(3, 1));
    let txid = solved(&step).1.txdata[1].compute_txid().to_byte_array();
    assert_eq!(txid, transaction(1).txid());
}

#[test]
fn rolled_version_bits_are_part_of_the_solution() {
    // SV2 6.4.4, T-28
    let mut client = Client::full_template();
    client.declared(5, &[]);
    let rolled = VERSION | 0x1fff_ffe0;
    let (step, _) = solve(
        &mut client,
        PushSolutionOwned {
            version: rolled,
            ..solution(3, 1)
        },
    );
    let version = solved(&step).1.header.version.to_consensus();
    assert_eq!(version.cast_unsigned(), rolled);
}

#[test]
fn a_solution_of_an_older_job_is_a_block_too() {
    // JDS-25: the newest job has another tip.
    let mut client = Client::full_template();
    client.declared(5, &numbered([1]));
    client.node(tip(2, NEXT));
    client.declared(6, &[]);
    let (step, _) = solve(&mut client, solution(3, 1));
    let (number, block) = solved(&step);
    assert_eq!((number, block.txdata.len()), (1, 2));
}

#[test]
fn a_solution_while_another_job_is_being_declared_is_one_of_the_last_job() {
    // JDS-24
    let mut client = Client::full_template();
    client.declared(5, &[]);
    let step = client.declare(job(6, &numbered([1])));
    client.look_up(&step, &[]);
    let (step, _) = solve(&mut client, solution(3, 1));
    assert_eq!(solved(&step).0, 1);
    client
        .provide(6, &[transaction(1).bytes().to_vec()])
        .proposal();
}

#[test]
fn jobs_that_are_kept_are_bounded() {
    let mut client = Client::full_template();
    client.declared(0, &[]);
    client.node(tip(2, NEXT));
    for request_id in 1..=10 {
        client.declared(request_id, &[]);
    }
    check_refused(&client.push(solution(3, 1)), "another block");
}

#[test]
fn what_solves_nothing_is_named_and_harmless() {
    // JDS-26
    let mut client = Client::full_template();
    check_refused(&client.push(solution(3, 1)), "no job was declared");
    client.declared(5, &[]);
    let with_len = |len: usize| PushSolutionOwned {
        extranonce: vec![3; len].try_into().unwrap(),
        ..solution(3, 1)
    };
    for (wrong, why) in [
        (solution(3, 2), "another block"),
        (with_len(0), "extranonce of 0 bytes"),
        (with_len(9), "extranonce of 9 bytes"),
        (with_len(32), "extranonce of 32 bytes"),
        (
            PushSolutionOwned {
                version: VERSION | 1,
                ..solution(3, 1)
            },
            "version",
        ),
        (
            PushSolutionOwned {
                nbits: 0x1d00_ffff,
                ..solution(3, 1)
            },
            "nBits",
        ),
        (
            PushSolutionOwned {
                nbits: 0,
                ..solution(3, 1)
            },
            "nBits",
        ),
    ] {
        check_refused(&client.push(wrong), why);
    }
    let above = (0..100).any(|nonce| {
        let step = client.push(PushSolutionOwned {
            nonce,
            ..solution(4, 1)
        });
        matches!(&step.events[..], [Event::NotSolved { reason }] if reason.contains("above"))
    });
    assert!(above, "half of all hashes do not meet regtest's target");
}

#[test]
fn a_block_is_submitted_once() {
    let mut client = Client::full_template();
    client.declared(5, &[]);
    let (_, solution) = solve(&mut client, solution(3, 1));
    check_refused(&client.push(solution), "pushed before");
}

#[test]
fn in_coinbase_only_mode_solutions_are_ignored() {
    // SV2 6.4.9
    check_refused(
        &Client::coinbase_only().push(solution(3, 1)),
        "no job was declared",
    );
}
