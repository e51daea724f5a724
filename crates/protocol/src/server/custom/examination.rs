//! Whether a custom job is one to work on.

use std::sync::Arc;

use bitcoin::{Network, ScriptBuf, TxOut};
use stratum_core::mining_sv2::SetCustomMiningJob;

use super::super::MiningServer;
use super::super::draft::{Basis, CustomBasis, Draft};
use super::super::job::MAX_FUTURE_NTIME;
use super::{MAX_PENDING_CUSTOM_JOBS, OFF_TIP, ReadyJob};
use crate::coinbase::{Coinbase, CoinbaseFields, MAX_SCRIPT_SIG};
use crate::core::Now;
use crate::error_code::{self, ErrorCode};
use crate::payout::Payout;
use crate::setup;
use crate::target::Target;
use crate::token::{Commitment, CustomJob, Scope, Token};
use crate::work::{COMMITMENT, PrevHash};

impl MiningServer {
    /// Everything about a job but whether its token was used before.
    pub(super) fn examine(
        &self,
        now: Now,
        request: &SetCustomMiningJob<'_>,
    ) -> Result<(Token, ReadyJob), ErrorCode> {
        let secret = self.policy.job_declaration.as_ref();
        let secret = secret.filter(|_| self.has(setup::REQUIRES_WORK_SELECTION));
        let secret = secret.ok_or(error_code::JD_NOT_SUPPORTED)?;
        let members = self.extended(request.channel_id);
        let channel = members.first().and_then(|id| self.channels.get(id));
        let channel = channel.ok_or(error_code::INVALID_CHANNEL_ID)?;
        if self.custom.pending.len() >= MAX_PENDING_CUSTOM_JOBS {
            return Err(error_code::JOB_NOT_YET_VALIDATED);
        }
        let prev_hash = self.tip_of(now, &members, request)?;
        let script_sig = request.coinbase_prefix.as_bytes();
        let extranonce_len = self.space.extranonce_len();
        if script_sig.len() + extranonce_len > MAX_SCRIPT_SIG {
            return Err(error_code::INVALID_COINBASE_PREFIX);
        }
        let outputs: Vec<TxOut> =
            bitcoin::consensus::deserialize(request.coinbase_tx_outputs.as_bytes())
                .map_err(|_| error_code::INVALID_COINBASE_TX_OUTPUTS)?;
        let template = &self.work.template;
        let pool = &template.plan.reward_script;
        // By our own height: what a job says its height is does not lower what it has to pay.
        let network = self.policy.network.unwrap_or(Network::Bitcoin);
        let least = Payout::least(template.height().unwrap_or(0), network);
        let paid = self.payout(channel).paid_by(&outputs, pool, least);
        let paid = paid.ok_or(error_code::INVALID_COINBASE_TX_OUTPUTS)?;
        let merkle_path: Vec<_> = request.merkle_path.iter().map(|n| *n.as_array()).collect();
        let job = CustomJob {
            version: request.version,
            prev_hash: &prev_hash.prev_hash,
            coinbase_tx_version: request.coinbase_tx_version,
            coinbase_prefix: script_sig,
            coinbase_tx_input_sequence: request.coinbase_tx_input_n_sequence,
            coinbase_tx_outputs: request.coinbase_tx_outputs.as_bytes(),
            coinbase_tx_locktime: request.coinbase_tx_locktime,
            merkle_path: &merkle_path,
        };
        let bytes = request.token.as_bytes();
        let commitment = match Token::claimed_scope(bytes) {
            Ok(Scope::Declared) => Commitment::declared(&job),
            Ok(Scope::CoinbaseOnly) => Commitment::payout(paid.iter().map(ScriptBuf::as_script)),
            // SV2 6.4.5: it has to be declared first.
            Ok(Scope::Allocated) | Err(_) => return Err(error_code::INVALID_MINING_JOB_TOKEN),
        };
        let token = Token::verify(secret, bytes, &commitment, now.unix)
            .map_err(|_| error_code::INVALID_MINING_JOB_TOKEN)?;
        // SV2 5.3.18: used as they are, without anything in between.
        let fields = CoinbaseFields {
            version: job.coinbase_tx_version,
            script_sig,
            extranonce_len,
            sequence: job.coinbase_tx_input_sequence,
            outputs: job.coinbase_tx_outputs,
            locktime: job.coinbase_tx_locktime,
            has_witness_commitment: outputs.iter().any(is_commitment),
        };
        let draft = Draft {
            coinbase: Arc::new(Coinbase::new(&fields)),
            basis: Basis::Custom(Arc::new(CustomBasis {
                token: token.id,
                version: job.version,
                script_sig: script_sig.to_vec(),
                merkle_path,
            })),
        };
        Ok((token, ReadyJob { draft, prev_hash }))
    }

    /// The tip a job is for, if it may be for it.
    fn tip_of(
        &self,
        now: Now,
        members: &[u32],
        request: &SetCustomMiningJob<'_>,
    ) -> Result<Arc<PrevHash>, ErrorCode> {
        let tip = &self.work.prev_hash;
        let prev_hash = *request.prev_hash.as_array();
        let known = if prev_hash == tip.prev_hash {
            Some(tip)
        } else if self.work.past.contains(&prev_hash) {
            let left = self.just_left(now, members, &prev_hash);
            Some(left.ok_or(error_code::STALE_CHAIN_TIP)?)
        } else {
            let ahead = self.custom.ahead_since;
            if ahead.is_some_and(|since| since + OFF_TIP <= now.instant) {
                return Err(error_code::STALE_CHAIN_TIP);
            }
            None
        };
        let target = Target::from_compact(request.nbits);
        if target.is_zero() || known.is_some_and(|known| request.nbits != known.n_bits) {
            return Err(error_code::INVALID_NBITS);
        }
        // On regtest many blocks within a second push the chain's time ahead of the clock (T-26).
        let latest = now.unix.max(u64::from(tip.header_timestamp)) + MAX_FUTURE_NTIME;
        if u64::from(request.min_ntime) > latest {
            return Err(error_code::INVALID_MIN_NTIME);
        }
        Ok(Arc::new(PrevHash {
            prev_hash,
            header_timestamp: request.min_ntime,
            n_bits: request.nbits,
            target: known.map_or(target, |known| known.target),
        }))
    }
}

/// BIP-0141
fn is_commitment(output: &TxOut) -> bool {
    output.script_pubkey.as_bytes().starts_with(&COMMITMENT)
}
