use std::sync::Arc;

use daemon::clock;
use protocol::coinbase::CoinbasePlan;
use protocol::frame::{FrameHeader, HEADER_LEN};
use protocol::provider::{ProviderClient, ProviderEvent};
use protocol::server::{ExtranonceSpace, MiningServer, Policy, ServerInput};
use protocol::work::Work;

use super::*;
use crate::provider;

/// A miner and the rules it is judged by, without a wire.
struct Table {
    miner: Miner,
    server: MiningServer,
    provider: ProviderClient,
    now: Now,
    accepted: usize,
    rejected: usize,
}

/// The pool's layout.
fn space() -> ExtranonceSpace {
    ExtranonceSpace::new(&[0; 4], 16).unwrap()
}

fn each_frame(frames: &mut [u8], mut each: impl FnMut(Frame<'_>)) {
    let mut rest = frames;
    while let Some((header, frames)) = rest.split_first_chunk_mut::<HEADER_LEN>() {
        let header = FrameHeader::from_bytes(*header);
        let (payload, next) = frames.split_at_mut(header.len);
        each(Frame { header, payload });
        rest = next;
    }
}

fn work(provider: &mut ProviderClient, now: Now, tip: u32) -> Work {
    let mut out = Outbox::default();
    each_frame(&mut provider::frames(tip), |frame| {
        provider.received(now, frame, &mut out);
    });
    match out.take_events().next_back() {
        Some(ProviderEvent::Work(work)) => work,
        other => panic!("no work, but {other:?}"),
    }
}

impl Table {
    fn new(kind: Channel) -> Self {
        let mut provider = ProviderClient::new(CoinbasePlan {
            reward_script: vec![0x51].into(),
            signature: Vec::new(),
            extranonce_len: space().extranonce_len(),
        });
        provider.connected();
        let now = clock::now();
        let policy = Arc::new(Policy {
            shares_per_minute: 1000.0,
            vardiff: false,
            ..Policy::default()
        });
        let first = work(&mut provider, now, 1);
        let mut table = Self {
            miner: Miner::new(kind, 0.5),
            server: MiningServer::new(policy, 0, space(), first),
            provider,
            now,
            accepted: 0,
            rejected: 0,
        };
        let request = table.miner.connected();
        table.play(request, 1);
        table
    }

    /// Hands what the miner says to the server and back, so many times.
    fn play(&mut self, mut said: Vec<u8>, turns: usize) {
        for _ in 0..turns {
            let mut answers = Outbox::default();
            each_frame(&mut said, |frame| {
                self.server.received(self.now, frame, &mut answers);
            });
            said = self.hear(answers.frames());
        }
    }

    fn hear(&mut self, frames: &mut [u8]) -> Vec<u8> {
        let mut out = Outbox::default();
        each_frame(frames, |frame| {
            self.miner.received(self.now, frame, &mut out);
        });
        for event in out.take_events() {
            match event {
                MinerEvent::Accepted(ages) => self.accepted += ages.len(),
                MinerEvent::Rejected(_) => self.rejected += 1,
                MinerEvent::Opened | MinerEvent::Tip => {}
            }
        }
        std::mem::take(out.frames())
    }

    fn set_pace(&mut self, pace: Pace) -> Vec<u8> {
        let mut out = Outbox::default();
        self.miner.input(self.now, pace, &mut out);
        std::mem::take(out.frames())
    }
}

#[test]
fn every_share_is_accepted_and_the_window_stays_full() {
    for kind in [Channel::Standard, Channel::Extended] {
        let mut table = Table::new(kind);
        let said = table.set_pace(Pace::Window(20));
        table.play(said, 10);
        assert_eq!((table.accepted, table.rejected), (200, 0), "{kind:?}");
    }
}

#[test]
fn shares_after_a_new_tip_are_for_its_job() {
    let mut table = Table::new(Channel::Extended);
    let mut out = Outbox::default();
    let tip = ServerInput::Work(work(&mut table.provider, table.now, 2));
    table.server.input(table.now, tip, &mut out);
    table.hear(out.frames());
    let said = table.set_pace(Pace::Window(10));
    table.play(said, 1);
    assert_eq!((table.accepted, table.rejected), (10, 0));
}

#[test]
fn a_paced_miner_sends_one_share_in_each_period() {
    let mut table = Table::new(Channel::Extended);
    let second = Duration::from_secs(1);
    table.set_pace(Pace::Every(second));
    let mut sent = Vec::new();
    for _ in 0..10 {
        let due = table.miner.deadline().unwrap();
        table.now.instant = due;
        let mut out = Outbox::default();
        table.miner.wake(table.now, &mut out);
        sent.append(out.frames());
        assert_eq!(table.miner.deadline(), Some(due + second));
    }
    table.play(sent, 1);
    assert_eq!((table.accepted, table.rejected), (10, 0));
}
