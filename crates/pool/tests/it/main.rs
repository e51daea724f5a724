//! The pool from outside: what is left of its ledger after it ended badly, and how people see it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod miner;
mod provider;
mod restart;
mod verbs;

use std::sync::Arc;

use bitcoin::BlockHash;
use bitcoin::hashes::Hash;
use pool::ledger::{Outcome, Record, Share, Source};

fn source(user: &str) -> Arc<Source> {
    let peer = ([10, 10, 0, 10], 50_000).into();
    Arc::new(Source::new(peer, 2, user.to_owned(), None))
}

fn share(source: &Arc<Source>, number: u64) -> Record {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    Record::Share(Share {
        source: Arc::clone(source),
        time_ms: 1_700_000_000_000 + number,
        job_id: 1,
        outcome: Outcome::Accepted {
            hash: BlockHash::from_byte_array(hash),
            hashes: 1.0,
        },
    })
}
