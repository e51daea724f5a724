use prometheus_client::registry::Registry;

use super::*;

fn role(desk: mpsc::Sender<FromMiner>) -> Downstreams {
    let metrics = Metrics::register(&mut Registry::default());
    Downstreams {
        policy: Arc::default(),
        desk,
        stats: Arc::new(Stats::new(metrics.clone())),
        metrics,
        reached: Reached::default(),
        stop: CancellationToken::new(),
    }
}

fn session(role: &Downstreams) -> Session<'_> {
    let peer = "127.0.0.1:1".parse().unwrap();
    Session {
        role,
        peer,
        slot: 3,
        client: role.stats.connect(3, peer),
        seat: None,
        feed: None,
        unsaid: VecDeque::new(),
    }
}

/// What the desk heard, by hash rate; 0 for a miner that subscribes.
fn heard(message: FromMiner) -> f64 {
    match message {
        FromMiner::Input(Input::HashRate { slot: 3, rate }) => rate,
        FromMiner::Join { slot: 3, .. } => 0.0,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_miner_waits_for_a_desk_that_is_busy_and_nothing_is_lost() {
    let (desk, mut desk_in) = mpsc::channel(1);
    let role = role(desk);
    let mut session = session(&role);
    session.event(MinerEvent::HashRate(1.0));
    assert!(session.accepts(), "there was room");
    session.event(MinerEvent::HashRate(2.0));
    session.event(MinerEvent::Subscribe(None));
    session.event(MinerEvent::HashRate(3.0));
    assert!(!session.accepts());
    let listen = async {
        let mut all = Vec::new();
        while all.len() < 4 {
            all.push(heard(desk_in.recv().await.unwrap()));
        }
        all
    };
    let (all, input) = tokio::join!(listen, session.next());
    assert_eq!(all, [1.0, 2.0, 0.0, 3.0]);
    assert!(matches!(input, Some(MinerInput::GoOn)), "{input:?}");
    assert!(session.accepts());
}

#[tokio::test]
async fn a_wait_that_is_broken_off_loses_nothing_either() {
    let (desk, mut desk_in) = mpsc::channel(1);
    let role = role(desk);
    let mut session = session(&role);
    for rate in 1..=3 {
        session.event(MinerEvent::HashRate(f64::from(rate)));
    }
    for rate in 1..=3 {
        // As the loop does when something else comes first.
        tokio::select! {
            biased;
            _ = session.next() => {}
            () = std::future::ready(()) => {}
        }
        assert_eq!(heard(desk_in.recv().await.unwrap()), f64::from(rate));
    }
    assert!(desk_in.try_recv().is_err());
}
