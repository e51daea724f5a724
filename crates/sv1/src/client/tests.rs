use super::*;
use crate::dialogue::{Dialogue, Turn};
use crate::message::{FromMiner, from_miner};

const CHANNEL: u32 = 7;

/// A miner's end, and what it says.
struct Play {
    miner: Miner,
    now: Now,
    out: Out,
}

/// What a step brought.
#[derive(Debug)]
struct Step {
    said: Vec<String>,
    events: Vec<Event>,
    closed: Option<String>,
}

impl Play {
    fn new() -> Self {
        let identity = Identity {
            user: "account.worker".into(),
            password: "x".into(),
            agent: "test/1".into(),
            wanted_difficulty: None,
        };
        let now = Now {
            instant: Instant::now(),
            unix: 1_800_000_000,
        };
        Self {
            miner: Miner::new(identity, "pool.example", CHANNEL),
            now,
            out: Out::default(),
        }
    }

    /// Connected, subscribed and authorized, without a job.
    fn inside(configured: &str) -> Self {
        let mut play = Self::new();
        play.connect();
        play.answer(1, configured);
        play.answer(2, r#"[[["mining.notify","5e"]],"aabb",4]"#);
        let step = play.answer(3, "true");
        assert!(matches!(step.events[..], [Event::Authorized]), "{step:?}");
        play
    }

    fn connect(&mut self) -> Step {
        self.miner.connected(self.now, &mut self.out);
        self.step()
    }

    fn hear(&mut self, line: &str) -> Step {
        self.miner
            .received(self.now, line.as_bytes(), &mut self.out);
        self.step()
    }

    fn answer(&mut self, id: u64, result: &str) -> Step {
        self.hear(&format!(r#"{{"id":{id},"result":{result},"error":null}}"#))
    }

    fn told(&mut self, notice: &Notice<'_>) -> Step {
        let line = String::from_utf8(notice.line()).unwrap();
        self.hear(line.trim_end())
    }

    fn found(&mut self, share: FoundShare) -> Step {
        self.miner.found(self.now, share, &mut self.out);
        self.step()
    }

    fn step(&mut self) -> Step {
        let said = String::from_utf8(std::mem::take(self.out.frames())).unwrap();
        Step {
            said: said.lines().map(str::to_owned).collect(),
            events: self.out.take_events().collect(),
            closed: self.out.take_close(),
        }
    }
}

impl Step {
    fn assignment(&self) -> &Assignment {
        match &self.events[..] {
            [Event::Mine(assignment)] => assignment,
            other => panic!("not one assignment: {other:?}"),
        }
    }
}

fn job(job_id: &str, clean_jobs: bool) -> Notice<'static> {
    Notice::Notify(Notify {
        job_id: job_id.to_owned(),
        prev_hash: [1; 32],
        coinb1: vec![0xc1],
        coinb2: vec![0xc2],
        merkle_path: vec![[9; 32]],
        version: 0x2000_0000,
        n_bits: 0x207f_ffff,
        ntime: 1000,
        clean_jobs,
    })
}

fn share(job_id: u32, version: u32) -> FoundShare {
    FoundShare {
        channel_id: CHANNEL,
        job_id,
        nonce: 0xbeef,
        ntime: 1001,
        version,
        extranonce: vec![0, 0, 0, 1],
        hash: [0; 32],
        origin: 0,
        worker: None,
    }
}

const ROLLING: &str = r#"{"version-rolling":true,"version-rolling.mask":"1fffe000"}"#;

#[test]
fn a_miner_configures_subscribes_and_authorizes_at_once() {
    let mut play = Play::new();
    let said = play.connect().said;
    assert_eq!(
        said,
        [
            r#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffffe0","version-rolling.min-bit-count":2}]}"#,
            r#"{"id":2,"method":"mining.subscribe","params":["test/1"]}"#,
            r#"{"id":3,"method":"mining.authorize","params":["account.worker","x"]}"#,
        ]
    );
}

#[test]
fn a_wish_for_a_difficulty_comes_before_the_first_job_can() {
    let mut play = Play::new();
    play.miner.identity.wanted_difficulty = Some(1e-7);
    let said = play.connect().said;
    let wish = r#"{"id":3,"method":"mining.suggest_difficulty","params":[0.0000001]}"#;
    assert_eq!(said[2], wish);
    assert!(said[3].contains("mining.authorize"));
    // Some servers know no such call.
    let step = play.hear(r#"{"id":3,"result":null,"error":[20,"unknown method",null]}"#);
    assert!(step.events.is_empty() && step.closed.is_none(), "{step:?}");
}

#[test]
fn a_job_s_coinbase_has_extranonce1_behind_its_first_half() {
    // PROXY-15
    let mut play = Play::inside(ROLLING);
    let step = play.told(&job("a", true));
    let assignment = step.assignment();
    let merkle = MerkleSource::Coinbase {
        prefix: vec![0xc1, 0xaa, 0xbb],
        suffix: vec![0xc2],
        path: vec![[9; 32]],
        extranonce_size: 4,
    };
    assert_eq!(assignment.merkle, merkle);
    assert_eq!(
        (assignment.channel_id, assignment.min_ntime),
        (CHANNEL, 1000)
    );
    assert_eq!(assignment.version_mask, 0x1fff_e000);
    assert_eq!(assignment.target, default_target());
}

#[test]
fn a_job_that_comes_too_early_is_mined_once_the_miner_is_in() {
    for first in [2, 3] {
        let mut play = Play::new();
        play.connect();
        assert!(play.told(&job("a", true)).events.is_empty());
        let answers = [r#"[[],"aabb",4]"#, "true"];
        assert!(play.miner.deadline().is_some());
        play.answer(first, answers[first as usize - 2]);
        let second = 5 - first;
        let step = play.answer(second, answers[second as usize - 2]);
        assert!(
            matches!(step.events.last(), Some(Event::Mine(_))),
            "{step:?}"
        );
        assert_eq!(play.miner.deadline(), None);
    }
}

#[test]
fn difficulty_and_extranonce_change_with_the_next_job() {
    // PROXY-18, 25
    let mut play = Play::inside(ROLLING);
    play.told(&Notice::SetDifficulty(512.0));
    let first = play.told(&job("a", true));
    assert_eq!(Some(first.assignment().target), difficulty::target(512.0));
    assert!(play.told(&Notice::SetDifficulty(1e-9)).events.is_empty());
    let change = Notice::SetExtranonce {
        extranonce1: Extranonce::new(&[0xdd]).unwrap(),
        extranonce2_size: 6,
    };
    assert!(play.told(&change).events.is_empty());
    let second = play.told(&job("b", false));
    assert_eq!(Some(second.assignment().target), difficulty::target(1e-9));
    let MerkleSource::Coinbase {
        prefix,
        extranonce_size,
        ..
    } = &second.assignment().merkle
    else {
        panic!("a coinbase");
    };
    assert_eq!((&prefix[..], *extranonce_size), (&[0xc1, 0xdd][..], 6));
}

#[test]
fn a_share_is_sent_with_its_version_bits_where_they_may_change() {
    // PROXY-20
    let mut play = Play::inside(ROLLING);
    play.told(&job("a", true));
    let step = play.found(share(1, 0x2000_2000));
    assert_eq!(
        step.said,
        [
            r#"{"id":5,"method":"mining.submit","params":["account.worker","a","00000001","000003e9","0000beef","00002000"]}"#
        ]
    );
    for configured in ["null", r#"{"version-rolling":false}"#] {
        let mut play = Play::inside(configured);
        assert_eq!(play.told(&job("a", true)).assignment().version_mask, 0);
        let step = play.found(share(1, 0x2000_0000));
        let Ok(FromMiner::Call(_, Call::Submit(submit))) = from_miner(step.said[0].as_bytes())
        else {
            panic!("{step:?}");
        };
        assert_eq!(submit.version_bits, None);
    }
}

#[test]
fn a_share_of_a_job_that_is_over_is_not_sent() {
    // DEV-28
    let mut play = Play::inside(ROLLING);
    play.told(&job("a", true));
    play.told(&job("b", false));
    assert_eq!(play.found(share(1, 0x2000_0000)).said.len(), 1);
    play.told(&job("c", true));
    for number in [1, 2] {
        let step = play.found(share(number, 0x2000_0000));
        assert!(step.said.is_empty());
        assert!(matches!(step.events[..], [Event::Late(_)]));
    }
    assert_eq!(play.found(share(3, 0x2000_0000)).said.len(), 1);
}

#[test]
fn a_narrower_mask_ends_shares_with_other_bits_at_once() {
    // BIP310
    let mut play = Play::inside(ROLLING);
    play.told(&job("a", true));
    play.told(&Notice::SetVersionMask(0x0000_2000));
    assert_eq!(play.found(share(1, 0x2000_2000)).said.len(), 1);
    let step = play.found(share(1, 0x2000_4000));
    assert!(matches!(step.events[..], [Event::Late(_)]));
    let step = play.told(&job("b", false));
    assert_eq!(step.assignment().version_mask, 0x2000);
    // A mask can take no bit that Stratum V2 keeps for itself, and needs to be granted first.
    play.told(&Notice::SetVersionMask(u32::MAX));
    let step = play.told(&job("c", false));
    assert_eq!(step.assignment().version_mask, VERSION_ROLLING_MASK);
    let mut play = Play::inside("null");
    play.told(&Notice::SetVersionMask(u32::MAX));
    assert_eq!(play.told(&job("a", true)).assignment().version_mask, 0);
}

#[test]
fn each_share_gets_its_own_answer() {
    let mut play = Play::inside(ROLLING);
    play.told(&job("a", true));
    for _ in 0..4 {
        play.found(share(1, 0x2000_0000));
    }
    // In any order, and with ids that came back as text.
    let step = play.answer(7, "true");
    assert!(matches!(step.events[..], [Event::Accepted(_)]));
    let step = play.hear(r#"{"id":"5","result":null,"error":[21,"Job not found",null]}"#);
    let [Event::Rejected(_, why)] = &step.events[..] else {
        panic!("{step:?}");
    };
    assert_eq!(*why, Rejection::stale());
    let step = play.answer(6, "false");
    assert!(matches!(step.events[..], [Event::Rejected(..)]));
    // Twice the same, and to nothing at all.
    for id in [7, 99] {
        let step = play.answer(id, "true");
        assert!(matches!(step.events[..], [Event::Ignored(_)]));
    }
}

#[test]
fn a_server_that_never_answers_costs_no_memory() {
    let mut play = Play::inside(ROLLING);
    play.told(&job("a", true));
    for _ in 0..MAX_UNANSWERED + 10 {
        play.found(share(1, 0x2000_0000));
    }
    assert_eq!(play.miner.unanswered.len(), MAX_UNANSWERED);
}

#[test]
fn who_is_not_let_in_leaves_and_says_why() {
    let cases = [
        (
            r#"{"id":3,"result":false,"error":null}"#,
            "does not authorize \"account.worker\"",
        ),
        (
            r#"{"id":3,"result":null,"error":[24,"who?",null]}"#,
            "who? (24)",
        ),
        (
            r#"{"id":2,"result":null,"error":[20,"full",null]}"#,
            "full (20)",
        ),
        (r#"{"id":2,"result":true,"error":null}"#, "extranonce1"),
    ];
    for (line, why) in cases {
        let mut play = Play::new();
        play.connect();
        let closed = play.hear(line).closed.unwrap();
        assert!(closed.contains(why), "{closed}");
    }
    let mut play = Play::new();
    play.connect();
    play.miner.wake(&mut play.out);
    assert!(play.step().closed.is_some());
}

#[test]
fn a_server_that_says_nothing_while_a_share_waits_is_left() {
    let mut play = Play::inside(ROLLING);
    play.told(&job("a", true));
    assert_eq!(play.miner.deadline(), None);
    play.found(share(1, 0x2000_0000));
    let sent = play.now.instant;
    assert_eq!(play.miner.deadline(), Some(sent + SILENCE));
    // Anything said is a sign of life, and the first share since then counts.
    play.told(&Notice::SetDifficulty(1.0));
    assert_eq!(play.miner.deadline(), None);
    play.now.instant += SILENCE;
    for _ in 0..2 {
        play.found(share(1, 0x2000_0000));
        assert_eq!(play.miner.deadline(), Some(sent + 2 * SILENCE));
        play.now.instant += SILENCE / 2;
    }
    play.miner.wake(&mut play.out);
    let closed = play.step().closed.unwrap();
    assert!(closed.contains("said nothing"), "{closed}");
}

#[test]
fn questions_are_answered_with_their_id() {
    let mut play = Play::inside(ROLLING);
    let step = play.hear(r#"{"id":"q","method":"client.get_version","params":[]}"#);
    assert_eq!(step.said, [r#"{"id":"q","result":"test/1","error":null}"#]);
    let step = play.hear(r#"{"id":4,"method":"mining.ping"}"#);
    assert_eq!(step.said, [r#"{"id":4,"result":"pong","error":null}"#]);
}

#[test]
fn a_server_may_send_the_miner_to_another_port_but_to_no_other_host() {
    let reconnect = |host: Option<&'static str>| Notice::Reconnect {
        host: host.map(Into::into),
        port: Some(34256),
        wait: 2,
    };
    for host in [None, Some("pool.example")] {
        let step = Play::inside(ROLLING).told(&reconnect(host));
        let [Event::Reconnect { port, wait }] = step.events[..] else {
            panic!("{step:?}");
        };
        assert_eq!((port, wait), (Some(34256), Duration::from_secs(2)));
        assert!(step.closed.is_some());
    }
    let step = Play::inside(ROLLING).told(&reconnect(Some("evil.example")));
    assert!(matches!(step.events[..], [Event::Ignored(_)]));
    assert_eq!(step.closed, None);
}

#[test]
fn the_next_connection_asks_for_the_session_of_the_last() {
    // DEV-29
    let mut play = Play::inside(ROLLING);
    play.told(&job("a", true));
    let said = play.connect().said;
    assert_eq!(
        said[1],
        r#"{"id":2,"method":"mining.subscribe","params":["test/1","5e"]}"#
    );
    // What was mined before is over, also by its number.
    play.answer(2, r#"[[],"aabb",4]"#);
    play.answer(3, "true");
    assert_eq!(play.told(&job("a", true)).assignment().job_id, 2);
    let step = play.found(share(1, 0x2000_0000));
    assert!(matches!(step.events[..], [Event::Late(_)]));
}

#[test]
fn nonsense_is_ignored() {
    let mut play = Play::inside(ROLLING);
    let lines = [
        "",
        "{}",
        "nonsense",
        r#"{"id":null,"method":"mining.notify","params":[]}"#,
    ];
    for line in lines {
        let step = play.hear(line);
        assert!(
            matches!(step.events[..], [Event::Ignored(_)]),
            "{line}: {step:?}"
        );
        assert_eq!(step.closed, None);
    }
}

#[test]
fn what_servers_say_in_the_dialogues_is_followed() {
    for dialogue in Dialogue::all() {
        let mut play = Play::inside(ROLLING);
        let (mut jobs, mut mined) = (0, 0);
        for turn in &dialogue.turns {
            let Turn::Server(line) = turn else { continue };
            jobs += usize::from(line.contains("mining.notify\",\"params"));
            let step = play.hear(line);
            let is_job = |event: &&Event| matches!(event, Event::Mine(_));
            mined += step.events.iter().filter(is_job).count();
        }
        assert_eq!(mined, jobs, "{}", dialogue.name);
    }
}
