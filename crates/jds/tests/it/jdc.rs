//! The program, and a job declarator client of it.

use std::ops::{Deref, DerefMut};

use daemon::wire::{TcpConnection, WireError};
use protocol::frame::MAX_PAYLOAD;
use protocol::message::common::Protocol;
use protocol::message::declaration::{
    AllocateMiningJobTokenOwned, ProvideMissingTransactionsSuccessOwned, PushSolutionOwned,
};
use protocol::message::{
    AnyMessage, JobDeclaration, JobDeclarationOwned, Message, Received, decode, encode, text,
};
use protocol::setup::DECLARE_TX_DATA;
use protocol::token::Secret;
use regtest::{LIMIT, Node, free_port};
use serde_json::Value;
use tokio::time::timeout;

use crate::job::{Job, payout};

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What the pool would have.
pub(crate) fn secret() -> Secret {
    SECRET.parse().unwrap()
}

/// A running job declarator server.
pub(crate) struct Jds(regtest::Program);

impl Deref for Jds {
    type Target = regtest::Program;

    fn deref(&self) -> &regtest::Program {
        &self.0
    }
}

impl DerefMut for Jds {
    fn deref_mut(&mut self) -> &mut regtest::Program {
        &mut self.0
    }
}

impl Jds {
    pub(crate) fn start(node: &Node) -> Self {
        let keys = format!(
            "coinbase_reward_script = \"raw({})\"\n[node]\n{}\n[job_declaration]\n\
             secret = \"{SECRET}\"\ntokens_per_minute = 10000\n",
            payout().to_hex_string(),
            node.rpc_access()
        );
        Self(regtest::Program::start(
            env!("CARGO_BIN_EXE_jds"),
            free_port(),
            &keys,
        ))
    }

    /// Once its node is reached.
    pub(crate) fn ready(node: &Node) -> Self {
        let jds = Self::start(node);
        jds.wait_for_health(0);
        jds
    }

    pub(crate) async fn client(&self) -> Jdc {
        self.client_with_flags(DECLARE_TX_DATA).await
    }

    pub(crate) async fn client_with_flags(&self, flags: u32) -> Jdc {
        let mut upstream = self.upstream(Protocol::JobDeclarationProtocol);
        upstream.request.flags = flags;
        upstream.max_payload = MAX_PAYLOAD;
        let (connection, accepted) = self.connect(&upstream).await.unwrap();
        assert_eq!(accepted.flags, 0, "JDS-04");
        Jdc {
            connection,
            last_id: 0,
        }
    }

    /// The newest declarations it tells of.
    pub(crate) fn declarations(&self) -> Vec<Value> {
        let answer = self.get("/api/v1/declarations");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let list: Value = serde_json::from_str(body).unwrap();
        list["items"].as_array().unwrap().clone()
    }
}

/// A client after SetupConnection.
pub(crate) struct Jdc {
    connection: TcpConnection,
    last_id: u32,
}

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Token {
        request_id: u32,
        token: Vec<u8>,
        outputs: Vec<u8>,
    },
    Missing {
        request_id: u32,
        positions: Vec<u16>,
    },
    Declared {
        request_id: u32,
        token: Vec<u8>,
    },
    Refused {
        request_id: u32,
        code: String,
        details: String,
    },
}

impl Jdc {
    pub(crate) async fn send(&mut self, message: JobDeclarationOwned) {
        let mut bytes = Vec::new();
        encode(Message::JobDeclaration(message), &mut bytes);
        self.connection.send(&bytes).await.unwrap();
    }

    /// Sends a frame of any payload, and waits until the server has read it or has left.
    pub(crate) async fn attack(&mut self, msg_type: u8, payload: &[u8]) {
        const AFTERWARDS: u32 = u32::MAX;
        let len = u32::try_from(payload.len()).unwrap().to_le_bytes();
        let header = [0, 0, msg_type, len[0], len[1], len[2]];
        let mut frames = [&header[..], payload].concat();
        let request = AllocateMiningJobTokenOwned {
            user_identifier: text("mallory"),
            request_id: AFTERWARDS,
        };
        let request = JobDeclarationOwned::AllocateMiningJobToken(request);
        encode(Message::JobDeclaration(request), &mut frames);
        let mut is_there = self.connection.send(&frames).await.is_ok();
        while is_there {
            let answer = self.try_receive().await;
            is_there = match answer {
                Ok(Answer::Token { request_id, .. }) => request_id != AFTERWARDS,
                Ok(_) => true,
                Err(_) => false,
            };
        }
    }

    pub(crate) async fn try_receive(&mut self) -> Result<Answer, WireError> {
        let frame = timeout(LIMIT, self.connection.receive())
            .await
            .expect("nothing comes")?;
        // JDS-29, FRAME-06
        assert!(!frame.header.channel_msg);
        let Ok(Received::Message(AnyMessage::JobDeclaration(message))) = decode(frame) else {
            panic!("not of this protocol");
        };
        Ok(match message {
            JobDeclaration::AllocateMiningJobTokenSuccess(given) => Answer::Token {
                request_id: given.request_id,
                token: given.mining_job_token.to_owned_bytes(),
                outputs: given.coinbase_outputs.to_owned_bytes(),
            },
            JobDeclaration::ProvideMissingTransactions(missing) => Answer::Missing {
                request_id: missing.request_id,
                positions: missing.unknown_tx_position_list.into_inner(),
            },
            JobDeclaration::DeclareMiningJobSuccess(declared) => Answer::Declared {
                request_id: declared.request_id,
                token: declared.new_mining_job_token.to_owned_bytes(),
            },
            JobDeclaration::DeclareMiningJobError(error) => Answer::Refused {
                request_id: error.request_id,
                code: error.error_code.as_utf8_or_hex(),
                details: String::from_utf8(error.error_details.to_owned_bytes()).unwrap(),
            },
            other => panic!("a server does not send {other}"),
        })
    }

    pub(crate) async fn receive(&mut self) -> Answer {
        self.try_receive().await.unwrap()
    }

    pub(crate) async fn token(&mut self) -> Vec<u8> {
        self.last_id += 1;
        let request = AllocateMiningJobTokenOwned {
            user_identifier: text("alice"),
            request_id: self.last_id,
        };
        self.send(JobDeclarationOwned::AllocateMiningJobToken(request))
            .await;
        match self.receive().await {
            Answer::Token {
                request_id, token, ..
            } if request_id == self.last_id => token,
            other => panic!("no token: {other:?}"),
        }
    }

    /// Declares with a fresh token; returns the declaration's id.
    pub(crate) async fn start(&mut self, job: &Job) -> u32 {
        let token = self.token().await;
        self.last_id += 1;
        let declaration = job.declaration(self.last_id, token);
        self.send(JobDeclarationOwned::DeclareMiningJob(declaration))
            .await;
        self.last_id
    }

    /// Declares and reads the answer.
    pub(crate) async fn declare(&mut self, job: &Job) -> Answer {
        self.start(job).await;
        self.receive().await
    }

    /// The new token of a job of which nothing is missing and nothing wrong.
    pub(crate) async fn declared(&mut self, job: &Job) -> Vec<u8> {
        match self.declare(job).await {
            Answer::Declared { request_id, token } if request_id == self.last_id => token,
            other => panic!("not declared: {other:?}"),
        }
    }

    /// Declares what is refused; returns code and details.
    pub(crate) async fn refused(&mut self, job: &Job) -> (String, String) {
        match self.declare(job).await {
            Answer::Refused { code, details, .. } => (code, details),
            other => panic!("not refused: {other:?}"),
        }
    }

    pub(crate) async fn provide(&mut self, request_id: u32, transactions: Vec<Vec<u8>>) {
        let list = transactions
            .into_iter()
            .map(|bytes| bytes.try_into().unwrap());
        let provided = ProvideMissingTransactionsSuccessOwned {
            request_id,
            transaction_list: list.collect::<Vec<_>>().try_into().unwrap(),
        };
        self.send(JobDeclarationOwned::ProvideMissingTransactionsSuccess(
            provided,
        ))
        .await;
    }

    pub(crate) async fn push(&mut self, solution: PushSolutionOwned) {
        self.send(JobDeclarationOwned::PushSolution(solution)).await;
    }
}
