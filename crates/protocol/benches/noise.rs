//! What encryption costs: a handshake, and one short frame.
//!
//! `cargo bench -p protocol --bench noise`
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use protocol::frame::{FrameHeader, FrameReader};
use protocol::keys::AuthorityKey;
use protocol::noise::{self, Initiator, ServerIdentity, Transport};
use rand::SeedableRng;
use rand::rngs::StdRng;

const UNIX: u64 = 1_800_000_000;
/// A SubmitSharesExtended with an extranonce of 16 bytes.
const SHARE_LEN: usize = 41;
/// As many as one read brings when a miner is in a hurry.
const FRAMES: usize = 64;

fn main() {
    divan::main();
}

fn identity() -> (AuthorityKey, ServerIdentity) {
    let rng = &mut StdRng::seed_from_u64(1);
    let authority = AuthorityKey::generate(rng);
    let identity = ServerIdentity::issue(&authority, Duration::from_secs(3600), UNIX, rng);
    (authority, identity)
}

/// Client and server of one session.
fn session() -> (Transport, Transport) {
    let (authority, identity) = identity();
    let rng = &mut StdRng::seed_from_u64(2);
    let (initiator, act1) = Initiator::start(rng);
    let (act2, server) = noise::respond(&identity, &act1, rng);
    let client = initiator.finish(&act2, &authority.public(), UNIX).unwrap();
    (client, server)
}

fn seal_frames(client: &mut Transport, out: &mut Vec<u8>) {
    let header = FrameHeader {
        extension: 0,
        channel_msg: true,
        msg_type: 0x1b,
        len: SHARE_LEN,
    };
    for _ in 0..FRAMES {
        let encryptor = &mut client.encryptor;
        encryptor.seal_frame(header.to_bytes(), &[7; SHARE_LEN], out);
    }
}

#[divan::bench]
fn handshake_of_the_server(bencher: Bencher) {
    let (_, identity) = identity();
    bencher
        .with_inputs(|| Initiator::start(&mut rand::thread_rng()).1)
        .bench_values(|act1| noise::respond(&identity, &act1, &mut rand::thread_rng()));
}

#[divan::bench]
fn seal_a_frame(bencher: Bencher) {
    let (mut client, _) = session();
    let mut out = Vec::new();
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        out.clear();
        seal_frames(&mut client, &mut out);
    });
}

#[divan::bench]
fn open_a_frame(bencher: Bencher) {
    bencher
        .counter(ItemsCount::new(FRAMES))
        .with_inputs(|| {
            let (mut client, server) = session();
            let mut sealed = Vec::new();
            seal_frames(&mut client, &mut sealed);
            let mut reader = FrameReader::new(server.decryptor, 1 << 20);
            reader.push(&sealed);
            reader
        })
        .bench_refs(|reader| while reader.next_frame().unwrap().is_some() {});
}
