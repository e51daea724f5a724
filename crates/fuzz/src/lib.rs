//! Feeds bytes that nobody chose to everything that parses and to every core that a peer reaches.
//!
//! A [`Target`] takes any bytes and must not panic, nor break one of the promises it checks. Two
//! things run targets: `cargo test`, over seeds, corpus and some thousand mutations of both; and
//! libFuzzer, guided by coverage, for as long as one likes (`scripts/fuzz.sh`). What that finds goes
//! into `corpus/`, which the tests then always run.
//!
//! Cores are not fed ciphertext, of which no mutation would ever decrypt, but plaintext frames; the
//! bytes in front of the cipher have targets of their own.

mod script;
mod stage;
mod target;

/// Something to feed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its module and of its directory in `corpus/`.
    pub name: &'static str,
    /// Takes any bytes; panics when it has found something.
    pub run: fn(&[u8]),
    /// Bytes that mean something, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        [$(Target {
            name: stringify!($name),
            run: target::$name::run,
            seeds: target::$name::seeds,
        }),*]
    };
}

impl Target {
    /// All there are.
    pub const ALL: [Self; 18] = targets![
        coinbase,
        custom_work_client,
        declaration_client,
        declaration_server,
        extension,
        frame,
        message,
        mining_client,
        mining_server,
        node,
        noise,
        provider_client,
        setup,
        stratum_v1,
        template_server,
        text,
        token,
        translator,
    ];

    /// The one called so.
    pub fn named(name: &str) -> Option<&'static Self> {
        const ALL: &[Target] = &Target::ALL;
        ALL.iter().find(|target| target.name == name)
    }
}
