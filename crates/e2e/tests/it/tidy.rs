//! Rules about the source tree itself, checked like any other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines a file may have. Tests may be longer: they are lists.
const MAX_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every Rust file of the workspace, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join("crates")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 50);
    found
}

fn is_test(path: &Path) -> bool {
    let path = path.display().to_string();
    path.contains("/tests") || path.contains("/benches/") || path.ends_with("testing.rs")
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, text) in sources() {
        let documented = is_test(&path) || text.starts_with("//! ");
        assert!(documented, "{} has no //! doc", path.display());
    }
}

#[test]
fn files_stay_small_and_are_named_after_a_noun() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        let limit = if is_test(&path) {
            2 * MAX_LINES
        } else {
            MAX_LINES
        };
        assert!(lines <= limit, "{}: {lines} lines", path.display());
        let name = path.file_stem().unwrap().to_str().unwrap();
        let vague = [
            "utils", "util", "helpers", "common", "misc", "types", "manager", "mod",
        ];
        assert!(!vague.contains(&name), "{}", path.display());
    }
}

#[test]
fn protocol_rules_know_no_runtime_no_clock_and_no_socket() {
    for (path, text) in sources() {
        let shown = path.display().to_string();
        let core = shown.contains("crates/protocol/src") || shown.contains("/src/core");
        if !core || is_test(&path) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        for banned in [
            "tokio",
            "Instant::now",
            "SystemTime",
            "thread_rng",
            "std::net",
            "async ",
        ] {
            assert!(!code.contains(banned), "{shown} uses {banned}");
        }
    }
}

#[test]
fn unsafe_code_stands_in_the_hashing_kernel_only() {
    for (path, text) in sources() {
        let kernel = path
            .display()
            .to_string()
            .contains("mining-device/src/kernel");
        let word = concat!("un", "safe ");
        assert!(kernel || !text.contains(word), "{}", path.display());
    }
}

/// What a type is called in an OpenAPI document, by what stands behind its derives.
fn schema_name(declaration: &str) -> Option<&str> {
    let head = declaration.split(['{', ';']).next()?;
    let name = match head.split_once("schema(as = ") {
        Some((_, name)) => name,
        None => {
            let (_, name) = head
                .split_once("struct ")
                .or_else(|| head.split_once("enum "))?;
            name
        }
    };
    name.split(|symbol: char| !symbol.is_alphanumeric()).next()
}

/// Such a document knows types by their names alone, whichever module they are in.
#[test]
fn types_of_one_openapi_document_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for (path, text) in sources() {
        let role = path.strip_prefix(root().join("crates")).unwrap();
        let role = role.components().next().unwrap().as_os_str().to_owned();
        for part in text.split("#[derive(").skip(1) {
            let (derives, declaration) = part.split_once(")]").unwrap();
            if derives.contains("ToSchema") {
                let name = schema_name(declaration).unwrap().to_owned();
                let is_new = seen.insert((role.clone(), name.clone()));
                assert!(is_new, "{}: {name} is there twice", path.display());
            }
        }
    }
    assert!(seen.len() > 100);
}

#[test]
fn the_readme_names_both_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["./start-pool.sh", "./scripts/test.sh"] {
        assert!(readme.contains(command));
        assert!(root().join(command).exists());
    }
}
