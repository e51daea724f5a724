use std::time::Instant;

use stratum_core::binary_sv2::{Sv2OptionOwned, U256Owned};
use stratum_core::common_messages_sv2::ReconnectOwned;
use stratum_core::mining_sv2::{
    NewExtendedMiningJobOwned, NewMiningJobOwned, OpenExtendedMiningChannelSuccessOwned,
    OpenMiningChannelErrorOwned, OpenStandardMiningChannelSuccessOwned, SetExtranoncePrefixOwned,
    SetNewPrevHashOwned, SetTargetOwned, SubmitSharesErrorOwned, SubmitSharesSuccess,
};

use super::*;
use crate::frame::{FrameHeader, HEADER_LEN};
use crate::message::{CommonMessagesOwned, Encodable, GetSize, IsSv2Message};
use crate::server::VERSION_ROLLING_MASK;

const GROUP: u32 = 1;

/// A client, and the server a test plays.
struct Play {
    client: MiningClient,
    out: Out,
}

impl Play {
    /// Standard channel 2 (request 0) and extended channel 3 (request 1), both open.
    fn opened() -> Self {
        let mut play = Self::new(0);
        play.hear(MiningOwned::OpenStandardMiningChannelSuccess(
            OpenStandardMiningChannelSuccessOwned {
                request_id: 0,
                channel_id: 2,
                target: target(10).to_le_bytes().into(),
                extranonce_prefix: vec![2; 8].try_into().unwrap(),
                group_channel_id: GROUP,
            },
        ));
        play.hear(MiningOwned::OpenExtendedMiningChannelSuccess(
            OpenExtendedMiningChannelSuccessOwned {
                request_id: 1,
                channel_id: 3,
                target: target(10).to_le_bytes().into(),
                extranonce_size: 5,
                extranonce_prefix: vec![3; 3].try_into().unwrap(),
                group_channel_id: GROUP,
            },
        ));
        play
    }

    fn new(server_flags: u32) -> Self {
        let request = |min_extranonce_size| ChannelRequest {
            user_identity: "alice".into(),
            nominal_hash_rate: 7.5,
            max_target: target(9),
            min_extranonce_size,
        };
        Self {
            client: MiningClient::new(vec![request(None), request(Some(4))], server_flags),
            out: Outbox::default(),
        }
    }

    fn hear(&mut self, message: impl IsSv2Message + GetSize + Encodable) -> Vec<ClientEvent> {
        let mut bytes = Vec::new();
        message::encode(message, &mut bytes);
        let (header, payload) = bytes.split_at_mut(HEADER_LEN);
        let header = FrameHeader::from_bytes((&*header).try_into().unwrap());
        let now = now();
        self.client
            .received(now, Frame { header, payload }, &mut self.out);
        self.out.take_events().collect()
    }

    fn tell(&mut self, input: ClientInput) -> Vec<ClientEvent> {
        self.client.input(now(), input, &mut self.out);
        self.out.take_events().collect()
    }

    fn sent(&mut self) -> Vec<u8> {
        std::mem::take(self.out.frames())
    }

    /// What each channel was told to mine: channel, job.
    fn mined(events: &[ClientEvent]) -> Vec<(u32, u32)> {
        let mine = |event: &ClientEvent| match event {
            ClientEvent::Mine(assignment) => Some((assignment.channel_id, assignment.job_id)),
            _ => None,
        };
        events.iter().filter_map(mine).collect()
    }

    #[track_caller]
    fn assignment(events: Vec<ClientEvent>) -> Arc<Assignment> {
        match events.into_iter().next() {
            Some(ClientEvent::Mine(assignment)) => assignment,
            other => panic!("nothing to mine: {other:?}"),
        }
    }
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: 1_800_000_000,
    }
}

fn target(hashes: u32) -> Target {
    Target::one_in(f64::from(hashes)).unwrap()
}

fn standard_job(channel_id: u32, job_id: u32, min_ntime: Option<u32>) -> MiningOwned {
    MiningOwned::NewMiningJob(NewMiningJobOwned {
        channel_id,
        job_id,
        min_ntime: Sv2OptionOwned::new(min_ntime),
        version: 0x2000_0000,
        merkle_root: U256Owned::from([job_id as u8; 32]),
    })
}

fn extended_job(id: u32, job_id: u32, min_ntime: Option<u32>, rolling: bool) -> MiningOwned {
    MiningOwned::NewExtendedMiningJob(NewExtendedMiningJobOwned {
        channel_id: id,
        job_id,
        min_ntime: Sv2OptionOwned::new(min_ntime),
        version: 0x2000_0000,
        version_rolling_allowed: rolling,
        merkle_path: vec![U256Owned::from([8; 32])].try_into().unwrap(),
        coinbase_tx_prefix: vec![0xaa; 4].try_into().unwrap(),
        coinbase_tx_suffix: vec![0xbb; 4].try_into().unwrap(),
    })
}

fn tip(channel_id: u32, job_id: u32, tip: u8) -> MiningOwned {
    MiningOwned::SetNewPrevHash(SetNewPrevHashOwned {
        channel_id,
        job_id,
        prev_hash: U256Owned::from([tip; 32]),
        min_ntime: 1000,
        nbits: 0x207f_ffff,
    })
}

fn share(channel_id: u32, job_id: u32) -> ClientInput {
    ClientInput::Share(FoundShare {
        channel_id,
        job_id,
        nonce: 1,
        ntime: 1000,
        version: 0x2000_0020,
        extranonce: if channel_id == 3 { vec![9; 5] } else { vec![] },
        hash: [0; 32],
        worker: None,
        origin: 0,
    })
}

#[test]
fn every_channel_is_asked_for_at_once() {
    // DEV-03, 04
    let frames = Play::new(0).client.connected().unwrap();
    assert_eq!(frames[..3], [0, 0, 0x10]);
    assert_eq!(frames[6..10], [0; 4]);
    assert_eq!(frames[16..20], 7.5f32.to_le_bytes());
    let second = 6 + usize::from(frames[3]);
    assert_eq!(frames[second..second + 3], [0, 0, 0x13]);
    assert_eq!(frames[second + 6..second + 10], [1, 0, 0, 0]);
}

#[test]
fn a_server_without_standard_channels_is_not_asked_for_one() {
    // DEV-08
    assert!(
        Play::new(REQUIRES_EXTENDED_CHANNELS)
            .client
            .connected()
            .is_err()
    );
}

#[test]
fn a_future_job_waits_for_its_tip_and_then_replaces_everything() {
    // DEV-09, 10
    let mut play = Play::opened();
    assert!(play.hear(standard_job(2, 7, None)).is_empty());
    assert!(play.hear(standard_job(2, 8, None)).is_empty());
    assert_eq!(Play::mined(&play.hear(tip(2, 7, 1))), [(2, 7)]);
    // Job 8 ended with it, although it was a future one.
    let events = play.hear(tip(2, 8, 2));
    assert!(matches!(events[..], [ClientEvent::Rest { channel_id: 2 }]));
}

#[test]
fn a_job_with_a_time_is_mined_at_once_on_the_last_tip() {
    // DEV-11
    let mut play = Play::opened();
    play.hear(standard_job(2, 7, None));
    play.hear(tip(2, 7, 1));
    let assignment = Play::assignment(play.hear(standard_job(2, 8, Some(1007))));
    assert_eq!((assignment.job_id, assignment.min_ntime), (8, 1007));
    assert_eq!(assignment.prev_hash, [1; 32]);
}

#[test]
fn what_is_addressed_to_the_group_is_for_every_member() {
    // DEV-18, 20, 30, T-11
    let mut play = Play::opened();
    play.hear(extended_job(GROUP, 7, None, true));
    let events = play.hear(tip(GROUP, 7, 1));
    assert_eq!(Play::mined(&events), [(2, 7), (3, 7)]);
    let sources: Vec<MerkleSource> = events
        .iter()
        .map(|event| match event {
            ClientEvent::Mine(assignment) => assignment.merkle.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    for (source, own, size) in [(&sources[0], vec![2; 8], 0), (&sources[1], vec![3; 3], 5)] {
        let expected = MerkleSource::Coinbase {
            prefix: [vec![0xaa; 4], own].concat(),
            suffix: vec![0xbb; 4],
            path: vec![[8; 32]],
            extranonce_size: size,
        };
        assert_eq!(*source, expected);
    }
}

#[test]
fn a_new_target_is_for_jobs_that_become_active_later() {
    // DEV-17
    let mut play = Play::opened();
    play.hear(standard_job(2, 7, None));
    let first = Play::assignment(play.hear(tip(2, 7, 1)));
    play.hear(standard_job(2, 8, None));
    let harder = SetTargetOwned {
        channel_id: GROUP,
        maximum_target: target(99).to_le_bytes().into(),
    };
    assert!(play.hear(MiningOwned::SetTarget(harder)).is_empty());
    let second = Play::assignment(play.hear(tip(2, 8, 2)));
    assert_eq!((first.target, second.target), (target(10), target(99)));
}

#[test]
fn a_new_prefix_is_for_jobs_received_later() {
    // DEV-19
    let mut play = Play::opened();
    play.hear(extended_job(3, 7, None, true));
    let prefix = SetExtranoncePrefixOwned {
        channel_id: 3,
        extranonce_prefix: vec![5; 3].try_into().unwrap(),
    };
    play.hear(MiningOwned::SetExtranoncePrefix(prefix));
    let before = Play::assignment(play.hear(tip(3, 7, 1)));
    let after = Play::assignment(play.hear(extended_job(3, 8, Some(1000), true)));
    let prefix_of = |assignment: &Assignment| match &assignment.merkle {
        MerkleSource::Coinbase { prefix, .. } => prefix[4..].to_vec(),
        MerkleSource::Root(_) => panic!("a standard job"),
    };
    assert_eq!(prefix_of(&before), [3; 3]);
    assert_eq!(prefix_of(&after), [5; 3]);
}

#[test]
fn versions_are_rolled_only_where_server_and_job_allow_it() {
    // DEV-08, 16
    let mut play = Play::opened();
    play.hear(extended_job(3, 7, None, false));
    assert_eq!(Play::assignment(play.hear(tip(3, 7, 1))).version_mask, 0);
    play.hear(standard_job(2, 8, None));
    assert_eq!(
        Play::assignment(play.hear(tip(2, 8, 1))).version_mask,
        VERSION_ROLLING_MASK
    );
    play.client.server_flags = REQUIRES_FIXED_VERSION;
    play.hear(standard_job(2, 9, None));
    assert_eq!(Play::assignment(play.hear(tip(2, 9, 1))).version_mask, 0);
}

#[test]
fn shares_are_numbered_per_channel_and_sent_in_the_channel_s_own_message() {
    // DEV-14, 15, 20
    let mut play = Play::opened();
    play.hear(extended_job(GROUP, 7, None, true));
    play.hear(tip(GROUP, 7, 1));
    for sequence in 0..3u32 {
        for (channel, msg_type) in [(2, 0x1a), (3, 0x1b)] {
            play.tell(share(channel, 7));
            let sent = play.sent();
            assert_eq!(sent[..3], [0, 0x80, msg_type]);
            assert_eq!(sent[10..14], sequence.to_le_bytes());
            assert_eq!(sent[26..30], 0x2000_0020u32.to_le_bytes());
        }
    }
    play.tell(share(3, 7));
    assert_eq!(play.sent()[30..], [5, 9, 9, 9, 9, 9]);
}

#[test]
fn a_share_of_an_ended_job_or_channel_is_not_sent() {
    // DEV-22, 28
    let mut play = Play::opened();
    play.hear(standard_job(2, 7, None));
    play.hear(tip(2, 7, 1));
    for (channel, job) in [(2, 6), (99, 7)] {
        let events = play.tell(share(channel, job));
        assert!(matches!(events[..], [ClientEvent::Late(_)]));
    }
    let close = CloseChannelOwned {
        channel_id: 2,
        reason_code: text("bye"),
    };
    let events = play.hear(MiningOwned::CloseChannel(close));
    assert!(matches!(
        &events[..],
        [ClientEvent::Closed { channel_id: 2, reason }] if reason == "bye"
    ));
    assert!(matches!(play.tell(share(2, 7))[..], [ClientEvent::Late(_)]));
    assert!(play.sent().is_empty());
}

#[test]
fn a_share_of_a_superseded_job_is_sent_until_the_tip_changes() {
    // DEV-10: SV2 5.3.17 ends jobs, 5.3.15 does not.
    let mut play = Play::opened();
    play.hear(standard_job(2, 7, None));
    play.hear(tip(2, 7, 1));
    play.hear(standard_job(2, 8, Some(1000)));
    for job_id in [7, 8] {
        let events = play.tell(share(2, job_id));
        assert!(matches!(events[..], [ClientEvent::Submitted { .. }]));
    }
    play.hear(standard_job(2, 9, None));
    play.hear(tip(2, 9, 2));
    for job_id in [7, 8] {
        let events = play.tell(share(2, job_id));
        assert!(matches!(events[..], [ClientEvent::Late(_)]));
    }
}

#[test]
fn jobs_without_end_on_one_tip_are_not_all_remembered() {
    let mut play = Play::opened();
    play.hear(standard_job(2, 7, None));
    play.hear(tip(2, 7, 1));
    for job_id in 8..108 {
        play.hear(standard_job(2, job_id, Some(1000)));
    }
    let sent = |events: Vec<ClientEvent>| matches!(events[..], [ClientEvent::Submitted { .. }]);
    assert!(!sent(play.tell(share(2, 75))));
    assert!(sent(play.tell(share(2, 76))));
    assert!(sent(play.tell(share(2, 107))));
}

#[test]
fn answers_are_reported_whatever_they_say() {
    // DEV-05, 06, 23, 24, CONN-20
    let mut play = Play::opened();
    let events = play.hear(MiningOwned::SubmitSharesSuccess(SubmitSharesSuccess {
        channel_id: 2,
        last_sequence_number: 9,
        new_submits_accepted_count: 10,
        new_shares_sum: 0,
    }));
    assert!(matches!(
        events[..],
        [ClientEvent::Accepted { count: 10, .. }]
    ));
    let events = play.hear(MiningOwned::SubmitSharesError(SubmitSharesErrorOwned {
        channel_id: 2,
        sequence_number: 4,
        error_code: text("zzz-unknown"),
    }));
    assert!(matches!(&events[..], [ClientEvent::Rejected { code, .. }] if code == "zzz-unknown"));

    let mut play = Play::new(0);
    let events = play.hear(MiningOwned::OpenMiningChannelError(
        OpenMiningChannelErrorOwned {
            request_id: 1,
            error_code: text("unknown-user"),
        },
    ));
    assert!(matches!(
        &events[..],
        [ClientEvent::OpenRefused { request: 1, .. }]
    ));
    let stranger = OpenStandardMiningChannelSuccessOwned {
        request_id: 77,
        channel_id: 5,
        target: target(1).to_le_bytes().into(),
        extranonce_prefix: vec![].try_into().unwrap(),
        group_channel_id: GROUP,
    };
    let events = play.hear(MiningOwned::OpenStandardMiningChannelSuccess(stranger));
    assert!(matches!(events[..], [ClientEvent::Ignored(_)]));
    assert!(!play.out.is_closing());
}

#[test]
fn each_request_is_answered_once_and_with_its_own_kind_of_channel() {
    let standard = |request_id, channel_id| {
        MiningOwned::OpenStandardMiningChannelSuccess(OpenStandardMiningChannelSuccessOwned {
            request_id,
            channel_id,
            target: target(10).to_le_bytes().into(),
            extranonce_prefix: vec![2; 8].try_into().unwrap(),
            group_channel_id: GROUP,
        })
    };
    let mut play = Play::new(0);
    assert!(matches!(
        play.hear(standard(0, 2))[..],
        [ClientEvent::Opened { .. }]
    ));
    // Again, never asked for, asked for otherwise.
    for request_id in [0, 7, 1] {
        let ignored = play.hear(standard(request_id, 9));
        assert!(
            matches!(ignored[..], [ClientEvent::Ignored(_)]),
            "{request_id}"
        );
    }
    let refusal = MiningOwned::OpenMiningChannelError(OpenMiningChannelErrorOwned {
        request_id: 0,
        error_code: text("late"),
    });
    assert!(matches!(play.hear(refusal)[..], [ClientEvent::Ignored(_)]));
    assert!(!play.out.is_closing());
}

#[test]
fn an_extranonce_no_coinbase_has_room_for_ends_the_connection() {
    // DEV-20
    let mut play = Play::new(0);
    play.hear(MiningOwned::OpenExtendedMiningChannelSuccess(
        OpenExtendedMiningChannelSuccessOwned {
            request_id: 1,
            channel_id: 3,
            target: target(10).to_le_bytes().into(),
            extranonce_size: 25,
            extranonce_prefix: vec![3; 8].try_into().unwrap(),
            group_channel_id: GROUP,
        },
    ));
    assert!(play.out.take_close().unwrap().contains("33 bytes"));

    let mut play = Play::opened();
    play.hear(MiningOwned::SetExtranoncePrefix(SetExtranoncePrefixOwned {
        channel_id: 3,
        extranonce_prefix: vec![4; 28].try_into().unwrap(),
    }));
    assert!(play.out.take_close().unwrap().contains("33 bytes"));
}

#[test]
fn when_every_channel_is_refused_the_connection_is_over() {
    // DEV-06
    let mut play = Play::new(0);
    for request_id in [0, 1] {
        assert!(!play.out.is_closing());
        let refusal = OpenMiningChannelErrorOwned {
            request_id,
            error_code: text("zzz"),
        };
        play.hear(MiningOwned::OpenMiningChannelError(refusal));
    }
    assert!(play.out.is_closing());
}

#[test]
fn reconnect_ends_the_connection_with_the_new_address() {
    // CONN-15, DEV-25
    let mut play = Play::opened();
    let reconnect = ReconnectOwned {
        new_host: text("127.0.0.2"),
        new_port: 7,
    };
    let events = play.hear(CommonMessagesOwned::Reconnect(reconnect));
    assert!(
        matches!(&events[..], [ClientEvent::Reconnect { host, port: 7 }] if host == "127.0.0.2")
    );
    assert!(play.out.is_closing());
}

#[test]
fn leaving_closes_every_channel() {
    // DEV-21
    let mut play = Play::opened();
    play.tell(ClientInput::Leave);
    let sent = play.sent();
    assert_eq!(sent[..3], [0, 0x80, 0x18]);
    assert_eq!(sent[6..10], [2, 0, 0, 0]);
    assert_eq!(sent.len(), 2 * (6 + 4 + 1 + 8));
    assert!(play.out.is_closing());
}

/// An extended channel of a client that came with no request.
fn request(user_identity: &str) -> ChannelRequest {
    ChannelRequest {
        user_identity: user_identity.into(),
        nominal_hash_rate: 0.0,
        max_target: Target::MAX,
        min_extranonce_size: Some(8),
    }
}

fn opened(request_id: u32, channel_id: u32) -> MiningOwned {
    MiningOwned::OpenExtendedMiningChannelSuccess(OpenExtendedMiningChannelSuccessOwned {
        request_id,
        channel_id,
        target: target(10).to_le_bytes().into(),
        extranonce_size: 5,
        extranonce_prefix: vec![3; 3].try_into().unwrap(),
        group_channel_id: GROUP,
    })
}

fn lasting(extensions: Extensions) -> Play {
    Play {
        client: MiningClient::lasting(0, extensions),
        out: Outbox::default(),
    }
}

/// Message types, in order.
fn types(mut frames: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    while let Some((header, rest)) = frames.split_first_chunk::<HEADER_LEN>() {
        let header = FrameHeader::from_bytes(*header);
        types.push(header.msg_type);
        frames = &rest[header.len..];
    }
    types
}

fn no_extensions() -> Extensions {
    Extensions {
        supported: vec![],
        required: vec![],
    }
}

#[test]
fn channels_come_and_go_on_a_lasting_connection() {
    // PROXY-05, 29
    let mut play = lasting(no_extensions());
    assert!(play.client.begin(now()).unwrap().is_empty());
    play.tell(ClientInput::Open(request("a")));
    play.tell(ClientInput::Open(request("b")));
    assert_eq!(types(&play.sent()), [0x13, 0x13]);
    let events = play.hear(opened(1, 4));
    assert!(matches!(
        events[..],
        [ClientEvent::Opened {
            request: 1,
            channel_id: 4,
            extranonce_size: 5,
            ..
        }]
    ));
    let refused = MiningOwned::OpenMiningChannelError(OpenMiningChannelErrorOwned {
        request_id: 0,
        error_code: text("no"),
    });
    play.hear(refused);
    play.tell(ClientInput::Update {
        channel_id: 4,
        nominal_hash_rate: 1e12,
        max_target: target(7),
    });
    play.tell(ClientInput::Close { channel_id: 4 });
    assert_eq!(types(&play.sent()), [0x16, 0x18]);
    // It is gone.
    play.tell(ClientInput::Close { channel_id: 4 });
    play.tell(ClientInput::Update {
        channel_id: 4,
        nominal_hash_rate: 1.0,
        max_target: target(7),
    });
    assert!(play.sent().is_empty());
    assert!(!play.out.is_closing(), "there will be other channels");
}

#[test]
fn channels_are_asked_for_when_extensions_are_settled() {
    // EXT-03, 12, 16, 17, 18, PROXY-27
    let mut play = lasting(Extensions::default());
    assert_eq!(play.client.begin(now()).unwrap()[..3], [1, 0, 0]);
    play.tell(ClientInput::Open(request("a")));
    assert!(play.sent().is_empty());
    let (_, answer) =
        Extensions::default().answer(&stratum_core::extensions_sv2::RequestExtensions {
            request_id: 1,
            requested_extensions: stratum_core::binary_sv2::Seq064K::new(vec![2]).unwrap(),
        });
    play.hear(answer);
    assert_eq!(types(&play.sent()), [0x13]);
    play.hear(opened(0, 3));
    play.hear(extended_job(3, 7, None, true));
    play.hear(tip(3, 7, 1));
    let ClientInput::Share(mut named) = share(3, 7) else {
        unreachable!("it is one");
    };
    play.tell(ClientInput::Share(named.clone()));
    let plain = play.sent();
    named.worker = Some("farm.rig".into());
    play.tell(ClientInput::Share(named));
    let sent = play.sent();
    // Still a message of the core, with its own length.
    assert_eq!(sent[..3], plain[..3]);
    assert_eq!(types(&sent), [0x1b]);
    assert!(sent.ends_with(b"\x02\x00\x01\x08\x00farm.rig"));
    assert_eq!(sent.len(), plain.len() + 5 + 8);
}

#[test]
fn a_server_without_extensions_is_mined_for_without_them() {
    // EXT-08, 19
    let mut play = lasting(Extensions::default());
    play.client.begin(now()).unwrap();
    play.tell(ClientInput::Open(request("a")));
    let due = play.client.deadline().unwrap();
    let later = Now {
        instant: due,
        ..now()
    };
    play.client.wake(later, &mut play.out);
    assert_eq!(types(&play.sent()), [0x13]);
    assert_eq!(play.client.deadline(), None);

    let required = Extensions {
        required: vec![2],
        ..Extensions::default()
    };
    let mut play = lasting(required);
    let start = now();
    play.client.begin(start).unwrap();
    let due = play.client.deadline().unwrap();
    let later = Now {
        instant: due,
        ..start
    };
    play.client.wake(later, &mut play.out);
    assert!(play.out.is_closing());
}

#[test]
fn a_server_that_requires_what_is_unknown_is_left() {
    // EXT-06
    let mut play = lasting(Extensions::default());
    play.client.begin(now()).unwrap();
    let server = Extensions {
        supported: vec![0x4001],
        required: vec![0x4001],
    };
    let (_, answer) = server.answer(&stratum_core::extensions_sv2::RequestExtensions {
        request_id: 1,
        requested_extensions: stratum_core::binary_sv2::Seq064K::new(vec![2]).unwrap(),
    });
    play.hear(answer);
    assert!(play.out.is_closing());
}
