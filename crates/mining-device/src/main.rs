//! The `mining-device` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::role::main::<mining_device::MiningDevice>()
}
