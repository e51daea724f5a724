//! The farm's miners.

use std::sync::Arc;
use std::time::Duration;

use protocol::client::{Assignment, ClientEvent, ClientInput, FoundShare, MiningClient};
use protocol::core::{Core, Now, Outbox};
use protocol::server;

use super::{Peer, Property, Step, World};
use crate::frames;
use crate::miner::{MinerSession, Search};
use crate::network::End;

/// A share's way from the hasher to the connection.
const HAND_IN: Duration = Duration::from_millis(20);
const BACK_OFF: Duration = Duration::from_millis(500);

impl World {
    /// A device dials the farm, which lets nobody in before there is work.
    pub(super) fn join(&mut self, miner: usize) {
        let Some(work) = self.farm.work.clone() else {
            return self.plan_within(BACK_OFF, Step::Dial(Peer::Farm(miner)));
        };
        let link = self.network.dial_nearby(&mut self.rng);
        self.peers.insert(link, Peer::Farm(miner));
        let device = &mut self.miners[miner];
        let (flags, requests) = (device.flags, device.requests.len());
        let client = MiningClient::new(device.requests.clone(), server::success_flags(flags));
        let opening = client
            .connected()
            .expect("no device here asks for what is not served");
        device.session = Some(MinerSession::new(link, client, requests));
        self.serve(link, flags, work);
        for frame in frames::split(&opening) {
            self.send(link, End::Server, frame);
        }
    }

    pub(super) fn step_device(
        &mut self,
        miner: usize,
        step: impl FnOnce(&mut MiningClient, Now, &mut Outbox<ClientEvent>),
    ) {
        let Some(session) = self.miners[miner].session.as_mut() else {
            return;
        };
        let link = session.link;
        let mut out = Outbox::default();
        step(&mut session.client, self.clock.now(), &mut out);
        for frame in frames::split(out.frames()) {
            self.send(link, End::Server, frame);
        }
        let events: Vec<ClientEvent> = out.take_events().collect();
        for event in events {
            self.on_device_event(miner, event);
        }
        if let Some(reason) = out.take_close() {
            self.witness.breach(Property::MinersStay, reason);
        }
    }

    fn on_device_event(&mut self, miner: usize, event: ClientEvent) {
        let Some(session) = &mut self.miners[miner].session else {
            return;
        };
        match event {
            ClientEvent::Mine(assignment) => {
                self.searches += 1;
                let number = self.searches;
                let search = Search::new(number, Arc::clone(&assignment));
                session.searches.insert(assignment.channel_id, search);
                self.plan_find(miner, number, &assignment);
            }
            ClientEvent::Rest { channel_id } => drop(session.searches.remove(&channel_id)),
            ClientEvent::OpenRefused { code, .. } => {
                self.witness.breach(Property::MinersStay, code);
            }
            ClientEvent::Closed { reason, .. } => {
                self.witness.breach(Property::MinersStay, reason);
            }
            ClientEvent::Ignored(what) => {
                self.witness.breach(Property::NothingUnexpected, what);
            }
            _ => {}
        }
    }

    fn plan_find(&mut self, miner: usize, search: u64, assignment: &Assignment) {
        let luck = self.miners[miner].luck(&mut self.rng, assignment);
        let at = self.clock.elapsed() + luck;
        self.agenda.plan(at, Step::Find { miner, search });
    }

    /// The hasher finds a share, if it still searches where it did when its luck was drawn.
    pub(super) fn find(&mut self, miner: usize, number: u64) {
        let now = self.clock.now();
        let Some(session) = &mut self.miners[miner].session else {
            return;
        };
        let mut searches = session.searches.values_mut();
        let Some(search) = searches.find(|search| search.number == number) else {
            return;
        };
        let share = Box::new(search.find(now));
        let assignment = Arc::clone(search.assignment());
        self.plan_within(HAND_IN, Step::HandIn { miner, share });
        self.plan_find(miner, number, &assignment);
    }

    pub(super) fn hand_in(&mut self, miner: usize, share: FoundShare) {
        self.step_device(miner, |core, now, out| {
            core.input(now, ClientInput::Share(share), out);
        });
    }

    /// Nobody works for whom was lost then, unless it has been back since.
    pub(super) fn check_fallback(&mut self, lost: usize, at: Duration) {
        if self.witness.is_back(lost, at) {
            return;
        }
        let mut late = Vec::new();
        for session in self
            .miners
            .iter()
            .filter_map(|miner| miner.session.as_ref())
        {
            for search in session.searches.values() {
                let job_id = search.assignment().job_id;
                let job = self.witness.job_of(session.link, job_id);
                let job = job.and_then(|job| self.farm.declarator.job(job));
                if job.is_some_and(|job| job.upstream() == Some(lost)) {
                    late.push(format!("{} still works for upstream {lost}", session.link));
                }
            }
        }
        for what in late {
            self.witness.breach(Property::FallsBackInTime, what);
        }
    }
}
