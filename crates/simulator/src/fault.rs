//! Faults put in on purpose, to show that the properties see them.

/// What is broken in a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The pool does not send messages of this type.
    Swallowed(u8),
    /// The pool sends messages of this type twice.
    Repeated(u8),
    /// The pool acknowledges shares half a second late.
    LateAnswers,
    /// The pool says that shares are recorded before they are.
    EarlyAcknowledgements,
    /// The pool keeps fewer jobs than it says.
    FewerJobs,
    /// The pool gives all connections the same part of the search space.
    SamePrefix,
    /// The pool does not tell of blocks.
    ForgottenBlocks,
    /// The pool does not tell of accepted shares.
    ForgottenShares,
    /// The pool does not tell of closed channels.
    ForgottenCloses,
    /// The pool sets targets that every hash meets.
    EasyTargets,
    /// Miners do not hear of new tips.
    DeafMiners,
    /// Miners submit whatever they find.
    CarelessMiners,
}
