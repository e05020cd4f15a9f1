//! `ETag` in just these letters.
//!
//! OSS' client for Java, which Jenkins uses, looks for the header of a part's reply by this
//! spelling and fails at any other. HTTP says that case means nothing, and hyper writes
//! lower case; but it keeps the spelling of a head that it read, in an extension whose
//! type is its own. So it is given such a head to read, once.

use axum::response::Response;
use http::{Extensions, Request, header::ETAG};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::OnceCell,
};

/// A head with each name that clients want spelled as OSS does.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nETag: 1\r\ncontent-length: 0\r\n\r\n";

static SPELLING: OnceCell<Extensions> = OnceCell::const_new();

/// Spells the names of a reply's headers as OSS does. Over HTTP/2 all names are lower
/// case, and clients of HTTP/2 expect no other.
pub(super) async fn spell(mut response: Response) -> Response {
    if response.headers().contains_key(ETAG) {
        match SPELLING.get_or_try_init(read).await {
            Ok(spelling) => response.extensions_mut().extend(spelling.clone()),
            Err(error) => tracing::warn!(%error, "headers are spelled in lower case"),
        }
    }
    response
}

/// Lets hyper read [`HEAD`], and keeps what it remembers of it.
async fn read() -> Result<Extensions, hyper::Error> {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let (mut sender, connection) =
        http1::Builder::new().preserve_header_case(true).handshake(TokioIo::new(ours)).await?;
    let answer = async move {
        let mut asked = [0; 1024];
        // What does not come shows at the other end.
        let _ = theirs.read(&mut asked).await;
        let _ = theirs.write_all(HEAD).await;
        theirs
    };
    let ask = async move {
        let response = sender.send_request(Request::new(String::new())).await;
        response.map(|response| response.into_parts().0.extensions)
    };
    let (extensions, _, _) = tokio::join!(ask, answer, connection);
    extensions
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware::map_response, routing::get};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn an_etag_is_spelled_on_the_wire_as_clients_look_for_it() {
        let reply = async || ([(ETAG, "\"1\""), (http::header::VARY, "x")], "body");
        let routes = Router::new().route("/", get(reply)).layer(map_response(spell));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, routes).await });
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        server.abort();
        assert!(text.contains("\r\nETag: \"1\"\r\n"), "{text}");
        assert!(text.contains("\r\nvary: x\r\n") && text.ends_with("\r\n\r\nbody"), "{text}");
    }
}
