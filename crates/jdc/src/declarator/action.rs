//! What the declarator is told, and what it wants done.

use std::sync::Arc;

use bitcoin::Txid;
use protocol::custom_work::{CustomShare, CustomWorkEvent, CustomWorkInput};
use protocol::declaration::client::{DeclarationEvent, DeclarationInput};
use protocol::provider::ProviderInput;
use protocol::server::Solution;
use protocol::transactions::TransactionData;
use protocol::work::Work;

use super::job::{Ending, Found};
use super::selection::Pin;

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// The template provider has something new to mine on.
    Work(Work),
    /// It gave the transactions of a template.
    Transactions {
        /// Its connection the template came over.
        session: u64,
        /// Its id.
        template_id: u64,
        /// All but the coinbase.
        transactions: Arc<TransactionData>,
    },
    /// It does not give them.
    NoTransactions {
        /// Its connection the template came over.
        session: u64,
        /// Its id.
        template_id: u64,
        /// Its reason.
        code: String,
    },
    /// The node has told what it knows of the fees that it was asked for.
    Fees {
        /// Connection of the template that they are for.
        session: u64,
        /// Its id.
        template_id: u64,
        /// Satoshis, of those it knows.
        fees: Vec<(Txid, u64)>,
    },
    /// The node has told where transactions are that are not in the newest template.
    Pins(Vec<(Txid, Pin)>),
    /// On the connection to an upstream's pool.
    Pool(usize, CustomWorkEvent),
    /// That connection is over.
    PoolLost {
        /// Whose.
        upstream: usize,
        /// Why.
        reason: String,
        /// Shares that were never answered.
        unanswered: Vec<CustomShare>,
    },
    /// On the connection to an upstream's job declarator server.
    Jds(usize, DeclarationEvent),
    /// That connection is over.
    JdsLost {
        /// Whose.
        upstream: usize,
        /// Why.
        reason: String,
    },
    /// A miner's share was accepted.
    Accepted {
        /// The job it is for.
        job: u64,
        /// The share.
        found: Found,
        /// Then [`Input::Block`] has brought it already.
        is_block: bool,
    },
    /// A miner found a block. Its template is one of our jobs.
    Block(Solution),
    /// All miners together, in hashes a second.
    HashRate(f32),
}

/// Something is to be done.
#[derive(Debug)]
pub enum Action {
    /// Give this to the miners.
    Publish(Work),
    /// Tell the template provider. It is not dialled before the first constraints.
    Provider(ProviderInput),
    /// Ask the node what these transactions pay; to be answered by [`Input::Fees`].
    Fees {
        /// Connection of the template that they are for.
        session: u64,
        /// Its id.
        template_id: u64,
        /// Without repetitions.
        txids: Vec<Txid>,
    },
    /// Ask the node where these transactions are, and to put them first in its templates; to be
    /// answered by [`Input::Pins`].
    Pin(Vec<Txid>),
    /// Give the node a block that the template provider knows nothing of.
    Submit {
        /// Its hash, in header order.
        hash: [u8; 32],
        /// All of it, serialized.
        block: Vec<u8>,
    },
    /// Tell an upstream's pool.
    Pool(usize, CustomWorkInput),
    /// Tell an upstream's job declarator server.
    Jds(usize, DeclarationInput),
    /// Let people know.
    Report(Report),
}

/// For logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The miners work for somebody else; `None` for solo work.
    Switched(Option<usize>),
    /// An upstream failed, whether or not it was worked for.
    Failed {
        /// Which.
        upstream: usize,
        /// Why.
        reason: String,
    },
    /// A connection to an upstream that is not worked for was lost.
    LinkLost {
        /// Whose.
        upstream: usize,
        /// Which, and why.
        reason: String,
    },
    /// The transactions of a template could not be chosen from: it is mined without any.
    Emptied {
        /// The provider's id.
        template: u64,
        /// Why.
        why: &'static str,
    },
    /// A job was declared.
    Sent {
        /// Ours.
        job: u64,
        /// Microseconds since its template came.
        micros: u64,
    },
    /// The job declarator server takes a job.
    Declared {
        /// Ours.
        job: u64,
        /// Microseconds since it was declared.
        micros: u64,
    },
    /// The pool takes a job.
    Set {
        /// Ours.
        job: u64,
        /// The pool's name for it.
        job_id: u32,
        /// Microseconds since its template came.
        micros: u64,
    },
    /// Nobody will take a job.
    Over {
        /// Ours.
        job: u64,
        /// Why.
        ending: Ending,
    },
    /// Shares were sent to a pool.
    Relayed {
        /// Whose.
        upstream: usize,
        /// How many.
        count: u64,
    },
    /// A pool accepted shares.
    Acknowledged {
        /// Whose.
        upstream: usize,
        /// How many, as it says.
        count: u64,
    },
    /// A pool rejected a share that was good.
    Rejected {
        /// Whose.
        upstream: usize,
        /// Its reason.
        code: String,
    },
    /// Shares will never reach a pool.
    Lost {
        /// How many.
        count: u64,
        /// Why, for metrics.
        why: &'static str,
    },
    /// A block is on its way to the template provider, or to the node.
    Block {
        /// The job it was found on.
        job: u64,
        /// Its hash, in header order.
        hash: [u8; 32],
        /// Whether the job declarator server was told too.
        is_pushed: bool,
    },
    /// A block's job is not known any more, so nobody can be told of it.
    BlockLost {
        /// Its hash, in header order.
        hash: [u8; 32],
    },
}
