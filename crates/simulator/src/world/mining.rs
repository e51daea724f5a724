//! The devices: their connections, their luck, their whims.

use std::sync::Arc;
use std::time::Duration;

use protocol::client::{Assignment, ClientEvent, ClientInput, FoundShare, MiningClient};
use protocol::core::{Core, Now, Outbox};
use protocol::message::mining::{CloseChannelOwned, UpdateChannelOwned};
use protocol::message::{self, MiningOwned, text};
use protocol::server;
use protocol::target::Target;
use rand::Rng;

use super::{Client, Step, World};
use crate::fault::Fault;
use crate::frames;
use crate::miner::{MinerSession, Search};
use crate::network::{End, LinkId};

/// Type of SetNewPrevHash.
const SET_NEW_PREV_HASH: u8 = 0x20;
/// A share's way from the hasher to the connection.
const HAND_IN: Duration = Duration::from_millis(20);
const BACK_OFF: Duration = Duration::from_secs(2);

impl World {
    pub(super) fn connect(&mut self, miner: usize) {
        // The pool lets nobody in before there is work.
        let Some(work) = self.pool.work.clone() else {
            return self.plan_within(BACK_OFF, Step::Connect { miner });
        };
        let link = self.network.dial(&mut self.rng);
        self.clients.insert(link, Client::Miner(miner));
        self.witness.connected(link);
        let device = &mut self.miners[miner];
        let flags = device.flags;
        let requests = device.requests.len();
        let client = MiningClient::new(device.requests.clone(), server::success_flags(flags));
        let opening = client
            .connected()
            .expect("no device here asks for what the pool does not serve");
        device.session = Some(MinerSession::new(link, client, requests));
        self.accept(link, flags, work);
        for frame in frames::split(&opening) {
            self.send(link, End::Server, frame);
        }
        if self.rng.gen_bool(0.3) {
            self.plan_within(Duration::from_secs(12), Step::Cut { link });
        }
        if self.rng.gen_bool(0.2) {
            self.plan_within(Duration::from_secs(12), Step::Leave { miner, link });
        }
        self.plan_within(Duration::from_secs(5), Step::Whim { miner, link });
    }

    pub(super) fn miner_received(&mut self, miner: usize, link: LinkId, mut frame: Vec<u8>) {
        if let Some(message) = frames::mining(&frame) {
            self.witness.miner_received(link, &message);
            let session = self.miners[miner].session.as_mut();
            if let Some(session) = session.filter(|session| session.link == link) {
                session.hear(&message);
            }
        }
        let is_tip = frames::message_type(&frame) == Some(SET_NEW_PREV_HASH);
        let session = self.miners[miner].session.as_ref();
        let has_work = session.is_some_and(|session| !session.searches.is_empty());
        if self.fault == Some(Fault::DeafMiners) && is_tip && has_work {
            return;
        }
        self.mine(miner, link, |client, now, out| {
            client.received(now, frames::borrow(&mut frame), out);
        });
    }

    pub(super) fn miner_lost(&mut self, miner: usize, link: LinkId) {
        let device = &mut self.miners[miner];
        if device
            .session
            .take_if(|session| session.link == link)
            .is_some()
        {
            self.witness.miner_ended(link);
            if !self.is_calm {
                self.plan_within(BACK_OFF, Step::Connect { miner });
            }
        }
    }

    /// The hasher finds a share, if it still searches where it did when its luck was drawn.
    pub(super) fn find(&mut self, miner: usize, number: u64) {
        let now = self.clock.now();
        let Some(session) = &mut self.miners[miner].session else {
            return;
        };
        let link = session.link;
        let mut searches = session.searches.values_mut();
        let Some(search) = searches.find(|search| search.number == number) else {
            return;
        };
        let share = Box::new(search.find(now));
        let assignment = Arc::clone(search.assignment());
        self.plan_within(HAND_IN, Step::HandIn { miner, link, share });
        self.plan_find(miner, number, &assignment);
    }

    pub(super) fn hand_in(&mut self, miner: usize, link: LinkId, share: FoundShare) {
        let session = self.miners[miner].session.as_ref();
        if session.is_some_and(|session| !session.has_closed(share.channel_id)) {
            self.mine(miner, link, |client, now, out| {
                client.input(now, ClientInput::Share(share), out);
            });
        }
    }

    /// A device changes its mind about a channel. The client core leaves that to its role.
    pub(super) fn whim(&mut self, miner: usize, link: LinkId) {
        let session = self.miners[miner].session.as_mut();
        let Some(session) = session.filter(|session| session.link == link) else {
            return;
        };
        let channels = session.channels();
        // A device without channels has no reason to stay.
        if session.is_idle() {
            return self.plan_within(BACK_OFF, Step::Leave { miner, link });
        }
        if !channels.is_empty() {
            let channel_id = channels[self.rng.gen_range(0..channels.len())];
            let message = match self.rng.gen_range(0..10) {
                0 => self.close_channel(miner, channel_id),
                1 => self.close_group(miner, channel_id),
                _ => self.update_channel(channel_id),
            };
            if let Some(message) = message {
                let mut frame = Vec::new();
                message::encode(message, &mut frame);
                self.send(link, End::Server, frame);
            }
        }
        self.plan_within(Duration::from_secs(5), Step::Whim { miner, link });
    }

    fn close_channel(&mut self, miner: usize, channel_id: u32) -> Option<MiningOwned> {
        let session = self.miners[miner].session.as_mut()?;
        session.close(channel_id);
        self.witness.miner_closed(session.link, channel_id);
        Some(close_message(channel_id))
    }

    /// The group's id closes all its members (SV2 5.3.9). A device that does not know them all yet
    /// lets it be.
    fn close_group(&mut self, miner: usize, channel_id: u32) -> Option<MiningOwned> {
        let session = self.miners[miner].session.as_mut()?;
        let (group, members) = session.group(channel_id)?;
        if !session.is_settled() {
            return None;
        }
        for member in members {
            session.close(member);
            self.witness.miner_closed(session.link, member);
        }
        Some(close_message(group))
    }

    fn update_channel(&mut self, channel_id: u32) -> Option<MiningOwned> {
        let max_target = if self.rng.gen_bool(0.5) {
            Target::one_in(self.rng.gen_range(4.0..32.0))?
        } else {
            Target::MAX
        };
        Some(MiningOwned::UpdateChannel(UpdateChannelOwned {
            channel_id,
            nominal_hash_rate: self.rng.gen_range(2.0..24.0),
            maximum_target: max_target.to_le_bytes().into(),
        }))
    }

    pub(super) fn leave(&mut self, miner: usize, link: LinkId) {
        let session = self.miners[miner].session.as_ref();
        if let Some(session) = session.filter(|session| session.link == link) {
            for channel_id in session.channels() {
                self.witness.miner_closed(link, channel_id);
            }
            self.mine(miner, link, |client, now, out| {
                client.input(now, ClientInput::Leave, out);
            });
        }
    }

    /// Steps a device's core and empties its outbox.
    fn mine(
        &mut self,
        miner: usize,
        link: LinkId,
        step: impl FnOnce(&mut MiningClient, Now, &mut Outbox<ClientEvent>),
    ) {
        let session = self.miners[miner].session.as_mut();
        let Some(session) = session.filter(|session| session.link == link) else {
            return;
        };
        let mut out = Outbox::default();
        step(&mut session.client, self.clock.now(), &mut out);
        let events: Vec<ClientEvent> = out.take_events().collect();
        for event in events {
            self.witness.client_event(link, &event);
            self.on_client_event(miner, event);
        }
        for frame in frames::split(out.frames()) {
            self.send(link, End::Server, frame);
        }
        if out.take_close().is_some() {
            self.close(link, End::Client);
        }
    }

    fn on_client_event(&mut self, miner: usize, event: ClientEvent) {
        let Some(session) = &mut self.miners[miner].session else {
            return;
        };
        match event {
            ClientEvent::Mine(mut assignment) => {
                let channel_id = assignment.channel_id;
                if session.has_closed(channel_id) {
                    return;
                }
                if self.fault == Some(Fault::CarelessMiners) {
                    Arc::make_mut(&mut assignment).target = Target::MAX;
                }
                self.searches += 1;
                let number = self.searches;
                let search = Search::new(number, Arc::clone(&assignment));
                session.searches.insert(channel_id, search);
                self.plan_find(miner, number, &assignment);
            }
            ClientEvent::Rest { channel_id } | ClientEvent::Closed { channel_id, .. } => {
                session.searches.remove(&channel_id);
            }
            _ => {}
        }
    }

    fn plan_find(&mut self, miner: usize, search: u64, assignment: &Assignment) {
        let luck = self.miners[miner].luck(&mut self.rng, assignment);
        let at = self.clock.elapsed() + luck;
        self.agenda.plan(at, Step::Find { miner, search });
    }
}

fn close_message(channel_id: u32) -> MiningOwned {
    MiningOwned::CloseChannel(CloseChannelOwned {
        channel_id,
        reason_code: text("enough"),
    })
}
