//! A template provider with one template, which no share solves.

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
use tokio::net::TcpListener;

/// As hard as on the main network.
const N_BITS: u32 = 0x1702_3a04;

pub(super) struct Provider {
    listener: TcpListener,
    authority: AuthorityKey,
}

impl Provider {
    pub(super) async fn bind() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            authority: AuthorityKey::generate(&mut rand::thread_rng()),
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(super) fn public_key(&self) -> AuthorityPublicKey {
        self.authority.public()
    }

    /// Gives its one client work and keeps the connection open.
    pub(super) async fn serve(self) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let (reader, writer) = split(stream).unwrap();
        let day = Duration::from_secs(86_400);
        let now = clock::unix();
        let identity = ServerIdentity::issue(&self.authority, day, now, &mut rand::thread_rng());
        let mut connection = Connection::accept(reader, writer, &identity, 1 << 20)
            .await
            .unwrap();
        let offer = Offer {
            protocol: Protocol::TemplateDistributionProtocol,
            supported_flags: 0,
            success_flags: |_| 0,
        };
        let Answer::Accept(answer, _) = offer.answer(connection.receive().await.unwrap()) else {
            panic!("the pool asks for something else");
        };
        let mut frames = Vec::new();
        message::encode(answer, &mut frames);
        message::encode(template(), &mut frames);
        message::encode(tip(), &mut frames);
        connection.send(&frames).await.unwrap();
        while connection.receive().await.is_ok() {}
    }
}

fn template() -> TemplateDistributionOwned {
    TemplateDistributionOwned::NewTemplate(NewTemplateOwned {
        template_id: 1,
        future_template: true,
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        coinbase_prefix: vec![1, 102].try_into().unwrap(),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 5_000_000_000,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: vec![].try_into().unwrap(),
        coinbase_tx_locktime: 0,
        merkle_path: vec![[7; 32].into()].try_into().unwrap(),
    })
}

fn tip() -> TemplateDistributionOwned {
    TemplateDistributionOwned::SetNewPrevHash(SetNewPrevHashOwned {
        template_id: 1,
        prev_hash: [1; 32].into(),
        header_timestamp: clock::unix() as u32,
        n_bits: N_BITS,
        target: Target::from_compact(N_BITS).to_le_bytes().into(),
    })
}
