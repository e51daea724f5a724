//! The lab's network in Docker, and whether its addresses are free.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bollard::Docker as Api;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptions};

use super::container::Names;
use super::is_missing;
use crate::fault::Fault;
use crate::subnet::Subnet;

/// A range of addresses that somebody uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    network: Ipv4Addr,
    prefix: u8,
    by: String,
}

impl Taken {
    /// Whether the network has an address of this range.
    pub(crate) fn overlaps(&self, subnet: Subnet) -> bool {
        subnet.overlaps(self.network, self.prefix)
    }
}

/// Everything that is taken.
pub(super) async fn taken(api: &Api) -> Result<Vec<Taken>> {
    let mut taken = docker_ranges(api).await?;
    taken.extend(host_ranges());
    Ok(taken)
}

/// Makes the network, unless it is there already.
pub(super) async fn ensure(api: &Api, names: &Names, subnet: Subnet) -> Result<()> {
    if exists(api, names).await? {
        return Ok(());
    }
    let made = make(api, names, subnet).await;
    // The request of a command that was killed a moment ago may have come first.
    if made.is_err() && exists(api, names).await? {
        return Ok(());
    }
    made
}

async fn exists(api: &Api, names: &Names) -> Result<bool> {
    let name = names.network();
    let found = api.inspect_network(&name, None::<InspectNetworkOptions>);
    match found.await {
        Ok(found) if names.owns(found.labels.as_ref()) => Ok(true),
        Ok(_) => Err(Fault::unavailable(
            format!("there is a Docker network '{name}' which is none of ours"),
            format!("choose another --name, or remove it: docker network rm {name}"),
        )
        .into()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error).context("looking for the lab's network"),
    }
}

async fn make(api: &Api, names: &Names, subnet: Subnet) -> Result<()> {
    let name = names.network();
    check(subnet, &taken(api).await?)?;
    api.create_network(NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(subnet.to_string()),
                gateway: Some(subnet.host(1).to_string()),
                // Docker hands out addresses of the upper half only, so that after a restart of
                // the daemon no stranger sits on the address of a service.
                ip_range: Some(format!("{}/25", subnet.host(128))),
                auxiliary_addresses: None,
            }]),
            ..Ipam::default()
        }),
        labels: Some(names.network_labels()),
        ..NetworkCreateRequest::default()
    })
    .await
    .with_context(|| format!("creating the network {name} ({subnet})"))?;
    Ok(())
}

fn check(subnet: Subnet, taken: &[Taken]) -> Result<(), Fault> {
    let clash = |subnet: Subnet| taken.iter().find(move |range| range.overlaps(subnet));
    let Some(range) = clash(subnet) else {
        return Ok(());
    };
    let remedy = match subnet.alternatives().find(|other| clash(*other).is_none()) {
        Some(free) => format!("use addresses that are free: lab up --subnet {free}"),
        None => "use addresses that are free: lab up --subnet A.B.C.0/24".to_owned(),
    };
    Err(Fault::unavailable(
        format!(
            "the subnet {subnet} overlaps {}/{} of {}",
            range.network, range.prefix, range.by
        ),
        remedy,
    ))
}

async fn docker_ranges(api: &Api) -> Result<Vec<Taken>> {
    let networks = api
        .list_networks(None::<ListNetworksOptions>)
        .await
        .context("listing Docker's networks")?;
    let mut taken = Vec::new();
    for network in networks {
        let by = format!(
            "the Docker network '{}'",
            network.name.as_deref().unwrap_or("?")
        );
        let configs = network.ipam.and_then(|ipam| ipam.config);
        for subnet in configs.into_iter().flatten().filter_map(|c| c.subnet) {
            // Networks of IPv6 are of no interest here.
            if let Some((network, prefix)) = parse(&subnet) {
                taken.push(Taken {
                    network,
                    prefix,
                    by: by.clone(),
                });
            }
        }
    }
    Ok(taken)
}

fn parse(subnet: &str) -> Option<(Ipv4Addr, u8)> {
    let (network, prefix) = subnet.split_once('/')?;
    Some((network.parse().ok()?, prefix.parse().ok()?))
}

/// What the machine's own routes lead to; the daemon does not look at them.
fn host_ranges() -> Vec<Taken> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    routes(&table)
}

fn routes(table: &str) -> Vec<Taken> {
    let row = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        // The kernel prints addresses as words in the machine's own byte order.
        let word = |index: usize| {
            let word = u32::from_str_radix(fields.get(index)?, 16).ok()?;
            Some(Ipv4Addr::from(word.to_ne_bytes()))
        };
        let mask = u32::from(word(7)?);
        Some(Taken {
            network: word(1)?,
            prefix: u8::try_from(mask.count_ones()).ok()?,
            by: format!("this machine's network interface {}", fields.first()?),
        })
    };
    let default = |route: &Taken| route.prefix == 0;
    let rows = table.lines().skip(1).filter_map(row);
    rows.filter(|route| !default(route)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(network: [u8; 4], prefix: u8) -> Taken {
        Taken {
            network: network.into(),
            prefix,
            by: "the Docker network 'other'".to_owned(),
        }
    }

    #[test]
    fn an_overlap_names_who_it_is_and_proposes_free_addresses() {
        let taken = [taken([10, 10, 0, 0], 24), taken([10, 11, 0, 0], 16)];
        let fault = check(Subnet::DOCKER, &taken).unwrap_err();
        assert!(fault.cause.contains("'other'"), "{fault:?}");
        assert!(fault.remedy.ends_with("--subnet 10.12.0.0/24"), "{fault:?}");
        assert!(check("10.12.0.0/24".parse().unwrap(), &taken).is_ok());
    }

    #[test]
    fn routes_are_read_but_for_the_default_one() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n\
                     wlan0\t00000A0A\t00000000\t0001\t0\t0\t0\t0000FFFF\n";
        let found = routes(table);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].network, Ipv4Addr::new(10, 10, 0, 0));
        assert_eq!(found[0].prefix, 16);
        let fault = check(Subnet::DOCKER, &found).unwrap_err();
        assert!(fault.cause.contains("wlan0"), "{fault:?}");
    }
}
