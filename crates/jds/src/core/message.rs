//! What a client is sent.

use bitcoin::consensus::serialize;
use bitcoin::{Amount, ScriptBuf, TxOut};
use protocol::message::declaration::{
    AllocateMiningJobTokenSuccessOwned, DeclareMiningJobErrorOwned, DeclareMiningJobSuccessOwned,
    ProvideMissingTransactionsOwned,
};
use protocol::message::{JobDeclarationOwned, Message, text};

use super::Refusal;

/// Bytes of the longest `coinbase_reward_script` that can be sent, and more than can be spent.
pub const MAX_PAYOUT_SCRIPT: usize = 10_000;
/// Bytes of the longest error_details.
const MAX_DETAILS: usize = 1_000;

/// The pool payout output is the only one, and worth nothing yet (SV2 6.4.3).
pub(super) fn allocated(request_id: u32, token: Vec<u8>, payout: &ScriptBuf) -> Message {
    let output = TxOut {
        value: Amount::ZERO,
        script_pubkey: payout.clone(),
    };
    let outputs = serialize(&vec![output]);
    Message::JobDeclaration(JobDeclarationOwned::AllocateMiningJobTokenSuccess(
        AllocateMiningJobTokenSuccessOwned {
            request_id,
            mining_job_token: token.try_into().expect("a token is short"),
            coinbase_outputs: outputs.try_into().expect("the script's length was checked"),
        },
    ))
}

pub(super) fn declared(request_id: u32, token: Vec<u8>) -> Message {
    Message::JobDeclaration(JobDeclarationOwned::DeclareMiningJobSuccess(
        DeclareMiningJobSuccessOwned {
            request_id,
            new_mining_job_token: token.try_into().expect("a token is short"),
        },
    ))
}

pub(super) fn refused(request_id: u32, refusal: &Refusal) -> Message {
    let end = refusal.details.floor_char_boundary(MAX_DETAILS);
    let details = refusal.details.as_bytes()[..end].to_vec();
    Message::JobDeclaration(JobDeclarationOwned::DeclareMiningJobError(
        DeclareMiningJobErrorOwned {
            request_id,
            error_code: text(refusal.code),
            error_details: details.try_into().expect("short after the cut"),
        },
    ))
}

/// Positions in the list of the declaration, without the coinbase (SV2 6.4.7).
pub(super) fn missing(request_id: u32, positions: &[u16]) -> Message {
    Message::JobDeclaration(JobDeclarationOwned::ProvideMissingTransactions(
        ProvideMissingTransactionsOwned {
            request_id,
            unknown_tx_position_list: positions
                .to_vec()
                .try_into()
                .expect("no more than were declared"),
        },
    ))
}
