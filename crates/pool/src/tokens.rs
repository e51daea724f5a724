//! Job tokens that were used: none is used twice, on whatever connection (SV2 6.4.5).

use std::collections::BTreeSet;

use daemon::clock;
use protocol::server::ServerInput;
use tokio::sync::mpsc;
use tracing::error;

/// Used tokens that are remembered until they expire; further ones are refused.
const MAX_SPENT: usize = 1 << 18;

/// A token was shown and is good, unless it was used before.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The token's.
    pub(crate) id: [u8; 16],
    /// Unix seconds.
    pub(crate) expires: u64,
    /// Takes the answer.
    pub(crate) answer: mpsc::Sender<ServerInput>,
}

/// Answers whether tokens were used before, until the pool stops.
pub(crate) async fn keep(mut shown: mpsc::Receiver<Shown>) {
    let mut spent = SpentTokens::default();
    while let Some(Shown {
        id,
        expires,
        answer,
    }) = shown.recv().await
    {
        let is_first = spent.spend(id, expires, clock::unix());
        // It fails only when the connection is gone: no more wait than have room.
        let _ = answer.try_send(ServerInput::TokenSpent { id, is_first });
    }
}

/// Those that could be shown again. The id of a token belongs to one time of expiry.
#[derive(Debug, Default)]
struct SpentTokens(BTreeSet<(u64, [u8; 16])>);

impl SpentTokens {
    /// Whether it was not used before.
    fn spend(&mut self, id: [u8; 16], expires: u64, now: u64) -> bool {
        while self.0.first().is_some_and(|(expires, _)| *expires <= now) {
            self.0.pop_first();
        }
        if self.0.len() >= MAX_SPENT {
            error!(
                limit = MAX_SPENT,
                "more job tokens used than can be remembered; refused"
            );
            return false;
        }
        self.0.insert((expires, id))
    }
}

#[cfg(test)]
mod tests;
