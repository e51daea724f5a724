//! RequestTransactionData (SV2 7.4 to 7.6), and how long templates are held for it.

use super::*;
use crate::core::templates::MAX_HELD;

// TPS-24
#[test]
fn transaction_data_is_fetched_from_the_feed_and_sent_under_the_clients_id() {
    let mut client = Client::at_work();
    let step = client.request_data(1);
    assert_eq!(step.requests(), ["data of 1 for 1"]);
    assert!(step.sent.is_empty());
    let transactions = Ok(vec![vec![1, 2], vec![3]]);
    let step = client.feed(source::Event::TransactionData {
        template_id: 1,
        transactions,
    });
    assert_eq!(step.sent, ["Data 1 [[1, 2], [3]]"]);
}

// TPS-25
#[test]
fn transaction_data_of_an_id_never_sent_is_not_found() {
    for id in [0, 2, 1 << 63, u64::MAX] {
        let step = Client::at_work().request_data(id);
        assert_eq!(step.sent, [format!("Error {id} template-id-not-found")]);
        assert!(step.requests().is_empty());
    }
    let before_constraints = Client::silent().request_data(1);
    assert_eq!(before_constraints.sent, ["Error 1 template-id-not-found"]);
}

// TPS-26
#[test]
fn template_of_an_old_tip_can_be_asked_for_until_the_grace_is_over() {
    let mut client = Client::at_work();
    client.feed_template(template(2));
    client.pass(STALE_GRACE - Duration::from_millis(1));
    assert_eq!(client.request_data(1).requests(), ["data of 1 for 1"]);
    assert_eq!(
        client.pass(Duration::from_millis(1)).requests(),
        ["release [1]"]
    );
    assert_eq!(client.request_data(1).sent, ["Error 1 stale-template-id"]);
    assert_eq!(
        client.request_data(2).requests(),
        ["data of 2 for 2"],
        "the tip's own stays"
    );
}

// TPS-26
#[test]
fn grace_counts_from_the_first_tip_change() {
    let mut client = Client::at_work();
    client.feed_template(template(2));
    client.pass(STALE_GRACE / 2);
    client.feed_template(template(3));
    assert_eq!(client.pass(STALE_GRACE / 2).requests(), ["release [1]"]);
    assert_eq!(client.pass(STALE_GRACE / 2).requests(), ["release [2]"]);
}

// TPS-35
#[test]
fn templates_of_a_tip_that_comes_back_are_kept() {
    let mut client = Client::at_work();
    client.feed_template(template(2));
    client.feed_template(template(1));
    assert_eq!(client.pass(STALE_GRACE).requests(), ["release [2]"]);
    assert_eq!(client.request_data(1).requests(), ["data of 1 for 1"]);
}

#[test]
fn transaction_data_that_is_gone_when_fetched_is_stale() {
    let mut client = Client::at_work();
    client.request_data(1);
    let transactions = Err("the node closed the connection".to_owned());
    let step = client.feed(source::Event::TransactionData {
        template_id: 1,
        transactions,
    });
    assert_eq!(step.sent, ["Error 1 stale-template-id"]);
}

// TPS-37
#[test]
fn template_of_a_lost_node_is_stale_until_the_node_makes_the_same_block_again() {
    let mut client = Client::at_work();
    client.lose_node();
    assert_eq!(client.request_data(1).sent, ["Error 1 stale-template-id"]);
    client.feed_template(Template {
        merkle_path: Vec::new(),
        ..template(1)
    });
    assert_eq!(client.request_data(1).sent, ["Error 1 stale-template-id"]);
    let later = Template {
        header_timestamp: 1_700_000_099,
        ..template(1)
    };
    client.feed_template(later);
    assert_eq!(client.request_data(1).requests(), ["data of 3 for 1"]);
}

// TPS-29
#[test]
fn oldest_template_is_given_up_when_one_tip_has_too_many() {
    let mut client = Client::at_work();
    for _ in 1..MAX_HELD {
        assert!(client.feed_template(template(1)).requests().is_empty());
    }
    assert_eq!(
        client.feed_template(template(1)).requests(),
        ["release [1]"]
    );
    assert_eq!(client.request_data(1).sent, ["Error 1 stale-template-id"]);
    assert_eq!(client.request_data(2).requests(), ["data of 2 for 2"]);
}

#[test]
fn too_many_unanswered_data_requests_close_the_connection() {
    let mut client = Client::at_work();
    for _ in 0..MAX_UNANSWERED {
        assert!(client.request_data(1).closed.is_none());
    }
    assert!(
        client
            .request_data(1)
            .closed
            .unwrap()
            .contains("unanswered")
    );
}

#[test]
fn answered_data_requests_count_no_more() {
    let mut client = Client::at_work();
    for _ in 0..=MAX_UNANSWERED {
        assert!(client.request_data(1).closed.is_none());
        let transactions = Ok(Vec::new());
        client.feed(source::Event::TransactionData {
            template_id: 1,
            transactions,
        });
    }
}
