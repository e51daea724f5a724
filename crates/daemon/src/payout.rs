//! Whom blocks pay, as `network` and `coinbase_reward_script` say it: the same for every role that
//! makes coinbases or checks them.

use std::str::FromStr;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, ScriptBuf};
use miniscript::{DefiniteDescriptorKey, Descriptor};

use crate::config::Reader;

const NETWORK: &str = "network";
const REWARD_SCRIPT: &str = "coinbase_reward_script";

/// Takes `network` out of `reader`: by the names SRI and Bitcoin Core's RPC give them, regtest
/// unless one is named.
pub fn network(reader: &mut Reader) -> Network {
    let name = reader.or(NETWORK, "regtest".to_owned());
    match name.as_str() {
        "mainnet" | "main" | "bitcoin" => Network::Bitcoin,
        "testnet4" => Network::Testnet4,
        "signet" => Network::Signet,
        "regtest" => Network::Regtest,
        other => {
            let what = format!("{other:?}: expected mainnet, testnet4, signet or regtest");
            reader.problem(NETWORK, what);
            Network::Regtest
        }
    }
}

/// Takes `coinbase_reward_script` out of `reader`; `None` when a problem was noted.
pub fn reward_script(reader: &mut Reader, network: Network) -> Option<ScriptBuf> {
    let reward: Reward = reader.parsed(REWARD_SCRIPT)?;
    reward
        .on(network)
        .map_err(|problem| reader.problem(REWARD_SCRIPT, problem))
        .ok()
}

/// The one script of an output descriptor.
///
/// # Errors
/// It is none, or pays an address of another network.
pub fn script(descriptor: &str, network: Network) -> Result<ScriptBuf, String> {
    let reward: Reward = descriptor
        .parse()
        .map_err(|error| format!("{descriptor:?}: {error}"))?;
    reward.on(network)
}

/// An output descriptor with one script.
enum Reward {
    /// `addr(…)`.
    Address(Address<NetworkUnchecked>),
    /// `raw(…)`, or any other that has one script.
    Script(ScriptBuf),
}

impl Reward {
    fn on(self, network: Network) -> Result<ScriptBuf, String> {
        match self {
            Self::Script(script) => Ok(script),
            Self::Address(address) => match address.clone().require_network(network) {
                Ok(address) => Ok(address.script_pubkey()),
                Err(_) => {
                    let address = address.assume_checked();
                    Err(format!(
                        "{address} is not an address of {network}; see the key network"
                    ))
                }
            },
        }
    }
}

impl FromStr for Reward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = |name: &str| text.strip_prefix(name)?.strip_suffix(')');
        if let Some(address) = inner("addr(") {
            let address = Address::from_str(address).map_err(|error| error.to_string())?;
            return Ok(Self::Address(address));
        }
        if let Some(hex) = inner("raw(") {
            let script = ScriptBuf::from_hex(hex).map_err(|error| error.to_string())?;
            return Ok(Self::Script(script));
        }
        Descriptor::<DefiniteDescriptorKey>::from_str(text)
            .map(|descriptor| Self::Script(descriptor.script_pubkey()))
            .map_err(|error| format!("not an output descriptor: {error}"))
    }
}

#[cfg(test)]
mod tests;
