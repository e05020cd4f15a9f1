//! Connections that do not stay: half heads, idle ones, handshakes and replies without end.

use super::*;

#[tokio::test]
async fn a_connection_that_never_finishes_its_head_does_not_stay() {
    let running = Running::start(times(|times| times.head = SHORT)).await;
    let (silent, mut half, mut trickling) =
        (running.connect().await, running.connect().await, running.connect().await);
    half.write_all(&GET[..20]).await.unwrap();
    let trickle = tokio::spawn(async move {
        // Slow enough that the most bytes of a head are not what ends it.
        trickling.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        let deadline = Instant::now() + DEADLINE;
        while trickling.write_all(b"x").await.is_ok() {
            assert!(Instant::now() < deadline, "a head that trickles goes on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    ends(silent).await;
    ends(half).await;
    trickle.await.unwrap();
    running.until_count(0).await;
}

#[tokio::test]
async fn a_later_request_that_never_finishes_its_head_does_not_stay() {
    let running = Running::start(times(|times| times.head = SHORT)).await;
    let mut stream = running.connect().await;
    answered(&mut stream).await;
    stream.write_all(&GET[..20]).await.unwrap();
    ends(stream).await;
}

#[tokio::test]
async fn half_a_head_that_came_with_the_request_before_does_not_stay() {
    let running = Running::start(times(|times| (times.head, times.idle) = (SHORT, SHORT))).await;
    let mut stream = running.connect().await;
    stream.write_all(&[GET, &GET[..20]].concat()).await.unwrap();
    ends(stream).await;
}

#[tokio::test]
async fn an_idle_connection_does_not_stay() {
    let running = Running::start(times(|times| times.idle = SHORT)).await;
    let mut stream = running.connect().await;
    answered(&mut stream).await;
    ends(stream).await;
    running.until_count(0).await;
}

#[tokio::test]
async fn an_idle_connection_of_http2_does_not_stay_although_it_answers_pings() {
    let mut settings = times(|times| times.idle = SHORT);
    settings.http2.ping_every = Duration::from_millis(10);
    let running = Running::start_tls(settings).await;
    let stream = running.connect_tls("h2").await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("https://localhost/").body(Empty::<bytes::Bytes>::new()).unwrap();
    let body =
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "127.0.0.1 Tls");
    let _ = timeout(DEADLINE, connection).await.expect("the connection stays");
    running.until_count(0).await;
}

#[tokio::test]
async fn a_head_of_more_than_a_hundred_headers_waits_for_nothing() {
    let running = Running::start_tls(patient()).await;
    let stream = running.connect_tls("h2").await;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    for (count, status) in [(100, 200), (101, 431), (3000, 431)] {
        // A byte each on the way, once the first has come.
        let mut request = Request::get("https://localhost/");
        for _ in 0..count {
            request = request.header("a", "v");
        }
        let reply =
            sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(reply.status().as_u16(), status, "{count}");
        assert_eq!(reply.headers().contains_key("x-content-type-options"), status == 431);
        reply.into_body().collect().await.unwrap();
    }
    drop(sender);
    let _ = timeout(DEADLINE, connection).await.expect("the connection stays");
}

#[tokio::test]
async fn a_client_of_http2_that_does_not_answer_pings_does_not_stay() {
    let mut settings = patient();
    (settings.http2.ping_every, settings.http2.ping_within) = (SHORT, SHORT);
    let running = Running::start_tls(settings).await;
    let mut stream = running.connect_tls("h2").await;
    // The preface, and a SETTINGS frame without settings.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    ends(stream).await;
    running.until_count(0).await;
}

#[tokio::test]
async fn a_tls_handshake_that_never_ends_does_not_stay() {
    let running = Running::start_tls(times(|times| times.handshake = SHORT)).await;
    ends(running.connect().await).await;
    // Nor one after which nothing comes.
    let running = Running::start_tls(times(|times| times.head = SHORT)).await;
    ends(running.connect_tls("http/1.1").await).await;
    ends(running.connect_tls("h2").await).await;
    running.until_count(0).await;
}

#[tokio::test]
async fn a_reply_that_nobody_takes_does_not_stay() {
    let running = Running::start(times(|times| times.reply = SHORT)).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    running.until_count(1).await;
    running.until_count(0).await;
    drop(stream);
}

#[tokio::test]
async fn a_request_in_hand_is_not_ended_by_the_times_of_others() {
    let running = Running::start(times(|times| {
        (times.head, times.idle, times.reply) = (SHORT, SHORT, SHORT)
    }))
    .await;
    let mut busy = running.slow().await;
    // One that begins later has gone through all its times.
    let mut other = running.connect().await;
    answered(&mut other).await;
    ends(other).await;
    running.signals.go_on.notify_one();
    assert_eq!(reply(&mut busy).await.1, "in hand");
}
