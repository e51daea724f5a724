use bitcoin::Amount;

use super::*;

const REGTEST: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
const MAINNET: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

fn script() -> ScriptBuf {
    script_of(REGTEST, Network::Regtest).unwrap()
}

#[test]
fn each_form_pays_whom_it_says() {
    let miner = |pool_percent| Payout::Miner {
        script: script(),
        pool_percent,
    };
    let cases = [
        (format!("sri/solo/{REGTEST}/rig"), miner(0)),
        (format!("sri/solo/{REGTEST}"), miner(0)),
        (format!("sri/solo/{REGTEST}/"), miner(0)),
        (format!("sri/donate/1/{REGTEST}/rig"), miner(1)),
        (format!("sri/donate/99/{REGTEST}/rig"), miner(99)),
        (format!("sri/donate/50/{REGTEST}"), miner(50)),
        ("sri/donate".into(), Payout::Pool),
        ("sri/donate/rig".into(), Payout::Pool),
        (REGTEST.into(), miner(0)),
        (format!("{REGTEST}.rig.1"), miner(0)),
        (REGTEST.to_uppercase(), miner(0)),
        ("alice".into(), Payout::Pool),
        ("alice.rig".into(), Payout::Pool),
        ("sri".into(), Payout::Pool),
        (String::new(), Payout::Pool),
    ];
    for (identity, payout) in cases {
        let read = Payout::parse(&identity, Network::Regtest);
        assert_eq!(read, Ok(payout), "{identity}");
    }
}

#[test]
fn a_slip_is_refused_and_not_paid_to_the_pool() {
    let cases = [
        format!("sri/solo/{MAINNET}/rig"),
        format!("sri/donate/5/{MAINNET}/rig"),
        MAINNET.into(),
        format!("{MAINNET}.rig"),
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa.rig".into(),
        "sri/solo".into(),
        "sri/solo//rig".into(),
        "sri/solo/alice/rig".into(),
        format!("sri/solo/{REGTEST}/rig/more"),
        format!("sri/donate/0/{REGTEST}/rig"),
        format!("sri/donate/100/{REGTEST}/rig"),
        format!("sri/donate/-1/{REGTEST}/rig"),
        format!("sri/donate/1.5/{REGTEST}/rig"),
        "sri/donate/5/alice/rig".into(),
        format!("sri/pplns/{REGTEST}"),
        "sri/".into(),
    ];
    for identity in cases {
        let read = Payout::parse(&identity, Network::Regtest);
        assert_eq!(read, Err(InvalidIdentity(identity)));
    }
    assert!(Payout::parse(MAINNET, Network::Bitcoin).is_ok());
}

#[test]
fn every_satoshi_is_paid_once() {
    let pool = ScriptBuf::from(vec![0x51]);
    let script = script();
    for pool_percent in [1, 33, 50, 99] {
        let payout = Payout::Miner {
            script: script.clone(),
            pool_percent,
        };
        for total in [0, 1, 99, 101, 5_000_000_000, u64::MAX] {
            let outputs = payout.outputs(total, &pool);
            let [(first, part), (second, rest)] = outputs[..] else {
                panic!("{outputs:?}");
            };
            assert_eq!((first, second), (&pool, &script));
            assert_eq!(part.checked_add(rest), Some(total));
            assert_eq!(
                u128::from(part),
                u128::from(total) * u128::from(pool_percent) / 100
            );
        }
    }
}

#[test]
fn no_address_needs_more_than_is_reserved() {
    let addresses = [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
        MAINNET,
        "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        // The longest witness program there is.
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
    ];
    for address in addresses {
        let script = script_of(address, Network::Bitcoin).unwrap();
        assert!(script.len() <= MAX_ADDRESS_SCRIPT, "{address}");
        assert!(script.count_sigops_legacy() <= MAX_ADDRESS_SIGOPS);
    }
}

#[test]
fn a_coinbase_pays_those_it_must_or_the_pool_and_nobody_else() {
    // POOL-80, JDS-19, T-18
    let pool = ScriptBuf::from(vec![0x51]);
    let miner = ScriptBuf::from(vec![0x52]);
    let other = ScriptBuf::from(vec![0x53]);
    let output = |(script, sats): (&ScriptBuf, u64)| TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: script.clone(),
    };
    let half = Payout::Miner {
        script: miner.clone(),
        pool_percent: 50,
    };
    type Row<'a> = (
        Payout,
        &'a [(&'a ScriptBuf, u64)],
        u64,
        Option<&'a [&'a ScriptBuf]>,
    );
    let rows: [Row<'_>; 14] = [
        (Payout::Pool, &[(&pool, 9)], 1, Some(&[&pool])),
        (Payout::Pool, &[(&other, 0), (&pool, 9)], 1, Some(&[&pool])),
        (
            Payout::Pool,
            &[(&pool, 4), (&other, 0), (&pool, 5)],
            1,
            Some(&[&pool]),
        ),
        (Payout::Pool, &[(&pool, 8), (&other, 1)], 1, None),
        (Payout::Pool, &[(&miner, 9)], 1, None),
        (Payout::Pool, &[], 1, None),
        (Payout::Pool, &[(&pool, 0)], 1, None),
        (Payout::Pool, &[(&pool, 0)], 0, Some(&[&pool])),
        (Payout::Pool, &[], 0, None),
        (
            half.clone(),
            &[(&miner, 5), (&pool, 4)],
            1,
            Some(&[&pool, &miner]),
        ),
        (half.clone(), &[(&miner, 4), (&pool, 5)], 1, None),
        (half.clone(), &[(&pool, 9)], 1, Some(&[&pool])),
        (half.clone(), &[(&miner, 9)], 1, None),
        (half, &[(&miner, 4), (&pool, 4), (&other, 1)], 1, None),
    ];
    for (payout, outputs, least, expected) in rows {
        let listed: Vec<TxOut> = outputs.iter().copied().map(output).collect();
        let paid = payout.paid_by(&listed, &pool, least);
        let expected = expected.map(|scripts| scripts.iter().copied().cloned().collect());
        assert_eq!(paid, expected, "{payout:?} {outputs:?}");
    }
}

#[test]
fn a_block_has_to_pay_something_as_long_as_there_is_a_subsidy() {
    let rows = [
        (0, Network::Regtest, 1),
        (4_949, Network::Regtest, 1),
        (4_950, Network::Regtest, 0),
        (4_950, Network::Bitcoin, 1),
        (6_930_000, Network::Bitcoin, 0),
        (u64::MAX, Network::Regtest, 0),
    ];
    for (height, network, least) in rows {
        assert_eq!(Payout::least(height, network), least, "{height} {network}");
    }
}
