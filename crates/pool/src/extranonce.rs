//! How the pool shares out the extranonce: one byte for the server, three for the connection, two
//! for the channel, sixteen for the miner.

use protocol::server::ExtranonceSpace;

/// Bytes left to the miner of an extended channel.
const ROLLABLE: usize = 16;

/// The connections' parts, for one life of the pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    server_id: u8,
    /// Where counting begins. By chance, since a pool that is started again has forgotten which
    /// shares it has credited: on the same tip a miner in its old part would find them once more.
    first: u32,
}

impl Parts {
    /// Of the server `server_id`.
    pub(crate) fn new(server_id: u8) -> Self {
        let first = rand::random();
        Self { server_id, first }
    }

    /// A connection's part: no two connections of no two servers share one (SV2 5.1).
    pub(crate) fn of(self, slot: u32) -> ExtranonceSpace {
        space(self.server_id, self.first.wrapping_add(slot))
    }
}

/// Bytes of the whole extranonce.
pub(crate) fn len() -> usize {
    space(0, 0).extranonce_len()
}

/// Connections are told apart by the low three bytes of their number; slots are fewer than that.
fn space(server_id: u8, connection: u32) -> ExtranonceSpace {
    let [_, high, middle, low] = connection.to_be_bytes();
    ExtranonceSpace::new(&[server_id, high, middle, low], ROLLABLE).expect("22 bytes fit")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn parts(server_id: u8, first: u32) -> impl Iterator<Item = ExtranonceSpace> {
        let parts = Parts { server_id, first };
        (0..1000).map(move |slot| parts.of(slot))
    }

    #[test]
    fn no_two_connections_share_a_part_wherever_counting_begins() {
        // POOL-17
        for first in [0, 1, 0x00ff_fff0, u32::MAX] {
            let both = parts(1, first).chain(parts(2, first));
            let distinct: HashSet<_> = both.map(|space| format!("{space:?}")).collect();
            assert_eq!(distinct.len(), 2000, "from {first}");
        }
    }
}
