//! The EDAS interface as data: its 162 operations with method, path, parameters
//! (name, type, required or not) and reply shape; and the few of our own beside them.
//!
//! `contract.json` is the product's 2017-08-01 interface description, trimmed;
//! an operation is told by method and path alone (R1), since many clients send
//! no `x-acs-action`. Which of the operations this server offers is the
//! router's business, not known here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One operation of the interface.
#[derive(Debug, Deserialize)]
pub struct Operation {
    /// Its name, such as `DeployK8sApplication`.
    pub name: String,
    /// HTTP method, in capitals.
    pub method: String,
    /// Path, without parameters in it.
    pub path: String,
    /// Whether its parameters come as a form body instead of the query (K2).
    #[serde(default)]
    pub form: bool,
    /// Names of its documented parameters, sorted.
    pub query: Vec<String>,
    /// Those of them that the documentation requires, sorted.
    #[serde(default)]
    pub required: Vec<String>,
    /// The types of those that are not texts: `integer`, `number`, `boolean` or `object`.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Reply fields: a type's name, an object of fields, or a list of one item.
    pub reply: Map<String, Value>,
}

/// The status of an order that failed. An order that cannot be shown will never succeed.
const FAILED: i32 = 3;

/// Our own operations beside EDAS' 162: signed and answered in the same way.
const OWN: &str = r#"[
{"name":"AdoptDeployment","method":"POST","path":"/sluice/v1/adopt","query":["AppName","ApplicationDescription","ClusterId","ContainerName","LogicalRegionId","Namespace","PackageVersion"],"reply":{"ApplicationInfo":{"AppId":"string","AppName":"string","ChangeOrderId":"string","ClusterType":"integer","Dockerize":"boolean","EdasId":"string","Owner":"string","RegionId":"string","UserId":"string"},"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"ApproveChangeOrder","method":"PUT","path":"/sluice/v1/approve","query":["ChangeOrderId","Reason"],"reply":{"Code":"integer","Data":{"ChangeOrderId":"string"},"ErrorCode":"string","Message":"string","RequestId":"string","TraceId":"string"}},
{"name":"AttachPolicy","method":"POST","path":"/sluice/v1/grants","query":["Application","Namespace","PodSecurity","Policy","Principal","Registries","Role","ServiceAccounts"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"CreateAccessKey","method":"POST","path":"/sluice/v1/keys","query":["Application","ExpiresIn","Name","Namespace","Networks","Person","PodSecurity","Policy","Principal","Registries","Role","Schemes","ServiceAccounts"],"types":{"ExpiresIn":"integer","Person":"boolean"},"reply":{"AccessKey":{"AccessKeyId":"string","AccessKeySecret":"string","Name":"string","Principal":"string"},"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"CreateHoldRule","method":"POST","path":"/sluice/v1/holds","query":["Applications","Description","HeldBy","Kinds","Name","Namespaces","Periods","TimeZone"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"CreatePolicy","method":"POST","path":"/sluice/v1/policies","query":["Name","PolicyDocument","Replace"],"types":{"Replace":"boolean"},"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"CreatePrincipal","method":"POST","path":"/sluice/v1/principals","query":["Name","Person"],"types":{"Person":"boolean"},"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"DeleteAccessKey","method":"DELETE","path":"/sluice/v1/key","query":["AccessKey"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"DeleteHoldRule","method":"DELETE","path":"/sluice/v1/hold","query":["Name"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"DeletePolicy","method":"DELETE","path":"/sluice/v1/policy","query":["Policy"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"DeletePrincipal","method":"DELETE","path":"/sluice/v1/principal","query":["Principal"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"DetachPolicy","method":"DELETE","path":"/sluice/v1/grants","query":["Application","Namespace","Policy","Principal","Role"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"DisableAccessKey","method":"PUT","path":"/sluice/v1/key/disable","query":["AccessKey"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"EnableAccessKey","method":"PUT","path":"/sluice/v1/key/enable","query":["AccessKey"],"reply":{"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"GetAccessKey","method":"GET","path":"/sluice/v1/key","query":["AccessKey"],"reply":{"AccessKey":{"AccessKeyId":"string","CreatedAt":"string","ExpiresAt":"string","LastUsedAt":"string","Name":"string","Networks":["string"],"Principal":"string","Schemes":["string"],"State":"string"},"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"GetApplicationContainer","method":"GET","path":"/sluice/v1/container","query":["AppId"],"reply":{"Code":"integer","Container":{"All":["string"],"Chosen":"boolean","Name":"string"},"Message":"string","RequestId":"string"}},
{"name":"GetApplicationLogs","method":"GET","path":"/sluice/v1/logs","query":["AppId","ContainerName","Lines","PodName","Previous"],"types":{"Lines":"integer","Previous":"boolean"},"reply":{"Code":"integer","Logs":[{"Container":"string","Pod":"string","Text":"string","Unread":"string"}],"Message":"string","RequestId":"string","UnreadPods":"integer"}},
{"name":"GetOrder","method":"GET","path":"/sluice/v1/orders/{id}","query":["id"],"reply":{"Code":"integer","Message":"string","RequestId":"string","order":{}}},
{"name":"GetPolicy","method":"GET","path":"/sluice/v1/policy","query":["Policy"],"reply":{"Code":"integer","Message":"string","Policy":{"CreatedAt":"string","Name":"string","PolicyDocument":"string","Principals":["string"],"UpdatedAt":"string"},"RequestId":"string"}},
{"name":"GetPrincipal","method":"GET","path":"/sluice/v1/principal","query":["Principal"],"reply":{"Code":"integer","Message":"string","Principal":{"Assumed":"boolean","CreatedAt":"string","Grants":[{"Application":"string","Namespace":"string","PodSecurity":"string","Policy":"string","Registries":["string"],"Role":"string","ServiceAccounts":["string"]}],"Keys":"integer","Kind":"string","Name":"string"},"RequestId":"string"}},
{"name":"LiftFreeze","method":"PUT","path":"/sluice/v1/lift_freeze","query":["ChangeOrderId","Reason"],"reply":{"Code":"integer","Data":{"ChangeOrderId":"string"},"ErrorCode":"string","Message":"string","RequestId":"string","TraceId":"string"}},
{"name":"ListAccessKeys","method":"GET","path":"/sluice/v1/keys","query":["After","Limit","Principal"],"types":{"Limit":"integer"},"reply":{"AccessKeys":[{"AccessKeyId":"string","CreatedAt":"string","ExpiresAt":"string","LastUsedAt":"string","Name":"string","Networks":["string"],"Principal":"string","Schemes":["string"],"State":"string"}],"Code":"integer","Message":"string","Next":"string","RequestId":"string"}},
{"name":"ListApplications","method":"GET","path":"/sluice/v1/applications","query":["after","cluster","limit","name","namespace","needs_person","state","text"],"reply":{"Code":"integer","Message":"string","RequestId":"string","applications":[{}],"next":"string"}},
{"name":"ListHoldRules","method":"GET","path":"/sluice/v1/holds","query":[],"reply":{"Code":"integer","HoldRules":[{"Applications":["string"],"CreatedAt":"string","CreatedBy":"string","Description":"string","HeldBy":"string","Kinds":["string"],"Name":"string","Namespaces":["string"],"Periods":["string"],"TimeZone":"string"}],"Message":"string","RequestId":"string"}},
{"name":"ListOrders","method":"GET","path":"/sluice/v1/orders","query":["after","application","cluster","id_prefix","limit","name","namespace","needs_person","since","state","text"],"reply":{"Code":"integer","Message":"string","RequestId":"string","next":"string","orders":[{}]}},
{"name":"ListPolicies","method":"GET","path":"/sluice/v1/policies","query":["After","Limit"],"types":{"Limit":"integer"},"reply":{"Code":"integer","Message":"string","Next":"string","Policies":[{"CreatedAt":"string","Name":"string","Principals":["string"],"UpdatedAt":"string"}],"RequestId":"string","Roles":[{"About":"string","Name":"string"}]}},
{"name":"ListPrincipals","method":"GET","path":"/sluice/v1/principals","query":["After","Limit"],"types":{"Limit":"integer"},"reply":{"Code":"integer","Message":"string","Next":"string","Principals":[{"Assumed":"boolean","CreatedAt":"string","Grants":[{"Application":"string","Namespace":"string","PodSecurity":"string","Policy":"string","Registries":["string"],"Role":"string","ServiceAccounts":["string"]}],"Keys":"integer","Kind":"string","Name":"string"}],"RequestId":"string"}},
{"name":"PreviewDeployment","method":"POST","path":"/sluice/v1/plan","query":[],"reply":{"Checks":[{"Name":"string","Reason":"string","Verdict":"string"}],"Code":"integer","Difference":[{"Kind":"string","Text":"string"}],"Message":"string","Plan":{"Batches":[{"Added":"integer","Canary":"boolean","NewPods":"integer","Next":"string","Number":"integer","OldPods":"integer","Removed":"integer","WaitMinutes":"integer"}],"ExpectedSeconds":"integer","MissingPods":"integer","PeakPods":"integer","PlanHash":"string","Replicas":"integer"},"RequestId":"string"}},
{"name":"RejectChangeOrder","method":"PUT","path":"/sluice/v1/reject","query":["ChangeOrderId","Reason"],"reply":{"Code":"integer","Data":{"ChangeOrderId":"string"},"ErrorCode":"string","Message":"string","RequestId":"string","TraceId":"string"}},
{"name":"RotateAccessKey","method":"POST","path":"/sluice/v1/key/rotate","query":["AccessKey","Grace"],"types":{"Grace":"integer"},"reply":{"AccessKey":{"AccessKeyId":"string","AccessKeySecret":"string","Name":"string","Principal":"string"},"Code":"integer","Message":"string","RequestId":"string"}},
{"name":"SetApplicationContainer","method":"PUT","path":"/sluice/v1/container","query":["AppId","ContainerName"],"reply":{"Code":"integer","Container":{"All":["string"],"Chosen":"boolean","Name":"string"},"Message":"string","RequestId":"string"}},
{"name":"StepBackChangeOrder","method":"PUT","path":"/sluice/v1/step_back","query":["Batch","ChangeOrderId","Reason"],"reply":{"Code":"integer","Data":{"ChangeOrderId":"string"},"ErrorCode":"string","Message":"string","RequestId":"string","TraceId":"string"}},
{"name":"WatchOrder","method":"GET","path":"/sluice/v1/orders/{id}/watch","query":["id"],"reply":{}}
]"#;

/// Our own parameters of EDAS' operations.
const OWN_PARAMETERS: &[(&str, &[&str])] = &[
    ("AbortAndRollbackChangeOrder", &["Reason"]),
    ("AbortChangeOrder", &["Reason"]),
    ("ContinuePipeline", &["Reason"]),
    ("DeleteK8sApplication", &["KeepDeployment", "Reason"]),
    ("DeployK8sApplication", &["AddEnvs", "AllowNoSurge", "DrainSeconds", "PlanHash"]),
    ("InsertK8sApplication", &["DrainSeconds"]),
    ("RestartK8sApplication", &["Reason"]),
    ("RetryChangeOrderTask", &["Reason"]),
    ("RollbackApplication", &["Reason"]),
    ("RollbackChangeOrder", &["Reason"]),
    ("ScaleK8sApplication", &["Reason"]),
    ("StartK8sApplication", &["Reason"]),
    ("StopK8sApplication", &["Reason"]),
];

struct Contract {
    operations: Vec<Operation>,
    own: Vec<Operation>,
    by_target: HashMap<(String, String), (bool, usize)>,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    let read = |text: &str| -> Vec<Operation> {
        serde_json::from_str(text).expect("it is part of the program, and a test reads it")
    };
    let (mut operations, mut own) = (read(include_str!("contract.json")), read(OWN));
    for (name, parameters) in OWN_PARAMETERS {
        for operation in operations.iter_mut().filter(|it| it.name == *name) {
            operation.query.extend(parameters.iter().map(ToString::to_string));
            operation.query.sort();
        }
    }
    // A preview takes what the release takes.
    let deploy = operations
        .iter()
        .find(|it| it.name == "DeployK8sApplication")
        .map(|it| it.query.clone())
        .unwrap_or_default();
    for operation in own.iter_mut().filter(|it| it.name == "PreviewDeployment") {
        operation.query.clone_from(&deploy);
    }
    let targets = |own: bool, list: &[Operation]| -> Vec<_> {
        list.iter()
            .enumerate()
            .map(|(index, it)| ((it.method.clone(), it.path.clone()), (own, index)))
            .collect()
    };
    let by_target = targets(false, &operations).into_iter().chain(targets(true, &own)).collect();
    Contract { operations, own, by_target }
});

/// All operations of EDAS, sorted by name.
#[must_use]
pub fn operations() -> &'static [Operation] {
    &CONTRACT.operations
}

/// Our own operations, sorted by name.
#[must_use]
pub fn own() -> &'static [Operation] {
    &CONTRACT.own
}

/// The operation with exactly this method and path. HEAD is not GET here: two
/// operations change something although they are called with GET.
#[must_use]
pub fn find(method: &Method, path: &str) -> Option<&'static Operation> {
    let path = with_places(path);
    let (own, index) = CONTRACT.by_target.get(&(method.as_str().to_owned(), path.to_owned()))?;
    if *own { CONTRACT.own.get(*index) } else { CONTRACT.operations.get(*index) }
}

/// `path` with `{id}` where our own operations have an id; EDAS' have none in their paths.
fn with_places(path: &str) -> &str {
    match path.strip_prefix("/sluice/v1/orders/").map(|rest| rest.split_once('/')) {
        Some(None) => "/sluice/v1/orders/{id}",
        Some(Some((_, "watch"))) => "/sluice/v1/orders/{id}/watch",
        _ => path,
    }
}

/// Whether `parameter` of EDAS' `operation` is one of ours.
#[cfg(test)]
pub(crate) fn is_own_parameter(operation: &str, parameter: &str) -> bool {
    OWN_PARAMETERS
        .iter()
        .any(|(name, parameters)| *name == operation && parameters.contains(&parameter))
}

impl Operation {
    /// Whether `parameter` is documented for this operation.
    #[must_use]
    pub fn takes(&self, parameter: &str) -> bool {
        self.query.binary_search_by(|name| name.as_str().cmp(parameter)).is_ok()
    }

    /// What an error reply must hold besides its code: clients read order and
    /// application ids before they look at the code, and crash where the key is
    /// missing; one reads an order's status and no code at all (R10).
    #[must_use]
    pub fn blank(&self) -> Map<String, Value> {
        let mut blank = Map::new();
        if self.reply.contains_key("changeOrderInfo") {
            blank.insert("changeOrderInfo".into(), json!({ "Status": FAILED }));
        }
        if self.reply.contains_key("ChangeOrderId") {
            blank.insert("ChangeOrderId".into(), "".into());
        }
        for name in ["Data", "ApplicationInfo"] {
            let Some(Value::Object(fields)) = self.reply.get(name) else { continue };
            if fields.contains_key("ChangeOrderId") {
                let texts = fields.iter().filter(|(_, kind)| *kind == "string");
                blank.insert(
                    name.into(),
                    texts
                        .map(|(key, _)| (key.clone(), Value::from("")))
                        .collect::<Map<_, _>>()
                        .into(),
                );
            }
        }
        blank
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_162_operations_are_told_apart_by_method_and_path() {
        assert_eq!(operations().len(), 162);
        assert_eq!(CONTRACT.by_target.len(), 162 + own().len());
        for operation in operations() {
            assert!(operation.query.is_sorted());
            assert!(
                operation
                    .required
                    .iter()
                    .chain(operation.types.keys())
                    .all(|it| operation.takes(it)),
                "{}",
                operation.name
            );
        }
        assert_eq!(operations().iter().filter(|it| it.form).count(), 10);
    }

    #[test]
    fn the_same_path_with_another_method_is_another_operation() {
        let name =
            |method: Method| find(&method, "/pop/v5/k8s/acs/k8s_apps").map(|it| it.name.as_str());
        assert_eq!(name(Method::POST), Some("DeployK8sApplication"));
        assert_eq!(name(Method::PUT), Some("ScaleK8sApplication"));
        assert_eq!(name(Method::DELETE), Some("DeleteK8sApplication"));
        assert_eq!(name(Method::GET), None);
        assert!(find(&Method::HEAD, "/pop/v5/changeorder/pipeline_batch_confirm").is_none());
    }

    #[test]
    fn an_error_reply_has_an_empty_order_id_wherever_the_operation_declares_one() {
        let blank = |name: &str| {
            Value::Object(operations().iter().find(|it| it.name == name).unwrap().blank())
        };
        assert_eq!(blank("DeployK8sApplication"), json!({ "ChangeOrderId": "" }));
        assert_eq!(blank("UnbindK8sSlb"), json!({ "ChangeOrderId": "" }));
        assert_eq!(blank("AbortChangeOrder"), json!({ "Data": { "ChangeOrderId": "" } }));
        let created = blank("InsertK8sApplication");
        assert_eq!(
            (&created["ApplicationInfo"]["AppId"], &created["ApplicationInfo"]["ChangeOrderId"]),
            (&json!(""), &json!(""))
        );
        assert_eq!(blank("GetChangeOrderInfo"), json!({ "changeOrderInfo": { "Status": 3 } }));
        assert_eq!(blank("ListApplication"), json!({}));
    }
}
