//! The first blocks of a lab's own signet, and the first coin of its wallet.
//!
//! The signet's challenge is met by every block. Its first block is that of all signets, so those
//! that follow can be the same in each lab, too: they are mined already, of each only the nonce is
//! kept. Coinbases of blocks that everybody has pay nobody in particular; a lab takes the first one,
//! which is the only one that has matured, into its own wallet.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::blockdata::constants::genesis_block;
use bitcoin::opcodes::OP_0;
use bitcoin::opcodes::all::OP_PUSHNUM_1;
use bitcoin::script::Builder;
use bitcoin::transaction;
use bitcoin::{
    Address, Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence,
    Transaction, TxIn, TxMerkleNode, TxOut, Witness,
};
use protocol::target::Target;

/// The script that every block has to satisfy: `OP_TRUE`.
pub const CHALLENGE: &str = "51";
/// What a signet begins with: some five million hashes a block.
const BITS: u32 = 0x1e03_77ae;
/// Seconds from one of the first blocks to the next; what the rules would like.
const SPACING: u32 = 600;
/// What a block pays before the first halving.
const SUBSIDY: Amount = Amount::from_int_btc(50);
/// Paid for taking the first coin.
const FEE: Amount = Amount::from_sat(1_000);
/// The witness commitment of a block without transactions (BIP-0141).
const COMMITMENT: [u8; 38] = [
    0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed, 0xe2, 0xf6, 0x1c, 0x3f, 0x71, 0xd1, 0xde, 0xfd, 0x3f, 0xa9,
    0x99, 0xdf, 0xa3, 0x69, 0x53, 0x75, 0x5c, 0x69, 0x06, 0x89, 0x79, 0x99, 0x62, 0xb4, 0x8b, 0xeb,
    0xd8, 0x36, 0x97, 0x4e, 0x8c, 0xf9,
];

/// Of each block above the first one, what makes it meet its target. A test of `e2e` finds them.
#[rustfmt::skip]
const NONCES: &[u32] = &[
    0x0034_105f, 0x0013_fdb8, 0x0023_b802, 0x009c_b4d8, 0x0029_05fc, 0x0127_8b21, 0x0025_495f,
    0x005a_d518, 0x00d0_ef05, 0x006d_1f1b, 0x0020_83c2, 0x0008_feb7, 0x0016_f29f, 0x004c_ac6d,
    0x00af_b794, 0x0055_41fb, 0x0000_ad86, 0x000a_6297, 0x0020_89b8, 0x00b3_f625, 0x0004_a18e,
    0x0023_0935, 0x001c_e3dc, 0x002b_b56c, 0x0000_ecd4, 0x0031_6a8b, 0x004f_dc44, 0x0079_7341,
    0x0018_a2ce, 0x004e_2ba8, 0x001e_df35, 0x00fe_1bb8, 0x0051_5cb8, 0x0039_97b0, 0x0065_e53e,
    0x0019_0c13, 0x0001_d19d, 0x0000_f047, 0x009b_e8e8, 0x0038_a393, 0x0024_2b14, 0x0005_e05e,
    0x0014_03c1, 0x0045_58c2, 0x003a_aa6b, 0x0036_8c18, 0x000c_3322, 0x01d0_2252, 0x00ad_39f7,
    0x0009_7e0a, 0x003d_9741, 0x0044_94b3, 0x00e0_127a, 0x0024_423d, 0x005c_39c6, 0x0061_b181,
    0x0007_6f60, 0x0036_46c3, 0x0017_3f15, 0x0062_3ade, 0x00f6_5ae3, 0x000d_8f98, 0x0006_ae99,
    0x011e_bf04, 0x0004_fd87, 0x001a_54c9, 0x0047_93bc, 0x0058_8455, 0x0002_b32a, 0x0014_bb7c,
    0x00f0_ad02, 0x002f_19f4, 0x001b_a9b0, 0x0021_08b5, 0x0016_df97, 0x0023_e4c5, 0x0027_57b9,
    0x0016_dfae, 0x0034_5786, 0x000b_eb8c, 0x0025_dcd8, 0x0035_0235, 0x003e_ad0e, 0x0010_c0bb,
    0x0004_d98e, 0x001e_42c5, 0x0016_b1e1, 0x0022_4f04, 0x0020_b489, 0x0009_4702, 0x0016_a3be,
    0x0067_1721, 0x0046_f3f9, 0x000b_1128, 0x004e_89c2, 0x001a_cc93, 0x009b_7547, 0x004d_50f8,
    0x0002_fc88, 0x009a_ec9f, 0x0027_d799,
];

/// What a hash must not exceed to be a block.
pub fn target() -> Target {
    Target::from_compact(BITS)
}

/// The blocks from height 1 on.
pub fn first_blocks() -> Vec<Block> {
    let mut previous = genesis_block(Network::Signet).block_hash();
    let numbered = (1..).zip(NONCES);
    let blocks = numbered.map(|(height, nonce)| {
        let block = block(height, previous, *nonce);
        previous = block.block_hash();
        block
    });
    blocks.collect()
}

/// One of them.
pub fn block(height: u32, previous: BlockHash, nonce: u32) -> Block {
    let coinbase = coinbase(height);
    let genesis = genesis_block(Network::Signet).header;
    Block {
        header: Header {
            version: Version::from_consensus(0x2000_0000),
            prev_blockhash: previous,
            merkle_root: TxMerkleNode::from_raw_hash(coinbase.compute_txid().to_raw_hash()),
            time: genesis.time + SPACING * height,
            bits: CompactTarget::from_consensus(BITS),
            nonce,
        },
        txdata: vec![coinbase],
    }
}

fn coinbase(height: u32) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::null(),
        // Two bytes at least (bad-cb-length), which the height alone is not at first (BIP-0034).
        script_sig: Builder::new()
            .push_int(height.into())
            .push_opcode(OP_0)
            .into_script(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[[0; 32]]),
    };
    let output = |value, script_pubkey| TxOut {
        value,
        script_pubkey,
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![
            output(SUBSIDY, anybody().to_p2wsh()),
            output(Amount::ZERO, ScriptBuf::from_bytes(COMMITMENT.to_vec())),
        ],
    }
}

/// What anybody can satisfy.
fn anybody() -> ScriptBuf {
    Builder::new().push_opcode(OP_PUSHNUM_1).into_script()
}

/// Pays the first block's coins to `address`.
pub fn first_coin(address: &Address) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::new(coinbase(1).compute_txid(), 0),
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[anybody().as_bytes()]),
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![TxOut {
            value: SUBSIDY - FEE,
            script_pubkey: address.script_pubkey(),
        }],
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;
    use bitcoin::opcodes::all::OP_RETURN;

    use super::*;
    use crate::service::btc_node::BOOTSTRAP_BLOCKS;

    #[test]
    fn the_first_blocks_follow_each_other_and_have_their_work() {
        let blocks = first_blocks();
        assert_eq!(blocks.len() as u64, BOOTSTRAP_BLOCKS);
        let mut previous = genesis_block(Network::Signet);
        assert_eq!(previous.header.bits.to_consensus(), BITS);
        for (height, block) in (1..).zip(blocks) {
            assert_eq!(block.header.prev_blockhash, previous.block_hash());
            block
                .header
                .validate_pow(block.header.target())
                .unwrap_or_else(|error| panic!("{height}: {error}"));
            assert!(block.check_merkle_root() && block.check_witness_commitment());
            // Lower ones are written with opcodes of their own, which this crate does not read.
            if height > 16 {
                assert_eq!(block.bip34_block_height().unwrap(), height);
            }
            previous = block;
        }
    }

    #[test]
    fn the_commitment_is_that_of_a_block_with_a_coinbase_only() {
        let root = bitcoin::WitnessMerkleNode::all_zeros();
        let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
        assert_eq!(COMMITMENT[0], OP_RETURN.to_u8());
        assert_eq!(COMMITMENT[6..], commitment.to_byte_array());
    }
}
