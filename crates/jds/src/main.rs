//! The `jds` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::role::main::<jds::Jds>()
}
