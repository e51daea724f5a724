//! What a job declarator client tells.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Kept;
use crate::text;

/// Jobs with blocks, and blocks, that are remembered: the newest.
const MAX_BLOCKS: usize = 2000;

/// All of it.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The newest, newest first.
    pub(crate) jobs: Vec<Job>,
    pub(crate) upstreams: Vec<Upstream>,
    /// By the hash of a block that was found on it.
    pub(crate) solved: Kept<String, Job>,
    /// By hash.
    pub(crate) blocks: Kept<String, Block>,
    /// Those connected.
    pub(crate) clients: Vec<Client>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            jobs: Vec::new(),
            upstreams: Vec::new(),
            solved: Kept::new(MAX_BLOCKS),
            blocks: Kept::new(MAX_BLOCKS),
            clients: Vec::new(),
        }
    }
}

/// A job, from its template to its blocks.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdcJob)]
pub(crate) struct Job {
    pub(crate) job: u64,
    /// The pool's address.
    pub(crate) upstream: Option<String>,
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// When its template came, in Unix seconds.
    pub(crate) created: u64,
    /// The same in milliseconds, where it is told.
    pub(crate) created_ms: u64,
    pub(crate) template: Template,
    pub(crate) declaration: Declaration,
    pub(crate) custom_job: CustomJob,
    pub(crate) shares: Shares,
    pub(crate) blocks: Vec<String>,
}

/// Of a [`Job`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdcTemplate)]
pub(crate) struct Template {
    pub(crate) template_id: u64,
    pub(crate) height: Option<u64>,
    pub(crate) prev_hash: Option<String>,
    pub(crate) value: u64,
    /// Satoshis of that which are fees.
    pub(crate) fees: Option<u64>,
    pub(crate) transactions: Option<u64>,
}

/// Of a [`Job`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdcDeclaration)]
pub(crate) struct Declaration {
    pub(crate) sent_us: Option<u64>,
    pub(crate) accepted_us: Option<u64>,
    pub(crate) provided: u64,
}

/// Of a [`Job`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct CustomJob {
    pub(crate) job_id: Option<u32>,
    pub(crate) accepted_us: Option<u64>,
}

/// Of a [`Job`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdcShares)]
pub(crate) struct Shares {
    pub(crate) accepted: u64,
    pub(crate) relayed: u64,
    pub(crate) acknowledged: u64,
    pub(crate) rejected: u64,
    pub(crate) lost: u64,
}

/// A block that a miner behind the client found.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdcBlock)]
pub(crate) struct Block {
    pub(crate) hash: String,
    pub(crate) height: Option<u64>,
    pub(crate) time_ms: u64,
    /// The client's name for the job; see [`Job::job`].
    pub(crate) job: u64,
    pub(crate) user_identity: String,
    pub(crate) worker: Option<String>,
    pub(crate) peer: String,
    pub(crate) vendor: String,
    pub(crate) device_id: String,
    pub(crate) channel_id: u32,
    pub(crate) job_id: u32,
    /// The channel's when the block was found, where that is told.
    pub(crate) share_target: Option<String>,
    pub(crate) share_difficulty: Option<f64>,
}

/// A miner that is connected.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = JdcClient)]
pub(crate) struct Client {
    pub(crate) client_id: u64,
    pub(crate) user_identity: Option<String>,
    pub(crate) peer: String,
    pub(crate) vendor: String,
    pub(crate) device_id: String,
    pub(crate) connected_ms: u64,
    #[serde(flatten)]
    pub(crate) shares: super::Shares,
}

/// A pool with its job declarator server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Upstream {
    pub(crate) pool: String,
    pub(crate) jds: String,
    pub(crate) user_identity: String,
    pub(crate) state: String,
    pub(crate) last_failure: Option<String>,
}

impl Job {
    /// When its template came, in milliseconds since 1970.
    pub(crate) fn created_ms(&self) -> f64 {
        match self.created_ms {
            0 => self.created as f64 * 1e3,
            ms => ms as f64,
        }
    }

    pub(crate) fn created_whole_ms(&self) -> u64 {
        self.created_ms() as u64
    }

    pub(crate) fn declared_after(&self) -> String {
        after(self.declaration.sent_us)
    }

    pub(crate) fn accepted_after(&self) -> String {
        after(self.declaration.accepted_us)
    }

    pub(crate) fn taken_after(&self) -> String {
        after(self.custom_job.accepted_us)
    }
}

/// Since the template's arrival.
fn after(micros: Option<u64>) -> String {
    let shown = micros.map(|micros| text::duration(micros as f64 / 1e3));
    shown.unwrap_or_else(|| "–".to_owned())
}

impl Facts {
    /// Takes the newest jobs, newest first.
    pub(crate) fn take_jobs(&mut self, jobs: Vec<Job>) {
        for job in jobs.iter().rev() {
            for hash in &job.blocks {
                self.solved.put(hash.clone(), job.clone());
            }
        }
        self.jobs = jobs;
    }
}
