use proptest::prelude::*;
use protocol::client::{Assignment, MerkleSource};
use sv1::dialogue::{Dialogue, Turn};
use sv1::{FromServer, Json, Notify};

use super::*;
use crate::testing::{NTIME, PREFIX, SIZE, assignment, now, target};
use crate::work::Origin;

const E1: [u8; 4] = [0, 0, 0, 0x2a];
const ORIGIN: Origin = Origin {
    upstream: 0,
    session: 1,
    channel_id: 5,
    job_id: 77,
};

/// A miner's connection, and what was said on it.
struct Play {
    miner: Miner,
    now: Now,
    out: Out,
    next_id: u64,
}

/// Everything that came of one step.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    events: Vec<MinerEvent>,
}

impl Said {
    fn notices(&self) -> Vec<Notice<'_>> {
        let read = |line: &'_ String| match sv1::from_server(line.as_bytes()) {
            Ok(FromServer::Notice(_, _)) => Some(()),
            _ => None,
        };
        let lines = self.lines.iter().filter(|line| read(line).is_some());
        let notice = |line| match sv1::from_server(line) {
            Ok(FromServer::Notice(_, notice)) => notice,
            other => panic!("{other:?}"),
        };
        lines.map(|line| notice(line.as_bytes())).collect()
    }

    fn jobs(&self) -> Vec<Notify> {
        let job = |notice| match notice {
            Notice::Notify(notify) => Some(notify),
            _ => None,
        };
        self.notices().into_iter().filter_map(job).collect()
    }

    fn difficulties(&self) -> Vec<f64> {
        let difficulty = |notice| match notice {
            Notice::SetDifficulty(difficulty) => Some(difficulty),
            _ => None,
        };
        self.notices().into_iter().filter_map(difficulty).collect()
    }

    /// The answer to a call: the code of its rejection, or 0.
    #[track_caller]
    fn code(&self) -> i64 {
        match sv1::from_server(self.lines[0].as_bytes()) {
            Ok(FromServer::Reply(_, Ok(_))) => 0,
            Ok(FromServer::Reply(_, Err(rejection))) => rejection.code,
            other => panic!("{other:?}"),
        }
    }

    fn accepted(&self) -> Vec<&Accepted> {
        self.events.iter().filter_map(accepted_of).collect()
    }
}

fn accepted_of(event: &MinerEvent) -> Option<&Accepted> {
    match event {
        MinerEvent::Accepted(accepted) => Some(accepted),
        _ => None,
    }
}

impl Play {
    fn new(policy: Policy) -> Self {
        Self {
            miner: Miner::new(Arc::new(policy)),
            now: now(),
            out: Outbox::default(),
            next_id: 1,
        }
    }

    /// Subscribed and authorized.
    fn ready(policy: Policy) -> Self {
        let mut play = Self::new(policy);
        play.subscribe("test/1");
        play.authorize("farm.rig", "x");
        play
    }

    fn pass(&mut self, seconds: u64) {
        self.now.instant += Duration::from_secs(seconds);
        self.now.unix += seconds;
    }

    fn said(&mut self) -> Said {
        let bytes = std::mem::take(self.out.frames());
        let text = String::from_utf8(bytes).unwrap();
        Said {
            lines: text.lines().map(str::to_owned).collect(),
            events: self.out.take_events().collect(),
        }
    }

    fn hear(&mut self, text: &str) -> Said {
        let text = format!("{text}\n");
        self.miner
            .received(self.now, text.as_bytes(), &mut self.out);
        self.said()
    }

    fn call(&mut self, method: &str, params: &str) -> Said {
        self.next_id += 1;
        let line = format!(
            r#"{{"id":{},"method":"{method}","params":{params}}}"#,
            self.next_id
        );
        self.hear(&line)
    }

    fn tell(&mut self, input: MinerInput) -> Said {
        self.miner.input(self.now, input, &mut self.out);
        self.said()
    }

    fn wake(&mut self) -> Said {
        self.miner.wake(self.now, &mut self.out);
        self.said()
    }

    fn subscribe(&mut self, agent: &str) -> Said {
        self.call("mining.subscribe", &format!(r#"["{agent}"]"#));
        self.tell(MinerInput::Seated(Extranonce::new(&E1).unwrap()))
    }

    fn authorize(&mut self, user: &str, password: &str) -> Said {
        self.call("mining.authorize", &format!(r#"["{user}","{password}"]"#))
    }

    fn work(&mut self, work: &Arc<Work>) -> Said {
        self.tell(MinerInput::Work(Some(Arc::clone(work))))
    }

    fn submit(&mut self, share: &Share<'_>) -> Said {
        let Share {
            user,
            job,
            extranonce2,
            ntime,
            nonce,
            bits,
        } = share;
        let bits = bits
            .map(|bits| format!(r#","{bits:08x}""#))
            .unwrap_or_default();
        let params =
            format!(r#"["{user}","{job}","{extranonce2}","{ntime:08x}","{nonce:08x}"{bits}]"#);
        self.call("mining.submit", &params)
    }
}

#[derive(Clone, Copy)]
struct Share<'a> {
    user: &'a str,
    job: &'a str,
    extranonce2: &'a str,
    ntime: u32,
    nonce: u32,
    bits: Option<u32>,
}

const SHARE: Share<'_> = Share {
    user: "farm.rig",
    job: "1",
    extranonce2: "00000001",
    ntime: NTIME,
    nonce: 0,
    bits: None,
};

/// Job `id` of ours, which the upstream takes at `target`.
fn work(id: u32, tip: u8, target: Target) -> Arc<Work> {
    work_of(id, &assignment(5, 77, tip, target), true)
}

fn work_of(id: u32, assignment: &Assignment, clean: bool) -> Arc<Work> {
    Arc::new(Work::new(id, ORIGIN, assignment, 4, clean).unwrap())
}

/// Every hash is a share, for the miner and for the upstream.
fn easy(id: u32, tip: u8) -> Arc<Work> {
    work(id, tip, Target::MAX)
}

#[test]
fn a_miner_gets_its_extranonce_and_then_a_job_whatever_it_says_first() {
    // PROXY-14, 30: configure, subscribe, authorize; or authorize first; with work there or later.
    for order in ["csa", "sca", "sac", "asc", "acs", "sa", "as"] {
        let mut play = Play::new(Policy::default());
        play.work(&easy(1, 1));
        let mut last = Said::default();
        for call in order.chars() {
            if !play.miner.is_set_up() {
                assert!(last.jobs().is_empty(), "{order}: not yet");
            }
            last = match call {
                'c' => play.call("mining.configure", r#"[["version-rolling"],{}]"#),
                'a' => play.authorize("farm.rig", "x"),
                _ => play.subscribe("test/1"),
            };
            assert_eq!(last.code(), 0);
        }
        if order.ends_with('c') {
            continue;
        }
        assert!(play.miner.is_set_up());
        assert_eq!(last.jobs().len(), 1, "{order}: {last:?}");
    }
    let mut play = Play::new(Policy::default());
    let said = play.subscribe("test/1");
    let Ok(FromServer::Reply(_, Ok(result))) = sv1::from_server(said.lines[0].as_bytes()) else {
        panic!("{said:?}");
    };
    let subscribed = Subscribed::read(result).unwrap();
    assert_eq!(&*subscribed.extranonce1, E1);
    assert_eq!(subscribed.extranonce2_size, 4);
    // What it may ask for when it comes back.
    let again = play.call("mining.subscribe", r#"["test/1","0000002a"]"#);
    assert_eq!(again.lines.len(), 1, "the same seat once more");
    // Who asks twice before the answer is there hears of both.
    let mut play = Play::new(Policy::default());
    assert!(play.call("mining.subscribe", "[]").lines.is_empty());
    assert_eq!(play.call("mining.subscribe", "[]").code(), 20);
    let mut play = Play::new(Policy::default());
    let said = play.call(
        "mining.subscribe",
        &format!(r#"["x","{}"]"#, subscribed.session),
    );
    assert!(matches!(
        said.events[..],
        [_, MinerEvent::Subscribe(Some(0x2a))]
    ));
}

#[test]
fn a_job_reads_as_the_upstream_s() {
    // PROXY-11, 15: prefix, padding, then what is the miner's own.
    let mut play = Play::ready(Policy::default());
    let said = play.work(&easy(0x1b, 3));
    let [notify] = &said.jobs()[..] else {
        panic!("{said:?}");
    };
    let padding = [0; SIZE - 4 - 4];
    let coinb1 = [&[0x11; 40][..], &PREFIX, &padding].concat();
    assert_eq!(notify.coinb1, coinb1);
    assert_eq!(notify.coinb2, [0x22; 60]);
    assert_eq!(notify.merkle_path, [[7; 32], [8; 32]]);
    assert_eq!(notify.job_id, "1b");
    assert_eq!((notify.prev_hash, notify.ntime), ([3; 32], NTIME));
    assert!(notify.clean_jobs);
}

#[test]
fn a_job_that_was_not_stripped_is_stripped() {
    // PROXY-17
    let mut plain = vec![2, 0, 0, 0];
    let mut rest = vec![1];
    rest.extend([0; 32]);
    rest.extend([0xff; 4]);
    rest.push((2 + PREFIX.len() + SIZE) as u8);
    rest.extend([1, 102]);
    rest.extend(PREFIX);
    let outputs = [&[0xff; 4][..], &[1], &[0; 8], &[1, 0x51]].concat();
    let witness = [&[1, 32][..], &[0; 32]].concat();
    let with_marker = [&plain[..], &[0, 1], &rest].concat();
    plain.extend(rest);
    let stripped = |prefix: Vec<u8>, suffix: Vec<u8>| {
        let mut assignment = assignment(5, 77, 1, Target::MAX);
        assignment.merkle = MerkleSource::Coinbase {
            prefix,
            suffix,
            path: Vec::new(),
            extranonce_size: SIZE,
        };
        let work = work_of(1, &assignment, true);
        (work.notify.coinb1.clone(), work.notify.coinb2.clone())
    };
    let bare = stripped(plain, [&outputs[..], &[0; 4]].concat());
    let unstripped = [&outputs[..], &witness, &[0; 4]].concat();
    assert_eq!(stripped(with_marker, unstripped), bare);
}

#[test]
fn a_share_goes_upstream_with_everything_it_needs() {
    // PROXY-13, 20
    let mut play = Play::new(Policy::default());
    play.call(
        "mining.configure",
        r#"[["version-rolling"],{"version-rolling.mask":"1fffe000"}]"#,
    );
    play.subscribe("test/1");
    play.authorize("farm.rig", "x");
    let work = easy(1, 1);
    play.work(&work);
    let said = play.submit(&Share {
        ntime: NTIME + 5,
        nonce: 9,
        bits: Some(0x0000_6000),
        ..SHARE
    });
    assert_eq!(said.code(), 0);
    let [accepted] = &said.accepted()[..] else {
        panic!("{said:?}");
    };
    let share = &accepted.share;
    assert_eq!((share.channel_id, share.job_id), (5, 77));
    assert_eq!(share.version, 0x2000_6000);
    assert_eq!((share.ntime, share.nonce), (NTIME + 5, 9));
    assert_eq!(share.extranonce.len(), SIZE);
    assert_eq!(share.extranonce, [0, 0, 0, 0, 0, 0x2a, 0, 0, 0, 1]);
    assert_eq!(share.worker.as_deref(), Some("farm.rig"));
    // The hash is that of the header which the job and these fields make.
    let whole = [&E1[..], &[0, 0, 0, 1]];
    let header = work
        .notify
        .header(&whole, share.version, share.ntime, share.nonce);
    assert_eq!(share.hash, protocol::sha256d::header(&header));
}

/// Shares that are wrong in one thing each, with the code of their rejection.
fn wrong() -> Vec<(i64, Share<'static>)> {
    vec![
        (
            24,
            Share {
                user: "farm.other",
                ..SHARE
            },
        ),
        (21, Share { job: "2", ..SHARE }),
        (
            21,
            Share {
                job: "1#1",
                ..SHARE
            },
        ),
        (
            21,
            Share {
                job: "\u{e9}",
                ..SHARE
            },
        ),
        (
            20,
            Share {
                extranonce2: "000001",
                ..SHARE
            },
        ),
        (
            20,
            Share {
                extranonce2: "0000000001",
                ..SHARE
            },
        ),
        (
            20,
            Share {
                extranonce2: "zz",
                ..SHARE
            },
        ),
        (
            20,
            Share {
                ntime: NTIME - 1,
                ..SHARE
            },
        ),
        (
            20,
            Share {
                ntime: NTIME + 7201,
                ..SHARE
            },
        ),
        (
            20,
            Share {
                bits: Some(0x2000),
                ..SHARE
            },
        ),
    ]
}

#[test]
fn each_way_to_be_wrong_has_its_code() {
    // PROXY-23
    let mut play = Play::new(Policy::default());
    assert_eq!(play.submit(&SHARE).code(), 25);
    play.subscribe("test/1");
    assert_eq!(play.submit(&SHARE).code(), 24);
    play.authorize("farm.rig", "x");
    assert_eq!(play.submit(&SHARE).code(), 21, "no job yet");
    play.work(&easy(1, 1));
    for (code, share) in wrong() {
        let said = play.submit(&share);
        assert_eq!(said.code(), code, "{said:?}");
        assert!(said.accepted().is_empty());
    }
    assert_eq!(play.submit(&SHARE).code(), 0);
    assert_eq!(play.submit(&SHARE).code(), 22);
    // No name stands for the only one.
    let nameless = Share {
        user: "",
        nonce: 1,
        ..SHARE
    };
    assert_eq!(play.submit(&nameless).code(), 0);
    // None of one's own share is easy: every one of a hundred but a few is refused.
    let hard = Policy {
        least_hash_rate: 1e9,
        ..Policy::default()
    };
    let mut play = Play::ready(hard);
    play.work(&work(1, 1, target(1e18)));
    assert_eq!(play.submit(&SHARE).code(), 23);
}

#[test]
fn the_bits_of_the_version_that_may_be_changed_follow_the_job() {
    // PROXY-19
    let configure = r#"[["version-rolling"],{"version-rolling.mask":"ffffffff","version-rolling.min-bit-count":2}]"#;
    let mut play = Play::ready(Policy::default());
    let said = play.call("mining.configure", configure);
    assert!(
        said.lines[0].contains(r#""version-rolling.mask":"1fffffe0""#),
        "{said:?}"
    );
    let mut fixed = assignment(5, 77, 1, Target::MAX);
    fixed.version_mask = 0;
    let said = play.work(&work_of(1, &fixed, true));
    assert!(matches!(said.notices()[0], Notice::SetVersionMask(0)));
    let rolled = Share {
        bits: Some(0x2000),
        ..SHARE
    };
    assert_eq!(play.submit(&rolled).code(), 20);
    let said = play.work(&easy(2, 1));
    assert!(matches!(
        said.notices()[0],
        Notice::SetVersionMask(0x1fff_ffe0)
    ));
    assert_eq!(play.submit(&Share { job: "2", ..rolled }).code(), 0);
    // Some firmware sends the whole version.
    let whole = Share {
        job: "2",
        bits: Some(0x2000_4000),
        ..SHARE
    };
    assert_eq!(play.submit(&whole).code(), 0);

    let mut play = Play::ready(Policy::default());
    play.work(&work_of(1, &fixed, true));
    let said = play.call("mining.configure", configure);
    assert!(
        said.lines[0].contains(r#""version-rolling":false"#),
        "{said:?}"
    );
}

#[test]
fn a_new_tip_ends_the_jobs_before_it_and_a_better_job_does_not() {
    // PROXY-16, 26
    let mut play = Play::ready(Policy::default());
    play.work(&easy(1, 1));
    let better = work_of(2, &assignment(5, 78, 1, Target::MAX), false);
    let said = play.work(&better);
    assert!(!said.jobs()[0].clean_jobs);
    assert_eq!(play.submit(&SHARE).code(), 0, "still good");
    // Whoever skipped a job between the two hears that all are over from the next one.
    let skipped = work_of(4, &assignment(5, 79, 2, Target::MAX), false);
    let said = play.work(&skipped);
    assert!(said.jobs()[0].clean_jobs);
    for job in ["1", "2"] {
        assert_eq!(
            play.submit(&Share {
                job,
                nonce: 5,
                ..SHARE
            })
            .code(),
            21
        );
    }
    assert_eq!(play.submit(&Share { job: "4", ..SHARE }).code(), 0);
}

#[test]
fn a_difficulty_holds_for_the_jobs_behind_it() {
    // PROXY-18, 28
    let follow = Policy {
        vardiff: false,
        ..Policy::default()
    };
    let mut play = Play::ready(follow);
    let said = play.work(&easy(1, 1));
    assert!(said.difficulties()[0] <= 1.000_001 * sv1::difficulty::EASIEST);
    assert!(said.lines[0].contains("set_difficulty") && said.lines[1].contains("notify"));
    // The upstream wants more from its next job on.
    let hard = target(1e12);
    let said = play.work(&work_of(2, &assignment(5, 78, 1, hard), false));
    let [told] = said.difficulties()[..] else {
        panic!("{said:?}");
    };
    assert!(said.lines[0].contains("set_difficulty"));
    // A share that meets what the miner was told meets what the upstream wants.
    assert!(sv1::difficulty::target(told).unwrap() <= hard);
    assert_eq!(play.submit(&SHARE).code(), 0, "the job before has its own");
    assert_eq!(play.submit(&Share { job: "2", ..SHARE }).code(), 23);
    // The same again is not told again.
    let said = play.work(&work_of(3, &assignment(5, 79, 1, hard), false));
    assert!(said.difficulties().is_empty());
}

#[test]
fn shares_that_the_upstream_does_not_take_stay_here() {
    // PROXY-22
    let mut play = Play::ready(Policy {
        least_hash_rate: 0.001,
        ..Policy::default()
    });
    play.work(&work(1, 1, target(1e15)));
    let said = play.submit(&SHARE);
    assert_eq!(said.code(), 0);
    assert!(!said.accepted()[0].is_wanted);
    // Unless it is a block, which on regtest half of all hashes are.
    let mut regtest = assignment(5, 78, 2, target(1e15));
    regtest.n_bits = 0x207f_ffff;
    play.work(&work_of(2, &regtest, true));
    let found = (0..64).any(|nonce| {
        let said = play.submit(&Share {
            job: "2",
            nonce,
            ..SHARE
        });
        said.accepted()
            .iter()
            .any(|share| share.is_block && share.is_wanted)
    });
    assert!(found);
}

#[test]
fn a_miner_without_a_job_for_too_long_gets_the_same_one_at_a_later_time() {
    let mut play = Play::ready(Policy::default());
    play.work(&easy(9, 1));
    assert_eq!(play.submit(&Share { job: "9", ..SHARE }).code(), 0);
    let mut ids = Vec::new();
    let mut last = NTIME;
    for _ in 0..3 {
        play.pass(61);
        let said = play.wake();
        let jobs = said.jobs();
        let again = jobs.iter().find(|job| job.job_id.contains('#')).unwrap();
        assert!(!again.clean_jobs);
        assert!(again.ntime >= last + 60, "nothing is sought twice");
        last = again.ntime;
        ids.push(again.job_id.clone());
    }
    assert_eq!(ids, ["9#1", "9#2", "9#3"]);
    for job in ["9", "9#1", "9#3"] {
        let share = Share {
            job,
            nonce: 3,
            ntime: last,
            ..SHARE
        };
        let said = play.submit(&share);
        // The upstream knows one job only, and one share of it.
        assert_eq!(said.code(), if job == "9" { 0 } else { 22 });
    }
    let never = Policy {
        keep_alive: None,
        vardiff: false,
        ..Policy::default()
    };
    let mut play = Play::ready(never);
    play.work(&easy(1, 1));
    assert_eq!(play.miner.deadline(), None);
}

#[test]
fn while_no_upstream_gives_work_the_miner_stays_and_then_goes_on() {
    // PROXY-25, 26: its extranonce is its own, whatever the next upstream's is.
    let mut play = Play::ready(Policy::default());
    play.work(&easy(1, 1));
    let said = play.tell(MinerInput::Work(None));
    assert!(said.lines.is_empty() && !play.out.is_closing());
    assert_eq!(play.submit(&SHARE).code(), 21);
    play.pass(500);
    assert!(play.wake().lines.is_empty());
    let mut other = assignment(6, 1, 1, Target::MAX);
    let MerkleSource::Coinbase {
        prefix,
        extranonce_size,
        ..
    } = &mut other.merkle
    else {
        unreachable!("it is an extended job");
    };
    *prefix = vec![0x33; 44];
    *extranonce_size = 8;
    let said = play.work(&work_of(2, &other, false));
    assert!(said.jobs()[0].clean_jobs);
    assert_eq!(said.jobs()[0].coinb1, [0x33; 44]);
    let said = play.submit(&Share { job: "2", ..SHARE });
    assert_eq!(
        said.accepted()[0].share.extranonce,
        [0, 0, 0, 0x2a, 0, 0, 0, 1]
    );
}

#[test]
fn what_cannot_be_read_is_answered_and_ends_the_connection_only_when_repeated() {
    // PROXY-23
    let mut play = Play::ready(Policy::default());
    for _ in 0..3 {
        for _ in 0..MAX_NONSENSE - 1 {
            let said = play.hear("this is not JSON");
            assert_eq!(said.code(), 20);
            assert!(!play.out.is_closing());
        }
        assert_eq!(play.call("mining.ping", "[]").code(), 0);
    }
    for _ in 0..MAX_NONSENSE {
        play.hear("{\"id\":1,\"method\":\"mining.submit\",\"params\":[]}");
    }
    assert!(play.out.is_closing());

    let mut play = Play::new(Policy::default());
    let said = play.hear(&"x".repeat(20_000));
    assert_eq!(said.code(), 20);
    assert!(matches!(said.events[..], [MinerEvent::LineTooLong]));
    assert!(play.out.is_closing());
}

#[test]
fn calls_nobody_knows_are_refused_without_a_grudge() {
    let mut play = Play::ready(Policy::default());
    for _ in 0..50 {
        let said = play.call("mining.get_transactions", "[\"1\"]");
        assert_eq!(said.code(), 20);
    }
    assert!(!play.out.is_closing());
    assert_eq!(play.call("mining.extranonce.subscribe", "[]").code(), 0);
    // An answer to a question is nothing to be answered.
    assert!(
        play.hear(r#"{"id":1,"result":"cgminer/4.12.1","error":null}"#)
            .lines
            .is_empty()
    );
}

/// What a miner is told first that talks like this.
fn first_difficulty(policy: Policy, agent: &str, password: &str, calls: &[(&str, &str)]) -> f64 {
    let mut play = Play::new(policy);
    play.subscribe(agent);
    for (method, params) in calls {
        assert_eq!(play.call(method, params).code(), 0, "{method}");
    }
    play.authorize("farm.rig", password);
    let said = play.work(&work(1, 1, target(1e18)));
    said.difficulties()[0]
}

#[test]
fn the_first_difficulty_is_right_for_a_cpu_and_for_a_machine() {
    let seconds = |agent: &str, hash_rate: f64| {
        let told = first_difficulty(Policy::default(), agent, "x", &[]);
        sv1::difficulty::target(told).unwrap().hashes() / hash_rate
    };
    // Six shares a minute are wanted.
    for (agent, hash_rate) in [
        ("cpuminer/2.5.1", 5e6),
        ("bitaxe/BM1370/v2.6.0", 1.2e12),
        ("bosminer-plus-tuner 0.2", 1e14),
        ("unheard-of/1", 1e7),
    ] {
        let seconds = seconds(agent, hash_rate);
        assert!(
            (5.0..20.0).contains(&seconds),
            "{agent}: {seconds} s for a share"
        );
    }
    // And it may say so itself: 200 TH/s.
    let wish = 200e12 * 10.0 / protocol::target::HASHES_PER_DIFFICULTY;
    let params = format!("[{wish}]");
    let told = first_difficulty(
        Policy::default(),
        "",
        "x",
        &[("mining.suggest_difficulty", &params)],
    );
    assert!((told / wish - 1.0).abs() < 0.01, "{told} for {wish}");
}

#[test]
fn wishes_are_kept_to_within_limits() {
    let limited = || Policy {
        wishes: 0.01..=1000.0,
        ..Policy::default()
    };
    let suggest = |value: &'static str| [("mining.suggest_difficulty", value)];
    for (password, calls, told) in [
        ("d=500", &[][..], 500.0),
        ("x,d=0.5", &[], 0.5),
        ("d=5e9", &[], 1000.0),
        ("d=0.0001", &[], 0.01),
        ("x", &suggest("[64]"), 64.0),
        ("x", &suggest("[\"64\"]"), 64.0),
        ("x", &suggest("[1e9]"), 1000.0),
        // What is in the password is meant.
        ("d=8", &suggest("[64]"), 8.0),
    ] {
        let seen = first_difficulty(limited(), "", password, calls);
        assert!(
            (seen / told - 1.0).abs() < 1e-6,
            "{password}, {calls:?}: {seen}"
        );
    }
    for nonsense in ["d=", "d=-1", "d=nan", "d=inf", "difficulty"] {
        let seen = first_difficulty(limited(), "", nonsense, &[]);
        assert!(seen < 1.0, "{nonsense}: {seen}");
    }
    let least = [(
        "mining.configure",
        r#"[["minimum-difficulty"],{"minimum-difficulty.value":100}]"#,
    )];
    assert_eq!(first_difficulty(limited(), "", "x", &least), 100.0);
    let target = [(
        "mining.suggest_target",
        r#"["00000000ffff0000000000000000000000000000000000000000000000000000"]"#,
    )];
    assert_eq!(first_difficulty(limited(), "", "x", &target), 1.0);
}

#[test]
fn a_wish_made_later_holds_from_a_job_that_comes_at_once() {
    let mut play = Play::ready(Policy::default());
    play.work(&work(1, 1, target(1e18)));
    let said = play.call("mining.suggest_difficulty", "[1000]");
    assert_eq!(said.code(), 0, "the answer comes first");
    assert_eq!(said.difficulties(), [1000.0]);
    assert_eq!(said.jobs()[0].job_id, "1#1");
}

#[test]
fn nobody_is_held_to_more_than_the_upstream_pays() {
    // PROXY-18: never above, whatever is believed of the miner.
    let mut play = Play::new(Policy::default());
    play.subscribe("bosminer");
    play.authorize("farm.rig", "x");
    let said = play.work(&work(1, 1, target(1000.0)));
    let paid = sv1::difficulty::of(target(1000.0));
    let told = said.difficulties()[0];
    assert!((told / paid - 1.0).abs() < 1e-9, "{told} for {paid}");
}

#[test]
fn a_miner_faster_than_believed_gets_harder_shares_and_a_silent_one_easier() {
    let mut play = Play::ready(Policy {
        least_hash_rate: 1.0,
        ..Policy::default()
    });
    let said = play.work(&work(1, 1, target(1e18)));
    let first = said.difficulties()[0];
    let mut raised = Vec::new();
    for nonce in 0..5000 {
        play.now.instant += Duration::from_millis(1);
        let said = play.submit(&Share { nonce, ..SHARE });
        for told in said.difficulties() {
            assert!(said.jobs()[0].job_id.starts_with("1#"), "it holds at once");
            raised.push(told);
        }
    }
    let raised = raised.into_iter().fold(0.0, f64::max);
    assert!(raised > 10.0 * first, "{raised} after {first}");
    let mut eased = Vec::new();
    for _ in 0..20 {
        let Some(due) = play.miner.difficulty.deadline() else {
            break;
        };
        play.now.instant = play.now.instant.max(due);
        eased.extend(play.wake().difficulties());
    }
    assert!(eased.iter().any(|easier| *easier < raised), "{eased:?}");
    // What was fixed stays.
    let mut play = Play::new(Policy::default());
    play.subscribe("x");
    play.authorize("farm.rig", "d=0.00000001");
    play.work(&work(1, 1, target(1e18)));
    for nonce in 0..300 {
        play.now.instant += Duration::from_millis(1);
        assert!(
            play.submit(&Share { nonce, ..SHARE })
                .difficulties()
                .is_empty()
        );
    }
}

#[test]
fn the_hash_rate_is_told_when_it_is_known_and_when_it_changes() {
    // PROXY-29
    let rates = |said: &Said| -> Vec<f64> {
        let rate = |event: &MinerEvent| match event {
            MinerEvent::HashRate(rate) => Some(*rate),
            _ => None,
        };
        said.events.iter().filter_map(rate).collect()
    };
    let mut play = Play::new(Policy::default());
    play.subscribe("bitaxe");
    let said = play.authorize("farm.rig", "x");
    assert_eq!(rates(&said), [1e12]);
    play.work(&work(1, 1, target(1e18)));
    let said = play.call("mining.suggest_difficulty", "[1]");
    let [rate] = rates(&said)[..] else {
        panic!("{said:?}");
    };
    assert!((rate / 4.3e8 - 1.0).abs() < 0.01);
}

/// What the server answered then.
fn answer_to(id: &Json<'_>, turns: &[Turn]) -> Json<'static> {
    let answer = |turn: &Turn| match turn {
        Turn::Server(line) => {
            let mut json = Json::parse(line.as_bytes()).unwrap();
            let is_answer = json.take("method").is_null() && json.take("id") == *id;
            is_answer.then_some(json)
        }
        Turn::Miner(_) => None,
    };
    turns
        .iter()
        .find_map(answer)
        .expect("every call was answered")
}

#[test]
fn firmware_of_every_kind_is_served() {
    // PROXY-14, 23
    for Dialogue { name, turns } in Dialogue::all() {
        let mut play = Play::new(Policy::default());
        play.work(&easy(1, 1));
        let mut jobs = 0;
        for (at, turn) in turns.iter().enumerate() {
            let Turn::Miner(line) = turn else { continue };
            let mut said = play.hear(line);
            let asks = |event: &MinerEvent| matches!(event, MinerEvent::Subscribe(_));
            if said.events.iter().any(asks) {
                said = play.tell(MinerInput::Seated(Extranonce::new(&E1).unwrap()));
            }
            jobs += said.jobs().len();
            let mut call = Json::parse(line.as_bytes()).unwrap();
            if call.take("method").is_null() {
                assert!(said.lines.is_empty(), "{name}: {line}: {said:?}");
                continue;
            }
            let id = call.take("id");
            let mut answer = Json::parse(said.lines[0].as_bytes()).unwrap();
            assert_eq!(answer.take("id"), id, "{name}: {line}");
            // Its jobs are not ours, so its shares are not either.
            if !line.contains("mining.submit") {
                let mut recorded = answer_to(&id, &turns[at..]);
                let refused = recorded.take("error").is_null();
                assert_eq!(
                    answer.take("error").is_null(),
                    refused,
                    "{name}: {line}: {said:?}"
                );
            }
        }
        assert!(jobs > 0, "{name} never got a job");
        assert!(!play.out.is_closing(), "{name}");
    }
}

proptest! {
    #[test]
    fn no_bytes_hurt(chunks in proptest::collection::vec(
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "\\{\"id\":[0-9]{0,3},\"method\":\"mining\\.(submit|subscribe|authorize|configure)\",\"params\":\\[(\"[0-9a-f#]{0,10}\"|null|[0-9]{1,9}|,|\\[\\]){0,6}\\]\\}\n"
                .prop_map(String::into_bytes),
        ], 0..30))
    {
        let mut play = Play::ready(Policy::default());
        play.work(&easy(1, 1));
        for chunk in chunks {
            play.miner.received(play.now, &chunk, &mut play.out);
            if play.out.is_closing() {
                break;
            }
        }
        let said = play.said();
        for line in &said.lines {
            prop_assert!(sv1::from_server(line.as_bytes()).is_ok(), "{line}");
        }
    }
}
