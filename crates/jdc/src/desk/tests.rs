use daemon::dial::Link;
use prometheus_client::registry::Registry;
use protocol::server::Solution;

use super::*;
use crate::config::tests::config;

/// A desk, and what it is joined to.
struct Play {
    desk: Desk,
    hash_rate: watch::Receiver<f32>,
    health: watch::Receiver<Health>,
    requests: mpsc::Receiver<ProviderInput>,
}

fn play() -> Play {
    let (hash_rate, hash_rate_seen) = watch::channel(0.0);
    let (health, health_seen) = watch::channel(Health::Ready);
    let (requests, requests_in) = mpsc::channel(4);
    let link = || watch::channel(Link::default()).1;
    let config = config();
    let upstreams = config.upstreams.iter();
    let links = LinksSeen {
        provider_address: String::new(),
        provider: link(),
        upstreams: upstreams.map(|_| (link(), link())).collect(),
    };
    let ends = Ends {
        work: watch::Sender::new(None),
        requests,
        node: mpsc::channel(1).0,
        hash_rate,
        health,
        shown: watch::Sender::new(Arc::default()),
        metrics: Metrics::register(&mut Registry::default()),
    };
    Play {
        desk: Desk::new(&config, links, ends),
        hash_rate: hash_rate_seen,
        health: health_seen,
        requests: requests_in,
    }
}

fn block() -> ProviderInput {
    ProviderInput::Solve(Solution {
        session: 1,
        template_id: 1,
        version: 0,
        ntime: 0,
        nonce: 0,
        coinbase: Vec::new(),
        hash: [0; 32],
        height: None,
    })
}

#[tokio::test]
async fn miners_wait_for_a_line_that_is_half_full_and_other_servers_do_not() {
    let mut play = play();
    let (messages, messages_in) = mpsc::channel(8);
    let (miners, miners_in) = mpsc::channel(8);
    let (line, mut session) = mpsc::channel(2);
    line.try_send(CustomWorkInput::HashRate(1.0)).unwrap();
    play.desk.hear(Message::PoolUp(0, line));
    let stop = CancellationToken::new();
    let desk = tokio::spawn(play.desk.run(messages_in, miners_in, stop.clone()));
    let miner = crate::downstream::tests::miner();
    let came = FromMiner::Came { slot: 3, miner };
    miners.try_send(came).unwrap();
    let (slot, rate) = (3, 7.0);
    miners.try_send(FromMiner::HashRate { slot, rate }).unwrap();
    for (is_up, reason) in [
        (true, "no template yet"),
        (false, "no template provider"),
        (true, "no template yet"),
    ] {
        messages.try_send(Message::ProviderUp(is_up)).unwrap();
        let told = Health::not_ready(reason);
        play.health
            .wait_for(|health| *health == told)
            .await
            .unwrap();
    }
    assert_eq!(miners.capacity(), 6, "nothing was taken");
    session.recv().await.unwrap();
    play.hash_rate.wait_for(|told| *told == rate).await.unwrap();
    stop.cancel();
    desk.await.unwrap();
}

#[test]
fn blocks_leave_room_for_what_a_provider_that_is_away_is_asked() {
    let mut play = play();
    for _ in 0..10 {
        play.desk.tell_provider(block());
    }
    assert!(play.desk.has_room(), "nobody waits for it");
    let asked = ProviderInput::Constrain(Default::default());
    play.desk.tell_provider(asked);
    play.desk.hear(Message::ProviderUp(true));
    assert!(!play.desk.has_room());
    let told: Vec<_> = std::iter::from_fn(|| play.requests.try_recv().ok()).collect();
    assert!(
        matches!(
            told[..],
            [
                ProviderInput::Solve(_),
                ProviderInput::Solve(_),
                ProviderInput::Constrain(_)
            ]
        ),
        "{told:?}"
    );
    assert!(play.desk.has_room());
}
