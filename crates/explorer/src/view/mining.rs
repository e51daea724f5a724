//! Who mines.

use std::collections::BTreeMap;

use daemon::clock;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::chart::Chart;
use super::finders::Times;
use super::{App, BlockLine, newest, target};
use crate::chain::Brief;
use crate::config::Kind;
use crate::service::{jdc, pool, translator};
use crate::text;

/// Everybody who mines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Miners {
    pub(crate) pools: Vec<PoolMiners>,
    pub(crate) jdcs: Vec<JdcMiners>,
    pub(crate) translators: Vec<TranslatorMiners>,
    pub(crate) devices: Vec<Device>,
    /// Of the block that is searched for.
    pub(crate) block_difficulty: Option<f64>,
}

/// A pool's miners.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct PoolMiners {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// Of the last minute, in hashes a second.
    pub(crate) hashrate: f64,
    pub(crate) accepted: u64,
    pub(crate) rejected: BTreeMap<String, u64>,
    /// Hashes a second, minute by minute.
    pub(crate) chart: Chart,
    pub(crate) clients_total: usize,
    pub(crate) clients: Vec<pool::Client>,
    pub(crate) workers: Vec<pool::Worker>,
    /// The newest first.
    pub(crate) shares: Vec<pool::Share>,
}

impl PoolMiners {
    pub(crate) fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Miners that declare their jobs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct JdcMiners {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) clients: Vec<jdc::Client>,
}

/// Miners of the older protocol.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TranslatorMiners {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    pub(crate) clients: Vec<translator::Sv1Client>,
}

/// A mining device of the lab, by its own account.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) state: &'static str,
    /// The services it mines for.
    pub(crate) links: Vec<String>,
    /// Hashes a second since it was started.
    pub(crate) hashrate: f64,
    pub(crate) kernel: Option<String>,
    pub(crate) submitted: u64,
    pub(crate) accepted: u64,
    pub(crate) rejected: u64,
    pub(crate) blocks: u64,
}

impl Miners {
    pub(crate) fn of(app: &App) -> Self {
        let mut miners = Self {
            pools: Vec::new(),
            jdcs: Vec::new(),
            translators: Vec::new(),
            devices: Vec::new(),
            block_difficulty: app
                .follow
                .borrow()
                .info
                .as_ref()
                .map(|info| info.difficulty),
        };
        let now = clock::unix_ms();
        app.board.each(|service| {
            let (name, state) = (service.name().to_owned(), service.state.name());
            let status = &service.status;
            match service.peer.kind {
                Kind::Pool => miners
                    .pools
                    .push(PoolMiners::of(name, state, &service.pool, now)),
                Kind::Jdc => miners.jdcs.push(JdcMiners {
                    name,
                    state,
                    clients: newest(service.jdc.clients.iter()),
                }),
                Kind::Translator => miners.translators.push(TranslatorMiners {
                    name,
                    state,
                    clients: newest(service.translator.clients.iter()),
                }),
                Kind::MiningDevice => miners.devices.push(Device {
                    name,
                    state,
                    links: service.peer.links.clone(),
                    hashrate: status.number("hashrate"),
                    kernel: status
                        .more
                        .get("kernel")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                    submitted: status.number("shares_submitted") as u64,
                    accepted: status.number("shares_accepted") as u64,
                    rejected: status.sum("shares_rejected"),
                    blocks: status.number("blocks_accepted") as u64,
                }),
                _ => {}
            }
        });
        miners
    }
}

impl Miners {
    /// To expect of a channel; none until a block's difficulty is known.
    pub(crate) fn shares_per_block(&self, share: impl text::Number<f64>) -> Option<f64> {
        target::shares_per_block(self.block_difficulty?, share.number())
    }
}

impl PoolMiners {
    fn of(name: String, state: &'static str, pool: &pool::Facts, now_ms: u64) -> Self {
        let mut rejected: BTreeMap<String, u64> = BTreeMap::new();
        for worker in &pool.workers {
            for (reason, count) in &worker.rejected {
                *rejected.entry(reason.clone()).or_default() += count;
            }
        }
        Self {
            name,
            state,
            hashrate: pool
                .clients
                .iter()
                .map(|client| client.shares.hashrate_1m)
                .sum(),
            accepted: pool.workers.iter().map(|worker| worker.accepted).sum(),
            rejected,
            chart: Chart::of_minutes(&pool.minutes, now_ms),
            clients_total: pool.clients_total,
            clients: newest(pool.clients.iter()),
            workers: newest(pool.workers.iter()),
            shares: newest(pool.recent.iter()),
        }
    }
}

/// A worker, or an account, by its name.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct WorkerView {
    pub(crate) name: String,
    /// What pools know of it, with their names.
    pub(crate) accounts: Vec<Account>,
    /// Blocks it found, the newest first.
    pub(crate) blocks: Vec<BlockLine>,
    /// Between those.
    #[serde(flatten)]
    pub(crate) times: Times,
    /// The newest first.
    pub(crate) shares: Vec<pool::Share>,
}

/// What a pool knows of a worker.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Account {
    pub(crate) pool: String,
    pub(crate) totals: pool::Worker,
}

impl WorkerView {
    pub(crate) fn of(app: &App, name: &str) -> Self {
        let is_it = |worker: Option<&str>, user: &str| worker == Some(name) || user == name;
        let mut view = Self {
            name: name.to_owned(),
            accounts: Vec::new(),
            blocks: Vec::new(),
            times: Times::between(&[]),
            shares: Vec::new(),
        };
        let mut hashes: Vec<String> = Vec::new();
        app.board.each(|service| {
            let blocks = service.pool.blocks.newest();
            let own = blocks.filter(|block| is_it(block.worker.as_deref(), &block.user));
            hashes.extend(own.map(|block| block.hash.clone()));
            let blocks = service.jdc.blocks.newest();
            let own = blocks.filter(|block| is_it(block.worker.as_deref(), &block.user_identity));
            hashes.extend(own.map(|block| block.hash.clone()));
            for totals in &service.pool.workers {
                if is_it(totals.worker.as_deref(), &totals.user) {
                    view.accounts.push(Account {
                        pool: service.name().to_owned(),
                        totals: totals.clone(),
                    });
                }
            }
            let shares = service.pool.recent.iter();
            let own = shares.filter(|share| is_it(share.worker.as_deref(), &share.user_identity));
            view.shares.extend(newest(own));
        });
        let chain = app.chain.borrow();
        let brief = |hash: &String| chain.find(&hash.parse().ok()?);
        let mut found: Vec<&Brief> = hashes.iter().filter_map(brief).collect();
        found.sort_by_key(|brief| std::cmp::Reverse(brief.height));
        found.dedup_by_key(|brief| brief.height);
        let lines = newest(found.iter()).into_iter();
        view.blocks = lines
            .map(|brief| BlockLine::of(brief, &app.board))
            .collect();
        view.times = Times::between(&view.blocks.iter().collect::<Vec<_>>());
        view
    }
}
