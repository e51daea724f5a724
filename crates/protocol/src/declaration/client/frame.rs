//! The messages sent, of which two are written by hand: each transaction of a full block would be
//! an allocation.

use stratum_core::job_declaration_sv2::PushSolutionOwned;

use super::{Declaration, DeclarationEvent, Out, PushedSolution};
use crate::frame::MAX_PAYLOAD;
use crate::message::JobDeclarationOwned;

const DECLARE_MINING_JOB: u8 = 0x57;
const PROVIDE_MISSING_TRANSACTIONS_SUCCESS: u8 = 0x56;

pub(super) fn declare(request_id: u32, token: &[u8], declaration: &Declaration, out: &mut Out) {
    let Declaration {
        version,
        coinbase_tx_prefix,
        coinbase_tx_suffix,
        transactions,
        ..
    } = declaration;
    out.send_with(DECLARE_MINING_JOB, false, |payload| {
        payload.extend_from_slice(&request_id.to_le_bytes());
        payload.push(token.len() as u8);
        payload.extend_from_slice(token);
        payload.extend_from_slice(&version.to_le_bytes());
        for part in [coinbase_tx_prefix, coinbase_tx_suffix] {
            payload.extend_from_slice(&(part.len() as u16).to_le_bytes());
            payload.extend_from_slice(part);
        }
        payload.extend_from_slice(&(transactions.len() as u16).to_le_bytes());
        payload.extend_from_slice(transactions.wtxids().as_flattened());
        let excess_data = &transactions.excess_data;
        payload.extend_from_slice(&(excess_data.len() as u16).to_le_bytes());
        payload.extend_from_slice(excess_data);
    });
}

/// Whether one message could carry it.
pub(super) fn provide(request_id: u32, transactions: &[&[u8]], out: &mut Out) -> bool {
    let size: usize = transactions.iter().map(|bytes| bytes.len() + 3).sum();
    if size > MAX_PAYLOAD - 6 {
        return false;
    }
    out.send_with(PROVIDE_MISSING_TRANSACTIONS_SUCCESS, false, |payload| {
        payload.reserve(size + 6);
        payload.extend_from_slice(&request_id.to_le_bytes());
        payload.extend_from_slice(&(transactions.len() as u16).to_le_bytes());
        for bytes in transactions {
            payload.extend_from_slice(&(bytes.len() as u32).to_le_bytes()[..3]);
            payload.extend_from_slice(bytes);
        }
    });
    true
}

pub(super) fn push(solution: PushedSolution, out: &mut Out) {
    let Ok(extranonce) = solution.extranonce.try_into() else {
        let what = "a solution with an extranonce no coinbase has".to_owned();
        return out.event(DeclarationEvent::Ignored(what));
    };
    out.send(JobDeclarationOwned::PushSolution(PushSolutionOwned {
        extranonce,
        prev_hash: solution.prev_hash.into(),
        nonce: solution.nonce,
        ntime: solution.ntime,
        nbits: solution.n_bits,
        version: solution.version,
    }));
}
