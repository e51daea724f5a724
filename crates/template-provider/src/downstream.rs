//! One client: its connection, its core, its feed.

use std::time::Duration;

use daemon::accept::{Limit, Peer, Reached};
use daemon::clock;
use daemon::drive::{Joined, drive};
use daemon::wire::TcpConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::core::{Event, TemplateServer};
use crate::metrics::Metrics;
use crate::record::{ClientRecord, Record};
use crate::source::{Feed, Purpose, Refresh, Request, Source, Verdict};

/// What every client's task needs.
#[derive(Clone, Debug)]
pub struct Downstream {
    /// Opens the client's feed.
    pub source: Source,
    /// When the feed makes a template without a new tip.
    pub refresh: Refresh,
    /// What is counted.
    pub metrics: Metrics,
    /// What is told of the templates sent.
    pub record: Record,
    /// How long a client may say nothing of what it needs.
    pub idle: Duration,
    /// Where the limits it reaches are counted.
    pub reached: Reached,
    /// Cancelled when the role stops.
    pub stop: CancellationToken,
}

impl Downstream {
    /// Serves a client that has been set up, until it leaves or the role stops.
    pub async fn serve(self, connection: TcpConnection, peer: Peer) {
        let span = info_span!("client", peer = %peer.address);
        async {
            info!(
                vendor = peer.client.vendor,
                firmware = peer.client.firmware,
                "client connected"
            );
            let _counted = self.metrics.client();
            let record = self.record.of(peer.address, &peer.client);
            self.converse(connection, &record).await;
        }
        .instrument(span)
        .await;
    }

    async fn converse(&self, connection: TcpConnection, record: &ClientRecord) {
        let feed = match self.source.open(Purpose::Work(self.refresh)).await {
            Ok(feed) => feed,
            Err(error) => return error!(%error, "client turned away"),
        };
        let Feed { requests, events } = feed;
        let stop = self.stop.child_token();
        let mut server = TemplateServer::connected(clock::now(), self.idle);
        let on_event = |event| {
            self.metrics.count(&event);
            record.take(&event);
            match event {
                Event::Request(request) => forward(request, &requests, &stop),
                Event::Idle => self.reached.count(Limit::Idle),
                event => log(&event),
            }
        };
        let mut host = Joined {
            inputs: events,
            on_event,
        };
        let ended = drive(connection, &mut server, &mut host, &stop).await;
        info!(reason = %ended, "client gone");
    }
}

/// Hands a request to the feed, which takes requests at any time: only a client that floods finds
/// its queue full.
fn forward(request: Request, requests: &mpsc::Sender<Request>, stop: &CancellationToken) {
    if let Err(error) = requests.try_send(request) {
        warn!(%error, "client asks for more than its feed can take; closing");
        stop.cancel();
    }
}

fn log(event: &Event) {
    match event {
        Event::Request(_) | Event::Idle => {}
        Event::ConstraintsSet(constraints) => info!(%constraints, "constraints set"),
        Event::TemplateSent {
            template_id,
            new_tip,
            template,
        } => debug!(
            template_id,
            new_tip,
            prev_hash = %template.prev_block(),
            coinbase_value = template.coinbase_tx_value_remaining,
            "template sent"
        ),
        Event::TemplateUnusable { problem } => error!(problem, "template fits no message"),
        Event::TransactionDataSent {
            template_id,
            transactions,
        } => {
            debug!(template_id, transactions, "transaction data sent");
        }
        Event::TransactionDataRefused {
            template_id,
            code,
            reason,
        } => {
            info!(template_id, code, reason, "transaction data refused");
        }
        Event::SolutionSubmitted {
            template_id,
            block_hash,
        } => {
            debug!(template_id, %block_hash, "solution submitted");
        }
        Event::SolutionRefused {
            template_id,
            refusal,
        } => {
            warn!(template_id, reason = %refusal, "solution not submitted");
        }
        Event::SolutionJudged {
            template_id,
            block_hash,
            verdict,
        } => match verdict {
            Verdict::Accepted => info!(template_id, %block_hash, "block accepted"),
            Verdict::NotTip => {
                info!(template_id, %block_hash, "block taken, but it is not the tip");
            }
            Verdict::Rejected { reason } => {
                warn!(template_id, %block_hash, reason, "block rejected");
            }
            Verdict::Unknown { reason } => {
                warn!(template_id, %block_hash, reason, "block without a verdict");
            }
        },
        // Mostly the node is away for all, which the monitor reports; but it may also refuse to
        // make templates for this client alone.
        Event::NodeLost { reason } => info!(reason, "no templates for this client"),
        Event::NodeBack => debug!("node back"),
        Event::NodeSyncing => debug!("node syncing"),
        Event::Ignored { message } => debug!(message, "message ignored"),
    }
}
