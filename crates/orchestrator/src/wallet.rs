//! The lab's own wallet: coinbases pay to it, tests and people spend from it.
//!
//! The node has no wallet. This one is a pair of BIP 84 descriptors over a key of the lab; what it
//! owns is found again by feeding it the node's blocks, so nothing but the key is stored.

use std::collections::HashSet;
use std::fmt;

use anyhow::{Context, Result, anyhow};
use bdk_wallet::{KeychainKind, LocalOutput, Wallet as Bdk};
use bitcoin::bip32::Xpriv;
use bitcoin::{Address, Amount, FeeRate, Network, OutPoint, Psbt, Transaction, Txid};

use crate::rpc::Rpc;
use crate::secrets::Secrets;

/// The wallet of one lab.
pub struct Wallet {
    inner: Bdk,
    key: Xpriv,
}

impl fmt::Debug for Wallet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wallet")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Wallet {
    /// The wallet of the lab with these secrets and this chain; it knows no coins before [`Self::sync`].
    ///
    /// # Errors
    /// When the key in the secrets is no extended private key.
    pub fn new(secrets: &Secrets, network: Network) -> Result<Self> {
        let keychain = |branch| format!("wpkh({}/84h/1h/0h/{branch}/*)", secrets.wallet_key);
        let inner = Bdk::create(keychain(0), keychain(1))
            .network(network)
            .create_wallet_no_persist()
            .context("opening the lab's wallet")?;
        let key = secrets.wallet_key.parse();
        Ok(Self {
            inner,
            key: key.context("reading the key of the lab's wallet")?,
        })
    }

    /// The address to which the lab's coinbases pay; always the same.
    pub fn address(&self) -> Address {
        self.inner.peek_address(KeychainKind::External, 0).address
    }

    /// What can be spent now.
    pub fn spendable(&self) -> Amount {
        self.inner.balance().trusted_spendable()
    }

    /// Catches up with the node: new blocks, reorganisations, and the mempool.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn sync(&mut self, rpc: &Rpc) -> Result<()> {
        let tip = rpc.block_count().await?;
        for height in self.agreed_height(rpc, tip).await? + 1..=tip {
            let block = rpc.block(rpc.block_hash(height).await?).await?;
            self.inner
                .apply_block(&block, u32::try_from(height)?)
                .with_context(|| format!("giving the wallet block {height}"))?;
        }
        self.sync_mempool(rpc).await
    }

    /// The highest block that the wallet and the node agree about.
    async fn agreed_height(&self, rpc: &Rpc, tip: u64) -> Result<u64> {
        for known in self.inner.checkpoints() {
            let height = u64::from(known.height());
            if height <= tip && rpc.block_hash(height).await? == known.hash() {
                return Ok(height);
            }
        }
        let network = self.inner.network();
        anyhow::bail!("the node does not run {network}: its first block is another one")
    }

    async fn sync_mempool(&mut self, rpc: &Rpc) -> Result<()> {
        let now = daemon::clock::unix();
        let waiting: HashSet<Txid> = rpc.mempool().await?.into_iter().collect();
        let mut unconfirmed = Vec::new();
        for txid in &waiting {
            if self.inner.get_tx(*txid).is_none() {
                unconfirmed.push((rpc.transaction(*txid).await?, now));
            }
        }
        self.inner.apply_unconfirmed_txs(unconfirmed);
        let evicted: Vec<(Txid, u64)> = self
            .inner
            .transactions()
            .filter(|tx| tx.chain_position.is_unconfirmed())
            .map(|tx| tx.tx_node.txid)
            .filter(|txid| !waiting.contains(txid))
            .map(|txid| (txid, now))
            .collect();
        self.inner.apply_evicted_txs(evicted);
        Ok(())
    }

    /// Pays and broadcasts; the change is spendable at once.
    ///
    /// # Errors
    /// When there are too few mature coins (mine 100 blocks), or the node refuses.
    pub async fn send(
        &mut self,
        rpc: &Rpc,
        address: &Address,
        amount: Amount,
        fee_rate: FeeRate,
    ) -> Result<Transaction> {
        self.sync(rpc).await?;
        let mut builder = self.inner.build_tx();
        builder
            .add_recipient(address.script_pubkey(), amount)
            .fee_rate(fee_rate);
        let psbt = builder
            .finish()
            .with_context(|| format!("paying {amount} to {address}"))?;
        self.publish(rpc, psbt).await
    }

    /// Its confirmed coins of that value at least, but for those of coinbases, as it knew them when
    /// it was synced last.
    pub fn coins(&self, least: Amount) -> Vec<OutPoint> {
        let is_coinbase = |coin: &LocalOutput| {
            let transaction = self.inner.get_tx(coin.outpoint.txid);
            transaction.is_some_and(|it| it.tx_node.tx.is_coinbase())
        };
        let fits = |coin: &LocalOutput| {
            coin.chain_position.is_confirmed() && coin.txout.value >= least && !is_coinbase(coin)
        };
        let coins = self.inner.list_unspent().filter(fits);
        coins.map(|coin| coin.outpoint).collect()
    }

    /// Pays these amounts to itself, from this coin alone if one is given, and broadcasts.
    ///
    /// # Errors
    /// When the coins are too few, or the node refuses.
    pub async fn pay_itself(
        &mut self,
        rpc: &Rpc,
        coin: Option<OutPoint>,
        amounts: &[Amount],
        fee_rate: FeeRate,
    ) -> Result<Transaction> {
        let script = self.address().script_pubkey();
        let mut builder = self.inner.build_tx();
        for amount in amounts {
            builder.add_recipient(script.clone(), *amount);
        }
        if let Some(coin) = coin {
            builder.add_utxo(coin)?.manually_selected_only();
        }
        builder.fee_rate(fee_rate);
        let psbt = builder
            .finish()
            .context("paying the wallet's own address")?;
        self.publish(rpc, psbt).await
    }

    async fn publish(&mut self, rpc: &Rpc, mut psbt: Psbt) -> Result<Transaction> {
        self.sign(&mut psbt)?;
        let transaction = psbt.extract_tx()?;
        rpc.broadcast(&transaction).await?;
        let now = daemon::clock::unix();
        self.inner
            .apply_unconfirmed_txs([(transaction.clone(), now)]);
        Ok(transaction)
    }

    fn sign(&self, psbt: &mut Psbt) -> Result<()> {
        psbt.sign(&self.key, self.inner.secp_ctx())
            .map_err(|(_, errors)| anyhow!("signing: {errors:?}"))?;
        let outcome = self.inner.try_finalize_psbt(psbt)?;
        anyhow::ensure!(outcome.is_finalized(), "an input is not ours: {outcome:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secrets_make_the_same_address() {
        let secrets = Secrets::generate(&mut rand::thread_rng());
        for (network, prefix) in [(Network::Regtest, "bcrt1q"), (Network::Signet, "tb1q")] {
            let address = || Wallet::new(&secrets, network).unwrap().address();
            assert_eq!(address(), address());
            assert!(address().to_string().starts_with(prefix));
        }
    }
}
