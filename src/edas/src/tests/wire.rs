//! Over a socket: what the HTTP library would answer by itself, and stopping.
//!
//! Requests are written as bytes, since no client library makes lines that are
//! this long.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

/// Reads one reply with a Content-Length.
pub(super) async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        if let Some(end) = head_end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap()
                .parse()
                .unwrap();
            if bytes.len() >= end + length {
                return (head, serde_json::from_slice(&bytes[end..end + length]).unwrap());
            }
        }
        let read = timeout(DEADLINE, stream.read_buf(&mut bytes)).await.unwrap().unwrap();
        assert!(
            read > 0,
            "the connection ended before the reply: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[tokio::test]
async fn a_request_line_of_64_kib_is_served_and_one_byte_more_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = tokio::spawn(connections().serve(
        listener,
        router_without_database(),
        std::future::pending(),
    ));
    for (length, code) in
        [(edge::LINE_LIMIT, "IncompleteSignature"), (edge::LINE_LIMIT + 1, "RequestLineTooLong")]
    {
        let (start, end) = ("POST /pop/v5/k8s/acs/k8s_apps?Envs=", " HTTP/1.1\r\n");
        let request =
            format!("{start}{}{end}Host: h\r\n\r\n", "x".repeat(length - start.len() - end.len()));
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_reply(&mut stream).await.1["Code"], code, "{length} bytes");
    }
    server.abort();
}

#[tokio::test]
async fn two_megabytes_of_envs_get_a_clear_answer_and_the_connection_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(connections().serve(listener, router_without_database(), async {
        let _ = stopped.await;
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        let request = format!(
            "POST /pop/v5/k8s/acs/k8s_apps?AppId=a&Envs={} HTTP/1.1\r\nHost: h\r\n\r\n",
            "x".repeat(2 << 20)
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let (head, body) = read_reply(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 414 "), "{head}");
        assert_eq!(body["Code"], "RequestLineTooLong");
        let message = body["Message"].as_str().unwrap();
        assert!(message.contains("parameter Envs") && message.contains("65536 bytes"), "{message}");

        // Some clients write the whole address into Host (K6), and sign that.
        let request = format!("GET /healthz HTTP/1.1\r\nHost: http://{address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (head, body) = read_reply(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body["status"], "ok");
    }
    drop(stream);
    stop.send(()).unwrap();
    timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
