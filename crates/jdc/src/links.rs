//! The connections to the upstreams: two tasks for each, which dial for ever.
//!
//! Each session has a queue of its own for what it is told, and hands the sending end to the desk:
//! what was meant for an earlier session cannot reach a later one. What miners found waits in front of
//! a queue that is half full ([`daemon::line`]).

mod jds;
mod pool;

use daemon::dial::Link;
use daemon::shutdown::Shutdown;
use tokio::sync::{mpsc, watch};

use crate::config::Pair;
use crate::desk::Message;

/// What a session was told and has not said yet. What miners find waits in front of it; when it is
/// full all the same, the session is ended and made anew.
const MAX_PENDING: usize = 2048;

/// A server's wish that we connect elsewhere: host and port.
type Redirect = Option<(String, u16)>;

/// How far the connections have come.
#[derive(Debug, Clone)]
pub(crate) struct LinksSeen {
    /// Where the template provider is dialled.
    pub(crate) provider_address: String,
    /// To the template provider.
    pub(crate) provider: watch::Receiver<Link>,
    /// To each upstream's pool and job declarator server.
    pub(crate) upstreams: Vec<(watch::Receiver<Link>, watch::Receiver<Link>)>,
}

/// Starts the tasks; returns how far each upstream's two connections have come.
pub(crate) fn spawn(
    upstreams: &[Pair],
    desk: &mpsc::Sender<Message>,
    hash_rate: &watch::Receiver<f32>,
    shutdown: &Shutdown,
) -> Vec<(watch::Receiver<Link>, watch::Receiver<Link>)> {
    let upstreams = upstreams.iter().enumerate();
    let seen = upstreams.map(|(number, pair)| {
        // Only the newest matters to whoever looks.
        let (jds_link, jds_seen) = watch::channel(Link::default());
        let (pool_link, pool_seen) = watch::channel(Link::default());
        let jds = jds::Link {
            number,
            pair: pair.clone(),
            desk: desk.clone(),
            shown: jds_link,
            stop: shutdown.stop().clone(),
        };
        shutdown.spawn(jds.run());
        let pool = pool::Link {
            number,
            pair: pair.clone(),
            desk: desk.clone(),
            hash_rate: hash_rate.clone(),
            shown: pool_link,
            stop: shutdown.stop().clone(),
        };
        shutdown.spawn(pool.run());
        (pool_seen, jds_seen)
    });
    seen.collect()
}
