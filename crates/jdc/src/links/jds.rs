//! To a job declarator server.

use daemon::clock;
use daemon::dial;
use daemon::drive::drive;
use protocol::declaration::client::{DeclarationClient, DeclarationEvent};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::{MAX_PENDING, Redirect};
use crate::config::Pair;
use crate::declarator::Input;
use crate::desk::Message;
use crate::outlet::{Joined, Outlet};

/// One upstream's job declarator server.
pub(super) struct Link {
    pub(super) number: usize,
    pub(super) pair: Pair,
    pub(super) desk: mpsc::Sender<Message>,
    pub(super) shown: watch::Sender<dial::Link>,
    pub(super) stop: CancellationToken,
}

impl Link {
    /// Until the role stops.
    pub(super) async fn run(self) {
        let number = self.number;
        let sessions = self.pair.jds.sessions(&self.stop);
        let mut sessions = sessions.shown_by(self.shown.clone());
        while let Some((mut connection, _)) = sessions.next().await {
            let mut client = DeclarationClient::new(self.pair.user_identity.clone());
            if let Err(error) = connection.send(&client.connected(clock::now())).await {
                debug!(%error, "the job declarator server left at once");
                continue;
            }
            let session = self.stop.child_token();
            let mut outlet = Outlet::new(&self.desk, &session);
            let (inputs, mut inputs_in) = mpsc::channel(MAX_PENDING);
            outlet.put(Message::JdsUp(number, inputs));
            let mut redirect: Redirect = None;
            let mut host = Joined {
                outlet: &mut outlet,
                inputs: &mut inputs_in,
                on_event: |event, outlet: &mut Outlet| {
                    on_event(number, event, outlet, &mut redirect);
                },
            };
            let ended = drive(connection, &mut client, &mut host, &session).await;
            let lost = Input::JdsLost {
                upstream: number,
                reason: ended.to_string(),
            };
            outlet.close(Message::Input(lost)).await;
            sessions.ended(&ended);
            if let Some((host, port)) = redirect {
                sessions.redirect(&host, port);
            }
        }
    }
}

fn on_event(number: usize, event: DeclarationEvent, outlet: &mut Outlet, redirect: &mut Redirect) {
    match event {
        DeclarationEvent::Ignored(what) => {
            debug!(what, "message of the job declarator server ignored");
        }
        DeclarationEvent::Reconnect { host, port } => *redirect = Some((host, port)),
        event => {
            if let DeclarationEvent::Provided { job, transactions } = &event {
                info!(job, transactions, "missing transactions provided");
            }
            outlet.put(Message::Input(Input::Jds(number, event)));
        }
    }
}
