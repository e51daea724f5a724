use stratum_core::common_messages_sv2::ReconnectOwned;
use stratum_core::mining_sv2::{
    NewExtendedMiningJobOwned, OpenExtendedMiningChannelSuccessOwned, OpenMiningChannelErrorOwned,
    SetCustomMiningJobErrorOwned, SetCustomMiningJobOwned, SetExtranoncePrefixOwned,
    SetGroupChannelOwned, SetTargetOwned, SubmitSharesErrorOwned,
};

use super::*;
use crate::message::{CommonMessagesOwned, Message, option};
use crate::testing::{hear, said};
use crate::unanswered::MAX_UNANSWERED;

const CHANNEL: u32 = 7;
const GROUP: u32 = 1;

/// A client, and the pool a test plays.
struct Play {
    client: CustomWorkClient,
    out: Out,
    now: Now,
}

impl Play {
    fn connected() -> (Self, Vec<Message>) {
        let now = Now {
            instant: Instant::now(),
            unix: 1_800_000_000,
        };
        let mut client = CustomWorkClient::new(CustomChannel {
            user_identity: "miner".to_owned(),
            nominal_hash_rate: 5.0,
            min_extranonce_size: 14,
        });
        let first = client.connected(now);
        let play = Self {
            client,
            out: Out::default(),
            now,
        };
        (play, said(first))
    }

    /// With a prefix of 3 bytes and 16 more, of which 14 were asked for.
    fn opened() -> Self {
        let (mut play, _) = Self::connected();
        let events = play.hear(opened(16));
        assert!(matches!(&events[..], [CustomWorkEvent::Seated(s)] if **s == *seat()));
        play
    }

    /// With a job, which the pool calls 40.
    fn with_job() -> Self {
        let mut play = Self::opened();
        let request_id = play.set(1).request_id;
        play.hear(job_set(request_id, 40));
        play
    }

    fn hear(&mut self, message: MiningOwned) -> Vec<CustomWorkEvent> {
        hear(&mut self.client, self.now, message, &mut self.out);
        self.out.take_events().collect()
    }

    fn tell(&mut self, input: CustomWorkInput) -> Vec<CustomWorkEvent> {
        self.client.input(self.now, input, &mut self.out);
        self.out.take_events().collect()
    }

    fn said(&mut self) -> Vec<Message> {
        said(std::mem::take(self.out.frames()))
    }

    fn set(&mut self, job: u64) -> SetCustomMiningJobOwned {
        assert!(self.tell(CustomWorkInput::SetJob(custom(job))).is_empty());
        match self.said().pop() {
            Some(Message::Mining(MiningOwned::SetCustomMiningJob(message))) => message,
            other => panic!("{other:?}"),
        }
    }

    /// Submits a share and returns its sequence number.
    fn submit(&mut self, nonce: u32) -> u32 {
        assert!(self.tell(CustomWorkInput::Share(share(nonce))).is_empty());
        match self.said().pop() {
            Some(Message::Mining(MiningOwned::SubmitSharesExtended(message))) => {
                assert_eq!((message.channel_id, message.job_id), (CHANNEL, 40));
                assert_eq!(message.extranonce.as_bytes(), [3; 16]);
                message.sequence_number
            }
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, time: Duration) -> Option<String> {
        self.now.instant += time;
        if self
            .client
            .deadline()
            .is_some_and(|due| due <= self.now.instant)
        {
            self.client.wake(self.now, &mut self.out);
        }
        self.out.take_close()
    }
}

fn seat() -> Arc<Seat> {
    Arc::new(Seat {
        extranonce_prefix: vec![9; 3],
        extranonce_size: 16,
    })
}

fn opened(extranonce_size: u16) -> MiningOwned {
    MiningOwned::OpenExtendedMiningChannelSuccess(OpenExtendedMiningChannelSuccessOwned {
        request_id: 0,
        channel_id: CHANNEL,
        target: target(100).to_le_bytes().into(),
        extranonce_size,
        extranonce_prefix: vec![9; 3].try_into().unwrap(),
        group_channel_id: GROUP,
    })
}

fn target(hashes: u32) -> Target {
    Target::one_in(f64::from(hashes)).unwrap()
}

fn custom(job: u64) -> CustomJob {
    CustomJob {
        job,
        seat: seat(),
        token: vec![0xee; 20],
        version: 0x2000_0000,
        prev_hash: [1; 32],
        min_ntime: 1000,
        n_bits: 0x207f_ffff,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, 102, 19],
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_outputs: vec![1; 40],
        coinbase_tx_locktime: 101,
        merkle_path: vec![[8; 32], [9; 32]],
    }
}

fn share(nonce: u32) -> CustomShare {
    CustomShare {
        job: 1,
        job_id: 40,
        nonce,
        ntime: 1000,
        version: 0x2000_0000,
        extranonce: vec![3; 16],
        hash: [0; 32],
    }
}

fn job_set(request_id: u32, job_id: u32) -> MiningOwned {
    MiningOwned::SetCustomMiningJobSuccess(SetCustomMiningJobSuccess {
        channel_id: CHANNEL,
        request_id,
        job_id,
    })
}

fn set_target(channel_id: u32, hashes: u32) -> MiningOwned {
    MiningOwned::SetTarget(SetTargetOwned {
        channel_id,
        maximum_target: target(hashes).to_le_bytes().into(),
    })
}

fn accepted(last_sequence_number: u32, count: u32) -> MiningOwned {
    MiningOwned::SubmitSharesSuccess(SubmitSharesSuccess {
        channel_id: CHANNEL,
        last_sequence_number,
        new_submits_accepted_count: count,
        new_shares_sum: 0,
    })
}

fn rejected(sequence_number: u32) -> MiningOwned {
    MiningOwned::SubmitSharesError(SubmitSharesErrorOwned {
        channel_id: CHANNEL,
        sequence_number,
        error_code: text("zzz-unknown"),
    })
}

fn nonces(events: &[CustomWorkEvent]) -> Vec<u32> {
    match events {
        [CustomWorkEvent::Accepted { shares, .. }] => shares.iter().map(|s| s.nonce).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_extended_channel_is_opened() {
    // JDC-05
    let (_, first) = Play::connected();
    match &first[..] {
        [Message::Mining(MiningOwned::OpenExtendedMiningChannel(open))] => {
            assert_eq!(open.user_identity.as_utf8_or_hex(), "miner");
            assert_eq!(open.min_extranonce_size, 14);
            assert_eq!(open.nominal_hash_rate.to_bits(), 5.0f32.to_bits());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_channel_with_too_little_room_is_none() {
    // JDC-05
    for size in [13, 30] {
        let (mut play, _) = Play::connected();
        assert!(play.hear(opened(size)).is_empty());
        assert!(play.out.take_close().is_some(), "{size}");
    }
}

#[test]
fn a_job_is_set_with_every_field() {
    // JDC-16, 18
    let mut play = Play::opened();
    let message = play.set(1);
    assert_eq!(message.channel_id, CHANNEL);
    assert_eq!(message.token.as_bytes(), [0xee; 20]);
    assert_eq!(*message.prev_hash.as_array(), [1; 32]);
    assert_eq!((message.min_ntime, message.nbits), (1000, 0x207f_ffff));
    assert_eq!(message.version, 0x2000_0000);
    assert_eq!(message.coinbase_tx_version, 2);
    assert_eq!(message.coinbase_prefix.as_bytes(), [1, 102, 19]);
    assert_eq!(message.coinbase_tx_input_n_sequence, 0xffff_fffe);
    assert_eq!(message.coinbase_tx_outputs.as_bytes(), [1; 40]);
    assert_eq!(message.coinbase_tx_locktime, 101);
    let path: Vec<[u8; 32]> = message
        .merkle_path
        .iter()
        .map(|node| *node.as_array())
        .collect();
    assert_eq!(path, [[8; 32], [9; 32]]);
    assert_ne!(message.request_id, play.set(2).request_id);
}

#[test]
fn answers_are_told_apart_by_request() {
    // T-20, CONN-20
    let mut play = Play::opened();
    let (first, second) = (play.set(1).request_id, play.set(2).request_id);
    let events = play.hear(job_set(second, 41));
    assert!(matches!(
        events[..],
        [CustomWorkEvent::JobSet { job: 2, job_id: 41, target: t }] if t == target(100)
    ));
    let error = MiningOwned::SetCustomMiningJobError(SetCustomMiningJobErrorOwned {
        channel_id: CHANNEL,
        request_id: first,
        error_code: text("zzz-unknown"),
    });
    let events = play.hear(error);
    assert!(matches!(
        &events[..],
        [CustomWorkEvent::JobRefused { job: 1, code }] if code == "zzz-unknown"
    ));
    let events = play.hear(job_set(first, 42));
    assert!(matches!(events[..], [CustomWorkEvent::Ignored(_)]));
}

#[test]
fn the_target_of_a_job_is_that_of_the_moment_it_was_taken() {
    // JDC-32, T-30
    for address in [CHANNEL, GROUP] {
        let mut play = Play::opened();
        let request_id = play.set(1).request_id;
        let events = play.hear(set_target(address, 200));
        assert!(matches!(events[..], [CustomWorkEvent::Target(t)] if t == target(200)));
        let events = play.hear(set_target(99, 1));
        assert!(matches!(events[..], [CustomWorkEvent::Ignored(_)]));
        let events = play.hear(job_set(request_id, 40));
        assert!(matches!(
            events[..],
            [CustomWorkEvent::JobSet { target: t, .. }] if t == target(200)
        ));
    }
}

#[test]
fn a_new_prefix_holds_for_the_jobs_the_pool_has_yet_to_take() {
    // JDC-31, T-31
    let mut play = Play::opened();
    let under_way = play.set(1).request_id;
    let events = play.hear(MiningOwned::SetExtranoncePrefix(SetExtranoncePrefixOwned {
        channel_id: CHANNEL,
        extranonce_prefix: vec![4; 5].try_into().unwrap(),
    }));
    let new = Seat {
        extranonce_prefix: vec![4; 5],
        extranonce_size: 16,
    };
    assert!(matches!(&events[..], [CustomWorkEvent::Seated(seat)] if **seat == new));
    // The pool takes this one with the new prefix, for which it was not built.
    let events = play.hear(job_set(under_way, 40));
    assert!(matches!(events[..], [CustomWorkEvent::Ignored(_)]));
    // Neither was this one: its sender has not heard of the new prefix yet.
    play.tell(CustomWorkInput::SetJob(custom(2)));
    assert!(play.said().is_empty());
    let job = CustomJob {
        seat: Arc::new(new),
        ..custom(3)
    };
    play.tell(CustomWorkInput::SetJob(job));
    assert_eq!(play.said().len(), 1);
}

#[test]
fn shares_have_numbers_of_their_own_and_are_answered_in_batches() {
    // JDC-24, 35
    let mut play = Play::with_job();
    let numbers: Vec<u32> = (0..4).map(|nonce| play.submit(nonce)).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(nonces(&play.hear(accepted(1, 2))), [0, 1]);
    let events = play.hear(rejected(2));
    assert!(matches!(
        &events[..],
        [CustomWorkEvent::Rejected { share, code }] if share.nonce == 2 && code == "zzz-unknown"
    ));
    assert_eq!(nonces(&play.hear(accepted(3, 1))), [3]);
    for answer in [rejected(3), rejected(99), accepted(99, 1)] {
        let events = play.hear(answer);
        assert!(matches!(events[..], [CustomWorkEvent::Ignored(_)]));
    }
}

#[test]
fn a_rejection_may_overtake_the_acknowledgement_of_earlier_shares() {
    // JDC-35
    let mut play = Play::with_job();
    for nonce in 0..3 {
        play.submit(nonce);
    }
    play.hear(rejected(2));
    assert_eq!(nonces(&play.hear(accepted(1, 2))), [0, 1]);
    assert!(play.client.into_unanswered().is_empty());
}

#[test]
fn shares_without_an_answer_are_given_back() {
    let mut play = Play::with_job();
    for nonce in 0..3 {
        play.submit(nonce);
    }
    play.hear(accepted(0, 1));
    let left = play.client.into_unanswered();
    let nonces: Vec<u32> = left.iter().map(|share| share.nonce).collect();
    assert_eq!(nonces, [1, 2]);
}

#[test]
fn there_is_an_end_to_the_shares_that_wait() {
    let mut play = Play::with_job();
    for nonce in 0..MAX_UNANSWERED as u32 {
        play.submit(nonce);
    }
    let events = play.tell(CustomWorkInput::Share(share(77)));
    assert!(matches!(&events[..], [CustomWorkEvent::GivenUp(share)] if share.nonce == 0));
}

#[test]
fn a_pool_that_does_not_answer_is_left() {
    // JDC-28
    let (mut play, _) = Play::connected();
    let almost = PATIENCE - Duration::from_millis(1);
    assert_eq!(play.pass(almost), None);
    assert!(play.pass(Duration::from_millis(1)).is_some());

    let mut play = Play::opened();
    assert_eq!(play.pass(PATIENCE), None);
    let request_id = play.set(1).request_id;
    assert_eq!(play.pass(almost), None);
    play.hear(job_set(request_id, 40));
    assert_eq!(play.pass(PATIENCE), None);
    play.set(2);
    let reason = play.pass(PATIENCE).unwrap();
    assert!(reason.contains("SetCustomMiningJob"), "{reason}");
}

#[test]
fn refusal_and_closing_end_the_connection() {
    // JDC-32
    let (mut play, _) = Play::connected();
    play.hear(MiningOwned::OpenMiningChannelError(
        OpenMiningChannelErrorOwned {
            request_id: 0,
            error_code: text("zzz-unknown"),
        },
    ));
    assert!(play.out.take_close().is_some());
    for (channel_id, closes) in [(CHANNEL, true), (GROUP, true), (99, false)] {
        let mut play = Play::opened();
        play.hear(MiningOwned::CloseChannel(CloseChannelOwned {
            channel_id,
            reason_code: text("bye"),
        }));
        assert_eq!(play.out.take_close().is_some(), closes, "{channel_id}");
    }
}

#[test]
fn a_new_group_is_followed() {
    let mut play = Play::opened();
    play.hear(MiningOwned::SetGroupChannel(SetGroupChannelOwned {
        group_channel_id: 55,
        channel_ids: vec![3, CHANNEL].try_into().unwrap(),
    }));
    play.hear(MiningOwned::CloseChannel(CloseChannelOwned {
        channel_id: 55,
        reason_code: text("bye"),
    }));
    assert!(play.out.take_close().is_some());
}

#[test]
fn jobs_of_the_pools_own_making_are_ignored() {
    // T-39, T-50
    let mut play = Play::opened();
    let job = MiningOwned::NewExtendedMiningJob(NewExtendedMiningJobOwned {
        channel_id: CHANNEL,
        job_id: 1,
        min_ntime: option(None),
        version: 0,
        version_rolling_allowed: true,
        merkle_path: vec![].try_into().unwrap(),
        coinbase_tx_prefix: vec![].try_into().unwrap(),
        coinbase_tx_suffix: vec![].try_into().unwrap(),
    });
    for message in [job, opened(16)] {
        let events = play.hear(message);
        assert!(matches!(events[..], [CustomWorkEvent::Ignored(_)]));
        assert!(!play.out.is_closing());
    }
}

#[test]
fn leaving_closes_the_channel() {
    let mut play = Play::opened();
    play.tell(CustomWorkInput::Leave);
    assert!(matches!(
        &play.said()[..],
        [Message::Mining(MiningOwned::CloseChannel(close))] if close.channel_id == CHANNEL
    ));
    assert!(play.out.is_closing());
}

#[test]
fn a_changed_hash_rate_is_told() {
    let mut play = Play::opened();
    play.tell(CustomWorkInput::HashRate(8.0));
    assert!(matches!(
        &play.said()[..],
        [Message::Mining(MiningOwned::UpdateChannel(update))]
            if update.channel_id == CHANNEL && update.nominal_hash_rate.to_bits() == 8.0f32.to_bits()
    ));
}

#[test]
fn a_pool_may_ask_to_reconnect() {
    // JDC-32, CONN-15
    let mut play = Play::opened();
    let message = CommonMessagesOwned::Reconnect(ReconnectOwned {
        new_host: text(""),
        new_port: 0,
    });
    hear(&mut play.client, play.now, message, &mut play.out);
    let events: Vec<CustomWorkEvent> = play.out.take_events().collect();
    assert!(matches!(
        &events[..],
        [CustomWorkEvent::Reconnect { host, port: 0 }] if host.is_empty()
    ));
    assert!(play.out.is_closing());
}
