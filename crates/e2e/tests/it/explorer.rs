//! The explorer beside a whole lab, in a browser.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use daemon::node::{NodeError, NodeRpc};
use orchestrator::lab::Lab;
use orchestrator::secrets::RPC_READER;
use regtest::{Port, free_port};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::accessibility::audit;
use crate::browser::Browser;
use crate::site::{Backend, Site, last_json, program, until};

/// Both ways of mining, each with a miner.
const TOPOLOGY: &str = "\
about = 'Declared jobs and a pool of its own mind, with an explorer beside them'
[services.btc-node]
kind = 'btc-node'
[services.template-provider]
kind = 'template-provider'
[services.pool]
kind = 'pool'
pool_signature = 'SIGNATURE'
[services.jds]
kind = 'jds'
[services.jdc]
kind = 'jdc'
jdc_signature = '/farm/'
upstreams = [{ pool = 'pool', jds = 'jds', user_identity = 'farm' }]
[services.rig]
kind = 'mining-device'
pool = 'jdc'
user_identity = 'farm.rig'
device_id = 'rig'
host = 20
share_interval = 30.0
[services.mining-device]
kind = 'mining-device'
pool = 'pool'
user_identity = 'WORKER'
device_id = 'mining-device'
share_interval = 30.0
";

/// A name that must do no harm.
const MARKUP: &str = "<script>alert(2)</script>";

/// Who connects to whom in it.
const LINKS: [(&str, &[&str]); 6] = [
    ("mining-device", &["pool"]),
    ("rig", &["jdc"]),
    ("jdc", &["pool", "jds", "template-provider"]),
    ("pool", &["template-provider", "btc-node"]),
    ("jds", &["btc-node"]),
    ("template-provider", &["btc-node"]),
];

/// An explorer; it is killed when it is dropped.
struct Explorer {
    port: Port,
    directory: TempDir,
    process: Child,
}

impl Explorer {
    fn beside(lab: &Lab) -> Self {
        let secrets = lab.secrets();
        let port = free_port();
        let mut config = format!(
            "listen_address = \"127.0.0.1:{port}\"\nlab_name = \"lab\"\n[node]\n\
             rpc_address = \"{}\"\nrpc_user = \"{RPC_READER}\"\nrpc_password = \"{}\"\n\
             [actions]\nenabled = true\nrpc_user = \"{}\"\nrpc_password = \"{}\"\n\
             faucet_key = \"{}\"\n",
            lab.rpc_address().unwrap(),
            secrets.rpc_reader_password(),
            secrets.rpc_user,
            secrets.rpc_password,
            secrets.wallet_key,
        );
        for (name, links) in LINKS {
            let kind = if name == "rig" { "mining-device" } else { name };
            let address = lab.service(name).unwrap().socket("http").unwrap();
            config += &format!(
                "[[services]]\nname = \"{name}\"\nkind = \"{kind}\"\naddress = \"{address}\"\n\
                 links = {links:?}\n"
            );
        }
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("config.toml"), config).unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let process = Command::new(program("explorer"))
            .arg("--config")
            .arg(directory.path().join("config.toml"))
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            port,
            directory,
            process,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Waits until `path` tells what is wanted.
    async fn until<T>(&self, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        until(path, async || {
            let answer = reqwest::get(self.url(path))
                .await
                .map_err(|error| error.to_string())?;
            let value: Value = answer.json().await.map_err(|error| error.to_string())?;
            wanted(&value).ok_or_else(|| value.to_string())
        })
        .await
    }

    /// The newest block of a kind.
    async fn block(&self, origin: &str) -> String {
        self.until("/api/v1/blocks", |blocks| {
            let mut blocks = blocks["items"].as_array()?.iter();
            let block = blocks.find(|block| block["credit"]["origin"] == origin)?;
            Some(block["hash"].as_str()?.to_owned())
        })
        .await
    }

    /// Waits until everything is ready.
    async fn sees_everybody(&self) {
        self.until("/api/v1/about", |about| {
            let services = about["services"].as_array()?;
            services
                .iter()
                .all(|service| service["state"] == "ready")
                .then_some(())
        })
        .await;
        self.until("/healthz", |health| (health["ready"] == true).then_some(()))
            .await;
    }
}

impl Drop for Explorer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log"));
            eprintln!("--- explorer\n{}", log.unwrap_or_default());
        }
    }
}

/// Where pictures go, if anybody wants some.
fn pictures() -> Option<PathBuf> {
    std::env::var_os("EXPLORER_PICTURES").map(PathBuf::from)
}

/// Has a device find a block now.
async fn mine(lab: &Lab, device: &str) {
    let address = lab.service(device).unwrap().socket("http").unwrap();
    let url = format!("http://{address}/api/v1/mine?blocks=1");
    let sent = reqwest::Client::new().post(url).send().await.unwrap();
    assert!(sent.status().is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_shows_the_lab_as_it_works() {
    let topology = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    // Pictures are for people, who would wonder.
    let (worker, signature) = match pictures() {
        Some(_) => ("lab.cpu", "/sv2-lab/"),
        None => (MARKUP, "/<img src=x onerror=alert(1)>/"),
    };
    let text = TOPOLOGY
        .replace("WORKER", worker)
        .replace("SIGNATURE", signature);
    std::fs::write(topology.path(), text).unwrap();
    let path = topology.path().display().to_string();
    let site = Site::new(Backend::Process);
    last_json(&site.lab(&site.up_arguments(&[&path])));
    let lab = site.open().await;
    let explorer = Explorer::beside(&lab);
    explorer.sees_everybody().await;
    let mut browser = Browser::start().await;
    browser.look(1320, 900, "light").await;

    a_new_block_appears_without_a_reload(&explorer, &mut browser, &lab).await;
    stories_name_miner_and_path(&explorer, &mut browser, &lab, worker).await;
    templates_name_their_jobs(&explorer, &mut browser).await;
    search_works(&explorer, &mut browser, &lab).await;
    if let Some(directory) = pictures() {
        take_pictures(&explorer, &mut browser, &lab, &directory).await;
    }
    a_reorganisation_is_shown(&explorer, &mut browser, &lab).await;
    every_page_is_accessible(&explorer, &mut browser, &lab).await;
    who_is_away_is_shown(&explorer, &mut browser, &site).await;
    assert_eq!(browser.complaints, Vec::<String>::new());
}

async fn a_new_block_appears_without_a_reload(
    explorer: &Explorer,
    browser: &mut Browser,
    lab: &Lab,
) {
    browser.open(&explorer.url("/")).await;
    let nodes = "document.querySelectorAll('.map a[data-state=ready]').length";
    browser
        .until(&format!("{nodes} === {}", LINKS.len() + 1))
        .await;
    browser.value("window.loadedOnce = true").await;
    for device in ["mining-device", "rig"] {
        let before = browser
            .text("#blocks tbody tr:first-child td:nth-child(2)")
            .await;
        mine(lab, device).await;
        let row = "document.querySelector('#blocks tbody tr:first-child td:nth-child(2)')";
        browser
            .until(&format!("{row}.textContent.trim() !== {before:?}"))
            .await;
    }
    assert_eq!(browser.value("window.loadedOnce").await, true);
    // The page may have known before it was told.
    let announced = "document.querySelector('#announce').textContent.startsWith('New block')";
    browser.until(announced).await;
}

async fn stories_name_miner_and_path(
    explorer: &Explorer,
    browser: &mut Browser,
    lab: &Lab,
    worker: &str,
) {
    let rpc = lab.rpc().unwrap();
    let address = lab.wallet().unwrap().address().to_string();
    rpc.generate(1, &address).await.unwrap();
    for (origin, miner, path, chosen) in [
        (
            "declared",
            "farm.rig",
            "rig jdc pool template-provider btc-node",
            "jdc, by way of template-provider",
        ),
        (
            "pool_template",
            worker,
            "mining-device pool template-provider btc-node",
            "pool, by way of template-provider",
        ),
        ("rpc", "", "btc-node", "btc-node"),
    ] {
        let hash = explorer.block(origin).await;
        browser.open(&explorer.url(&format!("/block/{hash}"))).await;
        let hops =
            "[...document.querySelectorAll('#path li')].map((hop) => hop.textContent.trim())";
        browser
            .until(&format!("{hops}.join(' ') === {path:?}"))
            .await;
        for (id, text) in [("miner", miner), ("chosen", chosen)] {
            let said = format!("document.querySelector('#{id}')?.textContent.trim() ?? ''");
            browser.until(&format!("({said}) === {text:?}")).await;
        }
        if origin != "rpc" {
            // Who is nearest to the miner tells what a share takes.
            let nearest = if origin == "declared" { "jdc" } else { "pool" };
            let target = "document.querySelector('#share-target')?.textContent ?? ''";
            let is_told = format!("({target}).includes('of {nearest},')");
            browser.until(&is_told).await;
            let steps =
                "[...document.querySelectorAll('.steps .title')].map((step) => step.textContent)";
            // A story grows while those who know parts of it are asked.
            let mut awaited = vec!["Template sent", "Share found", "The node's verdict"];
            if origin == "declared" {
                awaited.push("Declaration accepted");
            }
            for step in awaited {
                browser.until(&format!("{steps}.includes({step:?})")).await;
            }
            let titles = browser.value(steps).await;
            let titles: Vec<&str> = titles
                .as_array()
                .unwrap()
                .iter()
                .flat_map(Value::as_str)
                .collect();
            assert_eq!(titles[0], "Template sent", "{titles:?}");
            let is_declared = titles.contains(&"Declaration accepted");
            assert_eq!(is_declared, origin == "declared", "{titles:?}");
        }
        // Markup in a signature or a name is text.
        assert_eq!(
            browser
                .value("document.querySelectorAll('main img, main script').length")
                .await,
            0
        );
    }
    browser.open(&explorer.url("/miners")).await;
    let text = browser.text("#miners").await;
    assert!(text.contains(worker) && text.contains("farm.rig"), "{text}");
}

/// What each provider's client was sent, and what it made of that.
async fn templates_name_their_jobs(explorer: &Explorer, browser: &mut Browser) {
    for user in ["pool", "jdc"] {
        let is_told = |template: &Value| {
            let used = &template["used"];
            let has_jobs = used["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty());
            used["by"] == user && used["is_current"] == true && has_jobs && template["fees"] == 0
        };
        explorer
            .until("/api/v1/work", |work| {
                let mut templates = work["providers"][0]["templates"].as_array()?.iter();
                templates.find(|template| is_told(template)).map(drop)
            })
            .await;
    }
    browser.open(&explorer.url("/work")).await;
    browser
        .until("document.querySelectorAll('#work td .badge.active').length >= 3")
        .await;
}

async fn search_works(explorer: &Explorer, browser: &mut Browser, lab: &Lab) {
    let address = lab.wallet().unwrap().address().to_string();
    for (query, path) in [
        ("101".to_owned(), "/block/101".to_owned()),
        (address.clone(), format!("/address/{address}")),
        ("farm.rig".to_owned(), "/worker".to_owned()),
    ] {
        browser.open(&explorer.url("/")).await;
        let form = format!(
            "const field = document.querySelector('input[name=q]'); field.value = {query:?}; \
             field.form.requestSubmit()"
        );
        browser.value(&format!("(() => {{ {form} }})()")).await;
        browser
            .until(&format!("location.pathname === {path:?}"))
            .await;
        browser.until("document.readyState === 'complete'").await;
    }
}

async fn a_reorganisation_is_shown(explorer: &Explorer, browser: &mut Browser, lab: &Lab) {
    browser.open(&explorer.url("/tips")).await;
    browser.value("window.loadedOnce = true").await;
    let old_tip = explorer
        .until("/api/v1/home", |home| {
            Some(home["blocks"][0]["hash"].as_str()?.to_owned())
        })
        .await;
    let wish = json!({"action": "reorg", "depth": 1});
    let request = reqwest::Client::new()
        .post(explorer.url("/api/v1/actions"))
        .json(&wish);
    let done = request.send().await.unwrap();
    assert!(done.status().is_success(), "{}", done.text().await.unwrap());
    let left = format!("document.querySelector('#forks code[title=\"{old_tip}\"]') !== null");
    browser.until(&left).await;
    let beside = format!(".tree a.beside.valid-fork[href=\"/block/{old_tip}\"]");
    let drawn = format!("document.querySelector('{beside}') !== null");
    browser.until(&drawn).await;
    browser
        .until("document.querySelector('#turns tbody tr') !== null")
        .await;
    assert_eq!(browser.value("window.loadedOnce").await, true);
    // The lab mines on.
    mine(lab, "mining-device").await;
}

async fn every_page_is_accessible(explorer: &Explorer, browser: &mut Browser, lab: &Lab) {
    let address = lab.wallet().unwrap().address().to_string();
    let wish = json!({"action": "faucet", "address": address});
    let request = reqwest::Client::new()
        .post(explorer.url("/api/v1/actions"))
        .json(&wish);
    let paid: Value = request.send().await.unwrap().json().await.unwrap();
    let payment = paid["url"].as_str().unwrap_or_else(|| panic!("{paid}"));
    explorer
        .until("/api/v1/mempool", |mempool| {
            (mempool["info"]["size"] != 0).then_some(())
        })
        .await;
    let left = explorer
        .until("/api/v1/tips", |tips| {
            let left = &tips["forks"][0]["branch"][0]["hash"];
            Some(left.as_str()?.to_owned())
        })
        .await;
    let mut paths = vec![
        payment.to_owned(),
        format!("/address/{address}"),
        format!("/block/{left}"),
    ];
    for origin in ["declared", "pool_template", "rpc"] {
        paths.push(format!("/block/{}", explorer.block(origin).await));
    }
    let plain = [
        "/",
        "/blocks",
        "/block/0",
        "/mempool",
        "/miners",
        "/worker?name=farm.rig",
        "/work",
        "/declarations",
        "/tips",
        "/node",
        "/about",
        "/actions",
        "/search?q=nothing",
        "/nowhere",
    ];
    paths.extend(plain.map(str::to_owned));
    let urls: Vec<String> = paths.iter().map(|path| explorer.url(path)).collect();
    let findings = audit(browser, &urls).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    browser.look(1320, 900, "light").await;
    // That there is no such page is what was asked for.
    browser
        .complaints
        .retain(|complaint| !complaint.contains("/nowhere"));
}

async fn who_is_away_is_shown(explorer: &Explorer, browser: &mut Browser, site: &Site) {
    browser.open(&explorer.url("/")).await;
    let stopped = site.lab(&["stop", "jds"]);
    assert!(stopped.status.success(), "{stopped:?}");
    browser
        .until("document.querySelector('.map a[data-name=jds]').dataset.state === 'away'")
        .await;
    browser
        .until("document.querySelector('#notices').textContent.includes('jds')")
        .await;
    let started = site.lab(&["start", "jds"]);
    assert!(started.status.success(), "{started:?}");
    browser
        .until("document.querySelector('.map a[data-name=jds]').dataset.state === 'ready'")
        .await;
}

async fn take_pictures(
    explorer: &Explorer,
    browser: &mut Browser,
    lab: &Lab,
    directory: &std::path::Path,
) {
    for device in ["rig", "mining-device", "rig", "mining-device", "rig"] {
        mine(lab, device).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let declared = explorer.block("declared").await;
    let block = format!("/block/{declared}");
    let wide = [
        ("home", "/"),
        ("block", &block[..]),
        ("miners", "/miners"),
        ("work", "/work"),
        ("declarations", "/declarations"),
        ("about", "/about"),
        ("mempool", "/mempool"),
        ("node", "/node"),
        ("actions", "/actions"),
    ];
    for (name, path) in wide {
        for scheme in ["light", "dark"] {
            browser.look(1320, 980, scheme).await;
            browser.open(&explorer.url(path)).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            browser
                .picture(&directory.join(format!("{name}-{scheme}.webp")))
                .await;
        }
    }
    browser.look(390, 844, "light").await;
    for (name, path) in [("home", "/"), ("block", &block[..])] {
        browser.open(&explorer.url(path)).await;
        browser
            .picture(&directory.join(format!("{name}-phone.webp")))
            .await;
    }
    browser.look(1320, 900, "light").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_s_explorer_reads_as_somebody_who_cannot_act() {
    let topology = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    let text = "about = 'A chain, and who shows it'\n[services.btc-node]\nkind = 'btc-node'\n\
                [services.btc-explorer]\nkind = 'explorer'\nactions = false\n";
    std::fs::write(topology.path(), text).unwrap();
    let path = topology.path().display().to_string();
    let site = Site::new(Backend::Process);
    last_json(&site.lab(&site.up_arguments(&[&path])));
    let lab = site.open().await;

    let spec = lab.service("btc-explorer").unwrap();
    let home = format!("http://{}/api/v1/home", spec.socket("http").unwrap());
    until("the chain in the explorer", async || {
        let answer = reqwest::get(&home)
            .await
            .map_err(|error| error.to_string())?;
        let home: Value = answer.json().await.map_err(|error| error.to_string())?;
        match home["blocks"][0]["height"] == 101 {
            true => Ok(()),
            false => Err(home.to_string()),
        }
    })
    .await;

    let (config, secrets) = (&spec.files[0].text, lab.secrets());
    let password = secrets.rpc_reader_password();
    assert!(config.contains(&password) && !config.contains(&secrets.rpc_password));
    let address = lab.rpc_address().unwrap();
    let rpc = NodeRpc::new(address.to_string(), RPC_READER, password);
    assert_eq!(rpc.chain_info().await.unwrap().blocks, 101);
    let to = lab.wallet().unwrap().address().to_string();
    for (method, params) in [("generatetoaddress", json!([1, to])), ("stop", json!([]))] {
        let refused = rpc.call::<Value>(method, params).await.unwrap_err();
        assert!(matches!(refused, NodeError::Forbidden { .. }), "{refused}");
    }
    assert_eq!(lab.rpc().unwrap().block_count().await.unwrap(), 101);
}
