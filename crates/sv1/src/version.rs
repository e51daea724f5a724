//! Which bits of a header's version a miner may change (BIP310).

pub use protocol::server::VERSION_ROLLING_MASK;

/// The bits a miner that asks for `wanted` may change: none that Stratum V2 does not leave to
/// miners (PROXY-19).
pub fn granted(wanted: u32) -> u32 {
    wanted & VERSION_ROLLING_MASK
}

/// The version of a share's header: the job's outside the mask, the miner's inside (BIP310,
/// PROXY-20).
pub fn rolled(job: u32, mask: u32, bits: u32) -> u32 {
    (job & !mask) | (bits & mask)
}

/// The bits a miner changed although its mask does not allow it; BIP310 has such shares refused.
pub fn forbidden(mask: u32, bits: u32) -> u32 {
    bits & !mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_miner_that_wants_all_bits_gets_those_of_stratum_v2() {
        // PROXY-19
        assert_eq!(granted(u32::MAX), 0x1fff_ffe0);
        assert_eq!(granted(0x00c0_0000), 0x00c0_0000);
        assert_eq!(granted(0xe000_001f), 0);
    }

    #[test]
    fn bits_outside_the_mask_are_the_job_s() {
        // PROXY-20
        assert_eq!(rolled(0x2000_0000, 0x1fff_e000, 0xffff_ffff), 0x3fff_e000);
        assert_eq!(rolled(0x2000_4000, 0x1fff_e000, 0x0000_2000), 0x2000_2000);
        assert_eq!(rolled(0x2000_0004, 0, 0x1fff_e000), 0x2000_0004);
        assert_eq!(forbidden(0x1fff_e000, 0x1fff_e000), 0);
        assert_eq!(forbidden(0x1fff_e000, 0x2000_2000), 0x2000_0000);
    }

    proptest! {
        #[test]
        fn what_is_granted_never_touches_a_fixed_bit(wanted: u32, job: u32, bits: u32) {
            let version = rolled(job, granted(wanted), bits);
            prop_assert_eq!((version ^ job) & !VERSION_ROLLING_MASK, 0);
        }
    }
}
