//! A map that forgets what was put in first when it is full.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// At most so many, by key.
#[derive(Debug, Clone)]
pub(crate) struct Kept<K, V> {
    most: usize,
    values: HashMap<K, V>,
    /// The oldest first.
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V> Kept<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Puts it in, in the place of what was there by that key.
    pub(crate) fn put(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.values.get(key)
    }

    /// What was put in last comes first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &V> {
        self.order
            .iter()
            .rev()
            .filter_map(|key| self.values.get(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_it_is_full_and_a_change_is_no_news() {
        let mut kept = Kept::new(2);
        kept.put("a", 1);
        kept.put("b", 2);
        kept.put("a", 3);
        kept.put("c", 4);
        assert_eq!(
            (kept.get("a"), kept.get("b"), kept.len()),
            (None, Some(&2), 2)
        );
        assert_eq!(kept.newest().copied().collect::<Vec<_>>(), [4, 2]);
    }
}
