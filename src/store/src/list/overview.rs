//! Applications, those first that need a person, and orders with the batch they are at:
//! what the console lists.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{
    Store, StoreError,
    row::{allowed, count, denied, document, value},
};
use domain::{
    ApplicationId, OrderId, Source,
    access::Filter,
    order::{Kind, State, plan::Strategy},
};

/// An application in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedApplication {
    pub id: ApplicationId,
    pub cluster: String,
    pub namespace: String,
    pub name: String,
    pub replicas: i32,
    pub ready_replicas: i32,
    /// Whether there is no Deployment: somebody deleted it.
    pub deployment_missing: bool,
    pub replicas_before_stop: Option<i32>,
    /// Text of its version; empty if none was released to its end.
    pub version: String,
    /// Image of its version.
    pub image: String,
    /// Its newest order, if there is one.
    pub order: Option<ListedOrder>,
    /// 0 = it needs a person: its newest order waits for one, cannot go on, or failed and was
    /// not followed by another; 1 = its newest order was stopped; 2 = one is open; 3 = nothing is the matter.
    pub rank: i32,
}

/// An order in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedOrder {
    pub id: OrderId,
    pub application: ApplicationId,
    pub namespace: String,
    pub name: String,
    pub kind: Kind,
    pub state: State,
    pub strategy: Strategy,
    /// The batch it is at, from 0.
    pub batch: usize,
    pub version: String,
    pub message: String,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub created_by: String,
    pub source: Source,
}

/// Which applications.
#[derive(Debug, Clone, Default)]
pub struct WantedApplications {
    /// Kubernetes namespace; none = all.
    pub namespace: Option<String>,
    /// A part of the name; empty = any.
    pub text: String,
    /// Their ranks; empty = all.
    pub ranks: Vec<i32>,
    /// States of their newest order; empty = all.
    pub states: Vec<State>,
    /// After this place: rank, namespace, name and id.
    pub after: Option<(i32, String, String, ApplicationId)>,
}

/// Which orders.
#[derive(Debug, Clone, Default)]
pub struct WantedOrders {
    /// Of this application alone.
    pub application: Option<ApplicationId>,
    /// Kubernetes namespace; none = all.
    pub namespace: Option<String>,
    /// A part of the application's name; empty = any.
    pub text: String,
    /// Their states; empty = all.
    pub states: Vec<State>,
    /// Older than this place.
    pub before: Option<(Timestamp, OrderId)>,
}

impl Store {
    /// Applications, those first that need a person; at most `most`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn listed_applications(
        &self,
        filter: &WantedApplications,
        shown: Option<&Filter>,
        most: i64,
    ) -> Result<Vec<ListedApplication>, StoreError> {
        let (rank, namespace, name, id) = match &filter.after {
            Some((rank, namespace, name, id)) => {
                (Some(*rank), Some(namespace.as_str()), Some(name.as_str()), Some(id.0))
            }
            None => (None, None, None, None),
        };
        let rows = sqlx::query!(
            r#"/* listed_applications */ WITH listed AS (
                   SELECT a.id, a.cluster_id, a.namespace, a.name, a.replicas, a.ready_replicas, a.deployment_missing, a.replicas_before_stop, a.release_id,
                       newest.id AS order_id, newest.kind, newest.state, newest.strategy, newest.batch, newest.message, newest.release_id AS order_release,
                       newest.created_at, newest.finished_at, newest.created_by, newest.source,
                       CASE WHEN newest.state IN ('waiting_approval', 'waiting_confirmation', 'failed', 'system_failed') OR newest.trouble <> '' THEN 0
                           WHEN newest.state = 'aborted' THEN 1 WHEN newest.state IN ('ready', 'running', 'waiting_interval') THEN 2 ELSE 3 END AS rank
                   FROM application a LEFT JOIN LATERAL (
                       SELECT o.id, o.kind::text AS kind, o.state::text AS state, o.strategy, o.batch, o.message, o.trouble, o.release_id, o.created_at, o.finished_at, o.created_by,
                           o.source::text AS source
                       FROM change_order o WHERE o.application_id = a.id AND o.kind <> 'object_write' ORDER BY o.created_at DESC, o.id DESC LIMIT 1
                   ) AS newest ON true
                   WHERE a.deleted_at IS NULL AND ($1::text IS NULL OR a.namespace = $1) AND ($2 = '' OR strpos(a.name, lower($2)) > 0)
                       AND may_show(a.namespace, a.name, a.id, $10, $11)
               )
               SELECT l.id AS "id!", l.cluster_id AS "cluster_id!", l.namespace AS "namespace!", l.name AS "name!", l.replicas AS "replicas!", l.ready_replicas AS "ready_replicas!",
                   l.deployment_missing AS "deployment_missing!", l.replicas_before_stop, l.rank AS "rank!", r.version AS "version?", r.image AS "image?",
                   l.order_id AS "order_id?", l.kind AS "kind?", l.state AS "state?", l.strategy AS "strategy?", l.batch AS "batch?", l.message AS "message?",
                   l.created_at AS "created_at?", l.finished_at AS "finished_at?", l.created_by AS "created_by?", l.source AS "source?", ordered.version AS "order_version?"
               FROM listed l LEFT JOIN release r ON r.id = l.release_id LEFT JOIN release ordered ON ordered.id = l.order_release
               WHERE (cardinality($3::int[]) = 0 OR l.rank = ANY ($3))
                   AND ($4::int IS NULL OR (l.rank, l.namespace, l.name, l.id) > ($4, $5::text, $6::text, $7::uuid))
                   AND (cardinality($9::text[]) = 0 OR l.state = ANY ($9))
               ORDER BY l.rank, l.namespace, l.name, l.id LIMIT $8"#,
            filter.namespace.as_deref(),
            filter.text,
            &filter.ranks,
            rank,
            namespace,
            name,
            id,
            most,
            &words(&filter.states),
            allowed(shown),
            denied(shown)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let application = ApplicationId(row.id);
                let order = match (
                    row.order_id,
                    row.kind,
                    row.state,
                    row.strategy,
                    row.batch,
                    row.created_at,
                    row.source,
                ) {
                    (
                        Some(id),
                        Some(kind),
                        Some(state),
                        Some(strategy),
                        Some(batch),
                        Some(created_at),
                        Some(source),
                    ) => Some(ListedOrder {
                        id: OrderId(id),
                        application,
                        namespace: row.namespace.clone(),
                        name: row.name.clone(),
                        kind: value("kind", kind)?,
                        state: value("state", state)?,
                        strategy: document::<Strategy>("strategy", strategy)?,
                        batch: count("batch", batch)?,
                        version: row.order_version.unwrap_or_default(),
                        message: row.message.unwrap_or_default(),
                        created_at: created_at.to_jiff(),
                        finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
                        created_by: row.created_by.unwrap_or_default(),
                        source: value("source", source)?,
                    }),
                    _ => None,
                };
                Ok(ListedApplication {
                    id: application,
                    cluster: row.cluster_id,
                    namespace: row.namespace,
                    name: row.name,
                    replicas: row.replicas,
                    ready_replicas: row.ready_replicas,
                    deployment_missing: row.deployment_missing,
                    replicas_before_stop: row.replicas_before_stop,
                    version: row.version.unwrap_or_default(),
                    image: row.image.unwrap_or_default(),
                    order,
                    rank: row.rank,
                })
            })
            .collect()
    }

    /// Orders of all applications, newest first; at most `most`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn listed_orders(
        &self,
        filter: &WantedOrders,
        shown: Option<&Filter>,
        most: i64,
    ) -> Result<Vec<ListedOrder>, StoreError> {
        let (at, id) = match filter.before {
            Some((at, id)) => (Some(at.to_sqlx()), Some(id.0)),
            None => (None, None),
        };
        let rows = sqlx::query!(
            r#"/* listed_orders */ SELECT o.id, o.application_id, a.namespace, a.name, o.kind::text AS "kind!", o.state::text AS "state!", o.strategy, o.batch,
                   r.version AS "version?", o.message, o.created_at, o.finished_at, o.created_by, o.source::text AS "source!"
               FROM change_order o JOIN application a ON a.id = o.application_id LEFT JOIN release r ON r.id = o.release_id
               WHERE ($1::text IS NULL OR a.namespace = $1) AND ($2 = '' OR strpos(a.name, lower($2)) > 0) AND (cardinality($3::text[]) = 0 OR o.state::text = ANY ($3))
                   AND ($4::timestamptz IS NULL OR (o.created_at, o.id) < ($4, $5::uuid)) AND ($7::uuid IS NULL OR o.application_id = $7)
                   AND may_show(a.namespace, a.name, a.id, $8, $9)
               ORDER BY o.created_at DESC, o.id DESC LIMIT $6"#,
            filter.namespace.as_deref(),
            filter.text,
            &words(&filter.states),
            at as _,
            id,
            most,
            filter.application.map(|it| it.0),
            allowed(shown),
            denied(shown)
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ListedOrder {
                    id: OrderId(row.id),
                    application: ApplicationId(row.application_id),
                    namespace: row.namespace,
                    name: row.name,
                    kind: value("kind", row.kind)?,
                    state: value("state", row.state)?,
                    strategy: document("strategy", row.strategy)?,
                    batch: count("batch", row.batch)?,
                    version: row.version.unwrap_or_default(),
                    message: row.message,
                    created_at: row.created_at.to_jiff(),
                    finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
                    created_by: row.created_by,
                    source: value("source", row.source)?,
                })
            })
            .collect()
    }
}

fn words(states: &[State]) -> Vec<String> {
    states.iter().map(crate::row::word).collect()
}
