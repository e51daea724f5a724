use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Reads a request and answers that all is well.
async fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    let body = r#"{"result":null,"error":null,"id":0}"#;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).await.unwrap();
}

#[tokio::test]
async fn a_node_that_stands_still_gathers_no_more_blocks_than_there_are_places() {
    const FOUND: usize = 2 * MAX_SUBMITTING;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (line, requests) = mpsc::channel(FOUND);
    let (desk, _heard) = mpsc::channel(1);
    let shutdown = Shutdown::default();
    let node = NodeRpc::new(address.to_string(), "user", "password");
    let metrics = Metrics::register(&mut Registry::default());
    let running = shutdown.spawn(run(node, requests, desk, metrics, shutdown.clone()));
    for number in 0..FOUND {
        let block = Request::Submit {
            hash: [number as u8; 32],
            block: vec![number as u8],
        };
        line.try_send(block).unwrap();
    }

    let mut asked = Vec::new();
    while asked.len() < MAX_SUBMITTING {
        asked.push(listener.accept().await.unwrap().0);
    }
    assert_eq!(line.capacity(), MAX_SUBMITTING);
    // An answer makes room for one.
    answer(asked.pop().unwrap()).await;
    asked.push(listener.accept().await.unwrap().0);
    assert_eq!(line.capacity(), MAX_SUBMITTING + 1);

    shutdown.stop().cancel();
    running.await.unwrap();
}
