//! What a release that succeeded leaves on record of its application and of its version.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{StoreError, Tx, sealed::RELEASE_TEMPLATE};
use domain::order::{Kind, Order, TemplateSource};

impl Tx {
    /// Notes that `order` succeeded.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub(super) async fn note_success(
        &mut self,
        order: &Order,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // Another number of pods leaves a release as it rests; a stop ends that. The number is noted
        // before the cluster is seen again, and how many there were, where there are none now.
        sqlx::query!(
            "/* note_success */ UPDATE application SET release_id = coalesce($2, release_id),
                 resting_snapshot = CASE WHEN $3 THEN resting_snapshot END,
                 resting_packages = CASE WHEN $3 THEN resting_packages ELSE '{}' END,
                 resting_replicas = CASE WHEN NOT $3 THEN NULL WHEN $6::integer IS NULL THEN resting_replicas WHEN resting_snapshot IS NOT NULL THEN $6 END,
                 replicas = coalesce($6, replicas),
                 replicas_before_stop = CASE WHEN $6 IS NULL THEN replicas_before_stop WHEN $6 = 0 THEN coalesce(nullif($7::integer, 0), nullif(replicas, 0), replicas_before_stop) END,
                 deleted_at = CASE WHEN $4 THEN $5::timestamptz END
             WHERE id = $1",
            order.application.0,
            order.target.release.map(|release| release.0),
            order.only_scales() && order.kind != Kind::Stop,
            order.kind == Kind::Delete,
            now.to_sqlx() as _,
            order.target.replicas,
            order.snapshot.as_ref().map(|snapshot| snapshot.replicas)
        )
        .execute(self.connection())
        .await?;
        let (Some(release), Some(template)) = (order.target.release, &order.template) else {
            return Ok(());
        };
        if order.kind == Kind::Restart {
            return Ok(());
        }
        // What was given as an image is on record already; of a tag only the whole is known now.
        let image = match &order.target.source {
            TemplateSource::Change(change) => change.container_in(template, &order.name).ok(),
            TemplateSource::Exact(_) | TemplateSource::Unchanged | TemplateSource::Renewed(_) => {
                None
            }
        };
        let image = image.and_then(|index| {
            template.pointer(&format!("/spec/containers/{index}/image"))?.as_str()
        });
        let sealed = self.keyring.seal_document(RELEASE_TEMPLATE, release, template)?;
        // What the version was first stays: a restart may have left its mark since.
        sqlx::query!(
            "/* note_release */ UPDATE release SET released_at = $2, template = coalesce(template, $3),
                 packages = CASE WHEN template IS NOT NULL OR packages @> $6 THEN packages ELSE packages || $6 END, image = coalesce($4, image), min_ready_seconds = coalesce($5, min_ready_seconds) WHERE id = $1",
            release.0,
            now.to_sqlx() as _,
            sealed.bytes,
            image,
            order.target.min_ready_seconds,
            &sealed.packages
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
