use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

const ASK: &[u8] = b"GET /short HTTP/1.1\r\nhost: here\r\n\r\n";

fn router() -> Router {
    let chunk = Bytes::from_static(&[b'x'; 1024]);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
    let ticking = stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Some((Ok::<_, std::io::Error>("tick"), ()))
    });
    let (endless, ticking) = (Body::from_stream(endless), Body::from_stream(ticking));
    let once = |body: Body| {
        let body = Arc::new(std::sync::Mutex::new(Some(body)));
        move || std::future::ready(body.lock().unwrap().take().unwrap())
    };
    Router::new()
        .route("/short", get(async || "short").post(async || "short"))
        .route("/endless", get(once(endless)))
        .route("/ticking", get(once(ticking)))
}

/// One connection, with a client whose socket holds few bytes.
fn connect(stop: &CancellationToken) -> (DuplexStream, JoinHandle<hyper::Result<()>>) {
    let (ours, theirs) = duplex(4096);
    let stop = stop.clone();
    let served = async move { serve(theirs, router(), Limits::default(), &stop).await };
    (ours, tokio::spawn(served))
}

async fn read_until(client: &mut DuplexStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        read.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_is_closed_in_time() {
    let stop = CancellationToken::new();
    for said in [
        &b""[..],
        b"GET /short HTT",
        b"GET /short HTTP/1.1\r\nhost: here\r\n",
    ] {
        let (mut client, served) = connect(&stop);
        let began = Instant::now();
        client.write_all(said).await.unwrap();
        assert!(served.await.unwrap().unwrap_err().is_timeout());
        assert!(began.elapsed() >= Limits::default().head);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_nothing_more_is_closed_in_time() {
    let (mut client, served) = connect(&CancellationToken::new());
    client.write_all(ASK).await.unwrap();
    assert!(read_until(&mut client, "short").await.contains("200 OK"));
    assert!(served.await.unwrap().unwrap_err().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed_in_time() {
    let (mut client, served) = connect(&CancellationToken::new());
    client
        .write_all(b"GET /endless HTTP/1.1\r\nhost: here\r\n\r\n")
        .await
        .unwrap();
    let began = Instant::now();
    assert!(served.await.unwrap().is_err());
    assert!(began.elapsed() >= Limits::default().stall);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_listens_is_not_closed_however_long_it_takes() {
    let (mut client, served) = connect(&CancellationToken::new());
    client
        .write_all(b"GET /ticking HTTP/1.1\r\nhost: here\r\n\r\n")
        .await
        .unwrap();
    for _ in 0..10 {
        read_until(&mut client, "tick").await;
    }
    assert!(!served.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_listens_does_not_keep_the_role_from_stopping() {
    let stop = CancellationToken::new();
    let (mut client, served) = connect(&stop);
    client
        .write_all(b"GET /ticking HTTP/1.1\r\nhost: here\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut client, "200 OK").await;
    let began = Instant::now();
    stop.cancel();
    served.await.unwrap().unwrap();
    assert!(began.elapsed() <= GRACE + Duration::from_millis(1));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_long_is_refused() {
    let (mut client, served) = connect(&CancellationToken::new());
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(64 * 1024));
    let (mut reader, mut writer) = tokio::io::split(&mut client);
    let mut answer = String::new();
    let (_, read) = tokio::join!(
        writer.write_all(long.as_bytes()),
        reader.read_to_string(&mut answer)
    );
    read.unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(served.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_ends_the_connection() {
    let (mut client, served) = connect(&CancellationToken::new());
    client
        .write_all(b"POST /short HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000000\r\n\r\nx")
        .await
        .unwrap();
    assert!(read_until(&mut client, "short").await.contains("200 OK"));
    served.await.unwrap().unwrap();
}

/// In real time: a paused clock would not wait for what the kernel carries.
#[tokio::test]
async fn a_client_too_many_waits_until_another_leaves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        connections: 1,
        head: Duration::from_secs(2),
        ..Limits::default()
    };
    let shutdown = Shutdown::default();
    shutdown.spawn(accept(listener, router(), limits, shutdown.clone()));
    let mut first = TcpStream::connect(address).await.unwrap();
    let began = Instant::now();
    first.write_all(ASK).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'H');
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(ASK).await.unwrap();
    assert_eq!(second.read_u8().await.unwrap(), b'H');
    // It was the first one's silence that made room.
    assert!(began.elapsed() >= limits.head);
    shutdown.finish().await;
}
