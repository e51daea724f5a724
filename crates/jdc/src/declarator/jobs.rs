//! The newest jobs.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::work::Template;

use super::coinbase::Terms;
use super::job::Job;

/// Jobs kept. Many more than miners may have in hand; the rest is for people to look at.
pub(crate) const MAX_JOBS: usize = 128;

/// Jobs, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jobs(VecDeque<Job>);

impl Jobs {
    /// Returns the oldest one if there are too many.
    pub(crate) fn push(&mut self, job: Job) -> Option<Job> {
        self.0.push_back(job);
        if self.0.len() > MAX_JOBS {
            return self.0.pop_front();
        }
        None
    }

    /// By our name.
    pub(crate) fn get(&self, id: u64) -> Option<&Job> {
        let at = self.0.binary_search_by_key(&id, |job| job.id).ok()?;
        self.0.get(at)
    }

    /// By our name.
    pub(crate) fn get_mut(&mut self, id: u64) -> Option<&mut Job> {
        let at = self.0.binary_search_by_key(&id, |job| job.id).ok()?;
        self.0.get_mut(at)
    }

    /// The newest one for a template on these terms that is `suitable`.
    pub(crate) fn find(
        &self,
        source: &Arc<Template>,
        terms: Option<&Terms>,
        suitable: impl Fn(&Job) -> bool,
    ) -> Option<&Job> {
        self.0.iter().rev().find(|job| {
            Arc::ptr_eq(&job.source, source) && job.terms.as_ref() == terms && suitable(job)
        })
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.0.iter()
    }

    /// Oldest first.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Job> {
        self.0.iter_mut()
    }

    /// Names of those of one upstream that are `wanted`.
    pub(crate) fn of(&self, upstream: usize, wanted: impl Fn(&Job) -> bool) -> Vec<u64> {
        let jobs = self.0.iter();
        jobs.filter(|job| job.upstream() == Some(upstream) && wanted(job))
            .map(|job| job.id)
            .collect()
    }
}
