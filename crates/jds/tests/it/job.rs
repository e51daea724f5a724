//! Jobs as a job declarator client makes them of its own node's template.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction,
    TxIn, TxMerkleNode, TxOut, Witness, opcodes, transaction,
};
use protocol::message::declaration::{DeclareMiningJobOwned, PushSolutionOwned};
use regtest::Node;
use regtest::chain::text;
use serde_json::{Value, json};

/// Bytes of the full extranonce.
const EXTRANONCE_LEN: usize = 20;
/// What a miner found.
const EXTRANONCE: [u8; EXTRANONCE_LEN] = [0xe7; EXTRANONCE_LEN];
/// Version, marker, flag, number of inputs, outpoint, length of the scriptSig.
const SCRIPT_SIG: usize = 44;

/// The pool's, as configured.
pub(crate) fn payout() -> ScriptBuf {
    regtest::chain::address().script_pubkey()
}

/// A block that lacks work and the extranonce.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) block: Block,
}

impl Job {
    /// On the node's tip, with all of its mempool. Not its block template, which lags behind.
    pub(crate) async fn best(node: &Node) -> Self {
        let mut transactions = Vec::new();
        for txid in node
            .rpc("getrawmempool", json!([]))
            .await
            .as_array()
            .unwrap()
        {
            let data = node.rpc("getrawtransaction", json!([txid])).await;
            transactions.push(deserialize_hex(text(&data)).unwrap());
        }
        Self::with(node, transactions).await
    }

    /// On the node's tip, with these transactions, whose fees are not collected.
    pub(crate) async fn with(node: &Node, transactions: Vec<Transaction>) -> Self {
        let template = node.block_template().await;
        let fees = template["transactions"].as_array().unwrap().iter();
        let fees: u64 = fees.map(|entry| entry["fee"].as_u64().unwrap()).sum();
        let subsidy = Amount::from_sat(template["coinbasevalue"].as_u64().unwrap() - fees);
        Self::of(&template, subsidy, transactions)
    }

    fn of(template: &Value, value: Amount, transactions: Vec<Transaction>) -> Self {
        let number = |key: &str| template[key].as_u64().unwrap();
        let height = u32::try_from(number("height")).unwrap();
        let previous: BlockHash = text(&template["previousblockhash"]).parse().unwrap();
        let mut job = Self {
            block: Block {
                header: Header {
                    version: Version::from_consensus(number("version") as i32),
                    prev_blockhash: previous,
                    merkle_root: TxMerkleNode::all_zeros(),
                    time: number("curtime") as u32,
                    bits: CompactTarget::from_unprefixed_hex(text(&template["bits"])).unwrap(),
                    nonce: 0,
                },
                txdata: [vec![coinbase(height, value)], transactions].concat(),
            },
        };
        job.commit();
        job
    }

    pub(crate) fn coinbase(&mut self) -> &mut Transaction {
        &mut self.block.txdata[0]
    }

    /// Makes the last output the witness commitment (BIP-0141).
    fn commit(&mut self) {
        let root = self.block.witness_root().unwrap();
        let commitment = Block::compute_witness_commitment(&root, &[0; 32]);
        let mut data = PushBytesBuf::from([0xaa, 0x21, 0xa9, 0xed]);
        data.extend_from_slice(commitment.as_byte_array()).unwrap();
        let script = Builder::new()
            .push_opcode(opcodes::all::OP_RETURN)
            .push_slice(data);
        self.coinbase().output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: script.into_script(),
        });
    }

    /// The coinbase before and after the extranonce, not stripped (SV2 3.7.2).
    fn parts(&self) -> (Vec<u8>, Vec<u8>) {
        let bytes = serialize(&self.block.txdata[0]);
        let script_sig = self.block.txdata[0].input[0].script_sig.len();
        let end = SCRIPT_SIG + script_sig;
        (
            bytes[..end - EXTRANONCE_LEN].to_vec(),
            bytes[end..].to_vec(),
        )
    }

    pub(crate) fn declaration(&self, request_id: u32, token: Vec<u8>) -> DeclareMiningJobOwned {
        let (prefix, suffix) = self.parts();
        let wtxid = |transaction: &Transaction| transaction.compute_wtxid().to_byte_array().into();
        let wtxids: Vec<_> = self.block.txdata[1..].iter().map(wtxid).collect();
        DeclareMiningJobOwned {
            request_id,
            mining_job_token: token.try_into().unwrap(),
            version: self.block.header.version.to_consensus().cast_unsigned(),
            coinbase_tx_prefix: prefix.try_into().unwrap(),
            coinbase_tx_suffix: suffix.try_into().unwrap(),
            wtxid_list: wtxids.try_into().unwrap(),
            excess_data: Vec::new().try_into().unwrap(),
        }
    }

    /// Serialised transactions at these positions of the declaration.
    pub(crate) fn transactions(&self, positions: &[u16]) -> Vec<Vec<u8>> {
        let at = |position: &u16| serialize(&self.block.txdata[1 + usize::from(*position)]);
        positions.iter().map(at).collect()
    }

    /// Finds work for it.
    pub(crate) fn solve(&self) -> (Block, PushSolutionOwned) {
        let mut nonces = (0..).map(|nonce| self.worked_on(nonce));
        let block = nonces.find(is_solved).unwrap();
        (block.clone(), solution(&block.header))
    }

    /// Finds work that is none for `other`: regtest's target is met by half of all hashes.
    pub(crate) fn solve_alone(&self, other: &Self) -> (Block, PushSolutionOwned) {
        let mut other = other.clone();
        other.block.header.time = self.block.header.time;
        let mut nonces = (0..).map(|nonce| (self.worked_on(nonce), other.worked_on(nonce)));
        let found = nonces.find(|(own, other)| is_solved(own) && !is_solved(other));
        let (block, _) = found.unwrap();
        (block.clone(), solution(&block.header))
    }

    /// With an extranonce and a nonce.
    fn worked_on(&self, nonce: u32) -> Block {
        let mut block = self.block.clone();
        let script_sig = &mut block.txdata[0].input[0].script_sig;
        let mut bytes = script_sig.to_bytes();
        let start = bytes.len() - EXTRANONCE_LEN;
        bytes[start..].copy_from_slice(&EXTRANONCE);
        *script_sig = bytes.into();
        block.header.merkle_root = block.compute_merkle_root().unwrap();
        block.header.nonce = nonce;
        block
    }
}

fn is_solved(block: &Block) -> bool {
    Target::from_compact(block.header.bits).is_met_by(block.block_hash())
}

fn solution(header: &Header) -> PushSolutionOwned {
    PushSolutionOwned {
        extranonce: EXTRANONCE.to_vec().try_into().unwrap(),
        prev_hash: header.prev_blockhash.to_byte_array().into(),
        nonce: header.nonce,
        ntime: header.time,
        nbits: header.bits.to_consensus(),
        version: header.version.to_consensus().cast_unsigned(),
    }
}

fn coinbase(height: u32, value: Amount) -> Transaction {
    let mut script_sig = Builder::new()
        .push_int(i64::from(height))
        .into_script()
        .into_bytes();
    script_sig.extend([0; EXTRANONCE_LEN]);
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from(script_sig),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[[0; 32]]),
        }],
        output: vec![TxOut {
            value,
            script_pubkey: payout(),
        }],
    }
}
