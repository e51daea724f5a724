//! Peers that mean no good, each by itself: what is demanded of a server that meets one.

use super::*;

/// Plaintext frames as they would be sent next.
fn sealed(connection: &mut TcpConnection, frame: &[u8]) -> Vec<u8> {
    connection.outgoing.seal(frame);
    let sealed = connection.outgoing.pending().to_vec();
    connection.outgoing.advance(sealed.len());
    sealed
}

/// It has not been closed and is served like any other.
async fn assert_served(connection: &mut TcpConnection) {
    connection.send(&plain(b"still there?")).await.unwrap();
    let answer = connection.receive().await.unwrap();
    assert_eq!(answer.payload, b"still there?");
}

#[tokio::test]
async fn an_altered_bit_or_a_repeated_frame_closes_the_connection_without_a_word() {
    // NOISE-10, 11
    let run = running(Limits::default()).await;
    let (mut bystander, _) = run.upstream.connect().await.unwrap();
    for flipped in [3, 30] {
        let (mut connection, _) = run.upstream.connect().await.unwrap();
        let mut frame = sealed(&mut connection, &plain(&[5; 40]));
        frame[flipped] ^= 4;
        connection.writer.write_all(&frame).await.unwrap();
        assert!(connection.receive().await.is_err());
    }
    let (mut connection, _) = run.upstream.connect().await.unwrap();
    let frame = sealed(&mut connection, &plain(&[5; 40]));
    let twice = [&frame[..], &frame].concat();
    connection.writer.write_all(&twice).await.unwrap();
    // It may be closed before the answer to the first is on its way.
    while connection.receive().await.is_ok() {}
    assert_served(&mut bystander).await;
    run.shutdown.finish().await;
}

#[tokio::test]
async fn a_frame_that_comes_byte_by_byte_is_a_frame() {
    // NOISE-22
    let run = running(Limits::default()).await;
    let (mut connection, _) = run.upstream.connect().await.unwrap();
    for byte in sealed(&mut connection, &plain(&[5; 40])) {
        connection.writer.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(connection.receive().await.unwrap().payload, [5; 40]);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn a_frame_that_ends_early_is_no_frame() {
    // FRAME-14 on the wire: announced in whole, sent in part.
    let run = running(Limits::default()).await;
    let (mut bystander, _) = run.upstream.connect().await.unwrap();
    let (mut connection, _) = run.upstream.connect().await.unwrap();
    let frame = sealed(&mut connection, &plain(&[5; 40]));
    let (half, _) = frame.split_at(40);
    connection.writer.write_all(half).await.unwrap();
    connection.writer.shutdown().await.unwrap();
    assert!(connection.receive().await.is_err());
    assert_served(&mut bystander).await;
    run.shutdown.finish().await;
}

#[tokio::test]
async fn an_empty_frame_is_whole() {
    // NOISE-21: nobody waits for sixteen bytes more.
    let run = running(Limits::default()).await;
    let (mut connection, _) = run.upstream.connect().await.unwrap();
    connection.send(&plain(&[])).await.unwrap();
    assert_eq!(connection.receive().await.unwrap().header.len, 0);
    run.shutdown.finish().await;
}

#[tokio::test]
async fn who_says_more_than_allowed_is_slowed_down_and_not_closed() {
    let limits = Limits {
        max_messages_per_second: 1000,
        ..Limits::default()
    };
    let run = running(limits).await;
    let (connection, _) = run.upstream.connect().await.unwrap();
    let began = Instant::now();
    let mut connection = all_answered(connection, 1500).await;
    // A thousand came at once, the others at their pace.
    assert!(began.elapsed() > Duration::from_millis(450));
    assert!(run.reached.times(Limit::Messages) > 0);
    assert_served(&mut connection).await;
    run.shutdown.finish().await;
}

/// Says so many things at once, and hears each again.
async fn all_answered(mut connection: TcpConnection, count: usize) -> TcpConnection {
    connection
        .send(&plain(&[1; 10]).repeat(count))
        .await
        .unwrap();
    for _ in 0..count {
        assert_eq!(connection.receive().await.unwrap().payload, [1; 10]);
    }
    connection
}

#[tokio::test]
async fn who_never_reads_is_not_read_either_and_closed() {
    let limits = Limits {
        stall: Duration::from_millis(500),
        max_messages_per_second: 0,
        ..Limits::default()
    };
    let run = running(limits).await;
    let (mut bystander, _) = run.upstream.connect().await.unwrap();
    let (mut connection, _) = run.upstream.connect().await.unwrap();
    let chatter = sealed(&mut connection, &plain(&[1; 60_000]).repeat(1000));
    let mut taken = 0;
    // Fails when the server has closed; what the kernel buffers does not count as read.
    while taken < chatter.len()
        && let Ok(count) = connection.writer.write(&chatter[taken..]).await
    {
        taken += count;
    }
    assert!(taken < chatter.len() / 2, "{taken} of {}", chatter.len());
    assert_eq!(run.reached.times(Limit::UnreadTime), 1);
    assert_served(&mut bystander).await;
    run.shutdown.finish().await;
}
