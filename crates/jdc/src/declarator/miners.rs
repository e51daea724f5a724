//! What the miners get: every template at once, as a job of whoever is worked for (SV2 6.3).

use std::sync::Arc;

use protocol::core::Now;
use protocol::work::{PrevHash, Template, Work};

use super::coinbase::Terms;
use super::{Action, Declarator, Job, shares};

impl Declarator {
    pub(super) fn publish(&mut self, now: Now, work: &Work, out: &mut Vec<Action>) {
        if !self.is_settled(now) {
            return;
        }
        let terms = self.ranking.active().and_then(|active| self.terms(active));
        let tip = Some(&work.prev_hash);
        let template = self.for_miners(now, (&work.template, tip), terms.as_ref(), out);
        let futures = work.futures.iter();
        let futures: Vec<Arc<Template>> = futures
            .map(|future| self.for_miners(now, (future, None), terms.as_ref(), out))
            .collect();
        let next = Work {
            template,
            futures,
            ..work.clone()
        };
        if !self
            .published
            .as_ref()
            .is_some_and(|have| is_same(have, &next))
        {
            self.published = Some(next.clone());
            out.push(Action::Publish(next));
        }
    }

    /// A template as the miners get it. They never get a job a second time: they would search the
    /// same space again.
    fn for_miners(
        &mut self,
        now: Now,
        (source, tip): (&Arc<Template>, Option<&Arc<PrevHash>>),
        terms: Option<&Terms>,
        out: &mut Vec<Action>,
    ) -> Arc<Template> {
        let have = self.published.as_ref();
        let in_hand = |job: &Job| {
            let mut have = have
                .into_iter()
                .flat_map(|work| work.futures.iter().chain([&work.template]));
            have.any(|template| Arc::ptr_eq(template, &job.template))
        };
        let fresh = |job: &Job| !job.is_published && !job.is_over();
        let found = self.jobs.find(source, terms, |job| {
            (in_hand(job) && !job.is_outdated) || fresh(job)
        });
        let id = match found {
            Some(job) => job.id,
            None => self.new_job(now, (source, tip), terms.cloned(), out),
        };
        match self.jobs.get_mut(id) {
            Some(job) => {
                job.is_published = true;
                Arc::clone(&job.template)
            }
            None => Arc::clone(source),
        }
    }

    pub(super) fn new_job(
        &mut self,
        now: Now,
        (source, tip): (&Arc<Template>, Option<&Arc<PrevHash>>),
        terms: Option<Terms>,
        out: &mut Vec<Action>,
    ) -> u64 {
        let id = self.next_job;
        self.next_job += 1;
        let mut job = Job::new(id, now, source, terms, &self.kit);
        job.left_out = self.selector.left_out(source).unwrap_or_default();
        job.prev_hash = tip.cloned();
        if let Some(oldest) = self.jobs.push(job) {
            shares::report_lost(oldest.cache.len(), "forgotten", out);
        }
        id
    }
}

/// Whether two are the same for whoever compares by identity, as the miners' channels do.
pub(super) fn is_same(a: &Work, b: &Work) -> bool {
    let same_futures = || {
        let pairs = a.futures.iter().zip(&b.futures);
        a.futures.len() == b.futures.len() && pairs.into_iter().all(|(a, b)| Arc::ptr_eq(a, b))
    };
    Arc::ptr_eq(&a.prev_hash, &b.prev_hash)
        && Arc::ptr_eq(&a.template, &b.template)
        && same_futures()
}
