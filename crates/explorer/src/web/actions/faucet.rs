//! Pays out of the lab's wallet: what its first address has.

use bitcoin::absolute::LockTime;
use bitcoin::bip32::{DerivationPath, Xpriv};
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::key::{CompressedPublicKey, PrivateKey};
use bitcoin::secp256k1::{Message, Secp256k1};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, Network, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, ecdsa,
};
use serde_json::json;

use super::refused;
use crate::archive::Missing;
use crate::chain::{Coin, script_hash};
use crate::config::Actions;
use crate::view::App;

/// Where coinbases of a lab pay to (BIP-0084).
const PATH: &str = "84h/1h/0h/0/0";
/// Coins spent at once, at most.
const MAX_COINS: usize = 100;
/// Satoshis per virtual byte.
const RATE: u64 = 2;
/// Virtual bytes of an input, and of all else.
const INPUT_VSIZE: u64 = 68;
const REST_VSIZE: u64 = 90;
/// Change below this many satoshis goes to the fee.
const DUST: u64 = 1000;

struct Till {
    key: PrivateKey,
    public: CompressedPublicKey,
    address: Address,
}

fn open(key: &Xpriv, network: Network) -> Result<Till, Missing> {
    let secp = Secp256k1::new();
    let unusable = |what: &dyn ToString| Missing::Unavailable(what.to_string());
    let path: DerivationPath = PATH.parse().map_err(|error| unusable(&error))?;
    let key = key
        .derive_priv(&secp, &path)
        .map_err(|error| unusable(&error))?;
    let key = key.to_priv();
    let public =
        CompressedPublicKey::from_private_key(&secp, &key).map_err(|error| unusable(&error))?;
    Ok(Till {
        key,
        public,
        address: Address::p2wpkh(&public, network),
    })
}

/// Whom the lab's blocks pay.
pub(super) fn address(key: &Xpriv, network: Network) -> Result<Address, Missing> {
    Ok(open(key, network)?.address)
}

/// Pays `amount` bitcoins to `to`; the transaction's id.
pub(super) async fn pay(
    app: &App,
    actions: &Actions,
    to: &Address,
    amount: f64,
) -> Result<String, Missing> {
    let key = actions.faucet_key.as_ref();
    let key = key.ok_or_else(|| {
        Missing::Forbidden("there is no faucet here; it needs the key actions.faucet_key".into())
    })?;
    let till = open(key, app.config.network)?;
    let amount = Amount::from_btc(amount)
        .ok()
        .filter(|amount| amount.to_sat() >= DUST);
    let amount = amount.ok_or_else(|| {
        Missing::bad_request(format!(
            "an amount of at least {DUST} satoshis is needed, in bitcoins"
        ))
    })?;
    let coins = coins(app, &till.address.script_pubkey())?;
    let transaction = till.spend(&coins, to, amount)?;
    let params = json!([serialize_hex(&transaction)]);
    actions
        .rpc
        .call("sendrawtransaction", params)
        .await
        .map_err(refused)
}

/// What the till has, and nobody is about to spend.
fn coins(app: &App, script: &ScriptBuf) -> Result<Vec<Coin>, Missing> {
    let mempool = app.conditions.borrow().mempool.clone();
    let taken = mempool.spends();
    let chain = app.chain.borrow();
    let tip = chain.tip().map_or(0, |tip| tip.height);
    let index = chain.index().ok_or_else(|| {
        Missing::Unavailable("the chain is too long for an index of addresses".into())
    })?;
    let is_mature = |coin: &Coin| !coin.is_coinbase || coin.height + 100 <= tip + 1;
    let hash = script_hash(script);
    let coins = index.coins(&hash);
    let free = coins.filter(|coin| is_mature(coin) && !taken.contains(&coin.outpoint));
    Ok(free.collect())
}

impl Till {
    fn spend(&self, coins: &[Coin], to: &Address, amount: Amount) -> Result<Transaction, Missing> {
        let mut chosen: Vec<&Coin> = Vec::new();
        let mut sum = 0;
        let fee = |count: usize| RATE * (REST_VSIZE + INPUT_VSIZE * count as u64);
        for coin in coins.iter().take(MAX_COINS) {
            chosen.push(coin);
            sum += coin.value;
            if sum >= amount.to_sat() + fee(chosen.len()) {
                break;
            }
        }
        let rest = sum.checked_sub(amount.to_sat() + fee(chosen.len()));
        let rest = rest.ok_or_else(|| {
            let has = Amount::from_sat(sum);
            Missing::bad_request(format!(
                "the faucet has {has} in {} mature coins; mine 100 blocks for more",
                chosen.len()
            ))
        })?;
        let mut output = vec![TxOut {
            value: amount,
            script_pubkey: to.script_pubkey(),
        }];
        if rest >= DUST {
            output.push(TxOut {
                value: Amount::from_sat(rest),
                script_pubkey: self.address.script_pubkey(),
            });
        }
        let input = chosen.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        let mut transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: input.collect(),
            output,
        };
        self.sign(&mut transaction, &chosen)?;
        Ok(transaction)
    }

    fn sign(&self, transaction: &mut Transaction, coins: &[&Coin]) -> Result<(), Missing> {
        let secp = Secp256k1::new();
        let script = self.address.script_pubkey();
        let mut witnesses = Vec::new();
        let mut cache = SighashCache::new(&*transaction);
        for (place, coin) in coins.iter().enumerate() {
            let value = Amount::from_sat(coin.value);
            let hash = cache
                .p2wpkh_signature_hash(place, &script, value, EcdsaSighashType::All)
                .map_err(|error| Missing::Unavailable(error.to_string()))?;
            let signature = secp.sign_ecdsa(&Message::from(hash), &self.key.inner);
            let signature = ecdsa::Signature::sighash_all(signature);
            witnesses.push(Witness::p2wpkh(&signature, &self.public.0));
        }
        for (input, witness) in transaction.input.iter_mut().zip(witnesses) {
            input.witness = witness;
        }
        Ok(())
    }
}
