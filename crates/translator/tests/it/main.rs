//! The whole program, between upstreams and miners that a test plays, well or badly.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod channels;
mod hostile;
mod miners;
mod outage;
mod site;
