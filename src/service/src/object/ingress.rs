//! Ingress rules: written for a namespace, whichever application their Services are of.

use serde_json::Value;

use crate::{Caller, Error, Service, access::beside, check::object_name};
use domain::template::names::{APPLICATION_LABEL, FENCE_ANNOTATION, OWNER_LABEL, WRITE_ANNOTATION};
use domain::{
    ClusterId, Input, Rejection, name,
    object::{
        ingress::{self, IngressRule, IngressRuleView, Texts},
        service::PortTarget,
        write::{Action, ObjectKind, ObjectWrite},
    },
    rejection::shortened,
};

/// An Ingress that is wanted; on a change, none leaves it as it is.
#[derive(Debug, Clone)]
pub struct Route {
    pub cluster: String,
    pub namespace: String,
    pub name: String,
    pub rules: Option<Vec<IngressRule>>,
    pub labels: Texts,
    pub annotations: Texts,
}

/// An Ingress as it is on the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteView {
    /// Where it is.
    pub cluster: ClusterId,
    pub object: Value,
    pub rules: Vec<IngressRuleView>,
}

impl Service {
    /// Creates an Ingress.
    ///
    /// # Errors
    /// A value that is not allowed, an unknown cluster or namespace, or what the cluster
    /// has against it, as a name that is taken.
    pub async fn create_route(&self, caller: &Caller, request: Route) -> Result<(), Error> {
        let cluster = self.check_route(&request).await?;
        check_rules(request.rules.as_deref().unwrap_or_default())?;
        let object = ingress::ingress(
            request.rules.as_deref().unwrap_or_default(),
            &request.labels,
            &request.annotations,
        );
        self.write_route(
            caller,
            "create_route",
            (&cluster, &request.namespace),
            (request.name, request.rules.as_deref()),
            Action::Create(object),
        )
        .await
    }

    /// Changes an Ingress that was created by this server.
    ///
    /// # Errors
    /// As [`Service::create_route`], or an Ingress of somebody else.
    pub async fn change_route(&self, caller: &Caller, request: Route) -> Result<(), Error> {
        let cluster = self.check_route(&request).await?;
        if let Some(rules) = &request.rules {
            check_rules(rules)?;
        }
        let parts =
            ingress::ingress_parts(request.rules.as_deref(), &request.labels, &request.annotations);
        if parts.is_empty() {
            return Err(Rejection::invalid_beside(
                Input::IngressRules,
                "",
                "must be given, or {} or {}: nothing else can be changed",
                &[Input::Labels, Input::Annotations],
            )
            .into());
        }
        self.write_route(
            caller,
            "change_route",
            (&cluster, &request.namespace),
            (request.name, request.rules.as_deref()),
            Action::Set(parts),
        )
        .await
    }

    /// Deletes an Ingress that was created by this server.
    ///
    /// # Errors
    /// As [`Service::change_route`].
    pub async fn delete_route(
        &self,
        caller: &Caller,
        cluster: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), Error> {
        self.check(&beside(ObjectKind::Ingress, namespace, name))?;
        let cluster = self.known_cluster(cluster).await?;
        self.known_namespace(&cluster, namespace).await?;
        object_name(Input::ObjectName, name)?;
        let (place, what) = ((&cluster, namespace), (name.into(), None));
        self.write_route(caller, "delete_route", place, what, Action::Delete).await
    }

    /// The Ingresses of a namespace, or of all where it is empty, whoever made them.
    ///
    /// # Errors
    /// An unknown cluster or namespace, or [`Rejection::Unseen`].
    pub async fn routes(
        &self,
        cluster: Option<&str>,
        namespace: &str,
    ) -> Result<Vec<RouteView>, Error> {
        let cluster = self.named_cluster(cluster).await?;
        if !namespace.is_empty() {
            self.check_reaches(namespace)?;
            self.known_namespace(&cluster, namespace).await?;
        }
        let mut objects =
            self.objects(&cluster, ObjectKind::Ingress, namespace, "", Default::default()).await?;
        self.keep_permitted(ObjectKind::Ingress, &mut objects);
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let services =
            self.objects(&cluster, ObjectKind::Service, namespace, "", Default::default()).await?;
        Ok(objects
            .into_iter()
            .map(|object| RouteView {
                cluster: cluster.clone(),
                rules: ingress::rules_of(&object, &services),
                object,
            })
            .collect())
    }

    async fn check_route(&self, request: &Route) -> Result<ClusterId, Error> {
        self.check(&beside(ObjectKind::Ingress, &request.namespace, &request.name))?;
        let cluster = self.known_cluster(&request.cluster).await?;
        object_name(Input::ObjectName, &request.name)?;
        let reserved = [OWNER_LABEL, APPLICATION_LABEL, FENCE_ANNOTATION, WRITE_ANNOTATION];
        for (input, texts) in
            [(Input::Labels, &request.labels), (Input::Annotations, &request.annotations)]
        {
            if let Some(name) = texts.keys().find(|name| reserved.contains(&name.as_str())) {
                let allowed = format!("must not be a name of the server's own, as {name} is");
                return Err(Rejection::invalid(input, name, allowed).into());
            }
            if let Some(key) = texts.keys().find(|key| !name::is_key(key)) {
                let allowed = format!(
                    "at {}: each name must be one of Kubernetes': letters, digits, '-', '_' and '.', at most 63, after a domain and '/' if any",
                    shortened(key)
                );
                return Err(Rejection::invalid(input, key, allowed).into());
            }
        }
        if let Some(value) =
            request.labels.values().flatten().find(|value| !name::is_label_value(value))
        {
            let allowed = "each value must be one of Kubernetes': letters, digits, '-', '_' and '.', at most 63";
            return Err(Rejection::invalid(Input::Labels, value, allowed).into());
        }
        self.check_ingress_annotations(&request.annotations)?;
        self.known_namespace(&cluster, &request.namespace).await?;
        Ok(cluster)
    }

    async fn write_route(
        &self,
        caller: &Caller,
        use_case: &'static str,
        place: (&ClusterId, &str),
        (name, rules): (String, Option<&[IngressRule]>),
        action: Action,
    ) -> Result<(), Error> {
        let deed = self.deed(caller, use_case);
        self.once_outside(&deed, async {
            self.take_hosts(place, rules.unwrap_or_default()).await?;
            let object_write = ObjectWrite { kind: ObjectKind::Ingress, name, owner: None, action };
            self.run(&deed, place, &object_write, None).await?;
            Ok(())
        })
        .await
    }
}

fn check_rules(rules: &[IngressRule]) -> Result<(), Rejection> {
    let refuse =
        |value: &str, allowed: &str| Err(Rejection::invalid(Input::IngressRules, value, allowed));
    if rules.is_empty() {
        return refuse("", "must have at least one rule");
    }
    for rule in rules {
        if let Some(host) =
            rule.host.as_deref().filter(|host| !host.is_empty() && !ingress::is_host(host))
        {
            return refuse(
                host,
                "a host must be a name of at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part, and may begin with *. in place of its first part",
            );
        }
        if rule.paths.is_empty() {
            return refuse(
                rule.host.as_deref().unwrap_or("a rule for any host"),
                "each rule must have at least one path",
            );
        }
        for path in &rule.paths {
            if !path.path.starts_with('/') {
                return refuse(&path.path, "a path must begin with /");
            }
            if path.service.is_empty() {
                return refuse(&path.path, "the backend of a path must name a Service");
            }
            if path.port == PortTarget::Number(0) {
                return refuse(
                    &path.path,
                    "the backend of a path must name a port of the Service: from 1 to 65535, or its name",
                );
            }
        }
    }
    Ok(())
}
