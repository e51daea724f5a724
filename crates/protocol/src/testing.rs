//! What the tables of several modules share.

use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;

use crate::keys::AuthorityKey;
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
