//! The entry point for libFuzzer. `FUZZ_TARGET` names the target; with `FUZZ_SEEDS` its seeds are
//! written into that directory first.

#![no_main]

use std::sync::OnceLock;

use fuzz::Target;

static TARGET: OnceLock<&Target> = OnceLock::new();

fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let Some(target) = Target::named(&name) else {
        let names = Target::ALL.map(|target| target.name).join(", ");
        eprintln!("FUZZ_TARGET={name:?}: expected one of {names}");
        std::process::exit(64);
    };
    if let Some(directory) = std::env::var_os("FUZZ_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            let file = std::path::Path::new(&directory).join(format!("seed-{number}"));
            std::fs::write(&file, seed).expect("the directory for seeds is writable");
        }
    }
    TARGET.get_or_init(|| target);
}

libfuzzer_sys::fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(bytes);
    }
});
