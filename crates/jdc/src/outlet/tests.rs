use protocol::custom_work::CustomWorkEvent;

use super::*;
use crate::declarator::Input;

fn message(number: usize) -> Message {
    let event = CustomWorkEvent::Ignored(number.to_string());
    Message::Input(Input::Pool(1, event))
}

fn told(message: Option<Message>) -> String {
    match message {
        Some(Message::Input(Input::Pool(1, CustomWorkEvent::Ignored(number)))) => number,
        other => panic!("{other:?}"),
    }
}

/// To a desk that keeps one message waiting.
fn play() -> (Outlet, mpsc::Receiver<Message>) {
    let (desk, desk_in) = mpsc::channel(1);
    (Outlet::new(&desk, &CancellationToken::new()), desk_in)
}

#[tokio::test]
async fn what_happens_while_the_desk_is_busy_waits_and_arrives_in_order() {
    let (mut outlet, mut desk) = play();
    for number in 0..4 {
        outlet.put(message(number));
    }
    let (line, mut inputs) = mpsc::channel(1);
    line.try_send(9).unwrap();
    for number in 0..4 {
        // As the loop does when something else comes first: nothing is lost by that.
        tokio::select! {
            biased;
            input = outlet.next(&mut inputs) => assert_eq!((input, number), (Some(9), 3)),
            () = std::future::ready(()) => assert!(number < 3),
        }
        assert_eq!(told(desk.recv().await), number.to_string());
    }
    assert!(!outlet.session.is_cancelled());
}

#[tokio::test]
async fn the_last_word_of_a_session_comes_after_all_others() {
    let (mut outlet, mut desk) = play();
    for number in 0..3 {
        outlet.put(message(number));
    }
    let listen = async {
        for number in 0..4 {
            assert_eq!(told(desk.recv().await), number.to_string());
        }
    };
    tokio::join!(outlet.close(message(3)), listen);
}

#[tokio::test]
async fn a_desk_that_is_gone_keeps_nobody() {
    let (mut outlet, desk) = play();
    outlet.put(message(0));
    outlet.put(message(1));
    drop(desk);
    outlet.close(message(2)).await;
}

#[test]
fn a_session_ends_before_it_keeps_too_much() {
    let (mut outlet, _desk) = play();
    for number in 0..=MAX_WAITING {
        outlet.put(message(number));
    }
    assert!(!outlet.session.is_cancelled());
    outlet.put(message(MAX_WAITING + 1));
    assert!(outlet.session.is_cancelled());
}
