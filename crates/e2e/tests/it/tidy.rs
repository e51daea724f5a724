//! Rules about the source tree itself, checked like any other.

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

#[test]
fn the_readme_names_both_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["./start-pool.sh", "./scripts/test.sh"] {
        assert!(readme.contains(command));
        assert!(root().join(command).exists());
    }
}
