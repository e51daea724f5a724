//! What happens on one connection, on its way to the ledger.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use daemon::clock;
use ledger::{Found, Origin, Outcome, Record, Recorder, Share, Source};
use protocol::server::ServerEvent;

/// Turns events into records, and knows when somebody waits for them.
pub(crate) struct Recording {
    peer: SocketAddr,
    recorder: Recorder,
    channels: HashMap<u32, Sources>,
    /// For shares that were sent for no open channel.
    no_channel: Arc<Source>,
    is_urgent: bool,
}

/// Those behind one channel.
struct Sources {
    channel: Arc<Source>,
    /// By name. There are no more than the server tells apart.
    workers: HashMap<Arc<str>, Arc<Source>>,
}

impl Recording {
    pub(crate) fn new(peer: SocketAddr, recorder: Recorder) -> Self {
        Self {
            peer,
            recorder,
            channels: HashMap::new(),
            no_channel: Arc::new(Source::new(peer, 0, String::new(), None)),
            is_urgent: false,
        }
    }

    /// Takes what the ledger keeps out of `event`. Returns the block, if it is about one.
    pub(crate) fn take(&mut self, event: &ServerEvent) -> Option<Found> {
        match event {
            ServerEvent::Opened {
                channel_id,
                user_identity,
                ..
            } => self.open(*channel_id, user_identity),
            ServerEvent::Closed { channel_id } => {
                self.channels.remove(channel_id);
            }
            ServerEvent::Accepted {
                channel_id,
                job_id,
                share,
                worker,
                ..
            } => {
                let outcome = Outcome::Accepted {
                    hash: BlockHash::from_byte_array(share.hash),
                    hashes: share.hashes,
                };
                let worker = worker.as_ref().map(|worker| &worker.name);
                self.share(*channel_id, *job_id, worker, outcome);
            }
            ServerEvent::Rejected {
                channel_id,
                job_id,
                code,
                worker,
            } => {
                let reason = (*code).into();
                let worker = worker.as_ref().map(|worker| &worker.name);
                self.share(*channel_id, *job_id, worker, Outcome::Rejected { reason });
                // Rare, and nothing that comes later need take it along.
                self.is_urgent = true;
            }
            ServerEvent::Block {
                channel_id,
                job_id,
                worker,
                solution,
                ..
            } => {
                let origin = Origin::Template(solution.template_id);
                let source = self.source(*channel_id, worker.as_ref());
                return Some(self.found(source, *job_id, (solution.hash, solution.height), origin));
            }
            ServerEvent::CustomBlock {
                channel_id,
                job_id,
                worker,
                block,
                ..
            } => {
                let origin = Origin::Declared(block.token.to_vec());
                let source = self.source(*channel_id, worker.as_ref());
                return Some(self.found(source, *job_id, (block.hash, block.height), origin));
            }
            ServerEvent::RecordAwaited(_) => self.is_urgent = true,
            _ => {}
        }
        None
    }

    /// A step is over: hands over what somebody waits for, or what has become much.
    pub(crate) fn stepped(&mut self) {
        if std::mem::take(&mut self.is_urgent) || self.recorder.has_much() {
            self.recorder.hand_over();
        }
    }

    /// As [`Recorder::is_full`].
    pub(crate) fn is_full(&self) -> bool {
        self.recorder.is_full()
    }

    /// As [`Recorder::recorded`].
    pub(crate) async fn recorded(&mut self) -> u64 {
        self.recorder.recorded().await
    }

    /// As [`Recorder::finish`].
    pub(crate) async fn finish(self) {
        self.recorder.finish().await;
    }

    fn open(&mut self, channel_id: u32, user: &str) {
        let channel = Source::new(self.peer, channel_id, user.to_owned(), None);
        let sources = Sources {
            channel: Arc::new(channel),
            workers: HashMap::new(),
        };
        self.channels.insert(channel_id, sources);
    }

    fn share(&mut self, channel_id: u32, job_id: u32, worker: Option<&Arc<str>>, outcome: Outcome) {
        let share = Share {
            source: self.source(channel_id, worker),
            time_ms: clock::unix_ms(),
            job_id,
            outcome,
        };
        self.recorder.record(Record::Share(share));
    }

    fn found(
        &mut self,
        source: Arc<Source>,
        job_id: u32,
        (hash, height): ([u8; 32], Option<u64>),
        origin: Origin,
    ) -> Found {
        let found = Found {
            hash: BlockHash::from_byte_array(hash),
            height,
            source,
            time_ms: clock::unix_ms(),
            job_id,
            origin,
        };
        self.recorder.record(Record::Found(Box::new(found.clone())));
        self.is_urgent = true;
        found
    }

    fn source(&mut self, channel_id: u32, worker: Option<&Arc<str>>) -> Arc<Source> {
        let Some(sources) = self.channels.get_mut(&channel_id) else {
            return Arc::clone(&self.no_channel);
        };
        let Some(worker) = worker else {
            return Arc::clone(&sources.channel);
        };
        if let Some(source) = sources.workers.get(worker) {
            return Arc::clone(source);
        }
        let user = sources.channel.user.clone();
        let source = Source::new(self.peer, channel_id, user, Some(worker.to_string()));
        let source = Arc::new(source);
        sources
            .workers
            .insert(Arc::clone(worker), Arc::clone(&source));
        source
    }
}

#[cfg(test)]
mod tests;
