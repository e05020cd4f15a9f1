//! What is on record of applications and may be too old to keep: read, and deleted.
//!
//! What may go is the domain's to say. Whoever deletes holds the application's row meanwhile,
//! as whoever accepts an order does.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{Store, StoreError, Tx, row::value};
use domain::{
    ApplicationId, OrderId, ReleaseId,
    retention::{Past, PastOrder, PastVersion, Superfluous},
};

/// How much was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub orders: u64,
    /// Events of these.
    pub events: u64,
    pub versions: u64,
}

impl Store {
    /// Whether this server is the one to look for what is old now; nobody else is until
    /// `next`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn claim_retention(
        &self,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let claimed = sqlx::query!(
            "/* claim_retention */ UPDATE retention SET next_at = $2 WHERE next_at <= $1",
            now.to_sqlx() as _,
            next.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(claimed.rows_affected() == 1)
    }

    /// Applications, deleted ones too, with an order that ended before `before`, or with more
    /// than `versions` versions: up to `most` of those behind `after`, by id.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn applications_with_a_past(
        &self,
        before: Option<Timestamp>,
        versions: Option<i64>,
        after: Option<ApplicationId>,
        most: i64,
    ) -> Result<Vec<ApplicationId>, StoreError> {
        let found = sqlx::query_scalar!(
            "/* applications_with_a_past */ SELECT a.id FROM application a
             WHERE ($3::uuid IS NULL OR a.id > $3)
               AND (EXISTS (SELECT 1 FROM change_order o WHERE o.application_id = a.id AND o.created_at < $1 AND o.finished_at < $1)
                    OR (SELECT count(*) FROM release r WHERE r.application_id = a.id) > $2)
             ORDER BY a.id LIMIT $4",
            before.map(|before| before.to_sqlx()) as _,
            versions,
            after.map(|after| after.0),
            most
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().map(ApplicationId).collect())
    }

    /// What is on record of an application, as it is now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn past(&self, application: ApplicationId) -> Result<Past, StoreError> {
        let mut connection = self.pool.acquire().await?;
        past(&mut connection, application).await
    }
}

impl Tx {
    /// What is on record of an application, which nobody changes until the transaction ends,
    /// with the application's namespace and name; none where somebody else is at it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock_past(
        &mut self,
        application: ApplicationId,
    ) -> Result<Option<(Past, [String; 2])>, StoreError> {
        let locked = sqlx::query!(
            "/* lock_past */ SELECT namespace, name FROM application WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED",
            application.0
        )
        .fetch_optional(self.connection())
        .await?;
        let Some(locked) = locked else { return Ok(None) };
        self.touched.push(application);
        let past = past(self.connection(), application).await?;
        Ok(Some((past, [locked.namespace, locked.name])))
    }

    /// Deletes orders with their batches, notifications and events, and versions.
    ///
    /// # Errors
    /// [`StoreError::Sql`], such as where an order names one of the versions.
    pub async fn forget(
        &mut self,
        application: ApplicationId,
        superfluous: &Superfluous,
    ) -> Result<Forgotten, StoreError> {
        let orders: Vec<uuid::Uuid> = superfluous.orders.iter().map(|id| id.0).collect();
        let forgotten = sqlx::query!(
            r#"/* forget_orders */ SELECT orders AS "orders!", events AS "events!" FROM forget_orders($1)"#,
            &orders
        )
        .fetch_one(self.connection())
        .await?;
        // An order that was not deleted after all keeps its version.
        let versions: Vec<uuid::Uuid> = superfluous.versions.iter().map(|id| id.0).collect();
        let released = sqlx::query!(
            "/* forget_versions */ DELETE FROM release WHERE application_id = $1 AND id = ANY ($2)
               AND NOT EXISTS (SELECT 1 FROM change_order WHERE change_order.release_id = release.id)",
            application.0,
            &versions
        )
        .execute(self.connection())
        .await?;
        Ok(Forgotten {
            orders: forgotten.orders.unsigned_abs(),
            events: forgotten.events.unsigned_abs(),
            versions: released.rows_affected(),
        })
    }
}

async fn past(
    connection: &mut sqlx::PgConnection,
    application: ApplicationId,
) -> Result<Past, StoreError> {
    let found = sqlx::query!(
        r#"/* past_application */ SELECT release_id, CASE WHEN EXISTS (
               SELECT 1 FROM change_order d WHERE d.application_id = a.id AND d.kind = 'delete' AND d.state = 'succeeded' AND d.generation > 0
           ) THEN deleted_at END AS gone_at FROM application a WHERE id = $1"#,
        application.0
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(found) = found else { return Ok(Past::default()) };
    let orders = sqlx::query!(
        r#"/* past_orders */ SELECT id, kind::text AS "kind!", state::text AS "state!", created_at, finished_at, finalizing, applied IS NOT NULL AS "changed!", rolls_back, release_id
           FROM change_order WHERE application_id = $1"#,
        application.0
    )
    .fetch_all(&mut *connection)
    .await?;
    let versions = sqlx::query!(
        "/* past_versions */ SELECT id, created_at, released_at FROM release WHERE application_id = $1",
        application.0
    )
    .fetch_all(&mut *connection)
    .await?;
    let orders = orders
        .into_iter()
        .map(|row| {
            Ok(PastOrder {
                id: OrderId(row.id),
                kind: value("kind", row.kind)?,
                state: value("state", row.state)?,
                created_at: row.created_at.to_jiff(),
                finished_at: row.finished_at.map(|at| at.to_jiff()),
                finalizing: row.finalizing,
                changed: row.changed,
                rolls_back: row.rolls_back.map(OrderId),
                release: row.release_id.map(ReleaseId),
            })
        })
        .collect::<Result<_, StoreError>>()?;
    let versions = versions.into_iter().map(|row| PastVersion {
        id: ReleaseId(row.id),
        created_at: row.created_at.to_jiff(),
        released_at: row.released_at.map(|at| at.to_jiff()),
    });
    Ok(Past {
        current: found.release_id.map(ReleaseId),
        gone_at: found.gone_at.map(|at| at.to_jiff()),
        orders,
        versions: versions.collect(),
    })
}
