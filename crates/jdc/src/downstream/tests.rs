use prometheus_client::registry::Registry;
use protocol::setup;

use super::*;
use crate::declarator::tests::work;

struct Play {
    role: Downstreams,
    work: watch::Sender<Option<Work>>,
    desk: mpsc::Receiver<FromMiner>,
}

/// With a desk that keeps one word waiting.
fn play() -> Play {
    let (desk, desk_in) = mpsc::channel(1);
    let (work, work_in) = watch::channel(None);
    let role = Downstreams {
        policy: Arc::default(),
        work: work_in,
        desk,
        blocks: Blocks::default(),
        metrics: Metrics::register(&mut Registry::default()),
        reached: Reached::default(),
        stop: CancellationToken::new(),
    };
    Play {
        role,
        work,
        desk: desk_in,
    }
}

pub(crate) fn miner() -> Arc<Miner> {
    let who = setup::Client {
        flags: 0,
        vendor: String::new(),
        hardware: String::new(),
        firmware: String::new(),
        device_id: String::new(),
    };
    Arc::new(Miner::new(peer(), who))
}

fn peer() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn session(role: &Downstreams) -> Session<'_> {
    Session {
        role,
        peer: peer(),
        slot: 3,
        work: WatchStream::from_changes(role.work.clone()),
        miner: miner(),
        channels: BTreeMap::new(),
        unsaid: VecDeque::new(),
    }
}

fn share(job: u64) -> FromMiner {
    FromMiner::Input(Input::Accepted {
        job,
        found: Found {
            nonce: 0,
            ntime: 0,
            version: 0,
            extranonce: Vec::new(),
            hash: [0; 32],
        },
        is_block: false,
    })
}

/// A share's job; 0 for a hash rate.
fn heard(message: Option<FromMiner>) -> u64 {
    match message {
        Some(FromMiner::Input(Input::Accepted { job, .. })) => job,
        Some(FromMiner::HashRate { slot: 3, .. }) => 0,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_miner_waits_for_a_desk_that_is_busy_and_nothing_is_lost() {
    let mut play = play();
    let mut session = session(&play.role);
    session.tell(share(1));
    assert!(session.accepts(), "there was room");
    session.tell(share(2));
    session.tell_hash_rate();
    session.tell(share(3));
    session.tell_hash_rate();
    assert!(!session.accepts());
    for expected in [1, 2, 3] {
        // As the loop does when something else comes first: nothing is lost by that.
        tokio::select! {
            biased;
            _ = session.next() => panic!("there is more to say"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(heard(play.desk.recv().await), expected);
    }
    let input = session.next().await;
    assert!(matches!(input, Some(ServerInput::GoOn)), "{input:?}");
    assert!(session.accepts());
    assert_eq!(heard(play.desk.recv().await), 0, "the newest, once");
    assert!(play.desk.try_recv().is_err());
}

#[tokio::test]
async fn new_work_reaches_a_miner_that_waits() {
    let mut play = play();
    let mut session = session(&play.role);
    session.tell(share(1));
    session.tell(share(2));
    play.work.send_replace(Some(work(1)));
    let input = session.next().await;
    assert!(matches!(input, Some(ServerInput::Work(_))), "{input:?}");
    assert!(!session.accepts());
    // One that leaves is heard to the end.
    let listen = async { [play.desk.recv().await, play.desk.recv().await].map(heard) };
    let ((), all) = tokio::join!(session.said(), listen);
    assert_eq!(all, [1, 2]);
}

#[tokio::test]
async fn a_desk_that_is_gone_keeps_no_miner() {
    let Play { role, desk, .. } = play();
    let mut session = session(&role);
    session.tell(share(1));
    session.tell(share(2));
    drop(desk);
    session.said().await;
}
