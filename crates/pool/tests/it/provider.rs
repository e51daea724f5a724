//! A template provider whose one template nobody solves.

use std::net::SocketAddr;
use std::time::Duration;

use daemon::clock;
use daemon::wire::{Connection, split};
use protocol::keys::{AuthorityKey, AuthorityPublicKey};
use protocol::message::common::Protocol;
use protocol::message::template::{NewTemplateOwned, SetNewPrevHashOwned};
use protocol::message::{self, TemplateDistributionOwned};
use protocol::noise::ServerIdentity;
use protocol::setup::{Answer, Offer};
use protocol::target::Target;
use tokio::net::{TcpListener, TcpStream};

/// As hard as on the main network.
const N_BITS: u32 = 0x1702_3a04;

/// Serves one pool after the other.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) public_key: AuthorityPublicKey,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = AuthorityKey::generate(&mut rand::thread_rng());
        let provider = Self {
            address: listener.local_addr().unwrap(),
            public_key: authority.public(),
        };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // It fails when the pool is killed; the next one comes anyway.
                let _ = serve(stream, &authority).await;
            }
        });
        provider
    }
}

/// Gives a pool its template and waits until it leaves.
async fn serve(stream: TcpStream, authority: &AuthorityKey) -> Option<()> {
    let (reader, writer) = split(stream).ok()?;
    let day = Duration::from_secs(86_400);
    let now = clock::unix();
    let identity = ServerIdentity::issue(authority, day, now, &mut rand::thread_rng());
    let mut connection = Connection::accept(reader, writer, &identity, 1 << 20)
        .await
        .ok()?;
    let offer = Offer {
        protocol: Protocol::TemplateDistributionProtocol,
        supported_flags: u32::MAX,
        success_flags: |_| 0,
    };
    let Answer::Accept(answer, _) = offer.answer(connection.receive().await.ok()?) else {
        panic!("the pool asks for something else");
    };
    let mut frames = Vec::new();
    message::encode(answer, &mut frames);
    message::encode(
        TemplateDistributionOwned::NewTemplate(template()),
        &mut frames,
    );
    let tip = SetNewPrevHashOwned {
        template_id: 1,
        prev_hash: [9; 32].into(),
        header_timestamp: clock::unix() as u32,
        n_bits: N_BITS,
        target: Target::from_compact(N_BITS).to_le_bytes().into(),
    };
    message::encode(TemplateDistributionOwned::SetNewPrevHash(tip), &mut frames);
    connection.send(&frames).await.ok()?;
    while connection.receive().await.is_ok() {}
    Some(())
}

fn template() -> NewTemplateOwned {
    NewTemplateOwned {
        template_id: 1,
        future_template: true,
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        // BIP-0034: height 900,000.
        coinbase_prefix: vec![3, 0xa0, 0xbb, 0x0d].try_into().unwrap(),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 312_500_000,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: Vec::new().try_into().unwrap(),
        coinbase_tx_locktime: 0,
        merkle_path: Vec::new().try_into().unwrap(),
    }
}
