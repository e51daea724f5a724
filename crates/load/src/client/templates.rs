//! The template provider: a new tip whenever the scenario says so, and the transactions of each.

use std::convert::Infallible;

use protocol::core::{Core, Now};
use protocol::frame::Frame;
use protocol::message::template::RequestTransactionDataSuccessOwned;
use protocol::message::{
    self, AnyMessage, Received, TemplateDistribution, TemplateDistributionOwned,
};

use crate::played::{Out, Tip};
use crate::provider::frames;

/// Of each template, as many as make a path of its length.
const TRANSACTIONS: u32 = 2_100;
/// Of each transaction; an ordinary payment has 200 to 250.
const BYTES: usize = 220;

#[derive(Debug, Default)]
pub(super) struct Templates {
    tips: u32,
}

impl Templates {
    fn next(&mut self, out: &mut Out) {
        self.tips += 1;
        out.send_encoded(&frames(self.tips));
    }
}

impl Core for Templates {
    type Input = Tip;
    type Event = Infallible;

    fn received(&mut self, _now: Now, frame: Frame<'_>, out: &mut Out) {
        let Ok(Received::Message(AnyMessage::TemplateDistribution(message))) =
            message::decode(frame)
        else {
            return;
        };
        match message {
            TemplateDistribution::CoinbaseOutputConstraints(_) if self.tips == 0 => self.next(out),
            TemplateDistribution::RequestTransactionData(request) => {
                let transactions = (0..TRANSACTIONS).map(|number| {
                    let mut bytes = vec![0; BYTES];
                    bytes[..4].copy_from_slice(&number.to_le_bytes());
                    bytes[4..12].copy_from_slice(&request.template_id.to_le_bytes());
                    bytes.try_into().expect("220 bytes fit")
                });
                let transactions: Vec<_> = transactions.collect();
                out.send(TemplateDistributionOwned::RequestTransactionDataSuccess(
                    RequestTransactionDataSuccessOwned {
                        template_id: request.template_id,
                        excess_data: Vec::new().try_into().expect("nothing fits"),
                        transaction_list: transactions.try_into().expect("2,100 fit"),
                    },
                ));
            }
            _ => {}
        }
    }

    fn input(&mut self, _now: Now, tip: Tip, out: &mut Out) {
        self.next(out);
        tip.now();
    }
}
