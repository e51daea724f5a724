//! The `jdc` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::role::main::<jdc::Jdc>()
}
