//! A certificate authority for tests, and clients that trust nothing else.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client};
use tempfile::TempDir;

/// Signs certificates of this machine's loopback names.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key as PEM files, gone with the test.
pub struct Pair {
    folder: TempDir,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What a client needs to trust it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, both PEM.
    pub fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// A client that trusts this authority only. It makes a connection for every request.
    pub fn client(&self) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted = Certificate::from_pem(self.pem().as_bytes()).unwrap();
        Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .tls_certs_only([trusted])
            .build()
            .unwrap()
    }
}

impl Pair {
    pub fn new((certificate, key): &(String, String)) -> Self {
        let pair = Self { folder: TempDir::new().unwrap() };
        pair.replace(certificate, key);
        pair
    }

    pub fn replace(&self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) {
        std::fs::write(self.certificate(), certificate).unwrap();
        std::fs::write(self.key(), key).unwrap();
    }

    pub fn certificate(&self) -> PathBuf {
        self.path("tls.crt")
    }

    pub fn key(&self) -> PathBuf {
        self.path("tls.key")
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }
}
