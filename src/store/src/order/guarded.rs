//! What guardrails say of an order that was accepted: put on record, and noted.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{StoreError, Tx};
use domain::{
    access::Resource,
    order::{Order, TemplateSource},
};

impl Tx {
    /// Puts on record that guardrails refuse what `order` was to write: of whoever asked for
    /// the order, whose request is on record with it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub(super) async fn record_guarded(
        &mut self,
        order: &Order,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let application = Resource::Application {
            namespace: &order.namespace,
            name: &order.name,
            id: Some(order.application),
        };
        sqlx::query!(
            "/* record_guarded */ INSERT INTO audit_entry (at, principal, key_id, peer, request_id, source, operation, object, outcome)
             SELECT $2, created_by, '', '', '', source, 'sluice:begin_order', $3, 'refused' FROM change_order WHERE id = $1",
            order.id.0,
            now.to_sqlx() as _,
            format!("Guardrails {} order/{}", application.shown(), order.id)
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

/// What the version that comes back has beyond the guardrails of the order that is rolled
/// back. It comes back all the same, and somebody should know.
pub(super) fn beyond_guardrails(order: &Order, source: &TemplateSource) -> Option<String> {
    let (Some(guardrails), TemplateSource::Exact(template)) = (&order.target.guardrails, source)
    else {
        return None;
    };
    let why = guardrails.judge(&order.namespace, template, None).refusal()?;
    Some(format!(
        "the version that comes back has more than its author may ask for now, and comes back all the same: {why}"
    ))
}
