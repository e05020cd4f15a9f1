//! Applications.

pub(crate) mod scaling_rule;
pub(crate) mod tag;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    Store, StoreError, Tx,
    keyring::Keyring,
    row::{document, value},
    sealed::{ORDER_TEMPLATE, RELEASE_TEMPLATE, RESTING_SNAPSHOT},
};
use domain::{
    ApplicationId, ClusterId, KnownCluster, Rejection, ReleaseId, application::Application,
    order::DeploymentBefore, package::Label, template::container::Known,
};

/// An application about to be created.
#[derive(Debug, Clone)]
pub struct NewApplication<'a> {
    pub id: ApplicationId,
    pub cluster: &'a ClusterId,
    pub namespace: &'a str,
    /// Whether its creator named that namespace.
    pub namespace_named: bool,
    pub name: &'a str,
    pub logical_region: &'a str,
    pub description: &'a str,
    /// Name of the access key that creates it.
    pub owner: &'a str,
    /// What is on record about its container.
    pub container: &'a Known,
    pub replicas: i32,
}

/// How many pods a Deployment has.
#[derive(Debug, Clone, Copy)]
pub struct Numbers<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    /// None = there is no Deployment.
    pub replicas: Option<i32>,
    pub ready: i32,
}

/// The description of an application, for people; none = unchanged.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    pub description: Option<&'a str>,
    pub owner: Option<&'a str>,
    pub email: Option<&'a str>,
    /// The owner's telephone number.
    pub phone: Option<&'a str>,
}

/// The template that an application's newest version has.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTemplate {
    pub application: ApplicationId,
    pub namespace: String,
    pub name: String,
    pub template: Value,
}

impl Tx {
    /// As [`Store::current_template`], as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn current_template(
        &mut self,
        id: ApplicationId,
    ) -> Result<Option<Value>, StoreError> {
        let keyring = self.keyring.clone();
        current_template(self.connection(), &keyring, id).await
    }

    /// Writes an application.
    ///
    /// # Errors
    /// [`Rejection::NameTaken`].
    pub async fn insert_application(
        &mut self,
        application: &NewApplication<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let inserted = sqlx::query!(
            "/* insert_application */ INSERT INTO application (id, cluster_id, namespace, name, logical_region, description, owner, created_by, created_at, replicas, namespace_named, container, container_chosen)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11, $12) ON CONFLICT (cluster_id, namespace, name) WHERE deleted_at IS NULL DO NOTHING",
            application.id.0,
            application.cluster.as_str(),
            application.namespace,
            application.name,
            application.logical_region,
            application.description,
            application.owner,
            now.to_sqlx() as _,
            application.replicas,
            application.namespace_named,
            application.container.name(),
            matches!(application.container, Known::Chosen(_))
        )
        .execute(self.connection())
        .await?;
        if inserted.rows_affected() == 0 {
            let taken = Rejection::NameTaken {
                name: application.name.into(),
                namespace: application.namespace.into(),
            };
            return Err(taken.into());
        }
        self.import_cluster(application.cluster).await
    }

    /// Loads an application and locks its row, so that orders of one application are
    /// accepted one after the other. Also returns how an earlier order left it.
    ///
    /// A transaction that needs both rows locks the application before its order, so that
    /// no two wait for each other. Rows that only refer to the application can be written
    /// meanwhile.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn lock_application(
        &mut self,
        id: ApplicationId,
    ) -> Result<(Application, Option<DeploymentBefore>), StoreError> {
        self.touched.push(id);
        let row = sqlx::query!(
            "/* lock_application */ SELECT resting_snapshot, resting_replicas FROM application WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
            id.0
        )
        .fetch_optional(self.connection())
        .await?
        .ok_or_else(|| Rejection::UnknownApplication(id.to_string()))?;
        let mut resting: Option<DeploymentBefore> =
            self.keyring.open_some(RESTING_SNAPSHOT, id, row.resting_snapshot)?;
        if let (Some(resting), Some(replicas)) = (&mut resting, row.resting_replicas) {
            resting.replicas = replicas;
        }
        let found = list(self.connection(), Some(id), None).await?.pop();
        Ok((found.ok_or_else(|| Rejection::UnknownApplication(id.to_string()))?, resting))
    }

    /// Changes the description of an application; none keeps the present one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn describe_application(
        &mut self,
        id: ApplicationId,
        words: &Description<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* describe_application */ UPDATE application SET description = coalesce($2, description), owner = coalesce($3, owner),
                 email = coalesce($4, email), phone = coalesce($5, phone)
             WHERE id = $1",
            id.0,
            words.description,
            words.owner,
            words.email,
            words.phone
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Puts on record which container is the application's.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn note_container(
        &mut self,
        id: ApplicationId,
        container: &Known,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* note_container */ UPDATE application SET container = $2, container_chosen = $3 WHERE id = $1",
            id.0,
            container.name(),
            matches!(container, Known::Chosen(_))
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Stores the Deployment as it was before an order that ends half way; none = it has all
    /// that was borrowed of it again.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn keep_resting_snapshot(
        &mut self,
        id: ApplicationId,
        snapshot: Option<&DeploymentBefore>,
    ) -> Result<(), StoreError> {
        let snapshot = self.keyring.seal_document_of(RESTING_SNAPSHOT, id, snapshot)?;
        sqlx::query!(
            "/* keep_resting_snapshot */ UPDATE application SET resting_snapshot = $2, resting_packages = $3, resting_replicas = NULL WHERE id = $1",
            id.0,
            snapshot.bytes,
            &snapshot.packages
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// An application.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`].
    pub async fn application(&self, id: ApplicationId) -> Result<Application, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let found = list(&mut connection, Some(id), None).await?.pop();
        found.ok_or_else(|| Rejection::UnknownApplication(id.to_string()).into())
    }

    /// All applications, oldest first, or those with this name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn applications(&self, name: Option<&str>) -> Result<Vec<Application>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        list(&mut connection, None, name).await
    }

    /// Mirrors the numbers of pods of Deployments. Deployments without an application are
    /// ignored. An application without its Deployment keeps the number that was wanted.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn mirror_replicas(
        &self,
        cluster: &KnownCluster,
        seen: &[Numbers<'_>],
    ) -> Result<(), StoreError> {
        let namespaces: Vec<String> = seen.iter().map(|it| it.namespace.to_owned()).collect();
        let names: Vec<String> = seen.iter().map(|it| it.name.to_owned()).collect();
        let replicas: Vec<Option<i32>> = seen.iter().map(|it| it.replicas).collect();
        let ready: Vec<i32> = seen.iter().map(|it| it.ready).collect();
        sqlx::query!(
            "/* mirror_replicas */ UPDATE application a SET replicas = coalesce(seen.replicas, a.replicas), ready_replicas = seen.ready,
                 deployment_missing = seen.replicas IS NULL
             FROM unnest($2::text[], $3::text[], $4::int[], $5::int[]) AS seen (namespace, name, replicas, ready)
             WHERE a.cluster_id = $1 AND a.namespace = seen.namespace AND a.name = seen.name AND a.deleted_at IS NULL
               AND (a.replicas, a.ready_replicas, a.deployment_missing) <> (coalesce(seen.replicas, a.replicas), seen.ready, seen.replicas IS NULL)
               AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE id = $1 AND identity = $6)",
            cluster.id.as_str(),
            &namespaces,
            &names,
            &replicas as &[Option<i32>],
            &ready,
            cluster.identity.as_str()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The namespaces and names of a cluster's applications that are not known to be without
    /// their Deployment.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn deployments_on_record(
        &self,
        cluster: &KnownCluster,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query!(
            "/* deployments_on_record */ SELECT namespace, name FROM application WHERE cluster_id = $1 AND deleted_at IS NULL AND NOT deployment_missing",
            cluster.id.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.namespace, row.name)).collect())
    }

    /// The template that the application's newest version has: as released, or as
    /// its first order wants it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn current_template(&self, id: ApplicationId) -> Result<Option<Value>, StoreError> {
        current_template(&self.pool, &self.keyring, id).await
    }

    /// The same of all applications on a cluster that have one, or of those in a namespace
    /// of it; oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn current_templates(
        &self,
        cluster: &ClusterId,
        namespace: Option<&str>,
    ) -> Result<Vec<NamedTemplate>, StoreError> {
        let rows = sqlx::query!(
            r#"/* current_templates */ SELECT a.id, a.namespace, a.name, r.id AS "release?", r.template AS "released?", first.id AS "order?", first.template AS "ordered?"
               FROM application a LEFT JOIN release r ON r.id = a.release_id LEFT JOIN LATERAL (
                   SELECT o.id, o.template FROM change_order o
                   WHERE r.template IS NULL AND o.application_id = a.id AND o.template IS NOT NULL ORDER BY o.created_at LIMIT 1
               ) AS first ON true
               WHERE a.deleted_at IS NULL AND a.cluster_id = $1 AND ($2::text IS NULL OR a.namespace = $2)
                   AND coalesce(r.template, first.template) IS NOT NULL
               ORDER BY a.created_at, a.id"#,
            cluster.as_str(),
            namespace
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .filter_map(|row| {
                let released = row.release.zip(row.released);
                let template = opened(&self.keyring, released, row.order.zip(row.ordered));
                let template = template.transpose()?;
                Some(template.map(|template| NamedTemplate {
                    application: ApplicationId(row.id),
                    namespace: row.namespace,
                    name: row.name,
                    template,
                }))
            })
            .collect()
    }
}

async fn current_template(
    database: impl PgExecutor<'_>,
    keyring: &Keyring,
    id: ApplicationId,
) -> Result<Option<Value>, StoreError> {
    let row = sqlx::query!(
        r#"/* current_template */ SELECT r.id AS "release?", r.template AS "released?", first.id AS "order?", first.template AS "ordered?"
           FROM application a LEFT JOIN release r ON r.id = a.release_id LEFT JOIN LATERAL (
               SELECT o.id, o.template FROM change_order o
               WHERE r.template IS NULL AND o.application_id = a.id AND o.template IS NOT NULL ORDER BY o.created_at LIMIT 1
           ) AS first ON true
           WHERE a.id = $1"#,
        id.0
    )
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    opened(keyring, row.release.zip(row.released), row.order.zip(row.ordered))
}

/// The template of a version or, where that has none, of an order.
fn opened(
    keyring: &Keyring,
    release: Option<(Uuid, Vec<u8>)>,
    order: Option<(Uuid, Vec<u8>)>,
) -> Result<Option<Value>, StoreError> {
    match (release, order) {
        (Some((id, sealed)), _) => keyring.open_json(RELEASE_TEMPLATE, id, &sealed).map(Some),
        (None, Some((id, sealed))) => keyring.open_json(ORDER_TEMPLATE, id, &sealed).map(Some),
        (None, None) => Ok(None),
    }
}

async fn list(
    connection: &mut sqlx::PgConnection,
    id: Option<ApplicationId>,
    name: Option<&str>,
) -> Result<Vec<Application>, StoreError> {
    let rows = sqlx::query!(
        r#"/* applications */ SELECT a.id, a.cluster_id, a.namespace, a.namespace_named, a.name, a.logical_region, a.description, a.created_by, a.owner, a.email, a.phone, a.created_at,
               a.replicas, a.ready_replicas, a.deployment_missing, a.replicas_before_stop, a.release_id, a.container, a.container_chosen,
               (SELECT r.package FROM release r WHERE r.application_id = a.id AND (a.release_id IS NULL OR r.id = a.release_id)
                ORDER BY r.created_at, r.id LIMIT 1) AS package,
               newest.kind AS "last_kind?", newest.state AS "last_state?"
           FROM application a LEFT JOIN LATERAL (
               SELECT o.kind::text AS kind, o.state::text AS state FROM change_order o WHERE o.application_id = a.id AND o.kind <> 'object_write'
               ORDER BY o.created_at DESC, o.id DESC LIMIT 1
           ) AS newest ON true
           WHERE a.deleted_at IS NULL AND ($1::uuid IS NULL OR a.id = $1) AND ($2::text IS NULL OR a.name = $2)
           ORDER BY a.created_at, a.id"#,
        id.map(|id| id.0),
        name
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Application {
                id: ApplicationId(row.id),
                name: row.name,
                cluster: row.cluster_id.into(),
                namespace: row.namespace,
                namespace_named: row.namespace_named,
                logical_region: row.logical_region,
                description: row.description,
                created_at: row.created_at.to_jiff(),
                created_by: row.created_by,
                owner: row.owner,
                email: row.email,
                phone: row.phone,
                container: match (row.container, row.container_chosen) {
                    (None, _) => Known::Nothing,
                    (Some(name), true) => Known::Chosen(name),
                    (Some(name), false) => Known::Found(name),
                },
                replicas: row.replicas,
                ready_replicas: row.ready_replicas,
                deployment_missing: row.deployment_missing,
                replicas_before_stop: row.replicas_before_stop,
                release: row.release_id.map(ReleaseId),
                package: row
                    .package
                    .map(|package| document::<Label>("package", package))
                    .transpose()?
                    .map(|label| label.kind),
                last_order: match (row.last_kind, row.last_state) {
                    (Some(kind), Some(state)) => {
                        Some((value("order kind", kind)?, value("order state", state)?))
                    }
                    _ => None,
                },
            })
        })
        .collect()
}
