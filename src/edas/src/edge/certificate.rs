//! The certificate and key of the HTTPS listener, from two PEM files.
//!
//! The files are looked at again and again: a new pair is taken up for
//! connections to come, without a restart; one that cannot be used is logged,
//! and the pair before stays. What is wrong names the flag and the file, and
//! never what a file holds.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use sha2::{Digest, Sha256};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is wrong with the certificate or the key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{flag}: {} cannot be read: {error}", file.display())]
    Unreadable {
        /// The flag that names the file.
        flag: &'static str,
        /// The file.
        file: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{flag}: {} {what}", file.display())]
    Unusable {
        /// The flag that names the file.
        flag: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Both are good, but not for each other.
    #[error("--tls-key: the key in {} is not that of the (first) certificate in {} (--tls-cert)", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

/// Where certificate and key are.
#[derive(Debug, Clone)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// A certificate and its key that follow their files.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    config: RustlsConfig,
    /// Digest of the files' bytes when they were last looked at; none if they could not be read.
    seen: Option<[u8; 32]>,
    look_every: Duration,
}

impl Certificate {
    /// Reads the certificate, with the chain behind it, and its key.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub async fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let files = Files { certificate, key };
        let pair = files.read().await?;
        let config = RustlsConfig::from_config(Arc::new(files.config(&pair)?));
        Ok(Self { files, config, seen: Some(pair.digest()), look_every: LOOK_EVERY })
    }

    /// Looks at the files that often instead.
    #[must_use]
    pub fn looking_every(mut self, time: Duration) -> Self {
        self.look_every = time;
        self
    }

    /// What the listener uses; it changes with the files.
    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Takes up what changes in the files, for ever.
    pub(crate) async fn follow(mut self) {
        loop {
            tokio::time::sleep(self.look_every).await;
            match self.look().await {
                None => {}
                Some(Ok(())) => {
                    tracing::info!(file = %self.files.certificate.display(), "the new certificate is used from now on")
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the new certificate cannot be used; the one before stays")
                }
            }
        }
    }

    /// Whether what is new in the files could be taken up, if something is.
    pub(crate) async fn look(&mut self) -> Option<Result<(), CertificateError>> {
        let read = self.files.read().await;
        let digest = read.as_ref().ok().map(Pair::digest);
        if std::mem::replace(&mut self.seen, digest) == digest {
            return None;
        }
        let config = read.and_then(|pair| self.files.config(&pair));
        Some(config.map(|config| self.config.reload_from_config(Arc::new(config))))
    }
}

/// What the files hold.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    fn digest(&self) -> [u8; 32] {
        let ends = (self.certificate.len() as u64).to_be_bytes();
        Sha256::new()
            .chain_update(ends)
            .chain_update(&self.certificate)
            .chain_update(&self.key)
            .finalize()
            .into()
    }
}

impl Files {
    async fn read(&self) -> Result<Pair, CertificateError> {
        let read = async |flag, file: &Path| {
            let bytes = tokio::fs::read(file).await;
            bytes.map_err(|error| CertificateError::Unreadable { flag, file: file.into(), error })
        };
        Ok(Pair {
            certificate: read("--tls-cert", &self.certificate).await?,
            key: read("--tls-key", &self.key).await?,
        })
    }

    fn config(&self, pair: &Pair) -> Result<ServerConfig, CertificateError> {
        let wrong = |flag, file: &Path, what: &str| CertificateError::Unusable {
            flag,
            file: file.into(),
            what: what.into(),
        };
        let certificate = |what: &str| wrong("--tls-cert", &self.certificate, what);
        let key = |what: &str| wrong("--tls-key", &self.key, what);

        let chain =
            CertificateDer::pem_slice_iter(&pair.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| certificate(&format!("is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(certificate("holds no certificate in PEM form"));
        }
        let secret = PrivateKeyDer::from_pem_slice(&pair.key).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                key("holds no private key in PEM form that is not encrypted")
            }
            _ => key("is not PEM"),
        })?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|error| certificate(&format!("cannot be used: {error}")))?;
        let mut config =
            builder.with_no_client_auth().with_single_cert(chain, secret).map_err(|error| {
                match error {
                    rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch {
                        certificate: self.certificate.clone(),
                        key: self.key.clone(),
                    },
                    rustls::Error::InvalidCertificate(why) => {
                        certificate(&format!("holds a certificate that cannot be used: {why}"))
                    }
                    other => key(&format!("holds a key that cannot be used: {other}")),
                }
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}
