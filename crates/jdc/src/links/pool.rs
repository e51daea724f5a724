//! To a pool.

use daemon::clock;
use daemon::dial;
use daemon::drive::{Host, drive};
use protocol::custom_work::{CustomChannel, CustomWorkClient, CustomWorkEvent, CustomWorkInput};
use protocol::setup::REQUIRES_FIXED_VERSION;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{MAX_PENDING, Redirect};
use crate::config::Pair;
use crate::declarator::{Input, LOCAL_EXTRANONCE};
use crate::desk::Message;
use crate::outlet::Outlet;

/// One upstream's pool.
pub(super) struct Link {
    pub(super) number: usize,
    pub(super) pair: Pair,
    pub(super) desk: mpsc::Sender<Message>,
    pub(super) hash_rate: watch::Receiver<f32>,
    pub(super) shown: watch::Sender<dial::Link>,
    pub(super) stop: CancellationToken,
}

impl Link {
    /// Until the role stops.
    pub(super) async fn run(self) {
        let sessions = self.pair.pool.sessions(&self.stop);
        let mut sessions = sessions.shown_by(self.shown.clone());
        while let Some((mut connection, accepted)) = sessions.next().await {
            if accepted.flags & REQUIRES_FIXED_VERSION != 0 {
                warn!(upstream = %self.pair.pool.address, "the pool takes no rolled versions, our miners roll them");
                continue;
            }
            let mut client = self.client();
            if let Err(error) = connection.send(&client.connected(clock::now())).await {
                debug!(%error, "the pool left at once");
                continue;
            }
            // Not the role's own token, which would end the session before the channel is closed.
            let session = CancellationToken::new();
            let mut outlet = Outlet::new(&self.desk, &session);
            let (inputs, inputs_in) = mpsc::channel(MAX_PENDING);
            outlet.put(Message::PoolUp(self.number, inputs));
            let mut host = Session {
                number: self.number,
                outlet,
                inputs: inputs_in,
                stop: self.stop.clone(),
                is_leaving: false,
                redirect: None,
            };
            let ended = drive(connection, &mut client, &mut host, &session).await;
            let lost = Input::PoolLost {
                upstream: self.number,
                reason: ended.to_string(),
                unanswered: client.into_unanswered(),
            };
            host.outlet.close(Message::Input(lost)).await;
            sessions.ended(&ended);
            if let Some((host, port)) = host.redirect {
                sessions.redirect(&host, port);
            }
        }
    }

    fn client(&self) -> CustomWorkClient {
        CustomWorkClient::new(CustomChannel {
            user_identity: self.pair.user_identity.clone(),
            nominal_hash_rate: *self.hash_rate.borrow(),
            min_extranonce_size: LOCAL_EXTRANONCE as u16,
        })
    }
}

/// One connection, as its core meets it.
struct Session {
    number: usize,
    outlet: Outlet,
    inputs: mpsc::Receiver<CustomWorkInput>,
    stop: CancellationToken,
    is_leaving: bool,
    redirect: Redirect,
}

impl Host<CustomWorkClient> for Session {
    async fn next(&mut self) -> Option<CustomWorkInput> {
        tokio::select! {
            biased;
            () = self.stop.cancelled(), if !self.is_leaving => {
                self.is_leaving = true;
                Some(CustomWorkInput::Leave)
            }
            input = self.outlet.next(&mut self.inputs) => input,
        }
    }

    fn another(&mut self) -> Option<CustomWorkInput> {
        self.inputs.try_recv().ok()
    }

    fn event(&mut self, event: CustomWorkEvent) {
        match event {
            CustomWorkEvent::Ignored(what) => debug!(what, "message of the pool ignored"),
            CustomWorkEvent::Reconnect { host, port } => self.redirect = Some((host, port)),
            event => {
                let input = Input::Pool(self.number, event);
                self.outlet.put(Message::Input(input));
            }
        }
    }
}
