//! Where the programs are that a lab runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::fault::Fault;

/// The script that builds Bitcoin Core and knows where the result is.
pub const CORE_SCRIPT: &str = "scripts/bitcoin-core.sh";

/// Where to look for programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// Directories with the roles' programs, best first.
    pub role_dirs: Vec<PathBuf>,
    /// `bitcoin-node`, when the user names one.
    pub bitcoin_node: Option<PathBuf>,
    /// `bitcoin-cli`, when the user names one.
    pub bitcoin_cli: Option<PathBuf>,
    /// The checkout this program was built from, when it is still there.
    pub workspace: Option<PathBuf>,
    /// Directories of last resort for Bitcoin Core.
    pub path: Vec<PathBuf>,
}

impl Programs {
    /// As the environment says: `LAB_BIN_DIR`, `BITCOIN_NODE`, `BITCOIN_CLI`, `PATH`, and the
    /// place of the running program.
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let beside = beside_this_program();
        let workspace = beside
            .iter()
            .map(PathBuf::as_path)
            .chain(std::env::current_dir().ok().as_deref())
            .find_map(workspace_of);
        let role_dirs = match set("LAB_BIN_DIR") {
            Some(directory) => vec![PathBuf::from(directory)],
            None => beside,
        };
        Self {
            role_dirs,
            bitcoin_node: set("BITCOIN_NODE").map(PathBuf::from),
            bitcoin_cli: set("BITCOIN_CLI").map(PathBuf::from),
            workspace,
            path: set("PATH")
                .map(|path| std::env::split_paths(&path).collect())
                .unwrap_or_default(),
        }
    }

    /// The program of a service.
    ///
    /// # Errors
    /// When it is nowhere; says where it was looked for and how to get it.
    pub fn find(&self, program: &str) -> Result<PathBuf, Fault> {
        if is_core(program) {
            return self.core(program);
        }
        self.role(program)
            .ok_or_else(|| self.missing_roles(&[program]))
    }

    /// The program `lab`: this one, or in tests the one beside it.
    pub(crate) fn own(&self) -> anyhow::Result<PathBuf> {
        let running = std::env::current_exe().context("finding the running program")?;
        if running.file_name().is_some_and(|name| name == "lab") {
            return Ok(running);
        }
        Ok(self.find("lab")?)
    }

    /// Whether all of these programs are there.
    ///
    /// # Errors
    /// Everything that is missing at once.
    pub fn check<'a>(&self, programs: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
        let (core, roles): (Vec<_>, Vec<_>) = programs.partition(|name| is_core(name));
        let missing: Vec<_> = roles
            .into_iter()
            .filter(|role| self.role(role).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(self.missing_roles(&missing));
        }
        for program in core {
            self.core(program)?;
        }
        Ok(())
    }

    fn role(&self, program: &str) -> Option<PathBuf> {
        let mut found = self.role_dirs.iter().map(|dir| dir.join(program));
        found.find(|path| path.is_file())
    }

    fn missing_roles(&self, missing: &[&str]) -> Fault {
        let release = self.role_dirs.iter().any(|dir| dir.ends_with("release"));
        let profile = if release { " --release" } else { "" };
        let packages: Vec<_> = missing.iter().map(|name| format!("-p {name}")).collect();
        Fault::unavailable(
            format!(
                "{} not built: not in {}",
                missing.join(", "),
                list(&self.role_dirs)
            ),
            format!(
                "cargo build{profile} {}; or set LAB_BIN_DIR to the directory that has them",
                packages.join(" ")
            ),
        )
    }

    fn core(&self, program: &str) -> Result<PathBuf, Fault> {
        if program == "bitcoin-cli" {
            return self.bitcoin_cli();
        }
        self.bitcoin(program, self.bitcoin_node.as_deref())
    }

    /// `bitcoin-cli`: the one named, else the one beside the node named, else our own.
    fn bitcoin_cli(&self) -> Result<PathBuf, Fault> {
        let sibling = self
            .bitcoin_node
            .as_ref()
            .map(|node| node.with_file_name("bitcoin-cli"))
            .filter(|cli| cli.is_file());
        let named = self.bitcoin_cli.as_deref().or(sibling.as_deref());
        self.bitcoin("bitcoin-cli", named)
    }

    fn bitcoin(&self, program: &str, named: Option<&Path>) -> Result<PathBuf, Fault> {
        if let Some(path) = named {
            if path.is_file() {
                return Ok(path.to_owned());
            }
            let variable = program.replace('-', "_").to_uppercase();
            return Err(Fault::unavailable(
                format!("{variable} names {}, which is no file", path.display()),
                format!("correct {variable}, or unset it to use the program built here"),
            ));
        }
        let built = self.workspace.as_deref().and_then(core_directory);
        let found = built
            .iter()
            .chain(&self.path)
            .map(|directory| directory.join(program))
            .find(|path| path.is_file());
        found.ok_or_else(|| {
            let variable = program.replace('-', "_").to_uppercase();
            Fault::unavailable(
                format!("there is no '{program}' on this machine"),
                format!(
                    "build it with {CORE_SCRIPT} (about 5 minutes, once per machine), or set \
                     {variable}"
                ),
            )
        })
    }
}

fn is_core(program: &str) -> bool {
    program.starts_with("bitcoin-")
}

/// The directory of the running program; tests lie one level deeper.
fn beside_this_program() -> Vec<PathBuf> {
    let Ok(program) = std::env::current_exe() else {
        return Vec::new();
    };
    let mut directories: Vec<PathBuf> = program
        .ancestors()
        .skip(1)
        .take(2)
        .map(Path::to_owned)
        .collect();
    if !directories.first().is_some_and(|dir| dir.ends_with("deps")) {
        directories.truncate(1);
    }
    directories
}

/// The checkout around a directory.
fn workspace_of(directory: &Path) -> Option<PathBuf> {
    directory
        .ancestors()
        .find(|dir| dir.join(CORE_SCRIPT).is_file() && dir.join("Cargo.toml").is_file())
        .map(Path::to_owned)
}

/// Where the script keeps what it builds.
fn core_directory(workspace: &Path) -> Option<PathBuf> {
    let output = Command::new("bash")
        .arg(workspace.join(CORE_SCRIPT))
        .arg("--where")
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.lines().last()?))
}

fn list(directories: &[PathBuf]) -> String {
    let texts: Vec<_> = directories
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    texts.join(" or ")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn programs(directory: &Path) -> Programs {
        Programs {
            role_dirs: vec![directory.to_owned()],
            path: vec![directory.to_owned()],
            ..Programs::default()
        }
    }

    #[test]
    fn everything_that_is_missing_is_named_with_how_to_build_it() {
        let directory = tempfile::tempdir().unwrap();
        let programs = programs(directory.path());
        let fault = programs.find("pool").unwrap_err();
        assert!(fault.remedy.contains("cargo build -p pool;"), "{fault:?}");
        fs::write(directory.path().join("pool"), "").unwrap();
        assert!(programs.find("pool").is_ok());
        let all = ["pool", "mining-device", "template-provider", "bitcoin-node"];
        let fault = programs.check(all.into_iter()).unwrap_err();
        let command = "cargo build -p mining-device -p template-provider;";
        assert!(fault.remedy.contains(command), "{fault:?}");
    }

    #[test]
    fn a_named_node_is_used_and_brings_its_own_cli() {
        let directory = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let programs = Programs {
            bitcoin_node: Some(other.path().join("bitcoin-node")),
            ..programs(directory.path())
        };
        let error = programs.find("bitcoin-node").unwrap_err().to_string();
        assert!(error.contains("BITCOIN_NODE names"), "{error}");
        for place in [&other, &directory] {
            fs::write(place.path().join("bitcoin-node"), "").unwrap();
            fs::write(place.path().join("bitcoin-cli"), "").unwrap();
        }
        for program in ["bitcoin-node", "bitcoin-cli"] {
            let found = programs.find(program).unwrap();
            assert_eq!(found, other.path().join(program));
        }
    }

    #[test]
    fn the_path_is_the_last_resort_for_bitcoin_core() {
        let directory = tempfile::tempdir().unwrap();
        let programs = programs(directory.path());
        assert!(programs.find("bitcoin-cli").is_err());
        fs::write(directory.path().join("bitcoin-cli"), "").unwrap();
        assert!(programs.find("bitcoin-cli").is_ok());
    }
}
