//! Blocks and transactions, made without a wallet: every coin belongs to whoever shows `OP_TRUE`.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::opcodes::OP_TRUE;
use bitcoin::opcodes::all::OP_CHECKMULTISIG;
use bitcoin::{
    Address, Amount, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    transaction,
};
use serde_json::{Value, json};

use crate::node::Node;

fn anyone() -> ScriptBuf {
    ScriptBuf::builder().push_opcode(OP_TRUE).into_script()
}

/// Where coins go that anyone can spend.
pub fn address() -> Address {
    Address::p2wsh(&anyone(), Network::Regtest)
}

/// Spends an output that anyone can spend.
pub fn spending(previous_output: OutPoint, output: Vec<TxOut>) -> Transaction {
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

/// An output that anyone can spend.
pub fn to_anyone(value: Amount) -> TxOut {
    TxOut {
        value,
        script_pubkey: address().script_pubkey(),
    }
}

/// An output with signature operations of this cost, a multiple of 80.
pub fn with_sigops(cost: usize) -> TxOut {
    // BIP-0141: a bare multisig of unknown size counts as 20 operations of four each.
    TxOut {
        value: Amount::from_sat(10_000),
        script_pubkey: ScriptBuf::from(vec![OP_CHECKMULTISIG.to_u8(); cost / 80]),
    }
}

impl Node {
    /// Puts a segwit transaction into the mempool; it spends the coinbase at `height`.
    pub async fn spend_coinbase(&self, height: u32, fee: u64) {
        let (coin, reward) = self.coinbase_of(height).await;
        self.spend((coin, reward), fee).await;
    }

    /// The same with so many bytes of data in a further output.
    pub async fn spend_coinbase_with_data(&self, height: u32, fee: u64, data: usize) {
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
    pub async fn fan_out(&self, height: u32, count: u32) -> Vec<(OutPoint, Amount)> {
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
    pub async fn spend(&self, (coin, value): (OutPoint, Amount), fee: u64) -> (OutPoint, Amount) {
        let value = value - Amount::from_sat(fee);
        let transaction = spending(coin, vec![to_anyone(value)]);
        self.send(&transaction).await;
        (OutPoint::new(transaction.compute_txid(), 0), value)
    }

    /// Puts `count` transactions into the mempool that do not depend on each other; mines a block
    /// for it.
    pub async fn spend_fan_out(&self, height: u32, count: u32, fee: u64) {
        for coin in self.fan_out(height, count).await {
            self.spend(coin, fee).await;
        }
    }

    /// Puts a transaction with signature operations of this cost into the mempool. The node wants
    /// `-acceptnonstdtxn` for it, and takes no more than 16,000 in one.
    pub async fn spend_coinbase_with_sigops(&self, height: u32, fee: u64, cost: usize) {
        let (coin, reward) = self.coinbase_of(height).await;
        let output = vec![to_anyone(reward - Amount::from_sat(fee)), with_sigops(cost)];
        self.send(&spending(coin, output)).await;
    }

    /// Puts a transaction into the mempool.
    pub async fn send(&self, transaction: &Transaction) {
        self.rpc("sendrawtransaction", json!([serialize_hex(transaction)]))
            .await;
    }

    /// The first coin of the coinbase at `height`.
    pub async fn coinbase_of(&self, height: u32) -> (OutPoint, Amount) {
        let hash = self.rpc("getblockhash", json!([height])).await;
        let block = self.rpc("getblock", json!([hash, 2])).await;
        let coinbase = &block["tx"][0];
        let reward = coinbase["vout"][0]["value"].as_f64().unwrap();
        let coin = OutPoint::new(text(&coinbase["txid"]).parse().unwrap(), 0);
        (coin, Amount::from_btc(reward).unwrap())
    }
}

/// A JSON string.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
