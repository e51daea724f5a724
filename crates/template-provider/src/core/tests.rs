//! One table per rule of SV2 chapter 7. A client is stepped by messages and feed events; what comes
//! out is compared as text.

mod solution;
mod template;
mod transaction_data;

use bitcoin::{CompactTarget, Target};
use protocol::frame::{FrameHeader, HEADER_LEN};
use protocol::message::template::{
    CoinbaseOutputConstraints, RequestTransactionData, SubmitSolutionOwned,
};
use protocol::message::{Message, TemplateDistributionOwned, encode};

use super::*;

const TIGHT: Constraints = Constraints {
    max_additional_size: 43,
    max_additional_sigops: 0,
};
const ROOMY: Constraints = Constraints {
    max_additional_size: 10_000,
    max_additional_sigops: 400,
};
const IDLE: Duration = Duration::from_secs(300);
const REGTEST_BITS: u32 = 0x207f_ffff;

/// A template on a tip named by one byte.
fn template(tip: u8) -> Template {
    let bits = CompactTarget::from_consensus(REGTEST_BITS);
    Template {
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![0x01, 0x66],
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 5_000_000_000,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: vec![0; 47],
        coinbase_tx_locktime: 101,
        merkle_path: vec![[7; 32]],
        prev_hash: [tip; 32],
        header_timestamp: 1_700_000_000,
        n_bits: REGTEST_BITS,
        target: Target::from_compact(bits).to_le_bytes(),
    }
}

/// A connection, its clock, and what came out of it.
struct Client {
    server: TemplateServer,
    now: Now,
    out: Outbox<Event>,
    keys: u64,
}

impl Client {
    /// A client that has sent nothing but SetupConnection.
    fn silent() -> Self {
        let now = Now {
            instant: Instant::now(),
            unix: 1_700_000_000,
        };
        Self {
            server: TemplateServer::connected(now, IDLE),
            now,
            out: Outbox::default(),
            keys: 0,
        }
    }

    /// A client that has set constraints.
    fn constrained() -> Self {
        let mut client = Self::silent();
        client.constrain(TIGHT);
        client
    }

    /// A client that has work on tip 1, as template 1.
    fn at_work() -> Self {
        let mut client = Self::constrained();
        client.feed_template(template(1));
        client
    }

    #[track_caller]
    fn send(&mut self, message: TemplateDistributionOwned) -> Step {
        self.send_message(Message::TemplateDistribution(message))
    }

    #[track_caller]
    fn send_message(&mut self, message: Message) -> Step {
        let mut bytes = Vec::new();
        encode(message, &mut bytes);
        let (header, payload) = bytes.split_first_chunk_mut::<HEADER_LEN>().unwrap();
        self.send_frame(FrameHeader::from_bytes(*header), payload)
    }

    fn send_frame(&mut self, header: FrameHeader, payload: &mut [u8]) -> Step {
        self.server
            .received(self.now, Frame { header, payload }, &mut self.out);
        self.step()
    }

    fn constrain(&mut self, constraints: Constraints) -> Step {
        let Constraints {
            max_additional_size,
            max_additional_sigops,
        } = constraints;
        self.send(TemplateDistributionOwned::CoinbaseOutputConstraints(
            CoinbaseOutputConstraints {
                coinbase_output_max_additional_size: max_additional_size,
                coinbase_output_max_additional_sigops: max_additional_sigops,
            },
        ))
    }

    fn request_data(&mut self, template_id: u64) -> Step {
        self.send(TemplateDistributionOwned::RequestTransactionData(
            RequestTransactionData { template_id },
        ))
    }

    fn submit(&mut self, solution: SubmitSolutionOwned) -> Step {
        self.send(TemplateDistributionOwned::SubmitSolution(solution))
    }

    fn feed(&mut self, event: source::Event) -> Step {
        self.server.input(self.now, event, &mut self.out);
        self.step()
    }

    /// The feed makes a template under the constraints set last.
    fn feed_template(&mut self, template: Template) -> Step {
        let constraints = self.server.constraints.unwrap();
        self.feed_template_under(constraints, template)
    }

    fn feed_template_under(&mut self, constraints: Constraints, template: Template) -> Step {
        self.keys += 1;
        let (key, template) = (TemplateKey(self.keys), Arc::new(template));
        self.feed(source::Event::Template {
            key,
            constraints,
            template,
        })
    }

    fn lose_node(&mut self) -> Step {
        self.feed(source::Event::NodeLost {
            reason: "killed".to_owned(),
        })
    }

    fn pass(&mut self, time: Duration) -> Step {
        self.now.instant += time;
        if self
            .server
            .deadline()
            .is_some_and(|deadline| deadline <= self.now.instant)
        {
            self.server.wake(self.now, &mut self.out);
        }
        self.step()
    }

    fn step(&mut self) -> Step {
        let mut rest = std::mem::take(self.out.frames());
        let mut rest = rest.as_mut_slice();
        let mut sent = Vec::new();
        while let Some((header, tail)) = rest.split_first_chunk_mut::<HEADER_LEN>() {
            let header = FrameHeader::from_bytes(*header);
            let (payload, tail) = tail.split_at_mut(header.len);
            sent.push(summary(Frame { header, payload }));
            rest = tail;
        }
        let events = self.out.take_events().collect();
        Step {
            sent,
            events,
            closed: self.out.take_close(),
        }
    }
}

/// What one step brought.
#[derive(Debug)]
struct Step {
    sent: Vec<String>,
    events: Vec<Event>,
    closed: Option<String>,
}

impl Step {
    /// The requests to the feed, as text.
    fn requests(&self) -> Vec<String> {
        let requests = self.events.iter().filter_map(|event| match event {
            Event::Request(request) => Some(match request {
                Request::Constraints(constraints) => format!("build with {constraints}"),
                Request::TransactionData { template_id, key } => {
                    format!("data of {} for {template_id}", key.0)
                }
                Request::Submit { key, solution } => {
                    format!("submit {} for {}", key.0, solution.template_id)
                }
                Request::Release(keys) => {
                    format!(
                        "release {:?}",
                        keys.iter().map(|key| key.0).collect::<Vec<_>>()
                    )
                }
            }),
            _ => None,
        });
        requests.collect()
    }

    fn refusals(&self) -> Vec<&Refusal> {
        let refusals = self.events.iter().filter_map(|event| match event {
            Event::SolutionRefused { refusal, .. } => Some(refusal),
            _ => None,
        });
        refusals.collect()
    }
}

fn summary(frame: Frame<'_>) -> String {
    let Ok(Received::Message(AnyMessage::TemplateDistribution(message))) = decode(frame) else {
        panic!("the server sent something that is not of its protocol");
    };
    match message {
        TemplateDistribution::NewTemplate(new) => {
            let when = if new.future_template { "future" } else { "now" };
            format!("NewTemplate {} {when}", new.template_id)
        }
        TemplateDistribution::SetNewPrevHash(set) => {
            format!(
                "SetNewPrevHash {} tip {}",
                set.template_id,
                set.prev_hash.as_array()[0]
            )
        }
        TemplateDistribution::RequestTransactionDataSuccess(data) => {
            let transactions: Vec<_> = data.transaction_list.iter_bytes().collect();
            format!("Data {} {transactions:?}", data.template_id)
        }
        TemplateDistribution::RequestTransactionDataError(error) => {
            format!(
                "Error {} {}",
                error.template_id,
                error.error_code.as_utf8_or_hex()
            )
        }
        other => panic!("a server does not send {other}"),
    }
}
