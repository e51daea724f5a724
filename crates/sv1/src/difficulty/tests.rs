use proptest::prelude::*;

use super::*;

/// Most significant digit first, as [`Target`] prints itself.
fn digits(difficulty: f64) -> String {
    format!("{:?}", target(difficulty).unwrap())
}

#[test]
fn well_known_difficulties_have_their_well_known_targets() {
    // PROXY-18
    assert_eq!(digits(1.0), format!("00000000ffff{}", "0".repeat(52)));
    assert_eq!(digits(2.0), format!("000000007fff8{}", "0".repeat(51)));
    assert_eq!(
        digits(65_535.0),
        format!("00000000000100{}", "0".repeat(50))
    );
    assert_eq!(digits(512.0), format!("00000000007fff8{}", "0".repeat(49)));
    // The fraction is dropped: what comes out is not easier than what went in.
    assert_eq!(digits(3.0), format!("0000000055550{}", "0".repeat(51)));
    assert_eq!(digits(7.0), format!("000000002492{}2", "249".repeat(17)));
}

#[test]
fn fractions_of_difficulty_serve_the_lab() {
    assert_eq!(digits(0.5), format!("00000001fffe{}", "0".repeat(52)));
    let regtest = Target::from_compact(0x207f_ffff);
    let difficulty = of(regtest);
    assert!((difficulty / 4.656_542_373_906_925e-10 - 1.0).abs() < 1e-12);
    // It is no round number in binary; what is lost is one share in 2^52.
    assert!(digits(difficulty).starts_with("7ffffefffffffff"));
    assert!(digits(1e-9).starts_with("3b9a"));
}

#[test]
fn the_easiest_target_has_a_difficulty_too() {
    assert_eq!(target(EASIEST), Some(Target::MAX));
    assert_eq!(target(f64::MIN_POSITIVE), Some(Target::MAX));
    assert!(target(EASIEST.next_up()).unwrap() < Target::MAX);
    assert_eq!(of(Target::MAX), EASIEST);
}

#[test]
fn what_is_no_difficulty_has_no_target() {
    // FRAME-13
    for difficulty in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(target(difficulty), None);
    }
}

#[test]
fn absurd_difficulties_have_the_hardest_target() {
    let one = target(f64::MAX).unwrap();
    assert!(!one.is_zero());
    assert_eq!(target(1e80), Some(one));
    assert!(target(of(one)).unwrap() <= one);
    assert_eq!(of(Target::from_compact(0)), f64::MAX);
}

/// `target * mantissa`, least significant word first.
fn product(target: Target, mantissa: u64) -> [u64; 6] {
    let (mut product, mut carry) = ([0; 6], 0);
    for (i, word) in target.to_le_bytes().chunks(8).enumerate() {
        let word = u64::from_le_bytes(word.try_into().unwrap());
        carry += u128::from(word) * u128::from(mantissa);
        product[i] = carry as u64;
        carry >>= 64;
    }
    product[4] = carry as u64;
    product
}

proptest! {
    #[test]
    fn the_target_is_the_quotient_without_its_fraction(
        mantissa in 1u64 << 52..1 << 53,
        exponent in -31i32..100,
    ) {
        let shift = exponent - MANTISSA_BITS;
        let difficulty = mantissa as f64 * f64::from(shift).exp2();
        let target = target(difficulty).unwrap();
        let mut whole = [0u64; 6];
        let at = (DIFFICULTY_1_SHIFT - shift) as usize;
        for bit in at..at + 16 {
            whole[bit / 64] |= 1 << (bit % 64);
        }
        let below = product(target, mantissa);
        prop_assert!(below.iter().rev().le(whole.iter().rev()));
        // The rest of the division is smaller than the divisor.
        let mut rest = 0i128;
        for (whole, below) in whole.iter().zip(below).rev() {
            rest = (rest << 64) + i128::from(*whole) - i128::from(below);
            prop_assert!(rest >= 0 || rest == -1);
        }
        prop_assert!(rest < i128::from(mantissa));
    }

    #[test]
    fn a_difficulty_told_is_never_easier_than_the_target_asked_for(
        mantissa: u64,
        shift in 0u32..192,
    ) {
        // PROXY-18, 22
        let mut bytes = [0u8; 32];
        for (i, byte) in mantissa.to_le_bytes().into_iter().enumerate() {
            let at = shift as usize / 8 + i;
            bytes[at] = byte;
        }
        bytes[31] |= u8::from(shift == 191);
        bytes[24] |= 1;
        let asked = Target::from_le_bytes(bytes);
        let told = of(asked);
        let meant = target(told).unwrap();
        prop_assert!(meant <= asked, "{told} means {meant:?}, asked was {asked:?}");
        // And hardly harder.
        prop_assert!(target(told * (1.0 - 1e-14)).unwrap() > asked);
    }

    #[test]
    fn a_higher_difficulty_is_never_easier(a in 1e-9f64..1e15, b in 1e-9f64..1e15) {
        let (low, high) = if a < b { (a, b) } else { (b, a) };
        prop_assert!(target(high) <= target(low));
    }

    #[test]
    fn there_and_back_again(exponent in -29.0f64..60.0) {
        let difficulty = exponent.exp2();
        let back = of(target(difficulty).unwrap());
        prop_assert!((back / difficulty - 1.0).abs() < 1e-14);
    }
}
