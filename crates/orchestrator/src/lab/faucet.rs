//! Coins for whoever asks, in the chain when the answer comes.

use anyhow::Result;
use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Amount, BlockHash, FeeRate, Network, Txid};
use serde::Serialize;

use super::{Lab, MinedBy};
use crate::fault::Fault;
use crate::progress::{Event, Progress};

/// Enough for any node, and nothing to a lab.
const FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

/// Blocks that are mined for a payment before it is given up.
const MOST_BLOCKS: u64 = 10;

/// A payment in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Funded {
    /// The payment.
    pub txid: Txid,
    /// Whom it pays.
    pub address: String,
    /// Satoshis it pays.
    pub amount: u64,
    /// The block it is in.
    pub block: BlockHash,
    /// That block's height.
    pub height: u64,
}

impl Lab {
    /// Pays from the lab's wallet, and has the node mine the payment at once.
    ///
    /// # Errors
    /// When the address is none of the lab's chain, the wallet has too little, or the node refuses.
    pub async fn faucet(
        &self,
        address: &str,
        amount: Amount,
        progress: Progress<'_>,
    ) -> Result<Funded> {
        let to = address_on(self.network(), address)?;
        let rpc = self.rpc()?;
        let mut wallet = self.wallet()?;
        progress(Event::Step("looking for the wallet's coins".to_owned()));
        wallet.sync(&rpc).await?;
        let spendable = wallet.spendable();
        if spendable <= amount {
            return Err(Fault::failed(
                format!("the lab's wallet can spend {spendable}, which is too little for {amount}"),
                "coins of a block can be spent after 100 more: lab mine 100 --rpc",
            )
            .into());
        }
        let before = rpc.block_count().await?;
        let payment = wallet.send(&rpc, &to, amount, FEE_RATE).await?;
        let txid = payment.compute_txid();
        progress(Event::Step(format!("{txid} is sent, mining a block")));
        // A miner with an older template may be quicker than the node, and more than once.
        for _ in 0..MOST_BLOCKS {
            self.mine(1, MinedBy::Rpc, progress).await?;
            for height in before + 1..=rpc.block_count().await? {
                let hash = rpc.block_hash(height).await?;
                let block = rpc.block(hash).await?;
                if block.txdata.iter().any(|one| one.compute_txid() == txid) {
                    return Ok(Funded {
                        txid,
                        address: to.to_string(),
                        amount: amount.to_sat(),
                        block: hash,
                        height,
                    });
                }
            }
        }
        Err(Fault::failed(
            format!("{txid} was sent, but {MOST_BLOCKS} blocks have been mined without it"),
            "it waits in the mempool; a later block takes it: lab mine 1 --rpc",
        )
        .into())
    }
}

fn address_on(network: Network, text: &str) -> Result<Address, Fault> {
    let prefix = match network {
        Network::Regtest => "bcrt1q",
        _ => "tb1q",
    };
    let wrong = |why: String| {
        Fault::usage(
            format!("'{text}' is no address of this lab's chain: {why}"),
            format!("give one of {network}, such as {prefix}…"),
        )
    };
    let address: Address<NetworkUnchecked> =
        text.parse().map_err(|error| wrong(format!("{error}")))?;
    address
        .require_network(network)
        .map_err(|_| wrong("it is another chain's".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_chain_are_paid() {
        let ours = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
        let on_regtest = |text| address_on(Network::Regtest, text);
        assert_eq!(on_regtest(ours).unwrap().to_string(), ours);
        let signet = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
        assert!(address_on(Network::Signet, signet).is_ok());
        let fault = address_on(Network::Signet, ours).unwrap_err();
        assert!(fault.remedy.contains("tb1q"), "{}", fault.remedy);
        for other in [
            "",
            "nonsense",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            signet,
            "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081",
        ] {
            let fault = on_regtest(other).unwrap_err();
            assert!(fault.to_string().contains(other), "{fault}");
        }
    }
}
