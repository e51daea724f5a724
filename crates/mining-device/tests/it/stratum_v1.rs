//! The device against a Stratum V1 server that a test plays, line by line.

use std::time::Duration;

use daemon::dial::HostPort;
use mining_device::{Config, Pool, StratumV1};
use protocol::target::Target;
use sv1::client::Identity;
use sv1::{Answer, Call, Configured, Extranonce, FromMiner, Id, Lines, Notice, Notify, Rejection};
use sv1::{Submit, Subscribed, difficulty, from_miner, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::pool::{Device, MIN_NTIME, N_BITS, config};

/// Nothing a device does on its own takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Slow enough that every share can be looked at, fast enough not to wait.
const SHARES_PER_SECOND: f64 = 500.0;
const VERSION: u32 = 0x2000_0000;
const MASK: u32 = 0x1fff_e000;
const EXTRANONCE1: [u8; 4] = [0xaa, 0xbb, 0, 1];
/// So easy that every hash is a share.
const EASY: f64 = 1e-10;

/// The listening server.
struct Server(TcpListener);

/// One connection, seen from the server.
struct Link {
    stream: TcpStream,
    lines: Lines,
}

impl Server {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn device(&self, change: impl FnOnce(&mut Config)) -> Device {
        let pool = StratumV1 {
            address: HostPort {
                host: "127.0.0.1".to_owned(),
                port: self.port(),
            },
            identity: Identity {
                user: "account.worker".to_owned(),
                password: "secret".to_owned(),
                agent: "test/1".to_owned(),
                wanted_difficulty: None,
            },
            retry_pause: Duration::from_millis(50),
        };
        let mut config = config(SHARES_PER_SECOND, Pool::V1(pool));
        change(&mut config);
        Device::run(config)
    }

    async fn connection(&self) -> Link {
        let accepted = tokio::time::timeout(PATIENCE, self.0.accept()).await;
        Link {
            stream: accepted.expect("a device connects").unwrap().0,
            lines: Lines::new(10_000),
        }
    }

    /// A connection that was let in, without a job; the session the miner asked for.
    async fn inside(&self, version_mask: Option<u32>) -> (Link, Option<String>) {
        let mut link = self.connection().await;
        let mut before = None;
        loop {
            let id = match link.call().await {
                (id, Call::Configure(_)) => {
                    let configured = Configured {
                        version_mask,
                        ..Configured::default()
                    };
                    link.answer(&id, &Answer::Configured(configured)).await;
                    continue;
                }
                (id, Call::Subscribe { session, .. }) => {
                    before = session.map(std::borrow::Cow::into_owned);
                    let subscribed = Subscribed {
                        session: "5e55".into(),
                        extranonce1: Extranonce::new(&EXTRANONCE1).unwrap(),
                        extranonce2_size: 4,
                    };
                    link.answer(&id, &Answer::Subscribed(subscribed)).await;
                    continue;
                }
                (id, Call::Authorize { user, password }) => {
                    assert_eq!((&*user, &*password), ("account.worker", "secret"));
                    id
                }
                other => panic!("{other:?}"),
            };
            link.answer(&id, &Answer::True).await;
            let (id, call) = link.call().await;
            assert_eq!(call, Call::ExtranonceSubscribe);
            link.answer(&id, &Answer::Rejected(Rejection::other("unknown")))
                .await;
            return (link, before);
        }
    }

    /// A connection with a first job, "a", at the lowest difficulty.
    async fn mining(&self) -> Link {
        let (mut link, _) = self.inside(Some(MASK)).await;
        link.say(&Notice::SetDifficulty(EASY)).await;
        link.say(&Notice::Notify(job("a", 1, true))).await;
        link
    }
}

impl Link {
    /// The next line of the device; `None` when it has left.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.lines.next_line().unwrap() {
                return Some(String::from_utf8(line.to_vec()).unwrap());
            }
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes));
            match read.await.expect("the device says something") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.lines.push(&bytes[..count]),
            }
        }
    }

    async fn call(&mut self) -> (Id, Call<'static>) {
        let line: &'static str = self.line().await.expect("a line").leak();
        match from_miner(line.as_bytes()) {
            Ok(FromMiner::Call(id, call)) => (id, call),
            other => panic!("{line}: {other:?}"),
        }
    }

    async fn share(&mut self) -> (Id, Submit<'static>) {
        match self.call().await {
            (id, Call::Submit(submit)) => {
                assert_eq!(submit.user, "account.worker");
                (id, submit)
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next share of that job, or nothing but shares until the device leaves.
    async fn share_of(&mut self, job_id: &str) -> (Id, Submit<'static>) {
        loop {
            let (id, share) = self.share().await;
            if share.job_id == job_id {
                return (id, share);
            }
        }
    }

    async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn say(&mut self, notice: &Notice<'_>) {
        self.raw(&notice.line()).await;
    }

    async fn answer(&mut self, id: &Id, answer: &Answer<'_>) {
        let mut line = Vec::new();
        answer.write(id, &mut line);
        self.raw(&line).await;
    }

    async fn is_over(&mut self) -> bool {
        while self.line().await.is_some() {}
        true
    }
}

fn job(job_id: &str, tip: u8, clean_jobs: bool) -> Notify {
    Notify {
        job_id: job_id.to_owned(),
        prev_hash: [tip; 32],
        coinb1: vec![0xc1; 50],
        coinb2: vec![0xc2; 60],
        merkle_path: vec![[9; 32], [8; 32]],
        version: VERSION,
        n_bits: N_BITS,
        ntime: MIN_NTIME,
        clean_jobs,
    }
}

/// The hash of a share as a server computes it.
fn hash(job: &Notify, extranonce1: &[u8], mask: u32, share: &Submit<'_>) -> Target {
    let bits = share.version_bits.unwrap_or(0);
    assert_eq!(version::forbidden(mask, bits), 0, "{share:?}");
    let version = version::rolled(job.version, mask, bits);
    let extranonce = [extranonce1, &share.extranonce2];
    let header = job.header(&extranonce, version, share.ntime, share.nonce);
    Target::from_le_bytes(protocol::sha256d::header(&header))
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_rebuild_to_headers_that_meet_the_difficulty_and_none_repeats() {
    // PROXY-15, 18, 20
    let server = Server::start().await;
    let device = server.device(|config| config.speed.max_hashrate = Some(200_000.0));
    let (mut link, before) = server.inside(Some(MASK)).await;
    assert_eq!(before, None);
    let difficulty = 1e-7;
    link.say(&Notice::SetDifficulty(difficulty)).await;
    let job = job("a", 1, true);
    link.say(&Notice::Notify(job.clone())).await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..30 {
        let (id, share) = link.share().await;
        assert_eq!(share.extranonce2.len(), 4);
        assert!((MIN_NTIME..MIN_NTIME + 60).contains(&share.ntime));
        let hash = hash(&job, &EXTRANONCE1, MASK, &share);
        assert!(hash <= difficulty::target(difficulty).unwrap());
        assert!(seen.insert(hash.to_le_bytes()), "{share:?}");
        link.answer(&id, &Answer::True).await;
    }
    device.stop().await;
    assert!(link.is_over().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_version_rolling_gets_five_parameters() {
    let server = Server::start().await;
    let device = server.device(|_| {});
    let (mut link, _) = server.inside(None).await;
    link.say(&Notice::SetDifficulty(EASY)).await;
    link.say(&Notice::Notify(job("a", 1, true))).await;
    for _ in 0..20 {
        assert_eq!(link.share().await.1.version_bits, None);
    }
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_difficulty_and_an_extranonce_wait_for_the_next_job() {
    // PROXY-18, 25
    let server = Server::start().await;
    let device = server.device(|config| config.speed.max_hashrate = Some(100_000.0));
    let mut link = server.mining().await;
    let easy = link.share().await.1;
    assert_eq!(easy.job_id, "a");
    let harder = 5e-7;
    link.say(&Notice::SetDifficulty(harder)).await;
    link.say(&Notice::SetExtranonce {
        extranonce1: Extranonce::new(&[7; 6]).unwrap(),
        extranonce2_size: 3,
    })
    .await;
    let second = job("b", 1, false);
    // Before the next job nothing has changed: among so many shares some would not meet it.
    for _ in 0..50 {
        let share = link.share().await.1;
        assert_eq!((&*share.job_id, share.extranonce2.len()), ("a", 4));
    }
    link.say(&Notice::Notify(second.clone())).await;
    for _ in 0..10 {
        let share = link.share_of("b").await.1;
        assert_eq!(share.extranonce2.len(), 3);
        let hash = hash(&second, &[7; 6], MASK, &share);
        assert!(hash <= difficulty::target(harder).unwrap());
    }
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_job_ends_all_before_it() {
    // DEV-28
    let server = Server::start().await;
    let device = server.device(|_| {});
    let mut link = server.mining().await;
    link.share_of("a").await;
    link.say(&Notice::Notify(job("b", 2, true))).await;
    link.share_of("b").await;
    for _ in 0..50 {
        assert_eq!(link.share().await.1.job_id, "b");
    }
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_is_dialled_again_and_asked_for_the_session() {
    // DEV-29
    let server = Server::start().await;
    let device = server.device(|_| {});
    let mut link = server.mining().await;
    link.share().await;
    drop(link);
    let (mut link, before) = server.inside(Some(MASK)).await;
    assert_eq!(before.as_deref(), Some("5e55"));
    link.say(&Notice::SetDifficulty(EASY)).await;
    link.say(&Notice::Notify(job("z", 3, true))).await;
    assert_eq!(link.share().await.1.job_id, "z");
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_leads_to_another_port_of_the_same_host_only() {
    let (server, other) = (Server::start().await, Server::start().await);
    let device = server.device(|_| {});
    let mut link = server.mining().await;
    let reconnect = |host: &'static str| Notice::Reconnect {
        host: Some(host.into()),
        port: Some(other.port()),
        wait: 0,
    };
    // Whoever can put a line into the stream must not get the hash rate.
    link.say(&reconnect("127.0.0.2")).await;
    link.say(&Notice::Notify(job("b", 2, true))).await;
    link.share_of("b").await;
    link.say(&reconnect("127.0.0.1")).await;
    assert!(link.is_over().await);
    let mut link = other.mining().await;
    link.share().await;
    // The configured port is home.
    drop(link);
    let mut link = server.mining().await;
    link.share().await;
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_and_nonsense_does_no_harm() {
    let server = Server::start().await;
    let device = server.device(|config| config.speed.max_hashrate = Some(1.0));
    let (mut link, _) = server.inside(Some(MASK)).await;
    link.raw(b"nonsense\r\n\r\n{}\n{\"id\":null,\"method\":\"mining.notify\",\"params\":[]}\n")
        .await;
    link.raw(b"{\"id\":99,\"result\":true,\"error\":null}\n")
        .await;
    link.say(&Notice::ShowMessage("hello".into())).await;
    link.raw(b"{\"id\":\"v\",\"method\":\"client.get_version\",\"params\":[]}\n")
        .await;
    let answer = link.line().await.unwrap();
    assert_eq!(answer, r#"{"id":"v","result":"test/1","error":null}"#);
    // A line without end would take all memory.
    let endless = vec![b'x'; (1 << 20) + 10];
    // The device may leave before it has all of it.
    let _ = link.stream.write_all(&endless).await;
    assert!(link.is_over().await);
    server.mining().await.share().await;
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_authorized_comes_again_and_sends_no_share() {
    let server = Server::start().await;
    let device = server.device(|_| {});
    for _ in 0..2 {
        let mut link = server.connection().await;
        link.say(&Notice::SetDifficulty(EASY)).await;
        link.say(&Notice::Notify(job("a", 1, true))).await;
        while let Some(line) = link.line().await {
            match from_miner(line.as_bytes()).unwrap() {
                FromMiner::Call(id, Call::Authorize { .. }) => {
                    let no = Answer::Rejected(Rejection::unauthorized());
                    link.answer(&id, &no).await;
                }
                FromMiner::Call(_, Call::Submit(share)) => panic!("{share:?}"),
                _ => {}
            }
        }
    }
    device.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_ready_and_ends_by_what_the_server_accepts() {
    // DEV-23
    let report = tempfile::NamedTempFile::new().unwrap();
    let server = Server::start().await;
    let device = server.device(|config| {
        config.until_shares = Some(3);
        config.report_file = Some(report.path().to_owned());
    });
    let mut link = server.mining().await;
    for _ in 0..2 {
        let (id, _) = link.share().await;
        link.answer(&id, &Answer::Rejected(Rejection::low_difficulty()))
            .await;
    }
    for _ in 0..3 {
        let (id, _) = link.share().await;
        link.answer(&id, &Answer::True).await;
    }
    device.ended().await;
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(report.path()).unwrap()).unwrap();
    assert_eq!(report["shares_accepted"], 3);
    assert_eq!(report["shares_rejected"]["Low difficulty share (23)"], 2);
    assert_eq!(report["connections"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_miners_of_one_device_have_a_connection_each() {
    let server = Server::start().await;
    let device = server.device(|config| config.channels = 3);
    let mut links = Vec::new();
    for tip in 1..=3 {
        let (mut link, _) = server.inside(Some(MASK)).await;
        link.say(&Notice::SetDifficulty(EASY)).await;
        link.say(&Notice::Notify(job("same", tip, true))).await;
        links.push((link, job("same", tip, true)));
    }
    for (link, job) in &mut links {
        for _ in 0..5 {
            let share = link.share().await.1;
            let hash = hash(job, &EXTRANONCE1, MASK, &share);
            assert!(hash <= difficulty::target(EASY).unwrap());
        }
    }
    device.stop().await;
}
