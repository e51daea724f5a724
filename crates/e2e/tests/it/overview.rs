//! The overview in Python reads what every role of a whole lab tells.

use std::process::Command;

use crate::site::{Backend, Site, last_json, program};

#[test]
fn the_overview_in_python_is_of_every_role() {
    let site = Site::new(Backend::Process);
    last_json(&site.lab(&site.up_arguments(&["full"])));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../py-scripts/main.py");
    let output = Command::new("python3")
        .args([script, "--name", &site.name])
        .env("LAB", program("lab"))
        .env("SV2_LAB_HOME", site.home())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "pool: ",
        "pool block ",
        "jdc block ",
        "of a declared job",
        "jds: ",
        "active",
    ] {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
}
