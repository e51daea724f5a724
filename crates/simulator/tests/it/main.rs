//! Simulations of many seeds.

mod declaring;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

use simulator::{Fault, Property, Report, replay, run, run_broken};

/// Seeds of a normal test run; `SIM_SEEDS` asks for more.
const SEEDS: u64 = 1_000;

/// Plays seeds on all processors.
fn play<R: Send>(seeds: u64, run: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut reports = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return reports;
            }
            reports.push(run(seed));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let ended = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker only plays seeds"));
        ended.flatten().collect()
    })
}

/// Plays all seeds of a test run, each of which has to be without a violation. How many there were,
/// and what happened in them together.
#[track_caller]
fn hold<C, P>(run: impl Fn(u64) -> Report<C, P> + Sync) -> (u64, C)
where
    C: AddAssign + Copy + Default + Debug + Send,
    P: Ord + Copy + Debug + Send,
{
    let seeds = std::env::var("SIM_SEEDS")
        .map_or(SEEDS, |seeds| seeds.parse().expect("SIM_SEEDS is a number"));
    let reports = play(seeds, run);
    let mut counts = C::default();
    let mut broken: BTreeMap<P, Vec<&Report<C, P>>> = BTreeMap::new();
    for report in &reports {
        counts += report.counts;
        if let Some(violation) = report.violations.first() {
            broken.entry(violation.property).or_default().push(report);
        }
    }
    println!("{counts:#?}");
    for (property, reports) in &broken {
        let seeds: Vec<u64> = reports.iter().map(|report| report.seed).take(10).collect();
        println!(
            "{property:?} fails first in {} seeds, such as {seeds:?}",
            reports.len()
        );
        println!("{}", reports[0]);
    }
    assert!(broken.is_empty(), "{} properties fail", broken.len());
    (seeds, counts)
}

/// Plays the seed that `SIM_SEED` names, and shows every message.
#[track_caller]
fn show<C: Debug, P: Debug>(replay: impl Fn(u64) -> Report<C, P>) {
    let seed =
        std::env::var("SIM_SEED").map_or(0, |seed| seed.parse().expect("SIM_SEED is a number"));
    let report = replay(seed);
    println!("{report}{:#?}", report.counts);
    assert!(report.violations.is_empty(), "seed {seed} fails");
}

#[track_caller]
fn repeat<C, P>(replay: impl Fn(u64) -> Report<C, P>)
where
    C: PartialEq + Debug,
    P: PartialEq + Debug,
{
    for seed in [0, 7, 42] {
        let (first, second) = (replay(seed), replay(seed));
        assert!(first.trace.len() > 50);
        assert_eq!(first, second);
    }
}

/// Whether some seed shows that `property` is broken.
fn is_seen<C, P: PartialEq>(property: &P, run_broken: impl Fn(u64) -> Report<C, P>) -> bool {
    (0..40).any(|seed| {
        let report = run_broken(seed);
        let mut violations = report.violations.iter();
        violations.any(|violation| violation.property == *property)
    })
}

#[test]
fn every_property_holds_for_every_seed() {
    let (seeds, counts) = hold(run);
    // What never happens is not tested.
    for (what, count) in [
        ("stale shares", counts.stale),
        ("duplicates", counts.duplicate),
        ("late shares", counts.late),
        ("blocks in the chain", counts.chained),
        ("cut connections", counts.cuts),
        ("closed channels", counts.closed),
        ("channels cut off", counts.abandoned),
        ("new prefixes", counts.moves),
        ("crashes", counts.crashes),
        ("shares lost in crashes", counts.lost),
        ("new targets", counts.targets),
        ("skipped work", counts.skipped),
    ] {
        assert!(count >= seeds / 10, "{count} {what} in {seeds} simulations");
    }
    assert!(counts.accepted >= 20 * seeds, "{counts:#?}");
}

#[test]
fn a_seed_always_gives_the_same_simulation() {
    repeat(replay);
}

/// `SIM_SEED=<seed> cargo test -p simulator replay_of_one_seed -- --nocapture` shows every message.
#[test]
fn replay_of_one_seed() {
    show(replay);
}

#[test]
fn each_property_sees_its_fault() {
    let cases = [
        (Fault::Swallowed(0x1c), Property::AnsweredOnce),
        (Fault::Swallowed(0x1d), Property::AnsweredOnce),
        (Fault::Swallowed(0x19), Property::HonestSharesAreGood),
        (Fault::Swallowed(0x15), Property::JobsComeInOrder),
        (Fault::Swallowed(0x1f), Property::JobsComeInOrder),
        (Fault::Swallowed(0x20), Property::WorkGoesOn),
        (Fault::Swallowed(0x20), Property::NothingUnexpected),
        (Fault::Repeated(0x1c), Property::AnsweredOnce),
        (Fault::Repeated(0x1d), Property::AnsweredOnce),
        (Fault::Repeated(0x15), Property::JobsComeInOrder),
        (Fault::Repeated(0x1f), Property::JobsComeInOrder),
        (Fault::Repeated(0x20), Property::JobsComeInOrder),
        (Fault::LateAnswers, Property::AnsweredOnce),
        (
            Fault::EarlyAcknowledgements,
            Property::AcknowledgedIsRecorded,
        ),
        (Fault::FewerJobs, Property::StaleOnlyIfEnded),
        (Fault::SamePrefix, Property::PrefixesDiffer),
        (Fault::SamePrefix, Property::CreditedOnce),
        (Fault::ForgottenBlocks, Property::BlocksToldOnce),
        (Fault::ForgottenShares, Property::CountsAgree),
        (Fault::ForgottenCloses, Property::ChannelsEndClosed),
        (Fault::EasyTargets, Property::TargetsInBounds),
        (Fault::DeafMiners, Property::NewestTipOnly),
        (Fault::CarelessMiners, Property::HonestSharesAreGood),
    ];
    for (fault, property) in cases {
        let is_seen = is_seen(&property, |seed| run_broken(seed, fault));
        assert!(is_seen, "{fault:?} is not seen as {property:?}");
    }
}
