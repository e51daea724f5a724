//! The container of a service: what Docker is told about it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount, MountType, NetworkingConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};

use crate::image;
use crate::image::layer::digest;
use crate::service::{Origin, Restart, SERVICE_UID, ServiceSpec};

/// Label with the lab's name on everything that is ours.
pub(super) const LAB_LABEL: &str = "sv2-lab.name";
/// The key by which `docker compose` knows the network.
const NETWORK_KEY: &str = "mining-net";
/// Compose leaves out containers without this label.
const CONFIG_HASH: &str = "com.docker.compose.config-hash";
const PROJECT: &str = "com.docker.compose.project";
/// Compose stops and restarts by this; so do we, when nothing else is left of a lab.
const DEPENDS_ON: &str = "com.docker.compose.depends_on";

/// Names and labels of one lab in Docker.
#[derive(Debug, Clone)]
pub(super) struct Names {
    lab: String,
}

impl Names {
    pub(super) fn new(lab: &str) -> Self {
        Self {
            lab: lab.to_owned(),
        }
    }

    /// The same scheme as compose, whose `ps` then prints short names.
    pub(super) fn container(&self, service: &str) -> String {
        format!("{}-{service}-1", self.lab)
    }

    /// The image that a service of this lab runs.
    pub(super) fn image(&self, spec: &ServiceSpec) -> String {
        match &spec.origin {
            Origin::Ours => image::tag(&spec.image),
            Origin::Image(tag) => tag.clone(),
            Origin::Binary(_) => format!("sv2-lab/{}:{}", spec.name, self.swapped()),
        }
    }

    /// Images that were packed for this lab alone.
    pub(super) fn own_images(&self) -> HashMap<String, Vec<String>> {
        let reference = format!("sv2-lab/*:{}", self.swapped());
        HashMap::from([("reference".to_owned(), vec![reference])])
    }

    fn swapped(&self) -> String {
        format!("swap-{}", self.lab)
    }

    pub(super) fn network(&self) -> String {
        format!("{}_{NETWORK_KEY}", self.lab)
    }

    pub(super) fn volume(&self, volume: &str) -> String {
        format!("{}_{volume}", self.lab)
    }

    /// What everything of this lab is found by.
    pub(super) fn filter(&self) -> HashMap<String, Vec<String>> {
        let label = format!("{LAB_LABEL}={}", self.lab);
        HashMap::from([("label".to_owned(), vec![label])])
    }

    pub(super) fn owns(&self, labels: Option<&HashMap<String, String>>) -> bool {
        labels.and_then(|labels| labels.get(LAB_LABEL)) == Some(&self.lab)
    }

    fn labels<const N: usize>(&self, more: [(&str, &str); N]) -> HashMap<String, String> {
        [(LAB_LABEL, self.lab.as_str()), (PROJECT, &self.lab)]
            .into_iter()
            .chain(more)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    pub(super) fn network_labels(&self) -> HashMap<String, String> {
        self.labels([("com.docker.compose.network", NETWORK_KEY)])
    }

    pub(super) fn volume_labels(&self, volume: &str) -> HashMap<String, String> {
        self.labels([("com.docker.compose.volume", volume)])
    }

    fn container_labels(&self, spec: &ServiceSpec) -> HashMap<String, String> {
        let depends_on: Vec<_> = spec
            .needs
            .iter()
            .map(|need| format!("{need}:service_started:false"))
            .collect();
        self.labels([
            ("com.docker.compose.service", &spec.name),
            ("com.docker.compose.container-number", "1"),
            ("com.docker.compose.oneoff", "False"),
            // Compose prints these; a lab has neither file nor directory.
            ("com.docker.compose.project.config_files", ""),
            ("com.docker.compose.project.working_dir", "/"),
            ("com.docker.compose.version", "1.29.2"),
            (DEPENDS_ON, &depends_on.join(",")),
        ])
    }
}

/// A service's name and needs, as its container's labels tell them.
pub(super) fn needs_of(labels: &HashMap<String, String>) -> (String, Vec<String>) {
    let label = |key: &str| labels.get(key).map(String::as_str).unwrap_or_default();
    let needs = label(DEPENDS_ON)
        .split(',')
        .filter_map(|need| need.split(':').next())
        .filter(|need| !need.is_empty())
        .map(str::to_owned)
        .collect();
    (label("com.docker.compose.service").to_owned(), needs)
}

/// The hash by which a container is recognised as made from the same spec and image.
pub(super) fn config_hash(labels: Option<&HashMap<String, String>>) -> Option<&String> {
    labels.and_then(|labels| labels.get(CONFIG_HASH))
}

/// What `POST /containers/create` gets.
pub(super) fn body(
    spec: &ServiceSpec,
    names: &Names,
    bind: Ipv4Addr,
    image_id: &str,
) -> ContainerCreateBody {
    let ports = || spec.ports.iter().map(|port| format!("{}/tcp", port.number));
    let mut body = ContainerCreateBody {
        hostname: Some(spec.name.clone()),
        user: Some(format!("{SERVICE_UID}:{SERVICE_UID}")),
        exposed_ports: Some(ports().collect()),
        env: Some(
            spec.env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        ),
        cmd: Some(spec.args.clone()),
        image: Some(names.image(spec)),
        healthcheck: health(spec),
        labels: Some(names.container_labels(spec)),
        stop_timeout: Some(spec.stop_grace_secs.into()),
        host_config: Some(host_config(spec, names, bind)),
        networking_config: Some(networking_config(spec, names)),
        ..ContainerCreateBody::default()
    };
    let described = serde_json::json!([body, spec.files, image_id]).to_string();
    if let Some(labels) = &mut body.labels {
        labels.insert(CONFIG_HASH.to_owned(), digest(described.as_bytes()));
    }
    body
}

/// For whoever looks at the containers by other means; the lab asks the services itself.
fn health(spec: &ServiceSpec) -> Option<HealthConfig> {
    const SECOND: i64 = 1_000_000_000;
    let command = ["CMD".to_owned()]
        .into_iter()
        .chain(spec.health.iter().cloned());
    let test = match spec.health.is_empty() {
        true => vec!["NONE".to_owned()],
        false => command.collect(),
    };
    Some(HealthConfig {
        test: Some(test),
        interval: Some(30 * SECOND),
        timeout: Some(5 * SECOND),
        retries: Some(2),
        // A young one is asked often, so that it is soon said to be up. Older daemons pass over it.
        start_period: Some(30 * SECOND),
        start_interval: Some(SECOND),
    })
}

fn networking_config(spec: &ServiceSpec, names: &Names) -> NetworkingConfig {
    let endpoint = EndpointSettings {
        aliases: Some(vec![spec.name.clone()]),
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(spec.address.to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    };
    NetworkingConfig {
        endpoints_config: Some([(names.network(), endpoint)].into()),
    }
}

fn host_config(spec: &ServiceSpec, names: &Names, bind: Ipv4Addr) -> HostConfig {
    let published = |number: u16| {
        let binding = PortBinding {
            host_ip: Some(bind.to_string()),
            host_port: Some(number.to_string()),
        };
        (format!("{number}/tcp"), Some(vec![binding]))
    };
    let mounts = spec.volumes.iter().map(|volume| Mount {
        target: Some(volume.path.display().to_string()),
        source: Some(names.volume(&volume.name)),
        typ: Some(MountType::VOLUME),
        ..Mount::default()
    });
    let restart = match spec.restart {
        Restart::Always => RestartPolicyNameEnum::UNLESS_STOPPED,
        Restart::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
    };
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    };
    HostConfig {
        network_mode: Some(names.network()),
        port_bindings: Some(
            spec.ports
                .iter()
                .filter(|port| port.published)
                .map(|port| published(port.number))
                .collect(),
        ),
        mounts: Some(mounts.collect()),
        restart_policy: Some(RestartPolicy {
            name: Some(restart),
            maximum_retry_count: None,
        }),
        // The services need no privilege; `ping` works by the sysctl alone.
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        sysctls: Some(pairs(&[("net.ipv4.ping_group_range", "0 2147483647")])),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(pairs(&[("max-size", "16m"), ("max-file", "2")])),
        }),
        ..HostConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fake;
    use crate::service::Port;

    fn spec() -> ServiceSpec {
        ServiceSpec {
            address: Ipv4Addr::new(10, 10, 0, 5),
            ports: vec![Port {
                name: "mining".to_owned(),
                number: 34254,
                published: true,
            }],
            ..fake::spec("pool", &["btc-node", "template-provider"])
        }
    }

    fn pool() -> ContainerCreateBody {
        body(&spec(), &Names::new("sv2lab"), Ipv4Addr::LOCALHOST, "id")
    }

    #[test]
    fn compose_finds_the_container() {
        let labels = pool().labels.unwrap();
        for (key, value) in [
            ("com.docker.compose.project", "sv2lab"),
            ("com.docker.compose.service", "pool"),
            ("com.docker.compose.container-number", "1"),
            ("com.docker.compose.oneoff", "False"),
        ] {
            assert_eq!(labels[key], value);
        }
        assert!(config_hash(Some(&labels)).is_some());
        assert_eq!(Names::new("sv2lab").container("pool"), "sv2lab-pool-1");
    }

    #[test]
    fn the_order_of_stopping_is_in_the_labels() {
        let labels = pool().labels.unwrap();
        let (name, needs) = needs_of(&labels);
        assert_eq!(name, "pool");
        assert_eq!(needs, ["btc-node", "template-provider"]);
        assert_eq!(needs_of(&HashMap::new()), (String::new(), Vec::new()));
    }

    #[test]
    fn ports_are_published_on_the_chosen_address_only() {
        let bindings = pool().host_config.unwrap().port_bindings.unwrap();
        let binding = &bindings["34254/tcp"].as_ref().unwrap()[0];
        assert_eq!(binding.host_ip.as_deref(), Some("127.0.0.1"));
        assert_eq!(bindings.len(), 1);
    }

    #[test]
    fn a_changed_file_or_image_makes_another_container() {
        let hash = |spec: &ServiceSpec, image| {
            let body = body(spec, &Names::new("sv2lab"), Ipv4Addr::LOCALHOST, image);
            config_hash(body.labels.as_ref()).unwrap().clone()
        };
        let mut changed = spec();
        changed.files.push(crate::service::ConfigFile {
            path: "/etc/lab/pool.toml".into(),
            text: String::new(),
        });
        assert_eq!(hash(&spec(), "id"), hash(&spec(), "id"));
        assert_ne!(hash(&spec(), "id"), hash(&changed, "id"));
        assert_ne!(hash(&spec(), "id"), hash(&spec(), "other"));
    }
}
