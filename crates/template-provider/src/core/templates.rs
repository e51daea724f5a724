//! The templates that a client has been sent and may still refer to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::source::{Template, TemplateKey};

/// Templates held for one client. The node keeps all transactions of each in memory, so a tip that
/// lasts for hours may not collect them without end; the client has long moved to a newer one.
pub(super) const MAX_HELD: usize = 128;

/// What has become of a template.
pub(super) enum Lookup<'a> {
    Held {
        /// Under which name the feed has it, or one that makes the same block; `None` when both
        /// went with the node.
        key: Option<TemplateKey>,
        template: &'a Template,
    },
    /// It was sent once.
    Gone,
    NeverSent,
}

#[derive(Debug)]
struct Held {
    /// `None` when the node that made it is gone.
    key: Option<TemplateKey>,
    template: Arc<Template>,
    /// When to forget it, if it is not for the current tip.
    expires: Option<Instant>,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Templates {
    held: BTreeMap<u64, Held>,
    last_id: u64,
}

impl Templates {
    /// The id for the next template. Ids only grow, whatever the node does (SV2 7.2).
    pub(super) fn next_id(&self) -> u64 {
        self.last_id + 1
    }

    /// Remembers a template that was sent as [`next_id`](Self::next_id). Returns what had to be
    /// forgotten for it.
    pub(super) fn add(&mut self, key: TemplateKey, template: Arc<Template>) -> Vec<TemplateKey> {
        self.last_id += 1;
        self.held.insert(
            self.last_id,
            Held {
                key: Some(key),
                template,
                expires: None,
            },
        );
        let mut forgotten = Vec::new();
        while self.held.len() > MAX_HELD
            && let Some((_, oldest)) = self.held.pop_first()
        {
            forgotten.extend(oldest.key);
        }
        forgotten
    }

    pub(super) fn find(&self, template_id: u64) -> Lookup<'_> {
        match self.held.get(&template_id) {
            Some(held) => Lookup::Held {
                key: held.key.or_else(|| self.twin(&held.template)),
                template: &held.template,
            },
            None if (1..=self.last_id).contains(&template_id) => Lookup::Gone,
            None => Lookup::NeverSent,
        }
    }

    /// After a restart the node often makes the very template it had made before, and a solution
    /// for the lost one solves the new one.
    fn twin(&self, lost: &Template) -> Option<TemplateKey> {
        let same = |held: &&Held| held.key.is_some() && held.template.makes_same_block_as(lost);
        self.held.values().rev().find(same)?.key
    }

    /// Lets the templates of other tips expire.
    pub(super) fn tip_is(&mut self, prev_hash: &[u8; 32], expires: Instant) {
        for held in self.held.values_mut() {
            held.expires = if held.template.prev_hash == *prev_hash {
                // The chain may have come back to an earlier tip.
                None
            } else {
                held.expires.or(Some(expires))
            };
        }
    }

    /// The feed has nothing any more.
    pub(super) fn lose_node(&mut self) {
        for held in self.held.values_mut() {
            held.key = None;
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.held.values().filter_map(|held| held.expires).min()
    }

    /// Forgets what has expired, and returns what the feed may forget.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<TemplateKey> {
        let expired = |_: &u64, held: &mut Held| held.expires.is_some_and(|at| at <= now);
        self.held
            .extract_if(.., expired)
            .filter_map(|(_, held)| held.key)
            .collect()
    }
}
