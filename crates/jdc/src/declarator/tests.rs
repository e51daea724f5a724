//! The declarator between servers that a test plays: they do as they are told, at once or not at all.

mod blocks;
mod fallback;
mod jobs;
mod kept;
mod relays;
mod selection;
mod start;

use std::collections::HashMap;

use bitcoin::{Network, ScriptBuf, Txid};
use protocol::coinbase::{Coinbase, CoinbasePlan, MAX_TEMPLATE_PREFIX};
use protocol::custom_work::{CustomJob, CustomShare, CustomWorkEvent};
use protocol::declaration::client::{
    Declaration, DeclarationEvent, DeclarationInput, PushedSolution,
};
use protocol::server::Solution;
use protocol::target::Target;
use protocol::transactions::TransactionData;
use protocol::work::PrevHash;

use super::*;

/// How an upstream's server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Takes,
    Refuses(&'static str),
    Mute,
}

/// One upstream's two servers.
#[derive(Debug)]
struct Servers {
    jds: Manner,
    pool: Manner,
    /// What the pool asks of shares.
    target: Target,
}

/// The declarator and all it is connected to. What it says is kept by kind, oldest first.
struct Desk {
    declarator: Declarator,
    now: Now,
    servers: Vec<Servers>,
    /// Whether the template provider gives transactions.
    provider: Manner,
    work: Option<Work>,
    published: Vec<Work>,
    constraints: Vec<Constraints>,
    asked: Vec<u64>,
    /// What the provider has.
    transactions: Arc<TransactionData>,
    /// What the node says they pay; `None` if it says nothing.
    fees: Option<HashMap<Txid, u64>>,
    pins: Vec<Vec<Txid>>,
    submitted: Vec<([u8; 32], Vec<u8>)>,
    solved: Vec<Solution>,
    declared: Vec<(usize, Declaration)>,
    taken: Vec<(usize, u64)>,
    pushed: Vec<(usize, PushedSolution)>,
    set: Vec<(usize, CustomJob)>,
    relayed: Vec<(usize, CustomShare)>,
    hash_rates: Vec<(usize, f32)>,
    reports: Vec<Report>,
}

impl Desk {
    /// In full-template mode; upstreams neither connected nor hostile.
    fn new(upstreams: usize) -> Self {
        Self::in_mode(Mode::FullTemplate, upstreams)
    }

    fn in_mode(mode: Mode, upstreams: usize) -> Self {
        Self::choosing(mode, Selection::all(Network::Regtest), upstreams)
    }

    fn choosing(mode: Mode, selection: Selection, upstreams: usize) -> Self {
        let now = Now {
            instant: Instant::now(),
            unix: 1_800_000_000,
        };
        let mut desk = Self {
            declarator: Declarator::new(mode, kit(), selection, upstreams, now),
            now,
            servers: (0..upstreams)
                .map(|_| Servers {
                    jds: Manner::Takes,
                    pool: Manner::Takes,
                    target: Target::MAX,
                })
                .collect(),
            provider: Manner::Takes,
            work: None,
            published: Vec::new(),
            constraints: Vec::new(),
            asked: Vec::new(),
            transactions: Arc::default(),
            fees: Some(HashMap::new()),
            pins: Vec::new(),
            submitted: Vec::new(),
            solved: Vec::new(),
            declared: Vec::new(),
            taken: Vec::new(),
            pushed: Vec::new(),
            set: Vec::new(),
            relayed: Vec::new(),
            hash_rates: Vec::new(),
            reports: Vec::new(),
        };
        desk.pass(Duration::ZERO);
        desk
    }

    /// All upstreams connected, the first template held and, if somebody takes it, set.
    fn working(upstreams: usize) -> Self {
        let mut desk = Self::new(upstreams);
        for upstream in 0..upstreams {
            desk.connect(upstream);
        }
        desk.tip(1);
        desk
    }

    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        self.declarator.step(self.now, input, &mut out);
        self.act(out);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        // Never later than it asked for.
        while let Some(due) = self
            .declarator
            .deadline(self.now.instant)
            .filter(|due| *due <= end)
        {
            self.now.instant = due;
            self.wake();
        }
        self.now.instant = end;
        self.wake();
    }

    fn wake(&mut self) {
        let mut out = Vec::new();
        self.declarator.wake(self.now, &mut out);
        self.act(out);
    }

    /// Does what is to be done; answers come one after the other, as from a network.
    fn act(&mut self, actions: Vec<Action>) {
        let mut answers = Vec::new();
        for action in actions {
            match action {
                Action::Publish(work) => self.published.push(work),
                Action::Report(report) => self.reports.push(report),
                Action::Provider(ProviderInput::Constrain(constraints)) => {
                    self.constraints.push(constraints);
                }
                Action::Provider(ProviderInput::Solve(solution)) => self.solved.push(solution),
                Action::Provider(ProviderInput::RequestTransactions {
                    session,
                    template_id,
                }) => {
                    self.asked.push(template_id);
                    answers.extend(self.provider_answer(session, template_id));
                }
                Action::Jds(upstream, input) => {
                    answers.extend(self.jds_answers(upstream, input));
                }
                Action::Pool(upstream, CustomWorkInput::SetJob(job)) => {
                    answers.extend(self.pool_answer(upstream, &job));
                    self.set.push((upstream, job));
                }
                Action::Pool(upstream, CustomWorkInput::Share(share)) => {
                    self.relayed.push((upstream, share));
                }
                Action::Pool(upstream, CustomWorkInput::HashRate(rate)) => {
                    self.hash_rates.push((upstream, rate));
                }
                Action::Fees {
                    session,
                    template_id,
                    txids,
                } => answers.extend(self.node_answer(session, template_id, txids)),
                Action::Pin(txids) => self.pins.push(txids),
                Action::Submit { hash, block } => self.submitted.push((hash, block)),
                Action::Pool(_, CustomWorkInput::Leave) => unreachable!("the edge says that"),
            }
        }
        for answer in answers {
            self.step(answer);
        }
    }

    fn node_answer(&self, session: u64, template_id: u64, txids: Vec<Txid>) -> Option<Input> {
        let fees = self.fees.as_ref()?;
        let known = txids.into_iter();
        Some(Input::Fees {
            session,
            template_id,
            fees: known
                .filter_map(|txid| Some((txid, *fees.get(&txid)?)))
                .collect(),
        })
    }

    fn provider_answer(&self, session: u64, template_id: u64) -> Option<Input> {
        match self.provider {
            Manner::Takes => Some(Input::Transactions {
                session,
                template_id,
                transactions: Arc::clone(&self.transactions),
            }),
            Manner::Refuses(code) => Some(Input::NoTransactions {
                session,
                template_id,
                code: code.to_owned(),
            }),
            Manner::Mute => None,
        }
    }

    fn jds_answers(&mut self, upstream: usize, input: DeclarationInput) -> Vec<Input> {
        let (events, answer) = match input {
            DeclarationInput::PushSolution(solution) => {
                self.pushed.push((upstream, solution));
                return Vec::new();
            }
            DeclarationInput::Take { job, .. } => {
                self.taken.push((upstream, job));
                (vec![], taken(job))
            }
            DeclarationInput::Declare(declaration) => {
                let job = declaration.job;
                self.declared.push((upstream, declaration));
                (vec![DeclarationEvent::Sent { job }], declared(job))
            }
        };
        let job = match &answer {
            DeclarationEvent::Declared { job, .. } | DeclarationEvent::Taken { job, .. } => *job,
            _ => unreachable!(),
        };
        let answer = match self.servers[upstream].jds {
            Manner::Takes => Some(answer),
            Manner::Refuses(code) => Some(refused(job, code)),
            Manner::Mute => None,
        };
        let events = events.into_iter().chain(answer);
        events.map(|event| Input::Jds(upstream, event)).collect()
    }

    fn pool_answer(&self, upstream: usize, job: &CustomJob) -> Option<Input> {
        let Servers { pool, target, .. } = &self.servers[upstream];
        let event = match pool {
            Manner::Takes => job_set(job.job, *target),
            Manner::Refuses(code) => CustomWorkEvent::JobRefused {
                job: job.job,
                code: (*code).to_owned(),
            },
            Manner::Mute => return None,
        };
        Some(Input::Pool(upstream, event))
    }

    fn connect(&mut self, upstream: usize) {
        self.connect_pool(upstream);
        self.connect_jds(upstream);
    }

    fn connect_pool(&mut self, upstream: usize) {
        self.step(Input::Pool(upstream, seated(upstream as u8)));
    }

    fn connect_jds(&mut self, upstream: usize) {
        let payout = DeclarationEvent::Payout(payout(upstream as u8));
        self.step(Input::Jds(upstream, payout));
    }

    fn lose_pool(&mut self, upstream: usize, unanswered: Vec<CustomShare>) {
        self.step(Input::PoolLost {
            upstream,
            reason: "gone".to_owned(),
            unanswered,
        });
    }

    fn lose_jds(&mut self, upstream: usize) {
        self.step(Input::JdsLost {
            upstream,
            reason: "gone".to_owned(),
        });
    }

    /// The provider has a new tip, with template number `tip`.
    fn tip(&mut self, tip: u8) {
        self.give(work(tip));
    }

    /// The provider has a better template for the same tip.
    fn template(&mut self, id: u64) {
        let work = self.work.clone().unwrap();
        self.give(Work {
            template: template(id),
            ..work
        });
    }

    fn give(&mut self, work: Work) {
        self.work = Some(work.clone());
        self.step(Input::Work(work));
    }

    /// The job the miners have.
    fn job(&self) -> &Job {
        let work = self.published.last().unwrap();
        self.declarator.jobs.get(work.template.id).unwrap()
    }

    /// A miner finds a share on the job it has; the lower, the better.
    fn find(&mut self, hash: u8) -> Found {
        let job = self.job().id;
        self.find_on(job, hash)
    }

    fn find_on(&mut self, job: u64, hash: u8) -> Found {
        let found = found(hash);
        self.step(Input::Accepted {
            job,
            found: found.clone(),
            is_block: false,
        });
        found
    }

    /// A miner finds a block on the job it has.
    fn find_block(&mut self) -> Found {
        let found = found(0);
        let job = self.job();
        let solution = Solution {
            session: 0,
            template_id: job.id,
            version: found.version,
            ntime: found.ntime,
            nonce: found.nonce,
            coinbase: job.template.coinbase.full(&[&found.extranonce]),
            hash: found.hash,
            height: Some(102),
        };
        let job = job.id;
        self.step(Input::Block(solution));
        self.step(Input::Accepted {
            job,
            found: found.clone(),
            is_block: true,
        });
        found
    }

    fn lost(&self) -> Vec<(u64, &'static str)> {
        let lost = |report: &Report| match report {
            Report::Lost { count, why } => Some((*count, *why)),
            _ => None,
        };
        self.reports.iter().filter_map(lost).collect()
    }

    fn failures(&self) -> Vec<(usize, &str)> {
        let failed = |report: &'_ Report| match report {
            Report::Failed { upstream, .. } => Some(*upstream),
            _ => None,
        };
        let reasons = self.reports.iter().filter_map(|report| match report {
            Report::Failed { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        self.reports
            .iter()
            .filter_map(failed)
            .zip(reasons)
            .collect()
    }

    fn relayed_nonces(&self) -> Vec<u32> {
        self.relayed.iter().map(|(_, share)| share.nonce).collect()
    }
}

fn kit() -> CoinbaseKit {
    CoinbaseKit {
        reward_script: script(99),
        signature: Vec::new(),
        outputs: Vec::new(),
    }
}

fn script(n: u8) -> ScriptBuf {
    let mut script = vec![0, 20];
    script.extend([n; 20]);
    script.into()
}

fn payout(n: u8) -> PayoutScripts {
    [script(n)].into()
}

/// The pool's part of the extranonce, and two bytes more than are needed.
fn seated(n: u8) -> CustomWorkEvent {
    CustomWorkEvent::Seated(Arc::new(Seat {
        extranonce_prefix: vec![n; 3],
        extranonce_size: LOCAL_EXTRANONCE + 2,
    }))
}

fn declared(job: u64) -> DeclarationEvent {
    DeclarationEvent::Declared {
        job,
        token: token(0xdd, job),
    }
}

fn taken(job: u64) -> DeclarationEvent {
    DeclarationEvent::Taken {
        job,
        token: token(0xaa, job),
    }
}

fn refused(job: u64, code: &str) -> DeclarationEvent {
    DeclarationEvent::Refused {
        job,
        code: code.to_owned(),
        details: String::new(),
    }
}

fn token(kind: u8, job: u64) -> Vec<u8> {
    [&[kind][..], &job.to_le_bytes()].concat()
}

/// The pool's name for a job is ours and 1000.
fn job_set(job: u64, target: Target) -> CustomWorkEvent {
    CustomWorkEvent::JobSet {
        job,
        job_id: 1000 + job as u32,
        target,
    }
}

fn found(hash: u8) -> Found {
    Found {
        nonce: u32::from(hash),
        ntime: 1_800_000_001,
        version: 0x2000_0020,
        extranonce: (0..LOCAL_EXTRANONCE as u8).collect(),
        hash: [hash; 32],
    }
}

/// A tip with one template, of the same number.
pub(crate) fn work(tip: u8) -> Work {
    Work {
        prev_hash: prev_hash(tip),
        template: template(u64::from(tip)),
        futures: Vec::new(),
        past: Arc::default(),
    }
}

fn prev_hash(tip: u8) -> Arc<PrevHash> {
    Arc::new(PrevHash {
        prev_hash: [tip; 32],
        header_timestamp: 1_800_000_000,
        n_bits: 0x207f_ffff,
        target: Target::MAX,
    })
}

/// At height 102, paying 50 bitcoin, with a witness commitment.
fn template(id: u64) -> Arc<Template> {
    let mut outputs = vec![0; 8];
    outputs.extend([0x26, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
    outputs.extend([0xcc; 32]);
    Arc::new(Template {
        session: 1,
        id,
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, 102],
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 5_000_000_000,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: outputs,
        coinbase_tx_locktime: 101,
        merkle_path: vec![[id as u8; 32]],
        plan: Arc::new(CoinbasePlan {
            reward_script: script(99),
            signature: Vec::new(),
            extranonce_len: LOCAL_EXTRANONCE,
        }),
        coinbase: Arc::new(Coinbase::default()),
    })
}
