//! Every service is killed in turn; blocks go on.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::site::{Backend, Site, until};

#[tokio::test(flavor = "multi_thread")]
async fn blocks_go_on_after_each_process_is_killed() {
    survives(Backend::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_go_on_after_each_container_is_killed() {
    if Backend::Docker.is_testable() {
        survives(Backend::Docker).await;
    }
}

async fn survives(backend: Backend) {
    let (site, _) = Site::up(backend);
    for service in ["btc-node", "template-provider", "pool", "mining-device"] {
        let before = status_of(&site, service);
        let pid = before["pid"]
            .as_i64()
            .unwrap_or_else(|| panic!("{service}: {before}"));
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
        until(service, async || {
            let now = status_of(&site, service);
            let again = now["pid"] != before["pid"] && now["ready"] == true;
            if again { Ok(()) } else { Err(now.to_string()) }
        })
        .await;
        let mined = until(service, async || {
            let output = site.lab(&["mine", "1", "--json"]);
            let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() {
                Ok(output)
            } else {
                Err(refusal)
            }
        })
        .await;
        let mined = crate::site::last_json(&mined);
        assert_eq!(mined["mined_by"], "device", "after {service} was killed");
    }
}

fn status_of(site: &Site, service: &str) -> Value {
    let status = site.json(&["status"]);
    let services = status["services"].as_array().unwrap();
    let found = services.iter().find(|report| report["name"] == service);
    found
        .unwrap_or_else(|| panic!("no {service} in {status}"))
        .clone()
}
