//! Failures that a person can do something about: their cause, their remedy, their exit code.

use daemon::node::NodeError;

/// Exit code of a command that failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of a wrong command line, topology or option (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Exit code when something the lab needs is not there: a lab, a daemon, a port, a program
/// (`EX_UNAVAILABLE`).
pub const EXIT_UNAVAILABLE: u8 = 69;
/// Exit code after Ctrl-C or SIGTERM.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Something that was started did not work.
    Failed,
    /// What was asked for makes no sense; asking again the same way cannot succeed.
    Usage,
    /// The machine lacks something, or somebody else holds it.
    Unavailable,
}

/// A failure with its remedy.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct Fault {
    /// Decides the exit code.
    pub kind: FaultKind,
    /// What is wrong, with its name and value.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// Something that was started did not work.
    pub fn failed(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(FaultKind::Failed, cause, remedy)
    }

    /// A wrong command line, topology or option.
    pub fn usage(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(FaultKind::Usage, cause, remedy)
    }

    /// Something the lab needs is missing or taken.
    pub fn unavailable(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(FaultKind::Unavailable, cause, remedy)
    }

    fn new(kind: FaultKind, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

/// The fault at the bottom of an error, if it carries one.
pub fn find(error: &anyhow::Error) -> Option<&Fault> {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Fault>())
}

/// What an error amounts to for a person: the fault it carries, or one that its causes tell.
pub fn of(error: &anyhow::Error) -> Option<Fault> {
    if let Some(fault) = find(error) {
        return Some(fault.clone());
    }
    let is_full = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
            || cause
                .to_string()
                .to_lowercase()
                .contains("no space left on device")
    };
    if error.chain().any(is_full) {
        return Some(Fault::failed(
            "the disk is full",
            "free some space (df -h, docker system df), then: lab down, and lab up",
        ));
    }
    let mut node = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<NodeError>());
    if node.any(|error| matches!(error, NodeError::Unreachable { .. })) {
        return Some(Fault::unavailable(
            "the lab's node does not answer",
            "see whether it runs (lab status), and start it: lab start",
        ));
    }
    let mut docker = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<bollard::errors::Error>());
    let is_gone = |error: &bollard::errors::Error| {
        !matches!(
            error,
            bollard::errors::Error::DockerResponseServerError { .. }
        )
    };
    docker.any(is_gone).then(|| {
        Fault::unavailable(
            "the Docker daemon went away",
            "see whether it runs (docker info), start it, and then: lab down, and lab up",
        )
    })
}

/// The documented exit code of an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match of(error).map(|fault| fault.kind) {
        Some(FaultKind::Usage) => EXIT_USAGE,
        Some(FaultKind::Unavailable) => EXIT_UNAVAILABLE,
        Some(FaultKind::Failed) | None => EXIT_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn exit_code_survives_added_context() {
        let result: Result<(), Fault> = Err(Fault::usage("'x' is no subnet", "write A.B.C.0/24"));
        let error = result.context("reading --subnet").unwrap_err();
        assert_eq!(exit_code(&error), EXIT_USAGE);
        assert_eq!(find(&error).unwrap().remedy, "write A.B.C.0/24");
    }

    #[test]
    fn a_full_disk_is_told_by_any_cause() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = anyhow::Error::new(full).context("writing the log");
        assert!(of(&error).unwrap().remedy.contains("free some space"));
        let error = anyhow::anyhow!("write /layer.tar: no space left on device");
        assert_eq!(of(&error).unwrap().cause, "the disk is full");
    }

    #[test]
    fn a_daemon_that_answers_is_there_and_one_that_does_not_has_gone() {
        use bollard::errors::Error;
        let refused = Error::DockerResponseServerError {
            status_code: 409,
            message: "no".to_owned(),
        };
        assert!(of(&anyhow::Error::new(refused)).is_none());
        let error = anyhow::Error::new(Error::RequestTimeoutError).context("starting pool");
        assert!(of(&error).unwrap().cause.contains("went away"));
        assert_eq!(exit_code(&error), EXIT_UNAVAILABLE);
    }

    #[test]
    fn an_error_without_a_fault_exits_with_1() {
        assert_eq!(exit_code(&anyhow::anyhow!("boom")), EXIT_FAILED);
    }
}
