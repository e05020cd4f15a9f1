//! Which container of its pods is an application's: shown, and chosen.

use serde_json::json;

use super::adopt::no_such_container;
use crate::{Caller, ContainerChoice, Error, Service, check};
use domain::{
    ApplicationId,
    observed::cluster_state::QueryKind,
    template::container::{Known, find, names},
};
use store::Event;

impl Service {
    /// Which container is the application's, by the Deployment as it is now.
    ///
    /// # Errors
    /// As [`Service::deployment`].
    pub async fn container(&self, id: ApplicationId) -> Result<ContainerChoice, Error> {
        let application = self.permitted_application(id).await?;
        let deployment = self.deployment_of(&application, QueryKind::Deployment).await?;
        let template = &deployment["spec"]["template"];
        let all = names(template);
        let name = find(template, &application.container, &application.name, None)
            .ok()
            .and_then(|index| all.get(index).cloned());
        let chosen = matches!(&application.container, Known::Chosen(chosen) if Some(chosen) == name.as_ref());
        Ok(ContainerChoice { name, chosen, all })
    }

    /// Chooses the application's container, one of its pod template's; none or an empty
    /// name leaves it to the template. No pod hears of it.
    ///
    /// # Errors
    /// As [`Service::container`], or a name that the template does not have.
    pub async fn choose_container(
        &self,
        caller: &Caller,
        id: ApplicationId,
        name: Option<&str>,
    ) -> Result<(), Error> {
        check::container(name)?;
        let name = name.filter(|name| !name.is_empty());
        self.unless_answered(caller, async {
            if let Some(name) = name {
                let application = self.permitted_application(id).await?;
                let deployment = self.deployment_of(&application, QueryKind::Deployment).await?;
                let all = names(&deployment["spec"]["template"]);
                if !all.iter().any(|it| it == name) {
                    return Err(no_such_container(name, &all).into());
                }
            }
            self.once(caller, "choose_container", |tx| {
                Box::pin(async {
                    let (application, _) = tx.permitted_application(id).await?;
                    tx.note_container(
                        application.id,
                        &name.map_or(Known::Nothing, |name| Known::Chosen(name.into())),
                    )
                    .await?;
                    let detail = json!({ "request": caller.request_id, "container": name });
                    let event = Event {
                        actor: &caller.name,
                        kind: "application.container",
                        cause: "",
                        detail,
                    };
                    tx.add_event(application.id, None, self.clock.now(), event).await?;
                    Ok(())
                })
            })
            .await
        })
        .await
    }
}
