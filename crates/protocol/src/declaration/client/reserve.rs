//! Tokens for jobs to come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::TxOut;
use bitcoin::consensus::encode::deserialize;

use super::{PayoutScripts, TOKEN_PATIENCE};

/// Tokens held ready, so that no job waits for one.
const HELD: usize = 2;

/// How long a token is held at most: servers let them expire, and do not say when.
const MAX_AGE: Duration = Duration::from_secs(120);

/// The tokens of one connection.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    /// Oldest first, with the time each came.
    held: VecDeque<(Vec<u8>, Instant)>,
    /// Requests under way, with the time each was made.
    asked: BTreeMap<u32, Instant>,
    /// What every held token is for.
    payout: Option<PayoutScripts>,
}

/// Why an answer to AllocateMiningJobToken cannot be used.
pub(super) enum Unusable {
    /// It answers nothing.
    NeverAsked,
    /// Nobody can be paid by it; the text says why.
    Outputs(String),
}

impl Reserve {
    /// Whether to ask for one more, with `wanted` to be spent at once.
    pub(super) fn is_short(&self, wanted: usize) -> bool {
        self.held.len() + self.asked.len() < HELD + wanted
    }

    pub(super) fn ask(&mut self, request_id: u32, now: Instant) {
        self.asked.insert(request_id, now);
    }

    /// Takes an answer in. Returns whom to pay, if that is new: then the tokens held before are
    /// worth nothing any more.
    pub(super) fn answered(
        &mut self,
        request_id: u32,
        token: &[u8],
        outputs: &[u8],
        now: Instant,
    ) -> Result<Option<PayoutScripts>, Unusable> {
        if self.asked.remove(&request_id).is_none() {
            return Err(Unusable::NeverAsked);
        }
        let unusable =
            |what: &str| Unusable::Outputs(format!("the server's payout outputs {what}"));
        let outputs: Vec<TxOut> = deserialize(outputs).map_err(|_| unusable("are no outputs"))?;
        if outputs.is_empty() {
            return Err(unusable("are none at all"));
        }
        let scripts = outputs.into_iter().map(|output| output.script_pubkey);
        let payout: PayoutScripts = scripts.collect();
        let is_new = self.payout.as_ref() != Some(&payout);
        if is_new {
            self.held.clear();
            self.payout = Some(Arc::clone(&payout));
        }
        self.held.push_back((token.to_vec(), now));
        Ok(is_new.then_some(payout))
    }

    /// Whether the tokens are, as far as is known, for jobs that pay `payout`.
    pub(super) fn pays(&self, payout: &PayoutScripts) -> bool {
        self.payout.as_ref().is_none_or(|known| known == payout)
    }

    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        self.held.pop_front().map(|(token, _)| token)
    }

    pub(super) fn drop_old(&mut self, now: Instant) {
        self.held.retain(|(_, since)| now < *since + MAX_AGE);
    }

    /// When the first token is to be replaced, or the first answer is overdue.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let old = self.held.front().map(|(_, since)| *since + MAX_AGE);
        let asked = self.asked.values().min();
        let overdue = asked.map(|since| *since + TOKEN_PATIENCE);
        old.into_iter().chain(overdue).min()
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let mut asked = self.asked.values();
        asked.any(|since| *since + TOKEN_PATIENCE <= now)
    }
}
