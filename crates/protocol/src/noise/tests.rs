use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use stratum_core::noise_sv2 as reference;

use super::*;
use crate::keys::AuthorityKey;

const NOW: u64 = 1_800_000_000;

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn identity(authority: &AuthorityKey) -> ServerIdentity {
    ServerIdentity::issue(authority, Duration::from_secs(3600), NOW, &mut rng())
}

/// Seals with one side, opens with the other, several frames in a row.
fn assert_talks(sender: &mut Encryptor, receiver: &mut Decryptor) {
    for len in [0, 1, 57, 65_518, 65_519, 65_520, 131_039] {
        let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let mut wire = Vec::new();
        sender.seal_frame([1, 2, 3, 4, 5, 6], &payload, &mut wire);
        assert_eq!(wire.len(), 22 + encrypted_len(len));
        let (header, body) = wire.split_at_mut(22);
        assert_eq!(receiver.open_header(header), Ok([1, 2, 3, 4, 5, 6]));
        assert_eq!(receiver.open_payload(body), Ok(()));
        assert_eq!(&body[..len], &payload[..]);
    }
}

#[test]
fn both_directions_talk_after_the_handshake() {
    // NOISE-02, 03, 09
    let authority = AuthorityKey::generate(&mut rng());
    let (initiator, act1) = Initiator::start(&mut rng());
    let (act2, mut server) = respond(&identity(&authority), &act1, &mut rng());
    assert_eq!((act1.len(), act2.len()), (64, 234));
    let mut client = initiator.finish(&act2, &authority.public(), NOW).unwrap();
    assert_talks(&mut client.encryptor, &mut server.decryptor);
    assert_talks(&mut server.encryptor, &mut client.decryptor);
}

#[test]
fn encrypted_length_follows_the_spec_vectors() {
    // NOISE-20
    let vectors = [
        (0, 0),
        (1, 17),
        (65_518, 65_534),
        (65_519, 65_535),
        (65_520, 65_552),
        (131_038, 131_070),
        (131_039, 131_087),
        (16_777_215, 16_781_327),
    ];
    for (plaintext, wire) in vectors {
        assert_eq!(encrypted_len(plaintext), wire, "{plaintext}");
    }
}

#[test]
fn our_client_talks_to_the_reference_server() {
    // NOISE-05, 06, 07, 08, 13 against an independent implementation
    let authority = AuthorityKey::generate(&mut rng());
    let public = authority.public().x_only().serialize();
    let secret = authority.keypair().secret_bytes();
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (initiator, act1) = Initiator::start(&mut rng);
        let mut responder =
            reference::Responder::from_authority_kp(&public, &secret, Duration::from_secs(3600))
                .unwrap();
        let (act2, mut engine) = responder.step_1(act1).unwrap();
        let mut client = initiator
            .finish(&act2, &authority.public(), unix_time())
            .unwrap();

        let mut wire = Vec::new();
        client.encryptor.seal_frame([9; 6], b"hello", &mut wire);
        let mut header = wire[..22].to_vec();
        engine.decrypt(&mut header).unwrap();
        assert_eq!(header, [9; 6]);
        let mut payload = wire[22..].to_vec();
        engine.decrypt(&mut payload).unwrap();
        assert_eq!(payload, b"hello");
    }
}

#[test]
fn the_reference_client_talks_to_our_server() {
    // NOISE-05, 06, 07, 08, 12, 13 the other way round
    let authority = AuthorityKey::generate(&mut rng());
    let public = authority.public().x_only().serialize();
    let identity = ServerIdentity::issue(
        &authority,
        Duration::from_secs(3600),
        unix_time(),
        &mut rng(),
    );
    for seed in 0..20 {
        let mut initiator = reference::Initiator::from_raw_k(public).unwrap();
        let act1 = initiator.step_0().unwrap();
        let (act2, mut server) = respond(&identity, &act1, &mut StdRng::seed_from_u64(seed));
        let mut engine = initiator.step_2(act2).unwrap();

        let mut header = vec![4; 6];
        engine.encrypt(&mut header).unwrap();
        assert_eq!(server.decryptor.open_header(&mut header), Ok([4; 6]));
    }
}

#[test]
fn the_server_shows_one_static_key_but_fresh_ephemerals() {
    // NOISE-07, 23
    let authority = AuthorityKey::generate(&mut rng());
    let identity = identity(&authority);
    let mut rng = rng();
    let (_, act1) = Initiator::start(&mut rng);
    let (first, _) = respond(&identity, &act1, &mut rng);
    let (second, _) = respond(&identity, &act1, &mut rng);
    assert_ne!(first[..64], second[..64]);
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    // NOISE-14
    let (ours, theirs) = (
        AuthorityKey::generate(&mut rng()),
        AuthorityKey::generate(&mut StdRng::seed_from_u64(8)),
    );
    let (initiator, act1) = Initiator::start(&mut rng());
    let (act2, _) = respond(&identity(&theirs), &act1, &mut rng());
    assert_eq!(
        initiator.finish(&act2, &ours.public(), NOW).unwrap_err(),
        HandshakeError::Certificate(CertificateError::Signature(ours.public()))
    );
}

#[test]
fn a_certificate_outside_its_validity_is_refused() {
    // NOISE-15
    let authority = AuthorityKey::generate(&mut rng());
    let error_at = |time: u64| {
        let (initiator, act1) = Initiator::start(&mut rng());
        let (act2, _) = respond(&identity(&authority), &act1, &mut rng());
        initiator.finish(&act2, &authority.public(), time).err()
    };
    assert_eq!(error_at(NOW), None);
    assert!(matches!(
        error_at(NOW + 3660),
        Some(HandshakeError::Certificate(
            CertificateError::Expired { .. }
        ))
    ));
    assert!(matches!(
        error_at(NOW - 7200),
        Some(HandshakeError::Certificate(
            CertificateError::NotYetValid { .. }
        ))
    ));
}

#[test]
fn a_flipped_bit_anywhere_in_act_2_ends_the_handshake() {
    // NOISE-11
    let authority = AuthorityKey::generate(&mut rng());
    let identity = identity(&authority);
    let mut rng = rng();
    for _ in 0..64 {
        let (initiator, act1) = Initiator::start(&mut rng);
        let (mut act2, _) = respond(&identity, &act1, &mut rng);
        let at = rng.gen_range(0..ACT2_LEN);
        act2[at] ^= 1 << rng.gen_range(0..8);
        assert!(
            initiator.finish(&act2, &authority.public(), NOW).is_err(),
            "bit in byte {at}"
        );
    }
}

#[test]
fn a_replayed_or_altered_frame_does_not_open() {
    // NOISE-10, 11
    let authority = AuthorityKey::generate(&mut rng());
    let (initiator, act1) = Initiator::start(&mut rng());
    let (act2, mut server) = respond(&identity(&authority), &act1, &mut rng());
    let mut client = initiator.finish(&act2, &authority.public(), NOW).unwrap();

    let mut wire = Vec::new();
    client.encryptor.seal_frame([1; 6], &[], &mut wire);
    let replay = wire.clone();
    assert!(server.decryptor.open_header(&mut wire).is_ok());
    assert!(server.decryptor.open_header(&mut replay.clone()).is_err());
}

fn unix_time() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
