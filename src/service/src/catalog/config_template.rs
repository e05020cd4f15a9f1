//! Config templates: texts that are kept under a name, and do nothing by themselves.

pub use store::ConfigTemplateFilter;

use crate::{Caller, Error, Service};
use domain::{
    access::Resource,
    config_template::{ConfigTemplate, Format},
};
use store::ConfigTemplateRow;

/// A config template that is kept.
pub type ConfigTemplateView = ConfigTemplateRow;

/// What is to be other about a config template; none keeps it.
#[derive(Debug, Clone, Default)]
pub struct ConfigTemplateChange {
    pub name: Option<String>,
    pub description: Option<String>,
    /// What the content is written in.
    pub format: Option<Format>,
    pub content: Option<String>,
}

impl Service {
    /// Keeps a config template, and returns its number.
    ///
    /// # Errors
    /// A value that is not allowed, or a name that is taken.
    pub async fn create_config_template(
        &self,
        caller: &Caller,
        template: ConfigTemplate,
    ) -> Result<i64, Error> {
        self.check(&new_template())?;
        template.check()?;
        self.once(caller, "create_config_template", |tx| {
            Box::pin(async {
                let id =
                    tx.insert_config_template(&template, &caller.name, self.clock.now()).await?;
                Ok(id)
            })
        })
        .await
    }

    /// Changes what is given of a config template.
    ///
    /// # Errors
    /// A value that is not allowed, a name that is taken, or an unknown number.
    pub async fn change_config_template(
        &self,
        caller: &Caller,
        id: i64,
        change: ConfigTemplateChange,
    ) -> Result<(), Error> {
        self.check(&resource(&id.to_string()))?;
        self.once(caller, "change_config_template", |tx| {
            Box::pin(async {
                let kept = tx.lock_config_template(id).await?;
                let template = ConfigTemplate {
                    name: change.name.clone().unwrap_or(kept.name),
                    description: change.description.clone().unwrap_or(kept.description),
                    format: change.format.unwrap_or(kept.format),
                    content: change.content.clone().unwrap_or(kept.content),
                };
                template.check()?;
                tx.update_config_template(id, &template, self.clock.now()).await?;
                Ok(())
            })
        })
        .await
    }

    /// How many config templates there are of those that are asked for, and `limit` of them
    /// behind the first `offset`, oldest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn config_templates(
        &self,
        wanted: ConfigTemplateFilter<'_>,
        offset: i64,
        limit: i64,
    ) -> Result<(i64, Vec<ConfigTemplateView>), Error> {
        self.check(&new_template())?;
        let total = self.store.count_config_templates(wanted).await?;
        Ok((total, self.store.config_templates(wanted, offset, limit).await?))
    }

    /// Forgets a config template.
    ///
    /// # Errors
    /// An unknown number.
    pub async fn delete_config_template(&self, caller: &Caller, id: i64) -> Result<(), Error> {
        self.check(&resource(&id.to_string()))?;
        self.once(caller, "delete_config_template", |tx| {
            Box::pin(async {
                tx.delete_config_template(id).await?;
                Ok(())
            })
        })
        .await
    }
}

/// A config template, as policies name it.
fn resource(id: &str) -> Resource<'_> {
    Resource::Shared { kind: "template", name: id }
}

/// All of them, and one that has no number yet.
fn new_template() -> Resource<'static> {
    resource("new")
}
