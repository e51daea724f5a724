//! A wallet of others (BDK) at our part of Esplora's API.

use std::sync::Arc;

use bdk_esplora::EsploraExt;
use bdk_esplora::esplora_client::{BlockingClient, Builder};
use bdk_wallet::{KeychainKind, Wallet};
use bitcoin::bip32::Xpriv;
use bitcoin::{Amount, FeeRate, Network, Transaction};
use regtest::Node;
use regtest::chain::address;
use serde_json::json;
use tokio::task::block_in_place;

use crate::site::{ACTIONS, Site};

/// Addresses without a transaction after which no further are looked for.
const STOP_GAP: usize = 5;
/// Requests at once.
const PARALLEL: usize = 3;

/// A wallet and its way to the explorer.
struct Owner {
    wallet: Wallet,
    client: BlockingClient,
}

impl Owner {
    fn new(site: &Site) -> Self {
        let key = Xpriv::new_master(Network::Regtest, &[9; 32]).unwrap();
        let keychain = |branch| format!("wpkh({key}/84h/1h/0h/{branch}/*)");
        let wallet = Wallet::create(keychain(0), keychain(1)).network(Network::Regtest);
        Self {
            wallet: wallet.create_wallet_no_persist().unwrap(),
            client: Builder::new(&site.url("/api")).build_blocking(),
        }
    }

    /// An address of its own.
    fn address(&mut self, number: u32) -> String {
        let address = self.wallet.peek_address(KeychainKind::External, number);
        address.address.to_string()
    }

    /// As a wallet does that was made anew from its key.
    fn find_everything(&mut self) {
        let request = self.wallet.start_full_scan();
        let update = block_in_place(|| self.client.full_scan(request, STOP_GAP, PARALLEL));
        self.wallet.apply_update(update.unwrap()).unwrap();
    }

    /// As a wallet does from time to time.
    fn sync(&mut self) {
        let request = self.wallet.start_sync_with_revealed_spks();
        let update = block_in_place(|| self.client.sync(request, PARALLEL));
        self.wallet.apply_update(update.unwrap()).unwrap();
    }

    fn height(&self) -> u32 {
        self.wallet.latest_checkpoint().height()
    }

    /// Pays, at the rate that the explorer says.
    fn pay(&mut self, amount: Amount) -> Arc<Transaction> {
        let rates = block_in_place(|| self.client.get_fee_estimates()).unwrap();
        let rate = FeeRate::from_sat_per_vb(rates[&6].ceil() as u64).unwrap();
        let mut builder = self.wallet.build_tx();
        builder
            .add_recipient(address().script_pubkey(), amount)
            .fee_rate(rate);
        let mut psbt = builder.finish().unwrap();
        #[allow(deprecated, reason = "what comes instead is not stable yet")]
        let is_signed = self
            .wallet
            .sign(&mut psbt, bdk_wallet::SignOptions::default());
        assert!(is_signed.unwrap());
        let transaction = psbt.extract_tx().unwrap();
        block_in_place(|| self.client.broadcast(&transaction)).unwrap();
        Arc::new(transaction)
    }

    /// Whether the wallet counts a transaction as in the chain; `None` when it does not know it.
    fn is_confirmed(&self, transaction: &Transaction) -> Option<bool> {
        let known = self.wallet.get_tx(transaction.compute_txid())?;
        Some(known.chain_position.is_confirmed())
    }
}

/// Mines, and waits until the explorer shows it.
async fn mine(node: &Node, site: &Site, count: u32, to: &str) {
    node.rpc("generatetoaddress", json!([count, to])).await;
    site.shows(&node.tip().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_of_others_finds_its_coins_pays_and_follows_a_reorganisation() {
    let node = Node::with_blocks(0).await;
    let site = Site::ready(&node, ACTIONS).await;
    let mut owner = Owner::new(&site);
    // Coins behind a gap, in more transactions than come at once, of which 30 are mature.
    let (first, later) = (owner.address(0), owner.address(4));
    mine(&node, &site, 29, &first).await;
    mine(&node, &site, 1, &later).await;
    mine(&node, &site, 99, &address().to_string()).await;
    let mine_nothing = address().to_string();

    owner.find_everything();
    assert_eq!(owner.height(), 129);
    let reward = Amount::from_int_btc(50);
    let balance = owner.wallet.balance();
    assert_eq!(balance.confirmed + balance.immature, reward * 30);
    assert_eq!(balance.confirmed, reward * 30);
    assert_eq!(
        owner.wallet.derivation_index(KeychainKind::External),
        Some(4)
    );

    let payment = owner.pay(Amount::from_int_btc(70));
    let txid = payment.compute_txid().to_string();
    site.until("/api/mempool/txids", |ids| *ids == json!([txid]))
        .await;
    owner.sync();
    assert_eq!(owner.is_confirmed(&payment), Some(false));
    let balance = owner.wallet.balance();
    let change = balance.trusted_pending;
    assert!(change > Amount::ZERO && change < reward, "{balance}");

    let before = node.tip().await;
    mine(&node, &site, 1, &mine_nothing).await;
    let block = node.tip().await;
    owner.sync();
    assert_eq!(
        (owner.is_confirmed(&payment), owner.height()),
        (Some(true), 130)
    );

    // The chain turns: the payment waits again, then it is in another block.
    node.rpc("invalidateblock", json!([block])).await;
    site.shows(&before).await;
    node.rpc("generateblock", json!([mine_nothing, []])).await;
    site.shows(&node.tip().await).await;
    site.until("/api/mempool/txids", |ids| *ids == json!([txid]))
        .await;
    owner.sync();
    assert_eq!(owner.is_confirmed(&payment), Some(false));
    mine(&node, &site, 1, &mine_nothing).await;
    owner.sync();
    assert_eq!(
        (owner.is_confirmed(&payment), owner.height()),
        (Some(true), 131)
    );

    // A wallet made anew from the same key comes to the same end.
    let mut again = Owner::new(&site);
    again.find_everything();
    assert_eq!(again.wallet.balance(), owner.wallet.balance());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_node_refuses_is_refused_with_its_reason() {
    let node = Node::with_blocks(1).await;
    let site = Site::ready(&node, ACTIONS).await;
    let owner = Owner::new(&site);
    let (coin, value) = node.coinbase_of(1).await;
    let early = regtest::chain::spending(coin, vec![regtest::chain::to_anyone(value)]);
    let refused = block_in_place(|| owner.client.broadcast(&early)).unwrap_err();
    let what = refused.to_string();
    assert!(
        what.contains("400") && what.contains("bad-txns-premature-spend"),
        "{what}"
    );
}
