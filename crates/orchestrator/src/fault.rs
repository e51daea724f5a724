//! Failures that a person can do something about: their cause, their remedy, their exit code.

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

/// The documented exit code of an error.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    match find(error).map(|fault| fault.kind) {
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
    fn an_error_without_a_fault_exits_with_1() {
        assert_eq!(exit_code(&anyhow::anyhow!("boom")), EXIT_FAILED);
    }
}
