//! The program itself, with a client that speaks SV2 to it.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use daemon::wire::{TcpConnection, WireError};
use protocol::frame::MAX_PAYLOAD;
use protocol::message::template::{
    CoinbaseOutputConstraints, NewTemplateOwned, RequestTransactionData, SetNewPrevHashOwned,
    SubmitSolutionOwned,
};
use protocol::message::{
    AnyMessage, Message, Received, TemplateDistribution, TemplateDistributionOwned, decode, encode,
};
use regtest::{Port, free_port};
use stratum_core::binary_sv2::B064KOwned;
use stratum_core::common_messages_sv2::Protocol;
use template_provider::source::{Solution, Template};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::chain;
use crate::node::{Kind, LIMIT, Node};

const PROGRAM: &str = env!("CARGO_BIN_EXE_template-provider");

/// A running template provider.
pub(crate) struct Program(regtest::Program);

impl Deref for Program {
    type Target = regtest::Program;

    fn deref(&self) -> &regtest::Program {
        &self.0
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut regtest::Program {
        &mut self.0
    }
}

impl Program {
    pub(crate) fn start(node: &Node, kind: Kind) -> Self {
        println!("{kind:?}");
        Self::start_on(&kind.access(node), free_port())
    }

    pub(crate) fn start_on(access: &str, port: Port) -> Self {
        let keys = format!("fee_threshold = 1\nmin_interval = 0\n[node]\n{access}");
        Self(regtest::Program::start(PROGRAM, port, &keys))
    }

    pub(crate) async fn client(&self) -> Client {
        let mut upstream = self.upstream(Protocol::TemplateDistributionProtocol);
        upstream.max_payload = MAX_PAYLOAD;
        let (connection, accepted) = self.connect(&upstream).await.unwrap();
        assert_eq!(accepted.flags, 0, "TPS-02");
        Client {
            connection,
            early: VecDeque::new(),
            last_id: 0,
        }
    }

    /// Why this is not served.
    pub(crate) async fn refusal(&self, protocol: Protocol, flags: u32) -> String {
        let mut upstream = self.upstream(protocol);
        upstream.request.flags = flags;
        match self.connect(&upstream).await {
            Ok(_) => panic!("{protocol:?} with flags {flags} is served"),
            Err(refusal) => refusal.to_string(),
        }
    }

    /// A connection on which nothing has been said; the program must listen already.
    pub(crate) async fn handshake(&self) -> TcpConnection {
        let upstream = self.upstream(Protocol::TemplateDistributionProtocol);
        let stream = TcpStream::connect(upstream.address.to_string());
        let (reader, writer) = daemon::wire::split(stream.await.unwrap()).unwrap();
        TcpConnection::initiate(reader, writer, &upstream.authority, MAX_PAYLOAD)
            .await
            .unwrap()
    }
}

/// A client after SetupConnection. It checks the order of what it is sent (SV2 7.3).
pub(crate) struct Client {
    connection: TcpConnection,
    /// Messages that came while another was waited for.
    early: VecDeque<TemplateDistributionOwned>,
    last_id: u64,
}

impl Client {
    pub(crate) async fn send(&mut self, message: TemplateDistributionOwned) {
        let mut bytes = Vec::new();
        encode(Message::TemplateDistribution(message), &mut bytes);
        self.connection.send(&bytes).await.unwrap();
    }

    pub(crate) async fn constrain(&mut self, max_additional_size: u32) {
        self.send(TemplateDistributionOwned::CoinbaseOutputConstraints(
            CoinbaseOutputConstraints {
                coinbase_output_max_additional_size: max_additional_size,
                coinbase_output_max_additional_sigops: 4,
            },
        ))
        .await;
    }

    pub(crate) async fn receive(&mut self) -> Result<TemplateDistributionOwned, WireError> {
        if let Some(message) = self.early.pop_front() {
            return Ok(message);
        }
        let frame = timeout(LIMIT, self.connection.receive())
            .await
            .expect("nothing comes")?;
        match decode(frame).unwrap() {
            Received::Message(AnyMessage::TemplateDistribution(message)) => Ok(match message {
                TemplateDistribution::NewTemplate(new) => {
                    TemplateDistributionOwned::NewTemplate(new.into_owned())
                }
                TemplateDistribution::SetNewPrevHash(set) => {
                    TemplateDistributionOwned::SetNewPrevHash(set.into_owned())
                }
                TemplateDistribution::RequestTransactionDataSuccess(data) => {
                    TemplateDistributionOwned::RequestTransactionDataSuccess(data.into_owned())
                }
                TemplateDistribution::RequestTransactionDataError(error) => {
                    TemplateDistributionOwned::RequestTransactionDataError(error.into_owned())
                }
                other => panic!("a server does not send {other}"),
            }),
            other => panic!("not of this protocol: {other:?}"),
        }
    }

    /// Whether nothing comes for this long.
    pub(crate) async fn is_quiet(&mut self, time: Duration) -> bool {
        self.early.is_empty() && timeout(time, self.connection.receive()).await.is_err()
    }

    /// The next template; for a new tip also its SetNewPrevHash.
    pub(crate) async fn work(&mut self) -> Work {
        let TemplateDistributionOwned::NewTemplate(new) = self.receive().await.unwrap() else {
            panic!("something else than a template");
        };
        // TPS-06
        assert!(new.template_id > self.last_id);
        self.last_id = new.template_id;
        if !new.future_template {
            return Work { new, set: None };
        }
        let TemplateDistributionOwned::SetNewPrevHash(set) = self.receive().await.unwrap() else {
            panic!("a future template without its SetNewPrevHash");
        };
        // TPS-07
        assert_eq!(set.template_id, new.template_id);
        Work {
            new,
            set: Some(set),
        }
    }

    /// The transactions of a template, or the error's code.
    pub(crate) async fn transactions(&mut self, template_id: u64) -> Result<Vec<Vec<u8>>, String> {
        self.send(TemplateDistributionOwned::RequestTransactionData(
            RequestTransactionData { template_id },
        ))
        .await;
        let mut others = VecDeque::new();
        let answer = loop {
            match self.receive().await.unwrap() {
                TemplateDistributionOwned::RequestTransactionDataSuccess(data) => {
                    assert_eq!(data.template_id, template_id);
                    // The witness reserved value.
                    assert_eq!(data.excess_data.as_bytes(), [0; 32]);
                    break Ok(data
                        .transaction_list
                        .iter_bytes()
                        .map(<[u8]>::to_vec)
                        .collect());
                }
                TemplateDistributionOwned::RequestTransactionDataError(error) => {
                    assert_eq!(error.template_id, template_id);
                    break Err(String::from_utf8(error.error_code.into_bytes()).unwrap());
                }
                other => others.push_back(other),
            }
        };
        self.early.extend(others);
        answer
    }

    pub(crate) async fn submit(&mut self, template_id: u64, solution: Solution) {
        self.send(TemplateDistributionOwned::SubmitSolution(
            SubmitSolutionOwned {
                template_id,
                version: solution.version,
                header_timestamp: solution.timestamp,
                header_nonce: solution.nonce,
                coinbase_tx: B064KOwned::new(solution.coinbase).unwrap(),
            },
        ))
        .await;
    }
}

/// What a client would mine.
pub(crate) struct Work {
    pub(crate) new: NewTemplateOwned,
    pub(crate) set: Option<SetNewPrevHashOwned>,
}

impl Work {
    pub(crate) fn template_id(&self) -> u64 {
        self.new.template_id
    }

    pub(crate) fn prev_hash(&self) -> String {
        crate::watch::shown(*self.set.as_ref().unwrap().prev_hash.as_array())
    }

    /// Solves work that came with a SetNewPrevHash.
    pub(crate) fn solve(&self) -> Solution {
        let set = self.set.as_ref().unwrap();
        let template = Template {
            version: self.new.version,
            coinbase_tx_version: self.new.coinbase_tx_version,
            coinbase_prefix: self.new.coinbase_prefix.to_owned_bytes(),
            coinbase_tx_input_sequence: self.new.coinbase_tx_input_sequence,
            coinbase_tx_value_remaining: self.new.coinbase_tx_value_remaining,
            coinbase_tx_outputs_count: self.new.coinbase_tx_outputs_count,
            coinbase_tx_outputs: self.new.coinbase_tx_outputs.to_owned_bytes(),
            coinbase_tx_locktime: self.new.coinbase_tx_locktime,
            merkle_path: self
                .new
                .merkle_path
                .iter()
                .map(|hash| *hash.as_array())
                .collect(),
            prev_hash: *set.prev_hash.as_array(),
            header_timestamp: set.header_timestamp,
            n_bits: set.n_bits,
            target: *set.target.as_array(),
        };
        *chain::solve(&template, &chain::coinbase(&template))
    }
}
