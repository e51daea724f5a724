//! Tasks that follow others: each owns what it learns, and publishes it.

pub(crate) mod conditions;
pub(crate) mod service;
mod stream;
pub(crate) mod tip;
