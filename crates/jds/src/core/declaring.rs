//! From DeclareMiningJob to its answer (SV2 6.4.4 to 6.4.8), for all declarations of a connection.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use protocol::core::Now;
use protocol::error_code::{
    INTERNAL_ERROR, INVALID_COINBASE_TX, INVALID_JOB, INVALID_MINING_JOB_TOKEN,
};
use protocol::message::declaration::{DeclareMiningJob, ProvideMissingTransactionsSuccess};
use protocol::payout::Payout;
use protocol::token::{Commitment, Scope, Token};

use super::declaration::{Declaration, Progress, Stage, Step};
use super::node::Place;
use super::{
    DeclarationServer, DeclaredCoinbase, Event, Job, Judgement, NodeView, Out, Refusal, Report,
    message,
};
use crate::transaction::Transaction;

/// How long the pool honours the token of a declared job. It is shown at once, and worth nothing
/// soon after the next block.
const DECLARED_LIFETIME: Duration = Duration::from_secs(600);
/// Declared jobs that a solution is tried on.
const MAX_JOBS: usize = 10;

impl DeclarationServer {
    pub(super) fn declare(&mut self, now: Now, message: &DeclareMiningJob<'_>, out: &mut Out) {
        self.last_number += 1;
        let mut report = Report {
            number: self.last_number,
            request_id: message.request_id,
            transactions: message.wtxid_list.len(),
            ..Report::default()
        };
        let coinbase = match self.admit(now, message, &mut report) {
            Ok(coinbase) => coinbase,
            Err(refusal) => return answer_refused(report, refusal, out),
        };
        let wtxids = message.wtxid_list.iter().map(|wtxid| *wtxid.as_array());
        let mut declaration = Declaration {
            since: now.instant,
            version: message.version,
            transactions: vec![None; report.transactions],
            report,
            coinbase,
            wtxids: wtxids.collect(),
            missing_timeout: self.policy.missing_timeout,
            stage: Stage::Looking,
        };
        let step = declaration.advance(now, &self.node, out);
        self.settle(now, declaration, step, out);
    }

    /// Whether a declaration is looked at any further.
    fn admit(
        &mut self,
        now: Now,
        message: &DeclareMiningJob<'_>,
        report: &mut Report,
    ) -> Result<DeclaredCoinbase, Refusal> {
        report.user = self.redeem(now, message.mining_job_token.as_bytes())?;
        let is_same = |open: &Declaration| open.report.request_id == message.request_id;
        if self.declarations.values().any(is_same) {
            let what = format!("request_id {} is still in use", message.request_id);
            return Err(Refusal::new(INVALID_JOB, what));
        }
        let open = self.declarations.len();
        if open >= self.policy.max_declarations {
            let what = format!("{open} declarations are open already");
            return Err(Refusal::new(INTERNAL_ERROR, what));
        }
        let mut seen = HashSet::new();
        if !message
            .wtxid_list
            .iter()
            .all(|wtxid| seen.insert(wtxid.as_array()))
        {
            return Err(Refusal::new(INVALID_JOB, "a transaction is listed twice"));
        }
        let (prefix, suffix) = (&message.coinbase_tx_prefix, &message.coinbase_tx_suffix);
        let coinbase = DeclaredCoinbase::parse(prefix.as_bytes(), suffix.as_bytes())
            .map_err(|fault| Refusal::new(INVALID_COINBASE_TX, fault.to_string()))?;
        report.height = coinbase.height();
        report.value = coinbase.value();
        report.pool_value = coinbase.value_to(&self.policy.payout);
        if !self.is_paid(&coinbase, &report.user) {
            let (paid, value) = (report.pool_value, report.value);
            let what = format!(
                "of {value} satoshis the pool payout output gets {paid}, where it, or whom \
                 {:?} asks to be paid, must get all",
                report.user
            );
            return Err(Refusal::new(INVALID_COINBASE_TX, what));
        }
        Ok(coinbase)
    }

    /// By the pool's own rule. A client is known here by the name that it opens its channel with.
    fn is_paid(&self, coinbase: &DeclaredCoinbase, user: &str) -> bool {
        let policy = &self.policy;
        let wanted = Payout::parse(user, policy.network).unwrap_or_default();
        let least = Payout::least(coinbase.height().into(), policy.network);
        let paid = wanted.paid_by(coinbase.outputs(), &policy.payout, least);
        paid.is_some()
    }

    /// Uses up the token, which was given for one declaration, whatever comes of it. Tells to whom.
    fn redeem(&mut self, now: Now, token: &[u8]) -> Result<String, Refusal> {
        let invalid = |what: String| Refusal::new(INVALID_MINING_JOB_TOKEN, what);
        if !self.is_full_template {
            // SV2 6.3.1
            return Err(invalid(
                "nothing is declared in coinbase-only mode".to_owned(),
            ));
        }
        let policy = &self.policy;
        let token = Token::verify(&policy.secret, token, &policy.commitment(), now.unix)
            .map_err(|error| invalid(error.to_string()))?;
        let user = self.allocation.redeem(&token);
        user.ok_or_else(|| {
            invalid("the job token was not given on this connection, or was used before".to_owned())
        })
    }

    pub(super) fn found(
        &mut self,
        now: Now,
        number: u64,
        transactions: Vec<Option<Arc<Transaction>>>,
        out: &mut Out,
    ) {
        let Some(mut declaration) = self.declarations.remove(&number) else {
            return;
        };
        let step = match declaration.stage {
            Stage::Looking => {
                let earlier = self.jobs.iter().flat_map(|job| job.transactions.iter());
                declaration.found(transactions, earlier);
                declaration.complete(now, &self.node, out)
            }
            _ => Ok(Progress::Open),
        };
        self.settle(now, declaration, step, out);
    }

    pub(super) fn provide(
        &mut self,
        now: Now,
        provided: &ProvideMissingTransactionsSuccess<'_>,
        out: &mut Out,
    ) {
        let is_same = |open: &Declaration| open.report.request_id == provided.request_id;
        let mut open = self.declarations.values();
        let number = open
            .find(|open| is_same(open))
            .map_or(0, |open| open.report.number);
        let Some(mut declaration) = self.declarations.remove(&number) else {
            return ignore_provided(provided, out);
        };
        let step = match &mut declaration.stage {
            Stage::Asked { positions, .. } => {
                let positions = std::mem::take(positions);
                let step = declaration.provide(&positions, provided);
                step.and_then(|()| declaration.complete(now, &self.node, out))
            }
            _ => {
                ignore_provided(provided, out);
                Ok(Progress::Open)
            }
        };
        self.settle(now, declaration, step, out);
    }

    pub(super) fn judged(&mut self, now: Now, number: u64, judgement: Judgement, out: &mut Out) {
        let Some(mut declaration) = self.declarations.remove(&number) else {
            return;
        };
        let step = declaration.judged(now, &self.node, judgement, out);
        self.settle(now, declaration, step, out);
    }

    pub(super) fn mined(
        &mut self,
        now: Now,
        number: u64,
        block: Option<&bitcoin::Block>,
        out: &mut Out,
    ) {
        let Some(mut declaration) = self.declarations.remove(&number) else {
            return;
        };
        let step = declaration.mined(now, &self.node, block);
        self.settle(now, declaration, step, out);
    }

    pub(super) fn node_changed(&mut self, now: Now, node: NodeView, out: &mut Out) {
        self.node = node;
        for (_, mut declaration) in std::mem::take(&mut self.declarations) {
            let step = match (
                &declaration.stage,
                self.node.place(declaration.coinbase.height()),
            ) {
                // The answer is for the block that was asked about.
                (Stage::Overtaken { .. }, _) => Ok(Progress::Open),
                // Whatever it waits for, it waits in vain.
                (_, Place::Past) => declaration.overtaken(now, &self.node, out),
                (Stage::Waiting { .. }, _) => declaration.advance(now, &self.node, out),
                _ => Ok(Progress::Open),
            };
            self.settle(now, declaration, step, out);
        }
    }

    /// Refuses the declarations for which somebody took too long.
    pub(super) fn give_up(&mut self, now: Now, out: &mut Out) {
        let is_due =
            |_: &u64, open: &mut Declaration| open.due().is_some_and(|due| due <= now.instant);
        let due: Vec<_> = self.declarations.extract_if(.., is_due).collect();
        for (_, declaration) in due {
            let refusal = declaration.too_late(&self.node);
            self.settle(now, declaration, Err(refusal), out);
        }
    }

    /// Keeps a declaration that goes on, and answers one that does not.
    fn settle(&mut self, now: Now, mut declaration: Declaration, step: Step, out: &mut Out) {
        declaration.report.took = now.instant.saturating_duration_since(declaration.since);
        match (step, declaration.stage) {
            (Err(refusal), _) => answer_refused(declaration.report, refusal, out),
            (Ok(Progress::Declared), Stage::Proposed(proposal)) => {
                let job = Job {
                    number: declaration.report.number,
                    version: declaration.version,
                    tip: proposal.tip,
                    coinbase: declaration.coinbase,
                    merkle_path: proposal.merkle_path,
                    transactions: proposal.transactions,
                };
                self.answer_declared(now, declaration.report, job, out);
            }
            (Ok(_), stage) => {
                declaration.stage = stage;
                self.declarations
                    .insert(declaration.report.number, declaration);
            }
        }
    }

    fn answer_declared(&mut self, now: Now, mut report: Report, job: Job, out: &mut Out) {
        let token = self.token(Scope::Declared, now, DECLARED_LIFETIME);
        let custom_job = job
            .coinbase
            .custom_job(job.version, &job.tip.hash, &job.merkle_path);
        let bytes = token.issue(&self.policy.secret, &Commitment::declared(&custom_job));
        out.send(message::declared(report.request_id, bytes));
        report.token = Some(token.id);
        out.event(Event::Decided(Box::new(report)));
        self.jobs.truncate(MAX_JOBS - 1);
        self.jobs.push_front(job);
    }
}

fn answer_refused(mut report: Report, refusal: Refusal, out: &mut Out) {
    out.send(message::refused(report.request_id, &refusal));
    report.refusal = Some(refusal);
    out.event(Event::Decided(Box::new(report)));
}

/// Trap: nobody asked for them, or not any more.
fn ignore_provided(provided: &ProvideMissingTransactionsSuccess<'_>, out: &mut Out) {
    let count = provided.transaction_list.len();
    let message = format!("{count} transactions that nobody waits for");
    out.event(Event::Ignored { message });
}
