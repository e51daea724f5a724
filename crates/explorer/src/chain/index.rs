//! Transactions and coins by address, in columns that only grow at their ends, so that a
//! reorganisation is a truncation.

use std::collections::HashMap;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Block, OutPoint, Script, Txid};

/// Outputs that are indexed at most, of about 80 bytes each with all that belongs to them.
const MAX_OUTPUTS: usize = 1_000_000;

/// Of an output that is not spent.
const UNSPENT: u32 = u32::MAX;

/// SHA-256 of a script, in its own order: what Electrum and Esplora call an address by.
pub type ScriptHash = [u8; 32];

/// By what `script` is found.
pub fn script_hash(script: &Script) -> ScriptHash {
    sha256::Hash::hash(script.as_bytes()).to_byte_array()
}

#[derive(Debug)]
struct Tx {
    txid: Txid,
    height: u32,
    first_output: u32,
    first_spend: u32,
}

#[derive(Debug)]
struct Output {
    tx: u32,
    vout: u32,
    value: u64,
    script: u32,
    spent_by: u32,
}

/// What happened to a script; values in satoshis.
#[derive(Debug, Default)]
struct Account {
    /// The transactions that pay it or spend from it, in the chain's order.
    touched: Vec<u32>,
    funded_count: u32,
    spent_count: u32,
    funded: u64,
    spent: u64,
}

/// What is known by address.
#[derive(Debug, Default)]
pub struct Index {
    /// In the chain's order.
    txs: Vec<Tx>,
    by_txid: HashMap<Txid, u32>,
    /// In the order of their transactions. Those that nobody can spend are left out.
    outputs: Vec<Output>,
    /// Outputs that are spent, in the order of the transactions that do.
    spends: Vec<u32>,
    by_script: HashMap<ScriptHash, u32>,
    accounts: Vec<Account>,
}

/// A transaction that pays an address or spends from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// The transaction.
    pub txid: Txid,
    /// Of its block.
    pub height: u32,
    /// Satoshis that it pays to the address.
    pub received: u64,
    /// Satoshis of the address that it spends.
    pub spent: u64,
}

/// An output that is not spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Satoshis.
    pub value: u64,
    /// Of its block.
    pub height: u32,
    /// Whether it is a coinbase's, which takes a hundred blocks to mature.
    pub is_coinbase: bool,
}

/// An address in numbers; values in satoshis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Transactions that touch it.
    pub transactions: usize,
    /// Outputs that ever paid it.
    pub funded_count: u64,
    /// What they paid.
    pub funded: u64,
    /// Of these, outputs that are spent.
    pub spent_count: u64,
    /// What those were worth.
    pub spent: u64,
    /// Of what is not spent: rewards that are not mature.
    pub immature: u64,
}

impl Account {
    fn touch(&mut self, tx: u32) {
        if self.touched.last() != Some(&tx) {
            self.touched.push(tx);
        }
    }
}

impl Index {
    /// Whether nothing more fits.
    pub(super) fn is_full(&self) -> bool {
        self.outputs.len() > MAX_OUTPUTS
    }

    pub(super) fn connect(&mut self, block: &Block, height: u32) {
        for (place, transaction) in block.txdata.iter().enumerate() {
            let tx = self.txs.len() as u32;
            let txid = transaction.compute_txid();
            self.by_txid.insert(txid, tx);
            self.txs.push(Tx {
                txid,
                height,
                first_output: self.outputs.len() as u32,
                first_spend: self.spends.len() as u32,
            });
            let inputs = match place {
                0 => &[][..],
                _ => &transaction.input,
            };
            for input in inputs {
                if let Some(place) = self.output(&input.previous_output) {
                    self.spends.push(place as u32);
                    let output = &mut self.outputs[place];
                    output.spent_by = tx;
                    let account = &mut self.accounts[output.script as usize];
                    account.spent_count += 1;
                    account.spent += output.value;
                    account.touch(tx);
                }
            }
            for (vout, output) in transaction.output.iter().enumerate() {
                // The first block's coin is none.
                if output.script_pubkey.is_op_return() || height == 0 {
                    continue;
                }
                let script = self.script(&output.script_pubkey);
                let value = output.value.to_sat();
                self.outputs.push(Output {
                    tx,
                    vout: vout as u32,
                    value,
                    script,
                    spent_by: UNSPENT,
                });
                let account = &mut self.accounts[script as usize];
                account.funded_count += 1;
                account.funded += value;
                account.touch(tx);
            }
        }
    }

    /// Takes away what is above `fork`.
    pub(super) fn roll_back(&mut self, fork: u32) {
        let kept = self.txs.partition_point(|tx| tx.height <= fork);
        let Some(first) = self.txs.get(kept) else {
            return;
        };
        let (first_output, first_spend) = (first.first_output as usize, first.first_spend as usize);
        for tx in self.txs.drain(kept..) {
            self.by_txid.remove(&tx.txid);
        }
        for place in self.spends.drain(first_spend..) {
            let output = &mut self.outputs[place as usize];
            output.spent_by = UNSPENT;
            let account = &mut self.accounts[output.script as usize];
            account.spent_count -= 1;
            account.spent -= output.value;
        }
        for output in self.outputs.drain(first_output..) {
            let account = &mut self.accounts[output.script as usize];
            account.funded_count -= 1;
            account.funded -= output.value;
        }
        let kept = kept as u32;
        for Account { touched, .. } in &mut self.accounts {
            touched.truncate(touched.partition_point(|tx| *tx < kept));
        }
    }

    fn script(&mut self, script: &Script) -> u32 {
        let next = self.accounts.len() as u32;
        let number = *self.by_script.entry(script_hash(script)).or_insert(next);
        if number == next {
            self.accounts.push(Account::default());
        }
        number
    }

    fn output(&self, outpoint: &OutPoint) -> Option<usize> {
        let tx = *self.by_txid.get(&outpoint.txid)?;
        let first = self.txs[tx as usize].first_output as usize;
        let own = self.outputs[first..].iter();
        let own = own.take_while(|output| output.tx == tx);
        let place = own
            .map(|output| output.vout)
            .position(|vout| vout == outpoint.vout)?;
        Some(first + place)
    }

    fn outputs_of(&self, tx: u32) -> &[Output] {
        let first = self.txs[tx as usize].first_output as usize;
        let next = self.txs.get(tx as usize + 1);
        let end = next.map_or(self.outputs.len(), |next| next.first_output as usize);
        &self.outputs[first..end]
    }

    fn spent_by(&self, tx: u32) -> impl Iterator<Item = &Output> {
        let first = self.txs[tx as usize].first_spend as usize;
        let next = self.txs.get(tx as usize + 1);
        let end = next.map_or(self.spends.len(), |next| next.first_spend as usize);
        let places = self.spends[first..end].iter();
        places.map(|place| &self.outputs[*place as usize])
    }

    /// Height of the block that a transaction is in.
    pub fn height_of(&self, txid: &Txid) -> Option<u32> {
        let tx = *self.by_txid.get(txid)?;
        Some(self.txs[tx as usize].height)
    }

    /// What an output is worth, and the transaction that spends it with its block's height;
    /// `None` for one that is not in the chain, or that nobody can spend.
    pub fn spending(&self, outpoint: &OutPoint) -> Option<(u64, Option<(Txid, u32)>)> {
        let output = &self.outputs[self.output(outpoint)?];
        let by = self.txs.get(output.spent_by as usize);
        Some((output.value, by.map(|tx| (tx.txid, tx.height))))
    }

    /// What an output of the chain is worth, if it pays this script.
    pub fn paid_to(&self, script: &ScriptHash, outpoint: &OutPoint) -> Option<u64> {
        let output = &self.outputs[self.output(outpoint)?];
        (self.by_script.get(script) == Some(&output.script)).then_some(output.value)
    }

    fn account(&self, script: &ScriptHash) -> Option<(u32, &Account)> {
        let number = *self.by_script.get(script)?;
        Some((number, &self.accounts[number as usize]))
    }

    fn touched(&self, script: &ScriptHash) -> (u32, &[u32]) {
        let account = self.account(script);
        account.map_or((0, &[]), |(number, account)| (number, &account.touched))
    }

    /// An address in numbers. A reward is mature at the height of its block and a hundred more;
    /// `tip` is the chain's height.
    pub fn summary(&self, script: &ScriptHash, tip: u32) -> Summary {
        let Some((number, account)) = self.account(script) else {
            return Summary::default();
        };
        let newest = account.touched.iter().rev();
        let young = newest.take_while(|tx| self.height(**tx) + 100 > tip + 1);
        let rewards = young.filter(|tx| self.is_coinbase(**tx));
        let immature = rewards
            .flat_map(|tx| self.outputs_of(*tx))
            .filter(|output| output.script == number && output.spent_by == UNSPENT);
        Summary {
            transactions: account.touched.len(),
            funded_count: account.funded_count.into(),
            funded: account.funded,
            spent_count: account.spent_count.into(),
            spent: account.spent,
            immature: immature.map(|output| output.value).sum(),
        }
    }

    /// Transactions that touch an address, the newest first.
    pub fn transactions(&self, script: &ScriptHash) -> impl Iterator<Item = Txid> {
        let (_, touched) = self.touched(script);
        touched.iter().rev().map(|tx| self.txs[*tx as usize].txid)
    }

    /// The same with what they did, without the first `offset`.
    pub fn history(
        &self,
        script: &ScriptHash,
        offset: usize,
        limit: usize,
    ) -> impl Iterator<Item = Touch> {
        let (number, touched) = self.touched(script);
        let end = touched.len().saturating_sub(offset);
        let part = &touched[end.saturating_sub(limit)..end];
        let own = move |output: &&Output| output.script == number;
        part.iter().rev().map(move |tx| {
            let received = self.outputs_of(*tx).iter().filter(own);
            let spent = self.spent_by(*tx).filter(own);
            Touch {
                txid: self.txs[*tx as usize].txid,
                height: self.height(*tx),
                received: received.map(|output| output.value).sum(),
                spent: spent.map(|output| output.value).sum(),
            }
        })
    }

    /// What an address has, the newest first.
    pub fn coins(&self, script: &ScriptHash) -> impl Iterator<Item = Coin> {
        let (number, touched) = self.touched(script);
        let outputs = touched
            .iter()
            .rev()
            .flat_map(|tx| self.outputs_of(*tx))
            .filter(move |output| output.script == number && output.spent_by == UNSPENT);
        outputs.map(|output| {
            let tx = &self.txs[output.tx as usize];
            Coin {
                outpoint: OutPoint::new(tx.txid, output.vout),
                value: output.value,
                height: tx.height,
                is_coinbase: self.is_coinbase(output.tx),
            }
        })
    }

    fn height(&self, tx: u32) -> u32 {
        self.txs[tx as usize].height
    }

    /// Whether it is the first of its block.
    fn is_coinbase(&self, tx: u32) -> bool {
        let before = tx.checked_sub(1);
        before.is_none_or(|before| self.height(before) != self.height(tx))
    }
}
