//! How the pool shares out the extranonce: one byte for the server, three for the connection, two
//! for the channel, sixteen for the miner.

use protocol::server::ExtranonceSpace;

/// Bytes left to the miner of an extended channel.
const ROLLABLE: usize = 16;

/// A connection's part: no two connections of no two servers share one (SV2 5.1).
pub(crate) fn space(server_id: u8, slot: u32) -> ExtranonceSpace {
    let [_, high, middle, low] = slot.to_be_bytes();
    ExtranonceSpace::new(&[server_id, high, middle, low], ROLLABLE).expect("22 bytes fit")
}
