use super::*;

fn places(max_connections: u32, max_connections_per_address: u32) -> Places {
    Places::new(&Limits {
        max_connections,
        max_connections_per_address,
        ..Limits::default()
    })
}

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn numbers_are_unique_and_come_again_as_late_as_possible() {
    let mut places = places(3, 0);
    let [first, second] = [0, 1].map(|_| places.take(at("10.0.0.1")).unwrap());
    assert_eq!([first.number(), second.number()], [0, 1]);
    drop(second);
    let third = places.take(at("10.0.0.1")).unwrap();
    assert_eq!(third.number(), 2);
    drop(first);
    let [again, last] = [0, 1].map(|_| places.take(at("10.0.0.1")).unwrap());
    assert_eq!([again.number(), last.number()], [1, 0]);
    let full = places.take(at("10.0.0.1")).unwrap_err();
    assert_eq!(full, Limit::Connections);
}

#[test]
fn one_address_has_its_share_and_leaves_the_rest() {
    let mut places = places(5, 2);
    let held = [0, 1].map(|_| places.take(at("10.0.0.1")).unwrap());
    let full = places.take(at("10.0.0.1")).unwrap_err();
    assert_eq!(full, Limit::ConnectionsPerAddress);
    assert!(places.take(at("10.0.0.2")).is_ok());
    drop(held);
    assert!(places.take(at("10.0.0.1")).is_ok());
    assert!(places.taken.len() <= 2, "nobody is remembered for ever");
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let mut places = places(5, 1);
    let _held = [
        places.take(at("2001:db8:0:1::1")).unwrap(),
        places.take(at("2001:db8:0:2::1")).unwrap(),
        places.take(at("::ffff:10.0.0.1")).unwrap(),
        places.take(at("::ffff:10.0.0.2")).unwrap(),
    ];
    for neighbour in ["2001:db8:0:1:ffff::2", "10.0.0.1", "::ffff:10.0.0.2"] {
        let full = places.take(at(neighbour)).unwrap_err();
        assert_eq!(full, Limit::ConnectionsPerAddress, "{neighbour}");
    }
}
