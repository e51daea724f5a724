//! Between our types and the messages of SV2 chapter 7.

use protocol::error_code::ErrorCode;
use protocol::frame::MAX_PAYLOAD;
use protocol::message::template::{
    CoinbaseOutputConstraints, NewTemplateOwned, RequestTransactionDataErrorOwned,
    RequestTransactionDataSuccessOwned, SetNewPrevHashOwned,
};
use protocol::message::{Message, TemplateDistributionOwned, text};
use stratum_core::binary_sv2::{GetSize, Seq064KOwned, Seq0255Owned};

use crate::source::{Constraints, Template};

/// The coinbase's witness reserved value (BIP-0141). Every client has to use zeros, for no message
/// tells it anything else; a JDC passes this on with the jobs it declares (SV2 7.5).
const EXCESS_DATA: [u8; 32] = [0; 32];

pub(super) fn constraints(message: &CoinbaseOutputConstraints) -> Constraints {
    Constraints {
        max_additional_size: message.coinbase_output_max_additional_size,
        max_additional_sigops: message.coinbase_output_max_additional_sigops,
    }
}

pub(super) fn new_template(
    template_id: u64,
    future_template: bool,
    template: &Template,
) -> Result<Message, String> {
    let does_not_fit =
        |field: &'static str| move |error| format!("{field} does not fit: {error:?}");
    let path = template.merkle_path.iter().map(Into::into).collect();
    let message = NewTemplateOwned {
        template_id,
        future_template,
        version: template.version,
        coinbase_tx_version: template.coinbase_tx_version,
        coinbase_prefix: template
            .coinbase_prefix
            .as_slice()
            .try_into()
            .map_err(does_not_fit("coinbase_prefix"))?,
        coinbase_tx_input_sequence: template.coinbase_tx_input_sequence,
        coinbase_tx_value_remaining: template.coinbase_tx_value_remaining,
        coinbase_tx_outputs_count: template.coinbase_tx_outputs_count,
        coinbase_tx_outputs: template
            .coinbase_tx_outputs
            .as_slice()
            .try_into()
            .map_err(does_not_fit("coinbase_tx_outputs"))?,
        coinbase_tx_locktime: template.coinbase_tx_locktime,
        merkle_path: Seq0255Owned::new(path).map_err(does_not_fit("merkle_path"))?,
    };
    Ok(wrapped(TemplateDistributionOwned::NewTemplate(message)))
}

pub(super) fn set_new_prev_hash(template_id: u64, template: &Template) -> Message {
    wrapped(TemplateDistributionOwned::SetNewPrevHash(
        SetNewPrevHashOwned {
            template_id,
            prev_hash: template.prev_hash.into(),
            header_timestamp: template.header_timestamp,
            n_bits: template.n_bits,
            target: template.target.into(),
        },
    ))
}

pub(super) fn transaction_data(
    template_id: u64,
    transactions: Vec<Vec<u8>>,
) -> Result<Message, String> {
    let does_not_fit = |error| format!("transaction_list does not fit: {error:?}");
    let list: Result<Vec<_>, _> = transactions.into_iter().map(TryInto::try_into).collect();
    let message = RequestTransactionDataSuccessOwned {
        template_id,
        excess_data: EXCESS_DATA.try_into().map_err(does_not_fit)?,
        transaction_list: Seq064KOwned::new(list.map_err(does_not_fit)?).map_err(does_not_fit)?,
    };
    let size = message.get_size();
    if size > MAX_PAYLOAD {
        return Err(format!("{size} bytes of transactions fit no message"));
    }
    Ok(wrapped(
        TemplateDistributionOwned::RequestTransactionDataSuccess(message),
    ))
}

pub(super) fn transaction_data_error(template_id: u64, code: ErrorCode) -> Message {
    let error_code = text(code);
    wrapped(TemplateDistributionOwned::RequestTransactionDataError(
        RequestTransactionDataErrorOwned {
            template_id,
            error_code,
        },
    ))
}

fn wrapped(message: TemplateDistributionOwned) -> Message {
    Message::TemplateDistribution(message)
}
