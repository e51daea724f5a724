//! `[[upstreams]]`: pools with their job declarator servers, best first.

use std::fmt::Display;
use std::str::FromStr;

use daemon::config::Reader;
use daemon::dial::{HostPort, Upstream};
use protocol::keys::AuthorityPublicKey;
use protocol::message::common::Protocol;
use protocol::setup::{DECLARE_TX_DATA, REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION};
use toml::{Table, Value};

use crate::declarator::Mode;

/// The key all of this stands under.
pub(super) const KEY: &str = "upstreams";

/// A pool and its job declarator server.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) pool: Upstream,
    pub(crate) jds: Upstream,
    /// What both know us as.
    pub(crate) user_identity: String,
}

/// `None` when a problem was noted.
pub(super) fn read(reader: &mut Reader, mode: Mode) -> Option<Vec<Pair>> {
    let tables = reader.required::<Vec<Table>>(KEY);
    let mut pairs = Vec::new();
    let count = tables.len();
    for (number, table) in tables.into_iter().enumerate() {
        let mut fields = Fields {
            reader: &mut *reader,
            number,
            table,
        };
        pairs.extend(fields.pair(mode));
        fields.finish();
    }
    (pairs.len() == count).then_some(pairs)
}

/// One table, from which fields are taken.
struct Fields<'a> {
    reader: &'a mut Reader,
    number: usize,
    table: Table,
}

impl Fields<'_> {
    fn pair(&mut self, mode: Mode) -> Option<Pair> {
        let authority = self.parsed::<AuthorityPublicKey>("authority_pubkey");
        let jds_authority = match self.table.contains_key("jds_authority_pubkey") {
            true => self.parsed("jds_authority_pubkey"),
            // SRI has one key for both.
            false => authority,
        };
        let pool = self.host_port("pool_address", "pool_port");
        let jds = self.host_port("jds_address", "jds_port");
        let user_identity = self.text("user_identity");
        let mut pool = Upstream::new(pool?, authority?, Protocol::MiningProtocol, crate::NAME);
        pool.request.flags = REQUIRES_WORK_SELECTION | REQUIRES_VERSION_ROLLING;
        let protocol = Protocol::JobDeclarationProtocol;
        let mut jds = Upstream::new(jds?, jds_authority?, protocol, crate::NAME);
        if mode == Mode::FullTemplate {
            jds.request.flags = DECLARE_TX_DATA;
        }
        Some(Pair {
            pool,
            jds,
            user_identity: user_identity?,
        })
    }

    fn host_port(&mut self, host: &str, port: &str) -> Option<HostPort> {
        let address = self.text(host);
        let number = match self.table.remove(port) {
            Some(Value::Integer(number)) => u16::try_from(number).ok().filter(|port| *port > 0),
            _ => None,
        };
        if number.is_none() {
            self.problem(port, "expected a port, 1 to 65535");
        }
        Some(HostPort {
            host: address?,
            port: number?,
        })
    }

    fn parsed<T>(&mut self, key: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let text = self.text(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, format!("{text:?}: {error}"));
                None
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key) {
            Some(Value::String(text)) if !text.is_empty() => return Some(text),
            Some(other) => self.problem(key, format!("{other}: expected a text")),
            None => self.problem(key, "missing"),
        }
        None
    }

    fn problem(&mut self, key: &str, what: impl Display) {
        let key = format!("{KEY}[{}].{key}", self.number);
        self.reader.problem(&key, what);
    }

    /// Whatever nobody asked for is misspelt.
    fn finish(mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            self.problem(key, "unknown key");
        }
    }
}
