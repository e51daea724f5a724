//! One client: its connection, its core, and the calls made for it.

use std::net::SocketAddr;
use std::sync::Arc;

use daemon::accept::{Limit, Peer, Reached};
use daemon::clock;
use daemon::drive::{Host, drive};
use daemon::node::{NodeRpc, Verdict, submit};
use daemon::shutdown::Shutdown;
use daemon::wire::TcpConnection;
use protocol::setup::DECLARE_TX_DATA;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use crate::block::Block;
use crate::core::{DeclarationServer, Event, Input, NodeView, Policy, Report};
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::mined::MinedBlocks;
use crate::proposal::Proposals;
use crate::record::{Declarations, block_hash};

/// Answers on their way to a connection. When it is full, whoever has the next one waits.
const MAX_ANSWERS: usize = 16;
/// Blocks of one client on their way to the node. One more is not submitted: on a real chain one
/// is rare, and the client's template provider submits it too.
const MAX_SUBMISSIONS: usize = 4;

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Downstreams {
    pub(crate) policy: Arc<Policy>,
    pub(crate) view: watch::Receiver<NodeView>,
    pub(crate) mempool: Mempool,
    pub(crate) proposals: Proposals,
    pub(crate) mined: MinedBlocks,
    pub(crate) node: NodeRpc,
    pub(crate) declarations: Declarations,
    pub(crate) metrics: Metrics,
    pub(crate) reached: Reached,
    pub(crate) shutdown: Shutdown,
}

impl Downstreams {
    /// Serves a client that has been set up, until it leaves or the role stops.
    pub(crate) async fn serve(self: Arc<Self>, connection: TcpConnection, peer: Peer) {
        let span = info_span!("client", peer = %peer.address);
        let _counted = self.metrics.client();
        let (vendor, firmware) = (&peer.client.vendor, &peer.client.firmware);
        let is_full_template = peer.client.flags & DECLARE_TX_DATA != 0;
        span.in_scope(|| info!(vendor, firmware, is_full_template, "client connected"));
        let ended = self
            .converse(connection, &peer)
            .instrument(span.clone())
            .await;
        span.in_scope(|| info!(reason = %ended, "client gone"));
    }

    async fn converse(
        self: &Arc<Self>,
        connection: TcpConnection,
        peer: &Peer,
    ) -> daemon::drive::Ended {
        let mut view = self.view.clone();
        let node = view.borrow_and_update().clone();
        let mut core = DeclarationServer::new(
            Arc::clone(&self.policy),
            peer.client.flags,
            node,
            StdRng::from_entropy(),
            clock::now(),
        );
        let (answers, answers_in) = mpsc::channel(MAX_ANSWERS);
        let mut session = Session {
            jds: Arc::clone(self),
            peer: peer.address,
            view,
            answers,
            answers_in,
            proposals: self.proposals.of_client(),
            submissions: Arc::new(Semaphore::new(MAX_SUBMISSIONS)),
        };
        drive(connection, &mut core, &mut session, self.shutdown.stop()).await
    }
}

/// One client's connection to the rest of the role.
struct Session {
    jds: Arc<Downstreams>,
    peer: SocketAddr,
    /// Newest only.
    view: watch::Receiver<NodeView>,
    answers: mpsc::Sender<Input>,
    answers_in: mpsc::Receiver<Input>,
    proposals: Proposals,
    submissions: Arc<Semaphore>,
}

impl Host<DeclarationServer> for Session {
    async fn next(&mut self) -> Option<Input> {
        tokio::select! {
            changed = self.view.changed() => {
                changed.ok()?;
                Some(Input::Node(self.view.borrow_and_update().clone()))
            }
            answer = self.answers_in.recv() => answer,
        }
    }

    fn event(&mut self, event: Event) {
        self.jds.metrics.count(&event);
        match event {
            Event::Allocated { scope, user } => debug!(?scope, user, "token allocated"),
            Event::Delayed => debug!("tokens are asked for too fast"),
            Event::Lookup { number, wtxids } => self.look_up(number, wtxids),
            Event::Propose { number, block } => self.propose(number, block),
            Event::Overtaken { number, hash } => self.see_mined(number, hash),
            Event::Decided(report) => {
                log(&report);
                self.jds.declarations.answered(self.peer, &report);
            }
            Event::Solved { number, block } => self.submit(number, block),
            Event::NotSolved { reason } => info!(reason, "solution of no declared job"),
            Event::Idle => self.jds.reached.count(Limit::Idle),
            Event::Ignored { message } => debug!(message, "message ignored"),
        }
    }
}

impl Session {
    fn look_up(&self, number: u64, wtxids: Arc<[[u8; 32]]>) {
        let (jds, answers) = (Arc::clone(&self.jds), self.answers.clone());
        self.spawn(async move {
            let transactions = jds.mempool.find(&wtxids).await;
            let found = Input::Found {
                number,
                transactions,
            };
            // Fails only when the client has left.
            let _ = answers.send(found).await;
        });
    }

    fn propose(&self, number: u64, block: Block) {
        let (proposals, answers) = (self.proposals.clone(), self.answers.clone());
        self.spawn(async move {
            let judgement = proposals.judge(&block).await;
            let _ = answers.send(Input::Judged { number, judgement }).await;
        });
    }

    fn see_mined(&self, number: u64, hash: [u8; 32]) {
        let (mined, answers) = (self.jds.mined.clone(), self.answers.clone());
        self.spawn(async move {
            let block = mined.get(hash).await;
            let _ = answers.send(Input::Mined { number, block }).await;
        });
    }

    /// A found block is worth more than the connection it came on: it is submitted even when the
    /// client leaves.
    fn submit(&self, number: u64, block: Block) {
        let hash = block.hash();
        let Ok(turn) = Arc::clone(&self.submissions).try_acquire_owned() else {
            return error!(
                hash = block_hash(&hash),
                "too many blocks at once, one not submitted"
            );
        };
        let (jds, peer) = (Arc::clone(&self.jds), self.peer);
        let task = async move {
            let verdict = submit(&jds.node, block.to_hex()).await;
            report(&hash, &verdict);
            jds.metrics.submitted(&verdict);
            jds.declarations.judged(peer, number, &hash, verdict);
            drop(turn);
        };
        self.jds.shutdown.spawn(task.instrument(Span::current()));
    }

    /// Runs until it is done, the client has left, or the role stops.
    fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        let (answers, stop) = (self.answers.clone(), self.jds.shutdown.stop().clone());
        let task = async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = answers.closed() => {}
                () = call => {}
            }
        };
        self.jds.shutdown.spawn(task.instrument(Span::current()));
    }
}

fn log(report: &Report) {
    let Report {
        request_id,
        user,
        height,
        transactions,
        missing,
        ..
    } = report;
    let took = report.took;
    match &report.refusal {
        None => info!(
            request_id,
            user,
            height,
            transactions,
            missing,
            ?took,
            "job declared"
        ),
        Some(refusal) => info!(
            request_id,
            user,
            height,
            transactions,
            missing,
            ?took,
            code = refusal.code,
            details = refusal.details,
            "declaration refused"
        ),
    }
}

fn report(hash: &[u8; 32], verdict: &Verdict) {
    let hash = block_hash(hash);
    match verdict {
        Verdict::Accepted => info!(hash, "block accepted by the node"),
        Verdict::Duplicate => info!(hash, "block: the node had it before"),
        Verdict::Inconclusive => info!(hash, "block taken by the node, but it is not the tip"),
        Verdict::Rejected(reason) => warn!(hash, reason, "block rejected by the node"),
        Verdict::Unknown(reason) => error!(hash, reason, "block not submitted"),
    }
}
