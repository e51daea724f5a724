//! The messages of the specification, field by field.

use Kind::{Bool, Bytes, F32, Hash, List, Maybe, Text, U8, U16, U32, U64};

/// The type of a field (SV2 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `BOOL`
    Bool,
    /// `U8`
    U8,
    /// `U16`
    U16,
    /// `U32`
    U32,
    /// `U64`
    U64,
    /// `F32`
    F32,
    /// `U256`; written with the highest byte first, as hashes and targets are.
    Hash,
    /// `STR0_255`
    Text,
    /// `B0_255`, `B0_64K`, `B0_16M`, by the bytes of the length.
    Bytes(usize),
    /// `SEQ0_255[T]`, `SEQ0_64K[T]`, by the bytes of the count.
    List(usize, &'static Kind),
    /// `OPTION[T]`
    Maybe(&'static Kind),
}

/// A message: what it is called and which fields it has.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// 0 for the protocols of the specification itself.
    pub extension: u16,
    /// Meaningful together with the extension.
    pub msg_type: u8,
    /// As the specification calls it.
    pub name: &'static str,
    /// In the order of the wire.
    pub fields: &'static [(&'static str, Kind)],
}

const fn core(msg_type: u8, name: &'static str, fields: &'static [(&'static str, Kind)]) -> Layout {
    Layout {
        extension: 0,
        msg_type,
        name,
        fields,
    }
}

const fn negotiation(
    msg_type: u8,
    name: &'static str,
    fields: &'static [(&'static str, Kind)],
) -> Layout {
    Layout {
        extension: 1,
        msg_type,
        name,
        fields,
    }
}

/// Every message.
pub const LAYOUTS: &[Layout] = &[
    // 3.6: every protocol
    core(
        0x00,
        "SetupConnection",
        &[
            ("protocol", U8),
            ("min_version", U16),
            ("max_version", U16),
            ("flags", U32),
            ("endpoint_host", Text),
            ("endpoint_port", U16),
            ("vendor", Text),
            ("hardware_version", Text),
            ("firmware", Text),
            ("device_id", Text),
        ],
    ),
    core(
        0x01,
        "SetupConnection.Success",
        &[("used_version", U16), ("flags", U32)],
    ),
    core(
        0x02,
        "SetupConnection.Error",
        &[("flags", U32), ("error_code", Text)],
    ),
    core(0x03, "ChannelEndpointChanged", &[("channel_id", U32)]),
    core(0x04, "Reconnect", &[("new_host", Text), ("new_port", U16)]),
    // 5.3: mining
    core(
        0x10,
        "OpenStandardMiningChannel",
        &[
            ("request_id", U32),
            ("user_identity", Text),
            ("nominal_hash_rate", F32),
            ("max_target", Hash),
        ],
    ),
    core(
        0x11,
        "OpenStandardMiningChannel.Success",
        &[
            ("request_id", U32),
            ("channel_id", U32),
            ("target", Hash),
            ("extranonce_prefix", Bytes(1)),
            ("group_channel_id", U32),
        ],
    ),
    core(
        0x12,
        "OpenMiningChannel.Error",
        &[("request_id", U32), ("error_code", Text)],
    ),
    core(
        0x13,
        "OpenExtendedMiningChannel",
        &[
            ("request_id", U32),
            ("user_identity", Text),
            ("nominal_hash_rate", F32),
            ("max_target", Hash),
            ("min_extranonce_size", U16),
        ],
    ),
    core(
        0x14,
        "OpenExtendedMiningChannel.Success",
        &[
            ("request_id", U32),
            ("channel_id", U32),
            ("target", Hash),
            ("extranonce_size", U16),
            ("extranonce_prefix", Bytes(1)),
            ("group_channel_id", U32),
        ],
    ),
    core(
        0x15,
        "NewMiningJob",
        &[
            ("channel_id", U32),
            ("job_id", U32),
            ("min_ntime", Maybe(&U32)),
            ("version", U32),
            ("merkle_root", Hash),
        ],
    ),
    core(
        0x16,
        "UpdateChannel",
        &[
            ("channel_id", U32),
            ("nominal_hash_rate", F32),
            ("maximum_target", Hash),
        ],
    ),
    core(
        0x17,
        "UpdateChannel.Error",
        &[("channel_id", U32), ("error_code", Text)],
    ),
    core(
        0x18,
        "CloseChannel",
        &[("channel_id", U32), ("reason_code", Text)],
    ),
    core(
        0x19,
        "SetExtranoncePrefix",
        &[("channel_id", U32), ("extranonce_prefix", Bytes(1))],
    ),
    core(
        0x1a,
        "SubmitSharesStandard",
        &[
            ("channel_id", U32),
            ("sequence_number", U32),
            ("job_id", U32),
            ("nonce", U32),
            ("ntime", U32),
            ("version", U32),
        ],
    ),
    core(
        0x1b,
        "SubmitSharesExtended",
        &[
            ("channel_id", U32),
            ("sequence_number", U32),
            ("job_id", U32),
            ("nonce", U32),
            ("ntime", U32),
            ("version", U32),
            ("extranonce", Bytes(1)),
        ],
    ),
    core(
        0x1c,
        "SubmitShares.Success",
        &[
            ("channel_id", U32),
            ("last_sequence_number", U32),
            ("new_submits_accepted_count", U32),
            ("new_shares_sum", U64),
        ],
    ),
    core(
        0x1d,
        "SubmitShares.Error",
        &[
            ("channel_id", U32),
            ("sequence_number", U32),
            ("error_code", Text),
        ],
    ),
    core(
        0x1f,
        "NewExtendedMiningJob",
        &[
            ("channel_id", U32),
            ("job_id", U32),
            ("min_ntime", Maybe(&U32)),
            ("version", U32),
            ("version_rolling_allowed", Bool),
            ("merkle_path", List(1, &Hash)),
            ("coinbase_tx_prefix", Bytes(2)),
            ("coinbase_tx_suffix", Bytes(2)),
        ],
    ),
    core(
        0x20,
        "SetNewPrevHash",
        &[
            ("channel_id", U32),
            ("job_id", U32),
            ("prev_hash", Hash),
            ("min_ntime", U32),
            ("nbits", U32),
        ],
    ),
    core(
        0x21,
        "SetTarget",
        &[("channel_id", U32), ("maximum_target", Hash)],
    ),
    core(
        0x22,
        "SetCustomMiningJob",
        &[
            ("channel_id", U32),
            ("request_id", U32),
            ("token", Bytes(1)),
            ("version", U32),
            ("prev_hash", Hash),
            ("min_ntime", U32),
            ("nbits", U32),
            ("coinbase_tx_version", U32),
            ("coinbase_prefix", Bytes(1)),
            ("coinbase_tx_input_n_sequence", U32),
            ("coinbase_tx_outputs", Bytes(2)),
            ("coinbase_tx_locktime", U32),
            ("merkle_path", List(1, &Hash)),
        ],
    ),
    core(
        0x23,
        "SetCustomMiningJob.Success",
        &[("channel_id", U32), ("request_id", U32), ("job_id", U32)],
    ),
    core(
        0x24,
        "SetCustomMiningJob.Error",
        &[
            ("channel_id", U32),
            ("request_id", U32),
            ("error_code", Text),
        ],
    ),
    core(
        0x25,
        "SetGroupChannel",
        &[("group_channel_id", U32), ("channel_ids", List(2, &U32))],
    ),
    // 6.4: job declaration
    core(
        0x50,
        "AllocateMiningJobToken",
        &[("user_identifier", Text), ("request_id", U32)],
    ),
    core(
        0x51,
        "AllocateMiningJobToken.Success",
        &[
            ("request_id", U32),
            ("mining_job_token", Bytes(1)),
            ("coinbase_outputs", Bytes(2)),
        ],
    ),
    core(
        0x55,
        "ProvideMissingTransactions",
        &[
            ("request_id", U32),
            ("unknown_tx_position_list", List(2, &U16)),
        ],
    ),
    core(
        0x56,
        "ProvideMissingTransactions.Success",
        &[
            ("request_id", U32),
            ("transaction_list", List(2, &Bytes(3))),
        ],
    ),
    core(
        0x57,
        "DeclareMiningJob",
        &[
            ("request_id", U32),
            ("mining_job_token", Bytes(1)),
            ("version", U32),
            ("coinbase_tx_prefix", Bytes(2)),
            ("coinbase_tx_suffix", Bytes(2)),
            ("wtxid_list", List(2, &Hash)),
            ("excess_data", Bytes(2)),
        ],
    ),
    core(
        0x58,
        "DeclareMiningJob.Success",
        &[("request_id", U32), ("new_mining_job_token", Bytes(1))],
    ),
    core(
        0x59,
        "DeclareMiningJob.Error",
        &[
            ("request_id", U32),
            ("error_code", Text),
            ("error_details", Bytes(2)),
        ],
    ),
    core(
        0x60,
        "PushSolution",
        &[
            ("extranonce", Bytes(1)),
            ("prev_hash", Hash),
            ("nonce", U32),
            ("ntime", U32),
            ("nbits", U32),
            ("version", U32),
        ],
    ),
    // 7: template distribution
    core(
        0x70,
        "CoinbaseOutputConstraints",
        &[
            ("coinbase_output_max_additional_size", U32),
            ("coinbase_output_max_additional_sigops", U16),
        ],
    ),
    core(
        0x71,
        "NewTemplate",
        &[
            ("template_id", U64),
            ("future_template", Bool),
            ("version", U32),
            ("coinbase_tx_version", U32),
            ("coinbase_prefix", Bytes(1)),
            ("coinbase_tx_input_sequence", U32),
            ("coinbase_tx_value_remaining", U64),
            ("coinbase_tx_outputs_count", U32),
            ("coinbase_tx_outputs", Bytes(2)),
            ("coinbase_tx_locktime", U32),
            ("merkle_path", List(1, &Hash)),
        ],
    ),
    core(
        0x72,
        "SetNewPrevHash",
        &[
            ("template_id", U64),
            ("prev_hash", Hash),
            ("header_timestamp", U32),
            ("n_bits", U32),
            ("target", Hash),
        ],
    ),
    core(0x73, "RequestTransactionData", &[("template_id", U64)]),
    core(
        0x74,
        "RequestTransactionData.Success",
        &[
            ("template_id", U64),
            ("excess_data", Bytes(2)),
            ("transaction_list", List(2, &Bytes(3))),
        ],
    ),
    core(
        0x75,
        "RequestTransactionData.Error",
        &[("template_id", U64), ("error_code", Text)],
    ),
    core(
        0x76,
        "SubmitSolution",
        &[
            ("template_id", U64),
            ("version", U32),
            ("header_timestamp", U32),
            ("header_nonce", U32),
            ("coinbase_tx", Bytes(2)),
        ],
    ),
    // Extension 0x0001
    negotiation(
        0x00,
        "RequestExtensions",
        &[("request_id", U16), ("requested_extensions", List(2, &U16))],
    ),
    negotiation(
        0x01,
        "RequestExtensions.Success",
        &[("request_id", U16), ("supported_extensions", List(2, &U16))],
    ),
    negotiation(
        0x02,
        "RequestExtensions.Error",
        &[
            ("request_id", U16),
            ("unsupported_extensions", List(2, &U16)),
            ("required_extensions", List(2, &U16)),
        ],
    ),
];
