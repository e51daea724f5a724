//! What a lab keeps to itself: keys and passwords, generated per lab, never shipped.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use bitcoin::NetworkKind;
use bitcoin::bip32::Xpriv;
use bitcoin::hashes::{Hash, sha256};
use protocol::keys::AuthorityKey;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::state::write_private;

/// User of the node's RPC who can only read.
pub const RPC_READER: &str = "reader";

/// Every secret of one lab. Its `Debug` output shows none of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Signs the certificates of every server of the lab (SV2 4.5.3).
    pub authority_secret_key: String,
    /// What the clients of those servers are configured with.
    pub authority_public_key: String,
    /// User of the node's RPC who may do everything.
    pub rpc_user: String,
    /// That user's password.
    pub rpc_password: String,
    /// What the pool and the job declarator server make job tokens with: 32 bytes as hexadecimal
    /// digits.
    pub job_declaration_secret: String,
    /// Extended private key of the lab's wallet, to which coinbases pay.
    pub wallet_key: String,
}

impl Secrets {
    /// Fresh secrets.
    pub fn generate(rng: &mut (impl Rng + rand::CryptoRng)) -> Self {
        let authority = AuthorityKey::generate(rng);
        let mut password = [0; 24];
        rng.fill_bytes(&mut password);
        let mut job_declaration = [0; 32];
        rng.fill_bytes(&mut job_declaration);
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let wallet = Xpriv::new_master(NetworkKind::Test, &seed)
            .expect("a random seed is no valid key once in 2^127 times");
        Self {
            authority_secret_key: authority.secret_text(),
            authority_public_key: authority.public_text(),
            rpc_user: "lab".to_owned(),
            rpc_password: hex::encode(password),
            job_declaration_secret: hex::encode(job_declaration),
            wallet_key: wallet.to_string(),
        }
    }

    /// The password of [`RPC_READER`]. It follows from the other user's, which does not follow from
    /// it.
    pub fn rpc_reader_password(&self) -> String {
        let text = format!("{RPC_READER} of {}", self.rpc_password);
        sha256::Hash::hash(text.as_bytes()).to_string()
    }

    /// What nobody else may see, by name.
    pub(crate) fn all(&self) -> [(&'static str, String); 5] {
        [
            ("authority_secret_key", self.authority_secret_key.clone()),
            (
                "job_declaration_secret",
                self.job_declaration_secret.clone(),
            ),
            ("rpc_password", self.rpc_password.clone()),
            ("rpc_reader_password", self.rpc_reader_password()),
            ("wallet_key", self.wallet_key.clone()),
        ]
    }

    /// None at all, for what is printed without them.
    pub(crate) fn blank() -> Self {
        let blank = String::new;
        Self {
            authority_secret_key: blank(),
            authority_public_key: blank(),
            rpc_user: blank(),
            rpc_password: blank(),
            job_declaration_secret: blank(),
            wallet_key: blank(),
        }
    }

    /// Reads them back.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("reading the lab's secrets from {}", file.display()))?;
        serde_json::from_str(&text).map_err(|error| {
            let cause = format!("{} does not hold a lab's secrets: {error}", file.display());
            Fault::unavailable(
                cause,
                "put the file back, or bring up another lab: lab down, and lab up",
            )
            .into()
        })
    }

    /// Writes them to a file that only its owner may read.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        write_private(file, &text)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("authority_public_key", &self.authority_public_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn two_labs_share_no_secret() {
        let a = Secrets::generate(&mut rand::thread_rng());
        let b = Secrets::generate(&mut rand::thread_rng());
        assert_ne!(a.authority_secret_key, b.authority_secret_key);
        assert_ne!(a.rpc_password, b.rpc_password);
        assert_ne!(a.rpc_reader_password(), b.rpc_reader_password());
        assert_ne!(a.rpc_reader_password(), a.rpc_password);
        assert_ne!(a.job_declaration_secret, b.job_declaration_secret);
        assert_ne!(a.wallet_key, b.wallet_key);
    }

    #[test]
    fn secrets_come_back_from_a_file_only_the_owner_reads() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secrets.json");
        let secrets = Secrets::generate(&mut rand::thread_rng());
        secrets.save(&file).unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Secrets::load(&file).unwrap(), secrets);
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let secrets = Secrets::generate(&mut rand::thread_rng());
        let text = format!("{secrets:?}");
        assert!(!text.contains(&secrets.rpc_password));
        assert!(!text.contains(&secrets.authority_secret_key));
        assert!(!text.contains(&secrets.job_declaration_secret));
        assert!(!text.contains(&secrets.wallet_key));
    }
}
