//! Whatever somebody looks for: a height, a hash, an id, an address, a worker, a job.

use bitcoin::{BlockHash, Txid};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, address};
use crate::text;

/// Results shown.
const MAX_RESULTS: usize = 50;
/// Characters that are looked for.
pub(crate) const MAX_QUERY: usize = 200;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Search {
    pub(crate) query: String,
    pub(crate) results: Vec<Found>,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Found {
    /// Such as `block`, `transaction`, `address`, `worker` or `job`.
    pub(crate) kind: &'static str,
    pub(crate) title: String,
    /// Where it is shown.
    pub(crate) url: String,
}

impl Search {
    pub(crate) async fn of(app: &App, query: &str) -> Self {
        let query: String = query.trim().chars().take(MAX_QUERY).collect();
        let mut search = Self {
            query,
            results: Vec::new(),
        };
        if search.query.is_empty() {
            return search;
        }
        search.height(app);
        search.hash(app).await;
        search.address(app);
        search.names(app);
        search.jobs(app);
        search.results.truncate(MAX_RESULTS);
        search
    }

    /// Where to go at once.
    pub(crate) fn only(&self) -> Option<&str> {
        match &self.results[..] {
            [only] => Some(&only.url),
            _ => None,
        }
    }

    fn add(&mut self, kind: &'static str, title: String, url: String) {
        let found = Found { kind, title, url };
        if !self.results.contains(&found) {
            self.results.push(found);
        }
    }

    fn height(&mut self, app: &App) {
        let height = super::block::height(&self.query);
        let found = height.filter(|height| app.chain.borrow().at(*height).is_some());
        if let Some(height) = found {
            self.add(
                "block",
                format!("height {height}"),
                format!("/block/{height}"),
            );
        }
    }

    async fn hash(&mut self, app: &App) {
        let query = self.query.to_lowercase();
        if let Ok(hash) = query.parse::<BlockHash>()
            && super::block::find(app, &hash.to_string()).await.is_ok()
        {
            self.add("block", text::short(&query), format!("/block/{query}"));
            return;
        }
        if let Ok(txid) = query.parse::<Txid>()
            && app.archive.transaction(&txid).await.is_ok()
        {
            self.add("transaction", text::short(&query), format!("/tx/{query}"));
        }
    }

    fn address(&mut self, app: &App) {
        if let Ok(address) = address::parse(app, &self.query) {
            self.add(
                "address",
                address.to_string(),
                format!("/address/{address}"),
            );
        }
    }

    /// Workers and accounts, as pools and clients know them.
    fn names(&mut self, app: &App) {
        let wanted = self.query.to_lowercase();
        let mut names = Vec::new();
        app.board.each(|service| {
            let workers = service.pool.workers.iter();
            names.extend(
                workers.flat_map(|known| known.worker.clone().or(Some(known.user.clone()))),
            );
            let blocks = service.jdc.blocks.newest();
            names.extend(blocks.flat_map(|block| {
                let user = block.user_identity.clone();
                block.worker.clone().or(Some(user))
            }));
            let clients = service.translator.clients.iter();
            names.extend(clients.map(|client| client.authorized_worker_name.clone()));
        });
        names.sort();
        names.dedup();
        for name in names {
            if !name.is_empty() && name.to_lowercase().contains(&wanted) {
                let url = format!("/worker?name={}", encode(&name));
                self.add("worker", name, url);
            }
        }
    }

    fn jobs(&mut self, app: &App) {
        let Ok(number) = self.query.parse::<u64>() else {
            return;
        };
        let mut found = Vec::new();
        app.board.each(|service| {
            let name = service.name();
            let pool_jobs = service.pool.jobs.newest();
            let of_pool = pool_jobs.filter(|job| u64::from(job.job_id) == number);
            let of_pool =
                of_pool.map(|job| format!("job {number} of {name}, client {}", job.client_id));
            found.extend(of_pool.map(|title| (title, "/work#pool-jobs")));
            let of_jdc = service.jdc.jobs.iter().filter(|job| job.job == number);
            let of_jdc = of_jdc.map(|_| format!("declared job {number} of {name}"));
            found.extend(of_jdc.map(|title| (title, "/declarations#jobs")));
        });
        for (title, url) in found {
            self.add("job", title, url.to_owned());
        }
    }
}

/// A text within a URL's query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                encoded.push(char::from(byte));
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_name_gets_out_of_a_url() {
        assert_eq!(encode("rig-1.a"), "rig-1.a");
        assert_eq!(
            encode("<a href='#'>&?ü"),
            "%3Ca%20href%3D%27%23%27%3E%26%3F%C3%BC"
        );
    }
}
