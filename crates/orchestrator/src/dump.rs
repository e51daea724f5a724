//! One archive for a bug report: everything that tells how a lab is, and none of its secrets.

use anyhow::{Context, Result};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::backend::LogRange;
use crate::doctor::{Facts, examine};
use crate::image::layer::{Layer, Owner};
use crate::lab::Lab;
use crate::rpc::{self, Rpc};
use crate::secrets::Secrets;

/// Lines of each log.
const LINES: usize = 20_000;
/// Messages of each link.
const MESSAGES: usize = 1000;
/// What every role is asked.
const ROUTES: &[&str] = &[
    "/healthz",
    "/metrics",
    "/api/v1/status",
    "/api/v1/global",
    "/api/v1/clients",
    "/api/v1/blocks",
    "/api/v1/workers",
    "/api/v1/shares/recent",
    "/api/v1/declarations",
    "/api/v1/declared-jobs",
    "/api/v1/upstreams",
    "/api/v1/links",
];
/// What every node is asked.
const CALLS: &[&str] = &[
    "getblockchaininfo",
    "getchaintips",
    "getmempoolinfo",
    "getnetworkinfo",
    "getpeerinfo",
];

/// The archive (tar) of a lab, with what the doctor found. Every text goes through
/// [`without_secrets`].
///
/// # Errors
/// The lab's directory cannot be read; whoever does not answer is left out.
pub async fn archive(lab: &Lab, facts: &Facts) -> Result<Vec<u8>> {
    let root = format!("lab-{}", lab.name());
    let mut files = Layer::default();
    let mut add = |path: String, text: &str| {
        let text = without_secrets(text, lab.secrets());
        files.text(&format!("{root}/{path}"), &text, 0o644, Owner::Root);
    };
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let about = json!({
        "program": env!("CARGO_PKG_VERSION"),
        "backend": lab.backend(),
        "system": system(),
    });
    add("about.json".to_owned(), &pretty(&about));
    add("topology.toml".to_owned(), lab.topology_text());
    add("doctor.json".to_owned(), &pretty(&json!(examine(facts))));
    if let Ok(status) = lab.status().await {
        add("status.json".to_owned(), &pretty(&json!(status)));
    }
    let http = rpc::http_client();
    for spec in lab.services() {
        let name = &spec.name;
        for file in &spec.files {
            let file_name = file.path.file_name().context("it is a file")?;
            let path = format!("{name}/{}", file_name.to_string_lossy());
            add(path, &file.text);
        }
        add(format!("{name}/log.txt"), &log(lab, name).await);
        if let Some(address) = spec.socket("http") {
            for route in ROUTES {
                let url = format!("http://{address}{route}");
                if let Ok(answer) = http.get(url).send().await
                    && answer.status().as_u16() != 404
                    && let Ok(text) = answer.text().await
                {
                    add(format!("{name}/http{}", route.replace('?', "-")), &text);
                }
            }
        }
        if let Some(address) = spec.socket("rpc") {
            let rpc = Rpc::new(address, lab.secrets());
            for call in CALLS {
                if let Ok(answer) = rpc.call::<Value>(call, json!([])).await {
                    add(format!("{name}/rpc/{call}.json"), &pretty(&answer));
                }
            }
        }
    }
    if let Ok(relay) = lab.relay() {
        for link in relay.links().await.unwrap_or_default() {
            let messages = relay
                .messages(&link.name, MESSAGES)
                .await
                .unwrap_or_default();
            let lines: Vec<_> = messages
                .iter()
                .filter_map(|message| serde_json::to_string(message).ok())
                .collect();
            let path = format!("links/{}.jsonl", link.name.replace(':', "_"));
            add(path, &lines.join("\n"));
        }
    }
    files.to_bytes()
}

/// A text in which the name of each secret stands in its place.
pub fn without_secrets(text: &str, secrets: &Secrets) -> String {
    let mut text = text.to_owned();
    for (name, secret) in secrets.all() {
        text = text.replace(&secret, &format!("<{name} removed>"));
    }
    text
}

fn system() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    json!({
        "kernel": read("/proc/version").trim(),
        "release": read("/etc/os-release"),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "memory": read("/proc/meminfo").lines().next(),
        "load": read("/proc/loadavg").trim(),
    })
}

async fn log(lab: &Lab, service: &str) -> String {
    let range = LogRange {
        tail: LINES,
        follow: false,
    };
    let Ok(lines) = lab.logs(service, range).await else {
        return String::new();
    };
    let lines: Vec<String> = lines.filter_map(async |line| line.ok()).collect().await;
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_stays_in_a_text() {
        let secrets = Secrets::generate(&mut rand::thread_rng());
        let text = serde_json::to_string(&secrets).unwrap();
        let safe = without_secrets(&text, &secrets);
        assert!(safe.contains("<rpc_password removed>"), "{safe}");
        assert!(safe.contains(&secrets.authority_public_key), "{safe}");
        for (name, secret) in secrets.all() {
            assert!(!safe.contains(&secret), "{name}");
        }
        // A secret that is added later is either public or in the list.
        let fields = serde_json::to_value(&secrets).unwrap();
        let public = ["authority_public_key", "rpc_user"];
        let hidden = fields.as_object().unwrap().keys();
        let hidden = hidden.filter(|key| !public.contains(&key.as_str()));
        let listed = secrets.all().map(|(name, _)| name);
        for key in hidden {
            assert!(listed.contains(&key.as_str()), "{key}");
        }
    }
}
