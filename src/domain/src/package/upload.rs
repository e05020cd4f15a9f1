//! Uploading a package: which keys a credential may write, and how an address
//! names what was uploaded under one.
//!
//! Keys are what clients see. The store's own names are ids, so that nothing a
//! client writes ever becomes part of a path. Pure.

use std::fmt;

use thiserror::Error;

use crate::{CredentialId, PackageId, limits::OBJECT_KEY, package::PackageAddress};

pub mod parts;
mod quota;

pub use crate::package::upload::parts::{NamedPart, Part, WrongParts};
pub use crate::package::upload::quota::{Full, Quota, Usage};

/// What the path of an address begins with that pods fetch an uploaded package from;
/// its id and a slash follow. The schema looks for the same.
pub const PATH: &str = "/sluice/v1/packages/";

/// What every key begins with.
pub const ROOT: &str = "sluice-packages";

/// Where addresses of uploaded packages point: clients put a bucket and a dot
/// before it, and the key behind. It is no host of the network (RFC 6761), so
/// that no other address can be taken for one of these.
pub const HOST: &str = "packages.sluice.invalid";

/// Why a text is no key that anything can be uploaded under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a key is a credential's KeyPrefix, a slash and a path, of at most {OBJECT_KEY} bytes, without empty parts, '.', '..', backslashes and control characters"
)]
pub struct WrongKey;

/// What clients call an uploaded package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKey {
    text: String,
    credential: CredentialId,
}

impl ObjectKey {
    /// Reads a key, as it is meant: nothing in it is escaped.
    ///
    /// # Errors
    /// [`WrongKey`].
    pub fn read(text: &str) -> Result<Self, WrongKey> {
        let is_part = |part: &str| {
            !matches!(part, "" | "." | "..")
                && !part.contains(|c: char| c == '\\' || c.is_control())
        };
        let mut parts = text.splitn(3, '/');
        let (root, prefix, rest) = (parts.next(), parts.next(), parts.next());
        let credential = prefix.and_then(|prefix| {
            prefix.parse::<CredentialId>().ok().filter(|id| id.to_string() == prefix)
        });
        match (root, credential, rest) {
            (Some(ROOT), Some(credential), Some(rest))
                if text.len() <= OBJECT_KEY && rest.split('/').all(is_part) =>
            {
                Ok(Self { text: text.into(), credential })
            }
            _ => Err(WrongKey),
        }
    }

    /// The credential whose prefix it has.
    #[must_use]
    pub fn credential(&self) -> CredentialId {
        self.credential
    }

    /// Its last part.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// The key itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the keys begin with that `credential` may write.
#[must_use]
pub fn prefix(credential: CredentialId) -> String {
    format!("{ROOT}/{credential}")
}

/// The key that an address names, if it is that of an uploaded package.
///
/// # Errors
/// [`WrongKey`], where it is one by its host and names no key.
pub fn named_by(url: &PackageAddress) -> Result<Option<ObjectKey>, WrongKey> {
    if !url.host().strip_suffix(HOST).is_some_and(|bucket| bucket.ends_with('.')) {
        return Ok(None);
    }
    ObjectKey::read(&decoded(url.secret().path())?).map(Some)
}

/// The key that an address may name by its path, on any host: people also write the name by
/// which they reach the server, with the bucket in the path or without one. Only a package
/// that was uploaded under the key shows that it does.
#[must_use]
pub fn perhaps_named_by(url: &PackageAddress) -> Option<ObjectKey> {
    let path = decoded(url.secret().path()).ok()?;
    let without_bucket = path.split_once('/').map(|(_, rest)| rest);
    ObjectKey::read(&path).ok().or_else(|| ObjectKey::read(without_bucket?).ok())
}

/// Clients write keys into addresses as into forms: a blank is a plus (R31).
fn decoded(path: &str) -> Result<String, WrongKey> {
    let path = path.trim_start_matches('/').replace('+', " ");
    let key = percent_encoding::percent_decode_str(&path).decode_utf8().map_err(|_| WrongKey)?;
    Ok(key.into_owned())
}

/// The package whose id a path names. There is one way to write it, which the schema
/// looks for too: what is named in another is not found.
#[must_use]
pub fn package_id(text: &str) -> Option<PackageId> {
    text.parse::<PackageId>().ok().filter(|id| id.to_string() == text)
}

/// The uploaded packages that a document names, by the address that pods fetch them
/// from; each once.
#[must_use]
pub fn stored_in(document: &str) -> Vec<PackageId> {
    let ids = document.split(PATH).skip(1).filter_map(|rest| rest.split_once('/'));
    let mut found: Vec<PackageId> = ids.filter_map(|(id, _)| package_id(id)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ID: &str = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e";

    #[rstest]
    #[case("apps/a/b/app.jar", "app.jar")]
    #[case("版本 1+2.jar", "版本 1+2.jar")]
    #[case("..a/b..", "b..")]
    fn a_key_begins_with_its_credentials_prefix(#[case] rest: &str, #[case] file: &str) {
        let key = ObjectKey::read(&format!("{ROOT}/{ID}/{rest}")).unwrap();
        assert_eq!((key.file_name(), key.credential().to_string().as_str()), (file, ID));
        assert!(key.as_str().starts_with(&prefix(key.credential())));
    }

    #[rstest]
    #[case("")]
    #[case("sluice-packages")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/")]
    #[case("sluice-packages/01935A2C-52B0-7C41-8D6E-2A4F6B8C0D1E/a")]
    #[case("sluice-packages/nobody/a")]
    #[case("other/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a")]
    #[case("/sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/../a")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a/./b")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a//b")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a/..")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a\\b")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a\0b")]
    #[case("sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a\nb")]
    fn everything_else_is_none(#[case] text: &str) {
        assert_eq!(ObjectKey::read(text), Err(WrongKey));
    }

    #[test]
    fn a_key_has_at_most_1023_bytes() {
        let key = |length: usize| {
            format!("{ROOT}/{ID}/{}", "a".repeat(length - ROOT.len() - ID.len() - 2))
        };
        assert!(ObjectKey::read(&key(1023)).is_ok());
        assert_eq!(ObjectKey::read(&key(1024)), Err(WrongKey));
    }

    #[rstest]
    #[case(
        "http://sluice.packages.sluice.invalid/sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/apps/x/app-1%2B2+3.jar",
        Ok(Some("apps/x/app-1+2 3.jar"))
    )]
    #[case(
        "http://b.packages.sluice.invalid/sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/%E7%89%88.jar",
        Ok(Some("版.jar"))
    )]
    #[case(
        "http://b.packages.sluice.invalid/sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/a%2F..%2Fb",
        Err(WrongKey)
    )]
    #[case("http://b.packages.sluice.invalid/other/app.jar", Err(WrongKey))]
    #[case(
        "http://packages.sluice.invalid/sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/app.jar",
        Ok(None)
    )]
    #[case(
        "http://evil-packages.sluice.invalid.example.com/sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e/app.jar",
        Ok(None)
    )]
    fn an_address_names_a_key_by_its_host(
        #[case] url: &str,
        #[case] rest: Result<Option<&str>, WrongKey>,
    ) {
        let named = named_by(&url.parse().unwrap()).map(|key| key.map(|key| key.to_string()));
        assert_eq!(named, rest.map(|rest| rest.map(|rest| format!("{ROOT}/{ID}/{rest}"))));
    }

    #[rstest]
    #[case("http://localhost:8080/sluice-packages/{ID}/a+1.jar", Some("a 1.jar"))]
    #[case("http://localhost:8080/localhost/sluice-packages/{ID}/a.jar", Some("a.jar"))]
    #[case(
        "http://sluice.example.com/sluice-packages/{ID}/apps/%E7%89%88.jar",
        Some("apps/版.jar")
    )]
    #[case("http://localhost:8080/a/b/sluice-packages/{ID}/a.jar", None)]
    #[case("http://localhost:8080/sluice-packages/nobody/a.jar", None)]
    #[case("http://localhost:8080/a.jar", None)]
    fn an_address_may_name_a_key_by_its_path(#[case] url: &str, #[case] rest: Option<&str>) {
        let named = perhaps_named_by(&url.replace("{ID}", ID).parse().unwrap());
        assert_eq!(
            named.map(|key| key.to_string()),
            rest.map(|rest| format!("{ROOT}/{ID}/{rest}"))
        );
    }

    #[test]
    fn a_document_names_stored_packages_by_their_path() {
        let other = "01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1f";
        let text = format!(
            r#"[{{"url":"http://s:8080{PATH}{other}/b.jar?capability=1"}},"{PATH}{ID}/a.jar","{PATH}{ID}/a.jar","{PATH}{ID}","{PATH}é{ID}/","{PATH}"]"#
        );
        assert_eq!(stored_in(&text), [ID.parse().unwrap(), other.parse().unwrap()]);
        assert_eq!(stored_in("http://h/app.jar"), []);
        let (capitals, plain) = (ID.to_uppercase(), ID.replace('-', ""));
        for other in [capitals, plain, format!("{{{ID}}}"), format!("urn:uuid:{ID}")] {
            assert_eq!(
                (package_id(&other), stored_in(&format!("{PATH}{other}/a.jar"))),
                (None, Vec::new()),
                "{other}"
            );
        }
    }
}
