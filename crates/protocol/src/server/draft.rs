//! What a job is made of, before a channel mines it.

use std::sync::Arc;

use super::verdict::JobSource;
use crate::coinbase::{Coinbase, merkle_root};
use crate::sha256d::Midstate;
use crate::work::{self, Template};

/// A block without its extranonce.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) basis: Basis,
    pub(super) coinbase: Arc<Coinbase>,
}

/// Everything but the coinbase.
#[derive(Debug, Clone)]
pub(super) enum Basis {
    /// Ours.
    Template(Arc<Template>),
    /// The client's.
    Custom(Arc<CustomBasis>),
}

/// What a SetCustomMiningJob says beside its coinbase and its tip.
#[derive(Debug)]
pub(super) struct CustomBasis {
    /// The id of the token that permits it.
    pub(super) token: [u8; 16],
    pub(super) version: u32,
    pub(super) merkle_path: Vec<[u8; 32]>,
    /// What the scriptSig begins with.
    pub(super) script_sig: Vec<u8>,
}

impl Draft {
    pub(super) fn version(&self) -> u32 {
        match &self.basis {
            Basis::Template(template) => template.version,
            Basis::Custom(custom) => custom.version,
        }
    }

    pub(super) fn merkle_path(&self) -> &[[u8; 32]] {
        match &self.basis {
            Basis::Template(template) => &template.merkle_path,
            Basis::Custom(custom) => &custom.merkle_path,
        }
    }

    /// The height of the block, if the coinbase says it.
    pub(super) fn height(&self) -> Option<u64> {
        match &self.basis {
            Basis::Template(template) => template.height(),
            Basis::Custom(custom) => work::height(&custom.script_sig),
        }
    }

    pub(super) fn source(&self) -> JobSource {
        match &self.basis {
            Basis::Template(template) => JobSource::Template {
                session: template.session,
                id: template.id,
            },
            Basis::Custom(custom) => JobSource::Custom {
                token: custom.token,
            },
        }
    }

    /// For extranonces that begin with `prefix` and have `rollable` further bytes.
    pub(super) fn midstate(&self, prefix: &[u8], rollable: usize) -> Midstate {
        self.coinbase.midstate(prefix, rollable)
    }

    /// With that extranonce.
    pub(super) fn merkle_root(&self, extranonce: &[u8]) -> [u8; 32] {
        let txid = self.midstate(extranonce, 0).sha256d(&[]);
        merkle_root(txid, self.merkle_path())
    }
}
