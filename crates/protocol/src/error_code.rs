//! The error codes this implementation sends, in one place.
//!
//! The specification prescribes no string (3.5); these are the ones deployed peers know.
//! `docs/error-codes.md` is the published table.

/// A code: printable ASCII, never empty.
pub type ErrorCode = &'static str;

/// SetupConnection: the port serves another protocol.
pub const UNSUPPORTED_PROTOCOL: ErrorCode = "unsupported-protocol";
/// SetupConnection: version 2 is not in the range asked for.
pub const PROTOCOL_VERSION_MISMATCH: ErrorCode = "protocol-version-mismatch";
/// SetupConnection: flags that cannot be satisfied.
pub const UNSUPPORTED_FEATURE_FLAGS: ErrorCode = "unsupported-feature-flags";

/// Opening, updating: the target asked for cannot be given.
pub const MAX_TARGET_OUT_OF_RANGE: ErrorCode = "max-target-out-of-range";
/// Opening, updating: not a number, infinite or negative.
pub const INVALID_NOMINAL_HASHRATE: ErrorCode = "invalid-nominal-hashrate";
/// Opening: the name asks for a payout that cannot be given. Shares: a worker's name is too long.
pub const INVALID_USER_IDENTITY: ErrorCode = "invalid-user-identity";
/// Opening: more extranonce bytes than the pool has to give.
pub const MIN_EXTRANONCE_SIZE_TOO_LARGE: ErrorCode = "min-extranonce-size-too-large";
/// Opening: the connection selects its own work.
pub const STANDARD_CHANNELS_NOT_SUPPORTED_FOR_CUSTOM_WORK: ErrorCode =
    "standard-channels-not-supported-for-custom-work";
/// Opening: the connection said that it cannot process extended jobs.
pub const EXTENDED_CHANNELS_NOT_SUPPORTED_FOR_STANDARD_JOBS: ErrorCode =
    "extended-channels-not-supported-for-standard-jobs";
/// Opening: the connection has as many channels as it may.
pub const CHANNEL_CAPACITY_EXHAUSTED: ErrorCode = "channel-capacity-exhausted";

/// Shares, updates, custom jobs: no such channel of this kind on this connection.
pub const INVALID_CHANNEL_ID: ErrorCode = "invalid-channel-id";
/// Shares: the job was valid once.
pub const STALE_SHARE: ErrorCode = "stale-share";
/// Shares: the job was never announced, or is not active yet.
pub const INVALID_JOB_ID: ErrorCode = "invalid-job-id";
/// Shares: the hash is above the target of the job.
pub const DIFFICULTY_TOO_LOW: ErrorCode = "difficulty-too-low";
/// Shares: seen before.
pub const DUPLICATE_SHARE: ErrorCode = "duplicate-share";
/// Shares: not the length given when the channel was opened.
pub const BAD_EXTRANONCE_SIZE: ErrorCode = "bad-extranonce-size";
/// Shares: a version bit outside BIP323's mask differs.
pub const INVALID_NON_ROLLABLE_VERSION_BIT: ErrorCode = "invalid-non-rollable-version-bit";
/// Shares: the time is before the job's or too far ahead.
pub const INVALID_SHARE: ErrorCode = "invalid-share";

/// Custom jobs: this pool takes none on this connection.
pub const JD_NOT_SUPPORTED: ErrorCode = "jd-not-supported";

/// Declarations, custom jobs: not a token given for this, or no longer good.
pub const INVALID_MINING_JOB_TOKEN: ErrorCode = "invalid-mining-job-token";
/// Declarations, custom jobs: for another tip than the server's.
pub const STALE_CHAIN_TIP: ErrorCode = "stale-chain-tip";
/// Custom jobs: too many wait for their tokens to be checked.
pub const JOB_NOT_YET_VALIDATED: ErrorCode = "job-not-yet-validated";
/// Custom jobs: with the extranonce too long for a coinbase.
pub const INVALID_COINBASE_PREFIX: ErrorCode = "invalid-coinbase-prefix";
/// Custom jobs: not a list of outputs, or they do not pay whom they should.
pub const INVALID_COINBASE_TX_OUTPUTS: ErrorCode = "invalid-coinbase-tx-outputs";
/// Custom jobs: not the tip's.
pub const INVALID_NBITS: ErrorCode = "invalid-nbits";
/// Custom jobs: the time is too far ahead.
pub const INVALID_MIN_NTIME: ErrorCode = "invalid-min-ntime";
/// Declarations: no coinbase transaction, or one that does not pay the pool.
pub const INVALID_COINBASE_TX: ErrorCode = "invalid-coinbase-tx";
/// Declarations: the transactions asked for did not come.
pub const MISSING_TXS: ErrorCode = "missing-txs";
/// Declarations: no valid block can come of it.
pub const INVALID_JOB: ErrorCode = "invalid-job";
/// Declarations: the server cannot judge it now.
pub const INTERNAL_ERROR: ErrorCode = "internal-error";

/// Transaction data: no such template.
pub const TEMPLATE_ID_NOT_FOUND: ErrorCode = "template-id-not-found";
/// Transaction data: the template's tip is gone.
pub const STALE_TEMPLATE_ID: ErrorCode = "stale-template-id";

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_is_printable_and_published() {
        // CONN-19, 21
        let published = include_str!("../../../docs/error-codes.md");
        let source = include_str!("error_code.rs");
        let before_tests = source.split("#[cfg(test)]").next().unwrap();
        let codes: Vec<&str> = before_tests.split('"').skip(1).step_by(2).collect();
        assert!(codes.len() > 15);
        for code in codes {
            assert!(code.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            assert!(published.contains(&format!("`{code}`")), "{code}");
        }
    }
}
