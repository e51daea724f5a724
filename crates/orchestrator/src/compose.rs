//! A topology as a compose file, for people who have Docker and nothing else.
//!
//! It is a third printer of the same specs, beside containers and processes. Nothing secret is in
//! it: the one-shot service `keys` makes each lab's own when it comes up first, and writes every
//! service's configuration into a volume that only that service sees. `first-blocks` gives a young
//! chain its first coins. `docker-compose` 1.29 reads it, and builds with the classic builder.

mod volumes;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::difficulty::Difficulty;
use crate::image;
use crate::secrets::Secrets;
use crate::service::{
    self, CONTAINER_CONFIG, Paths, Probe, Restart, SERVICE_UID, ServiceSpec, Site,
};
use crate::subnet::Subnet;
use crate::topology::{self, Topology};

pub use volumes::{first_blocks, write_volumes};

/// Makes keys and configurations.
const KEYS: &str = "keys";
/// Mines the first blocks.
const FIRST_BLOCKS: &str = "first-blocks";
/// Where `keys` finds the services' volumes.
pub const CONFIGURATIONS: &str = "/config";
/// Where the lab's secrets are kept.
pub const SECRETS: &str = "/keys";

/// What a compose file is of. Its first two services are told the same, since all they have is a
/// `lab` of their own.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// A topology that comes with the program.
    pub name: &'a str,
    /// How hard its chain is; usually regtest.
    pub difficulty: Option<Difficulty>,
    /// The services' addresses.
    pub subnet: Subnet,
}

impl Choice<'_> {
    /// The topology, on its chain.
    ///
    /// # Errors
    /// When there is none of that name, or it cannot have that difficulty.
    pub fn topology(&self) -> Result<Topology> {
        let mut text = topology::find(self.name)?;
        if let Some(difficulty) = self.difficulty {
            text = topology::with_difficulty(&text, difficulty)?;
        }
        Ok(topology::parse(&text)?)
    }

    /// How `lab` is told all but the addresses.
    fn words(&self) -> Vec<String> {
        let difficulty = self.difficulty.map(|level| level.to_string());
        let option = difficulty.map(|level| ["--difficulty".to_owned(), level]);
        let name = self.name.to_owned();
        [name]
            .into_iter()
            .chain(option.into_iter().flatten())
            .collect()
    }

    /// As a command of the image.
    fn command(&self, more: &[&str]) -> String {
        let (words, subnet) = (self.words(), self.subnet.to_string());
        let words = words.iter().map(String::as_str);
        let subnet = ["--subnet", &subnet];
        let all: Vec<&str> = ["init"]
            .into_iter()
            .chain(words)
            .chain(subnet)
            .chain(more.iter().copied())
            .collect();
        list(&all)
    }
}

/// The compose file of `choice`.
///
/// # Errors
/// As [`Choice::topology`].
pub fn print(choice: &Choice<'_>) -> Result<String> {
    let topology = choice.topology()?;
    let subnet = choice.subnet;
    let specs = specs(&topology, subnet, &Secrets::blank(), "");
    let mut text = format!(
        "# {}.\n#\n\
         # Printed by `lab compose {}`; change the topology and print it again.\n\
         #\n\
         #   docker-compose up -d        builds what is missing, and starts in order of readiness\n\
         #   docker-compose ps           what is up, and whether it is healthy\n\
         #   docker-compose down -v      removes it all, the chain too\n\
         #   LAB_BIND=127.0.0.2 docker-compose up -d    publishes its ports on another address\n\
         #\n\
         # No registry at hand: see .docker/README.md.\n\n\
         services:\n",
        topology.about,
        choice.words().join(" ")
    );
    write_keys(&mut text, choice, &specs);
    write_first_blocks(&mut text, choice, &specs);
    for spec in &specs {
        write_service(&mut text, spec, &specs);
    }
    write_network(&mut text, subnet);
    write_volumes_section(&mut text, &specs);
    Ok(text)
}

/// The same services without what differs from lab to lab.
pub(crate) fn specs_without_secrets(topology: &Topology) -> Vec<ServiceSpec> {
    specs(topology, Subnet::DOCKER, &Secrets::blank(), "")
}

/// The services as containers see them.
fn specs(
    topology: &Topology,
    subnet: Subnet,
    secrets: &Secrets,
    reward_address: &str,
) -> Vec<ServiceSpec> {
    let site = Site {
        // A compose file is one lab, whatever its project is called.
        name: "lab",
        subnet,
        paths: &Paths::Container,
        secrets,
        reward_address,
        links: None,
    };
    service::specs(topology, &site)
}

fn write_keys(text: &mut String, choice: &Choice<'_>, specs: &[ServiceSpec]) {
    let mut lines = vec![
        "network_mode: none".to_owned(),
        // It hands each service its own.
        "user: \"0:0\"".to_owned(),
        format!("command: {}", choice.command(&[])),
        "volumes:".to_owned(),
        format!("  - {KEYS}:{SECRETS}"),
    ];
    for spec in specs {
        lines.push(format!(
            "  - {0}:{CONFIGURATIONS}/{1}",
            config_volume(spec),
            spec.name
        ));
    }
    write_block(text, KEYS, "lab", &lines);
}

fn write_first_blocks(text: &mut String, choice: &Choice<'_>, specs: &[ServiceSpec]) {
    let nodes = specs.iter().filter(|spec| is_first_node(spec));
    let mut lines = vec![
        "user: \"0:0\"".to_owned(),
        format!("command: {}", choice.command(&["--first-blocks"])),
        "volumes:".to_owned(),
        format!("  - {KEYS}:{SECRETS}"),
        "networks: [mining-net]".to_owned(),
        "depends_on:".to_owned(),
    ];
    lines.extend(nodes.map(|node| format!("  {}: {{condition: service_healthy}}", node.name)));
    write_block(text, FIRST_BLOCKS, "lab", &lines);
}

fn is_first_node(spec: &ServiceSpec) -> bool {
    matches!(spec.probe, Probe::BitcoinNode(_))
}

fn write_service(text: &mut String, spec: &ServiceSpec, specs: &[ServiceSpec]) {
    let args: Vec<&str> = spec.args.iter().map(String::as_str).collect();
    let mut lines = vec![
        format!("hostname: {}", spec.name),
        format!("command: {}", list(&args)),
        "networks:".to_owned(),
        "  mining-net:".to_owned(),
        format!("    ipv4_address: {}", spec.address),
    ];
    let ports: Vec<_> = spec.ports.iter().filter(|port| port.published).collect();
    if !ports.is_empty() {
        lines.push("ports:".to_owned());
        for port in ports {
            let number = port.number;
            let bind = "${LAB_BIND:-127.0.0.1}";
            lines.push(format!("  - \"{bind}:{number}:{number}\" # {}", port.name));
        }
    }
    lines.push("volumes:".to_owned());
    lines.push(format!("  - {}:{CONTAINER_CONFIG}:ro", config_volume(spec)));
    for volume in &spec.volumes {
        lines.push(format!("  - {}:{}", volume.name, volume.path.display()));
    }
    lines.push("depends_on:".to_owned());
    lines.push(format!(
        "  {KEYS}: {{condition: service_completed_successfully}}"
    ));
    let is_node = |name: &String| specs.iter().any(|s| s.name == *name && is_first_node(s));
    if spec.needs.iter().any(is_node) {
        lines.push(format!(
            "  {FIRST_BLOCKS}: {{condition: service_completed_successfully}}"
        ));
    }
    for need in &spec.needs {
        lines.push(format!("  {need}: {{condition: service_healthy}}"));
    }
    let health: Vec<&str> = ["CMD"]
        .into_iter()
        .chain(spec.health.iter().map(String::as_str))
        .collect();
    lines.extend([
        "healthcheck:".to_owned(),
        format!("  test: {}", list(&health)),
        // Somebody waits for it at the start; that is the only time it has to be quick.
        "  interval: 2s".to_owned(),
        "  timeout: 5s".to_owned(),
        "  retries: 60".to_owned(),
        format!(
            "restart: {}",
            match spec.restart {
                Restart::Always => "unless-stopped",
                Restart::OnFailure => "on-failure",
            }
        ),
        format!("stop_grace_period: {}s", spec.stop_grace_secs),
        "cap_drop: [ALL]".to_owned(),
        "security_opt: [\"no-new-privileges\"]".to_owned(),
        format!("user: \"{SERVICE_UID}:{SERVICE_UID}\""),
        // So that ping works for that user.
        "sysctls: {net.ipv4.ping_group_range: \"0 2147483647\"}".to_owned(),
        "logging: {driver: json-file, options: {max-size: 16m, max-file: \"2\"}}".to_owned(),
    ]);
    write_block(text, &spec.name, &spec.image, &lines);
}

fn write_block(text: &mut String, name: &str, image: &str, lines: &[String]) {
    let build = "{context: ., dockerfile: .docker/Dockerfile, ".to_owned();
    let rust = "RUST_IMAGE: \"${RUST_IMAGE:-rust:1.95-bookworm}\"";
    let target = match image {
        "btc-node" | "lab" => format!("target: {image}, args: {{{rust}}}}}"),
        role => format!("target: role, args: {{ROLE: {role}, {rust}}}}}"),
    };
    let _ = writeln!(text, "  {name}:");
    let _ = writeln!(text, "    image: {}", image::tag(image));
    let _ = writeln!(text, "    build: {build}{target}");
    for line in lines {
        let _ = writeln!(text, "    {line}");
    }
    text.push('\n');
}

fn write_network(text: &mut String, subnet: Subnet) {
    let _ = write!(
        text,
        "networks:\n  mining-net:\n    driver: bridge\n    ipam:\n      config:\n\
         \x20       - subnet: {subnet}\n          gateway: {}\n\
         \x20         # The lower half belongs to the services.\n          ip_range: {}/25\n\n",
        subnet.host(1),
        subnet.host(128)
    );
}

fn write_volumes_section(text: &mut String, specs: &[ServiceSpec]) {
    let mut names = BTreeSet::from([KEYS.to_owned()]);
    for spec in specs {
        names.insert(config_volume(spec));
        names.extend(spec.volumes.iter().map(|volume| volume.name.clone()));
    }
    text.push_str("volumes:\n");
    for name in names {
        let _ = writeln!(text, "  {name}:");
    }
}

fn config_volume(spec: &ServiceSpec) -> String {
    format!("{}-config", spec.name)
}

/// JSON is YAML, too. A dollar sign would be a variable.
fn list(words: &[&str]) -> String {
    json!(words)
        .to_string()
        .replace('$', "$$")
        .replace("\",\"", "\", \"")
}

/// The name of a configuration file below the service's own directory.
fn below(path: &Path) -> &Path {
    path.strip_prefix(CONTAINER_CONFIG).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(name: &str) -> String {
        printed_with(name, None)
    }

    fn printed_with(name: &str, difficulty: Option<Difficulty>) -> String {
        let subnet = Subnet::DOCKER;
        print(&Choice {
            name,
            difficulty,
            subnet,
        })
        .unwrap()
    }

    #[test]
    fn the_file_in_the_repository_is_of_today() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker-compose.yml");
        let found = std::fs::read_to_string(file).unwrap();
        assert!(
            found == printed("full"),
            "print it again: lab compose full > docker-compose.yml"
        );
    }

    #[test]
    fn no_secret_and_no_open_port_is_in_it() {
        for (name, _) in topology::BUILT_IN {
            let text = printed(name);
            assert!(
                !text.contains("password") && !text.contains("secret"),
                "{text}"
            );
            let ports = text
                .lines()
                .filter(|line| line.contains("- \"") && line.contains(" # "));
            for port in ports {
                assert!(port.contains("\"${LAB_BIND:-127.0.0.1}:"), "{port}");
            }
        }
    }

    #[test]
    fn those_who_make_keys_and_first_blocks_know_how_hard_the_chain_is() {
        let text = printed_with("minimal", Some(Difficulty::Mid));
        assert!(
            text.contains("`lab compose minimal --difficulty mid`"),
            "{text}"
        );
        let told = r#"["init", "minimal", "--difficulty", "mid", "--subnet", "10.10.0.0/24""#;
        assert_eq!(text.matches(told).count(), 2, "{text}");
    }

    #[test]
    fn every_service_waits_for_the_health_of_its_needs() {
        let text = printed("minimal");
        let (_, pool) = text.split_once("\n  pool:\n").unwrap();
        for fact in [
            "ipv4_address: 10.10.0.5",
            "btc-node: {condition: service_healthy}",
            "template-provider: {condition: service_healthy}",
            "first-blocks: {condition: service_completed_successfully}",
            "[\"CMD\", \"pool\", \"healthcheck\", \"--config\", \"/etc/lab/pool.toml\"]",
        ] {
            assert!(pool.contains(fact), "{fact}");
        }
    }
}
