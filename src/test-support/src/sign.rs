//! Signs requests as SDKs do, for tests: both schemes of EDAS, and OSS' for
//! uploads, written from the rules and not with the program's own code.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An access key.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub id: &'a str,
    pub secret: &'a str,
}

/// A request without its signature.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    /// HTTP method, in capitals.
    pub method: &'a str,
    pub path: &'a str,
    /// Parameters, as they are meant.
    pub parameters: &'a [(&'a str, &'a str)],
    /// When it is signed.
    pub date: Timestamp,
    /// Signature nonce; the oldest SDKs send none.
    pub nonce: Option<&'a str>,
}

/// A signed request.
#[derive(Debug, Clone)]
pub struct Signed {
    pub target: String,
    /// Headers, with Host.
    pub headers: Vec<(&'static str, String)>,
    /// The body: empty, or a form.
    pub body: String,
}

const HOST: &str = "sluice.example:8080";

impl Unsigned<'_> {
    fn target(&self) -> String {
        let pairs: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        if pairs.is_empty() {
            self.path.into()
        } else {
            format!("{}?{}", self.path, pairs.join("&"))
        }
    }

    fn sorted(&self) -> Vec<(&str, &str)> {
        let mut sorted = self.parameters.to_vec();
        sorted.sort_unstable();
        sorted
    }

    /// Signs with ACS3-HMAC-SHA256, as the newer SDKs do.
    pub fn acs3(&self, key: Key<'_>) -> Signed {
        self.acs3_of(key, self.target(), self.query(), String::new())
    }

    /// The same with the parameters as a form in the body.
    pub fn acs3_form(&self, key: Key<'_>) -> Signed {
        self.acs3_of(key, self.path.into(), String::new(), self.query())
    }

    fn query(&self) -> String {
        self.sorted()
            .into_iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect::<Vec<_>>()
            .join("&")
    }

    fn acs3_of(&self, key: Key<'_>, target: String, query: String, body: String) -> Signed {
        let digest = hex::encode(Sha256::digest(&body));
        let mut headers: Vec<(&'static str, String)> = vec![
            ("host", HOST.into()),
            ("x-acs-content-sha256", digest.clone()),
            ("x-acs-date", self.date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ];
        headers.extend(self.nonce.map(|nonce| ("x-acs-signature-nonce", nonce.to_owned())));
        headers.push(("x-acs-version", "2017-08-01".into()));
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical =
            format!("{}\n{}\n{}\n{lines}\n{names}\n{digest}", self.method, self.path, query);
        let string = format!("ACS3-HMAC-SHA256\n{}", hex::encode(Sha256::digest(canonical)));
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.secret.as_bytes())
            .expect("HMAC takes keys of every length")
            .chain_update(string);
        let signature = hex::encode(mac.finalize().into_bytes());
        headers.push((
            "authorization",
            format!(
                "ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}",
                key.id
            ),
        ));
        Signed { target, headers, body }
    }

    /// Signs with HMAC-SHA1, as the older SDKs do.
    pub fn hmac_sha1(&self, key: Key<'_>) -> Signed {
        let date = self.date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut acs: Vec<(&'static str, String)> =
            vec![("x-acs-signature-method", "HMAC-SHA1".into())];
        acs.extend(self.nonce.map(|nonce| ("x-acs-signature-nonce", nonce.to_owned())));
        acs.push(("x-acs-version", "2017-08-01".into()));
        let lines: String = acs.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let pairs: Vec<String> =
            self.sorted().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let resource = if pairs.is_empty() {
            self.path.to_owned()
        } else {
            format!("{}?{}", self.path, pairs.join("&"))
        };
        let string = format!("{}\napplication/json\n\n\n{date}\n{lines}{resource}", self.method);
        let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key.secret.as_bytes())
            .expect("HMAC takes keys of every length")
            .chain_update(string);
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let mut headers =
            vec![("host", HOST.into()), ("accept", "application/json".into()), ("date", date)];
        headers.extend(acs);
        headers.push(("authorization", format!("acs {}:{signature}", key.id)));
        Signed { target: self.target(), headers, body: String::new() }
    }
}

/// An upload of an object to OSS, without its signature.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// Id and secret of the credential.
    pub key: Key<'a>,
    pub token: &'a str,
    pub bucket: &'a str,
    /// Key, as it is meant.
    pub object: &'a str,
    /// When it is signed.
    pub date: Timestamp,
    /// Content-MD5, in Base64; empty = it is not sent.
    pub md5: &'a str,
}

impl Upload<'_> {
    /// The headers, without Host.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        self.headers_of("PUT", "")
    }

    /// The headers of another method and with sub-resources, which are written as they
    /// are signed: each with its value, in the order of their names.
    pub fn headers_of(&self, method: &str, subresources: &str) -> Vec<(&'static str, String)> {
        let date = self.date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let kind = "application/java-archive";
        let mark = if subresources.is_empty() { "" } else { "?" };
        let (token, resource) =
            (self.token, format!("/{}/{}{mark}{subresources}", self.bucket, self.object));
        let string = format!(
            "{method}\n{}\n{kind}\n{date}\nx-oss-security-token:{token}\n{resource}",
            self.md5
        );
        let mac = <Hmac<Sha1> as KeyInit>::new_from_slice(self.key.secret.as_bytes())
            .expect("HMAC takes keys of every length")
            .chain_update(string);
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let mut headers = vec![
            ("authorization", format!("OSS {}:{signature}", self.key.id)),
            ("x-oss-security-token", token.into()),
            ("date", date),
            ("content-type", kind.into()),
        ];
        headers.extend((!self.md5.is_empty()).then(|| ("content-md5", self.md5.to_owned())));
        headers
    }

    /// The path of the object under the bucket's own host.
    pub fn path(&self) -> String {
        let parts: Vec<String> =
            self.object.split('/').map(|part| escape(part).to_string()).collect();
        format!("/{}", parts.join("/"))
    }
}

fn escape(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}
