//! The program; see the library.

use std::process::ExitCode;

use template_provider::TemplateProvider;

fn main() -> ExitCode {
    daemon::role::main::<TemplateProvider>()
}
