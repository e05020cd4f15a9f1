//! Deployments that moved on since this database was backed up.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::{Store, StoreError};
use domain::{ClusterId, OrderId};

/// A Deployment as an order left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    pub namespace: String,
    pub name: String,
    /// The order that wrote it last.
    pub order: OrderId,
    /// The image of its first container.
    pub image: String,
}

impl Store {
    /// Notes which of these Deployments of a cluster were released by orders that this
    /// database does not know, in place of those that were noted before.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn note_moved_on(
        &self,
        cluster: &ClusterId,
        found: &[Released],
        now: Timestamp,
    ) -> Result<Vec<Released>, StoreError> {
        let namespaces: Vec<String> = found.iter().map(|it| it.namespace.clone()).collect();
        let names: Vec<String> = found.iter().map(|it| it.name.clone()).collect();
        let orders: Vec<Uuid> = found.iter().map(|it| it.order.0).collect();
        let images: Vec<String> = found.iter().map(|it| it.image.clone()).collect();
        let mut tx = self.begin().await?;
        sqlx::query!(
            "/* forget_moved_on */ DELETE FROM moved_on WHERE cluster_id = $1",
            cluster.as_str()
        )
        .execute(tx.connection())
        .await?;
        let rows = sqlx::query!(
            "/* note_moved_on */ INSERT INTO moved_on (cluster_id, namespace, name, order_id, image, seen_at)
             SELECT $1, f.namespace, f.name, f.order_id, f.image, $6
             FROM unnest($2::text[], $3::text[], $4::uuid[], $5::text[]) AS f (namespace, name, order_id, image)
             WHERE NOT EXISTS (SELECT 1 FROM change_order WHERE change_order.id = f.order_id)
             ON CONFLICT DO NOTHING
             RETURNING namespace, name, order_id, image",
            cluster.as_str(),
            &namespaces,
            &names,
            &orders,
            &images,
            now.to_sqlx() as _
        )
        .fetch_all(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(rows
            .into_iter()
            .map(|row| Released {
                namespace: row.namespace,
                name: row.name,
                order: OrderId(row.order_id),
                image: row.image,
            })
            .collect())
    }

    /// The Deployments of a cluster that moved on and that nobody has decided about: no order
    /// of this database has begun on them since.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn moved_on(&self, cluster: &ClusterId) -> Result<Vec<Released>, StoreError> {
        let rows = sqlx::query!(
            "/* moved_on */ SELECT namespace, name, order_id, image FROM moved_on
             WHERE cluster_id = $1 AND NOT EXISTS (
                 SELECT 1 FROM change_order o JOIN application a ON a.id = o.application_id
                 WHERE a.cluster_id = $1 AND a.namespace = moved_on.namespace AND a.name = moved_on.name AND o.id > moved_on.order_id)
             ORDER BY namespace, name",
            cluster.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| Released {
                namespace: row.namespace,
                name: row.name,
                order: OrderId(row.order_id),
                image: row.image,
            })
            .collect())
    }
}
