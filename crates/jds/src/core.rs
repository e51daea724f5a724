//! The Job Declaration Protocol (SV2 chapter 6), server side, for one client.
//!
//! [`DeclarationServer`] hands out tokens, takes declarations to a verdict and solutions to a block.
//! It calls no node: what it needs to know is an [`Event`], answered by an [`Input`]. A declaration
//! is looked up in the mempool, completed by the client, proposed to the node, answered; see
//! `declaration`.

mod allocation;
mod coinbase;
mod declaration;
mod declaring;
mod job;
mod message;
mod node;
mod report;
mod solving;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::{Network, ScriptBuf};
use protocol::core::{Core, Now, Outbox};
use protocol::frame::Frame;
use protocol::message::declaration::AllocateMiningJobToken;
use protocol::message::{AnyMessage, JobDeclaration, Received, decode};
use protocol::setup::DECLARE_TX_DATA;
use protocol::token::{Commitment, Scope, Secret, Token};
use rand::RngCore;
use rand::rngs::StdRng;

use crate::block::Block;
use crate::transaction::Transaction;
use allocation::{Allocation, Waiting};
use declaration::Declaration;
use job::Job;

pub use coinbase::{CoinbaseFault, DeclaredCoinbase};
pub use message::MAX_PAYOUT_SCRIPT;
pub use node::{NodeView, Tip};
pub use report::{Refusal, Report};

/// What every client is held to, and what all of them are given.
#[derive(Debug)]
pub struct Policy {
    /// Makes tokens that the pool believes.
    pub secret: Secret,
    /// Of the pool payout output (SV2 6.4.3).
    pub payout: ScriptBuf,
    /// Whose addresses clients are known as, and whose subsidy blocks have.
    pub network: Network,
    /// How long a token can be redeemed that was handed out before its job is known.
    pub token_lifetime: Duration,
    /// Tokens a client may have in a minute.
    pub tokens_per_minute: u32,
    /// Declarations a client may have open at once.
    pub max_declarations: usize,
    /// How long a client may take to provide missing transactions, each time it is asked.
    pub missing_timeout: Duration,
    /// How long a client may stay without ever asking for a token.
    pub idle: Duration,
}

impl Policy {
    /// What a job has to do for a token that is handed out before it is known: pay the pool.
    fn commitment(&self) -> Commitment {
        Commitment::payout([self.payout.as_script()])
    }
}

/// What the rest of the role tells a connection.
#[derive(Debug)]
pub enum Input {
    /// The node looks different now.
    Node(NodeView),
    /// The answer to an [`Event::Lookup`].
    Found {
        /// Its number.
        number: u64,
        /// In the order of the lookup; `None` where the node knows no such transaction.
        transactions: Vec<Option<Arc<Transaction>>>,
    },
    /// The answer to an [`Event::Propose`].
    Judged {
        /// Its number.
        number: u64,
        /// What the node says.
        judgement: Judgement,
    },
    /// The answer to an [`Event::Overtaken`].
    Mined {
        /// Its number.
        number: u64,
        /// `None` when the node does not give it.
        block: Option<Arc<bitcoin::Block>>,
    },
}

/// What the node says of a proposed block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// Work is all it lacks.
    Valid,
    /// The node builds on another block by now.
    NotBest,
    /// It breaks a rule, in the node's words.
    Invalid(String),
    /// The node does not say.
    Unavailable(String),
}

/// What a connection tells the rest of the role.
#[derive(Debug)]
pub enum Event {
    /// A token was handed out.
    Allocated {
        /// What it permits.
        scope: Scope,
        /// For whom, in the client's words.
        user: String,
    },
    /// A token was asked for too early; it is handed out later.
    Delayed,
    /// Which of these does the node's mempool hold? Answered by [`Input::Found`].
    Lookup {
        /// Of the declaration.
        number: u64,
        /// In header order.
        wtxids: Arc<[[u8; 32]]>,
    },
    /// Is this block valid but for its work? Answered by [`Input::Judged`].
    Propose {
        /// Of the declaration.
        number: u64,
        /// Its hash means nothing.
        block: Block,
    },
    /// The node has a block where the declared one was to be. What is it? Answered by
    /// [`Input::Mined`].
    Overtaken {
        /// Of the declaration.
        number: u64,
        /// The block's hash, in header order.
        hash: [u8; 32],
    },
    /// A declaration was answered.
    Decided(Box<Report>),
    /// A block was found: to be submitted.
    Solved {
        /// Of the declaration it solves.
        number: u64,
        /// Meets its target.
        block: Block,
    },
    /// A solution that solves no declared job.
    NotSolved {
        /// What is wrong with it.
        reason: String,
    },
    /// The client never asked for a token and is closed.
    Idle,
    /// The client sent something that means nothing here.
    Ignored {
        /// What it sent.
        message: String,
    },
}

type Out = Outbox<Event>;

/// The server's side of one job declaration connection, after SetupConnection.
#[derive(Debug)]
pub struct DeclarationServer {
    policy: Arc<Policy>,
    /// Otherwise the client keeps its transactions to itself (SV2 6.3.1).
    is_full_template: bool,
    /// Where token ids come from.
    ids: StdRng,
    node: NodeView,
    /// When a client that has not asked for a token is closed.
    idle_due: Option<Instant>,
    allocation: Allocation,
    /// Not answered yet, by number.
    declarations: BTreeMap<u64, Declaration>,
    last_number: u64,
    /// What was declared, newest first.
    jobs: VecDeque<Job>,
    /// Hashes of blocks found, newest first.
    solved: VecDeque<[u8; 32]>,
}

impl Core for DeclarationServer {
    type Input = Input;
    type Event = Event;

    fn received(&mut self, now: Now, frame: Frame<'_>, out: &mut Out) {
        let ignored = match decode(frame) {
            Ok(Received::Message(AnyMessage::JobDeclaration(message))) => match message {
                JobDeclaration::AllocateMiningJobToken(request) => {
                    return self.allocate(now, &request, out);
                }
                JobDeclaration::DeclareMiningJob(job) => return self.declare(now, &job, out),
                JobDeclaration::ProvideMissingTransactionsSuccess(provided) => {
                    return self.provide(now, &provided, out);
                }
                JobDeclaration::PushSolution(solution) => return self.push(&solution, out),
                servers => servers.to_string(),
            },
            Ok(Received::Message(foreign)) => foreign.to_string(),
            Ok(Received::Unknown {
                extension,
                msg_type,
            }) => format!("type 0x{msg_type:02x} of extension 0x{extension:04x}"),
            Err(error) => return out.close(error.to_string()),
        };
        out.event(Event::Ignored { message: ignored });
    }

    fn input(&mut self, now: Now, input: Input, out: &mut Out) {
        match input {
            Input::Node(node) => self.node_changed(now, node, out),
            Input::Found {
                number,
                transactions,
            } => self.found(now, number, transactions, out),
            Input::Judged { number, judgement } => self.judged(now, number, judgement, out),
            Input::Mined { number, block } => self.mined(now, number, block.as_deref(), out),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let declarations = self.declarations.values().filter_map(Declaration::due);
        declarations
            .chain(self.allocation.due())
            .chain(self.idle_due)
            .min()
    }

    fn wake(&mut self, now: Now, out: &mut Out) {
        if self.idle_due.is_some_and(|due| due <= now.instant) {
            out.event(Event::Idle);
            out.close("idle: no token was asked for");
        }
        self.hand_out(now, out);
        self.give_up(now, out);
    }
}

impl DeclarationServer {
    /// A client that set up with `flags`, at `now`.
    pub fn new(policy: Arc<Policy>, flags: u32, node: NodeView, ids: StdRng, now: Now) -> Self {
        Self {
            is_full_template: flags & DECLARE_TX_DATA != 0,
            ids,
            node,
            idle_due: now.instant.checked_add(policy.idle),
            allocation: Allocation::new(policy.tokens_per_minute, now.instant),
            declarations: BTreeMap::new(),
            last_number: 0,
            jobs: VecDeque::new(),
            solved: VecDeque::new(),
            policy,
        }
    }

    /// SV2 6.4.2.
    fn allocate(&mut self, now: Now, request: &AllocateMiningJobToken<'_>, out: &mut Out) {
        self.idle_due = None;
        let waiting = Waiting {
            request_id: request.request_id,
            user: request.user_identifier.as_utf8_or_hex(),
        };
        if let Err(too_fast) = self.allocation.request(waiting) {
            return out.close(too_fast.to_string());
        }
        self.hand_out(now, out);
        if self.allocation.due().is_some() {
            out.event(Event::Delayed);
        }
    }

    /// Answers what may be answered by now.
    fn hand_out(&mut self, now: Now, out: &mut Out) {
        while let Some(Waiting { request_id, user }) = self.allocation.next(now.instant) {
            let scope = match self.is_full_template {
                true => Scope::Allocated,
                false => Scope::CoinbaseOnly,
            };
            let token = self.token(scope, now, self.policy.token_lifetime);
            let bytes = token.issue(&self.policy.secret, &self.policy.commitment());
            out.send(message::allocated(request_id, bytes, &self.policy.payout));
            // In coinbase-only mode the pool redeems it.
            if self.is_full_template {
                self.allocation.keep(token, user.clone());
            }
            out.event(Event::Allocated { scope, user });
        }
    }

    fn token(&mut self, scope: Scope, now: Now, lifetime: Duration) -> Token {
        let mut id = [0; 16];
        self.ids.fill_bytes(&mut id);
        Token {
            scope,
            expires: now.unix.saturating_add(lifetime.as_secs()),
            id,
        }
    }
}

#[cfg(test)]
mod tests;
