//! Blocks and transactions, made without a wallet: every coin belongs to whoever shows `OP_TRUE`.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::consensus::{Decodable, serialize};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::{
    Address, Amount, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Target,
    Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness, transaction,
};
use serde_json::{Value, json};
use template_provider::source::{Solution, Template};

use crate::node::Node;

fn anyone() -> ScriptBuf {
    ScriptBuf::builder().push_opcode(OP_TRUE).into_script()
}

pub(crate) fn address() -> Address {
    Address::p2wsh(&anyone(), Network::Regtest)
}

/// Spends an output that anyone can spend.
fn spending(previous_output: OutPoint, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[anyone().as_bytes()]),
        }],
        output,
    }
}

fn to_anyone(value: Amount) -> TxOut {
    TxOut {
        value,
        script_pubkey: address().script_pubkey(),
    }
}

/// An output with signature operations of this cost, a multiple of 80.
pub(crate) fn with_sigops(cost: usize) -> TxOut {
    // BIP-0141: a bare multisig of unknown size counts as 20 operations of four each.
    TxOut {
        value: Amount::from_sat(10_000),
        script_pubkey: ScriptBuf::from(vec![OP_CHECKMULTISIG.to_u8(); cost / 80]),
    }
}

impl Node {
    /// Puts a segwit transaction into the mempool; it spends the coinbase at `height`.
    pub(crate) async fn spend_coinbase(&self, height: u32, fee: u64) {
        let (coin, reward) = self.coinbase_of(height).await;
        self.spend((coin, reward), fee).await;
    }

    /// The same with so many bytes of data in a further output.
    pub(crate) async fn spend_coinbase_with_data(&self, height: u32, fee: u64, data: usize) {
        let (coin, reward) = self.coinbase_of(height).await;
        // OP_RETURN OP_PUSHDATA4, length, data.
        let mut script = vec![0x6a, 0x4e];
        script.extend(u32::try_from(data).unwrap().to_le_bytes());
        script.resize(script.len() + data, 0);
        let data = TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from(script),
        };
        let output = vec![to_anyone(reward - Amount::from_sat(fee)), data];
        self.send(&spending(coin, output)).await;
    }

    /// Cuts the coinbase at `height` into this many coins; mines a block for it.
    pub(crate) async fn fan_out(&self, height: u32, count: u32) -> Vec<(OutPoint, Amount)> {
        let (coin, reward) = self.coinbase_of(height).await;
        let each = (reward - Amount::from_sat(1_000_000)) / u64::from(count);
        let fan = spending(coin, vec![to_anyone(each); count as usize]);
        self.send(&fan).await;
        self.mine(1).await;
        let txid = fan.compute_txid();
        (0..count)
            .map(|index| (OutPoint::new(txid, index), each))
            .collect()
    }

    /// Puts a segwit transaction into the mempool; returns the coin it makes.
    pub(crate) async fn spend(
        &self,
        (coin, value): (OutPoint, Amount),
        fee: u64,
    ) -> (OutPoint, Amount) {
        let value = value - Amount::from_sat(fee);
        let transaction = spending(coin, vec![to_anyone(value)]);
        self.send(&transaction).await;
        (OutPoint::new(transaction.compute_txid(), 0), value)
    }

    /// Puts `count` transactions into the mempool that do not depend on each other; mines a block
    /// for it.
    pub(crate) async fn spend_fan_out(&self, height: u32, count: u32, fee: u64) {
        for coin in self.fan_out(height, count).await {
            self.spend(coin, fee).await;
        }
    }

    /// Puts a transaction with signature operations of this cost into the mempool. The node wants
    /// `-acceptnonstdtxn` for it, and takes no more than 16,000 in one.
    pub(crate) async fn spend_coinbase_with_sigops(&self, height: u32, fee: u64, cost: usize) {
        let (coin, reward) = self.coinbase_of(height).await;
        let output = vec![to_anyone(reward - Amount::from_sat(fee)), with_sigops(cost)];
        self.send(&spending(coin, output)).await;
    }

    async fn send(&self, transaction: &Transaction) {
        self.rpc("sendrawtransaction", json!([serialize_hex(transaction)]))
            .await;
    }

    async fn coinbase_of(&self, height: u32) -> (OutPoint, Amount) {
        let hash = self.rpc("getblockhash", json!([height])).await;
        let block = self.rpc("getblock", json!([hash, 2])).await;
        let coinbase = &block["tx"][0];
        let reward = coinbase["vout"][0]["value"].as_f64().unwrap();
        let coin = OutPoint::new(text(&coinbase["txid"]).parse().unwrap(), 0);
        (coin, Amount::from_btc(reward).unwrap())
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A coinbase built literally from the fields of a template (SV2 7.2).
pub(crate) fn coinbase(template: &Template) -> Transaction {
    let mut script_sig = template.coinbase_prefix.clone();
    script_sig.extend(*b"extranonce");
    let mut output = vec![TxOut {
        value: Amount::from_sat(template.coinbase_tx_value_remaining),
        script_pubkey: address().script_pubkey(),
    }];
    let mut rest = template.coinbase_tx_outputs.as_slice();
    for _ in 0..template.coinbase_tx_outputs_count {
        output.push(TxOut::consensus_decode(&mut rest).unwrap());
    }
    assert!(rest.is_empty());
    Transaction {
        version: transaction::Version(template.coinbase_tx_version.cast_signed()),
        lock_time: LockTime::from_consensus(template.coinbase_tx_locktime),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from(script_sig),
            sequence: Sequence(template.coinbase_tx_input_sequence),
            witness: Witness::from_slice(&[[0; 32]]),
        }],
        output,
    }
}

/// Folds from the deepest hash (SV2 5.3.16).
pub(crate) fn merkle_root(coinbase: Txid, path: &[[u8; 32]]) -> TxMerkleNode {
    let root = path.iter().fold(coinbase.to_byte_array(), |left, right| {
        sha256d::Hash::hash(&[left, *right].concat()).to_byte_array()
    });
    TxMerkleNode::from_byte_array(root)
}

/// Mines a template with this coinbase.
pub(crate) fn solve(template: &Template, coinbase: &Transaction) -> Box<Solution> {
    let mut header = Header {
        version: Version::from_consensus(template.version.cast_signed()),
        prev_blockhash: BlockHash::from_byte_array(template.prev_hash),
        merkle_root: merkle_root(coinbase.compute_txid(), &template.merkle_path),
        time: template.header_timestamp,
        bits: CompactTarget::from_consensus(template.n_bits),
        nonce: 0,
    };
    let target = Target::from_le_bytes(template.target);
    while !target.is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    Box::new(Solution {
        template_id: 7,
        block_hash: header.block_hash(),
        version: template.version,
        timestamp: header.time,
        nonce: header.nonce,
        coinbase: serialize(coinbase),
    })
}
