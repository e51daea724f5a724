use std::collections::HashSet;

use bitcoin::ScriptBuf;

use super::*;

const NOW: u64 = 1_800_000_000;

fn secret() -> Secret {
    Secret::new(&[7; 32])
}

fn token(scope: Scope) -> Token {
    Token {
        scope,
        expires: NOW + 60,
        id: [9; 16],
    }
}

fn job() -> CustomJob<'static> {
    CustomJob {
        version: 0x2000_0000,
        prev_hash: &[1; 32],
        coinbase_tx_version: 2,
        coinbase_prefix: &[1, 102],
        coinbase_tx_input_sequence: 0xffff_fffe,
        coinbase_tx_outputs: &[1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x51],
        coinbase_tx_locktime: 101,
        merkle_path: &[[2; 32], [3; 32]],
    }
}

#[test]
fn a_token_proves_itself_to_whoever_has_the_secret() {
    // JDS-06, 31
    let commitment = Commitment::declared(&job());
    for scope in [Scope::Allocated, Scope::CoinbaseOnly, Scope::Declared] {
        let bytes = token(scope).issue(&secret(), &commitment);
        assert_eq!(bytes.len(), TOKEN_LEN);
        assert_eq!(Token::claimed_scope(&bytes), Ok(scope));
        let verified = Token::verify(&secret(), &bytes, &commitment, NOW);
        assert_eq!(verified, Ok(token(scope)));
    }
}

#[test]
fn every_changed_bit_of_a_token_is_noticed() {
    // JDS-06
    let commitment = Commitment::declared(&job());
    let bytes = token(Scope::Declared).issue(&secret(), &commitment);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let verified = Token::verify(&secret(), &changed, &commitment, NOW);
        assert!(
            matches!(
                verified,
                Err(TokenError::Forged | TokenError::Malformed { .. })
            ),
            "bit {bit}: {verified:?}"
        );
    }
}

#[test]
fn a_token_of_another_secret_is_forged() {
    let commitment = Commitment::declared(&job());
    let bytes = token(Scope::Declared).issue(&Secret::new(&[8; 32]), &commitment);
    let verified = Token::verify(&secret(), &bytes, &commitment, NOW);
    assert_eq!(verified, Err(TokenError::Forged));
}

#[test]
fn a_token_expires_at_its_second_and_only_a_true_one_does() {
    // JDS-11
    let commitment = Commitment::declared(&job());
    let bytes = token(Scope::Declared).issue(&secret(), &commitment);
    let at = |now| Token::verify(&secret(), &bytes, &commitment, now);
    assert!(at(0).is_ok());
    assert!(at(NOW + 59).is_ok());
    assert_eq!(at(NOW + 60), Err(TokenError::Expired { ago: 0 }));
    assert_eq!(at(NOW + 100), Err(TokenError::Expired { ago: 40 }));
    assert!(matches!(at(u64::MAX), Err(TokenError::Expired { .. })));

    let foreign = token(Scope::Declared).issue(&Secret::new(&[8; 32]), &commitment);
    let verified = Token::verify(&secret(), &foreign, &commitment, NOW + 100);
    assert_eq!(verified, Err(TokenError::Forged));
}

#[test]
fn bytes_that_are_no_token_are_malformed() {
    let commitment = Commitment::declared(&job());
    let good = token(Scope::Declared).issue(&secret(), &commitment);
    let mut version = good.clone();
    version[0] = 2;
    let mut scope = good.clone();
    scope[1] = 3;
    let mut long = good.clone();
    long.push(0);
    let short = good[..TOKEN_LEN - 1].to_vec();
    for bytes in [version, scope, long, short, Vec::new(), vec![1; 255]] {
        let malformed = TokenError::Malformed { len: bytes.len() };
        let verified = Token::verify(&secret(), &bytes, &commitment, NOW);
        assert_eq!(verified, Err(malformed));
        assert_eq!(Token::claimed_scope(&bytes), Err(malformed));
    }
}

#[test]
fn a_declared_job_is_committed_to_in_every_field() {
    // JDS-31: another job is another commitment.
    let changed = [
        job(),
        CustomJob {
            version: 0x2000_0001,
            ..job()
        },
        CustomJob {
            prev_hash: &[4; 32],
            ..job()
        },
        CustomJob {
            coinbase_tx_version: 1,
            ..job()
        },
        CustomJob {
            coinbase_prefix: &[1, 103],
            ..job()
        },
        CustomJob {
            coinbase_tx_input_sequence: 0,
            ..job()
        },
        CustomJob {
            coinbase_tx_outputs: &[0],
            ..job()
        },
        CustomJob {
            coinbase_tx_locktime: 0,
            ..job()
        },
        CustomJob {
            merkle_path: &[[2; 32]],
            ..job()
        },
        CustomJob {
            merkle_path: &[[3; 32], [2; 32]],
            ..job()
        },
    ];
    let distinct: HashSet<[u8; 32]> = changed
        .iter()
        .map(|job| Commitment::declared(job).0)
        .collect();
    assert_eq!(distinct.len(), changed.len());
}

#[test]
fn bits_that_miners_may_roll_are_not_committed_to() {
    // SV2 6.4.4: "To be later modified by BIP323-consistent changes."
    let rolled = CustomJob {
        version: job().version | VERSION_ROLLING_MASK,
        ..job()
    };
    assert_eq!(Commitment::declared(&rolled), Commitment::declared(&job()));
}

#[test]
fn payouts_are_committed_to_by_their_scripts_in_order() {
    let [a, b, ab] = [[0x51].as_slice(), &[0x52], &[0x51, 0x52]]
        .map(|bytes| ScriptBuf::from_bytes(bytes.to_vec()));
    let of = |scripts: &[&ScriptBuf]| {
        Commitment::payout(scripts.iter().map(|script| script.as_script()))
    };
    assert_eq!(of(&[&a, &b]), of(&[&a, &b]));
    for other in [of(&[&b, &a]), of(&[&ab]), of(&[&a]), of(&[])] {
        assert_ne!(of(&[&a, &b]), other);
    }
}

#[test]
fn a_secret_is_64_digits_and_never_shown() {
    let text = "0123456789abcdef".repeat(4);
    let secret: Secret = format!(" {text}\n").parse().unwrap();
    assert_eq!(format!("{secret:?}"), "Secret(…)");
    for wrong in ["", "00", &text[1..], &"x".repeat(64), &text.repeat(2)] {
        let error = wrong.parse::<Secret>().unwrap_err();
        assert!(wrong.len() < 2 || !error.to_string().contains(wrong));
    }
    let commitment = Commitment::payout([]);
    let bytes = token(Scope::CoinbaseOnly).issue(&secret, &commitment);
    let again: Secret = text.to_uppercase().parse().unwrap();
    assert!(Token::verify(&again, &bytes, &commitment, NOW).is_ok());
}
