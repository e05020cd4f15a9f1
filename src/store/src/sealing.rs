//! The values of a whole database: sealing those of before, sealing all anew with another
//! key, and checking that they open.
//!
//! Rows are taken page by page, each page in a transaction of its own. Whoever is
//! interrupted begins again, and finds what is left.

use std::collections::BTreeMap;

use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Row,
    postgres::{PgConnectOptions, PgRow},
};

use crate::{
    KeyId, Keyring, Store, StoreError,
    sealed::{self, Column},
};

pub(crate) mod before;

/// Rows of a page.
const PAGE: i64 = 50;

/// Most values that are named which do not open.
const MOST_NAMED: usize = 20;

/// A table with sealed columns.
struct Table {
    name: &'static str,
    /// Its rows' ids as text, as they are part of what is sealed.
    id: &'static str,
    /// The order in which its rows are taken.
    order: &'static str,
    /// Which rows come after the one with the id `$1`.
    after: &'static str,
    /// Whether a row `t` is the one that `v.id` names.
    is: &'static str,
    columns: &'static [SealedColumn],
    /// What is written beside what is sealed, from the columns of before.
    beside: &'static str,
}

/// A sealed column, and what it was before it was sealed.
struct SealedColumn {
    column: Column,
    before: Clear,
}

/// The type of a column before it was sealed.
#[derive(Clone, Copy)]
enum Clear {
    Json,
    Text,
    Bytes,
}

impl SealedColumn {
    const fn json(column: Column) -> Self {
        Self { column, before: Clear::Json }
    }

    const fn text(column: Column) -> Self {
        Self { column, before: Clear::Text }
    }
}

/// A table whose id is a UUID.
const fn by_uuid(name: &'static str, columns: &'static [SealedColumn]) -> Table {
    let (id, order, after, is) = ("t.id::text", "t.id", "t.id > $1::uuid", "t.id = v.id::uuid");
    Table { name, id, order, after, is, columns, beside: "" }
}

/// Tables with sealed columns that came later: their values were never clear.
const NEWER: &[Table] = &[
    by_uuid(
        "notification_channel",
        &[SealedColumn::text(sealed::CHANNEL_URL), SealedColumn::text(sealed::CHANNEL_SECRET)],
    ),
    Table {
        name: "cluster_credential",
        id: "t.cluster_id",
        order: "t.cluster_id",
        after: "t.cluster_id > $1",
        is: "t.cluster_id = v.id",
        columns: &[SealedColumn::text(sealed::KUBECONFIG)],
        beside: "",
    },
];

/// Every table with columns that were sealed when there was something in them.
const TABLES: &[Table] = &[
    Table {
        name: "access_key",
        id: "t.id",
        order: "t.id",
        after: "t.id > $1",
        is: "t.id = v.id",
        columns: &[SealedColumn::text(sealed::KEY_SECRET)],
        beside: "",
    },
    by_uuid(
        "upload_credential",
        &[SealedColumn::text(sealed::UPLOAD_SECRET), SealedColumn::text(sealed::UPLOAD_TOKEN)],
    ),
    by_uuid("stored_package", &[SealedColumn::text(sealed::CAPABILITY)]),
    Table {
        beside: ", resting_packages = stored_packages(t.resting_snapshot)",
        ..by_uuid("application", &[SealedColumn::json(sealed::RESTING_SNAPSHOT)])
    },
    Table {
        beside: ", packages = stored_packages(t.template) || stored_packages(t.package)",
        ..by_uuid("release", &[SealedColumn::json(sealed::RELEASE_TEMPLATE)])
    },
    Table {
        beside: ", packages = stored_packages(t.target) || stored_packages(t.snapshot) || stored_packages(t.intent) || stored_packages(t.template),
            replicas = (t.target ->> 'replicas')::integer, replicas_before = (t.target ->> 'replicas_before')::integer",
        ..by_uuid(
            "change_order",
            &[
                SealedColumn::json(sealed::TARGET),
                SealedColumn::json(sealed::SNAPSHOT),
                SealedColumn::json(sealed::INTENT),
                SealedColumn::json(sealed::ORDER_TEMPLATE),
            ],
        )
    },
    Table {
        name: "config_template",
        id: "t.name",
        order: "t.name",
        after: "t.name > $1",
        is: "t.name = v.id",
        columns: &[SealedColumn::text(sealed::CONTENT)],
        beside: "",
    },
    by_uuid(
        "precheck_request",
        &[SealedColumn::json(sealed::PROPOSAL), SealedColumn::json(sealed::REPORT)],
    ),
    by_uuid("cluster_query", &[SealedColumn::json(sealed::ANSWER)]),
    by_uuid(
        "object_write",
        &[SealedColumn::json(sealed::WANTED), SealedColumn::json(sealed::OUTCOME)],
    ),
    Table {
        name: "nonce",
        id: "t.key_id || ' ' || t.nonce",
        order: "t.key_id, t.nonce",
        after: "(t.key_id, t.nonce) > (split_part($1, ' ', 1), substr($1, strpos($1, ' ') + 1))",
        is: "t.key_id = split_part(v.id, ' ', 1) AND t.nonce = substr(v.id, strpos(v.id, ' ') + 1)",
        columns: &[SealedColumn::json(sealed::FIRST_ANSWER)],
        beside: "",
    },
    Table {
        name: "console_seal",
        id: "t.one::text",
        order: "t.one",
        after: "t.one > $1::boolean",
        is: "t.one = v.id::boolean",
        columns: &[SealedColumn { column: sealed::CONSOLE_SEAL, before: Clear::Bytes }],
        beside: "",
    },
];

/// What became of the values of a database when they were sealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Values that were sealed with the keyring's first key now.
    pub values: u64,
}

/// The keys that the values of a database are sealed with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SealedWith {
    /// How many values each key sealed.
    pub values: BTreeMap<KeyId, u64>,
    /// How many of them do not open.
    pub broken: u64,
    /// The places of some of those, and why.
    pub named: Vec<String>,
}

impl Store {
    /// Checks that the keyring has every key that values of the database are sealed with,
    /// and records the one that this program seals with.
    ///
    /// # Errors
    /// [`StoreError::MissingKeys`] names those that it lacks.
    pub async fn check_keyring(&self) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        check_keyring(&mut connection, &self.keyring).await
    }

    /// Seals all values with the keyring's first key. The others are not needed any more
    /// then, unless a program still runs that seals with one of them.
    ///
    /// # Errors
    /// [`StoreError::MissingKeys`], [`StoreError::Corrupt`] if a value does not open, or
    /// [`StoreError::Sql`].
    pub async fn rewrap(&self) -> Result<Resealed, StoreError> {
        self.check_keyring().await?;
        let mut done = Resealed::default();
        for (table, column) in columns() {
            let read = format!(
                "/* sealed_otherwise */ SELECT {id} AS id, t.{name} AS sealed FROM {table} t
                 WHERE ($1::text IS NULL OR {after}) AND substring(t.{name} FROM 1 FOR $3) <> $2
                 ORDER BY {order} LIMIT {PAGE}",
                id = table.id,
                name = column.name,
                table = table.name,
                after = table.after,
                order = table.order,
            );
            // What was written meanwhile stays.
            let write = format!(
                "/* reseal */ UPDATE {table} t SET {name} = v.sealed
                 FROM unnest($1::text[], $2::bytea[], $3::bytea[]) AS v (id, before, sealed)
                 WHERE {is} AND t.{name} = v.before",
                name = column.name,
                table = table.name,
                is = table.is,
            );
            let mut last: Option<String> = None;
            loop {
                let prefix = self.keyring.active().prefix();
                let rows = sqlx::query(AssertSqlSafe(read.as_str()))
                    .bind(&last)
                    .bind(&prefix)
                    .bind(i32::try_from(prefix.len()).unwrap_or_default())
                    .fetch_all(&self.pool)
                    .await?;
                let rows = pairs(&rows)?;
                let Some((id, _)) = rows.last() else { break };
                last = Some(id.clone());
                let (mut ids, mut before, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
                for (id, old) in rows {
                    let clear = self.keyring.open_bytes(column, &id, &old)?;
                    sealed.push(self.keyring.seal_bytes(column, &id, &clear)?);
                    ids.push(id);
                    before.push(old);
                }
                let written = sqlx::query(AssertSqlSafe(write.as_str()))
                    .bind(&ids)
                    .bind(&before)
                    .bind(&sealed)
                    .execute(&self.pool)
                    .await?;
                done.values += written.rows_affected();
            }
        }
        let left = self.sealed_with().await?;
        let used: Vec<String> = left.values.keys().map(ToString::to_string).collect();
        sqlx::query!(
            "/* forget_sealing_keys */ DELETE FROM sealing_key WHERE id <> $1 AND id <> ALL ($2)",
            self.keyring.active().to_string(),
            &used
        )
        .execute(&self.pool)
        .await?;
        Ok(done)
    }

    /// Which keys the values are sealed with, and whether each opens.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn sealed_with(&self) -> Result<SealedWith, StoreError> {
        let mut found = SealedWith::default();
        for (table, column) in columns() {
            let read = format!(
                "/* sealed_values */ SELECT {id} AS id, t.{name} AS sealed FROM {table} t
                 WHERE ($1::text IS NULL OR {after}) AND t.{name} IS NOT NULL
                 ORDER BY {order} LIMIT {PAGE}",
                id = table.id,
                name = column.name,
                table = table.name,
                after = table.after,
                order = table.order,
            );
            let mut last: Option<String> = None;
            loop {
                let rows = sqlx::query(AssertSqlSafe(read.as_str()))
                    .bind(&last)
                    .fetch_all(&self.pool)
                    .await?;
                let rows = pairs(&rows)?;
                let Some((id, _)) = rows.last() else { break };
                last = Some(id.clone());
                for (id, sealed) in rows {
                    if let Some(key) = KeyId::of_sealed(&sealed) {
                        *found.values.entry(key).or_default() += 1;
                    }
                    if let Err(why) = self.keyring.open_bytes(column, &id, &sealed) {
                        found.broken += 1;
                        if found.named.len() < MOST_NAMED {
                            let (table, name) = (column.table, column.name);
                            found.named.push(format!("{table}.{name} of {id}: {why}"));
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    /// The connection options with which work on the whole database may take its time.
    fn unhurried(&self) -> PgConnectOptions {
        self.pool.options().options([(crate::STATEMENT_TIMEOUT, "0")])
    }
}

/// Every sealed column.
fn columns() -> impl Iterator<Item = (&'static Table, Column)> {
    let all = TABLES.iter().chain(NEWER);
    all.flat_map(|table| table.columns.iter().map(move |it| (table, it.column)))
}

fn pairs(rows: &[PgRow]) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("sealed")?))).collect()
}

async fn check_keyring(connection: &mut PgConnection, keyring: &Keyring) -> Result<(), StoreError> {
    let known = sqlx::query_scalar!("/* sealing_keys */ SELECT id FROM sealing_key ORDER BY id")
        .fetch_all(&mut *connection)
        .await?;
    let corrupt = |why: &str| StoreError::Corrupt { what: "id of a key", why: why.into() };
    let known: Vec<KeyId> =
        known.iter().map(|id| id.parse().map_err(corrupt)).collect::<Result<_, _>>()?;
    let missing: Vec<KeyId> = known.iter().copied().filter(|id| !keyring.has(*id)).collect();
    if !missing.is_empty() {
        return Err(StoreError::MissingKeys(missing));
    }
    if !known.contains(&keyring.active()) {
        sqlx::query!(
            "/* note_sealing_key */ INSERT INTO sealing_key (id) VALUES ($1) ON CONFLICT (id) DO NOTHING",
            keyring.active().to_string()
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Holds everybody else off who would migrate, until the connection is closed.
async fn alone(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::query("/* migrate_alone */ SELECT pg_advisory_lock(hashtext('sluice migrate'))")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}
