//! The job declarator client: its declarator, and its edge around it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::Hash;
use bitcoin::{FeeRate, Network, ScriptBuf, Txid};
use jdc::declarator::{
    Action, CoinbaseKit, Declarator, Found, Input, LOCAL_EXTRANONCE, Mode, Selection, space,
};
use protocol::coinbase::CoinbasePlan;
use protocol::core::{Core, Now, Outbox};
use protocol::custom_work::{CustomChannel, CustomWorkClient, CustomWorkEvent};
use protocol::declaration::client::{DeclarationClient, DeclarationEvent};
use protocol::provider::{ProviderClient, ProviderEvent, ProviderInput};
use protocol::server::{JobSource, MiningServer, Policy, ServerEvent, ServerInput};
use protocol::work::Work;
use rand::Rng;
use rand::rngs::StdRng;

use super::{FALLBACK, Line, Peer, Property, Step, World};
use crate::declaring::Fault;
use crate::frames;
use crate::network::{End, LinkId};

/// Before somebody is dialled again.
const BACK_OFF: Duration = Duration::from_millis(1_000);
/// How long a miner's connection may be busy before it looks at new work.
const BUSY: Duration = Duration::from_millis(30);
/// How long the node may take to tell fees; longer than anybody waits.
const FEES: Duration = Duration::from_millis(1_200);
/// Of a transaction, in satoshis. It weighs about 250.
const HIGHEST_FEE: u64 = 256;
/// What the upstreams are told at first.
const HASH_RATE: f32 = 20.0;

/// The client, which never crashes here.
#[derive(Debug)]
pub(super) struct Farm {
    mode: Mode,
    pub(super) declarator: Declarator,
    /// What it is to be told; one step ends before the next begins.
    inputs: VecDeque<Input>,
    is_stepping: bool,
    wake: Option<Duration>,
    provider: ProviderClient,
    provider_link: Option<LinkId>,
    /// For when the provider is back.
    requests: VecDeque<ProviderInput>,
    is_constrained: bool,
    pools: Vec<Option<Line<CustomWorkClient>>>,
    jdss: Vec<Option<Line<DeclarationClient>>>,
    policy: Arc<Policy>,
    /// The newest only, like the `watch` the real one has.
    pub(super) work: Option<Work>,
    pub(super) miners: BTreeMap<LinkId, Line<MiningServer>>,
    slots: u32,
}

impl Farm {
    /// In a mode of its own, with wishes of its own.
    pub(super) fn new(rng: &mut StdRng, upstreams: usize, now: Now) -> Self {
        let reward_script = ScriptBuf::from(vec![0x51]);
        let kit = CoinbaseKit {
            reward_script: reward_script.clone(),
            signature: b"farm".to_vec(),
            outputs: Vec::new(),
        };
        let plan = CoinbasePlan {
            reward_script,
            signature: kit.signature.clone(),
            extranonce_len: LOCAL_EXTRANONCE,
        };
        let mode = match rng.gen_range(0..4) {
            0 => Mode::CoinbaseOnly,
            _ => Mode::FullTemplate,
        };
        // About half of all transactions pay so much.
        let rate = [0, 0, 4 * HIGHEST_FEE / 2][rng.gen_range(0..3)];
        let selection = Selection {
            min_fee_rate: FeeRate::from_sat_per_kwu(rate),
            ..Selection::all(Network::Regtest)
        };
        let policy = Policy {
            shares_per_minute: 60.0,
            share_batch_size: 2,
            network: None,
            ..Policy::default()
        };
        Self {
            mode,
            declarator: Declarator::new(mode, kit, selection, upstreams, now),
            inputs: VecDeque::new(),
            is_stepping: false,
            wake: None,
            provider: ProviderClient::new(plan),
            provider_link: None,
            requests: VecDeque::new(),
            is_constrained: false,
            pools: (0..upstreams).map(|_| None).collect(),
            jdss: (0..upstreams).map(|_| None).collect(),
            policy: Arc::new(policy),
            work: None,
            miners: BTreeMap::new(),
            slots: 0,
        }
    }
}

impl World {
    /// Somebody dials; when there is nobody, again in a while.
    pub(super) fn dial(&mut self, peer: Peer) {
        if let Peer::Farm(miner) = peer {
            return self.join(miner);
        }
        let is_there = match peer {
            Peer::Provider => self.farm.provider_link.is_some(),
            Peer::Pool(upstream) => self.farm.pools[upstream].is_some(),
            Peer::Jds(upstream) => self.farm.jdss[upstream].is_some(),
            Peer::Farm(_) => false,
        };
        if is_there {
            return;
        }
        let link = self.network.dial(&mut self.rng);
        if !self.accept(peer, link) {
            return self.plan_within(BACK_OFF, Step::Dial(peer));
        }
        self.peers.insert(link, peer);
        let now = self.clock.now();
        let opening = match peer {
            Peer::Provider => {
                self.farm.provider_link = Some(link);
                self.farm.provider.connected()
            }
            Peer::Pool(upstream) => {
                let mut client = CustomWorkClient::new(CustomChannel {
                    user_identity: "farm".to_owned(),
                    nominal_hash_rate: HASH_RATE,
                    min_extranonce_size: LOCAL_EXTRANONCE as u16,
                });
                let opening = client.connected(now);
                self.farm.pools[upstream] = Some(Line::new(link, client));
                opening
            }
            Peer::Jds(upstream) => {
                let mut client = DeclarationClient::new("farm".to_owned());
                let opening = client.connected(now);
                self.farm.jdss[upstream] = Some(Line::new(link, client));
                opening
            }
            Peer::Farm(_) => Vec::new(),
        };
        for frame in frames::split(&opening) {
            self.send(link, End::Server, frame);
        }
        match peer {
            Peer::Provider => self.flush_requests(),
            // For the deadlines of what was just said.
            Peer::Pool(upstream) => self.step_pool_client(upstream, link, super::wake),
            Peer::Jds(upstream) => self.step_jds_client(upstream, link, super::wake),
            Peer::Farm(_) => {}
        }
        if self.rng.gen_bool(0.3) {
            self.plan_within(Duration::from_secs(15), Step::Cut { link });
        }
    }

    fn redial(&mut self, peer: Peer) {
        self.plan_within(BACK_OFF, Step::Dial(peer));
    }

    pub(super) fn farm_hears_provider(&mut self, mut frame: Vec<u8>) {
        self.step_provider_client(|core, now, out| {
            core.received(now, frames::borrow(&mut frame), out);
        });
    }

    pub(super) fn farm_loses_provider(&mut self, link: LinkId) {
        let known = &mut self.farm.provider_link;
        if known.take_if(|known| *known == link).is_some() {
            self.redial(Peer::Provider);
        }
    }

    pub(super) fn farm_loses_pool(&mut self, upstream: usize, link: LinkId) {
        let line = &mut self.farm.pools[upstream];
        let Some(line) = line.take_if(|line| line.link == link) else {
            return;
        };
        self.loses(upstream, |upstream| Input::PoolLost {
            upstream,
            reason: "gone".to_owned(),
            unanswered: line.core.into_unanswered(),
        });
        self.redial(Peer::Pool(upstream));
    }

    pub(super) fn farm_loses_jds(&mut self, upstream: usize, link: LinkId) {
        let line = &mut self.farm.jdss[upstream];
        if line.take_if(|line| line.link == link).is_none() {
            return;
        }
        self.loses(upstream, |upstream| Input::JdsLost {
            upstream,
            reason: "gone".to_owned(),
        });
        self.redial(Peer::Jds(upstream));
    }

    fn loses(&mut self, upstream: usize, input: impl FnOnce(usize) -> Input) {
        let was_active = self.farm.declarator.active() == Some(upstream);
        self.tell(input(upstream));
        if was_active {
            let (lost, at) = (upstream, self.clock.elapsed());
            self.agenda.plan(at + FALLBACK, Step::Check { lost, at });
        }
        if self.fault == Some(Fault::DroppedMiners) {
            let now = self.clock.elapsed();
            for link in self.farm.miners.keys() {
                let (link, to) = (*link, End::Client);
                self.agenda.plan(now, Step::Gone { link, to });
            }
        }
    }

    fn step_provider_client(
        &mut self,
        step: impl FnOnce(&mut ProviderClient, Now, &mut Outbox<ProviderEvent>),
    ) {
        let mut out = Outbox::default();
        step(&mut self.farm.provider, self.clock.now(), &mut out);
        if let Some(link) = self.farm.provider_link {
            for frame in frames::split(out.frames()) {
                self.send(link, End::Server, frame);
            }
        }
        let events: Vec<ProviderEvent> = out.take_events().collect();
        for event in events {
            match event {
                ProviderEvent::Work(work) => self.tell(Input::Work(work)),
                ProviderEvent::Transactions {
                    session,
                    template_id,
                    transactions,
                } => self.tell(Input::Transactions {
                    session,
                    template_id,
                    transactions,
                }),
                ProviderEvent::NoTransactions {
                    session,
                    template_id,
                    code,
                } => self.tell(Input::NoTransactions {
                    session,
                    template_id,
                    code,
                }),
                ProviderEvent::Submitted(_) | ProviderEvent::Lost(_) => {}
                ProviderEvent::Ignored(what) => {
                    self.witness.breach(Property::NothingUnexpected, what);
                }
            }
        }
    }

    fn flush_requests(&mut self) {
        while self.farm.provider_link.is_some()
            && let Some(request) = self.farm.requests.pop_front()
        {
            self.step_provider_client(|core, now, out| core.input(now, request, out));
        }
    }

    pub(super) fn step_pool_client(
        &mut self,
        upstream: usize,
        link: LinkId,
        step: impl FnOnce(&mut CustomWorkClient, Now, &mut Outbox<CustomWorkEvent>),
    ) {
        let line = self.farm.pools[upstream].as_mut();
        let Some(line) = line.filter(|line| line.link == link) else {
            return;
        };
        let mut stepped = line.step(&self.clock, step);
        if self.fault == Some(Fault::JobsTwice) {
            let shown = stepped.frames.iter();
            let again = shown.filter(|frame| frames::message_type(frame) == Some(0x22));
            let again: Vec<_> = again.cloned().collect();
            stepped.frames.extend(again);
        }
        for event in self.carry(link, End::Client, stepped) {
            match &event {
                // A job of an earlier prefix or of a replayed message.
                CustomWorkEvent::Ignored(what) => {
                    let what = what.clone();
                    self.witness.note(|| what);
                    continue;
                }
                CustomWorkEvent::Accepted { shares, .. } => {
                    for share in shares {
                        self.witness.acknowledged(upstream, share.hash);
                    }
                    if self.fault == Some(Fault::ForgottenAnswers) {
                        continue;
                    }
                }
                _ => {}
            }
            self.tell(Input::Pool(upstream, event));
        }
    }

    pub(super) fn step_jds_client(
        &mut self,
        upstream: usize,
        link: LinkId,
        step: impl FnOnce(&mut DeclarationClient, Now, &mut Outbox<DeclarationEvent>),
    ) {
        let line = self.farm.jdss[upstream].as_mut();
        let Some(line) = line.filter(|line| line.link == link) else {
            return;
        };
        let stepped = line.step(&self.clock, step);
        for event in self.carry(link, End::Client, stepped) {
            if let DeclarationEvent::Ignored(what) = event {
                self.witness.breach(Property::NothingUnexpected, what);
            } else {
                self.tell(Input::Jds(upstream, event));
            }
        }
    }

    pub(super) fn wake_desk(&mut self) {
        if self.fault == Some(Fault::SleepingDesk) && self.farm.work.is_some() {
            return;
        }
        let mut out = Vec::new();
        self.farm.declarator.wake(self.clock.now(), &mut out);
        self.act(out);
        self.plan_desk();
    }

    /// Tells the declarator something, after what it was told before.
    pub(super) fn tell(&mut self, input: Input) {
        self.farm.inputs.push_back(input);
        if self.farm.is_stepping {
            return;
        }
        self.farm.is_stepping = true;
        while let Some(input) = self.farm.inputs.pop_front() {
            let mut out = Vec::new();
            let now = self.clock.now();
            self.farm.declarator.step(now, input, &mut out);
            self.act(out);
        }
        self.farm.is_stepping = false;
        self.plan_desk();
    }

    fn plan_desk(&mut self) {
        let due = self.farm.declarator.deadline(self.clock.now().instant);
        let at = due.map(|due| self.clock.when(due));
        if at.is_some() && at != self.farm.wake {
            self.farm.wake = at;
            self.agenda.plan(at.unwrap_or_default(), Step::WakeDesk);
        }
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Publish(work) => self.publish(work),
                Action::Provider(ProviderInput::Constrain(room)) if !self.farm.is_constrained => {
                    self.farm.is_constrained = true;
                    self.farm.provider.constrain(room);
                    self.plan_within(BUSY, Step::Dial(Peer::Provider));
                }
                Action::Provider(request) => {
                    self.farm.requests.push_back(request);
                    self.flush_requests();
                }
                Action::Pool(upstream, input) => {
                    if let Some(link) = self.farm.pools[upstream].as_ref().map(|line| line.link) {
                        self.step_pool_client(upstream, link, |core, now, out| {
                            core.input(now, input, out);
                        });
                    }
                }
                Action::Jds(upstream, input) => {
                    if let Some(link) = self.farm.jdss[upstream].as_ref().map(|line| line.link) {
                        self.step_jds_client(upstream, link, |core, now, out| {
                            core.input(now, input, out);
                        });
                    }
                }
                Action::Report(report) => self.witness.report(&report),
                Action::Fees {
                    session,
                    template_id,
                    txids,
                } => self.plan_within(
                    FEES,
                    Step::Fees {
                        session,
                        template_id,
                        txids,
                    },
                ),
                Action::Submit { hash, block } => {
                    self.plan_within(BUSY, Step::Submit { hash, block });
                }
                Action::Pin(_) => {
                    let what = "nothing was pinned".to_owned();
                    self.witness.breach(Property::NothingUnexpected, what);
                }
            }
        }
    }

    /// The node has forgotten some by then.
    pub(super) fn tell_fees(&mut self, session: u64, template_id: u64, txids: &[Txid]) {
        let told = txids.iter().map(|txid| (*txid, txid.to_byte_array()));
        let told = told.filter(|(_, bytes)| bytes[1] > 25);
        let fees = told.map(|(txid, bytes)| (txid, u64::from(bytes[0])));
        let fees = fees.collect();
        self.tell(Input::Fees {
            session,
            template_id,
            fees,
        });
    }

    pub(super) fn shows_transactions(&self) -> bool {
        self.farm.mode == Mode::FullTemplate
    }

    fn publish(&mut self, work: Work) {
        let is_loss = self.farm.declarator.active().is_none();
        if self.fault == Some(Fault::StuckMiners) && is_loss && self.farm.work.is_some() {
            return;
        }
        self.farm.work = Some(work);
        let links: Vec<LinkId> = self.farm.miners.keys().copied().collect();
        for link in links {
            self.plan_within(BUSY, Step::Look { link });
        }
    }

    pub(super) fn look_at_work(&mut self, link: LinkId) {
        if let Some(work) = self.farm.work.clone() {
            self.step_server(link, |core, now, out| {
                core.input(now, ServerInput::Work(work), out);
            });
        }
    }

    /// A miner's connection begins.
    pub(super) fn serve(&mut self, link: LinkId, flags: u32, work: Work) {
        self.farm.slots += 1;
        let space = space(self.farm.slots);
        let server = MiningServer::new(Arc::clone(&self.farm.policy), flags, space, work);
        self.farm.miners.insert(link, Line::new(link, server));
    }

    pub(super) fn step_server(
        &mut self,
        link: LinkId,
        step: impl FnOnce(&mut MiningServer, Now, &mut Outbox<ServerEvent>),
    ) {
        let Some(line) = self.farm.miners.get_mut(&link) else {
            return;
        };
        let stepped = line.step(&self.clock, step);
        for event in self.carry(link, End::Server, stepped) {
            match event {
                ServerEvent::JobCreated {
                    job_id,
                    template_id,
                    ..
                } => self.witness.job(link, job_id, template_id),
                ServerEvent::Block { solution, .. } => {
                    self.witness.found(solution.hash);
                    self.tell(Input::Block(solution));
                }
                ServerEvent::Accepted { share, .. } => {
                    self.witness.counts.accepted += 1;
                    let JobSource::Template { id: job, .. } = share.source else {
                        continue;
                    };
                    self.tell(Input::Accepted {
                        job,
                        found: Found {
                            nonce: share.nonce,
                            ntime: share.ntime,
                            version: share.version,
                            extranonce: share.extranonce.as_bytes().to_vec(),
                            hash: share.hash,
                        },
                        is_block: share.is_block,
                    });
                }
                _ => {}
            }
        }
    }

    /// Once everybody has been left in peace.
    pub(super) fn judge(&mut self) {
        if self.farm.declarator.active() != Some(0) {
            let now = self.clock.now().instant;
            let upstreams = 0..self.upstreams.len();
            let states: Vec<_> = upstreams
                .map(|at| self.farm.declarator.state(at, now))
                .collect();
            let what = format!("{:?}: {states:?}", self.farm.declarator.active());
            self.witness.breach(Property::FindsBack, what);
        }
        let mut unaccounted = Vec::new();
        for job in self.farm.declarator.jobs() {
            let tally = job.tally;
            let told = tally.below_target + tally.acknowledged + tally.rejected + tally.lost;
            if job.upstream().is_some() && tally.accepted != told + job.waiting() as u64 {
                let (id, stage, waiting) = (job.id, &job.stage, job.waiting());
                unaccounted.push(format!("job {id}, {stage:?}: {tally:?}, {waiting} waiting"));
            }
        }
        for what in unaccounted {
            self.witness.breach(Property::SharesAreAccounted, what);
        }
    }
}
