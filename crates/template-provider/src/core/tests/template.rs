//! Constraints, NewTemplate and SetNewPrevHash (SV2 7.1 to 7.3).

use super::*;

// TPS-03
#[test]
fn nothing_is_sent_before_constraints() {
    let mut client = Client::silent();
    let step = client.feed(source::Event::NodeBack);
    assert!(step.sent.is_empty());
    assert!(step.requests().is_empty());
}

#[test]
fn a_client_that_never_sets_constraints_is_closed_and_no_other() {
    let mut idle = Client::silent();
    let step = idle.pass(IDLE - Duration::from_millis(1));
    assert_eq!(step.closed, None);
    let step = idle.pass(Duration::from_millis(1));
    assert!(step.closed.is_some_and(|reason| reason.contains("idle")));
    assert!(matches!(step.events[..], [Event::Idle]));

    // A client may be silent for as long as it has nothing to submit.
    let mut waiting = Client::constrained();
    assert_eq!(waiting.server.deadline(), None);
    assert_eq!(waiting.pass(100 * IDLE).closed, None);
}

// TPS-04
#[test]
fn constraints_make_the_feed_build_at_once() {
    let step = Client::silent().constrain(ROOMY);
    assert_eq!(
        step.requests(),
        ["build with 10000 bytes and 400 sigops of additional coinbase outputs"]
    );
    assert!(step.sent.is_empty());
}

// TPS-05, TPS-36
#[test]
fn first_work_is_a_future_template_and_the_prev_hash_that_names_it() {
    let step = Client::constrained().feed_template(template(1));
    assert_eq!(
        step.sent,
        ["NewTemplate 1 future", "SetNewPrevHash 1 tip 1"]
    );
}

// TPS-08, TPS-07
#[test]
fn new_tip_is_a_future_template_and_the_prev_hash_that_names_it() {
    let step = Client::at_work().feed_template(template(2));
    assert_eq!(
        step.sent,
        ["NewTemplate 2 future", "SetNewPrevHash 2 tip 2"]
    );
}

// TPS-09, T-38
#[test]
fn higher_fees_on_the_same_tip_are_a_template_for_now_without_prev_hash() {
    let step = Client::at_work().feed_template(template(1));
    assert_eq!(step.sent, ["NewTemplate 2 now"]);
}

// TPS-35
#[test]
fn reorganisation_to_another_tip_is_announced_like_a_new_tip() {
    let mut client = Client::at_work();
    client.feed_template(template(2));
    assert_eq!(
        client.feed_template(template(1)).sent,
        ["NewTemplate 3 future", "SetNewPrevHash 3 tip 1"]
    );
}

// TPS-11: only SetNewPrevHash carries nBits and target.
#[test]
fn changed_difficulty_on_the_same_tip_is_announced_with_a_prev_hash() {
    let easier = Template {
        n_bits: 0x2070_ffff,
        ..template(1)
    };
    let step = Client::at_work().feed_template(easier);
    assert_eq!(
        step.sent,
        ["NewTemplate 2 future", "SetNewPrevHash 2 tip 1"]
    );
}

// TPS-06
#[test]
fn template_ids_grow_by_one_whatever_the_node_does() {
    let mut client = Client::at_work();
    for id in 2..40_u64 {
        if id % 5 == 0 {
            client.lose_node();
        }
        let tip = u8::try_from(id / 3).unwrap();
        let step = client.feed_template(template(tip));
        assert!(
            step.sent[0].starts_with(&format!("NewTemplate {id} ")),
            "{:?}",
            step.sent
        );
    }
}

// TPS-37
#[test]
fn node_that_comes_back_on_the_same_tip_gives_a_template_for_now() {
    let mut client = Client::at_work();
    let step = client.lose_node();
    assert!(step.sent.is_empty());
    assert!(step.closed.is_none());
    assert!(client.feed(source::Event::NodeBack).sent.is_empty());
    assert_eq!(
        client.feed_template(template(1)).sent,
        ["NewTemplate 2 now"]
    );
}

// TPS-22
#[test]
fn second_constraints_bring_a_higher_id_and_the_tip_again() {
    let mut client = Client::at_work();
    assert_eq!(client.constrain(ROOMY).requests().len(), 1);
    assert_eq!(
        client.feed_template(template(1)).sent,
        ["NewTemplate 2 future", "SetNewPrevHash 2 tip 1"]
    );
    assert_eq!(
        client.feed_template(template(1)).sent,
        ["NewTemplate 3 now"],
        "once"
    );
    assert_eq!(
        client.constrain(ROOMY).requests().len(),
        1,
        "the same ones again"
    );
}

// TPS-22
#[test]
fn template_for_replaced_constraints_is_released_unsent() {
    let mut client = Client::at_work();
    client.constrain(ROOMY);
    let step = client.feed_template_under(TIGHT, template(2));
    assert!(step.sent.is_empty());
    assert_eq!(step.requests(), ["release [2]"]);
}

// TPS-23
#[test]
fn impossible_constraints_close_the_connection_and_reach_no_node() {
    let impossible = Constraints {
        max_additional_size: u32::MAX,
        max_additional_sigops: u16::MAX,
    };
    for mut client in [Client::silent(), Client::at_work()] {
        let step = client.constrain(impossible);
        assert!(step.closed.unwrap().contains("4294967295 bytes"));
        assert!(step.sent.is_empty());
        assert!(step.events.is_empty());
    }
}

#[test]
fn template_that_fits_no_message_is_released_unsent() {
    let mut client = Client::at_work();
    let step = client.feed_template(Template {
        coinbase_prefix: vec![0; 256],
        ..template(2)
    });
    assert!(step.sent.is_empty());
    assert_eq!(step.requests(), ["release [2]"]);
    assert_eq!(
        client.feed_template(template(2)).sent,
        ["NewTemplate 2 future", "SetNewPrevHash 2 tip 2"],
        "the next one is sent as if nothing had been"
    );
}

// FRAME-14
#[test]
fn truncated_message_closes_the_connection() {
    for msg_type in [0x70, 0x73, 0x76] {
        let header = FrameHeader {
            extension: 0,
            channel_msg: false,
            msg_type,
            len: 3,
        };
        let step = Client::at_work().send_frame(header, &mut [0; 3]);
        assert!(step.closed.unwrap().contains("malformed"));
    }
}

// FRAME-17, EXT-08, EXT-09, CONN-14
#[test]
fn message_of_no_meaning_here_is_ignored() {
    let cases = [
        (0, 0x7f, 9),
        (1, 0x00, 4),
        (0x4abc, 0x01, 4),
        (0, 0x01, 6),
        (0, 0x72, 80),
    ];
    for (extension, msg_type, len) in cases {
        let header = FrameHeader {
            extension,
            channel_msg: false,
            msg_type,
            len,
        };
        let step = Client::at_work().send_frame(header, &mut vec![0; len]);
        assert!(step.sent.is_empty());
        assert!(step.closed.is_none(), "{extension:x} {msg_type:x}");
        assert!(
            matches!(step.events[..], [Event::Ignored { .. }]),
            "{:?}",
            step.events
        );
    }
}

// TPS-15
#[test]
fn new_template_and_prev_hash_carry_the_feeds_bytes() {
    let mut client = Client::constrained();
    client.keys += 1;
    let (key, constraints) = (TemplateKey(1), TIGHT);
    let feed = source::Event::Template {
        key,
        constraints,
        template: Arc::new(template(9)),
    };
    client.server.input(client.now, feed, &mut client.out);
    let mut frames = std::mem::take(client.out.frames());
    let (header, rest) = frames.split_first_chunk_mut::<HEADER_LEN>().unwrap();
    let header = FrameHeader::from_bytes(*header);
    let (payload, rest) = rest.split_at_mut(header.len);
    let Ok(Received::Message(AnyMessage::TemplateDistribution(TemplateDistribution::NewTemplate(
        new,
    )))) = decode(Frame { header, payload })
    else {
        panic!("no NewTemplate");
    };
    let expected = template(9);
    assert_eq!(new.version, expected.version);
    assert_eq!(new.coinbase_prefix.as_bytes(), expected.coinbase_prefix);
    assert_eq!(
        new.coinbase_tx_outputs.as_bytes(),
        expected.coinbase_tx_outputs
    );
    assert_eq!(
        new.coinbase_tx_value_remaining,
        expected.coinbase_tx_value_remaining
    );
    assert_eq!(new.coinbase_tx_locktime, expected.coinbase_tx_locktime);
    // TPS-10, TPS-11, FRAME-18: 80 bytes, the target little-endian.
    assert_eq!(rest.len(), HEADER_LEN + 80);
    assert_eq!(rest[HEADER_LEN + 48 + 29..], [0xff, 0xff, 0x7f]);
}
