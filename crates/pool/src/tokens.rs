//! Job tokens that were used: none is used twice, on whatever connection, also after a restart
//! (SV2 6.4.5).

mod file;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use daemon::clock;
use daemon::shutdown::Shutdown;
use protocol::server::ServerInput;
use tokio::sync::mpsc;
use tracing::error;

use file::File;

/// Used tokens that are remembered until they expire; further ones are refused.
const MAX_SPENT: usize = 1 << 18;

/// Tokens whose use nobody has looked at yet. When it is full, the next one is refused.
const MAX_SHOWN: usize = 1024;

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

/// Answers whether tokens were used before, here or at a pool that has left its tokens in
/// `directory`, until nobody can show one any more. On a thread where a disk may take its time.
///
/// # Errors
/// The file there cannot be used.
pub(crate) fn keep(directory: &Path, shutdown: &Shutdown) -> anyhow::Result<mpsc::Sender<Shown>> {
    let spent = SpentTokens::open(directory)?;
    let (sender, shown) = mpsc::channel(MAX_SHOWN);
    shutdown.spawn(tokio::task::spawn_blocking(|| answer(spent, shown)));
    Ok(sender)
}

fn answer(mut spent: SpentTokens, mut shown: mpsc::Receiver<Shown>) {
    while let Some(Shown {
        id,
        expires,
        answer,
    }) = shown.blocking_recv()
    {
        let is_first = spent.spend((expires, id), clock::unix());
        // It fails only when the connection is gone: no more wait than have room.
        let _ = answer.try_send(ServerInput::TokenSpent { id, is_first });
    }
}

/// A token that was used. Its id belongs to one time of expiry, in Unix seconds.
type Spent = (u64, [u8; 16]);

/// Those that could be shown again, in memory and in a file.
#[derive(Debug)]
struct SpentTokens {
    spent: BTreeSet<Spent>,
    file: File,
}

impl SpentTokens {
    /// Those that an earlier pool has left in `directory`.
    ///
    /// # Errors
    /// The file there cannot be used.
    fn open(directory: &Path) -> anyhow::Result<Self> {
        let now = clock::unix();
        let (file, spent) = File::open(directory, |(expires, _)| *expires > now)
            .context("the used job tokens cannot be read; see the key ledger.directory")?;
        Ok(Self { spent, file })
    }

    /// Whether it was not used before.
    fn spend(&mut self, token: Spent, now: u64) -> bool {
        while self
            .spent
            .first()
            .is_some_and(|(expires, _)| *expires <= now)
        {
            self.spent.pop_first();
        }
        if self.spent.len() >= MAX_SPENT {
            error!(
                limit = MAX_SPENT,
                "more job tokens used than can be remembered; refused"
            );
            return false;
        }
        let is_first = self.spent.insert(token);
        if is_first && let Err(error) = self.file.add(token, &self.spent) {
            // It pays whom it has to. That it could be used once more, after a restart, is no
            // reason to refuse work.
            error!(%error, "a used job token is not on disk");
        }
        is_first
    }
}

#[cfg(test)]
mod tests;
