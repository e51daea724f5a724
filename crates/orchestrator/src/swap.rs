//! Somebody else's build of a role in place of ours.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::secrets::Secrets;
use crate::service::{Origin, Probe, ServiceSpec};

/// What runs in place of a service of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// Where the program is.
    pub origin: Origin,
    /// Its arguments, when they are others than ours.
    pub args: Option<Vec<String>>,
    /// The text of its configuration, when it is another than ours, with places to fill in.
    pub config: Option<String>,
}

/// What a configuration may leave to be filled in, written as `${NAME}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// What a foreign configuration may need to know of a lab: the services' addresses and ports,
    /// and the secrets they share.
    pub fn of(specs: &[ServiceSpec], secrets: &Secrets, reward_address: &str) -> Self {
        let mut facts = BTreeMap::from([
            ("authority_public_key", &secrets.authority_public_key),
            ("authority_secret_key", &secrets.authority_secret_key),
            ("job_declaration_secret", &secrets.job_declaration_secret),
            ("rpc_user", &secrets.rpc_user),
            ("rpc_password", &secrets.rpc_password),
        ])
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect::<BTreeMap<_, _>>();
        facts.insert("reward_address".to_owned(), reward_address.to_owned());
        for spec in specs {
            let mut fact = |key: &str, value: String| {
                facts.insert(format!("{}.{key}", spec.name), value);
            };
            fact("address", spec.address.to_string());
            if let Some(file) = spec.files.first() {
                fact("config_file", file.path.display().to_string());
            }
            for port in &spec.ports {
                fact(&format!("{}_port", port.name), port.number.to_string());
            }
            for volume in &spec.volumes {
                let what = volume.name.rsplit('-').next().unwrap_or_default();
                fact(
                    &format!("{what}_directory"),
                    volume.path.display().to_string(),
                );
            }
        }
        Self(facts)
    }

    /// The text with everything filled in.
    ///
    /// # Errors
    /// When it asks for something else; lists what there is.
    pub fn fill(&self, text: &str) -> Result<String, Fault> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            let place = after.split_once('}');
            let (name, behind) = place.ok_or_else(|| self.unknown(after))?;
            filled.push_str(self.0.get(name).ok_or_else(|| self.unknown(name))?);
            rest = behind;
        }
        Ok(filled + rest)
    }

    fn unknown(&self, name: &str) -> Fault {
        let name: String = name.chars().take(40).collect();
        let known: Vec<_> = self.0.keys().map(String::as_str).collect();
        Fault::usage(
            format!("the configuration asks for '{name}', which the lab does not know"),
            format!("there are {}", known.join(", ")),
        )
    }
}

/// The service as it is with the other program.
///
/// # Errors
/// When its configuration cannot be filled in.
pub fn apply(spec: &ServiceSpec, swap: &Swap, facts: &Facts) -> Result<ServiceSpec, Fault> {
    let mut spec = spec.clone();
    spec.origin = swap.origin.clone();
    if let Some(args) = &swap.args {
        spec.args.clone_from(args);
        for arg in &mut spec.args {
            *arg = facts.fill(arg)?;
        }
    }
    if let (Some(config), Some(file)) = (&swap.config, spec.files.first_mut()) {
        file.text = facts.fill(config)?;
    }
    // Whether it is ready, only a role of ours says.
    spec.probe = match (&spec.probe, spec.ports.first()) {
        (Probe::Http(http), Some(port)) if port.number != *http => Probe::Tcp(port.number),
        (Probe::Http(_), _) => Probe::Runs,
        (other, _) => other.clone(),
    };
    spec.health = Vec::new();
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::fake;
    use crate::service::{ConfigFile, Port};

    fn pool() -> ServiceSpec {
        let port = |name: &str, number| Port {
            name: name.to_owned(),
            number,
            published: true,
        };
        ServiceSpec {
            address: [10, 10, 0, 5].into(),
            ports: vec![port("mining", 34254), port("http", 9090)],
            probe: Probe::Http(9090),
            files: vec![ConfigFile {
                path: "/etc/lab/pool.toml".into(),
                text: "ours = 1".to_owned(),
            }],
            ..fake::spec("pool", &[])
        }
    }

    fn facts() -> Facts {
        let secrets = Secrets::generate(&mut rand::thread_rng());
        Facts::of(&[pool()], &secrets, "bcrt1qlab")
    }

    #[test]
    fn places_are_filled_in_and_unknown_ones_refused() {
        let facts = facts();
        let text = "listen = \"${pool.address}:${pool.mining_port}\" # ${reward_address}";
        let filled = facts.fill(text).unwrap();
        assert_eq!(filled, "listen = \"10.10.0.5:34254\" # bcrt1qlab");
        for wrong in ["${ghost.address}", "${pool.address"] {
            let fault = facts.fill(wrong).unwrap_err();
            assert!(fault.remedy.contains("pool.mining_port"), "{fault:?}");
        }
        assert_eq!(facts.fill("costs $5").unwrap(), "costs $5");
    }

    #[test]
    fn a_foreign_program_keeps_address_and_ports_and_is_ready_when_it_listens() {
        let swap = Swap {
            origin: Origin::Binary("/opt/pool_sv2".into()),
            args: None,
            config: Some("at = \"${pool.address}\"".to_owned()),
        };
        let spec = apply(&pool(), &swap, &facts()).unwrap();
        assert_eq!(spec.probe, Probe::Tcp(34254));
        assert_eq!(spec.files[0].text, "at = \"10.10.0.5\"");
        assert_eq!((spec.address, &spec.ports), (pool().address, &pool().ports));
        let mut device = pool();
        device.ports.remove(0);
        assert_eq!(apply(&device, &swap, &facts()).unwrap().probe, Probe::Runs);
    }
}
