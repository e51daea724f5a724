use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn half_of_a_line_is_for_other_things_than_what_miners_find() {
    let (line, mut session) = mpsc::channel(10);
    while has_room(&line) {
        line.try_send(()).unwrap();
    }
    assert_eq!(line.capacity(), 5);
    {
        let mut waiting = std::pin::pin!(room(&line));
        tokio::select! {
            biased;
            () = &mut waiting => panic!("there is none"),
            () = std::future::ready(()) => {}
        }
        tokio::join!(waiting, session.recv());
    }
    assert!(has_room(&line));
    // Whoever waits for one that is over waits for nothing.
    line.try_send(()).unwrap();
    assert!(!has_room(&line));
    drop(session);
    room(&line).await;
    assert!(has_room(&line));
}
