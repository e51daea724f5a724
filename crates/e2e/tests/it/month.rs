//! A lab that lay still for a month: the clock went on, the chain is old.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use orchestrator::image;
use orchestrator::programs::Programs;
use serde_json::Value;
use tempfile::TempDir;

use crate::site::{Backend, Site, last_json, program, until};

const DAY: i64 = 24 * 60 * 60;

/// The programs of a lab, which take the time from a clock that can be moved.
struct Clock {
    directory: TempDir,
    library: PathBuf,
}

impl Clock {
    /// Nothing where there is no libfaketime (Debian's package of that name).
    fn new() -> Option<Self> {
        let library = library()?;
        let directory = tempfile::tempdir().unwrap();
        let programs = Programs::from_env();
        for name in image::names().flat_map(image::programs_of) {
            let real = match *name {
                core if core.starts_with("bitcoin-") => programs.find(core).unwrap(),
                role => program(role),
            };
            let script = format!(
                "#!/bin/sh\nexport LD_PRELOAD={} FAKETIME=$(cat {}) FAKETIME_DONT_FAKE_MONOTONIC=1\n\
                 exec {} \"$@\"\n",
                library.display(),
                directory.path().join("offset").display(),
                real.display()
            );
            let path = directory.path().join(name);
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let clock = Self { directory, library };
        clock.set("+0d");
        Some(clock)
    }

    fn set(&self, offset: &str) {
        std::fs::write(self.directory.path().join("offset"), offset).unwrap();
    }

    /// Runs `lab`, which goes by the same clock.
    fn lab(&self, site: &Site, arguments: &[&str]) -> Value {
        let offset = std::fs::read_to_string(self.directory.path().join("offset")).unwrap();
        let output = site
            .command(arguments)
            .env("LAB_BIN_DIR", self.directory.path())
            .env("BITCOIN_NODE", self.directory.path().join("bitcoin-node"))
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME", offset)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .output();
        last_json(&output.unwrap())
    }
}

fn library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let found = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|path| path.is_file())
}

/// Bitcoin Core takes a node whose tip is older than a day for one that has to catch up, and gives
/// no templates then; certificates and tokens of a month ago are no good.
#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_is_started_after_a_month_mines_at_once() {
    let Some(clock) = Clock::new() else {
        eprintln!("no libfaketime here: THE CLOCK IS NOT MOVED");
        return;
    };
    let site = Site::new(Backend::Process);
    clock.lab(&site, &site.up_arguments(&["full"]));
    clock.lab(&site, &["stop", "--json"]);
    clock.set("+30d");
    clock.lab(&site, &["start", "--json"]);

    let lab = site.open().await;
    let rpc = lab.rpc().unwrap();
    let time_at = async |height: u64| {
        let hash = rpc.block_hash(height).await.unwrap();
        i64::from(rpc.block(hash).await.unwrap().header.time)
    };
    let mut height = 101;
    let (last, first) = until("a block of this month", async || {
        let tip = rpc.block_count().await.map_err(|error| error.to_string())?;
        while height < tip {
            let (before, after) = (time_at(height).await, time_at(height + 1).await);
            if after > before + 29 * DAY {
                return Ok((before, after));
            }
            height += 1;
        }
        Err(format!("height {tip}"))
    })
    .await;
    assert!(first - last < 31 * DAY, "{last} {first}");
    let verified = clock.lab(&site, &["verify", "--json"]);
    assert_eq!(verified["verified"], true, "{verified}");
}
