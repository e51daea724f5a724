//! Who sees everything and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::client::ClientEvent;
use protocol::error_code;
use protocol::message::MiningOwned;
use protocol::server::{Limit, ServerEvent, Solution};
use protocol::target::Target;

use super::connection::{Connection, Submitted};
use super::shares::Key;
use super::view::Moment;
use super::{Breach, Property, TOLD_WITHIN, Violation};
use crate::network::LinkId;
use crate::report::Counts;

/// What the pool promises and the chain asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) ack_delay: Duration,
    pub(crate) max_jobs: u32,
    pub(crate) block_target: Target,
    /// Whether shares are acknowledged only when they are recorded.
    pub(crate) is_durable: bool,
}

/// Sees everything.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) now: Duration,
    terms: Terms,
    pub(crate) counts: Counts,
    pub(crate) violations: Vec<Violation>,
    /// What happened, line by line, if anybody wants to read it.
    pub(crate) trace: Option<Vec<String>>,
    connections: BTreeMap<LinkId, Connection>,
    /// Hashes of accepted shares.
    credited: BTreeSet<[u8; 32]>,
    /// Hashes of shares that survive a crash, and since when.
    recorded: BTreeMap<[u8; 32], Duration>,
    /// Hashes of blocks.
    blocks: BTreeSet<[u8; 32]>,
    /// Blocks passed on to the provider or given up.
    handed: u64,
}

impl Witness {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            now: Duration::ZERO,
            terms,
            counts: Counts::default(),
            violations: Vec::new(),
            trace: None,
            connections: BTreeMap::new(),
            credited: BTreeSet::new(),
            recorded: BTreeMap::new(),
            blocks: BTreeSet::new(),
            handed: 0,
        }
    }

    pub(crate) fn connected(&mut self, link: LinkId) {
        self.note(|| format!("{link} connects"));
        self.counts.connections += 1;
        self.connections.insert(link, Connection::default());
    }

    /// The pool sends a message.
    pub(crate) fn pool_sent(&mut self, link: LinkId, message: &MiningOwned) {
        self.note(|| format!("{link} pool  > {message}"));
        let connection = self.connections.entry(link).or_default();
        let before = connection.pool.channels.len();
        let seen = connection.pool.message(message);
        let answered = connection.at_pool.message(message);
        let opened = connection.pool.channels.len() > before;
        self.check(seen);
        match answered {
            Ok(answered) => self.answered(link, message, &answered),
            Err(breach) => self.check(Err(breach)),
        }
        match message {
            MiningOwned::SubmitSharesError(error) => {
                let key = (error.channel_id, error.sequence_number);
                let code = error.error_code.as_utf8_or_hex();
                self.rejected(link, key, &code);
            }
            MiningOwned::SetTarget(message) => {
                let target = Target::from_le_bytes(message.maximum_target.to_array());
                let max = self.connections[&link].max_targets.get(&message.channel_id);
                if max.is_some_and(|max| target > *max) {
                    let what = format!("{link}: target {target:?} is too easy");
                    self.breach(Property::TargetsInBounds, what);
                }
            }
            MiningOwned::SetNewPrevHash(_) => self.counts.tips += 1,
            MiningOwned::SetExtranoncePrefix(_) => self.check_prefix(link),
            _ if opened => self.check_prefix(link),
            _ => {}
        }
    }

    /// A message arrives at the miner.
    pub(crate) fn miner_received(&mut self, link: LinkId, message: &MiningOwned) {
        self.note(|| format!("{link} miner < {message}"));
        let connection = self.connections.entry(link).or_default();
        // What is wrong with it was told when it was sent.
        let _ = connection.miner.message(message);
        if connection.miner.was_closed(message) {
            return;
        }
        if let Err(breach) = connection.at_miner.message(message) {
            self.check(Err(breach));
        }
    }

    /// A message arrives at the pool.
    pub(crate) fn pool_received(&mut self, link: LinkId, message: &MiningOwned) {
        self.note(|| format!("{link} pool  < {message}"));
        let now = self.now;
        let connection = self.connections.entry(link).or_default();
        let (channel, number) = match message {
            MiningOwned::SubmitSharesStandard(share) => (share.channel_id, share.sequence_number),
            MiningOwned::SubmitSharesExtended(share) => (share.channel_id, share.sequence_number),
            MiningOwned::UpdateChannel(update) => {
                let max = Target::from_le_bytes(update.maximum_target.to_array());
                connection.max_targets.insert(update.channel_id, max);
                return;
            }
            _ => return,
        };
        connection.at_pool.share(channel, number, now);
    }

    /// The miner itself closes a channel.
    pub(crate) fn miner_closed(&mut self, link: LinkId, channel_id: u32) {
        self.note(|| format!("{link} miner closes channel {channel_id}"));
        let connection = self.connections.entry(link).or_default();
        connection.miner.close(channel_id);
        connection.at_miner.close(channel_id);
    }

    pub(crate) fn server_event(&mut self, link: LinkId, event: &ServerEvent) {
        let connection = self.connections.entry(link).or_default();
        match event {
            ServerEvent::Opened { .. } => self.counts.opened += 1,
            ServerEvent::OpenRefused(code) => {
                if *code != error_code::CHANNEL_CAPACITY_EXHAUSTED {
                    self.breach(Property::NothingUnexpected, format!("{link}: {code}"));
                }
            }
            ServerEvent::Closed { channel_id } => {
                connection.pool.close(*channel_id);
                connection.at_pool.close(*channel_id);
                self.counts.closed += 1;
            }
            ServerEvent::Accepted {
                channel_id, share, ..
            } => {
                connection.tally(*channel_id).pool_accepted += 1;
                self.counts.accepted += 1;
                let is_block = Target::from_le_bytes(share.hash) <= self.terms.block_target;
                if is_block && !self.blocks.contains(&share.hash) {
                    let what = format!("{link}: block {} was not told", hex(&share.hash));
                    self.breach(Property::BlocksToldOnce, what);
                }
                if !self.credited.insert(share.hash) {
                    let what = format!("{link}: share {} again", hex(&share.hash));
                    self.breach(Property::CreditedOnce, what);
                }
            }
            ServerEvent::Rejected { channel_id, .. } => {
                connection.tally(*channel_id).pool_rejected += 1;
                self.counts.rejected += 1;
            }
            ServerEvent::Block { solution, .. } => {
                self.counts.blocks += 1;
                if !self.blocks.insert(solution.hash) {
                    let what = format!("{link}: block {} again", hex(&solution.hash));
                    self.breach(Property::BlocksToldOnce, what);
                }
            }
            ServerEvent::Updated { .. }
            | ServerEvent::Retargeted { .. }
            | ServerEvent::RecordAwaited(_)
            | ServerEvent::JobCreated { .. }
            // Some miners ask for more channels than they get.
            | ServerEvent::Limited(Limit::Channels) => {}
            unexpected => {
                let what = format!("{link}: {unexpected:?}");
                self.breach(Property::NothingUnexpected, what);
            }
        }
    }

    pub(crate) fn client_event(&mut self, link: LinkId, event: &ClientEvent) {
        let connection = self.connections.entry(link).or_default();
        match event {
            ClientEvent::Submitted {
                share,
                sequence_number,
            } => {
                let (channel, job) = (share.channel_id, share.job_id);
                let moment = connection.miner.moment_of(channel, job);
                let is_mining = moment.is_some();
                let moment = moment.unwrap_or_default();
                let key = (channel, *sequence_number);
                let hash = share.hash;
                connection.shares.insert(key, Submitted { hash, moment });
                connection
                    .at_miner
                    .share(channel, *sequence_number, self.now);
                connection.tally(channel).submitted += 1;
                self.counts.submitted += 1;
                if !is_mining {
                    let what = format!("{link}: channel {channel} submits for job {job}");
                    self.breach(Property::NewestTipOnly, what);
                }
            }
            ClientEvent::Accepted {
                channel_id, count, ..
            } => connection.tally(*channel_id).miner_accepted += u64::from(*count),
            ClientEvent::Rejected { channel_id, .. } => {
                connection.tally(*channel_id).miner_rejected += 1;
            }
            ClientEvent::Late(_) => self.counts.late += 1,
            ClientEvent::Ignored(what) => {
                self.breach(Property::NothingUnexpected, format!("{link}: {what}"));
            }
            ClientEvent::Opened { .. }
            | ClientEvent::OpenRefused { .. }
            | ClientEvent::Mine(_)
            | ClientEvent::Rest { .. }
            | ClientEvent::Closed { .. }
            | ClientEvent::Reconnect { .. } => {}
        }
    }

    /// A share is in the ledger for good.
    pub(crate) fn recorded(&mut self, hash: [u8; 32]) {
        self.recorded.insert(hash, self.now);
    }

    /// A solution was passed on to the provider, or its template is lost.
    pub(crate) fn handed(&mut self, solution: &Solution) {
        self.handed += 1;
        if !self.blocks.contains(&solution.hash) {
            let what = format!("{} reaches the provider only", hex(&solution.hash));
            self.breach(Property::BlocksToldOnce, what);
        }
    }

    /// The pool's end of a connection is gone, with so many channels open.
    pub(crate) fn pool_ended(&mut self, link: LinkId, open: usize) {
        self.note(|| format!("{link} ends at the pool"));
        let connection = self.connections.entry(link).or_default();
        connection.pool_ended = true;
        let expected = connection.pool.channels.len();
        self.counts.abandoned += open as u64;
        if open != expected {
            let what = format!("{link}: {open} channels open, {expected} opened and not closed");
            self.breach(Property::ChannelsEndClosed, what);
        }
    }

    pub(crate) fn miner_ended(&mut self, link: LinkId) {
        self.note(|| format!("{link} ends at the miner"));
        self.connections.entry(link).or_default().miner_ended = true;
    }

    /// A core closed a connection for a reason.
    pub(crate) fn thrown_out(&mut self, link: LinkId, reason: &str) {
        self.breach(Property::NothingUnexpected, format!("{link}: {reason}"));
    }

    pub(crate) fn breach(&mut self, property: Property, what: String) {
        self.note(|| format!("VIOLATION {property:?}: {what}"));
        let at = self.now;
        self.violations.push(Violation { at, property, what });
    }

    /// Writes a line of the trace; nothing is formatted unless it is wanted.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} {}", self.now.as_secs_f64(), line()));
        }
    }

    /// Nothing is on its way any more: `tip` is mined, and all accounts agree.
    pub(crate) fn quiet(&mut self, tip: [u8; 32]) {
        self.note(|| "all is quiet".into());
        let mut breaches: Vec<Breach> = Vec::new();
        for (link, connection) in &self.connections {
            connection.quiet(*link, tip, &mut breaches);
        }
        if self.handed != self.blocks.len() as u64 {
            let what = format!("{} blocks, {} handed on", self.blocks.len(), self.handed);
            breaches.push((Property::BlocksToldOnce, what));
        }
        for (property, what) in breaches {
            self.breach(property, what);
        }
    }

    /// Everybody has left.
    pub(crate) fn finished(&mut self) {
        let Counts {
            opened,
            closed,
            abandoned,
            ..
        } = self.counts;
        if opened != closed + abandoned {
            let what = format!("{opened} opened, {closed} closed, {abandoned} cut off");
            self.breach(Property::ChannelsEndClosed, what);
        }
    }

    /// The pool answers shares that came to it then: a batch when its first share has waited long
    /// enough, or when its last one is recorded.
    fn answered(&mut self, link: LinkId, message: &MiningOwned, shares: &[(Key, Duration)]) {
        let Some(first) = shares.iter().map(|(_, at)| *at).min() else {
            return;
        };
        let mut due = first + self.terms.ack_delay;
        if self.terms.is_durable && matches!(message, MiningOwned::SubmitSharesSuccess(_)) {
            let sent = &self.connections[&link].shares;
            let recorded = |key| self.recorded.get(&sent.get(key)?.hash);
            let recorded: Option<Vec<_>> = shares.iter().map(|(key, _)| recorded(key)).collect();
            match recorded.and_then(|moments| moments.into_iter().max()) {
                Some(last) => due = due.max(*last + TOLD_WITHIN),
                None => {
                    let what = format!("{link}: not all shares are recorded: {message}");
                    self.breach(Property::AcknowledgedIsRecorded, what);
                }
            }
        }
        if self.now > due {
            let what = format!("{link}: shares waited too long: {message}");
            self.breach(Property::AnsweredOnce, what);
        }
    }

    fn check(&mut self, seen: Result<(), Breach>) {
        if let Err((property, what)) = seen {
            self.breach(property, what);
        }
    }

    /// A channel was opened: nobody else may have its part of the search space.
    fn check_prefix(&mut self, link: LinkId) {
        let live = |connection: &&Connection| !connection.pool_ended;
        let mut prefixes: Vec<&[u8]> = self
            .connections
            .values()
            .filter(live)
            .flat_map(|connection| connection.pool.channels.values())
            .map(|channel| channel.prefix.as_slice())
            .collect();
        // In this order a prefix of another stands right before one that starts with it.
        prefixes.sort_unstable();
        let shared = |pair: &[&[u8]]| pair[1].starts_with(pair[0]);
        if let Some(pair) = prefixes.windows(2).find(|pair| shared(pair)) {
            let what = format!("{link}: two channels have {}", hex(pair[0]));
            self.breach(Property::PrefixesDiffer, what);
        }
    }

    fn rejected(&mut self, link: LinkId, key: (u32, u32), code: &str) {
        let connection = &self.connections[&link];
        let Some(share) = connection.shares.get(&key) else {
            return;
        };
        let (channel, number) = key;
        let sent = connection.pool.channels.get(&channel);
        let sent = sent.map_or_else(Moment::default, |view| view.moment);
        let seen = share.moment;
        let breach = if code == error_code::STALE_SHARE {
            self.counts.stale += 1;
            let ended = sent.tips > seen.tips || sent.jobs - seen.jobs >= self.terms.max_jobs;
            (!ended).then_some(Property::StaleOnlyIfEnded)
        } else if code == error_code::DUPLICATE_SHARE {
            self.counts.duplicate += 1;
            let seen = self.credited.contains(&share.hash) || self.blocks.contains(&share.hash);
            (!seen).then_some(Property::HonestSharesAreGood)
        } else {
            Some(Property::HonestSharesAreGood)
        };
        if let Some(property) = breach {
            let what = format!(
                "{link}: share {number} of channel {channel} is answered {code}; its job came at \
                 {seen:?}, the pool is at {sent:?}"
            );
            self.breach(property, what);
        }
    }
}

/// The first bytes of a number, as people tell numbers apart.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
