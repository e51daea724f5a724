//! The connections to the upstreams: a task for each, which dials for ever.
//!
//! Each session has a queue of its own for what it is told, and hands the sending end to the desk:
//! what was meant for an earlier session cannot reach a later one. What happened waits in the session
//! until the desk has room for it, in one message.

use daemon::clock;
use daemon::drive::{Host, drive};
use daemon::shutdown::Shutdown;
use protocol::client::{ClientEvent, ClientInput, MiningClient};
use protocol::extension::Extensions;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::config::Server;
use crate::desk::Message;

/// What a session was told and has not said yet: a channel for each of ten thousand miners, and as
/// many shares. Shares wait in front of it ([`daemon::line`]); when it is full all the same, the session
/// is ended and made anew.
const MAX_PENDING: usize = 1 << 15;

/// What happened on a session that the desk has no room for. When there is more, the session is ended
/// and made anew: a lost answer would be worse.
const MAX_EVENTS: usize = 1 << 16;

/// Starts the tasks.
pub(crate) fn spawn(
    servers: &[Server],
    extensions: &Extensions,
    desk: &mpsc::Sender<Message>,
    shutdown: &Shutdown,
) {
    for (number, server) in servers.iter().enumerate() {
        let link = Link {
            number,
            server: server.clone(),
            extensions: extensions.clone(),
            desk: desk.clone(),
            stop: shutdown.stop().clone(),
        };
        shutdown.spawn(link.run());
    }
}

/// One upstream.
struct Link {
    number: usize,
    server: Server,
    extensions: Extensions,
    desk: mpsc::Sender<Message>,
    stop: CancellationToken,
}

impl Link {
    /// Until the role stops.
    async fn run(self) {
        let mut sessions = self.server.upstream.sessions(&self.stop);
        while let Some((mut connection, accepted)) = sessions.next().await {
            let mut client = MiningClient::lasting(accepted.flags, self.extensions.clone());
            let Ok(greeting) = client.begin(clock::now()) else {
                continue;
            };
            if let Err(error) = connection.send(&greeting).await {
                debug!(%error, "the upstream left at once");
                continue;
            }
            // Not the role's own token, which would end the session before its channels are closed.
            let session = CancellationToken::new();
            let (inputs, inputs_in) = mpsc::channel(MAX_PENDING);
            let mut host = Session {
                number: self.number,
                desk: self.desk.clone(),
                session: session.clone(),
                inputs: inputs_in,
                stop: self.stop.clone(),
                is_leaving: false,
                events: Vec::new(),
                redirect: None,
            };
            // The desk may be gone only when the role stops.
            let _ = self.desk.send(Message::Up(self.number, inputs)).await;
            let ended = drive(connection, &mut client, &mut host, &session).await;
            let last = Message::Events(self.number, host.events);
            let _ = self.desk.send(last).await;
            let lost = Message::Lost(self.number, ended.to_string());
            let _ = self.desk.send(lost).await;
            sessions.ended(&ended);
            if let Some((host, port)) = host.redirect {
                sessions.redirect(&host, port);
            }
        }
    }
}

/// One connection, as its core meets it.
struct Session {
    number: usize,
    desk: mpsc::Sender<Message>,
    session: CancellationToken,
    inputs: mpsc::Receiver<ClientInput>,
    stop: CancellationToken,
    is_leaving: bool,
    /// That the desk has not been told of.
    events: Vec<ClientEvent>,
    redirect: Option<(String, u16)>,
}

impl Host<MiningClient> for Session {
    async fn next(&mut self) -> Option<ClientInput> {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !self.is_leaving => {
                    self.is_leaving = true;
                    return Some(ClientInput::Leave);
                }
                room = self.desk.reserve(), if !self.events.is_empty() => {
                    let events = std::mem::take(&mut self.events);
                    // A desk that has stopped hears no more, and the channels are still to be closed.
                    if let Ok(room) = room {
                        room.send(Message::Events(self.number, events));
                    }
                }
                // What becomes of a share is an event: the desk hears of the last ones first.
                input = self.inputs.recv(), if self.events.is_empty() => return input,
            }
        }
    }

    fn another(&mut self) -> Option<ClientInput> {
        self.inputs.try_recv().ok()
    }

    fn event(&mut self, event: ClientEvent) {
        if let ClientEvent::Reconnect { host, port } = &event {
            self.redirect = Some((host.clone(), *port));
        }
        self.events.push(event);
    }

    fn stepped(&mut self) {
        if self.events.is_empty() {
            return;
        }
        match self.desk.try_reserve() {
            Ok(room) => {
                let events = std::mem::take(&mut self.events);
                room.send(Message::Events(self.number, events));
            }
            Err(_) if self.events.len() <= MAX_EVENTS => {}
            Err(full) => {
                error!(reason = %full, "the desk takes no more, the connection is made anew");
                self.session.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests;
