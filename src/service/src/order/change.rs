//! What a release or an order changes of a pod template.

use serde_json::Value;

use crate::{Deploy, Error, Service};
use domain::{
    OrderId, Rejection,
    order::{Target, TemplateSource},
};

impl Service {
    /// The pod template that an application has now, and the one that a release gives it,
    /// as far as the database knows them. Neither is fit to be shown as it is.
    ///
    /// # Errors
    /// As [`Service::deploy`].
    pub async fn template_change(&self, request: &Deploy) -> Result<(Value, Value), Error> {
        self.check_deploy(request)?;
        let package = self.check_package_params(&request.package).await?;
        let (name, snapshot, target) = self
            .discarded(|tx| {
                Box::pin(async {
                    let assembled = self.assemble(tx, request, package).await?;
                    Ok((assembled.application.name, assembled.snapshot, assembled.target))
                })
            })
            .await?;
        let before = match snapshot {
            Some(snapshot) => snapshot.template,
            None => self.store.current_template(request.application).await?.unwrap_or_default(),
        };
        let after = applied(&before, &name, target);
        Ok((before, after))
    }

    /// The pod template that an order found, and the one that it brings, as far as they are
    /// known. Neither is fit to be shown as it is.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`].
    pub async fn order_templates(
        &self,
        id: OrderId,
    ) -> Result<(Option<Value>, Option<Value>), Error> {
        self.permit_order(id).await?;
        let order = self.store.order(id).await?;
        let order = order.ok_or_else(|| Rejection::UnknownOrder(id.to_string()))?;
        Ok((order.snapshot.map(|snapshot| snapshot.template), order.template))
    }
}

fn applied(before: &Value, name: &str, target: Target) -> Value {
    match (target.source, target.release) {
        (TemplateSource::Change(change), Some(release)) => change.apply(before, name, release),
        (TemplateSource::Exact(template), _) => template,
        (TemplateSource::Change(_) | TemplateSource::Unchanged | TemplateSource::Renewed(_), _) => {
            before.clone()
        }
    }
}
