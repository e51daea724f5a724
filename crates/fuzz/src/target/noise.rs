//! The handshake: a server takes any act 1, a client only the act 2 it was sent.

use std::sync::OnceLock;
use std::time::Duration;

use protocol::frame::FrameReader;
use protocol::keys::AuthorityKey;
use protocol::noise::{self, ACT1_LEN, ACT2_LEN, Decryptor, Encryptor, Initiator, ServerIdentity};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::script::Script;

const NOW: u64 = 1_800_000_000;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn server() -> &'static (AuthorityKey, ServerIdentity) {
    static SERVER: OnceLock<(AuthorityKey, ServerIdentity)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let authority = AuthorityKey::generate(&mut rng());
        let hour = Duration::from_secs(3600);
        let identity = ServerIdentity::issue(&authority, hour, NOW, &mut rng());
        (authority, identity)
    })
}

/// What a client sends and its server receives.
pub(crate) fn session() -> (Encryptor, Decryptor) {
    let (authority, identity) = server();
    let (initiator, act1) = Initiator::start(&mut rng());
    let (act2, server) = noise::respond(identity, &act1, &mut rng());
    let client = initiator.finish(&act2, &authority.public(), NOW);
    let client = client.expect("the server is the one that was meant");
    (client.encryptor, server.decryptor)
}

/// The first byte says who is fed: a server gets act 1 and what follows it, a client an act 2 in
/// which the bits that are set have changed.
pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    let (authority, identity) = server();
    if script.byte() & 1 == 0 {
        let mut act1 = [0; ACT1_LEN];
        let (start, rest) = script.0.split_at(ACT1_LEN.min(script.0.len()));
        act1[..start.len()].copy_from_slice(start);
        let (_, transport) = noise::respond(identity, &act1, &mut rng());
        let mut reader = FrameReader::new(transport.decryptor, 1 << 20);
        for chunk in rest.chunks(64) {
            reader.push(chunk);
            if reader.next_frame().is_err() {
                return;
            }
        }
        return;
    }
    let (initiator, act1) = Initiator::start(&mut rng());
    let (mut act2, _) = noise::respond(identity, &act1, &mut rng());
    let changes = &script.0[..ACT2_LEN.min(script.0.len())];
    for (byte, change) in act2.iter_mut().zip(changes) {
        *byte ^= change;
    }
    let finished = initiator.finish(&act2, &authority.public(), NOW);
    let is_intact = changes.iter().all(|change| *change == 0);
    assert_eq!(finished.is_ok(), is_intact, "{finished:?}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (_, act1) = Initiator::start(&mut rng());
    let mut altered = vec![0; ACT2_LEN];
    altered[100] = 1;
    vec![
        [&[0][..], &act1].concat(),
        [&[0][..], &act1, &[7; 100]].concat(),
        [&[1][..], &[0; ACT2_LEN]].concat(),
        [&[1][..], &altered].concat(),
    ]
}
