//! Where people look at a lab: the page of its explorer.

use anyhow::{Context, Result};

use super::Lab;
use crate::backend::BackendKind;
use crate::fault::Fault;
use crate::probe::Readiness;

impl Lab {
    /// The address of the explorer's page, once it is served.
    ///
    /// # Errors
    /// When the lab has no explorer, or it is not ready.
    pub async fn explorer(&self) -> Result<String> {
        let Some(service) = self.topology.first("explorer") else {
            return Err(Fault::usage(
                format!("lab '{}' has no explorer", self.name()),
                "bring up one that has: lab up full; or add kind = \"explorer\" to its topology",
            )
            .into());
        };
        let spec = self.service(&service.name)?;
        let port = spec.ports.first().context("an explorer has a port")?;
        if let Readiness::NotYet(reason) = self.prober.ask(spec).await {
            let name = &spec.name;
            return Err(Fault::unavailable(
                format!("{name} is not ready: {reason}"),
                format!("start it: lab start {name}; or see what it says: lab logs {name}"),
            )
            .into());
        }
        let address = match self.record.backend {
            BackendKind::Docker if port.published => self.record.bind,
            _ => spec.address,
        };
        Ok(format!("http://{address}:{}", port.number))
    }
}
