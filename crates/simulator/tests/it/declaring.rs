//! Simulations of job declaration, of many seeds.

use simulator::declaring::{Fault, Property, replay, run, run_broken};

use crate::{hold, is_seen, repeat, show};

#[test]
fn every_property_of_job_declaration_holds_for_every_seed() {
    // JDC-06, 08, 26, 27, 28, 29, 30, 35, JDS-28
    let (seeds, counts) = hold(run);
    // What never happens is not tested.
    for (what, count) in [
        ("cut connections", counts.cuts),
        ("crashes", counts.crashes),
        ("declared jobs", counts.declared),
        ("jobs with transactions to provide", counts.provided),
        ("jobs that pools took", counts.taken),
        ("jobs refused for their tip", counts.stale),
        ("changes of the upstream", counts.switches),
        ("changes to solo work", counts.solo),
        ("shares acknowledged", counts.acknowledged),
        ("shares lost", counts.lost),
        ("blocks put together", counts.solved),
        ("blocks in the chain", counts.chained),
        ("blocks of chosen transactions", counts.chosen),
        ("templates emptied", counts.emptied),
    ] {
        assert!(count >= seeds / 10, "{count} {what} in {seeds} simulations");
    }
    assert!(counts.accepted >= 20 * seeds, "{counts:#?}");
}

#[test]
fn a_seed_always_gives_the_same_simulation_of_job_declaration() {
    repeat(replay);
}

/// `SIM_SEED=<seed> cargo test -p simulator replay_of_one_declaring_seed -- --nocapture` shows every
/// message.
#[test]
fn replay_of_one_declaring_seed() {
    show(replay);
}

#[test]
fn each_property_of_job_declaration_sees_its_fault() {
    let cases = [
        (Fault::DroppedMiners, Property::MinersStay),
        (
            Fault::EmptyAcknowledgements,
            Property::AcknowledgedIsCredited,
        ),
        (Fault::ForgottenAnswers, Property::SharesAreAccounted),
        (Fault::JobsTwice, Property::TakenOnce),
        (Fault::OtherSecret, Property::JobsAreGood),
        (Fault::StuckMiners, Property::FallsBackInTime),
        (Fault::SleepingDesk, Property::FindsBack),
        (Fault::WrongSolutions, Property::BlocksAreGood),
    ];
    for (fault, property) in cases {
        let is_seen = is_seen(&property, |seed| run_broken(seed, fault));
        assert!(is_seen, "{fault:?} is not seen as {property:?}");
    }
}
