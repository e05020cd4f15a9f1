//! Whether the schema and this program fit each other, and what would be done about it.
//!
//! A migration that programs of before cannot work with says so: it writes its own number into
//! `installation.programs_since`. All others leave that alone, and programs which know the schema
//! as of that number go on, start, and take the place of newer ones.

mod text;

use sqlx::{PgConnection, PgExecutor, migrate::Migration};

use crate::{MIGRATIONS, Store, StoreError};

/// How the schema of a database stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationPlan {
    /// The newest migration that was applied; none = there is no schema yet.
    pub applied: Option<i64>,
    /// What `sluice migrate` would apply, in this order.
    pub pending: Vec<PendingMigration>,
    /// Where the schema is newer than this program.
    pub newer: Option<NewerSchema>,
}

/// A migration that is pending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingMigration {
    pub version: i64,
    pub name: String,
    /// The first sentence of what its file says of it.
    pub does: String,
    /// Tables of before of which it reads or writes every row, while nobody else writes to them.
    pub holds_up: Vec<String>,
    /// Whether programs of before do not start on what it leaves.
    pub ends_earlier_programs: bool,
}

/// A schema that is newer than this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewerSchema {
    /// Its newest migration.
    pub version: i64,
    /// The migration that a program must know to work with it.
    pub programs_since: i64,
}

impl NewerSchema {
    /// Whether this program works with it.
    #[must_use]
    pub fn fits(self) -> bool {
        self.programs_since <= newest_migration()
    }
}

/// The newest migration of this program.
#[must_use]
pub fn newest_migration() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

impl Store {
    /// Whether this program works with the schema: it is the one that the program was built for,
    /// or a newer one that says so, which is returned.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub async fn check_schema(&self) -> Result<Option<NewerSchema>, String> {
        let applied = applied(&self.pool).await.map_err(|_| {
            "the database has no schema yet: run `sluice migrate`, or start with --migrate"
                .to_owned()
        })?;
        for migration in MIGRATIONS.iter() {
            match applied.iter().find(|(version, _)| *version == migration.version) {
                None => {
                    return Err(format!(
                        "migration {} is pending: run `sluice migrate`, or start with --migrate",
                        migration.version
                    ));
                }
                Some((_, checksum)) if **checksum != *migration.checksum => {
                    return Err(format!(
                        "migration {} of the database is another one than this program's",
                        migration.version
                    ));
                }
                Some(_) => {}
            }
        }
        let mut connection = self.pool.acquire().await.map_err(|error| error.to_string())?;
        match newer(&mut connection, &applied).await.map_err(|error| error.to_string())? {
            Some(newer) if !newer.fits() => Err(StoreError::NewerSchema(newer.version).to_string()),
            newer => Ok(newer),
        }
    }

    /// What `sluice migrate` would do. Nothing is written.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn migration_plan(&self) -> Result<MigrationPlan, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let applied = match is_there(&mut connection).await? {
            true => applied(&mut *connection).await?,
            false => Vec::new(),
        };
        let is_pending =
            |it: &&Migration| !applied.iter().any(|(version, _)| *version == it.version);
        // There are no rows of before in a database without a schema.
        let has_rows = !applied.is_empty();
        let pending =
            MIGRATIONS.iter().filter(is_pending).map(|it| planned(it, has_rows)).collect();
        let newer = newer(&mut connection, &applied).await?;
        Ok(MigrationPlan {
            applied: applied.iter().map(|(version, _)| *version).max(),
            pending,
            newer,
        })
    }
}

fn planned(migration: &Migration, has_rows: bool) -> PendingMigration {
    let sql = migration.sql.as_str();
    PendingMigration {
        version: migration.version,
        name: migration.description.replace(' ', "_"),
        does: text::first_sentence(sql),
        holds_up: if has_rows { text::held_up(sql) } else { Vec::new() },
        ends_earlier_programs: migration.version <= FIRST_OF_THE_RULE
            || text::ends_earlier_programs(sql),
    }
}

/// The migration with which programs began to look for `programs_since`. Those of before do not start
/// on any schema that is newer.
const FIRST_OF_THE_RULE: i64 = 60;

/// Where the schema of a database is newer than this program, with what is said of that.
pub(crate) async fn newer_schema(
    connection: &mut PgConnection,
) -> Result<Option<NewerSchema>, StoreError> {
    if !is_there(connection).await? {
        return Ok(None);
    }
    let applied = applied(&mut *connection).await?;
    Ok(newer(connection, &applied).await?)
}

async fn newer(
    connection: &mut PgConnection,
    applied: &[(i64, Vec<u8>)],
) -> Result<Option<NewerSchema>, sqlx::Error> {
    let last = applied.iter().map(|(version, _)| *version).max();
    let Some(version) = last.filter(|version| *version > newest_migration()) else {
        return Ok(None);
    };
    let programs_since =
        sqlx::query_scalar("/* programs_since */ SELECT programs_since FROM installation")
            .fetch_one(connection)
            .await?;
    Ok(Some(NewerSchema { version, programs_since }))
}

/// Number and checksum of each migration that was applied.
async fn applied(database: impl PgExecutor<'_>) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
    sqlx::query_as("/* check_schema */ SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(database)
        .await
}

pub(crate) async fn is_there(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("/* has_migrations */ SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(connection)
        .await
}
