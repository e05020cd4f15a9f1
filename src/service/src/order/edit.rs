//! A Deployment's whole text in place of single settings: what it changes is ordered.

use crate::{
    Caller, Deploy, EditDeployment, Error, PackageParams, Scale, Service, access::new_application,
};
use domain::{
    Input, OrderId, Rejection,
    name::DEFAULT_NAMESPACE,
    observed::cluster_state::{ClusterState, QueryKind},
    order::Kind,
    template::{
        edit::{Edit, is_unchanged, named},
        spec::SpecChange,
    },
};

impl Service {
    /// Orders what the text of an application's Deployment changes of it: a release of a
    /// new version, all at once, or where nothing but the number of pods is other, that
    /// number. None where nothing is.
    ///
    /// # Errors
    /// As [`Service::deploy`]; a text that is no Deployment, names none that is an
    /// application, or changes what is not changed here; or nobody who can look at the
    /// cluster now.
    pub async fn edit_deployment(
        &self,
        caller: &Caller,
        request: EditDeployment,
    ) -> Result<Option<OrderId>, Error> {
        let cluster = self.named_cluster(request.cluster.as_deref()).await?;
        let (inside, name) = named(&request.wanted)?;
        if let (Some(given), Some(inside)) = (request.namespace.as_deref(), inside)
            && given != inside
        {
            let allowed = format!("must be that of the Deployment in {{}}, {inside}");
            let others = &[Input::Deployment];
            return Err(Rejection::invalid_beside(Input::Namespace, given, allowed, others).into());
        }
        let namespace = request.namespace.as_deref().or(inside).unwrap_or(DEFAULT_NAMESPACE);
        self.check(&new_application(namespace, name))?;
        self.known_namespace(&cluster, namespace).await?;
        self.unless_answered(caller, async {
            let found = self.store.applications(Some(name)).await?;
            let found =
                found.into_iter().find(|it| it.namespace == namespace && it.cluster == cluster);
            let application = found.ok_or_else(|| {
                Rejection::UnknownApplication(format!("{name} in namespace {namespace}"))
            })?;
            // What is there now would be held up to a Deployment on the move.
            self.discarded(|tx| Box::pin(async { self.no_open_order(tx, application.id).await }))
                .await?;
            let live = self.deployment_of(&application, QueryKind::Whole).await?;
            let mut edit = Edit::read(&request.wanted, &live)?;
            if let Some(template) = edit.template.clone() {
                // What is not said has the API server's own values, and amounts are written in its way.
                let seen = self.query(&application, QueryKind::Filled { template }).await?;
                if let Some(ClusterState { deployment: Some(live), filled: Some(filled), .. }) =
                    seen
                    && is_unchanged(&filled, &live["spec"]["template"])
                {
                    edit.template = None;
                }
            }
            match edit {
                Edit { template: None, replicas: None, min_ready_seconds: None } => {
                    self.once(caller, "edit_deployment", |_| Box::pin(async { Ok(None) })).await
                }
                Edit { template: None, replicas: Some(replicas), min_ready_seconds: None } => {
                    let scale =
                        Scale { application: application.id, replicas, timeout_seconds: None };
                    self.scale(caller, scale).await.map(Some)
                }
                Edit { template, replicas, min_ready_seconds } => {
                    let template = template.unwrap_or_else(|| live["spec"]["template"].clone());
                    let deploy = Deploy {
                        application: application.id,
                        spec: SpecChange::default(),
                        package: PackageParams::default(),
                        release: None,
                        version: None,
                        replicas,
                        strategy: None,
                        batch_timeout_seconds: None,
                        min_ready_seconds,
                        description: "Update resource".into(),
                        notes: Vec::new(),
                        plan_hash: None,
                        allows_no_surge: false,
                        template: Some(template),
                    };
                    self.order_release(caller, deploy, Kind::Deploy).await.map(Some)
                }
            }
        })
        .await
    }
}
