//! The `pool` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::role::main::<pool::Pool>()
}
