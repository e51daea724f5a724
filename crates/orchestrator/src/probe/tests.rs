use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::backend::fake;

/// A service that answers every request with the same status line and body.
async fn answering(status: &'static str, body: &'static str) -> ServiceSpec {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // Closing with the body of a request unread would take the answer back.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    ServiceSpec {
        probe: Probe::Http(port),
        ..fake::spec("pool", &[])
    }
}

fn prober() -> Prober {
    let secrets = Secrets::generate(&mut rand::thread_rng());
    let wallet = crate::wallet::Wallet::new(&secrets, Network::Regtest).unwrap();
    Prober::new(secrets, wallet.address())
}

#[track_caller]
fn check(found: &Readiness, reason: &str) {
    let Readiness::NotYet(said) = found else {
        panic!("it is ready");
    };
    assert!(said.contains(reason), "{said}");
}

#[tokio::test]
async fn only_status_200_and_ready_true_are_ready() {
    let ready = answering("200 OK", r#"{"ready":true}"#).await;
    assert_eq!(prober().ask(&ready).await, Readiness::Ready);
    let contradictory = answering("503 Service Unavailable", r#"{"ready":true}"#).await;
    check(&prober().ask(&contradictory).await, "no reason");
}

#[tokio::test]
async fn the_service_is_quoted_on_why_it_is_not_ready() {
    let body = r#"{"ready":false,"reason":"no template yet"}"#;
    let waiting = answering("503 Service Unavailable", body).await;
    check(&prober().ask(&waiting).await, "no template yet");
}

#[tokio::test]
async fn an_answer_of_something_else_is_named() {
    let stranger = answering("200 OK", "<html>").await;
    check(
        &prober().ask(&stranger).await,
        "without saying whether it is ready",
    );
}

#[tokio::test]
async fn nobody_listening_is_no_error() {
    // Bound, so that nobody else gets it, without listening.
    let held = TcpSocket::new_v4().unwrap();
    held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = held.local_addr().unwrap().port();
    let gone = ServiceSpec {
        probe: Probe::Http(port),
        ..fake::spec("pool", &[])
    };
    check(&prober().ask(&gone).await, "nothing listens");
    let node = ServiceSpec {
        probe: Probe::BitcoinNode(port),
        ..fake::spec("btc-node", &[])
    };
    check(&prober().ask(&node).await, "no RPC answers");
}

#[tokio::test]
async fn a_node_that_warms_up_is_quoted() {
    let body = r#"{"result":null,"error":{"code":-28,"message":"Loading block index"},"id":"lab"}"#;
    let spec = answering("500 Internal Server Error", body).await;
    let Probe::Http(port) = spec.probe else {
        panic!("not http");
    };
    let node = ServiceSpec {
        probe: Probe::BitcoinNode(port),
        ..spec
    };
    check(&prober().ask(&node).await, "Loading block index");
    check(&prober().help(&node).await, "Loading block index");
}

#[tokio::test]
async fn a_young_chain_is_not_ready_to_those_who_only_look() {
    let body = r#"{"result":{"chain":"regtest","blocks":3,"bestblockhash":"00",
        "initialblockdownload":false},"error":null,"id":"lab"}"#;
    let spec = answering("200 OK", body).await;
    let Probe::Http(port) = spec.probe else {
        panic!("not http");
    };
    let node = ServiceSpec {
        probe: Probe::BitcoinNode(port),
        ..spec
    };
    check(&prober().ask(&node).await, "height 3");
}
