//! What a job declarator server tells.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Kept;

/// Declarations that are remembered because the pool saw their token: the newest.
const MAX_DECLARATIONS: usize = 2000;

/// All of it.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The newest, newest first.
    pub(crate) declarations: Vec<Declaration>,
    /// By the hash of a block that was found with it.
    pub(crate) solved: Kept<String, Declaration>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            declarations: Vec::new(),
            solved: Kept::new(MAX_DECLARATIONS),
        }
    }
}

/// A declaration that was answered.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdsDeclaration)]
pub(crate) struct Declaration {
    /// Unix seconds.
    pub(crate) answered_at: u64,
    pub(crate) peer: String,
    pub(crate) user: String,
    pub(crate) request_id: u32,
    pub(crate) height: u32,
    pub(crate) prev_hash: Option<String>,
    pub(crate) transactions: u64,
    pub(crate) missing: u64,
    pub(crate) rounds: u32,
    pub(crate) value: u64,
    pub(crate) pool_value: u64,
    pub(crate) took_ms: f64,
    pub(crate) node_took_ms: f64,
    pub(crate) token: Option<String>,
    pub(crate) error_code: Option<String>,
    pub(crate) error_details: Option<String>,
    pub(crate) blocks: Vec<Found>,
}

/// A block found with a declared job.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdsFound)]
pub(crate) struct Found {
    pub(crate) hash: String,
    pub(crate) verdict: String,
    pub(crate) reason: Option<String>,
}

impl Facts {
    /// Takes the newest declarations, newest first.
    pub(crate) fn take(&mut self, declarations: Vec<Declaration>) {
        for declaration in declarations.iter().rev() {
            for block in &declaration.blocks {
                self.solved.put(block.hash.clone(), declaration.clone());
            }
        }
        self.declarations = declarations;
    }
}
