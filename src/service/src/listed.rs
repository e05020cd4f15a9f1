//! Lists over all applications and orders, and what a release or an order
//! changes of a pod template.

use serde_json::Value;

use crate::{Deploy, Error, Service};
use domain::{
    Input, OrderId, Rejection,
    order::{Target, TemplateSource},
};
use store::{ListedApplication, ListedOrder, WantedApplications, WantedOrders};

/// Rows of a page.
const PAGE: usize = 50;

/// Longest text that is looked for.
const LONGEST_TEXT: usize = 63;

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    /// Whether there are more behind the last of them.
    pub has_more: bool,
}

impl<T> Listed<T> {
    fn of(mut rows: Vec<T>) -> Self {
        let has_more = rows.len() > PAGE;
        rows.truncate(PAGE);
        Self { rows, has_more }
    }
}

impl Service {
    /// A page of applications, those first that need a person.
    ///
    /// # Errors
    /// A text to look for that is too long.
    pub async fn listed_applications(
        &self,
        filter: &WantedApplications,
    ) -> Result<Listed<ListedApplication>, Error> {
        text(&filter.text)?;
        Ok(Listed::of(self.store.listed_applications(filter, PAGE as i64 + 1).await?))
    }

    /// A page of the orders of all applications, newest first.
    ///
    /// # Errors
    /// A text to look for that is too long.
    pub async fn listed_orders(&self, filter: &WantedOrders) -> Result<Listed<ListedOrder>, Error> {
        text(&filter.text)?;
        Ok(Listed::of(self.store.listed_orders(filter, PAGE as i64 + 1).await?))
    }

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

fn text(text: &str) -> Result<(), Rejection> {
    if text.chars().count() <= LONGEST_TEXT {
        return Ok(());
    }
    let allowed = format!("at most {LONGEST_TEXT} characters of a name can be looked for");
    Err(Rejection::invalid(Input::ApplicationName, text, allowed))
}
