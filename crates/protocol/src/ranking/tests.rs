use super::*;

/// Three upstreams, and a clock.
struct Table {
    ranking: Ranking,
    start: Instant,
    passed: Duration,
}

impl Table {
    fn new(ready: &[usize]) -> Self {
        let mut table = Self {
            ranking: Ranking::new(3),
            start: Instant::now(),
            passed: Duration::ZERO,
        };
        for upstream in ready {
            table.ranking.set_ready(*upstream, true);
        }
        table.decide();
        table
    }

    fn now(&self) -> Instant {
        self.start + self.passed
    }

    fn pass(&mut self, seconds: u64) -> Option<usize> {
        self.passed += Duration::from_secs(seconds);
        self.decide()
    }

    fn decide(&mut self) -> Option<usize> {
        self.ranking.decide(self.now(), |_| true);
        self.ranking.active()
    }

    fn fail(&mut self, upstream: usize) -> Option<usize> {
        self.ranking.failed(upstream, self.now(), "because");
        self.decide()
    }

    fn prove(&mut self, upstream: usize) -> Option<usize> {
        self.ranking.proved(upstream);
        self.decide()
    }

    fn candidates(&self) -> Vec<usize> {
        self.ranking.candidates(self.now()).collect()
    }

    fn state(&self, upstream: usize) -> State {
        self.ranking.state(upstream, self.now()).0
    }
}

#[test]
fn the_best_that_is_ready_is_worked_for_at_once() {
    // JDC-07
    for (ready, active) in [
        (&[][..], None),
        (&[0], Some(0)),
        (&[2], Some(2)),
        (&[1, 2], Some(1)),
    ] {
        assert_eq!(Table::new(ready).ranking.active(), active, "{ready:?}");
    }
}

#[test]
fn a_better_one_that_never_failed_is_worked_for_as_soon_as_it_is_ready() {
    let mut table = Table::new(&[1]);
    table.ranking.set_ready(0, true);
    assert_eq!(table.decide(), Some(0));
}

#[test]
fn whoever_fails_is_followed_by_the_next_and_the_last_by_solo_work() {
    // JDC-26 to 30
    let mut table = Table::new(&[0, 1, 2]);
    assert_eq!(table.fail(0), Some(1));
    assert_eq!(table.fail(1), Some(2));
    assert_eq!(table.fail(2), None);
    assert_eq!(
        table.ranking.state(2, table.now()),
        (State::Resting, Some("because"))
    );
}

#[test]
fn the_way_back_is_a_rest_and_a_proof() {
    let mut table = Table::new(&[0, 1]);
    table.fail(0);
    assert!(table.candidates().is_empty());
    assert_eq!(
        table.ranking.deadline(table.now()),
        Some(table.now() + FIRST_REST)
    );
    assert_eq!(table.pass(1), Some(1), "not without a proof");
    assert_eq!(table.candidates(), [0]);
    assert_eq!(table.state(0), State::OnProbation);
    assert_eq!(table.prove(0), Some(0));
    assert!(table.candidates().is_empty());
    assert_eq!(table.state(1), State::Standby);
}

#[test]
fn the_way_back_from_solo_work_is_the_same() {
    // JDC-30
    let mut table = Table::new(&[0]);
    assert_eq!(table.fail(0), None);
    table.ranking.set_ready(0, false);
    assert_eq!(table.pass(10), None);
    assert!(table.candidates().is_empty(), "it is not there");
    table.ranking.set_ready(0, true);
    assert_eq!(table.decide(), None);
    assert_eq!(table.candidates(), [0]);
    assert_eq!(table.prove(0), Some(0));
}

#[test]
fn whoever_fails_again_rests_longer() {
    let mut table = Table::new(&[0]);
    for rest in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        table.fail(0);
        table.pass(rest - 1);
        assert!(table.candidates().is_empty(), "{rest}");
        table.pass(1);
        assert_eq!(table.candidates(), [0], "{rest}");
        // Even one that proves itself in between, as long as it does not last.
        table.prove(0);
    }
}

#[test]
fn whoever_lasted_is_forgiven() {
    let mut table = Table::new(&[0]);
    for _ in 0..4 {
        table.fail(0);
        table.pass(600);
        table.prove(0);
    }
    table.pass(60);
    table.fail(0);
    table.pass(1);
    assert_eq!(table.candidates(), [0]);
}

#[test]
fn time_on_standby_forgives_nothing() {
    let mut table = Table::new(&[0, 1]);
    table.fail(0);
    table.fail(1);
    table.pass(1);
    table.prove(1);
    table.prove(0);
    assert_eq!(table.pass(600), Some(0));
    table.ranking.failed(1, table.now(), "on standby");
    assert_eq!(
        table.ranking.standings[1].rests_until,
        Some(table.now() + 2 * FIRST_REST)
    );
}

#[test]
fn five_rejections_in_a_row_are_one_too_many() {
    // JDC-29
    let mut table = Table::new(&[0]);
    for _ in 0..4 {
        assert!(!table.ranking.rejected(0));
    }
    table.ranking.accepted(0);
    for _ in 0..4 {
        assert!(!table.ranking.rejected(0));
    }
    assert!(table.ranking.rejected(0));
    table.fail(0);
    assert!(!table.ranking.rejected(0), "counted anew");
}

#[test]
fn whoever_a_template_has_no_room_for_is_passed_over() {
    let mut table = Table::new(&[0, 1]);
    assert!(table.ranking.decide(table.now(), |upstream| upstream == 1));
    assert_eq!(table.ranking.active(), Some(1));
    assert!(table.ranking.decide(table.now(), |_| true));
    assert_eq!(table.ranking.active(), Some(0));
    assert!(!table.ranking.decide(table.now(), |_| true));
}

#[test]
fn only_better_ones_have_something_to_prove() {
    let mut table = Table::new(&[0, 1, 2]);
    table.fail(2);
    table.fail(0);
    table.pass(1);
    assert_eq!(table.ranking.active(), Some(1));
    assert_eq!(table.candidates(), [0]);
    assert_eq!(table.state(2), State::OnProbation);
    assert_eq!(table.ranking.deadline(table.now()), None);
}

#[test]
fn without_an_alternative_the_best_that_is_ready_is_worked_for() {
    // PROXY-26
    let mut table = Table::new(&[]);
    table.ranking = Ranking::without_alternative(3);
    table.ranking.set_ready(1, true);
    table.ranking.set_ready(2, true);
    assert_eq!(table.decide(), Some(1));
    assert_eq!(table.fail(1), Some(2), "there is somebody else");
    assert_eq!(table.fail(2), Some(1), "both rest");
    table.ranking.set_ready(1, false);
    assert_eq!(table.decide(), Some(2));
    table.ranking.set_ready(2, false);
    assert_eq!(table.decide(), None);
    // The one that is trusted again goes first.
    table.ranking.set_ready(1, true);
    table.ranking.set_ready(2, true);
    table.ranking.proved(2);
    assert_eq!(table.pass(5), Some(2));
}
