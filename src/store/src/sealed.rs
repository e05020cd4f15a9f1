//! The one place where values are sealed before they are written and opened after they are
//! read: no other crate sees sealed bytes.
//!
//! The place of a value (table, column and the row's id) is the associated data of what is
//! sealed. A value that is moved to another row or column does not open there.

use std::fmt::Display;

use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    StoreError,
    keyring::{Keyring, SealError},
};
use domain::package::upload::stored_in;

/// A column of sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
    /// What its values are, for errors.
    pub(crate) what: &'static str,
}

impl Column {
    const fn new(table: &'static str, name: &'static str, what: &'static str) -> Self {
        Self { table, name, what }
    }

    /// The place of a value in it. No part holds the byte between the parts.
    fn place(&self, id: impl Display) -> Vec<u8> {
        format!("sluice\0{}\0{}\0{id}", self.table, self.name).into_bytes()
    }

    fn corrupt(&self, why: impl Display) -> StoreError {
        StoreError::Corrupt { what: self.what, why: why.to_string() }
    }
}

pub(crate) const KEY_SECRET: Column = Column::new("access_key", "secret", "secret of a key");
pub(crate) const UPLOAD_SECRET: Column =
    Column::new("upload_credential", "secret", "secret of uploads");
pub(crate) const UPLOAD_TOKEN: Column =
    Column::new("upload_credential", "token", "token of uploads");
pub(crate) const CAPABILITY: Column =
    Column::new("stored_package", "capability", "capability of a package");
pub(crate) const RESTING_SNAPSHOT: Column =
    Column::new("application", "resting_snapshot", "resting snapshot");
pub(crate) const RELEASE_TEMPLATE: Column =
    Column::new("release", "template", "template of a version");
pub(crate) const TARGET: Column = Column::new("change_order", "target", "target");
pub(crate) const SNAPSHOT: Column = Column::new("change_order", "snapshot", "snapshot");
pub(crate) const INTENT: Column = Column::new("change_order", "intent", "intent");
pub(crate) const ORDER_TEMPLATE: Column =
    Column::new("change_order", "template", "template of an order");
pub(crate) const CONTENT: Column =
    Column::new("config_template", "content", "content of a config template");
pub(crate) const PROPOSAL: Column = Column::new("precheck_request", "proposal", "proposal");
pub(crate) const REPORT: Column = Column::new("precheck_request", "report", "report");
pub(crate) const ANSWER: Column = Column::new("cluster_query", "answer", "cluster state");
pub(crate) const WANTED: Column = Column::new("object_write", "wanted", "object write");
pub(crate) const OUTCOME: Column = Column::new("object_write", "outcome", "outcome");
pub(crate) const FIRST_ANSWER: Column = Column::new("nonce", "outcome", "answer");
pub(crate) const CHANNEL_URL: Column =
    Column::new("notification_channel", "url", "address of a channel");
pub(crate) const CHANNEL_SECRET: Column =
    Column::new("notification_channel", "secret", "secret of a channel");
pub(crate) const KUBECONFIG: Column =
    Column::new("cluster_credential", "kubeconfig", "kubeconfig of a cluster");
pub(crate) const CONSOLE_SEAL: Column = Column::new("console_seal", "key", "console seal");

/// A sealed document, with the stored packages that it names. Their ids are kept beside it,
/// so that the sweep of the package store opens nothing; their capabilities are secrets,
/// they are not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SealedDocument<T = Vec<u8>> {
    pub(crate) bytes: T,
    pub(crate) packages: Vec<Uuid>,
}

impl Keyring {
    /// Seals a document that may name packages.
    pub(crate) fn seal_document(
        &self,
        column: Column,
        id: impl Display,
        value: &impl Serialize,
    ) -> Result<SealedDocument, StoreError> {
        let clear =
            Zeroizing::new(serde_json::to_string(value).map_err(|why| column.corrupt(why))?);
        let packages = stored_in(&clear).into_iter().map(|package| package.0).collect();
        Ok(SealedDocument { bytes: self.seal_bytes(column, id, clear.as_bytes())?, packages })
    }

    /// The same of a document that may be none.
    pub(crate) fn seal_document_of(
        &self,
        column: Column,
        id: impl Display,
        value: Option<&impl Serialize>,
    ) -> Result<SealedDocument<Option<Vec<u8>>>, StoreError> {
        let sealed = value.map(|value| self.seal_document(column, id, value)).transpose()?;
        Ok(match sealed {
            Some(sealed) => SealedDocument { bytes: Some(sealed.bytes), packages: sealed.packages },
            None => SealedDocument { bytes: None, packages: Vec::new() },
        })
    }

    /// What events hold of a value, in place of it.
    pub(crate) fn fingerprint_of(
        &self,
        column: Column,
        value: &impl Serialize,
    ) -> Result<String, StoreError> {
        let clear = serde_json::to_vec(value).map_err(|why| column.corrupt(why))?;
        Ok(self.fingerprint(&Zeroizing::new(clear)))
    }

    /// The digest of a value that may be secret, for the record of what was wanted.
    pub(crate) fn digest_of(
        &self,
        column: Column,
        value: &impl Serialize,
    ) -> Result<[u8; 32], StoreError> {
        let clear = serde_json::to_vec(value).map_err(|why| column.corrupt(why))?;
        Ok(self.keyed_digest(&Zeroizing::new(clear)))
    }

    /// Seals bytes for the row `id`.
    pub(crate) fn seal_bytes(
        &self,
        column: Column,
        id: impl Display,
        clear: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        self.seal(&column.place(id), clear).map_err(|why| column.corrupt(why))
    }

    /// Opens bytes of the row `id`.
    pub(crate) fn open_bytes(
        &self,
        column: Column,
        id: impl Display,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        match self.open(&column.place(id), sealed) {
            Ok(clear) => Ok(Zeroizing::new(clear)),
            Err(SealError::UnknownKey(id)) => Err(StoreError::MissingKeys(vec![id])),
            Err(why) => Err(column.corrupt(why)),
        }
    }

    /// Seals the JSON document of a value for the row `id`.
    pub(crate) fn seal_json(
        &self,
        column: Column,
        id: impl Display,
        value: &impl Serialize,
    ) -> Result<Vec<u8>, StoreError> {
        let clear = serde_json::to_vec(value).map_err(|why| column.corrupt(why))?;
        self.seal_bytes(column, id, &Zeroizing::new(clear))
    }

    /// Opens the JSON document of the row `id`.
    pub(crate) fn open_json<T: DeserializeOwned>(
        &self,
        column: Column,
        id: impl Display,
        sealed: &[u8],
    ) -> Result<T, StoreError> {
        let clear = self.open_bytes(column, id, sealed)?;
        serde_json::from_slice(&clear).map_err(|why| column.corrupt(why))
    }

    /// The same of a document that may be none.
    pub(crate) fn open_some<T: DeserializeOwned>(
        &self,
        column: Column,
        id: impl Display,
        sealed: Option<Vec<u8>>,
    ) -> Result<Option<T>, StoreError> {
        sealed.map(|sealed| self.open_json(column, id, &sealed)).transpose()
    }

    /// Opens a text of the row `id`.
    pub(crate) fn open_text(
        &self,
        column: Column,
        id: impl Display,
        sealed: &[u8],
    ) -> Result<String, StoreError> {
        let clear = self.open_bytes(column, id, sealed)?;
        String::from_utf8(clear.to_vec()).map_err(|_| column.corrupt("it is no text"))
    }

    /// The same of a text that stays secret.
    pub(crate) fn open_secret(
        &self,
        column: Column,
        id: impl Display,
        sealed: &[u8],
    ) -> Result<SecretString, StoreError> {
        self.open_text(column, id, sealed).map(SecretString::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_packages_of_a_document_are_told_beside_it() {
        let keyring: Keyring = Keyring::new_line().unwrap().parse().unwrap();
        let package = Uuid::from_u128(1);
        let document = json!({ "args": [format!("http://a/sluice/v1/packages/{package}/a.jar?capability=c")] });
        let sealed = keyring.seal_document(TARGET, 7, &document).unwrap();
        assert_eq!(sealed.packages, [package]);
        assert_eq!(keyring.open_json::<Value>(TARGET, 7, &sealed.bytes).unwrap(), document);
        let none = keyring.seal_document_of(TARGET, 7, None::<&Value>).unwrap();
        assert!(none.bytes.is_none() && none.packages.is_empty());
    }

    #[test]
    fn a_value_opens_in_its_row_and_column_alone() {
        let keyring: Keyring = Keyring::new_line().unwrap().parse().unwrap();
        let sealed = keyring.seal_json(TARGET, 7, &json!({ "a": "b" })).unwrap();
        assert_eq!(keyring.open_json::<Value>(TARGET, 7, &sealed).unwrap(), json!({ "a": "b" }));
        assert!(keyring.open_json::<Value>(TARGET, 8, &sealed).is_err());
        assert!(keyring.open_json::<Value>(SNAPSHOT, 7, &sealed).is_err());
        let other: Keyring = Keyring::new_line().unwrap().parse().unwrap();
        let error = other.open_json::<Value>(TARGET, 7, &sealed).unwrap_err();
        assert!(error.to_string().contains(&keyring.active().to_string()), "{error}");
    }
}
