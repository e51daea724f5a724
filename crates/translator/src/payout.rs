//! Whether a job pays whom the account at the upstream says.

use bitcoin::consensus::deserialize;
use bitcoin::{ScriptBuf, Transaction};
use protocol::client::MerkleSource;
use protocol::payout::Payout;

/// Whom jobs have to pay, of accounts that say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    script: ScriptBuf,
    /// Of a hundred, at least.
    percent: u64,
}

/// Why a job is not worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unpaid {
    /// Its coinbase is no transaction.
    Unreadable,
    /// It pays less than it should.
    Less {
        /// Satoshis to the account's script.
        paid: u64,
        /// Satoshis in all.
        total: u64,
        /// The script.
        script: ScriptBuf,
    },
}

impl std::fmt::Display for Unpaid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable => f.write_str("a job's coinbase is no transaction"),
            Self::Less {
                paid,
                total,
                script,
            } => write!(
                f,
                "a job pays {paid} of {total} satoshis to {}; set verify_payout to false to mine it",
                script.to_hex_string()
            ),
        }
    }
}

impl Expected {
    /// `None` when the account leaves it to the pool whom a block pays.
    pub(crate) fn of(payout: Payout) -> Option<Self> {
        match payout {
            Payout::Pool => None,
            Payout::Miner {
                script,
                pool_percent,
            } => Some(Self {
                script,
                percent: u64::from(100 - pool_percent),
            }),
        }
    }

    /// Checks a job's coinbase.
    ///
    /// # Errors
    /// It pays somebody else.
    pub(crate) fn check(&self, merkle: &MerkleSource) -> Result<(), Unpaid> {
        let MerkleSource::Coinbase {
            prefix,
            suffix,
            extranonce_size,
            ..
        } = merkle
        else {
            return Err(Unpaid::Unreadable);
        };
        let bytes = [prefix, &vec![0; *extranonce_size][..], suffix].concat();
        let coinbase: Transaction = deserialize(&bytes).map_err(|_| Unpaid::Unreadable)?;
        let sum = |outputs: &mut dyn Iterator<Item = u64>| outputs.fold(0, u64::saturating_add);
        let total = sum(&mut coinbase.output.iter().map(|output| output.value.to_sat()));
        let mut ours = coinbase
            .output
            .iter()
            .filter(|output| output.script_pubkey == self.script)
            .map(|output| output.value.to_sat());
        let paid = sum(&mut ours);
        // Whoever divides by a hundred may round a satoshi away.
        let least = u128::from(total) * u128::from(self.percent) / 100;
        if u128::from(paid) < least {
            return Err(Unpaid::Less {
                paid,
                total,
                script: self.script.clone(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::Network;
    use protocol::coinbase::{Coinbase, CoinbaseFields};

    use super::*;

    const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    fn expected(identity: &str) -> Option<Expected> {
        Expected::of(Payout::parse(identity, Network::Regtest).unwrap())
    }

    fn script() -> ScriptBuf {
        expected(ADDRESS).unwrap().script
    }

    /// A coinbase with these outputs.
    fn merkle(outputs: &[(ScriptBuf, u64)]) -> MerkleSource {
        let mut bytes = vec![outputs.len() as u8];
        for (script, sats) in outputs {
            bytes.extend_from_slice(&sats.to_le_bytes());
            bytes.push(script.len() as u8);
            bytes.extend_from_slice(script.as_bytes());
        }
        let coinbase = Coinbase::new(&CoinbaseFields {
            version: 2,
            script_sig: &[1, 102],
            extranonce_len: 12,
            sequence: u32::MAX,
            outputs: &bytes,
            locktime: 0,
            has_witness_commitment: false,
        });
        let mut prefix = coinbase.prefix.clone();
        prefix.extend_from_slice(&[7; 4]);
        MerkleSource::Coinbase {
            prefix,
            suffix: coinbase.suffix.clone(),
            path: Vec::new(),
            extranonce_size: 8,
        }
    }

    #[test]
    fn an_account_that_names_nobody_is_paid_by_the_pool() {
        assert_eq!(expected("farm.rig"), None);
        assert_eq!(expected("sri/donate/rig"), None);
        assert_eq!(
            expected("sri/donate/30/bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080/x")
                .unwrap()
                .percent,
            70
        );
    }

    #[test]
    fn a_job_must_pay_the_account_its_part() {
        let other = ScriptBuf::from_bytes(vec![0x51]);
        let solo = expected(ADDRESS).unwrap();
        let part = expected(&format!("sri/donate/30/{ADDRESS}")).unwrap();
        for (ours, others, solo_is_paid, part_is_paid) in [
            (100, 0, true, true),
            (70, 30, false, true),
            (69, 31, false, false),
            (0, 100, false, false),
        ] {
            let merkle = merkle(&[(other.clone(), others), (script(), ours)]);
            assert_eq!(solo.check(&merkle).is_ok(), solo_is_paid, "{ours}");
            assert_eq!(part.check(&merkle).is_ok(), part_is_paid, "{ours}");
        }
        let error = solo.check(&merkle(&[(other, 5)])).unwrap_err();
        assert!(
            error.to_string().contains("pays 0 of 5 satoshis"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_transaction_is_not_mined() {
        let broken = MerkleSource::Coinbase {
            prefix: vec![1; 50],
            suffix: vec![2; 50],
            path: Vec::new(),
            extranonce_size: 8,
        };
        let error = expected(ADDRESS).unwrap().check(&broken);
        assert_eq!(error, Err(Unpaid::Unreadable));
    }
}
