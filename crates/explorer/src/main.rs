//! The `explorer` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::role::main::<explorer::Explorer>()
}
