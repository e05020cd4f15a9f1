//! Connections, which Postgres may have closed since they were used last.
//!
//! A connection is not tested before each use: that is a round trip for nothing. Whoever
//! meets one that was closed takes another: always where a transaction begins, since nothing
//! was done yet, and where a statement only reads, since it may be sent again. Any other
//! statement that is no part of a transaction is sent on a connection that was tested, as
//! nobody can tell whether it ran.

use std::time::Instant;

use futures::{
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt, TryStreamExt},
};
use sqlx::{
    Connection, Describe, Either, Error, Execute, Executor, PgPool, Postgres, SqlStr, Transaction,
    error::BoxDynError,
    pool::PoolConnection,
    postgres::{
        PgArguments, PgConnectOptions, PgListener, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
    },
};

/// The connections to the database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections(PgPool);

impl Connections {
    pub(crate) fn of(pool: PgPool) -> Self {
        Self(pool)
    }

    /// A connection that just answered.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, Error> {
        let mut left = self.most();
        loop {
            let mut connection = self.0.acquire().await?;
            match connection.ping().await {
                Err(error) if left > 0 && is_closed(&error) => {
                    left -= 1;
                    connection.close_on_drop();
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(connection),
            }
        }
    }

    /// Begins a transaction. One that nobody waits for any more is rolled back: it begins in a
    /// task of its own. sqlx gives a connection back in the middle of a transaction if whoever
    /// begins it goes away meanwhile, and what is written there next is never committed (sqlx
    /// issue 4393).
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let mut left = self.most();
        let asked = Instant::now();
        let begun = loop {
            let pool = self.0.clone();
            match tokio::spawn(async move { pool.begin().await }).await {
                Ok(Err(error)) if left > 0 && is_closed(&error) => left -= 1,
                Ok(begun) => break begun,
                // Nothing in it panics or ends it, but for the end of the program.
                Err(_) => break Err(Error::WorkerCrashed),
            }
        };
        let outcome = if begun.is_ok() { "begun" } else { "failed" };
        metrics::histogram!("sluice_database_begin_seconds", "outcome" => outcome)
            .record(asked.elapsed());
        begun
    }

    /// A connection of its own that receives notifications of these channels.
    pub(crate) async fn listen(&self, channels: &[&str]) -> Result<PgListener, Error> {
        let mut listener = PgListener::connect_with(&self.0).await?;
        listener.listen_all(channels.iter().copied()).await?;
        Ok(listener)
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.0.connect_options())
    }

    /// Whether nobody gets one any more.
    pub(crate) fn are_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// How many there are, and how many of them nobody uses.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (u64::from(self.0.size()), self.0.num_idle() as u64)
    }

    /// How often another connection is taken: all may have been closed at once.
    fn most(&self) -> u32 {
        self.0.options().get_max_connections()
    }

    async fn rows(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        let mut left = if statement.only_reads() { self.most() } else { 0 };
        loop {
            let mut connection = if statement.only_reads() {
                self.0.acquire().await?
            } else {
                self.acquire().await?
            };
            let rows = match &statement.arguments {
                Some(arguments) => {
                    let query = sqlx::query_with(statement.text.clone(), arguments.clone())
                        .persistent(statement.persistent);
                    connection.fetch_many(query).try_collect().await
                }
                None => connection.fetch_many(statement.text.clone()).try_collect().await,
            };
            match rows {
                Err(error) if left > 0 && is_closed(&error) => {
                    left -= 1;
                    connection.close_on_drop();
                }
                rows => return rows,
            }
        }
    }
}

/// What a statement comes to: how much was done, or a row.
type Row = Either<PgQueryResult, PgRow>;

/// A statement that can be sent again.
struct Statement {
    text: SqlStr,
    /// None where it is not prepared.
    arguments: Option<PgArguments>,
    persistent: bool,
}

impl Statement {
    fn of<'q>(mut query: impl Execute<'q, Postgres>) -> Result<Self, BoxDynError> {
        let (arguments, persistent) = (query.take_arguments()?, query.persistent());
        Ok(Self { text: query.sql(), arguments, persistent })
    }

    /// Whether it may be sent again where nobody knows whether it ran.
    fn only_reads(&self) -> bool {
        only_reads(self.text.as_str())
    }
}

/// What is told to others twice is no harm; no other function of our statements writes.
fn only_reads(text: &str) -> bool {
    let behind_name = text.split_once("*/").map_or(text, |(_, behind)| behind);
    behind_name.trim_start().starts_with("SELECT ")
}

/// Whether an error says that Postgres closed the connection, or that it broke.
fn is_closed(error: &Error) -> bool {
    match error {
        Error::Io(_) => true,
        // The server ends, or crashed; the connection was idle for too long.
        Error::Database(error) => {
            error.code().is_some_and(|code| ["57P01", "57P02", "57P05"].contains(&code.as_ref()))
        }
        _ => false,
    }
}

impl<'c> Executor<'c> for &Connections {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Row, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connections, statement) = (self.clone(), Statement::of(query));
        let rows = async move { connections.rows(statement.map_err(Error::Encode)?).await };
        stream::once(rows).map_ok(|rows| stream::iter(rows).map(Ok)).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connections, statement) = (self.clone(), Statement::of(query));
        Box::pin(async move {
            let rows = connections.rows(statement.map_err(Error::Encode)?).await?;
            Ok(rows.into_iter().find_map(Either::right))
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        let pool = self.0.clone();
        Box::pin(async move { pool.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        let pool = self.0.clone();
        Box::pin(async move { pool.acquire().await?.describe(sql).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_only_reads_is_sent_again() {
        assert!(only_reads("/* ping */ SELECT 1"));
        assert!(only_reads("/* order_row */\n    SELECT o.id FROM change_order o"));
        for text in [
            "/* note_key_use */ UPDATE access_key SET last_used_at = $2",
            "/* grab */ WITH done AS (DELETE FROM nonce RETURNING 1) SELECT 1 FROM done",
            "INSERT INTO nonce SELECT 1",
            "/* x */ SELECTED",
        ] {
            assert!(!only_reads(text), "{text}");
        }
    }
}
