//! A database of before values were sealed: the program seals them between two migrations,
//! since it has the keys and the database has not.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, migrate::Migrator};

use super::{Clear, PAGE, SealedColumn, TABLES, Table, alone, check_keyring};
use crate::{Keyring, MIGRATIONS, Store, StoreError, schema};

/// The migration that makes room for sealed values.
const ROOM: i64 = 33;

/// The migration that drops the columns of before. It is refused while one holds a value.
const GONE: i64 = 34;

impl Store {
    /// Applies the migrations that are pending, which may take as long as they need. Seals
    /// the values of a database of before.
    ///
    /// # Errors
    /// Says which migration failed and why; [`StoreError::MissingKeys`].
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = alone(&self.unhurried()).await?;
        let done = migrate(&mut connection, &self.keyring).await;
        // Whatever became of them, the way to the database is ended in good order.
        connection.close().await.ok();
        done
    }
}

async fn migrate(connection: &mut PgConnection, keyring: &Keyring) -> Result<(), StoreError> {
    // A program that takes the place of a newer one leaves the schema as it is, if it can.
    match schema::newer_schema(connection).await? {
        Some(newer) if newer.fits() => return check_keyring(connection, keyring).await,
        Some(newer) => return Err(StoreError::NewerSchema(newer.version)),
        None => {}
    }
    if !is_applied(connection, GONE).await? {
        let until = MIGRATIONS.iter().filter(|it| it.version <= ROOM).cloned().collect();
        Migrator::with_migrations(until).run(&mut *connection).await?;
        check_keyring(connection, keyring).await?;
        for table in TABLES {
            seal(connection, keyring, table).await?;
        }
    }
    MIGRATIONS.run(&mut *connection).await?;
    check_keyring(connection, keyring).await
}

async fn is_applied(connection: &mut PgConnection, version: i64) -> Result<bool, StoreError> {
    if !schema::is_there(connection).await? {
        return Ok(false);
    }
    let applied = sqlx::query_scalar(
        "/* is_applied */ SELECT EXISTS (SELECT FROM _sqlx_migrations WHERE version = $1 AND success)",
    );
    Ok(applied.bind(version).fetch_one(connection).await?)
}

/// Seals the values of a table, page by page, and empties the columns that they were in.
async fn seal(
    connection: &mut PgConnection,
    keyring: &Keyring,
    table: &Table,
) -> Result<(), StoreError> {
    let (read, write) = (read(table), write(table));
    let mut last: Option<String> = None;
    loop {
        let mut tx = connection.begin().await?;
        let rows =
            sqlx::query(AssertSqlSafe(read.as_str())).bind(&last).fetch_all(&mut *tx).await?;
        let Some(row) = rows.last() else { break };
        last = Some(row.try_get("id")?);
        let mut ids: Vec<String> = Vec::new();
        let mut sealed: Vec<Vec<Option<Vec<u8>>>> = vec![Vec::new(); table.columns.len()];
        for row in &rows {
            let id: String = row.try_get("id")?;
            for (of, values) in table.columns.iter().zip(&mut sealed) {
                let clear: Option<Vec<u8>> = row.try_get(of.column.name)?;
                let value = clear.map(|clear| keyring.seal_bytes(of.column, &id, &clear));
                values.push(value.transpose()?);
            }
            ids.push(id);
        }
        let mut statement = sqlx::query(AssertSqlSafe(write.as_str())).bind(&ids);
        for values in &sealed {
            statement = statement.bind(values);
        }
        statement.execute(&mut *tx).await?;
        tx.commit().await?;
    }
    let has_rows = format!("/* has_rows */ SELECT EXISTS (SELECT FROM {})", table.name);
    if sqlx::query_scalar(AssertSqlSafe(has_rows)).fetch_one(&mut *connection).await? {
        // What was there before stays in the table's file until that is written anew.
        let vacuum = format!("/* write_anew */ VACUUM (FULL) {}", table.name);
        sqlx::query(AssertSqlSafe(vacuum)).execute(connection).await?;
    }
    Ok(())
}

fn read(table: &Table) -> String {
    let clear = |of: &SealedColumn| {
        let name = of.column.name;
        match of.before {
            // An erased document was a null one.
            Clear::Json => format!("convert_to(nullif(t.{name}, 'null')::text, 'UTF8') AS {name}"),
            Clear::Text => format!("convert_to(t.{name}, 'UTF8') AS {name}"),
            Clear::Bytes => format!("t.{name}"),
        }
    };
    let values: Vec<String> = table.columns.iter().map(clear).collect();
    let any: Vec<String> =
        table.columns.iter().map(|of| format!("t.{} IS NOT NULL", of.column.name)).collect();
    format!(
        "/* clear_values */ SELECT {id} AS id, {values} FROM {name} t
         WHERE ($1::text IS NULL OR {after}) AND ({any}) ORDER BY {order} LIMIT {PAGE} FOR UPDATE",
        id = table.id,
        values = values.join(", "),
        name = table.name,
        after = table.after,
        any = any.join(" OR "),
        order = table.order,
    )
}

fn write(table: &Table) -> String {
    let set = |of: &SealedColumn| {
        let name = of.column.name;
        format!("sealed_{name} = coalesce(v.{name}, t.sealed_{name}), {name} = NULL")
    };
    let sets: Vec<String> = table.columns.iter().map(set).collect();
    let given: Vec<String> =
        (0..table.columns.len()).map(|index| format!("${}::bytea[]", index + 2)).collect();
    let names: Vec<&str> = table.columns.iter().map(|of| of.column.name).collect();
    format!(
        "/* seal_values */ UPDATE {name} t SET {sets}{beside}
         FROM unnest($1::text[], {given}) AS v (id, {names}) WHERE {is}",
        name = table.name,
        sets = sets.join(", "),
        beside = table.beside,
        given = given.join(", "),
        names = names.join(", "),
        is = table.is,
    )
}
