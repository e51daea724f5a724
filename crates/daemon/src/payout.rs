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
    match reader.parsed(REWARD_SCRIPT)? {
        Reward::Script(script) => Some(script),
        Reward::Address(address) => match address.clone().require_network(network) {
            Ok(address) => Some(address.script_pubkey()),
            Err(_) => {
                let address = address.assume_checked();
                let what = format!("{address} is not an address of {network}; see the key network");
                reader.problem(REWARD_SCRIPT, what);
                None
            }
        },
    }
}

/// An output descriptor with one script.
enum Reward {
    /// `addr(…)`.
    Address(Address<NetworkUnchecked>),
    /// `raw(…)`, or any other that has one script.
    Script(ScriptBuf),
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
