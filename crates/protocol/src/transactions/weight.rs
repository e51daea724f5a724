//! What a transaction weighs, without reading more of it than its lengths.

/// The weight of a transaction (BIP-0141): thrice its size without witnesses, and its size. Walks
/// over the bytes without copying any; `None` when they are no transaction.
pub(super) fn weigh(transaction: &[u8]) -> Option<u64> {
    const VERSION: usize = 4;
    const LOCK_TIME: usize = 4;
    const OUT_POINT: usize = 36;
    const SEQUENCE: usize = 4;
    const AMOUNT: usize = 8;
    let has_witnesses = transaction.get(VERSION..VERSION + 2)? == [0, 1];
    let start = if has_witnesses { VERSION + 2 } else { VERSION };
    let mut walk = Walk(transaction.get(start..)?);
    for _ in 0..walk.number()? {
        walk.skip(OUT_POINT)?;
        walk.skip_bytes()?;
        walk.skip(SEQUENCE)?;
    }
    for _ in 0..walk.number()? {
        walk.skip(AMOUNT)?;
        walk.skip_bytes()?;
    }
    let outputs_end = transaction.len() - walk.0.len();
    walk.skip(LOCK_TIME)?;
    let stripped = VERSION + (outputs_end - start) + LOCK_TIME;
    Some((3 * stripped + transaction.len()) as u64)
}

/// What is left of a transaction.
struct Walk<'a>(&'a [u8]);

impl Walk<'_> {
    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    /// Bytes with their number before them.
    fn skip_bytes(&mut self) -> Option<()> {
        let count = self.number()?;
        self.skip(count)
    }

    /// A number in Bitcoin's compact form.
    fn number(&mut self) -> Option<usize> {
        let (&first, rest) = self.0.split_first()?;
        let size = match first {
            0xfd => 2,
            0xfe => 4,
            0xff => 8,
            _ => 0,
        };
        let (bytes, rest) = rest.split_at_checked(size)?;
        self.0 = rest;
        if size == 0 {
            return Some(usize::from(first));
        }
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(bytes);
        usize::try_from(u64::from_le_bytes(wide)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::TransactionData;
    use super::*;

    #[test]
    fn weights_are_those_that_bitcoin_counts() {
        use bitcoin::consensus::encode::serialize;
        let block = bitcoin::constants::genesis_block(bitcoin::Network::Regtest);
        let plain = block.txdata[0].clone();
        let mut large = plain.clone();
        large.input = vec![plain.input[0].clone(); 300];
        large.output = vec![plain.output[0].clone(); 70_000];
        large.output[0].script_pubkey = vec![0; 65_536].into();
        let mut witnessed = large.clone();
        witnessed.input[7].witness.push([1; 600]);
        let mut sum = 0;
        let transactions: Vec<_> = [&plain, &large, &witnessed]
            .into_iter()
            .map(|transaction| {
                sum += transaction.weight().to_wu();
                assert_eq!(
                    weigh(&serialize(transaction)),
                    Some(transaction.weight().to_wu())
                );
                serialize(transaction)
            })
            .collect();
        let data = TransactionData::of(&[], transactions.iter().map(Vec::as_slice));
        assert_eq!(data.weight(), Some(sum));
    }

    #[test]
    fn what_is_no_transaction_has_no_weight() {
        let most = [[0xff; 9].as_slice(), &[0; 40]].concat();
        for bytes in [&[][..], &[1], &[0; 5], &[0xff; 40], &most] {
            assert_eq!(weigh(bytes), None, "{bytes:?}");
        }
        assert_eq!(TransactionData::garbage(3).weight(), None);
        assert_eq!(TransactionData::garbage(0).weight(), Some(0));
    }
}
