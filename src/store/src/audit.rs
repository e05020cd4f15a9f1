//! What is on record about everything that was done, and the log over it. Nothing here is
//! ever changed or deleted.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    Store, StoreError, Tx,
    catalog::access_key::request,
    row::{value, word},
    sealed::FIRST_ANSWER,
};
use domain::audit::{Digest, Entry, NewEntry};

/// Number of the lock that whoever adds to the log holds.
const LOG_LOCK: i64 = 0x5_1c1c_a0d1;

/// Numbers below the newest one in the log among which entries are looked for that were
/// written late: more than transactions of half a minute can take.
const LATE: i64 = 20_000;

/// Entries of a page, where all are looked through.
const PAGE: i64 = 5000;

/// A hash of the log, by its number.
pub type Node = (u64, Digest);

impl Tx {
    /// Notes what is there before the change, for its entry of the audit.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where it cannot be written as JSON.
    pub fn note_before(&mut self, what: &impl Serialize) -> Result<(), StoreError> {
        self.before = Some(digest("before", what)?);
        Ok(())
    }

    /// Notes what is wanted, for the change's entry of the audit.
    ///
    /// # Errors
    /// As [`Tx::note_before`].
    pub fn note_after(&mut self, what: &impl Serialize) -> Result<(), StoreError> {
        self.after = Some(digest("after", what)?);
        Ok(())
    }

    /// Puts an entry on record, with the digests that were noted; and remembers the answer to
    /// the request of this nonce that was claimed in this transaction, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_audit_entry(
        &mut self,
        entry: NewEntry,
        answer: Option<(&str, &Value)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let nonce = answer.map(|(nonce, _)| nonce);
        let (before, after) = (entry.before.or(self.before), entry.after.or(self.after));
        let entry = entry.bounded();
        let outcome = match answer {
            Some((nonce, outcome)) => {
                let id = request(&entry.key_id, nonce);
                Some(self.keyring.seal_json(FIRST_ANSWER, id, outcome)?)
            }
            None => None,
        };
        sqlx::query!(
            "/* add_audit_entry */ WITH answered AS (UPDATE nonce SET outcome = $2 WHERE key_id = $5 AND nonce = $1)
             INSERT INTO audit_entry (at, principal, key_id, peer, request_id, source, operation, object, outcome, asked, before, after)
             VALUES ($3, $4, $5, $6, $7, $8::text::order_source, $9, $10, $11, $12, $13, $14)",
            nonce,
            outcome,
            now.to_sqlx() as _,
            entry.principal,
            entry.key_id,
            entry.peer,
            entry.request_id,
            word(entry.source),
            entry.operation,
            entry.object,
            word(entry.outcome),
            entry.asked.as_ref().map(|digest| digest.as_slice()),
            before.as_ref().map(|digest| digest.as_slice()),
            after.as_ref().map(|digest| digest.as_slice())
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Remembers the answer to the request of this key and nonce that was claimed in this
    /// transaction, and whose entry of the audit is another one's.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remember_answer(
        &mut self,
        key_id: &str,
        (nonce, answer): (&str, &Value),
    ) -> Result<(), StoreError> {
        let outcome = self.keyring.seal_json(FIRST_ANSWER, request(key_id, nonce), answer)?;
        sqlx::query!(
            "/* remember_answer */ UPDATE nonce SET outcome = $3 WHERE key_id = $1 AND nonce = $2",
            key_id,
            nonce,
            outcome
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes the log until the end of the transaction; false if another program has it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn take_audit_log(&mut self) -> Result<bool, StoreError> {
        let taken = sqlx::query_scalar!(
            r#"/* take_audit_log */ SELECT pg_try_advisory_xact_lock($1) AS "taken!""#,
            LOG_LOCK
        );
        Ok(taken.fetch_one(self.connection()).await?)
    }

    /// Number of leaves of the log.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn audit_log_size(&mut self) -> Result<u64, StoreError> {
        let size = sqlx::query_scalar!(
            r#"/* audit_log_size */ SELECT coalesce(max(index) + 1, 0) AS "size!" FROM audit_leaf"#
        );
        Ok(size.fetch_one(self.connection()).await?.unsigned_abs())
    }

    /// Entries that the log does not have yet, at most `most`, by their numbers: of those that
    /// can have come since it was looked last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_entries_to_log(&mut self, most: i64) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query_as!(
            EntryRow,
            r#"/* audit_entries_to_log */ SELECT id, at, principal, key_id, peer, request_id, source::text AS "source!", operation, object, outcome, asked, before, after
               FROM audit_entry AS entry
               WHERE id > (SELECT coalesce(max(leaf.entry), 0) FROM audit_leaf AS leaf) - $1
                 AND NOT EXISTS (SELECT FROM audit_leaf AS leaf WHERE leaf.entry = entry.id)
               ORDER BY id LIMIT $2"#,
            LATE,
            most
        )
        .fetch_all(self.connection())
        .await?;
        rows.into_iter().map(EntryRow::entry).collect()
    }

    /// The number of the last entry of the page after the one with this number; none = there
    /// are no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_page_after(&mut self, after: i64) -> Result<Option<i64>, StoreError> {
        let last = sqlx::query_scalar!(
            "/* audit_page_after */ SELECT max(id) FROM (SELECT id FROM audit_entry WHERE id > $1 ORDER BY id LIMIT $2) AS page",
            after,
            PAGE
        );
        Ok(last.fetch_one(self.connection()).await?)
    }

    /// Entries that the log does not have, at most `most`, by their numbers: of those after
    /// `after` and up to `last`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_entries_missed(
        &mut self,
        after: i64,
        last: i64,
        most: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query_as!(
            EntryRow,
            r#"/* audit_entries_missed */ SELECT id, at, principal, key_id, peer, request_id, source::text AS "source!", operation, object, outcome, asked, before, after
               FROM audit_entry AS entry
               WHERE id > $1 AND id <= $2 AND NOT EXISTS (SELECT FROM audit_leaf AS leaf WHERE leaf.entry = entry.id)
               ORDER BY id LIMIT $3"#,
            after,
            last,
            most
        )
        .fetch_all(self.connection())
        .await?;
        rows.into_iter().map(EntryRow::entry).collect()
    }

    /// The hashes of the log with these numbers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_nodes(
        &mut self,
        indexes: &[u64],
    ) -> Result<HashMap<u64, Digest>, StoreError> {
        let indexes: Vec<i64> = indexes.iter().map(|index| index.cast_signed()).collect();
        let rows = sqlx::query!(
            "/* audit_nodes */ SELECT index, hash FROM audit_node WHERE index = ANY($1)",
            &indexes
        )
        .fetch_all(self.connection())
        .await?;
        rows.into_iter()
            .map(|row| Ok((row.index.cast_unsigned(), sized("hash", &row.hash)?)))
            .collect()
    }

    /// Adds leaves to the log, the first of them with the number `first`, and its hashes.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn grow_audit_log(
        &mut self,
        first: u64,
        entries: &[i64],
        nodes: &[Node],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* add_audit_leaves */ INSERT INTO audit_leaf (index, entry)
             SELECT $1 + place - 1, entry FROM unnest($2::bigint[]) WITH ORDINALITY AS new (entry, place)",
            first.cast_signed(),
            entries
        )
        .execute(self.connection())
        .await?;
        let (indexes, hashes): (Vec<i64>, Vec<Vec<u8>>) =
            nodes.iter().map(|(index, hash)| (index.cast_signed(), hash.to_vec())).unzip();
        sqlx::query!(
            "/* add_audit_nodes */ INSERT INTO audit_node (index, hash) SELECT * FROM unnest($1::bigint[], $2::bytea[])",
            &indexes,
            &hashes
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Puts a signed checkpoint on record.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_audit_checkpoint(
        &mut self,
        size: u64,
        note: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* add_audit_checkpoint */ INSERT INTO audit_checkpoint (size, at, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING",
            size.cast_signed(),
            now.to_sqlx() as _,
            note
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

/// A leaf as it is exported: the entry, if it is there, and the hash that the log has of it.
pub type LoggedEntry = (Option<Entry>, Digest);

impl Store {
    /// Puts an entry on record by itself.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_audit_entry(&self, entry: NewEntry, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.add_audit_entry(entry, None, now).await?;
        tx.commit().await
    }

    /// Size and time of the newest checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn newest_audit_checkpoint(&self) -> Result<Option<(u64, Timestamp)>, StoreError> {
        let row = sqlx::query!(
            "/* newest_audit_checkpoint */ SELECT size, at FROM audit_checkpoint ORDER BY size DESC LIMIT 1"
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| (row.size.unsigned_abs(), row.at.to_jiff())))
    }

    /// The signed checkpoints, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn audit_checkpoints(&self) -> Result<Vec<String>, StoreError> {
        let notes = sqlx::query_scalar!(
            "/* audit_checkpoints */ SELECT note FROM audit_checkpoint ORDER BY size"
        );
        Ok(notes.fetch_all(&self.pool).await?)
    }

    /// The leaves of the log from a place on, at most `most`, with what is on record now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn logged_entries(
        &self,
        from: u64,
        most: u32,
    ) -> Result<Vec<LoggedEntry>, StoreError> {
        let rows = sqlx::query!(
            r#"/* logged_entries */ SELECT coalesce(node.hash, '') AS "hash!", entry.id AS "id?", at AS "at?", principal AS "principal?", key_id AS "key_id?", peer AS "peer?", request_id AS "request_id?",
                   source::text AS "source?", operation AS "operation?", object AS "object?", outcome AS "outcome?", asked, before, after
               FROM audit_leaf AS leaf
               LEFT JOIN audit_entry AS entry ON entry.id = leaf.entry
               LEFT JOIN audit_node AS node ON node.index = 2 * leaf.index - bit_count(leaf.index::bit(64))
               WHERE leaf.index >= $1 ORDER BY leaf.index LIMIT $2"#,
            from.cast_signed(),
            i64::from(most)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                // A hash that is not there is no entry's.
                let hash = sized("hash", &row.hash).unwrap_or_default();
                let found = || {
                    Some(EntryRow {
                        id: row.id?,
                        at: row.at?,
                        principal: row.principal?,
                        key_id: row.key_id?,
                        peer: row.peer?,
                        request_id: row.request_id?,
                        source: row.source?,
                        operation: row.operation?,
                        object: row.object?,
                        outcome: row.outcome?,
                        asked: row.asked,
                        before: row.before,
                        after: row.after,
                    })
                };
                Ok((found().map(EntryRow::entry).transpose()?, hash))
            })
            .collect()
    }
}

struct EntryRow {
    id: i64,
    at: jiff_sqlx::Timestamp,
    principal: String,
    key_id: String,
    peer: String,
    request_id: String,
    source: String,
    operation: String,
    object: String,
    outcome: String,
    asked: Option<Vec<u8>>,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
}

impl EntryRow {
    fn entry(self) -> Result<Entry, StoreError> {
        let digest = |what: &'static str, bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| sized(what, &bytes)).transpose()
        };
        Ok(Entry {
            id: self.id,
            at: self.at.to_jiff(),
            entry: NewEntry {
                principal: self.principal,
                key_id: self.key_id,
                peer: self.peer,
                request_id: self.request_id,
                source: value("source", self.source)?,
                operation: self.operation,
                object: self.object,
                outcome: value("outcome", self.outcome)?,
                asked: digest("asked", self.asked)?,
                before: digest("before", self.before)?,
                after: digest("after", self.after)?,
            },
        })
    }
}

fn sized(what: &'static str, bytes: &[u8]) -> Result<Digest, StoreError> {
    let why = format!("{} bytes in place of 32", bytes.len());
    bytes.try_into().map_err(|_| StoreError::Corrupt { what, why })
}

fn digest(what: &'static str, value: &impl Serialize) -> Result<Digest, StoreError> {
    let text = serde_json::to_vec(value)
        .map_err(|error| StoreError::Corrupt { what, why: error.to_string() })?;
    Ok(Sha256::digest(text).into())
}
