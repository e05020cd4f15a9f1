//! A client that costs little: one connection, signed requests, one after the other.

use jiff::Timestamp;
use test_support::sign::{self, Unsigned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An access key.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

/// A reply that says what it is.
#[derive(Debug)]
pub struct Reply {
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

pub struct Client {
    stream: TcpStream,
    key: Key,
    read: Vec<u8>,
}

impl Client {
    pub async fn connect(address: &str, key: &Key) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, key: key.clone(), read: Vec::new() }
    }

    pub async fn call(&mut self, method: &str, path: &str, parameters: &[(&str, &str)]) -> Reply {
        let nonce = uuid::Uuid::now_v7().to_string();
        let unsigned =
            Unsigned { method, path, parameters, date: Timestamp::now(), nonce: Some(&nonce) };
        let signed = unsigned.acs3(sign::Key { id: &self.key.id, secret: &self.key.secret });
        let mut head = format!("{method} {} HTTP/1.1\r\n", signed.target);
        for (name, value) in &signed.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("content-length: 0\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await.unwrap();
        self.reply().await
    }

    async fn reply(&mut self) -> Reply {
        self.read.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0, "the server hung up");
            let Some(end) = self.read.windows(4).position(|it| it == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .unwrap_or_else(|| panic!("a reply without a length: {head}"))
                .parse()
                .unwrap();
            while self.read.len() < end + 4 + length {
                let more = self.stream.read_buf(&mut self.read).await.unwrap();
                assert!(more > 0, "the server hung up");
            }
            let body = String::from_utf8_lossy(&self.read[end + 4..]).into_owned();
            return Reply { body };
        }
    }
}
