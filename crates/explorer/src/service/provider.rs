//! What a template provider tells.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Kept;

/// Templates with solutions that are remembered: the newest.
const MAX_SOLVED: usize = 2000;

/// All of it.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The newest, newest first.
    pub(crate) templates: Vec<Template>,
    /// By the hash of a block that solves it.
    pub(crate) solved: Kept<String, Template>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            templates: Vec::new(),
            solved: Kept::new(MAX_SOLVED),
        }
    }
}

/// A template that a client was sent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = ProviderTemplate)]
pub(crate) struct Template {
    pub(crate) template_id: u64,
    /// The client's address and port.
    pub(crate) peer: String,
    /// As the client calls itself.
    pub(crate) vendor: String,
    /// The software it says it runs.
    pub(crate) firmware: String,
    pub(crate) sent_ms: u64,
    /// Whether it came with a new tip, rather than with more fees.
    pub(crate) new_tip: bool,
    pub(crate) height: Option<u64>,
    pub(crate) prev_hash: String,
    /// Satoshis the coinbase may pay out.
    pub(crate) value: u64,
    /// Satoshis of that which are fees, where that is told.
    pub(crate) fees: Option<u64>,
    /// Transactions beside the coinbase, if the client asked for them.
    pub(crate) transactions: Option<u64>,
    pub(crate) solutions: Vec<Solution>,
}

/// A block that solves a template.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Solution {
    pub(crate) hash: String,
    pub(crate) submitted_ms: u64,
    pub(crate) verdict: Option<String>,
    pub(crate) verdict_ms: Option<u64>,
    pub(crate) reason: Option<String>,
}

impl Template {
    /// The client as it calls itself, as closely as it does.
    pub(crate) fn client(&self) -> &str {
        match self.firmware.is_empty() {
            true => &self.vendor,
            false => &self.firmware,
        }
    }
}

impl Facts {
    /// Takes the newest templates, newest first.
    pub(crate) fn take(&mut self, templates: Vec<Template>) {
        for template in templates.iter().rev() {
            for solution in &template.solutions {
                self.solved.put(solution.hash.clone(), template.clone());
            }
        }
        self.templates = templates;
    }
}
