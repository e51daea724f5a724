//! What a connection and the rest of its role tell each other.

use std::sync::Arc;

use super::channel::ChannelKind;
use super::extranonce::{Extranonce, ExtranonceSpace};
use super::limits::Limit;
use super::verdict::{Accepted, CustomBlock, Solution};
use super::worker::Worker;
use crate::error_code::ErrorCode;
use crate::payout::Payout;
use crate::target::Target;
use crate::work::Work;

/// What a connection is told.
#[derive(Debug)]
pub enum ServerInput {
    /// There is something new to mine on.
    Work(Work),
    /// Every share up to this number ([`ServerEvent::Accepted`]) is recorded and survives a crash.
    /// Heeded under `Acknowledge::Recorded` only.
    Recorded(u64),
    /// The connection's extranonces are others from now on, of the same lengths; otherwise it has
    /// to be closed.
    Space(ExtranonceSpace),
    /// The answer to [`ServerEvent::TokenShown`].
    TokenSpent {
        /// The token's.
        id: [u8; 16],
        /// Whether nobody has shown it before, on whatever connection.
        is_first: bool,
    },
    /// What the miner said last was taken: it may go on.
    GoOn,
}

/// What happens on a connection.
#[derive(Debug)]
pub enum ServerEvent {
    /// A channel was opened.
    Opened {
        /// Its id on this connection.
        channel_id: u32,
        /// The group whose jobs it gets.
        group_id: u32,
        /// Whom the client says it is for.
        user_identity: String,
        /// Whom its blocks pay.
        payout: Payout,
        /// Its kind.
        kind: ChannelKind,
        /// For standard channels the whole extranonce.
        extranonce_prefix: Extranonce,
        /// What the client says it does, in hashes a second.
        hashrate: f32,
        /// Its first target.
        target: Target,
        /// The easiest target that the client takes.
        max_target: Target,
    },
    /// A channel was not opened.
    OpenRefused(ErrorCode),
    /// A channel is gone.
    Closed {
        /// Its id on this connection.
        channel_id: u32,
    },
    /// A client said something else of its channel than before, or the same again.
    Updated {
        /// Its id on this connection.
        channel_id: u32,
        /// What the client says it does, in hashes a second.
        hashrate: f32,
        /// For jobs from now on.
        target: Target,
        /// The easiest target that the client takes.
        max_target: Target,
    },
    /// A channel got another target because of the shares it sent, or did not send.
    Retargeted {
        /// Its id on this connection.
        channel_id: u32,
        /// For jobs from now on.
        target: Target,
        /// Its hash rate as far as it is known, in hashes a second.
        hashrate: f64,
    },
    /// A job was made of a template and sent.
    JobCreated {
        /// The channel, or the group for all its channels.
        channel_id: u32,
        /// Its id on this connection.
        job_id: u32,
        /// The provider's id of the template.
        template_id: u64,
        /// Whether it was sent ahead, to be mined once a SetNewPrevHash names it.
        is_future: bool,
    },
    /// A share was accepted.
    Accepted {
        /// Counts the accepted shares of this connection, from 1 on. This, less the newest number
        /// recorded, is how many wait.
        number: u64,
        /// The channel.
        channel_id: u32,
        /// The job on that channel.
        job_id: u32,
        /// The client's number of the share.
        sequence_number: u32,
        /// The share and its worth.
        share: Accepted,
        /// Who found it, if the client says so.
        worker: Option<Worker>,
    },
    /// An acknowledgement waits until every share up to this number is recorded. Shares beyond the
    /// newest such number are not waited for yet. Only under `Acknowledge::Recorded`.
    RecordAwaited(u64),
    /// A share was rejected.
    Rejected {
        /// What the client called the channel.
        channel_id: u32,
        /// What the client called the job.
        job_id: u32,
        /// Why.
        code: ErrorCode,
        /// Who found it, if the client says so.
        worker: Option<Worker>,
    },
    /// A share is a block. It must reach the node, whatever becomes of the share.
    Block {
        /// The channel.
        channel_id: u32,
        /// The job on that channel.
        job_id: u32,
        /// Whom the channel is for.
        user_identity: String,
        /// Who found it, if the client says so.
        worker: Option<Arc<str>>,
        /// The block.
        solution: Solution,
    },
    /// A share is a block of a custom job. Its client submits it; nobody else has its transactions.
    CustomBlock {
        /// The channel.
        channel_id: u32,
        /// The job on that channel.
        job_id: u32,
        /// Whom the channel is for.
        user_identity: String,
        /// Who found it, if the client says so.
        worker: Option<Arc<str>>,
        /// The block.
        block: CustomBlock,
    },
    /// A job token was shown and is good, unless it was used before, on whatever connection. To be
    /// answered by [`ServerInput::TokenSpent`]; until then its job waits.
    TokenShown {
        /// The token's.
        id: [u8; 16],
        /// Unix seconds; nobody takes the token from then on.
        expires: u64,
    },
    /// A custom job was accepted.
    CustomJobSet {
        /// A channel, or a group for all its channels.
        channel_id: u32,
        /// Its id there.
        job_id: u32,
        /// What it is on, in header order.
        prev_hash: [u8; 32],
        /// Of its block, if its coinbase says it.
        height: Option<u64>,
    },
    /// A custom job was refused.
    CustomJobRefused {
        /// What the client called the channel.
        channel_id: u32,
        /// Why.
        code: ErrorCode,
    },
    /// The client reached a limit.
    Limited(Limit),
    /// A message that means nothing here was ignored.
    Ignored(String),
}
