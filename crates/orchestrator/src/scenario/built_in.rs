//! The scenarios that come with the program.

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!("../../../../scenarios/", $name, ".toml")),
        )),*]
    };
}

/// Their texts, by name.
pub const BUILT_IN: &[(&str, &str)] = built_in![
    "another-way-to-the-chain",
    "block",
    "dead-at-start",
    "duplicate-workers",
    "extended-channel",
    "fallback-and-return",
    "hard-tip",
    "hashrate-overstated",
    "hashrate-understated",
    "hostile-peer",
    "jdc-restart-under-load",
    "job-declarator-outage",
    "many-miners-at-pool",
    "miner-churn",
    "new-block-boundary",
    "node-outage",
    "node-stands-still",
    "partition",
    "power-cut",
    "reorg-under-load",
    "share-is-not-a-block",
    "single-share",
    "slow-link",
    "soak",
    "solo-fallback",
    "standard-channel-at-jdc",
    "standard-jobs",
    "start-without-node",
    "sv1-miners",
    "sv1-miners-apart",
    "sv1-miners-at-jdc",
    "tampered-share",
    "template-provider-restart",
    "ten-miners",
    "two-nodes-agree",
    "unnoticed-tip",
    "wrong-configuration",
];
