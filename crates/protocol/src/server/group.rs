//! Groups: channels that one job serves, because they pay the same (SV2 5.2.3).

use std::sync::Arc;

use crate::coinbase::Coinbase;
use crate::payout::Payout;
use crate::work::{Template, Work};

/// The channels of a connection whose blocks pay the same.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) payout: Payout,
    /// How many there are.
    pub(super) members: usize,
    /// The coinbases of templates in use, each built once for all members.
    coinbases: Vec<(Arc<Template>, Arc<Coinbase>)>,
}

impl Group {
    /// With its first member.
    pub(super) fn new(payout: Payout) -> Self {
        Self {
            payout,
            members: 1,
            ..Self::default()
        }
    }

    /// The coinbase for `template` that pays this group's payout.
    pub(super) fn coinbase(&mut self, template: &Arc<Template>) -> Arc<Coinbase> {
        if self.payout == Payout::Pool {
            return Arc::clone(&template.coinbase);
        }
        let mut built = self.coinbases.iter();
        if let Some((_, coinbase)) = built.find(|(of, _)| Arc::ptr_eq(of, template)) {
            return Arc::clone(coinbase);
        }
        let coinbase = Arc::new(template.plan.build(template, &self.payout));
        let entry = (Arc::clone(template), Arc::clone(&coinbase));
        self.coinbases.push(entry);
        coinbase
    }

    /// Drops what belongs to templates that get no new jobs.
    pub(super) fn forget_all_but(&mut self, work: &Work) {
        self.coinbases.retain(|(of, _)| {
            let mut current = work.futures.iter().chain([&work.template]);
            current.any(|template| Arc::ptr_eq(of, template))
        });
    }
}
