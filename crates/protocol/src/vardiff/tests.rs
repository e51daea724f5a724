use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const PER_MINUTE: f64 = 6.0;

/// A miner that finds shares by chance, and the vardiff that watches it, in virtual time.
struct Miner {
    vardiff: Vardiff,
    rng: StdRng,
    start: Instant,
    now: Instant,
    /// Hashes a second.
    hashrate: f64,
    /// Hashes per share of the job it works on, and when a newer one reaches it.
    cost: f64,
    under_way: Option<(Instant, f64)>,
    latency: Duration,
    changes: u32,
}

impl Miner {
    fn new(seed: u64, hashrate: f64, declared: f64) -> Self {
        let start = Instant::now();
        let cost = (declared * 60.0 / PER_MINUTE).max(1.0);
        Self {
            vardiff: Vardiff::new(PER_MINUTE, declared, cost, start),
            rng: StdRng::seed_from_u64(seed),
            start,
            now: start,
            hashrate,
            cost,
            under_way: None,
            latency: Duration::from_millis(100),
            changes: 0,
        }
    }

    fn run_until(&mut self, seconds: f64) {
        let end = self.start + Duration::from_secs_f64(seconds);
        while self.now < end {
            let mean = self.cost / self.hashrate;
            // Exponential waiting has no memory, so what interrupts it may start it anew.
            let wait = -mean * self.rng.gen_range(f64::MIN_POSITIVE..1.0).ln();
            let share = self.now + Duration::from_secs_f64(wait.min(1e6));
            let arrival = self.under_way.map(|(at, _)| at);
            let wake = self.vardiff.deadline();
            let next = [Some(share), arrival, wake, Some(end)];
            self.now = next.into_iter().flatten().min().unwrap();
            let now = self.now;
            let change = if Some(now) == arrival {
                self.cost = self.under_way.take().unwrap().1;
                None
            } else if now == share {
                self.vardiff.share(now, self.cost)
            } else if wake.is_some_and(|wake| wake <= now) {
                self.vardiff.wake(now)
            } else {
                None
            };
            if let Some(cost) = change {
                self.vardiff.set_cost(now, cost);
                self.changes += 1;
                self.under_way = Some((now + self.latency, cost));
            }
        }
    }

    /// Shares a minute at the present cost, on average.
    fn rate(&self) -> f64 {
        self.hashrate / self.vardiff.cost * 60.0
    }

    fn is_settled(&self) -> bool {
        !self.vardiff.is_settling() && (self.rate() / PER_MINUTE - 1.0).abs() <= 0.3
    }
}

#[test]
fn a_declaration_wrong_by_a_thousand_is_corrected_within_three_minutes() {
    const SEEDS: u64 = 400;
    for wrong_by in [1e-6, 1e-3, 0.1, 10.0, 1e3, 1e6] {
        let settled = (0..SEEDS).filter(|seed| {
            let mut miner = Miner::new(*seed, 1e12, 1e12 * wrong_by);
            miner.run_until(180.0);
            miner.is_settled()
        });
        let part = settled.count() as f64 / SEEDS as f64;
        assert!(part >= 0.95, "wrong by {wrong_by}: {part}");
    }
}

#[test]
fn a_true_declaration_is_hardly_ever_doubted() {
    const SEEDS: u64 = 400;
    for minutes in [10.0, 60.0] {
        let changes = (0..SEEDS).map(|seed| {
            let mut miner = Miner::new(seed, 5e6, 5e6);
            miner.run_until(minutes * 60.0);
            miner.changes
        });
        let per_ten_minutes = f64::from(changes.sum::<u32>()) / SEEDS as f64 / minutes * 10.0;
        assert!(per_ten_minutes < 1.0, "{minutes} min: {per_ten_minutes}");
    }
}

#[test]
fn a_settled_miner_is_followed_when_it_changes() {
    const SEEDS: u64 = 200;
    for factor in [0.01, 0.5, 2.0, 100.0] {
        let settled = (0..SEEDS).filter(|seed| {
            let mut miner = Miner::new(*seed, 1e9, 1e9);
            miner.run_until(1200.0);
            miner.hashrate *= factor;
            miner.run_until(2400.0);
            miner.is_settled()
        });
        let part = settled.count() as f64 / SEEDS as f64;
        assert!(part >= 0.9, "factor {factor}: {part}");
    }
}

#[test]
fn a_night_of_silence_has_a_floor_and_the_flood_after_it_is_caught_within_a_second() {
    for seed in 0..100 {
        let mut miner = Miner::new(seed, 1e-9, 1e14);
        miner.latency = Duration::from_millis(20);
        miner.run_until(8.0 * 3600.0);
        assert!((miner.vardiff.hashrate() - SLOWEST).abs() < 1e-9);
        assert!(miner.changes < 20, "{}", miner.changes);
        assert_eq!(miner.vardiff.deadline(), None, "silence costs nothing");

        // As fast as one connection might bring shares at that floor.
        miner.hashrate = 1e8;
        miner.run_until(8.0 * 3600.0 + 1.0);
        let rate = miner.rate() / 60.0;
        assert!(rate < 10.0 * SETTLING_RATE, "{rate} shares a second");
    }
}

#[test]
fn silence_is_understood_after_a_few_steps_whatever_the_numbers() {
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..2000 {
        let mut now = Instant::now();
        let declared = rng.gen_range(-10f64..50.0).exp2();
        let cost = declared * rng.gen_range(-4f64..4.0).exp2();
        let mut vardiff = Vardiff::new(PER_MINUTE, declared, cost, now);
        let mut steps = 0;
        for _ in 0..rng.gen_range(0..3) {
            now += Duration::from_millis(rng.gen_range(0..100_000));
            if let Some(cost) = vardiff.share(now, cost) {
                vardiff.set_cost(now, cost);
            }
        }
        while let Some(deadline) = vardiff.deadline() {
            now = deadline;
            if let Some(cost) = vardiff.wake(now) {
                vardiff.set_cost(now, cost);
            }
            steps += 1;
            assert!(steps < 60, "{vardiff:?}");
        }
    }
}

#[test]
fn a_burst_after_a_stalled_network_does_no_lasting_harm() {
    let mut miner = Miner::new(3, 1e9, 1e9);
    miner.run_until(600.0);
    // They were all found for the same job, however often it changes while they are read.
    let cost = miner.cost;
    for _ in 0..500 {
        if let Some(cost) = miner.vardiff.share(miner.now, cost) {
            miner.vardiff.set_cost(miner.now, cost);
            miner.cost = cost;
        }
    }
    miner.run_until(800.0);
    assert!(miner.is_settled(), "{}", miner.rate());
}

#[test]
fn shares_of_an_older_job_count_by_their_cost_and_never_as_more_than_one() {
    let now = Instant::now();
    let mut vardiff = Vardiff::new(PER_MINUTE, 1000.0, 10_000.0, now);
    for _ in 0..7 {
        assert_eq!(vardiff.share(now, 100.0), None);
    }
    assert!((vardiff.shares - 0.07).abs() < 1e-9);
    assert_eq!(vardiff.share(now, 1e9), None);
    assert!((vardiff.shares - 1.07).abs() < 1e-9);
}

#[test]
fn numbers_at_their_limits_do_no_harm() {
    for declared in [0.0, 1e-30, f64::from(f32::MAX)] {
        for cost in [0.0, 1.0, f64::from(f32::MAX) * 1e9] {
            let mut now = Instant::now();
            let mut vardiff = Vardiff::new(PER_MINUTE, declared, cost, now);
            for i in 0..1000 {
                let change = if i % 3 == 0 {
                    now = vardiff.deadline().unwrap_or(now);
                    vardiff.wake(now)
                } else {
                    vardiff.share(now, cost)
                };
                if let Some(cost) = change {
                    assert!(cost.is_finite() && cost >= 0.0);
                    vardiff.set_cost(now, cost);
                }
                assert!(vardiff.hashrate().is_finite());
            }
        }
    }
}
