//! What users write: keys, addresses, names, whole configurations.

use bitcoin::Network;
use daemon::config::Reader;
use daemon::dial::HostPort;
use daemon::role::{NoOptions, Role};
use pool::Pool;
use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use protocol::payout::Payout;
use protocol::token;
use template_provider::TemplateProvider;

const NETWORKS: [Network; 4] = [
    Network::Bitcoin,
    Network::Testnet4,
    Network::Signet,
    Network::Regtest,
];

/// A text; as a configuration, each line is a key and a value.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(key) = text.parse::<AuthorityPublicKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    if let Ok(address) = text.parse::<HostPort>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    if let Ok(key) = AuthorityKey::from_secret_text(&text) {
        assert_eq!(AuthorityKey::from_secret_text(&key.secret_text()), Ok(key));
    }
    // Secrets cannot be told apart, by intention.
    let _ = text.parse::<token::Secret>();
    for network in NETWORKS {
        if let Ok(payout) = Payout::parse(&text, network) {
            pays_all(&payout);
        }
    }
    configure::<Pool>(&text);
    configure::<TemplateProvider>(&text);
}

/// Every satoshi goes somewhere, and none twice.
fn pays_all(payout: &Payout) {
    let pool = bitcoin::ScriptBuf::new();
    for total in [0, 1, 99, 5_000_000_000, u64::MAX] {
        let outputs = payout.outputs(total, &pool);
        let paid: u128 = outputs.iter().map(|(_, sats)| u128::from(*sats)).sum();
        assert_eq!(paid, u128::from(total), "{payout:?}");
    }
}

/// A configuration is usable, or something is said about it.
fn configure<R: Role<Options = NoOptions>>(text: &str) {
    let environment = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        let key = format!("{}__{}", R::ENV_PREFIX, key.trim().replace('.', "__"));
        Some((key, value.trim().to_owned()))
    });
    let Ok(mut reader) = Reader::load(None, R::ENV_PREFIX, environment) else {
        return;
    };
    let config = R::configure(&NoOptions {}, &mut reader);
    let problems = reader.finish().err();
    assert!(config.is_some() || problems.is_some(), "nothing was said");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    const KEY: &str = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
    const ADDRESS: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let key =
        AuthorityKey::generate(&mut <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1));
    let (public, secret) = (key.public_text(), key.secret_text());
    let listen = format!(
        "listen_address = 127.0.0.1:1\nmonitoring_address = 127.0.0.1:2\n\
         authority_public_key = {public}\nauthority_secret_key = {secret}\n"
    );
    let pool = "pool_signature = fuzz\nserver_id = 7\nshares_per_minute = 6.5\n\
                share_batch_size = 1\nsupported_extensions = [2]\nrequired_extensions = [2]\n\
                max_connections = 9\ntemplate_provider.address = tp:8442\n";
    let texts = [
        KEY.to_owned(),
        secret.clone(),
        "pool.example:34254".to_owned(),
        "[::1]:34254".to_owned(),
        "11".repeat(32),
        format!("sri/solo/{ADDRESS}/rig"),
        format!("sri/donate/30/{ADDRESS}/rig"),
        format!("{ADDRESS}.rig"),
        format!(
            "{listen}{pool}coinbase_reward_script = addr({ADDRESS})\n\
             template_provider.public_key = {public}\n"
        ),
        "network = signet\ncoinbase_reward_script = raw(0014)\n".to_owned(),
        "coinbase_reward_script = wpkh(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)".to_owned(),
        format!("{listen}node.ipc_socket = /tmp/node.sock\nfee_threshold = 5\n"),
        format!("{listen}node.source = rpc\nnode.rpc_address = n:1\nnode.rpc_user = a\nnode.rpc_password = b\n"),
    ];
    texts.map(String::into_bytes).to_vec()
}
