//! The `relay` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::role::main::<relay::Relay>()
}
