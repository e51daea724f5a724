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
    "hashrate-overstated",
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
    "share-is-no-block",
    "slow-link",
    "soak",
    "solo-fallback",
    "standard-channel-at-jdc",
    "start-without-node",
    "tampered-share",
    "template-provider-restart",
    "ten-miners",
    "two-nodes-agree",
    "unnoticed-tip",
    "wrong-configuration",
];
