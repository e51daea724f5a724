//! What has to be there before a compose file's services start: keys, configurations, first coins.

use std::net::SocketAddrV4;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::Instant;

use super::{below, specs};
use crate::fault::Fault;
use crate::probe::{Prober, Readiness};
use crate::secrets::Secrets;
use crate::service::{Probe, SERVICE_UID, ServiceSpec};
use crate::state::{create_private_dir, write_private};
use crate::subnet::Subnet;
use crate::topology::Topology;
use crate::wallet::Wallet;

/// A node that answers mines them in less than a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two tries.
const POLL: Duration = Duration::from_millis(100);

/// Makes the lab's secrets below `keys`, unless they are there, and writes each service's
/// configuration into its own directory below `configurations`, for the services' user alone.
///
/// # Errors
/// Names the file that could not be written.
pub fn write_volumes(
    topology: &Topology,
    subnet: Subnet,
    keys: &Path,
    configurations: &Path,
) -> Result<()> {
    let file = keys.join("secrets.json");
    if !file.exists() {
        Secrets::generate(&mut rand::thread_rng()).save(&file)?;
    }
    for spec in own_specs(topology, subnet, keys)?.0 {
        let directory = configurations.join(&spec.name);
        create_private_dir(&directory)?;
        for file in &spec.files {
            let path = directory.join(below(&file.path));
            write_private(&path, file.text.as_bytes())?;
            hand_over(&path)?;
        }
        // A volume's root directory has the mode of where it was mounted first.
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        hand_over(&directory)?;
    }
    Ok(())
}

/// Gives every chain its first blocks, if it lacks them.
///
/// # Errors
/// When a node does not answer.
pub async fn first_blocks(topology: &Topology, subnet: Subnet, keys: &Path) -> Result<()> {
    let (specs, prober) = own_specs(topology, subnet, keys)?;
    let nodes = specs.iter().filter(|spec| super::is_first_node(spec));
    for node in nodes {
        let deadline = Instant::now() + PATIENCE;
        while let Readiness::NotYet(reason) = prober.help(node).await {
            if Instant::now() > deadline {
                return Err(no_answer(node, &reason).into());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

fn own_specs(
    topology: &Topology,
    subnet: Subnet,
    keys: &Path,
) -> Result<(Vec<ServiceSpec>, Prober)> {
    let secrets = Secrets::load(&keys.join("secrets.json"))?;
    let reward_address = Wallet::new(&secrets, topology.network())?.address();
    let specs = specs(topology, subnet, &secrets, &reward_address.to_string());
    Ok((specs, Prober::new(secrets, reward_address)))
}

fn hand_over(path: &Path) -> Result<()> {
    chown(path, Some(SERVICE_UID), Some(SERVICE_UID))
        .with_context(|| format!("giving {} to user {SERVICE_UID}", path.display()))
}

fn no_answer(node: &ServiceSpec, reason: &str) -> Fault {
    let port = match node.probe {
        Probe::BitcoinNode(port) | Probe::BitcoinPeer(port) => port,
        _ => 0,
    };
    let address = SocketAddrV4::new(node.address, port);
    Fault::failed(
        format!("{} on {address} is not ready: {reason}", node.name),
        format!("look at what it says: docker-compose logs {}", node.name),
    )
}
