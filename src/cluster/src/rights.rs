//! What we may do: reviews of our own rights, which change nothing.

use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use super::{
    Cluster, ClusterError,
    request::{bounded, value},
};
use domain::rights::{Granted, Review, Role, Wanted, excess, wanted};

/// Requests under way at once: there is no hurry.
const AT_ONCE: usize = 4;

/// Rules of one answer that are read.
const MOST_RULES: usize = 1000;

/// One question about a right.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Empty = in all of them, or the resource is in none.
    pub(super) namespace: &'a str,
    pub(super) verb: &'a str,
    pub(super) group: &'a str,
    /// With its subresource: `pods/log`.
    pub(super) resource: &'a str,
    /// The only object; empty = any.
    pub(super) name: &'a str,
}

impl Cluster {
    /// Compares what we may do with what is used, in the namespaces that are named, and in the
    /// whole cluster.
    ///
    /// # Errors
    /// [`ClusterError`], where the API server does not say it; [`ClusterError::Gone`], where
    /// it has no such question.
    pub async fn review_rights(&self) -> Result<Review, ClusterError> {
        let (client, names) = (&self.client, self.scope().names());
        let mut review = Review::default();
        let used = wanted(names.is_some());
        // Elsewhere bindings in some namespaces are enough, and which these are is not known.
        let (whole, local): (Vec<Wanted>, Vec<Wanted>) = used.into_iter().partition(|it| {
            it.in_the_whole_cluster || (names.is_none() && it.role == Role::Observe)
        });
        for (right, given) in ask(client, "", &whole).await? {
            review.asked.push((right, None, given));
        }
        if names.is_some() {
            for (right, given) in ask(client, "", &local).await? {
                if given {
                    review.excess.push((right.told(), None));
                }
            }
        }
        for namespace in names.unwrap_or_default() {
            let rules = rules(client, namespace).await?;
            let (given, doubted): (Vec<Wanted>, Vec<Wanted>) =
                local.iter().partition(|right| rules.iter().any(|rule| rule.gives(right)));
            let place = Some(namespace.clone());
            review.asked.extend(given.into_iter().map(|right| (right, place.clone(), true)));
            // Rules of other authorizers may be missing in the answer.
            for (right, given) in ask(client, namespace, &doubted).await? {
                review.asked.push((right, place.clone(), given));
            }
            review.excess.extend(excess(&rules).into_iter().map(|it| (it, place.clone())));
        }
        if names.is_none() {
            // What is bound in the whole cluster is seen in any namespace.
            let rules = rules(client, domain::name::DEFAULT_NAMESPACE).await?;
            review.excess.extend(excess(&rules).into_iter().map(|it| (it, None)));
        }
        Ok(review)
    }
}

async fn ask(
    client: &Client,
    namespace: &str,
    rights: &[Wanted],
) -> Result<Vec<(Wanted, bool)>, ClusterError> {
    let answers = stream::iter(rights.to_vec()).map(async |right| {
        let asked = Asked {
            namespace,
            verb: right.verb,
            group: right.group,
            resource: right.resource,
            name: right.name.unwrap_or_default(),
        };
        may(client, asked).await.map(|given| (right, given))
    });
    answers.buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
}

/// Whether we have a right.
pub(super) async fn may(client: &Client, asked: Asked<'_>) -> Result<bool, ClusterError> {
    let (resource, subresource) = asked.resource.split_once('/').unwrap_or((asked.resource, ""));
    let spec = json!({ "resourceAttributes": {
        "namespace": asked.namespace, "verb": asked.verb, "group": asked.group, "resource": resource,
        "subresource": subresource, "name": asked.name,
    } });
    let answer = review(client, "SelfSubjectAccessReview", spec).await?;
    let unclear =
        || ClusterError::Transient("the API server does not say which rights we have".into());
    answer["status"]["allowed"].as_bool().ok_or_else(unclear)
}

/// What we may do in a namespace.
async fn rules(client: &Client, namespace: &str) -> Result<Vec<Granted>, ClusterError> {
    let spec = json!({ "namespace": namespace });
    let answer = review(client, "SelfSubjectRulesReview", spec).await?;
    let texts = |rule: &Value, key: &str| -> Vec<String> {
        let found = rule[key].as_array().into_iter().flatten();
        found.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let rules = answer["status"]["resourceRules"].as_array().into_iter().flatten();
    Ok(rules
        .take(MOST_RULES)
        .map(|rule| Granted {
            verbs: texts(rule, "verbs"),
            groups: texts(rule, "apiGroups"),
            resources: texts(rule, "resources"),
            names: texts(rule, "resourceNames"),
        })
        .collect())
}

async fn review(client: &Client, kind: &str, spec: Value) -> Result<Value, ClusterError> {
    let resource =
        ApiResource::from_gvk(&GroupVersionKind::gvk("authorization.k8s.io", "v1", kind));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": {}, "spec": spec });
    let review =
        serde_json::from_value(review).map_err(|error| ClusterError::Refused(error.to_string()))?;
    bounded(api.create(&PostParams::default(), &review)).await.and_then(value)
}
