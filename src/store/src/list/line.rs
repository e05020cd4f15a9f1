//! Orders and applications as a line each: what the API and the command line list.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{
    Store, StoreError,
    row::{allowed, denied, document, value, word},
};
use domain::{
    ApplicationId, OrderId,
    access::Filter,
    order::State,
    package::Label,
    snapshot::{ApplicationLine, ApplicationName, LastOrder, OrderLine},
};

/// Which orders are listed; what is none or empty asks nothing.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    pub application: Option<ApplicationId>,
    /// Exactly this name of an application.
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub cluster: Option<String>,
    pub states: Vec<State>,
    /// Part of a name, a version, a description or a message, in any case.
    pub text: Option<String>,
    /// How an id begins.
    pub id: Option<String>,
    /// Accepted then or later.
    pub since: Option<Timestamp>,
    /// The last order of the page before.
    pub after: Option<OrderId>,
}

/// Which applications are listed; what is none or empty asks nothing.
#[derive(Debug, Clone, Default)]
pub struct ApplicationFilter {
    /// Exactly this name.
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub cluster: Option<String>,
    /// States of the newest order.
    pub states: Vec<State>,
    /// Part of a name, a version or an image, in any case.
    pub text: Option<String>,
    /// The last application of the page before.
    pub after: Option<ApplicationId>,
}

impl Store {
    /// The orders that a filter asks for, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn order_lines(
        &self,
        filter: &OrderFilter,
        shown: Option<&Filter>,
        most: i64,
    ) -> Result<Vec<OrderLine>, StoreError> {
        let rows = sqlx::query!(
            r#"/* order_lines */ SELECT o.id, o.kind::text AS "kind!", o.state::text AS "state!", o.description, o.message, o.created_by, o.source::text AS "source!", o.created_at, o.finished_at,
                   r.version AS "version?", r.image AS "image?", r.package,
                   a.id AS application_id, a.name, a.namespace, a.cluster_id
               FROM change_order o JOIN application a ON a.id = o.application_id LEFT JOIN release r ON r.id = o.release_id
               WHERE ($1::uuid IS NULL OR o.application_id = $1) AND ($2::text IS NULL OR a.name = $2)
                   AND ($3::text IS NULL OR a.namespace = $3) AND ($4::text IS NULL OR a.cluster_id = $4)
                   AND (cardinality($5::text[]) = 0 OR o.state::text = ANY ($5))
                   AND ($6::text IS NULL OR strpos(lower(concat_ws(' ', a.name, r.version, o.description, o.message)), lower($6)) > 0)
                   AND ($7::text IS NULL OR starts_with(o.id::text, $7)) AND ($8::timestamptz IS NULL OR o.created_at >= $8)
                   AND ($9::uuid IS NULL OR (o.created_at, o.id) < (
                       SELECT c.created_at, c.id FROM change_order c JOIN application b ON b.id = c.application_id
                       WHERE c.id = $9 AND may_show(b.namespace, b.name, b.id, $11, $12)
                   ))
                   AND may_show(a.namespace, a.name, a.id, $11, $12)
               ORDER BY o.created_at DESC, o.id DESC LIMIT $10"#,
            filter.application.map(|it| it.0),
            filter.name,
            filter.namespace,
            filter.cluster,
            &words(&filter.states),
            filter.text,
            filter.id,
            filter.since.map(|at| at.to_sqlx()) as _,
            filter.after.map(|it| it.0),
            most,
            allowed(shown),
            denied(shown)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let package: Option<Label> =
                    row.package.map(|package| document("package", package)).transpose()?;
                Ok(OrderLine {
                    id: OrderId(row.id),
                    application: ApplicationName {
                        id: ApplicationId(row.application_id),
                        name: row.name,
                        namespace: row.namespace,
                        cluster: row.cluster_id,
                    },
                    kind: value("kind", row.kind)?,
                    state: value("state", row.state)?,
                    version: row.version.unwrap_or_default(),
                    image: row.image.unwrap_or_default(),
                    package: package.map(|package| package.address),
                    description: row.description,
                    message: row.message,
                    created_by: row.created_by,
                    source: value("source", row.source)?,
                    created_at: row.created_at.to_jiff(),
                    finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
                })
            })
            .collect()
    }

    /// The applications that a filter asks for, by namespace and name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn application_lines(
        &self,
        filter: &ApplicationFilter,
        shown: Option<&Filter>,
        most: i64,
    ) -> Result<Vec<ApplicationLine>, StoreError> {
        let rows = sqlx::query!(
            r#"/* application_lines */ SELECT a.id, a.name, a.namespace, a.cluster_id, a.replicas, a.ready_replicas, a.deployment_missing, r.version AS "version?", r.image AS "image?",
                   newest.id AS "order_id?", newest.kind AS "kind?", newest.state AS "state?", newest.message AS "message?"
               FROM application a LEFT JOIN release r ON r.id = a.release_id LEFT JOIN LATERAL (
                   SELECT o.id, o.kind::text AS kind, o.state::text AS state, o.message FROM change_order o
                   WHERE o.application_id = a.id AND o.kind <> 'object_write' ORDER BY o.created_at DESC, o.id DESC LIMIT 1
               ) AS newest ON true
               WHERE a.deleted_at IS NULL AND ($1::text IS NULL OR a.name = $1) AND ($2::text IS NULL OR a.namespace = $2)
                   AND ($3::text IS NULL OR a.cluster_id = $3) AND (cardinality($4::text[]) = 0 OR newest.state = ANY ($4))
                   AND ($5::text IS NULL OR strpos(lower(concat_ws(' ', a.name, r.version, r.image)), lower($5)) > 0)
                   AND ($6::uuid IS NULL OR (a.namespace, a.name, a.id) > (SELECT c.namespace, c.name, c.id FROM application c WHERE c.id = $6))
                   AND may_show(a.namespace, a.name, a.id, $8, $9)
               ORDER BY a.namespace, a.name, a.id LIMIT $7"#,
            filter.name,
            filter.namespace,
            filter.cluster,
            &words(&filter.states),
            filter.text,
            filter.after.map(|it| it.0),
            most,
            allowed(shown),
            denied(shown)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let last_order = match (row.order_id, row.kind, row.state) {
                    (Some(id), Some(kind), Some(state)) => Some(LastOrder {
                        id: OrderId(id),
                        kind: value("kind", kind)?,
                        state: value("state", state)?,
                        message: row.message.unwrap_or_default(),
                    }),
                    _ => None,
                };
                Ok(ApplicationLine {
                    application: ApplicationName {
                        id: ApplicationId(row.id),
                        name: row.name,
                        namespace: row.namespace,
                        cluster: row.cluster_id,
                    },
                    replicas: row.replicas,
                    ready: row.ready_replicas,
                    deployment_missing: row.deployment_missing,
                    version: row.version.unwrap_or_default(),
                    image: row.image.unwrap_or_default(),
                    last_order,
                })
            })
            .collect()
    }
}

fn words(states: &[State]) -> Vec<String> {
    states.iter().map(word).collect()
}
