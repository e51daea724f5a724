//! Templates as the provider sent them, with what else is known of each.

use std::sync::Arc;

use protocol::provider::Constraints;
use protocol::transactions::TransactionData;
use protocol::work::{Template, Work};

/// One template.
#[derive(Debug)]
struct Source {
    template: Arc<Template>,
    /// The room its block has for outputs of ours.
    room: Constraints,
    transactions: Transactions,
}

/// The transactions of a template, as far as they are known.
#[derive(Debug, Clone)]
pub(crate) enum Transactions {
    /// Nobody has asked for them.
    Unknown,
    /// The provider was asked.
    Asked,
    /// Here they are.
    Held(Arc<TransactionData>),
    /// The provider does not give them, for this reason.
    Kept(String),
}

/// The templates in use.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    /// Takes in what is new in `work`; drops what is in use no more, except where `needed` says so.
    pub(crate) fn update(
        &mut self,
        work: &Work,
        room: Constraints,
        needed: impl Fn(&Arc<Template>) -> bool,
    ) {
        self.0.retain(|source| {
            let template = &source.template;
            in_use(work).any(|used| Arc::ptr_eq(used, template)) || needed(template)
        });
        for template in in_use(work) {
            if self.find(template).is_none() {
                self.0.push(Source {
                    template: Arc::clone(template),
                    room,
                    transactions: Transactions::Unknown,
                });
            }
        }
    }

    /// Session and id of those whose transactions nobody has asked for; they count as asked from
    /// now on.
    pub(crate) fn ask(&mut self) -> Vec<(u64, u64)> {
        let mut asked = Vec::new();
        for source in &mut self.0 {
            if matches!(source.transactions, Transactions::Unknown) {
                source.transactions = Transactions::Asked;
                asked.push((source.template.session, source.template.id));
            }
        }
        asked
    }

    /// The provider has answered.
    pub(crate) fn answered(&mut self, (session, id): (u64, u64), transactions: Transactions) {
        let is_it =
            |source: &&mut Source| (source.template.session, source.template.id) == (session, id);
        if let Some(source) = self.0.iter_mut().find(is_it) {
            source.transactions = transactions;
        }
    }

    /// What is known of a template's transactions.
    pub(crate) fn transactions(&self, template: &Arc<Template>) -> Transactions {
        let source = self.find(template);
        source.map_or(Transactions::Unknown, |source| source.transactions.clone())
    }

    /// Whether a template's block has room for outputs of this kind.
    pub(crate) fn has_room(&self, template: &Arc<Template>, needed: Constraints) -> bool {
        self.find(template).is_some_and(|source| {
            needed.size <= source.room.size && needed.sigops <= source.room.sigops
        })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn find(&self, template: &Arc<Template>) -> Option<&Source> {
        let is_it = |source: &&Source| Arc::ptr_eq(&source.template, template);
        self.0.iter().find(is_it)
    }
}

fn in_use(work: &Work) -> impl Iterator<Item = &Arc<Template>> {
    work.futures.iter().chain([&work.template])
}
