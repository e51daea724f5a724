//! The order of things: who waits for whom.

use std::collections::{BTreeMap, BTreeSet};

/// A cycle among names and what each needs, closed: the first name is also the last.
///
/// Needs that are no names of the graph are not followed; they are another kind of problem.
pub(crate) fn cycle(graph: impl IntoIterator<Item = (String, Vec<String>)>) -> Option<Vec<String>> {
    let graph: BTreeMap<_, _> = graph.into_iter().collect();
    let mut done = BTreeSet::new();
    graph
        .keys()
        .find_map(|name| walk(name, &graph, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    name: &'a str,
    graph: &'a BTreeMap<String, Vec<String>>,
    path: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<String>> {
    if let Some(start) = path.iter().position(|seen| *seen == name) {
        let closed = path[start..].iter().chain([&name]);
        return Some(closed.map(|name| (*name).to_owned()).collect());
    }
    if done.contains(name) {
        return None;
    }
    path.push(name);
    let needs = graph.get(name).map(Vec::as_slice).unwrap_or_default();
    let found = needs.iter().find_map(|need| walk(need, graph, path, done));
    path.pop();
    done.insert(name);
    found
}

/// Stages in which to stop: nobody is stopped before those who need it.
///
/// Works on whatever is left of a lab: needs that are gone do not matter, and services in a cycle,
/// which only a damaged lab can have, stop last and together.
pub(crate) fn stop_stages(
    graph: impl IntoIterator<Item = (String, Vec<String>)>,
) -> Vec<Vec<String>> {
    let mut left: BTreeMap<String, Vec<String>> = graph.into_iter().collect();
    let mut stages = Vec::new();
    while !left.is_empty() {
        let needed: BTreeSet<&String> = left.values().flatten().collect();
        let mut stage: Vec<String> = left
            .keys()
            .filter(|name| !needed.contains(name))
            .cloned()
            .collect();
        if stage.is_empty() {
            stage = left.keys().cloned().collect();
        }
        for name in &stage {
            left.remove(name);
        }
        stages.push(stage);
    }
    stages
}

/// The chain of services that decided when `last` was ready, first one first.
///
/// `ready` tells when each service was ready.
pub(crate) fn slowest_chain(
    last: &str,
    graph: &BTreeMap<String, Vec<String>>,
    ready: &BTreeMap<String, f64>,
) -> Vec<String> {
    let mut chain = vec![last.to_owned()];
    let mut at = last;
    while let Some(need) = graph.get(at).and_then(|needs| {
        let when = |name: &&String| ready.get(*name).copied().unwrap_or_default();
        needs.iter().max_by(|a, b| when(a).total_cmp(&when(b)))
    }) {
        chain.push(need.clone());
        at = need;
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(text: &str) -> BTreeMap<String, Vec<String>> {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        text.split(',')
            .filter_map(|entry| entry.split_once(':'))
            .map(|(name, needs)| (name.trim().to_owned(), words(needs)))
            .collect()
    }

    #[track_caller]
    fn check_cycle(text: &str, expected: Option<&str>) {
        let found = cycle(graph(text)).map(|names| names.join(" "));
        assert_eq!(found.as_deref(), expected);
    }

    #[track_caller]
    fn check_stages(text: &str, expected: &str) {
        let stages: Vec<String> = stop_stages(graph(text))
            .into_iter()
            .map(|stage| stage.join(" "))
            .collect();
        assert_eq!(stages.join(" | "), expected);
    }

    #[test]
    fn cycles_are_found_wherever_they_start() {
        check_cycle("a: b, b: c, c:", None);
        check_cycle("a: b c, b: d, c: d, d:", None);
        check_cycle("a: a", Some("a a"));
        check_cycle("a: b, b: c, c: b", Some("b c b"));
        check_cycle("x:, a: b, b: a", Some("a b a"));
        check_cycle("a: ghost", None);
    }

    #[test]
    fn nobody_stops_before_those_who_need_it() {
        check_stages(
            "node:, tp: node, pool: tp node, miner: pool",
            "miner | pool | tp | node",
        );
        check_stages("node:, a: node, b: node", "a b | node");
        check_stages("", "");
    }

    #[test]
    fn a_half_removed_lab_still_stops() {
        check_stages("pool: tp, miner: pool", "miner | pool");
        check_stages("a: b, b: a", "a b");
    }

    #[test]
    fn the_slowest_chain_follows_the_need_that_came_last() {
        let graph = graph("node:, tp: node, pool: node tp, miner: pool");
        let ready = [("node", 0.4), ("tp", 0.6), ("pool", 0.7), ("miner", 1.0)];
        let ready = ready.map(|(name, at)| (name.to_owned(), at)).into();
        let chain = slowest_chain("miner", &graph, &ready);
        assert_eq!(chain.join(" "), "node tp pool miner");
    }
}
