//! One job: a template with a coinbase of ours, and how far its upstream has come with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::core::Now;
use protocol::custom_work::{CustomJob, CustomShare};
use protocol::declaration::client::{Declaration, PushedSolution};
use protocol::target::Target;
use protocol::transactions::TransactionData;
use protocol::work::{PrevHash, Template};

use super::cache::Cache;
use super::coinbase::{CoinbaseKit, Terms};
use super::selection::LeftOut;

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It is ours alone: nobody has to take it.
    Solo,
    /// It will be declared when it can be: its tip, its transactions or its upstream are missing.
    /// Not before that time, if there is one.
    Waiting(Option<Instant>),
    /// The job declarator server was asked, for a declaration or for a mere token.
    Declaring,
    /// The pool was asked.
    Setting,
    /// The pool takes shares for it.
    Set {
        /// The pool's name for it.
        job_id: u32,
        /// What the hash of a share for it must not exceed.
        target: Target,
    },
    /// Nobody will ever take it.
    Over(Ending),
}

/// Why nobody will ever take a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ending {
    /// Its tip was replaced.
    #[error("its tip is gone")]
    Stale,
    /// Its upstream said no; with its reason.
    #[error("{0}")]
    Refused(String),
    /// Its upstream wants another extranonce or another payout.
    #[error("its upstream has other terms now")]
    OtherTerms,
    /// The template provider does not give its transactions; with its reason.
    #[error("the template provider keeps its transactions: {0}")]
    NoTransactions(String),
}

impl Ending {
    /// For metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Refused(_) => "job-refused",
            Self::OtherTerms => "other-terms",
            Self::NoTransactions(_) => "no-transactions",
        }
    }
}

/// What became of a job's shares.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Tally {
    /// Accepted from miners.
    pub accepted: u64,
    /// Of these, too easy for the pool.
    pub below_target: u64,
    /// Submitted to the pool.
    pub relayed: u64,
    /// Accepted by the pool.
    pub acknowledged: u64,
    /// Rejected by the pool.
    pub rejected: u64,
    /// Neither.
    pub lost: u64,
}

/// When things happened, counted from the job's creation.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    /// DeclareMiningJob was sent.
    pub sent: Option<Duration>,
    /// The job declarator server took it, or gave its token.
    pub declared: Option<Duration>,
    /// The pool took it.
    pub set: Option<Duration>,
}

/// A job.
#[derive(Debug)]
pub struct Job {
    /// Our name for it; the miners' template id.
    pub id: u64,
    /// `None` for solo work.
    pub terms: Option<Terms>,
    /// The provider's template.
    pub source: Arc<Template>,
    /// The same with our coinbase and our name: what the miners get.
    pub template: Arc<Template>,
    /// `None` while it is for a tip to come.
    pub prev_hash: Option<Arc<PrevHash>>,
    /// How far it has come.
    pub stage: Stage,
    /// Whether miners have ever got it.
    pub is_published: bool,
    /// Whether the pool would take its shares for much more or much less than it asks for now.
    pub is_outdated: bool,
    pub(crate) cache: Cache,
    /// When.
    pub created: Now,
    /// When the rest happened.
    pub timeline: Timeline,
    /// What became of its shares.
    pub tally: Tally,
    /// Transactions that the job declarator server asked for.
    pub provided: usize,
    /// How many there are in the block, as far as they were asked for.
    pub transactions: Option<usize>,
    /// What of the template provider's the miner did not want.
    pub left_out: LeftOut,
    /// What these weigh together, as far as they were asked for.
    pub weight: Option<u64>,
    /// The first blocks found on it, in header order.
    pub blocks: Vec<[u8; 32]>,
    /// A block that the job declarator server is to be told of as soon as it knows the job.
    pub unpushed: Option<PushedSolution>,
    /// When its upstream first said that our tip is unknown to it.
    pub ahead_since: Option<Instant>,
}

impl Job {
    pub(crate) fn new(
        id: u64,
        now: Now,
        source: &Arc<Template>,
        terms: Option<Terms>,
        kit: &CoinbaseKit,
    ) -> Self {
        let coinbase = Arc::new(kit.build(source, id, terms.as_ref()));
        let template = Template {
            session: 0,
            id,
            coinbase,
            ..(**source).clone()
        };
        Self {
            id,
            stage: match terms {
                Some(_) => Stage::Waiting(None),
                None => Stage::Solo,
            },
            terms,
            source: Arc::clone(source),
            template: Arc::new(template),
            prev_hash: None,
            is_published: false,
            is_outdated: false,
            cache: Cache::default(),
            created: now,
            timeline: Timeline::default(),
            tally: Tally::default(),
            provided: 0,
            transactions: None,
            left_out: LeftOut::default(),
            weight: None,
            blocks: Vec::new(),
            unpushed: None,
            ahead_since: None,
        }
    }

    /// Whose it is.
    pub fn upstream(&self) -> Option<usize> {
        self.terms.as_ref().map(|terms| terms.upstream)
    }

    /// Whether it is for this tip.
    pub fn is_on(&self, tip: &PrevHash) -> bool {
        let own = self.prev_hash.as_ref();
        own.is_some_and(|own| own.prev_hash == tip.prev_hash)
    }

    /// Shares that wait for the pool to take it.
    pub fn waiting(&self) -> usize {
        self.cache.len()
    }

    /// Whether nothing will come of it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over(_))
    }

    pub(crate) fn since_created(&self, now: Now) -> Duration {
        now.instant.saturating_duration_since(self.created.instant)
    }

    /// For the job declarator server. `None` for solo work.
    pub fn declaration(&self, transactions: Arc<TransactionData>) -> Option<Declaration> {
        let (coinbase_tx_prefix, coinbase_tx_suffix) = self.template.coinbase.declared();
        Some(Declaration {
            job: self.id,
            payout: Arc::clone(&self.terms.as_ref()?.payout),
            version: self.template.version,
            coinbase_tx_prefix,
            coinbase_tx_suffix,
            transactions,
        })
    }

    /// For the pool. `None` for solo work, and without a tip.
    pub fn custom_job(&self, token: Vec<u8>) -> Option<CustomJob> {
        let prev_hash = self.prev_hash.as_ref()?;
        let template = &self.template;
        Some(CustomJob {
            job: self.id,
            seat: Arc::clone(&self.terms.as_ref()?.seat),
            token,
            version: template.version,
            prev_hash: prev_hash.prev_hash,
            min_ntime: prev_hash.header_timestamp,
            n_bits: prev_hash.n_bits,
            coinbase_tx_version: template.coinbase_tx_version,
            coinbase_prefix: template.coinbase.script_sig_start().to_vec(),
            coinbase_tx_input_sequence: template.coinbase_tx_input_sequence,
            coinbase_tx_outputs: template.coinbase.outputs().to_vec(),
            coinbase_tx_locktime: template.coinbase_tx_locktime,
            merkle_path: template.merkle_path.clone(),
        })
    }

    /// A share as the pool is to see it: with everything behind its own prefix (T-14).
    pub fn share(&self, found: &Found) -> CustomShare {
        let padding = self.terms.as_ref().map(|terms| terms.padding(self.id));
        CustomShare {
            job: self.id,
            job_id: 0,
            nonce: found.nonce,
            ntime: found.ntime,
            version: found.version,
            extranonce: [&padding.unwrap_or_default()[..], &found.extranonce].concat(),
            hash: found.hash,
        }
    }

    /// A block as a job declarator server is to see it: with the whole extranonce, and all that it
    /// does not know from the job. `None` for a tip to come, on which no block can be found.
    pub fn solution(&self, found: &Found) -> Option<PushedSolution> {
        let prev_hash = self.prev_hash.as_ref()?;
        Some(PushedSolution {
            extranonce: self.whole_extranonce(found),
            prev_hash: prev_hash.prev_hash,
            nonce: found.nonce,
            ntime: found.ntime,
            n_bits: prev_hash.n_bits,
            version: found.version,
        })
    }

    /// The whole extranonce of a share, the pool's prefix included.
    fn whole_extranonce(&self, found: &Found) -> Vec<u8> {
        let prefix = self
            .terms
            .as_ref()
            .map(|terms| &terms.seat.extranonce_prefix[..]);
        [prefix.unwrap_or_default(), &self.share(found).extranonce].concat()
    }
}

/// A share that a miner found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Header field.
    pub nonce: u32,
    /// Header field.
    pub ntime: u32,
    /// Header field, whole.
    pub version: u32,
    /// The miners' part of the extranonce.
    pub extranonce: Vec<u8>,
    /// The block hash, in header order.
    pub hash: [u8; 32],
}
