//! A block's story, step by step.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Credit, Evidence, JdcEvidence, Origin, PoolEvidence, credit};
use crate::chain::Brief;
use crate::config::Kind;
use crate::service::{Board, Service, provider};
use crate::text;

/// A block's story.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Story {
    pub(crate) credit: Credit,
    /// In a sentence.
    pub(crate) headline: String,
    /// Who chose the transactions.
    pub(crate) chosen_by: String,
    /// From the miner to the node, by name.
    pub(crate) path: Vec<String>,
    /// In the order in which they happened; those whose time nobody tells stand where they belong.
    pub(crate) steps: Vec<Step>,
    /// What the node says of it, as the roles were told.
    pub(crate) verdict: Option<String>,
    /// From the first step to the node's verdict, in milliseconds.
    pub(crate) took_ms: Option<f64>,
    /// What is not known, and why.
    pub(crate) gaps: Vec<String>,
}

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Step {
    /// What it is.
    pub(crate) title: &'static str,
    /// The role that did it.
    pub(crate) by: String,
    /// What it was about.
    pub(crate) detail: String,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: Option<f64>,
    /// Since the step before whose time is known, in milliseconds.
    pub(crate) after_ms: Option<f64>,
}

impl Step {
    fn new(title: &'static str, by: &str, at_ms: Option<f64>, detail: String) -> Self {
        Self {
            title,
            by: by.to_owned(),
            detail,
            at_ms,
            after_ms: None,
        }
    }
}

/// How `brief` came to be, as far as the roles tell. `node` is what the node is called.
pub(crate) fn tell(brief: &Brief, board: &Board, node: &str) -> Story {
    let hash = brief.hash.to_string();
    let evidence = Evidence::gather(&hash, board);
    let credit = credit(brief, board);
    let template = evidence.template();
    let mut steps = Vec::new();
    match credit.origin {
        Origin::PoolTemplate | Origin::Declared | Origin::Solo => {
            steps.extend(evidence.work(template));
            steps.extend(evidence.share());
            steps.extend(evidence.delivery(&hash, template, node));
        }
        Origin::Rpc => {
            let time = Some(f64::from(brief.time) * 1e3);
            let detail = "generatetoaddress, or a call like it: no template was sent, no share \
                          was judged";
            steps.push(Step::new(
                "Made by the node itself",
                node,
                time,
                detail.into(),
            ));
        }
        Origin::Genesis | Origin::Elsewhere => {}
    }
    if brief.arrived_ms > 0 {
        let at = Some(brief.arrived_ms as f64);
        let detail = format!("height {}", brief.height);
        steps.push(Step::new(
            "Shown here as part of the chain",
            "explorer",
            at,
            detail,
        ));
    }
    let took_ms = set_intervals(&mut steps);
    Story {
        headline: evidence.headline(&credit),
        chosen_by: evidence.chosen_by(&credit, node),
        path: path(&evidence, &credit, board, node),
        verdict: evidence.verdict(&hash),
        took_ms,
        gaps: evidence.gaps(&credit, &steps),
        steps,
        credit,
    }
}

/// Orders the steps by time and tells how long each took; the time from the first to the node's
/// verdict.
fn set_intervals(steps: &mut [Step]) -> Option<f64> {
    // A step without a time stays behind the one it follows.
    let mut last = 0.0;
    let mut keyed: Vec<(f64, Step)> = Vec::new();
    for step in steps.iter() {
        last = step.at_ms.unwrap_or(last);
        keyed.push((last, step.clone()));
    }
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (step, (_, sorted)) in steps.iter_mut().zip(keyed) {
        *step = sorted;
    }
    let mut before: Option<f64> = None;
    for step in steps.iter_mut() {
        if let Some(at) = step.at_ms {
            step.after_ms = before.map(|before| at - before);
            before = Some(at);
        }
    }
    let timed = |step: &&Step| step.at_ms.is_some();
    let first = steps.iter().find(timed)?.at_ms?;
    let verdict = steps.iter().find(|step| step.title == VERDICT)?.at_ms?;
    Some(verdict - first)
}

const VERDICT: &str = "The node's verdict";

impl Evidence {
    /// The template the block was made of, as its provider tells it. A declared block has two:
    /// its miner's side has the one that was solved first.
    fn template(&self) -> Option<&(String, provider::Template)> {
        self.provider
            .iter()
            .min_by_key(|(_, template)| template.sent_ms)
    }

    /// From the template to the job.
    fn work(&self, template: Option<&(String, provider::Template)>) -> Vec<Step> {
        let mut steps = Vec::new();
        if let Some((name, template)) = template {
            let at = Some(template.sent_ms as f64);
            let why = if template.new_tip {
                "a new tip"
            } else {
                "more fees"
            };
            let detail = format!(
                "template {} to {}, for {why}, worth {} BTC",
                template.template_id,
                template.client(),
                text::sats(template.value)
            );
            steps.push(Step::new("Template sent", name, at, detail));
        } else if let Some(template) = self.pool.as_ref().and_then(|pool| pool.template.as_ref()) {
            let detail = format!("template {}", template.template_id);
            let by = self.pool.as_ref().map_or("pool", |pool| &pool.name);
            let at = Some(template.at_ms as f64);
            steps.push(Step::new("Template received", by, at, detail));
        }
        if let Some(jdc) = &self.jdc {
            steps.extend(self.declaration(jdc));
        }
        if let Some(pool) = &self.pool
            && let Some(job) = pool.job.as_ref().filter(|_| self.jdc.is_none())
        {
            let ahead = if job.is_future {
                ", ahead of its tip"
            } else {
                ""
            };
            let detail = format!("job {} for client {}{ahead}", job.job_id, job.client_id);
            steps.push(Step::new(
                "Job sent",
                &pool.name,
                Some(job.at_ms as f64),
                detail,
            ));
        }
        steps
    }

    /// From the template to the job that the pool takes.
    fn declaration(&self, jdc: &JdcEvidence) -> Vec<Step> {
        let Some(job) = &jdc.job else {
            return Vec::new();
        };
        let after = |us: Option<u64>| us.map(|us| job.created_ms() + us as f64 / 1e3);
        let mut steps = Vec::new();
        let at = Some(job.created_ms());
        let detail = format!("job {} of template {}", job.job, job.template.template_id);
        steps.push(Step::new("Job made for the miners", &jdc.name, at, detail));
        if let Some(at) = after(job.declaration.sent_us) {
            let transactions = match job.template.transactions {
                Some(1) => "1 transaction".to_owned(),
                Some(count) => format!("{count} transactions"),
                None => "the coinbase only".to_owned(),
            };
            steps.push(Step::new("Job declared", &jdc.name, Some(at), transactions));
        }
        if let Some(at) = after(job.declaration.accepted_us) {
            let (by, detail) = match &self.jds {
                Some((name, declaration)) => {
                    let mut detail = format!(
                        "{} transactions were missing; {} of it in its node",
                        declaration.missing,
                        text::duration(declaration.node_took_ms)
                    );
                    if let Some(token) = &declaration.token {
                        detail += &format!("; token {}", text::short(token));
                    }
                    (&name[..], detail)
                }
                None => (
                    "jds",
                    format!("{} transactions were missing", job.declaration.provided),
                ),
            };
            steps.push(Step::new("Declaration accepted", by, Some(at), detail));
        }
        if let (Some(at), Some(id)) = (after(job.custom_job.accepted_us), job.custom_job.job_id) {
            let by = self.pool.as_ref().map(|pool| &pool.name[..]);
            let by = by.or(job.upstream.as_deref()).unwrap_or("pool");
            let detail = format!("custom job {id}");
            steps.push(Step::new("Job taken by the pool", by, Some(at), detail));
        }
        steps
    }

    /// The share that is the block.
    fn share(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let jdc = self.jdc.as_ref();
        if let Some((name, block)) = jdc.and_then(|jdc| Some((&jdc.name, jdc.block.as_ref()?))) {
            let who = block.worker.as_deref().unwrap_or(&block.user_identity);
            let detail = format!(
                "{who}, channel {}, job {}, from {}",
                block.channel_id, block.job_id, block.peer
            );
            steps.push(Step::new(
                "Share found",
                name,
                Some(block.time_ms as f64),
                detail,
            ));
        }
        if let Some(PoolEvidence { name, block, .. }) = &self.pool {
            let who = block.worker.as_deref().unwrap_or(&block.user);
            let number = block
                .share
                .map(|share| format!(", share {share} of the ledger"));
            let detail = format!(
                "{who}, channel {}, job {}, from {}{}",
                block.channel_id,
                block.job_id,
                block.peer,
                number.unwrap_or_default()
            );
            let title = if steps.is_empty() {
                "Share found"
            } else {
                "Share credited"
            };
            steps.push(Step::new(title, name, Some(block.time_ms as f64), detail));
        }
        steps
    }

    /// From the share to the chain.
    fn delivery(
        &self,
        hash: &str,
        template: Option<&(String, provider::Template)>,
        node: &str,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let solution = template.and_then(|(name, template)| {
            let mut solutions = template.solutions.iter();
            Some((name, solutions.find(|solution| solution.hash == hash)?))
        });
        if let Some((name, solution)) = solution {
            let at = Some(solution.submitted_ms as f64);
            steps.push(Step::new(
                "Solution handed to the node",
                name,
                at,
                String::new(),
            ));
            if let Some(verdict) = &solution.verdict {
                let at = solution.verdict_ms.map(|ms| ms as f64);
                let detail = reasoned(verdict, solution.reason.as_deref());
                steps.push(Step::new(VERDICT, node, at, detail));
            }
        }
        if let Some((name, declaration)) = &self.jds {
            let found = declaration.blocks.iter().find(|found| found.hash == hash);
            if let Some(found) = found {
                let detail = reasoned(&found.verdict, found.reason.as_deref());
                steps.push(Step::new(
                    "Handed to the pool's node too",
                    name,
                    None,
                    detail,
                ));
            }
        }
        if let Some(PoolEvidence { name, block, .. }) = &self.pool
            && let Some(verdict) = &block.verdict
        {
            let title = if solution.is_some() {
                "Asked for by the pool"
            } else {
                VERDICT
            };
            let at = block.verdict_ms.map(|ms| ms as f64);
            let detail = reasoned(verdict, block.reason.as_deref());
            steps.push(Step::new(title, name, at, detail));
        }
        steps
    }

    fn verdict(&self, hash: &str) -> Option<String> {
        let pool = self
            .pool
            .as_ref()
            .and_then(|pool| pool.block.verdict.clone());
        pool.or_else(|| {
            let mut solutions = self.provider.iter().flat_map(|(_, known)| &known.solutions);
            solutions
                .find(|solution| solution.hash == hash)?
                .verdict
                .clone()
        })
    }

    fn headline(&self, credit: &Credit) -> String {
        let who = credit.who();
        let pool = credit.pool.as_deref().unwrap_or("a pool");
        match credit.origin {
            Origin::Genesis => "The first block: nobody mined it.".to_owned(),
            Origin::Rpc => {
                "Made by the node itself, on a call by RPC; no miner had a part in it.".to_owned()
            }
            Origin::PoolTemplate => format!("{who} mined it on a template of {pool}."),
            Origin::Declared => {
                let jdc = self
                    .jdc
                    .as_ref()
                    .map_or("a job declarator client", |jdc| &jdc.name);
                format!("{who} mined it on a job that {jdc} declared to {pool}.")
            }
            Origin::Solo => {
                let jdc = self.jdc.as_ref().map_or("its own client", |jdc| &jdc.name);
                format!("{who} mined it on a template of {jdc}, for no pool.")
            }
            Origin::Elsewhere => match &credit.signature {
                Some(signature) => {
                    format!("Nobody here knows of it; its coinbase says {signature}.")
                }
                None => {
                    "Nobody here knows of it, and its coinbase does not say who made it.".to_owned()
                }
            },
        }
    }

    fn chosen_by(&self, credit: &Credit, node: &str) -> String {
        let provider = self
            .template()
            .map_or("its template provider", |(name, _)| name);
        match credit.origin {
            Origin::Genesis => "nobody".to_owned(),
            Origin::Rpc => node.to_owned(),
            Origin::PoolTemplate => {
                let pool = credit.pool.as_deref().unwrap_or("the pool");
                format!("{pool}, by way of {provider}")
            }
            Origin::Declared | Origin::Solo => {
                let jdc = self.jdc.as_ref().map_or("the miner", |jdc| &jdc.name);
                format!("{jdc}, by way of {provider}")
            }
            Origin::Elsewhere => "unknown".to_owned(),
        }
    }

    fn gaps(&self, credit: &Credit, steps: &[Step]) -> Vec<String> {
        let mut gaps = Vec::new();
        let is_ours = matches!(
            credit.origin,
            Origin::PoolTemplate | Origin::Declared | Origin::Solo
        );
        let has = |title: &str| steps.iter().any(|step| step.title == title);
        if is_ours && !has("Template sent") && !has("Template received") {
            gaps.push(
                "When its template was sent is not known: the template provider remembers the \
                 newest only."
                    .to_owned(),
            );
        }
        let is_declared = credit.origin == Origin::Declared;
        if is_declared && self.jdc.as_ref().is_none_or(|jdc| jdc.job.is_none()) {
            gaps.push(
                "How it was declared is not known: the job declarator client remembers the \
                 newest jobs only."
                    .to_owned(),
            );
        }
        gaps
    }
}

fn reasoned(verdict: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{verdict}: {reason}"),
        None => verdict.to_owned(),
    }
}

/// From the miner to the node.
fn path(evidence: &Evidence, credit: &Credit, board: &Board, node: &str) -> Vec<String> {
    let mut path = Vec::new();
    let jdc = evidence.jdc.as_ref();
    let pool = evidence.pool.as_ref();
    let nearest = jdc.map(|jdc| &jdc.name).or(pool.map(|pool| &pool.name));
    if let Some(nearest) = nearest {
        let device = match (jdc, pool) {
            (Some(jdc), _) => jdc.block.as_ref().map(|block| &block.device_id[..]),
            (None, Some(pool)) => pool.who.as_ref().map(|who| &who.device_id[..]),
            (None, None) => None,
        };
        path.extend(before(nearest, device, credit.who(), board));
    }
    path.extend(jdc.map(|jdc| jdc.name.clone()));
    path.extend(pool.map(|pool| pool.name.clone()));
    path.extend(evidence.template().map(|(name, _)| name.clone()));
    if credit.origin != Origin::Genesis {
        path.push(node.to_owned());
    }
    path
}

/// The services in front of `server` on a miner's way: found by what its connection says of itself,
/// or because there is only one.
fn before(server: &str, device: Option<&str>, who: &str, board: &Board) -> Vec<String> {
    let mut linked: Vec<(String, Kind)> = Vec::new();
    board.each(|service: &Service| {
        let mines = matches!(service.peer.kind, Kind::MiningDevice | Kind::Translator);
        if mines && service.peer.links.iter().any(|link| link == server) {
            linked.push((service.name().to_owned(), service.peer.kind));
        }
    });
    let named = linked.iter().find(|(name, _)| Some(&name[..]) == device);
    // Of `cpuminer` and `cpuminer-2`, both of which `farm.cpuminer-2` contains, the longer.
    let alike = linked.iter().filter(|(name, _)| who.contains(&name[..]));
    let alike = alike.max_by_key(|(name, _)| name.len());
    let only = linked.first().filter(|_| linked.len() == 1);
    let Some((name, kind)) = named.or(alike).or(only) else {
        return vec![who.to_owned()];
    };
    let mut path = match kind {
        Kind::Translator => before(name, device, who, board),
        _ => Vec::new(),
    };
    path.push(name.clone());
    path
}
