//! `docs/conformance.md` says which test checks which rule; this says whether that is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The rules of each family are numbered from 1 to this.
const FAMILIES: &[(&str, u32)] = &[
    ("NOISE", 25),
    ("FRAME", 19),
    ("CONN", 22),
    ("EXT", 19),
    ("TPS", 37),
    ("TPC", 17),
    ("POOL", 91),
    ("DEV", 30),
    ("PROXY", 30),
    ("JDS", 32),
    ("JDC", 36),
];
/// How a row begins whose rule is not for anything there is.
const NOT_HERE: &str = "not here: ";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The rows of the tables: rule, and what is said of it.
fn rows() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let row = |line: &str| {
        let (id, said) = line.strip_prefix("| ")?.split_once(" | ")?;
        let said = said.strip_suffix(" |")?;
        id.contains('-').then(|| (id.to_owned(), said.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

/// Every test of the workspace but those here: its name, and its text with the comments above it.
fn tests() -> BTreeMap<String, String> {
    let mut tests = BTreeMap::new();
    let mut directories = vec![root().join("crates")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("conformance.rs")
            {
                let text = std::fs::read_to_string(path).unwrap();
                collect(&text, &mut tests);
            }
        }
    }
    tests
}

fn collect(text: &str, tests: &mut BTreeMap<String, String>) {
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let declaration = line.trim_start();
        let declaration = declaration.strip_prefix("async ").unwrap_or(declaration);
        let Some((name, _)) = declaration
            .strip_prefix("fn ")
            .and_then(|rest| rest.split_once('('))
        else {
            continue;
        };
        let above = lines[..at].iter().rev().take_while(|line| {
            let line = line.trim_start();
            line.starts_with("//") || line.starts_with("#[")
        });
        let above: Vec<&str> = above.copied().collect();
        let is_test = |line: &&str| line.contains("#[test]") || line.contains("#[tokio::test");
        if !above.iter().any(is_test) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let end = format!("{indent}}}");
        let body = lines[at..].iter().take_while(|line| **line != end);
        let whole: Vec<&str> = above.into_iter().chain(body.copied()).collect();
        *tests.entry(name.to_owned()).or_default() += &whole.join("\n");
    }
}

/// The rules a text names: `DEV-08`, also in lists such as `DEV-08, 12` and `TPS-10 to 18`.
fn named(text: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for (family, _) in FAMILIES {
        for (at, start) in text.match_indices(&format!("{family}-")) {
            let mut rest = &text[at + start.len()..];
            let Some(mut last) = number(&mut rest) else {
                continue;
            };
            ids.insert(format!("{family}-{last:02}"));
            loop {
                let (from, after) = match (rest.strip_prefix(", "), rest.strip_prefix(" to ")) {
                    (Some(after), _) => (None, after),
                    (_, Some(after)) => (Some(last), after),
                    _ => break,
                };
                rest = after;
                let Some(next) = number(&mut rest) else {
                    break;
                };
                ids.extend((from.unwrap_or(next)..=next).map(|id| format!("{family}-{id:02}")));
                last = next;
            }
        }
    }
    ids
}

/// Takes a number of two digits off the front.
fn number(text: &mut &str) -> Option<u32> {
    let (digits, rest) = text.split_at_checked(2)?;
    let number = digits.parse().ok()?;
    *text = rest;
    Some(number)
}

#[test]
fn every_rule_has_one_row_of_tests_that_exist_and_name_it() {
    let (rows, tests) = (rows(), tests());
    let mut problems = Vec::new();
    for (family, last) in FAMILIES {
        for id in (1..=*last).map(|number| format!("{family}-{number:02}")) {
            let count = rows.iter().filter(|(row, _)| *row == id).count();
            if count != 1 {
                problems.push(format!("{id} has {count} rows"));
            }
        }
    }
    for (id, said) in &rows {
        if said.starts_with(NOT_HERE) {
            continue;
        }
        for name in said.split(", ") {
            match tests.get(name) {
                None => problems.push(format!("{id}: there is no test {name:?}")),
                Some(text) if !named(text).contains(id) => {
                    problems.push(format!("{id}: {name} does not name it"));
                }
                Some(_) => {}
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn lists_of_rules_are_read() {
    let ids = |text| named(text).into_iter().collect::<Vec<_>>();
    assert_eq!(
        ids("// DEV-08, 12, CONN-05"),
        ["CONN-05", "DEV-08", "DEV-12"]
    );
    assert_eq!(
        ids("TPS-10 to 12, 15"),
        ["TPS-10", "TPS-11", "TPS-12", "TPS-15"]
    );
    assert_eq!(ids("TPS-17: with 2,000 of them"), ["TPS-17"]);
    assert_eq!(ids("NOTHING-34"), Vec::<String>::new());
}
