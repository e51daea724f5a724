//! The connections to the upstreams: two tasks for each, which dial for ever.
//!
//! Each session has a queue of its own for what it is told, and hands the sending end to the desk:
//! what was meant for an earlier session cannot reach a later one.

mod jds;
mod pool;

use daemon::shutdown::Shutdown;
use tokio::sync::{mpsc, watch};

use crate::config::Pair;
use crate::desk::Message;

/// What a session was told and has not said yet. When it is full, the session is ended and made
/// anew.
const MAX_PENDING: usize = 1024;

/// A server's wish that we connect elsewhere: host and port.
type Redirect = Option<(String, u16)>;

/// Starts the tasks.
pub(crate) fn spawn(
    upstreams: &[Pair],
    desk: &mpsc::Sender<Message>,
    hash_rate: &watch::Receiver<f32>,
    shutdown: &Shutdown,
) {
    for (number, pair) in upstreams.iter().enumerate() {
        shutdown.spawn(jds::run(
            number,
            pair.clone(),
            desk.clone(),
            shutdown.stop().clone(),
        ));
        let pool = pool::Link {
            number,
            pair: pair.clone(),
            desk: desk.clone(),
            hash_rate: hash_rate.clone(),
            stop: shutdown.stop().clone(),
        };
        shutdown.spawn(pool.run());
    }
}
