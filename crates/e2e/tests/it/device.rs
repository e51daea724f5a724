//! The mining device by itself, against the lab's pool.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::site::{Backend, Site, program};

#[tokio::test(flavor = "multi_thread")]
async fn both_kinds_of_channel_mine_until_enough_blocks_and_report() {
    let (site, _) = Site::up(Backend::Process);
    let lab = site.open().await;
    let pool = lab.service("pool").unwrap().socket("mining").unwrap();
    // A block of the lab's own device would make some of the other's shares stale.
    site.json(&["stop", "mining-device"]);
    let rpc = lab.rpc().unwrap();
    for (channel, channels) in [("standard", "1"), ("extended", "3")] {
        let before = rpc.block_count().await.unwrap();
        let device = Command::new(program("mining-device"))
            .args(["--pool-address", &pool.to_string()])
            .args(["--pool-public-key", &lab.secrets().authority_public_key])
            .args(["--user-identity", "visitor", "--channel", channel])
            .args(["--channels", channels, "--cpu-percent", "90"])
            // So slow that each share is found at once, however busy the machine is.
            .args(["--nominal-hashrate", "1"])
            .args([
                "--threads",
                "2",
                "--share-interval",
                "0.2",
                "--until-blocks",
                "3",
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&device.stderr);
        assert!(device.status.success(), "{channel}: {stderr}");
        let report: Value = serde_json::from_slice(&device.stdout).unwrap();
        assert_eq!(report["blocks_accepted"], 3, "{report}");
        assert_eq!(
            report["shares_rejected"].as_object().unwrap().len(),
            0,
            "{report}"
        );
        assert!(report["hashes"].as_u64().unwrap() > 0, "{report}");
        let height = rpc.block_count().await.unwrap();
        assert!(height >= before + 3, "{channel}");
    }
}
