//! A template provider that follows a script drawn from the seed, and judges what it is handed.

use std::collections::BTreeMap;

use bitcoin::absolute::LockTime;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::{OutPoint, Transaction, TxIn, Txid, Witness, transaction};
use protocol::coinbase::{Header, merkle_path, merkle_root};
use protocol::core::Now;
use protocol::message::template::{NewTemplateOwned, SetNewPrevHashOwned, SubmitSolution};
use protocol::message::{self, TemplateDistributionOwned};
use protocol::target::Target;
use rand::Rng;
use rand::rngs::StdRng;

/// The version bits every template asks for.
const VERSION: u32 = 0x2000_0000;
/// Height of the first tip.
const FIRST_HEIGHT: u16 = 300;
/// What a template without fees pays out.
const SUBSIDY: u64 = 5_000_000_000;

/// What is to happen at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A better template for the tip.
    Fees,
    /// The same template under a new id, as a provider may send it at any time.
    Repeat,
    /// A template for a tip that is not there yet.
    Future,
    /// Somebody else found a block.
    Tip,
}

/// The provider: the chain as its node sees it, and what it has sent on its connection.
#[derive(Debug)]
pub(crate) struct Provider {
    n_bits: u32,
    height: u16,
    prev_hash: [u8; 32],
    header_timestamp: u32,
    /// Stands for the transactions that wait; other numbers give other templates.
    mempool: u32,
    next_id: u64,
    /// Sent on this connection.
    templates: BTreeMap<u64, Sent>,
    /// Of those, the ones that wait for their tip.
    futures: Vec<u64>,
    /// All that were ever in a template, serialized, by wtxid.
    known: BTreeMap<[u8; 32], Vec<u8>>,
}

#[derive(Debug)]
struct Sent {
    /// Serialized.
    transactions: Vec<Vec<u8>>,
    path: Vec<[u8; 32]>,
    /// What the coinbase may pay out.
    value: u64,
    /// The tip it is mined on; `None` for a future one.
    prev_hash: Option<[u8; 32]>,
    header_timestamp: u32,
}

/// A solution that does not make the block it should.
#[derive(Debug)]
pub(crate) struct BadSolution(pub(crate) String);

impl Provider {
    pub(crate) fn new(rng: &mut StdRng, n_bits: u32, now: Now) -> Self {
        Self {
            n_bits,
            height: FIRST_HEIGHT,
            prev_hash: rng.r#gen(),
            header_timestamp: now.unix as u32,
            mempool: 0,
            next_id: 1,
            templates: BTreeMap::new(),
            futures: Vec::new(),
            known: BTreeMap::new(),
        }
    }

    /// What a hash must not exceed to be a block.
    pub(crate) fn target(&self) -> Target {
        Target::from_compact(self.n_bits)
    }

    /// The compact target of every block.
    pub(crate) fn n_bits(&self) -> u32 {
        self.n_bits
    }

    /// Of the tip.
    pub(crate) fn height(&self) -> u16 {
        self.height
    }

    /// When a block on the tip may begin.
    pub(crate) fn header_timestamp(&self) -> u32 {
        self.header_timestamp
    }

    /// One that was ever in a template.
    pub(crate) fn transaction(&self, wtxid: &[u8; 32]) -> Option<&[u8]> {
        self.known.get(wtxid).map(Vec::as_slice)
    }

    /// The transactions of a template that was sent on this connection.
    pub(crate) fn transactions(&self, template_id: u64) -> Option<&[Vec<u8>]> {
        let sent = self.templates.get(&template_id);
        sent.map(|sent| sent.transactions.as_slice())
    }

    /// The tip.
    pub(crate) fn prev_hash(&self) -> [u8; 32] {
        self.prev_hash
    }

    /// A client has come and told its constraints: it gets a future template and the tip.
    pub(crate) fn welcome(&mut self) -> Vec<u8> {
        self.templates.clear();
        self.futures.clear();
        let mut frames = Vec::new();
        let id = self.template(true, &mut frames);
        self.activate(id, &mut frames);
        frames
    }

    /// Plays a line of the script.
    pub(crate) fn act(&mut self, act: Act, rng: &mut StdRng, now: Now) -> Vec<u8> {
        let mut frames = Vec::new();
        match act {
            Act::Fees => {
                self.mempool += 1;
                self.template(false, &mut frames);
            }
            Act::Repeat => {
                self.template(false, &mut frames);
            }
            Act::Future => {
                self.mempool += 1;
                self.height += 1;
                let id = self.template(true, &mut frames);
                self.height -= 1;
                self.futures.push(id);
            }
            Act::Tip => frames = self.found(rng.r#gen(), rng, now),
        }
        frames
    }

    /// A block was found: it is the new tip, mined on by a template announced before or by a new one.
    pub(crate) fn found(&mut self, hash: [u8; 32], rng: &mut StdRng, now: Now) -> Vec<u8> {
        let mut frames = Vec::new();
        self.height += 1;
        self.prev_hash = hash;
        // Blocks may come faster than seconds, and the chain's time must grow with them.
        self.header_timestamp = (self.header_timestamp + 1).max(now.unix as u32);
        let id = if self.futures.is_empty() || rng.gen_bool(0.3) {
            self.template(true, &mut frames)
        } else {
            self.futures[rng.gen_range(0..self.futures.len())]
        };
        self.futures.clear();
        self.activate(id, &mut frames);
        frames
    }

    /// Rebuilds the block of a solution, as the node would. Returns its hash, whether or not it is
    /// still the next one of the chain.
    pub(crate) fn judge(&self, solution: &SubmitSolution<'_>) -> Result<[u8; 32], BadSolution> {
        let id = solution.template_id;
        let unknown = || BadSolution(format!("it names template {id}, which was not sent"));
        let sent = self.templates.get(&id).ok_or_else(unknown)?;
        let future = || BadSolution(format!("template {id} is still a future one"));
        let prev_hash = sent.prev_hash.ok_or_else(future)?;
        let coinbase = solution.coinbase_tx.as_bytes();
        let coinbase: bitcoin::Transaction = bitcoin::consensus::deserialize(coinbase)
            .map_err(|error| BadSolution(format!("its coinbase is no transaction: {error}")))?;
        let paid: u64 = coinbase
            .output
            .iter()
            .map(|output| output.value.to_sat())
            .sum();
        if paid != sent.value {
            let value = sent.value;
            return Err(BadSolution(format!("it pays {paid} satoshis of {value}")));
        }
        let txid: [u8; 32] = *AsRef::<[u8; 32]>::as_ref(&coinbase.compute_txid());
        let hash = Header {
            version: solution.version,
            prev_hash: &prev_hash,
            merkle_root: &merkle_root(txid, &sent.path),
            ntime: solution.header_timestamp,
            n_bits: self.n_bits,
            nonce: solution.header_nonce,
        }
        .hash();
        if Target::from_le_bytes(hash) > self.target() {
            return Err(BadSolution(format!(
                "its block on template {id} misses the target"
            )));
        }
        if solution.header_timestamp < sent.header_timestamp {
            return Err(BadSolution(format!(
                "its block on template {id} is too early"
            )));
        }
        Ok(hash)
    }

    /// Whether a template is for the current tip.
    pub(crate) fn is_current(&self, template_id: u64) -> bool {
        self.templates
            .get(&template_id)
            .is_some_and(|sent| sent.prev_hash == Some(self.prev_hash))
    }

    fn template(&mut self, future: bool, frames: &mut Vec<u8>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let count = [0, 1, 2, 5][self.mempool as usize % 4];
        let transactions: Vec<_> = (0..count)
            .map(|number| transaction(self.mempool * 5 + number))
            .collect();
        let txids = transactions.iter();
        let path = merkle_path(txids.map(|one| one.compute_txid().to_byte_array()));
        for one in &transactions {
            let wtxid = one.compute_wtxid().to_byte_array();
            self.known.insert(wtxid, serialize(one));
        }
        let nodes: Vec<_> = path.iter().map(|node| (*node).into()).collect();
        let value = SUBSIDY + u64::from(self.mempool);
        let [low, high] = (self.height + 1).to_le_bytes();
        let template = NewTemplateOwned {
            template_id: id,
            future_template: future,
            version: VERSION,
            coinbase_tx_version: 2,
            coinbase_prefix: vec![2, low, high].try_into().expect("three bytes fit"),
            coinbase_tx_input_sequence: 0xffff_fffe,
            coinbase_tx_value_remaining: value,
            coinbase_tx_outputs_count: 1,
            coinbase_tx_outputs: commitment().try_into().expect("one output fits"),
            coinbase_tx_locktime: u32::from(self.height),
            merkle_path: nodes.try_into().expect("a path has few nodes"),
        };
        message::encode(TemplateDistributionOwned::NewTemplate(template), frames);
        let sent = Sent {
            transactions: transactions.iter().map(serialize).collect(),
            path,
            value,
            prev_hash: (!future).then_some(self.prev_hash),
            header_timestamp: self.header_timestamp,
        };
        self.templates.insert(id, sent);
        id
    }

    fn activate(&mut self, id: u64, frames: &mut Vec<u8>) {
        if let Some(sent) = self.templates.get_mut(&id) {
            sent.prev_hash = Some(self.prev_hash);
            sent.header_timestamp = self.header_timestamp;
        }
        let tip = SetNewPrevHashOwned {
            template_id: id,
            prev_hash: self.prev_hash.into(),
            header_timestamp: self.header_timestamp,
            n_bits: self.n_bits,
            target: self.target().to_le_bytes().into(),
        };
        message::encode(TemplateDistributionOwned::SetNewPrevHash(tip), frames);
    }
}

/// An output with a witness commitment, so that the coinbase needs a witness (BIP-0141).
fn commitment() -> Vec<u8> {
    let mut output = vec![0; 8];
    output.extend([0x26, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
    output.extend([0xcc; 32]);
    output
}

/// With a witness, and named by a number.
fn transaction(number: u32) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::new(Txid::from_byte_array([7; 32]), number),
        witness: Witness::from_slice(&[number.to_le_bytes()]),
        ..TxIn::default()
    };
    Transaction {
        version: transaction::Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: Vec::new(),
    }
}
