//! How a block came to be: what the roles know of it, joined by its hash.

mod steps;

use serde::Serialize;
use utoipa::ToSchema;

use crate::chain::Brief;
use crate::coinbase::Maker;
use crate::config::Kind;
use crate::service::{Board, Service, jdc, jds, pool, provider};

pub(crate) use steps::{Story, tell};

/// Where a block's transactions, and its reward, were decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// Nowhere: it is the first one.
    Genesis,
    /// By the node, asked by RPC.
    Rpc,
    /// By a pool.
    PoolTemplate,
    /// By a miner, who declared it to a pool.
    Declared,
    /// By a miner, for itself.
    Solo,
    /// By somebody of whom no role here knows.
    Elsewhere,
}

impl Origin {
    /// For pages.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Rpc => "by RPC",
            Self::PoolTemplate => "pool template",
            Self::Declared => "declared",
            Self::Solo => "solo",
            Self::Elsewhere => "elsewhere",
        }
    }

    /// For style sheets.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Rpc => "rpc",
            Self::PoolTemplate => "template",
            Self::Declared => "declared",
            Self::Solo => "solo",
            Self::Elsewhere => "elsewhere",
        }
    }
}

/// Who is to thank for a block.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Credit {
    pub(crate) origin: Origin,
    /// The worker, or else the account, that found it.
    pub(crate) miner: Option<String>,
    /// The account it is credited to.
    pub(crate) user: Option<String>,
    /// The pool's name.
    pub(crate) pool: Option<String>,
    /// What its coinbase says.
    pub(crate) signature: Option<String>,
}

impl Credit {
    /// Whom to name in a list.
    pub(crate) fn who(&self) -> &str {
        let named = self.miner.as_deref().filter(|name| !name.is_empty());
        named
            .or(self.signature.as_deref())
            .unwrap_or(match self.origin {
                Origin::Genesis => "genesis block",
                Origin::Rpc => "the node",
                _ => "unknown",
            })
    }
}

/// What each role knows of one block.
#[derive(Debug, Default)]
struct Evidence {
    pool: Option<PoolEvidence>,
    jdc: Option<JdcEvidence>,
    jds: Option<(String, jds::Declaration)>,
    provider: Vec<(String, provider::Template)>,
}

#[derive(Debug)]
struct PoolEvidence {
    name: String,
    block: pool::Block,
    who: Option<pool::Who>,
    job: Option<pool::Job>,
    template: Option<pool::Template>,
}

#[derive(Debug)]
struct JdcEvidence {
    name: String,
    job: Option<jdc::Job>,
    block: Option<jdc::Block>,
}

impl Evidence {
    fn gather(hash: &str, board: &Board) -> Self {
        let mut evidence = Self::default();
        board.each(|service| evidence.take(hash, service));
        evidence
    }

    fn take(&mut self, hash: &str, service: &Service) {
        let name = || service.name().to_owned();
        match service.peer.kind {
            Kind::Pool => {
                if let Some(block) = service.pool.blocks.get(hash) {
                    self.pool = Some(PoolEvidence {
                        name: name(),
                        who: service.pool.who(&block.peer).cloned(),
                        job: service.pool.job_of(block).cloned(),
                        template: service.pool.template_of(block).cloned(),
                        block: block.clone(),
                    });
                }
            }
            Kind::Jdc => {
                let job = service.jdc.solved.get(hash).cloned();
                let block = service.jdc.blocks.get(hash).cloned();
                if job.is_some() || block.is_some() {
                    self.jdc = Some(JdcEvidence {
                        name: name(),
                        job,
                        block,
                    });
                }
            }
            Kind::Jds => {
                if let Some(declaration) = service.jds.solved.get(hash) {
                    self.jds = Some((name(), declaration.clone()));
                }
            }
            Kind::TemplateProvider => {
                if let Some(template) = service.provider.solved.get(hash) {
                    self.provider.push((name(), template.clone()));
                }
            }
            Kind::BtcNode | Kind::Translator | Kind::MiningDevice => {}
        }
    }
}

/// Who is to thank for `brief`.
pub(crate) fn credit(brief: &Brief, board: &Board) -> Credit {
    let hash = brief.hash.to_string();
    let mut credit = Credit {
        origin: match &brief.maker {
            Maker::Genesis => Origin::Genesis,
            Maker::Node => Origin::Rpc,
            Maker::Signed(_) | Maker::Unknown => Origin::Elsewhere,
        },
        miner: None,
        user: None,
        pool: None,
        signature: match &brief.maker {
            Maker::Signed(text) => Some(text.to_string()),
            _ => None,
        },
    };
    board.each(|service| credit.learn(&hash, service));
    credit
}

impl Credit {
    fn learn(&mut self, hash: &str, service: &Service) {
        match service.peer.kind {
            Kind::Pool => {
                let Some(block) = service.pool.blocks.get(hash) else {
                    return;
                };
                self.origin = match block.token {
                    Some(_) => Origin::Declared,
                    None => Origin::PoolTemplate,
                };
                self.pool = Some(service.name().to_owned());
                self.user = Some(block.user.clone());
                // Who is nearer to the miner knows it better.
                if self.miner.is_none() {
                    let worker = block.worker.clone();
                    self.miner = Some(worker.unwrap_or_else(|| block.user.clone()));
                }
            }
            Kind::Jdc => {
                let block = service.jdc.blocks.get(hash);
                if let Some(block) = block {
                    let worker = block.worker.clone();
                    self.miner = Some(worker.unwrap_or_else(|| block.user_identity.clone()));
                }
                let job = service.jdc.solved.get(hash);
                let is_known = block.is_some() || job.is_some();
                if is_known && self.pool.is_none() {
                    let is_solo = job.is_none_or(|job| job.upstream.is_none());
                    self.origin = if is_solo {
                        Origin::Solo
                    } else {
                        Origin::Declared
                    };
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
