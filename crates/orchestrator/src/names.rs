//! Names that people type: what they may have meant, and what there is.

use std::collections::BTreeSet;

/// How alike two names are at least, of 1, for one to be taken for the other.
const ALIKE: f64 = 0.8;

/// What to do about a name that is none of those there are.
pub fn remedy<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut known: Vec<&str> = known.into_iter().collect();
    let mut seen = BTreeSet::new();
    known.retain(|known| seen.insert(*known));
    let all = known.join(", ");
    match nearest(name, known) {
        Some(near) => format!("did you mean {near}? there are {all}"),
        None => format!("name one of {all}"),
    }
}

/// The known name that is most like this one, if any is.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&name, &known.to_lowercase());
    let all = known.into_iter().map(|known| (likeness(known), known));
    let best = all.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness >= ALIKE)
        .map(|(_, known)| known)
}

/// What to do about a link that is none of these; people turn its ends round.
pub fn link_remedy<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let turned = name.split_once(':').map(|(a, b)| format!("{b}:{a}"));
    match turned.filter(|turned| known.contains(&turned.as_str())) {
        Some(turned) => format!("did you mean {turned}? a link is CLIENT:SERVER"),
        None => remedy(name, known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["btc-node", "mining-device", "pool", "template-provider"];

    #[test]
    fn a_slip_of_the_finger_is_understood_and_nonsense_is_not() {
        for (typed, meant) in [
            ("poll", Some("pool")),
            ("Pool", Some("pool")),
            ("minig-device", Some("mining-device")),
            ("btcnode", Some("btc-node")),
            ("template", Some("template-provider")),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, KNOWN), meant, "{typed}");
        }
        assert_eq!(nearest("pool", []), None);
    }

    #[test]
    fn a_link_that_is_turned_round_is_understood() {
        let links = ["jdc:pool", "pool:btc-node"];
        let remedy = link_remedy("pool:jdc", links);
        assert!(remedy.starts_with("did you mean jdc:pool?"), "{remedy}");
        let remedy = link_remedy("poll:btc-node", links);
        assert!(
            remedy.starts_with("did you mean pool:btc-node?"),
            "{remedy}"
        );
    }

    #[test]
    fn what_there_is_is_told_in_any_case() {
        let all = "btc-node, mining-device, pool, template-provider";
        assert_eq!(
            remedy("poll", KNOWN),
            format!("did you mean pool? there are {all}")
        );
        assert_eq!(remedy("xyz", KNOWN), format!("name one of {all}"));
    }
}
