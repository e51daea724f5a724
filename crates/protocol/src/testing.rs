//! What the tables of several modules share.

use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;

use stratum_core::binary_sv2::{B064K, B0255, U256};
use stratum_core::template_distribution_sv2::{NewTemplate, SetNewPrevHash};

use crate::coinbase::CoinbasePlan;
use crate::core::{Core, Now, Outbox};
use crate::frame::{Frame, FrameHeader, HEADER_LEN};
use crate::keys::AuthorityKey;
use crate::message::{self, Encodable, GetSize, IsSv2Message, Message, Received};
use crate::noise::{self, Decryptor, Encryptor, Initiator, ServerIdentity};

/// The client's sending half and the server's receiving half of one session.
pub(crate) fn one_way() -> (Encryptor, Decryptor) {
    let mut rng = StdRng::seed_from_u64(1);
    let authority = AuthorityKey::generate(&mut rng);
    let identity = ServerIdentity::issue(&authority, Duration::from_secs(60), 1000, &mut rng);
    let (initiator, act1) = Initiator::start(&mut rng);
    let (act2, server) = noise::respond(&identity, &act1, &mut rng);
    let client = initiator
        .finish(&act2, &authority.public(), 1000)
        .expect("the certificate is valid now");
    (client.encryptor, server.decryptor)
}

/// Hands `message` to `core`, as its connection would.
pub(crate) fn hear<C: Core>(
    core: &mut C,
    now: Now,
    message: impl IsSv2Message + GetSize + Encodable,
    out: &mut Outbox<C::Event>,
) {
    let mut bytes = Vec::new();
    message::encode(message, &mut bytes);
    let (header, payload) = bytes.split_at_mut(HEADER_LEN);
    let header = FrameHeader::from_bytes((&*header).try_into().expect("a whole header"));
    core.received(now, Frame { header, payload }, out);
}

/// Takes apart what a core sends.
pub(crate) fn said(mut frames: Vec<u8>) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = frames.as_mut_slice();
    while !rest.is_empty() {
        let (header, behind) = rest.split_at_mut(HEADER_LEN);
        let header = FrameHeader::from_bytes((&*header).try_into().expect("a whole header"));
        let (payload, behind) = behind.split_at_mut(header.len);
        match message::decode(Frame { header, payload }) {
            Ok(Received::Message(message)) => messages.push(message.into_owned()),
            other => panic!("not a message: {other:?}"),
        }
        rest = behind;
    }
    messages
}

/// 47 bytes: value 0 and the witness commitment script.
fn commitment_output() -> Vec<u8> {
    let mut output = vec![0; 8];
    output.extend([0x26, 0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed]);
    output.extend([0xcc; 32]);
    output
}

/// A template at height 102 that pays 50 bitcoin.
pub(crate) fn new_template(template_id: u64, future_template: bool) -> NewTemplate<'static> {
    let outputs: &'static [u8] = Box::leak(commitment_output().into_boxed_slice());
    NewTemplate {
        template_id,
        future_template,
        version: 0x2000_0000,
        coinbase_tx_version: 2,
        coinbase_prefix: B0255::new(&[1, 102]).expect("short"),
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_value_remaining: 5_000_000_000,
        coinbase_tx_outputs_count: 1,
        coinbase_tx_outputs: B064K::new(outputs).expect("short"),
        coinbase_tx_locktime: 101,
        merkle_path: vec![U256::from(&[0xaa; 32])].try_into().expect("short"),
    }
}

/// Activates `template_id` on a tip made of `tip`, with the regtest target.
pub(crate) fn set_new_prev_hash(template_id: u64, tip: u8) -> SetNewPrevHash<'static> {
    const REGTEST: [u8; 32] = {
        let mut target = [0; 32];
        target[29] = 0xff;
        target[30] = 0xff;
        target[31] = 0x7f;
        target
    };
    let prev_hash: &'static [u8; 32] = Box::leak(Box::new([tip; 32]));
    SetNewPrevHash {
        template_id,
        prev_hash: U256::from(prev_hash),
        header_timestamp: 1_800_000_000,
        n_bits: 0x207f_ffff,
        target: U256::from(&REGTEST),
    }
}

/// Pays a P2WPKH output, signs `test`, leaves 22 bytes of extranonce.
pub(crate) fn plan() -> CoinbasePlan {
    let mut script = vec![0, 20];
    script.extend([0x11; 20]);
    CoinbasePlan {
        reward_script: script.into(),
        signature: b"test".to_vec(),
        extranonce_len: 22,
    }
}
