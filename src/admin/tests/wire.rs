//! What only a connection shows: bodies too large, `100 Continue`, the drain.

use super::*;

async fn served() -> (SocketAddr, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(serve(listener, state().await, async {
        let _ = stopped.await;
    }));
    (address, stop, task)
}

/// Sends `request` and reads until the server closes.
async fn talk(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_asked_for() {
    let (address, _stop, _task) = served().await;
    let head = "PUT /apisix/admin/routes HTTP/1.1\r\nHost: a\r\nX-API-KEY: admin-key\r\nExpect: 100-continue\r\n";
    let answer = talk(address, format!("{head}Connection: close\r\nContent-Length: 1572865\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let text = "{\"error_msg\":\"invalid request body: request size 1572865 is greater than the maximum size 1572864 allowed\"}\n";
    assert!(answer.ends_with(text), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on() {
    let (address, _stop, _task) = served().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "PUT /apisix/admin/consumers HTTP/1.1\r\nHost: a\r\nX-API-KEY: admin-key\r\nExpect: 100-continue\r\n";
    stream.write_all(format!("{head}Connection: close\r\nContent-Length: 19\r\n\r\n").as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{\"username\":\"jack\"}").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_bounded_too() {
    let api = Api::new().await;
    let body = Body::new(http_body_util::Full::new(axum::body::Bytes::from(vec![b' '; 1_572_865])));
    let heard = api.call("PUT", "/routes/1", body).await;
    assert_eq!(
        heard.line(),
        "400 {\"error_msg\":\"invalid request body: request size 1572865 is greater than the maximum size 1572864 allowed\"}"
    );
}

#[tokio::test]
async fn serving_ends_when_told_to() {
    let (address, stop, task) = served().await;
    let answer = talk(address, b"HEAD /apisix/admin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    stop.send(()).unwrap();
    task.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn content_type_does_not_matter_and_comments_are_blanks() {
    let (address, _stop, _task) = served().await;
    let body = "{\n  # highlight-next-line\n  \"username\": \"jack\"\n}";
    let head = "PUT /apisix/admin/consumers HTTP/1.1\r\nHost: a\r\nX-API-KEY: admin-key\r\nConnection: close\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = talk(address, format!("{head}{form}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("\r\nx-api-version: v3\r\n"), "{answer}");
}
