//! ProvideMissingTransactions and its answer.

use protocol::error_code::MISSING_TXS;

use super::*;

fn bytes(numbers: impl IntoIterator<Item = u32>) -> Vec<Vec<u8>> {
    let bytes = |number| transaction(number).bytes().to_vec();
    numbers.into_iter().map(bytes).collect()
}

fn asked(request_id: u32, positions: &[u16]) -> Vec<Sent> {
    let positions = positions.to_vec();
    vec![Sent::Missing {
        request_id,
        positions,
    }]
}

/// A client that declared transactions 0 to 3, of which the node knows 0 and 2.
fn asked_for_two() -> Client {
    let mut client = Client::full_template();
    let step = client.declare(job(5, &numbered(0..4)));
    let step = client.look_up(&step, &numbered([0, 2]));
    assert_eq!(step.sent, asked(5, &[1, 3]));
    client
}

#[test]
fn unknown_transactions_are_asked_for_by_their_positions_and_complete_the_job() {
    // JDS-13, JDS-15
    let mut client = asked_for_two();
    let step = client.provide(5, &bytes([1, 3]));
    let step = client.judge(&step, Judgement::Valid);
    assert!(matches!(
        step.sent[..],
        [Sent::Declared { request_id: 5, .. }]
    ));
    let report = step.report();
    assert_eq!(
        (report.transactions, report.missing, report.rounds),
        (4, 2, 1)
    );
}

#[test]
fn transactions_are_matched_by_wtxid() {
    // JDS-14, T-21: one that differs in its witness only is another.
    let declared = transaction(1);
    let mut malleated: bitcoin::Transaction =
        bitcoin::consensus::deserialize(declared.bytes()).unwrap();
    malleated.input[0].witness.push([9]);
    let malleated = bitcoin::consensus::serialize(&malleated);
    let known = Arc::new(Transaction::parse(malleated.clone()).unwrap());
    assert_eq!(known.txid(), declared.txid());

    let mut client = Client::full_template();
    let step = client.declare(job(5, &[declared]));
    let step = client.look_up(&step, &[known]);
    assert_eq!(step.sent, asked(5, &[0]));
    client
        .provide(5, &[malleated])
        .is_refused(5, MISSING_TXS, "0 of them were right");
}

#[test]
fn what_is_not_what_was_asked_for_never_completes_a_job() {
    // JDS-16
    for (sent, again) in [
        (bytes([3, 1]), None),
        (bytes([]), None),
        (bytes([0, 2]), None),
        (bytes([1, 3, 0]), None),
        (bytes([7, 8, 9, 10]), None),
        (vec![vec![], vec![0; 1_000]], None),
        // What was right is kept, and the rest asked for again.
        (bytes([1]), Some(3)),
        (bytes([1, 1]), Some(3)),
        (bytes([1, 0]), Some(3)),
        (bytes([9, 3]), Some(1)),
    ] {
        let mut client = asked_for_two();
        let step = client.provide(5, &sent);
        let Some(position) = again else {
            step.is_refused(5, MISSING_TXS, "of 2 transactions asked for");
            continue;
        };
        assert_eq!(step.sent, asked(5, &[position]));
        let mut stubborn = asked_for_two();
        stubborn.provide(5, &sent);
        stubborn
            .provide(5, &sent)
            .is_refused(5, MISSING_TXS, "asked for");
        client.provide(5, &bytes([u32::from(position)])).proposal();
    }
}

#[test]
fn a_job_is_completed_in_as_many_rounds_as_it_takes_but_not_without_end() {
    // JDS-16, T-22: a client may answer with what fits its frames.
    for (count, is_patient) in [(10, true), (11, false)] {
        let mut client = Client::full_template();
        let step = client.declare(job(5, &numbered(0..count)));
        let mut step = client.look_up(&step, &[]);
        for round in 0..count.min(10) {
            assert!(
                matches!(step.sent[..], [Sent::Missing { .. }]),
                "{round}: {step:?}"
            );
            step = client.provide(5, &bytes([round]));
        }
        if is_patient {
            step.proposal();
        } else {
            step.is_refused(5, MISSING_TXS, "asked for");
        }
    }
}

#[test]
fn a_client_that_does_not_answer_in_time_is_refused() {
    // T-22
    let mut client = asked_for_two();
    assert!(
        client
            .pass(MISSING_TIMEOUT - Duration::from_millis(1))
            .is_quiet()
    );
    client
        .pass(Duration::from_millis(1))
        .is_refused(5, MISSING_TXS, "in time");
    assert!(client.provide(5, &bytes([1, 3])).is_quiet());
}

#[test]
fn transactions_nobody_asked_for_are_ignored() {
    // JDS-18
    let mut client = asked_for_two();
    for request_id in [0, 4, 6] {
        let step = client.provide(request_id, &bytes([1, 3]));
        assert!(step.is_quiet());
        assert!(matches!(step.events[..], [Event::Ignored { .. }]));
    }
    let step = client.provide(5, &bytes([1, 3]));
    // While the node thinks, too.
    assert!(client.provide(5, &bytes([1, 3])).is_quiet());
    assert!(matches!(
        client.judge(&step, Judgement::Valid).sent[..],
        [Sent::Declared { .. }]
    ));
    assert!(client.provide(5, &bytes([1, 3])).is_quiet());
}

#[test]
fn two_flows_at_once_are_told_apart() {
    // JDS-17
    let mut client = Client::full_template();
    let a = client.declare(job(10, &numbered([1])));
    let b = client.declare(job(20, &numbered([2])));
    client.look_up(&b, &[]);
    client.look_up(&a, &[]);
    let b = client.provide(20, &bytes([2]));
    let a = client.provide(10, &bytes([1]));
    let step = client.judge(&b, Judgement::Valid);
    assert!(matches!(
        step.sent[..],
        [Sent::Declared { request_id: 20, .. }]
    ));
    let step = client.judge(&a, Judgement::Valid);
    assert!(matches!(
        step.sent[..],
        [Sent::Declared { request_id: 10, .. }]
    ));
}

#[test]
fn what_was_provided_once_is_not_asked_for_again() {
    // JDS-27
    let mut client = Client::full_template();
    let step = client.declare(job(5, &numbered([1, 2])));
    client.look_up(&step, &numbered([1]));
    let step = client.provide(5, &bytes([2]));
    client.judge(&step, Judgement::Valid);
    let step = client.declare(job(6, &numbered([1, 2, 3])));
    let step = client.look_up(&step, &numbered([1, 3]));
    step.proposal();
    // Only this client's: another connection knows nothing of it.
    let mut other = Client::full_template();
    let step = other.declare(job(6, &numbered([2])));
    assert_eq!(other.look_up(&step, &[]).sent, asked(6, &[0]));
}
