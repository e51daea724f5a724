//! `[[upstreams]]`: pools with their job declarator servers, best first.

use daemon::config::{Entry, Reader};
use daemon::dial::Upstream;
use protocol::keys::AuthorityPublicKey;
use protocol::message::common::Protocol;
use protocol::setup::{DECLARE_TX_DATA, REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION};

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
    reader.entries(KEY, false, |entry| pair(entry, mode))
}

fn pair(entry: &mut Entry<'_>, mode: Mode) -> Option<Pair> {
    let authority = entry.parsed::<AuthorityPublicKey>("authority_pubkey");
    let jds_authority = match entry.has("jds_authority_pubkey") {
        true => entry.parsed("jds_authority_pubkey"),
        // SRI has one key for both.
        false => authority,
    };
    let pool = entry.host_port("pool_address", "pool_port");
    let jds = entry.host_port("jds_address", "jds_port");
    let user_identity = entry.text("user_identity");
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
