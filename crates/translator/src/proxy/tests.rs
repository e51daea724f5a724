use protocol::client::FoundShare;
use protocol::payout::Payout;
use protocol::target::Target;
use sv1::Extranonce;

use super::*;
use crate::miner::Accepted;
use crate::testing::{SIZE, assignment, mined, now, target};

const ALL: Owner = None;

/// A proxy with upstreams 0 and 1.
struct Play {
    proxy: Proxy,
    now: Now,
}

impl Play {
    fn new(is_aggregated: bool) -> Self {
        Self::numbered_from(7, is_aggregated)
    }

    fn numbered_from(first: u32, is_aggregated: bool) -> Self {
        let terms = |account: &str| Terms {
            user_identity: account.to_owned(),
            payout: None,
        };
        Self {
            proxy: Proxy::new(
                is_aggregated,
                &Policy::default(),
                vec![terms("best"), terms("second")],
                first,
            ),
            now: now(),
        }
    }

    /// With both upstreams working: channel 5 at the first, 6 at the second.
    fn working() -> Self {
        Self::new(true).started()
    }

    fn started(self) -> Self {
        let mut play = self;
        for (upstream, channel) in [(0, 5), (1, 6)] {
            play.step(Input::Up(upstream));
            play.opened(upstream, 0, channel);
            play.job(upstream, channel, 1, 1);
        }
        play
    }

    /// With a channel of its own for each of two miners, 5 and 6, at the first upstream.
    fn split() -> Self {
        let mut play = Self::new(false);
        play.step(Input::Up(0));
        play.step(Input::Up(1));
        for (slot, channel) in [(0, 5), (1, 6)] {
            play.miner(slot);
            play.opened(0, slot as usize, channel);
            play.job(0, channel, 1, 1);
        }
        play
    }

    fn step(&mut self, input: Input) -> Vec<Action> {
        let mut out = Vec::new();
        self.proxy.step(self.now, input, &mut out);
        out
    }

    fn hear(&mut self, upstream: usize, event: ClientEvent) -> Vec<Action> {
        self.step(Input::Events(upstream, vec![event]))
    }

    fn opened(&mut self, upstream: usize, request: usize, channel_id: u32) -> Vec<Action> {
        self.hear(upstream, opened(request, channel_id, SIZE))
    }

    fn job(&mut self, upstream: usize, channel: u32, job: u32, tip: u8) -> Vec<Action> {
        self.hear(upstream, ClientEvent::Mine(mined(channel, job, tip)))
    }

    fn miner(&mut self, slot: u32) -> Vec<Action> {
        self.step(Input::Joined {
            slot,
            resumed: None,
        });
        self.step(Input::Authorized {
            slot,
            worker: format!("acct.rig{slot}").into(),
        })
    }

    fn rate(&mut self, slot: u32, rate: f64) -> Vec<Action> {
        self.step(Input::HashRate { slot, rate })
    }

    /// Time passes until something is due, if it is.
    fn pass(&mut self, seconds: u64) -> Vec<Action> {
        self.now.instant += Duration::from_secs(seconds);
        let mut out = Vec::new();
        self.proxy.wake(self.now, &mut out);
        out
    }

    fn share(&mut self, slot: u32, work: &Arc<Work>, nonce: u8) -> Vec<Action> {
        self.step(Input::Share {
            slot,
            accepted: Box::new(share(work, nonce)),
        })
    }
}

fn opened(request: usize, channel_id: u32, extranonce_size: usize) -> ClientEvent {
    ClientEvent::Opened {
        request,
        channel_id,
        target: target(4.0),
        extranonce_size,
    }
}

/// Its hash is told apart by `nonce`, and meets any target.
fn share(work: &Arc<Work>, nonce: u8) -> Accepted {
    let mut hash = [0; 32];
    hash[0] = nonce;
    Accepted {
        share: FoundShare {
            channel_id: work.origin.channel_id,
            job_id: work.origin.job_id,
            nonce: u32::from(nonce),
            ntime: 0,
            version: 0,
            extranonce: vec![0; SIZE],
            hash,
            worker: None,
            origin: 0,
        },
        hashes: 4.0,
        is_wanted: true,
        is_block: false,
        work: Arc::clone(work),
    }
}

/// What miners are given: to whom, and whose job.
fn given(actions: &[Action]) -> Vec<(Owner, Option<(usize, u32)>)> {
    let given = |action: &Action| match action {
        Action::Give(owner, work) => {
            let origin = work.as_ref().map(|work| work.origin);
            Some((
                *owner,
                origin.map(|origin| (origin.upstream, origin.job_id)),
            ))
        }
        _ => None,
    };
    actions.iter().filter_map(given).collect()
}

fn the_work(actions: &[Action]) -> Arc<Work> {
    let work = |action: &Action| match action {
        Action::Give(_, work) => work.clone(),
        _ => None,
    };
    actions.iter().find_map(work).unwrap()
}

fn told(actions: &[Action]) -> Vec<(usize, ClientInput)> {
    let told = |action: &Action| match action {
        Action::Tell(upstream, input) => Some((*upstream, input.clone())),
        _ => None,
    };
    actions.iter().filter_map(told).collect()
}

/// The updates of channels: upstream, channel, hash rate.
fn updates(actions: &[Action]) -> Vec<(usize, u32, f32)> {
    let update = |(upstream, input)| match input {
        ClientInput::Update {
            channel_id,
            nominal_hash_rate,
            ..
        } => Some((upstream, channel_id, nominal_hash_rate)),
        _ => None,
    };
    told(actions).into_iter().filter_map(update).collect()
}

/// The easiest targets the first upstream is allowed.
fn max_targets(actions: &[Action]) -> Vec<Target> {
    let max_target = |(upstream, input)| match input {
        ClientInput::Open(ChannelRequest { max_target, .. })
        | ClientInput::Update { max_target, .. }
            if upstream == 0 =>
        {
            Some(max_target)
        }
        _ => None,
    };
    told(actions).into_iter().filter_map(max_target).collect()
}

/// Ten million hashes a second, six times a minute.
fn first_target() -> Target {
    Target::one_in(1e8).unwrap()
}

fn fates(actions: &[Action]) -> Vec<(u32, Fate)> {
    let fate = |action: &Action| match action {
        Action::Fate(slot, fate) => Some((*slot, fate.clone())),
        _ => None,
    };
    actions.iter().filter_map(fate).collect()
}

fn requests(actions: &[Action]) -> Vec<(usize, ChannelRequest)> {
    let request = |(upstream, input)| match input {
        ClientInput::Open(request) => Some((upstream, request)),
        _ => None,
    };
    told(actions).into_iter().filter_map(request).collect()
}

#[test]
fn one_channel_is_opened_for_all_before_there_is_anybody() {
    // PROXY-02, 03, 12
    let mut play = Play::new(true);
    let actions = play.step(Input::Up(0));
    let [(0, request)] = &requests(&actions)[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(request.user_identity, "best");
    assert_eq!(request.nominal_hash_rate, 0.0);
    assert_eq!(request.max_target, first_target());
    assert_eq!(request.min_extranonce_size, Some(8));
    for slot in 0..20 {
        assert!(requests(&play.miner(slot)).is_empty());
    }
}

#[test]
fn every_miner_has_an_extranonce_of_its_own_and_may_have_its_old_one_again() {
    // PROXY-11, 14
    let mut play = Play::working();
    let mut seat = |slot, resumed| {
        let actions = play.step(Input::Joined { slot, resumed });
        match actions[..] {
            [Action::Seat(of, extranonce1), ..] if of == slot => extranonce1,
            ref other => panic!("{other:?}"),
        }
    };
    let bytes = |number: u32| Extranonce::new(&number.to_be_bytes()).unwrap();
    assert_eq!(seat(0, None), bytes(7));
    assert_eq!(seat(1, None), bytes(8));
    assert_eq!(seat(2, Some(8)), bytes(9), "it is taken");
    assert_eq!(seat(3, Some(4711)), bytes(4711));
    play.step(Input::Left(1));
    let mut seat = |slot, resumed| {
        let actions = play.step(Input::Joined { slot, resumed });
        match actions[..] {
            [Action::Seat(_, extranonce1), ..] => extranonce1,
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(seat(4, None), bytes(10), "not one that was just used");
    assert_eq!(seat(1, Some(8)), bytes(8));
}

#[test]
fn jobs_of_the_best_upstream_reach_the_miners_and_others_wait() {
    // PROXY-16
    let mut play = Play::working();
    let actions = play.job(0, 5, 2, 1);
    assert_eq!(given(&actions), [(ALL, Some((0, 2)))]);
    assert!(!the_work(&actions).notify.clean_jobs, "the same tip");
    let actions = play.job(0, 5, 3, 2);
    assert!(the_work(&actions).notify.clean_jobs, "a new tip");
    assert!(given(&play.job(1, 6, 9, 2)).is_empty());
    let actions = play.hear(0, ClientEvent::Rest { channel_id: 5 });
    assert_eq!(given(&actions), [(ALL, None)]);
}

#[test]
fn no_job_has_the_name_of_one_before_a_restart() {
    // PROXY-30
    let name = |first| {
        let mut play = Play::numbered_from(first, true).started();
        play.miner(0);
        let work = the_work(&play.job(0, 5, 2, 1));
        work.notify.job_id.clone()
    };
    assert_eq!(name(0x2000_0000), "20000001");
    // The last number is followed by the first.
    assert_eq!(name(u32::MAX), "0");
}

#[test]
fn an_upstream_that_is_lost_is_replaced_at_once_and_gets_the_miners_back() {
    // PROXY-26
    let mut play = Play::working();
    play.job(1, 6, 9, 1);
    let lost = Input::Lost {
        upstream: 0,
        reason: "gone".into(),
    };
    let actions = play.step(lost);
    assert_eq!(given(&actions), [(ALL, Some((1, 9)))]);
    assert!(the_work(&actions).notify.clean_jobs, "of somebody else");
    // Back at once, but it has failed.
    play.step(Input::Up(0));
    play.opened(0, 0, 15);
    assert!(given(&play.job(0, 15, 1, 1)).is_empty());
    let actions = play.pass(2);
    assert_eq!(given(&actions), [(ALL, Some((0, 1)))]);
    // With nobody left the miners wait, and go on the moment somebody is back, rested or not.
    for upstream in [1, 0] {
        let reason = "gone".into();
        play.step(Input::Lost { upstream, reason });
    }
    assert_eq!(play.proxy.active(), None);
    play.step(Input::Up(0));
    play.opened(0, 0, 25);
    assert_eq!(given(&play.job(0, 25, 4, 1)), [(ALL, Some((0, 4)))]);
}

#[test]
fn a_channel_that_is_closed_or_refused_or_too_small_fails_its_upstream() {
    // PROXY-12, 26
    let closed = ClientEvent::Closed {
        channel_id: 5,
        reason: "bye".into(),
    };
    let mut play = Play::working();
    let actions = play.hear(0, closed);
    assert_eq!(given(&actions), [(ALL, Some((1, 1)))]);
    // It is asked again after its rest.
    assert!(requests(&actions).is_empty());
    assert_eq!(requests(&play.pass(1)).len(), 1);

    let refused = ClientEvent::OpenRefused {
        request: 0,
        code: "no".into(),
    };
    for event in [refused, opened(0, 5, 7)] {
        let mut play = Play::new(true);
        play.step(Input::Up(0));
        let actions = play.hear(0, event);
        let failed =
            |action: &Action| matches!(action, Action::Report(Report::Failed { upstream: 0, .. }));
        assert!(actions.iter().any(failed), "{actions:?}");
        assert_eq!(requests(&play.pass(1)).len(), 1);
    }
}

#[test]
fn an_upstream_that_pays_somebody_else_is_not_worked_for() {
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let payout = Payout::parse(address, bitcoin::Network::Regtest).unwrap();
    let mut play = Play::new(true);
    play.proxy.terms[0].payout = Expected::of(payout);
    for (upstream, channel) in [(0, 5), (1, 6)] {
        play.step(Input::Up(upstream));
        play.opened(upstream, 0, channel);
    }
    assert_eq!(given(&play.job(1, 6, 1, 1)), [(ALL, Some((1, 1)))]);
    let actions = play.job(0, 5, 1, 1);
    assert!(given(&actions).is_empty());
    assert_eq!(told(&actions), [(0, ClientInput::Close { channel_id: 5 })]);
    let (state, reason) = play.proxy.state(0, play.now.instant);
    assert_eq!(state, State::Resting);
    assert!(reason.unwrap().contains("coinbase"));
}

#[test]
fn upstreams_hear_of_the_hash_rate_at_most_once_a_second() {
    // PROXY-04, 06, 29
    let mut play = Play::working();
    play.pass(5);
    play.miner(0);
    let actions = play.rate(0, 100.0);
    assert_eq!(updates(&actions), [(0, 5, 100.0)]);
    play.miner(1);
    assert!(updates(&play.rate(1, 50.0)).is_empty(), "too early");
    assert!(updates(&play.rate(0, 60.0)).is_empty());
    let due = play.proxy.deadline(play.now.instant).unwrap();
    assert!(due <= play.now.instant + Duration::from_secs(1));
    assert_eq!(updates(&play.pass(1)), [(0, 5, 110.0)]);
    play.pass(1);
    assert_eq!(updates(&play.step(Input::Left(0))), [(0, 5, 50.0)]);
    assert!(updates(&play.pass(10)).is_empty(), "nothing new");
    // Nobody mines at the upstream on standby, until it is worked for.
    let reason = "gone".into();
    let actions = play.step(Input::Lost {
        upstream: 0,
        reason,
    });
    assert_eq!(updates(&actions), [(1, 6, 50.0)]);
}

#[test]
fn not_every_hash_is_a_share_of_a_miner_that_the_upstream_knows_nothing_of() {
    // PROXY-03
    let mut play = Play::working();
    play.pass(5);
    play.miner(0);
    assert_eq!(max_targets(&play.rate(0, 100.0)), [Target::MAX]);
    play.pass(5);
    let actions = play.step(Input::Left(0));
    assert_eq!(updates(&actions), [(0, 5, 0.0)]);
    assert_eq!(max_targets(&actions), [first_target()]);
    // With a channel of its own, too.
    let mut play = Play::new(false);
    play.step(Input::Up(0));
    assert_eq!(max_targets(&play.miner(0)), [first_target()]);
}

#[test]
fn shares_are_sent_once_and_their_answers_reach_their_miners() {
    // PROXY-21, 24
    let mut play = Play::working();
    play.miner(0);
    play.miner(1);
    let work = the_work(&play.job(0, 5, 2, 1));
    for (slot, nonce) in [(0, 1), (1, 2), (0, 3)] {
        let actions = play.share(slot, &work, nonce);
        let [(0, ClientInput::Share(share))] = &told(&actions)[..] else {
            panic!("{actions:?}");
        };
        assert_eq!((share.channel_id, share.job_id), (5, 2));
        assert_eq!(fates(&actions), [(slot, Fate::Relayed)]);
        let submitted = ClientEvent::Submitted {
            share: share.clone(),
            sequence_number: 0,
        };
        play.hear(0, submitted);
    }
    let actions = play.share(1, &work, 2);
    assert_eq!(fates(&actions), [(1, Fate::Lost("duplicate"))]);
    let rejected = ClientEvent::Rejected {
        channel_id: 5,
        sequence_number: 1,
        code: "stale-share".into(),
    };
    let actions = play.hear(0, rejected);
    assert_eq!(fates(&actions), [(1, Fate::Rejected("stale-share".into()))]);
    let accepted = ClientEvent::Accepted {
        channel_id: 5,
        count: 2,
        last_sequence_number: 2,
    };
    let actions = play.hear(0, accepted);
    assert_eq!(fates(&actions), [(0, Fate::Accepted), (0, Fate::Accepted)]);
}

#[test]
fn a_block_that_misses_the_upstream_s_target_may_be_rejected_for_ever() {
    let mut play = Play::working();
    play.miner(0);
    let work = the_work(&play.job(0, 5, 2, 1));
    for nonce in 0..20 {
        let mut block = share(&work, nonce);
        block.share.hash[31] = 0xff;
        block.is_block = true;
        let accepted = Box::new(block);
        let actions = play.step(Input::Share { slot: 0, accepted });
        let (_, ClientInput::Share(share)) = told(&actions).remove(0) else {
            panic!("{actions:?}");
        };
        let sequence_number = u32::from(nonce);
        play.hear(
            0,
            ClientEvent::Submitted {
                share,
                sequence_number,
            },
        );
        let code = "difficulty-too-low".to_owned();
        let actions = play.hear(
            0,
            ClientEvent::Rejected {
                channel_id: 5,
                sequence_number,
                code: code.clone(),
            },
        );
        let reported = Report::Rejected {
            upstream: 0,
            code,
            is_mere_block: true,
        };
        let is_it =
            |action: &Action| matches!(action, Action::Report(report) if *report == reported);
        assert!(actions.iter().any(is_it), "{actions:?}");
        assert!(given(&actions).is_empty(), "nobody is sent elsewhere");
    }
}

#[test]
fn what_can_never_be_answered_is_lost_and_told() {
    // PROXY-26
    let mut play = Play::working();
    play.miner(0);
    let work = the_work(&play.job(0, 5, 2, 1));
    let actions = play.share(0, &work, 1);
    let (_, ClientInput::Share(sent)) = told(&actions).remove(0) else {
        panic!("{actions:?}");
    };
    play.hear(
        0,
        ClientEvent::Submitted {
            share: sent.clone(),
            sequence_number: 0,
        },
    );
    assert_eq!(
        fates(&play.hear(0, ClientEvent::Late(sent))),
        [(0, Fate::Lost("too-late"))]
    );
    let reason = "gone".into();
    let actions = play.step(Input::Lost {
        upstream: 0,
        reason,
    });
    assert_eq!(fates(&actions), [(0, Fate::Lost("upstream-lost"))]);
    // A share for it that was under way; and one for a connection that is not the present one.
    let lost = [(0, Fate::Lost("upstream-lost"))];
    assert_eq!(fates(&play.share(0, &work, 2)), lost);
    play.step(Input::Up(0));
    play.opened(0, 0, 5);
    play.job(0, 5, 2, 1);
    assert_eq!(fates(&play.share(0, &work, 3)), lost);
}

#[test]
fn an_upstream_that_rejects_good_shares_is_left_for_another() {
    let mut play = Play::working();
    play.miner(0);
    let work = the_work(&play.job(0, 5, 2, 1));
    let mut switched = Vec::new();
    for nonce in 0..5 {
        let actions = play.share(0, &work, nonce);
        let (_, ClientInput::Share(share)) = told(&actions).remove(0) else {
            panic!("{actions:?}");
        };
        let sequence_number = u32::from(nonce);
        play.hear(
            0,
            ClientEvent::Submitted {
                share,
                sequence_number,
            },
        );
        let rejected = ClientEvent::Rejected {
            channel_id: 5,
            sequence_number,
            code: "zzz".into(),
        };
        switched = given(&play.hear(0, rejected));
    }
    assert_eq!(switched, [(ALL, Some((1, 1)))]);
    // The only one there is stays the one.
    let reason = "gone".into();
    let actions = play.step(Input::Lost {
        upstream: 1,
        reason,
    });
    assert_eq!(given(&actions), [(ALL, Some((0, 2)))]);
}

#[test]
fn each_miner_has_a_channel_that_comes_and_goes_with_it() {
    // PROXY-05, 29
    let mut play = Play::new(false);
    play.step(Input::Up(0));
    assert_eq!(play.proxy.active(), Some(0));
    let actions = play.miner(3);
    let [(0, request)] = &requests(&actions)[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(request.user_identity, "best.rig3");
    play.opened(0, 0, 5);
    let actions = play.job(0, 5, 1, 1);
    assert_eq!(given(&actions), [(Some(3), Some((0, 1)))]);
    assert!(the_work(&actions).notify.clean_jobs);
    play.pass(2);
    assert_eq!(updates(&play.rate(3, 70.0)), [(0, 5, 70.0)]);
    let actions = play.step(Input::Left(3));
    assert_eq!(told(&actions), [(0, ClientInput::Close { channel_id: 5 })]);
    // One that left before its channel was there.
    play.miner(4);
    play.step(Input::Left(4));
    let actions = play.opened(0, 1, 6);
    assert_eq!(told(&actions), [(0, ClientInput::Close { channel_id: 6 })]);
}

#[test]
fn a_closed_channel_concerns_its_miner_only_and_is_opened_again() {
    // PROXY-26
    let mut play = Play::split();
    let closed = ClientEvent::Closed {
        channel_id: 5,
        reason: "bye".into(),
    };
    let actions = play.hear(0, closed);
    assert_eq!(given(&actions), [(Some(0), None)]);
    let actions = play.pass(1);
    let [(0, request)] = &requests(&actions)[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(request.user_identity, "best.rig0");
    play.opened(0, 2, 15);
    assert_eq!(given(&play.job(0, 15, 1, 1)), [(Some(0), Some((0, 1)))]);
    assert_eq!(given(&play.job(0, 6, 2, 1)), [(Some(1), Some((0, 2)))]);
    // One that is refused what others have cannot be served.
    play.miner(2);
    let refused = ClientEvent::OpenRefused {
        request: 3,
        code: "unknown-user".into(),
    };
    let actions = play.hear(0, refused);
    assert!(matches!(&actions[..], [Action::Close(2, reason)] if reason.contains("unknown-user")));
}

#[test]
fn all_channels_move_to_another_upstream_and_back() {
    // PROXY-26
    let mut play = Play::split();
    let reason = "gone".into();
    let actions = play.step(Input::Lost {
        upstream: 0,
        reason,
    });
    assert_eq!(given(&actions), [(Some(0), None), (Some(1), None)]);
    let asked = requests(&actions);
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].1.user_identity, "second.rig0");
    assert!(asked.iter().all(|(upstream, _)| *upstream == 1));
    play.opened(1, 0, 1);
    assert_eq!(given(&play.job(1, 1, 8, 1)), [(Some(0), Some((1, 8)))]);
    play.step(Input::Up(0));
    let actions = play.pass(2);
    assert!(told(&actions).contains(&(1, ClientInput::Close { channel_id: 1 })));
    let asked = requests(&actions);
    assert!(asked.len() == 2 && asked.iter().all(|(upstream, _)| *upstream == 0));
}

#[test]
fn a_job_for_a_channel_that_is_gone_is_nothing() {
    let mut play = Play::working();
    assert!(given(&play.job(0, 99, 1, 1)).is_empty());
    let nothing = ClientEvent::Rejected {
        channel_id: 99,
        sequence_number: 1,
        code: "x".into(),
    };
    assert!(play.hear(0, nothing).is_empty());
    // Neither is a standard job, which no miner could do anything with.
    let mut standard = assignment(5, 9, 1, Target::MAX);
    standard.merkle = protocol::client::MerkleSource::Root([0; 32]);
    let actions = play.hear(0, ClientEvent::Mine(Arc::new(standard)));
    assert_eq!(given(&actions), [(ALL, None)]);
}

#[test]
fn accounts_say_which_miner_it_is_unless_they_say_whom_to_pay() {
    for (account, worker, name) in [
        ("farm", Some("acct.rig1"), "farm.rig1"),
        ("farm", Some("rig1"), "farm.rig1"),
        ("farm", Some("acct."), "farm"),
        ("farm", None, "farm"),
        (
            "sri/solo/address/x",
            Some("acct.rig1"),
            "sri/solo/address/x",
        ),
    ] {
        assert_eq!(identity(account, worker), name);
    }
}
