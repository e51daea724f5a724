//! The task that talks to the template provider, for as long as the pool lives.

use std::sync::Arc;

use daemon::clock;
use daemon::dial::{Link, Upstream};
use daemon::drive::{Joined, drive};
use daemon::http::{Feed, Health};
use daemon::number::Count;
use daemon::shutdown::Shutdown;
use protocol::coinbase::CoinbasePlan;
use protocol::provider::{ProviderClient, ProviderEvent, ProviderInput};
use protocol::work::Work;
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info};

use crate::event::PoolEvent;

/// The task's ends of its channels.
pub(crate) struct Ends {
    pub(crate) work: watch::Sender<Option<Work>>,
    pub(crate) solutions: mpsc::Receiver<ProviderInput>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) feed: Feed<PoolEvent>,
    pub(crate) seen: Seen,
}

/// What people may look at.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) link: watch::Sender<Link>,
    /// When the newest work came, in milliseconds since 1970.
    pub(crate) received_ms: Arc<Count>,
}

/// Keeps a connection to the provider. Miners go on with what they have while it is away.
pub(crate) async fn run(upstream: Upstream, plan: CoinbasePlan, ends: Ends, shutdown: Shutdown) {
    let Ends {
        work,
        mut solutions,
        health,
        feed,
        seen,
    } = ends;
    let mut client = ProviderClient::new(plan);
    let away = || Health::not_ready(format!("no template provider at {}", upstream.address));
    health.send_replace(away());
    let sessions = upstream.sessions(shutdown.stop());
    let mut sessions = sessions.shown_by(seen.link.clone());
    while let Some((mut connection, _)) = sessions.next().await {
        if let Err(error) = connection.send(&client.connected()).await {
            debug!(%error, "the provider left at once");
            continue;
        }
        let mut host = Joined {
            inputs: &mut solutions,
            on_event: |event| {
                if matches!(event, ProviderEvent::Work(_)) {
                    seen.received_ms.set(clock::unix_ms());
                }
                on_event(event, (&work, &feed), &health);
            },
        };
        let ended = drive(connection, &mut client, &mut host, shutdown.stop()).await;
        health.send_replace(away());
        sessions.ended(&ended);
    }
}

fn on_event(
    event: ProviderEvent,
    (work, feed): (&watch::Sender<Option<Work>>, &Feed<PoolEvent>),
    health: &watch::Sender<Health>,
) {
    match event {
        ProviderEvent::Work(new) => {
            debug!(
                template = new.template.id,
                height = new.template.height(),
                futures = new.futures.len(),
                "new work"
            );
            if feed.is_heard() {
                let news = PoolEvent::of_work(work.borrow().as_ref(), &new);
                news.into_iter().for_each(|event| feed.tell(|| event));
            }
            work.send_replace(Some(new));
            health.send_replace(Health::Ready);
        }
        // Never asked for: a pool takes templates as they are.
        ProviderEvent::Transactions { .. } | ProviderEvent::NoTransactions { .. } => {}
        ProviderEvent::Ignored(what) => debug!(what, "message of the provider ignored"),
        ProviderEvent::Submitted(solution) => {
            let (template, height) = (solution.template_id, solution.height);
            info!(template, height, "solution submitted");
        }
        ProviderEvent::Lost(solution) => {
            let (template, height) = (solution.template_id, solution.height);
            error!(
                template,
                height, "block lost: its template belongs to an earlier connection of the provider"
            );
        }
    }
}
