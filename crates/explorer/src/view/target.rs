//! What a share takes, beside what a block takes.

use bitcoin::Network;
use serde::Serialize;
use utoipa::ToSchema;

use crate::service::{Board, Service, pool};

/// How the difficulty of this network's blocks changes.
pub(crate) fn rule(network: Network) -> &'static str {
    match network {
        Network::Regtest => "regtest: fixed",
        _ => {
            "set anew every 2,016 blocks for one in ten minutes, by a factor of four at most, and \
             never below the network's least"
        }
    }
}

/// The share target of the channel in which a block was found.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ShareTarget {
    /// Whose channel it is: the nearest to the miner of whom that is known.
    pub(crate) by: String,
    pub(crate) channel_id: u32,
    /// What the hash of a share may not be above.
    pub(crate) target: String,
    pub(crate) difficulty: f64,
    /// Whether it is as it was when the block was found, rather than as it is now.
    pub(crate) is_of_then: bool,
    /// To expect; 1 if every share is a block.
    pub(crate) shares_per_block: f64,
}

impl ShareTarget {
    /// `None` when nobody has the block on record, or its channel is closed.
    pub(crate) fn of(hash: &str, block_difficulty: f64, board: &Board) -> Option<Self> {
        let at_client = |service: &Service| {
            let block = service.jdc.blocks.get(hash)?;
            Some(Self {
                by: service.name().to_owned(),
                channel_id: block.channel_id,
                target: block.share_target.clone()?,
                difficulty: block.share_difficulty?,
                is_of_then: true,
                shares_per_block: shares_per_block(block_difficulty, block.share_difficulty?)?,
            })
        };
        let at_pool = |service: &Service| {
            let channel = channel_of(&service.pool, service.pool.blocks.get(hash)?)?;
            Some(Self {
                by: service.name().to_owned(),
                channel_id: channel.channel_id,
                target: channel.target_hex.clone(),
                difficulty: channel.difficulty,
                is_of_then: false,
                shares_per_block: shares_per_block(block_difficulty, channel.difficulty)?,
            })
        };
        board.find(at_client).or_else(|| board.find(at_pool))
    }
}

fn channel_of<'a>(pool: &'a pool::Facts, block: &pool::Block) -> Option<&'a pool::Channel> {
    let mut clients = pool.clients.iter();
    let client = clients.find(|client| client.who.peer == block.peer)?;
    let mut channels = client.channels.iter();
    channels.find(|channel| channel.channel_id == block.channel_id)
}

/// How many shares to expect for each block. Of shares that are harder than blocks every one is a
/// block.
pub(crate) fn shares_per_block(block_difficulty: f64, share_difficulty: f64) -> Option<f64> {
    let ratio = (block_difficulty / share_difficulty).max(1.0);
    ratio.is_finite().then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Kind;
    use crate::service::jdc;
    use crate::service::testing::{board, service};

    #[test]
    fn a_share_is_worth_a_block_or_a_part_of_one() {
        assert_eq!(shares_per_block(50.0, 1.0), Some(50.0));
        assert_eq!(shares_per_block(4.6e-10, 0.001), Some(1.0));
        assert_eq!(shares_per_block(1.0, 0.0), None);
    }

    #[test]
    fn a_target_is_of_the_channel_that_found_the_block_while_that_is_open() {
        let mut pool = service("pool", Kind::Pool, &[]);
        let block = pool::Block {
            hash: "aa".to_owned(),
            peer: "10.0.0.9:5".to_owned(),
            channel_id: 2,
            ..pool::Block::default()
        };
        pool.pool.blocks.put("aa".to_owned(), block);
        let gone = pool::Block {
            hash: "bb".to_owned(),
            peer: "10.0.0.9:4".to_owned(),
            channel_id: 2,
            ..pool::Block::default()
        };
        pool.pool.blocks.put("bb".to_owned(), gone);
        let channel = |channel_id, difficulty| pool::Channel {
            channel_id,
            difficulty,
            ..pool::Channel::default()
        };
        pool.pool.clients.push(pool::Client {
            who: pool::Who {
                peer: "10.0.0.9:5".to_owned(),
                ..pool::Who::default()
            },
            channels: vec![channel(1, 1.0), channel(2, 4.0)],
            ..pool::Client::default()
        });
        let mut client = service("jdc", Kind::Jdc, &["pool"]);
        let declared = jdc::Block {
            channel_id: 9,
            share_target: Some("ff".to_owned()),
            share_difficulty: Some(2.0),
            ..jdc::Block::default()
        };
        client.jdc.blocks.put("dd".to_owned(), declared);
        let board = board([pool, client]);
        let found = ShareTarget::of("aa", 100.0, &board).unwrap();
        assert_eq!((found.channel_id, found.shares_per_block), (2, 25.0));
        let declared = ShareTarget::of("dd", 100.0, &board).unwrap();
        assert_eq!((&declared.by[..], declared.shares_per_block), ("jdc", 50.0));
        assert!(declared.is_of_then && !found.is_of_then);
        assert_eq!(ShareTarget::of("bb", 100.0, &board), None);
        assert_eq!(ShareTarget::of("cc", 100.0, &board), None);
    }
}
