//! What a pool tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Kept, Shares};

/// Blocks of one pool that are remembered: the newest.
pub(crate) const MAX_BLOCKS: usize = 5000;
/// Jobs, templates and clients that are remembered.
const MAX_JOBS: usize = 2048;
const MAX_TEMPLATES: usize = 512;
const MAX_CLIENTS: usize = 512;

/// All of it.
#[derive(Debug)]
pub(crate) struct Facts {
    /// By hash.
    pub(crate) blocks: Kept<String, Block>,
    /// Those connected, with their channels.
    pub(crate) clients: Vec<Client>,
    /// How many are connected in all.
    pub(crate) clients_total: usize,
    /// Those that were ever seen, by address and port.
    pub(crate) known_clients: Kept<String, Who>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) minutes: Vec<Minute>,
    pub(crate) recent: Vec<Share>,
    /// Of this pool's life, by the provider's id.
    pub(crate) templates: Kept<u64, Template>,
    /// Of this pool's life, by client and job.
    pub(crate) jobs: Kept<(u64, u32), Job>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            blocks: Kept::new(MAX_BLOCKS),
            clients: Vec::new(),
            clients_total: 0,
            known_clients: Kept::new(MAX_CLIENTS),
            workers: Vec::new(),
            minutes: Vec::new(),
            recent: Vec::new(),
            templates: Kept::new(MAX_TEMPLATES),
            jobs: Kept::new(MAX_JOBS),
        }
    }
}

/// A block on the pool's record.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = PoolBlock)]
pub(crate) struct Block {
    pub(crate) hash: String,
    pub(crate) height: Option<u64>,
    pub(crate) time_ms: u64,
    pub(crate) user: String,
    pub(crate) worker: Option<String>,
    pub(crate) peer: String,
    pub(crate) channel_id: u32,
    pub(crate) job_id: u32,
    pub(crate) template_id: Option<u64>,
    pub(crate) token: Option<String>,
    pub(crate) share: Option<u64>,
    pub(crate) verdict: Option<String>,
    pub(crate) verdict_ms: Option<u64>,
    pub(crate) reason: Option<String>,
}

/// Who is behind a connection.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Who {
    pub(crate) client_id: u64,
    pub(crate) peer: String,
    pub(crate) vendor: String,
    pub(crate) firmware: String,
    pub(crate) device_id: String,
}

/// A client that is connected.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
#[schema(as = PoolClient)]
pub(crate) struct Client {
    #[serde(flatten)]
    pub(crate) who: Who,
    pub(crate) client_kind: String,
    pub(crate) total_hashrate: f64,
    pub(crate) connected_ms: u64,
    #[serde(flatten)]
    pub(crate) shares: Shares,
    pub(crate) channels: Vec<Channel>,
}

/// A channel that is open.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Channel {
    pub(crate) channel_id: u32,
    pub(crate) user_identity: String,
    pub(crate) payout: String,
    pub(crate) nominal_hashrate: f64,
    pub(crate) target_hex: String,
    pub(crate) difficulty: f64,
    pub(crate) extranonce_prefix_hex: String,
    #[serde(flatten)]
    pub(crate) shares: Shares,
}

/// `/api/v1/clients/{client_id}/channels`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Channels {
    pub(crate) extended_channels: Vec<Channel>,
    pub(crate) standard_channels: Vec<Channel>,
}

/// A worker since the ledger was begun.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) user: String,
    pub(crate) worker: Option<String>,
    pub(crate) accepted: u64,
    pub(crate) hashes: f64,
    pub(crate) rejected: BTreeMap<String, u64>,
    pub(crate) last_share_ms: u64,
}

impl Worker {
    /// For telling workers apart.
    pub(crate) fn name(&self) -> String {
        format!(
            "{}/{}",
            self.user,
            self.worker.as_deref().unwrap_or_default()
        )
    }
}

/// What happened in one minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Minute {
    pub(crate) minute_ms: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) hashes: f64,
}

/// A share on the pool's record.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(default)]
pub(crate) struct Share {
    pub(crate) time_ms: u64,
    pub(crate) user_identity: String,
    pub(crate) worker: Option<String>,
    pub(crate) peer: String,
    pub(crate) channel_id: u32,
    pub(crate) job_id: u32,
    pub(crate) accepted: bool,
    pub(crate) error_code: Option<String>,
    pub(crate) hash: Option<String>,
    pub(crate) difficulty: Option<f64>,
}

/// A template that the pool was sent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = PoolTemplate)]
pub(crate) struct Template {
    pub(crate) template_id: u64,
    pub(crate) height: Option<u64>,
    /// Whether it came ahead of its tip.
    pub(crate) is_future: bool,
    /// When it came, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// When its tip came.
    pub(crate) activated_ms: Option<u64>,
    pub(crate) prev_hash: Option<String>,
}

/// A job that the pool sent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = PoolJob)]
pub(crate) struct Job {
    pub(crate) client_id: u64,
    /// A channel, or a group for all its channels.
    pub(crate) channel_id: u32,
    pub(crate) job_id: u32,
    /// None for a job that the client made itself.
    pub(crate) template_id: Option<u64>,
    pub(crate) is_future: bool,
    /// When it was sent, in milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// What a pool tells as it happens.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Told {
    TemplateReceived {
        at_ms: u64,
        template_id: u64,
        height: Option<u64>,
        is_future: bool,
    },
    PrevHashReceived {
        at_ms: u64,
        prev_hash: String,
        template_id: u64,
    },
    ClientConnected {
        #[serde(flatten)]
        who: Who,
    },
    ClientDisconnected {},
    JobCreated {
        at_ms: u64,
        client_id: u64,
        channel_id: u32,
        job_id: u32,
        #[serde(default)]
        template_id: Option<u64>,
        is_future: bool,
    },
    ShareAccepted {},
    ShareRejected {},
    BlockFound {
        hash: String,
    },
    BlockJudged {
        hash: String,
    },
    #[serde(other)]
    Other,
}

impl Facts {
    /// Who was, or is, behind that address and port.
    pub(crate) fn who(&self, peer: &str) -> Option<&Who> {
        let connected = self.clients.iter().map(|client| &client.who);
        let mut connected = connected.filter(|who| who.peer == peer);
        connected.next().or_else(|| self.known_clients.get(peer))
    }

    /// The job in which a block was found.
    pub(crate) fn job_of(&self, block: &Block) -> Option<&Job> {
        let who = self.who(&block.peer)?;
        let job = self.jobs.get(&(who.client_id, block.job_id))?;
        // Ids begin again with every life of the pool.
        (job.at_ms <= block.time_ms).then_some(job)
    }

    /// The template out of which a block was made.
    pub(crate) fn template_of(&self, block: &Block) -> Option<&Template> {
        let template = self.templates.get(&block.template_id?)?;
        (template.at_ms <= block.time_ms).then_some(template)
    }

    /// The block that is mined on.
    fn tip(&self) -> Option<String> {
        let mut templates = self.templates.newest();
        templates.find_map(|template| template.prev_hash.clone())
    }

    /// Takes what is to be remembered out of what is told.
    pub(crate) fn hear(&mut self, told: &Told) {
        match told {
            Told::TemplateReceived {
                at_ms,
                template_id,
                height,
                is_future,
            } => self.templates.put(
                *template_id,
                Template {
                    template_id: *template_id,
                    height: *height,
                    is_future: *is_future,
                    at_ms: *at_ms,
                    activated_ms: None,
                    prev_hash: self.tip().filter(|_| !is_future),
                },
            ),
            Told::PrevHashReceived {
                at_ms,
                prev_hash,
                template_id,
            } => {
                if let Some(mut template) = self.templates.get(template_id).cloned() {
                    template.activated_ms = Some(*at_ms);
                    template.prev_hash = Some(prev_hash.clone());
                    self.templates.put(*template_id, template);
                }
            }
            Told::ClientConnected { who } => {
                self.known_clients.put(who.peer.clone(), who.clone());
            }
            Told::JobCreated {
                at_ms,
                client_id,
                channel_id,
                job_id,
                template_id,
                is_future,
            } => self.jobs.put(
                (*client_id, *job_id),
                Job {
                    client_id: *client_id,
                    channel_id: *channel_id,
                    job_id: *job_id,
                    template_id: *template_id,
                    is_future: *is_future,
                    at_ms: *at_ms,
                },
            ),
            _ => {}
        }
    }
}
