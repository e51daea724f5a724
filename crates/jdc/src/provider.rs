//! The task that talks to the template provider, for as long as the role lives.

use daemon::dial::{Link, Upstream};
use daemon::drive::drive;
use daemon::shutdown::Shutdown;
use protocol::coinbase::CoinbasePlan;
use protocol::provider::{ProviderClient, ProviderEvent, ProviderInput};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::declarator::Input;
use crate::desk::Message;
use crate::outlet::{Joined, Outlet};

/// Keeps a connection to the provider, from the moment it is known what to ask of it. Miners go on
/// with what they have while it is away.
pub(crate) async fn run(
    upstream: Upstream,
    plan: CoinbasePlan,
    (desk, mut requests): (mpsc::Sender<Message>, mpsc::Receiver<ProviderInput>),
    link: watch::Sender<Link>,
    shutdown: Shutdown,
) {
    let mut client = ProviderClient::new(plan);
    if !constrain(&mut client, &mut requests, shutdown.stop()).await {
        return;
    }
    let mut sessions = upstream.sessions(shutdown.stop()).shown_by(link);
    while let Some((mut connection, _)) = sessions.next().await {
        if let Err(error) = connection.send(&client.connected()).await {
            debug!(%error, "the provider left at once");
            continue;
        }
        let session = shutdown.stop().child_token();
        let mut outlet = Outlet::new(&desk, &session);
        outlet.put(Message::ProviderUp(true));
        let mut host = Joined {
            outlet: &mut outlet,
            inputs: &mut requests,
            on_event,
        };
        let ended = drive(connection, &mut client, &mut host, &session).await;
        outlet.close(Message::ProviderUp(false)).await;
        sessions.ended(&ended);
    }
}

/// Waits for the first constraints; `false` when the role stops.
async fn constrain(
    client: &mut ProviderClient,
    requests: &mut mpsc::Receiver<ProviderInput>,
    stop: &CancellationToken,
) -> bool {
    loop {
        let request = tokio::select! {
            () = stop.cancelled() => return false,
            request = requests.recv() => request,
        };
        match request {
            Some(ProviderInput::Constrain(constraints)) => {
                client.constrain(constraints);
                return true;
            }
            Some(_) => {}
            None => return false,
        }
    }
}

fn on_event(event: ProviderEvent, outlet: &mut Outlet) {
    let input = match event {
        ProviderEvent::Work(work) => {
            debug!(
                template = work.template.id,
                height = work.template.height(),
                futures = work.futures.len(),
                "new work"
            );
            Input::Work(work)
        }
        ProviderEvent::Transactions {
            session,
            template_id,
            transactions,
        } => Input::Transactions {
            session,
            template_id,
            transactions,
        },
        ProviderEvent::NoTransactions {
            session,
            template_id,
            code,
        } => {
            info!(
                template = template_id,
                code, "the provider keeps the transactions of a template"
            );
            Input::NoTransactions {
                session,
                template_id,
                code,
            }
        }
        ProviderEvent::Ignored(what) => {
            return debug!(what, "message of the provider ignored");
        }
        ProviderEvent::Submitted(solution) => {
            let (template, height) = (solution.template_id, solution.height);
            return info!(template, height, "solution submitted");
        }
        ProviderEvent::Lost(solution) => {
            let (template, height) = (solution.template_id, solution.height);
            return error!(
                template,
                height,
                "block not submitted to the provider: its template belongs to an earlier connection"
            );
        }
    };
    outlet.put(Message::Input(input));
}
