//! A TCP proxy in front of an API server, which lets nothing through, or hangs, when a test
//! says so. The API server itself is never touched.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::{App, real};

/// What becomes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All bytes pass.
    Open,
    /// Connections stay, and no byte passes.
    Hangs,
    /// Connections end, and no other is taken.
    Gone,
}

pub struct Proxy {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Proxy {
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, way) = (listener.local_addr().unwrap(), watch::Sender::new(Way::Open));
        let ways = way.clone();
        // Ends with the test's runtime.
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                if *ways.borrow() == Way::Gone {
                    continue;
                }
                let ways = ways.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let ((from, to), (back, answer)) = (client.into_split(), server.into_split());
                    tokio::join!(
                        pass(from, answer, ways.subscribe()),
                        pass(back, to, ways.subscribe())
                    );
                });
            }
        });
        Self { address, way }
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// One in front of the cluster of `app`, and a client that goes through it.
    pub async fn of(app: &App) -> (Self, kube::Client) {
        if let Some(simulation) = app.simulation.clone() {
            let (listener, address) = simulated::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
            tokio::spawn(async move { simulation.serve(listener, std::future::pending()).await });
            let proxy = Self::before(address).await;
            let kubeconfig =
                kube::config::Kubeconfig::from_yaml(&simulated::kubeconfig(proxy.address)).unwrap();
            let client = real::client_of(kubeconfig).await;
            return (proxy, client);
        }
        let mut kubeconfig = real::kubeconfig();
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        let server = cluster.server.take().unwrap();
        let target = server.trim_start_matches("https://").trim_end_matches('/').parse().unwrap();
        let proxy = Self::before(target).await;
        cluster.server = Some(format!("https://{}", proxy.address));
        let client = real::client_of(kubeconfig).await;
        (proxy, client)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut ways: watch::Receiver<Way>) {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            _ = ways.wait_for(|way| *way == Way::Gone) => return,
            read = from.read(&mut bytes) => read,
        };
        let Ok(length @ 1..) = read else { return };
        match ways.wait_for(|way| *way != Way::Hangs).await {
            Ok(way) if *way == Way::Open => {}
            _ => return,
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
