use super::*;

fn event(job: usize) -> ClientEvent {
    ClientEvent::Ignored(job.to_string())
}

/// The numbers of the events in a message of upstream 1.
fn told(message: Option<Message>) -> Vec<String> {
    let Some(Message::Events(1, events)) = message else {
        panic!("{message:?}");
    };
    let number = |event| match event {
        ClientEvent::Ignored(number) => number,
        other => panic!("{other:?}"),
    };
    events.into_iter().map(number).collect()
}

struct Play {
    session: Session,
    desk: mpsc::Receiver<Message>,
    line: mpsc::Sender<ClientInput>,
}

/// With a desk that keeps one message waiting.
fn play() -> Play {
    let (desk, desk_in) = mpsc::channel(1);
    let (line, inputs) = mpsc::channel(MAX_PENDING);
    let session = Session {
        number: 1,
        desk,
        session: CancellationToken::new(),
        inputs,
        stop: CancellationToken::new(),
        is_leaving: false,
        events: Vec::new(),
        redirect: None,
    };
    Play {
        session,
        desk: desk_in,
        line,
    }
}

#[tokio::test]
async fn what_happens_while_the_desk_is_busy_waits_and_arrives_in_order() {
    let mut play = play();
    for step in 0..3 {
        play.session.event(event(2 * step));
        play.session.event(event(2 * step + 1));
        play.session.stepped();
    }
    assert_eq!(told(play.desk.recv().await), ["0", "1"]);
    // The next input is taken when the desk has heard the rest.
    play.line
        .try_send(ClientInput::Close { channel_id: 9 })
        .unwrap();
    let input = play.session.next().await;
    assert_eq!(input, Some(ClientInput::Close { channel_id: 9 }));
    assert_eq!(told(play.desk.recv().await), ["2", "3", "4", "5"]);
    assert!(!play.session.session.is_cancelled());
}

#[test]
fn a_session_ends_before_it_keeps_too_much() {
    let mut play = play();
    play.session.event(event(0));
    play.session.stepped();
    for number in 0..MAX_EVENTS {
        play.session.event(event(number));
    }
    play.session.stepped();
    assert!(!play.session.session.is_cancelled());
    play.session.event(event(MAX_EVENTS));
    play.session.stepped();
    assert!(play.session.session.is_cancelled());
}
