use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::backend::Exit;
use crate::backend::fake::{Fake, spec};
use crate::fault;
use crate::progress;

/// Services become ready after a number of questions; one that is not listed never does.
struct Answers(RefCell<BTreeMap<String, usize>>);

impl Answers {
    fn new(answers: &[(&str, usize)]) -> Self {
        let answers = answers.iter().map(|(name, n)| ((*name).to_owned(), *n));
        Self(RefCell::new(answers.collect()))
    }

    fn ask(&self, spec: &ServiceSpec) -> Readiness {
        match self.0.borrow_mut().get_mut(&spec.name) {
            Some(0) => Readiness::Ready,
            Some(left) => {
                *left -= 1;
                Readiness::NotYet(format!("{left} to go"))
            }
            None => Readiness::NotYet("no template yet".to_owned()),
        }
    }
}

async fn start(backend: &Fake, specs: &[ServiceSpec], answers: &Answers) -> Result<Vec<Started>> {
    Startup {
        backend,
        ready: async |spec: &ServiceSpec| answers.ask(spec),
        deadline: Duration::from_secs(5),
        began: Instant::now(),
        progress: &progress::silent,
    }
    .run(specs)
    .await
}

fn minimal() -> Vec<ServiceSpec> {
    vec![
        spec("miner", &["pool"]),
        spec("pool", &["node", "tp"]),
        spec("tp", &["node"]),
        spec("node", &[]),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_service_starts_when_its_needs_are_ready() {
    let backend = Fake::default();
    let answers = Answers::new(&[("node", 3), ("tp", 2), ("pool", 1), ("miner", 0)]);
    let started = start(&backend, &minimal(), &answers).await.unwrap();
    let order: Vec<_> = started.iter().map(|one| one.service.as_str()).collect();
    assert_eq!(order, ["node", "tp", "pool", "miner"]);
    let expected = ["start node", "start tp", "start pool", "start miner"];
    assert_eq!(backend.calls(), expected);
    for pair in started.windows(2) {
        assert_eq!(pair[0].ready, pair[1].started, "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_do_not_need_each_other_start_together() {
    let backend = Fake::default();
    let answers = Answers::new(&[("slow", 100), ("quick", 0), ("after-quick", 0)]);
    let specs = [
        spec("slow", &[]),
        spec("quick", &[]),
        spec("after-quick", &["quick"]),
    ];
    let started = start(&backend, &specs, &answers).await.unwrap();
    let order: Vec<_> = started.iter().map(|one| one.service.as_str()).collect();
    assert_eq!(order, ["quick", "after-quick", "slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_stops_the_start_up_with_its_last_words() {
    let said: Vec<String> = (1..=20).map(|n| format!("line {n}")).collect();
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let backend = Fake::ending("tp", Exit::Code(64), &said);
    let began = Instant::now();
    let error = start(&backend, &minimal(), &Answers::new(&[("node", 0)]))
        .await
        .unwrap_err();
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    let text = format!("{error:#}");
    assert!(text.contains("tp ended with exit code 64"), "{text}");
    assert!(
        text.contains("| line 11\n") && text.contains("| line 20"),
        "{text}"
    );
    assert!(!text.contains("line 10"), "{text}");
    assert!(!fault::find(&error).unwrap().remedy.is_empty());
    let calls = backend.calls();
    assert!(!calls.contains(&"start pool".to_owned()), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_never_gets_ready_is_reported_with_its_own_reason() {
    let backend = Fake::default();
    let error = start(&backend, &minimal(), &Answers::new(&[("node", 0)]))
        .await
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("tp was not ready within 5 s: no template yet"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_service_waits_for_is_told_while_it_waits() {
    let backend = Fake::default();
    let heard = std::sync::Mutex::new(Vec::new());
    let answers = Answers::new(&[("node", 50)]);
    Startup {
        backend: &backend,
        ready: async |spec: &ServiceSpec| answers.ask(spec),
        deadline: Duration::from_secs(5),
        began: Instant::now(),
        progress: &|event| heard.lock().unwrap().push(event),
    }
    .run(&[spec("node", &[])])
    .await
    .unwrap();
    let heard = heard.into_inner().unwrap();
    assert!(matches!(heard.first(), Some(Event::Starting { .. })));
    assert!(
        heard
            .iter()
            .any(|event| matches!(event, Event::Waiting { .. }))
    );
    assert!(matches!(heard.last(), Some(Event::Ready { .. })));
}

#[test]
fn the_last_words_of_an_earlier_run_are_not_this_one_s() {
    let lines = [
        "2026-01-01T00:00:00.5Z  INFO ledger closed",
        "a stranger's word",
        "2100-01-01T00:00:00Z  INFO of this run",
    ];
    let lines: Vec<String> = lines.map(str::to_owned).to_vec();
    let kept = of_this_run(lines.clone(), Duration::from_secs(1));
    assert_eq!(kept, lines[1..]);
    assert_eq!(
        of_this_run(lines[1..2].to_vec(), Duration::ZERO),
        lines[1..2]
    );
}
