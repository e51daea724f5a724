//! From a service's last words to a cause and a remedy.

use crate::backend::Exit;
use crate::fault::EXIT_USAGE;
use crate::port;
use crate::service::ServiceSpec;

/// Why something ended, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Diagnosis {
    /// One clause.
    pub(crate) cause: String,
    /// One sentence, in the imperative.
    pub(crate) remedy: String,
}

impl Diagnosis {
    fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

/// Why a service ended that should have gone on.
pub(crate) fn of_end(spec: &ServiceSpec, exit: Option<Exit>, lines: &[String]) -> Diagnosis {
    let said = |words: &str| {
        lines
            .iter()
            .any(|line| line.to_lowercase().contains(&words.to_lowercase()))
    };
    if said("address already in use") || said("unable to bind") {
        return port_taken(spec);
    }
    if said("no space left on device") {
        return Diagnosis::new(
            "the disk is full",
            "free some space (docker system df, df -h)",
        );
    }
    if said("error while loading shared libraries") || exit == Some(Exit::Code(127)) {
        return Diagnosis::new(
            "it misses a shared library",
            format!("build it on this machine: lab build {}", spec.image),
        );
    }
    if said("invalid parameter -ipcbind") {
        return Diagnosis::new(
            "this Bitcoin Core has no mining interface (IPC): it is older than 30, or built without",
            "use the one built here (unset BITCOIN_NODE), another one of 30 or newer, or \
             source = \"rpc\" for its template providers",
        );
    }
    if said("cannot obtain a lock on") {
        return Diagnosis::new(
            "another Bitcoin Core uses its data directory",
            "end that one, or use another lab with --name",
        );
    }
    if said("permission denied") {
        return Diagnosis::new(
            "it may not use a file of its own",
            "remove the lab and start afresh: lab down, then lab up",
        );
    }
    match exit {
        Some(Exit::Code(code)) if code == i32::from(EXIT_USAGE) => Diagnosis::new(
            "it refuses its configuration",
            "correct the settings it names in the topology; if it names one you did not set, \
             lab and service are of different versions: build both",
        ),
        Some(Exit::Code(0)) => Diagnosis::new(
            "it considers itself done",
            "look for a setting that ends it, such as until_blocks",
        ),
        Some(Exit::Signal(9)) => Diagnosis::new(
            "somebody killed it, or memory ran out",
            "look at dmesg and at free memory (free -m)",
        ),
        _ => Diagnosis::new(
            "its last words are",
            format!(
                "if they do not tell enough: lab logs {}, which lab up leaves with --keep",
                spec.name
            ),
        ),
    }
}

/// Why a service that runs will never be ready, if its words say so: waiting does not help.
pub(crate) fn of_wait(line: &str) -> Option<Diagnosis> {
    if line.contains("is not signed by authority key") {
        return Some(Diagnosis::new(
            "it was given another public key than the server has",
            "correct the key; a swapped program needs ${authority_public_key} and \
             ${authority_secret_key} in its configuration",
        ));
    }
    let clocks = line.contains("certificate is valid from") || line.contains("certificate expired");
    clocks.then(|| {
        Diagnosis::new(
            "its clock and the server's are apart",
            "set the clocks right (timedatectl), or restart the server: lab restart",
        )
    })
}

fn port_taken(spec: &ServiceSpec) -> Diagnosis {
    let holder = spec
        .ports
        .iter()
        .find_map(|port| Some((port.number, port::holder(spec.address, port.number)?)));
    match holder {
        Some((number, holder)) => Diagnosis::new(
            format!("port {number} of {} is held by {holder}", spec.address),
            "end that program, or give the lab other addresses with --subnet",
        ),
        None => Diagnosis::new(
            format!("one of its ports on {} was taken", spec.address),
            "start again, or give the lab other addresses with --subnet",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fake;

    #[track_caller]
    fn check(exit: Exit, line: &str, cause: &str, remedy: &str) {
        let spec = fake::spec("pool", &[]);
        let found = of_end(&spec, Some(exit), &[line.to_owned()]);
        assert!(found.cause.contains(cause), "{found:?}");
        assert!(found.remedy.contains(remedy), "{found:?}");
    }

    #[test]
    fn a_wrong_key_and_a_wrong_clock_are_known_while_a_service_waits() {
        let remedy = |line: &str| of_wait(line).map(|diagnosis| diagnosis.remedy);
        let key = "the server's certificate is not signed by authority key 9x; check";
        assert!(remedy(key).unwrap().contains("correct the key"));
        for clock in [
            "the server's certificate is valid from 9, it is 5 here; check the clocks",
            "the server's certificate expired at 5, it is 9 here; check the clocks",
        ] {
            assert!(remedy(clock).unwrap().contains("clocks"));
        }
        assert_eq!(remedy("connected upstream=10.10.0.5:34254"), None);
    }

    #[test]
    fn known_ends_get_a_cause_and_a_remedy() {
        check(
            Exit::Code(64),
            "x: unknown key",
            "refuses its configuration",
            "topology",
        );
        check(
            Exit::Code(1),
            "Error: Cannot obtain a lock on /d",
            "data directory",
            "--name",
        );
        check(
            Exit::Code(1),
            "write: No space left on device",
            "disk is full",
            "free",
        );
        check(Exit::Code(127), "", "shared library", "lab build pool");
        check(Exit::Signal(9), "", "killed", "memory");
        check(Exit::Code(0), "", "done", "until_blocks");
        check(
            Exit::Code(1),
            "bind: Address already in use",
            "ports",
            "--subnet",
        );
        check(Exit::Signal(11), "boom", "last words", "--keep");
        check(
            Exit::Code(1),
            "Error: Error parsing command line arguments: Invalid parameter -ipcbind=unix:x",
            "no mining interface",
            "30 or newer",
        );
    }
}
