//! The `translator` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::role::main::<translator::Translator>()
}
