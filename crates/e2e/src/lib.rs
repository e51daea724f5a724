//! End-to-end tests of the lab: real programs, real containers, real Bitcoin Core.
//!
//! Everything is in `tests/it`; run it with `./scripts/test.sh`.
