//! What texts must look like, parameter by parameter: the values that are wrong. A parameter
//! has one form in all operations, but for those that `ELSEWHERE` names.

mod access;
mod hold;

/// What a text must look like.
pub(super) enum Form {
    /// The id of a thing.
    Id,
    /// JSON; these are readable and of another shape than must be.
    Json(&'static [&'static str]),
    /// A text with a form of its own; these have another, and too long is wrong.
    Word(&'static [&'static str]),
    /// Free text, of which only too much is wrong.
    Text,
    /// Whatever is given means something, for this reason: only control characters are wrong.
    Any(#[allow(dead_code, reason = "for who reads the table")] &'static str),
}

const PROBE: Form = Form::Json(&[
    r#"{"tcpSocket":{}}"#,
    r#"{"tcpSocket":{"port":99999}}"#,
    r#"{"tcpSocket":8080}"#,
    r#"{"httpGet":{"path":"/"}}"#,
    r#"{"exec":{}}"#,
    r#"{"exec":{"command":"ls"}}"#,
    r#"{"tcpSocket":{"port":80},"periodSeconds":-1}"#,
    r#"{"tcpSocket":{"port":80},"periodSeconds":"often"}"#,
    r#"{"periodSeconds":1}"#,
]);

const HOOK: Form = Form::Json(&[
    r#"{"exec":{}}"#,
    r#"{"httpGet":{}}"#,
    r#"{"shell":"ls"}"#,
    r#"{"tcpSocket":{"port":-1}}"#,
]);

const CONTAINERS: Form = Form::Json(&[
    r#"{"yamlEncoded":"eA=="}"#,
    r#"[{}]"#,
    r#"[{"yamlEncoded":1}]"#,
    r#"[{"yamlEncoded":"%%%"}]"#,
    // "name: a", a list, what is no YAML, and a NUL.
    r#"[{"yamlEncoded":"bmFtZTogYQ=="}]"#,
    r#"[{"yamlEncoded":"LSAx"}]"#,
    r#"[{"yamlEncoded":"ew=="}]"#,
    r#"[{"yamlEncoded":"bmFtZTogImFcMCIKaW1hZ2U6IGI="}]"#,
    r#"[{"yamlEncoded":"bmFtZTogQSBCCmltYWdlOiBi"}]"#,
]);

const NAMES_OF_THINGS: &[&str] = &["A B", "-x", "x/y"];
const FILTER: Form = Form::Any("a filter: what nothing has finds nothing");
const SCALING: &[&str] = &[
    r#"{"minReplicas":1}"#,
    r#"{"minReplicas":0,"maxReplicas":2,"triggers":[]}"#,
    r#"{"minReplicas":3,"maxReplicas":2,"triggers":[{"type":"cpu","metaData":{"type":"Utilization","value":"50"}}]}"#,
    r#"{"minReplicas":1,"maxReplicas":2,"triggers":[{"type":"cron","metaData":{}}]}"#,
];
/// Of an Ingress, null takes a label or an annotation away.
const INGRESS_NAMES: Form =
    Form::Json(&[r#"{"a":{}}"#, r#"{"a b":"x"}"#, r#"{"":"x"}"#, r#"{"a/b/c":"x"}"#]);

const VARIABLES: Form = Form::Json(&[
    r#"[{}]"#,
    r#"{"name":"A","value":"x"}"#,
    r#"[{"value":"hidden"}]"#,
    r#"[{"name":"","value":"hidden"}]"#,
    r#"[{"name":"A","value":["hidden"]}]"#,
    r#"[{"name":"A B","value":"hidden"}]"#,
    r#"[{"name":"A=B","value":"hidden"}]"#,
    r#"[{"name":"A","valueFrom":{"fieldRef":{"fieldPath":"x"}}}]"#,
    r#"[{"name":"A","valueFrom":{"secretKeyRef":{"name":"a"}}}]"#,
]);

/// Every parameter that is a text.
const FORMS: &[(&str, Form)] = &[
    ("AddEnvs", VARIABLES),
    (
        "Annotations",
        Form::Json(&[
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a b":"x"}"#,
            r#"{"":"x"}"#,
            r#"{"a/b/c":"x"}"#,
        ]),
    ),
    ("AppId", Form::Id),
    ("AppIds", Form::Json(&[r#"[1]"#, r#"[{}]"#])),
    (
        "AppName",
        Form::Word(&[
            "Web",
            "-web",
            "web-",
            "web shop",
            "1web",
            "web.shop",
            "wéb",
            "a-name-that-is-longer-than-36-characters",
        ]),
    ),
    ("ApplicationDescription", Form::Text),
    (
        "Args",
        Form::Json(&[
            r#"{"argument":"a"}"#,
            r#"[{"x":"a"}]"#,
            r#"[{"argument":[]}]"#,
            r#"[["a"]]"#,
        ]),
    ),
    ("ChangeOrderDesc", Form::Text),
    ("ChangeOrderId", Form::Id),
    ("ClusterId", Form::Id),
    ("Command", Form::Any("whatever the image can run; Kubernetes does not judge it either")),
    ("CommandArgs", Form::Json(&[r#"{"argument":"a"}"#, r#"[{"x":"a"}]"#, r#"[{"argument":[]}]"#])),
    (
        "ConfigMountDescs",
        Form::Json(&[
            r#"[{}]"#,
            r#"[{"name":"a","type":"Other","mountPath":"/x"}]"#,
            r#"[{"name":"a","type":"Secret","mountPath":"x"}]"#,
            r#"[{"name":1,"type":"Secret","mountPath":"/x"}]"#,
            r#"{"name":"a","type":"Secret","mountPath":"/x"}"#,
            r#"[{"name":"A B","type":"Secret","mountPath":"/x"}]"#,
        ]),
    ),
    ("ContainerName", Form::Word(&["Web", "-web", "web-", "a b", "a.b"])),
    ("PodName", Form::Word(&["Web-1", "-web", "web-", "a b", "a..b"])),
    (
        "Content",
        Form::Word(&[
            r#"{"password":"hidden"#,
            "[hidden]",
            "password: hidden",
            r#""hidden""hidden""#,
        ]),
    ),
    ("CustomAffinity", Form::Json(&[r#"{"nodeAffinity":1}"#, r#"{"podAffinity":[]}"#])),
    ("CustomTolerations", Form::Json(&[r#"{"key":"a"}"#, r#"[{"key":1}]"#, r#"[["a"]]"#])),
    (
        "Data",
        Form::Json(&[
            r#"{"Key":"a","Value":"x"}"#,
            r#"[{"Value":"x"}]"#,
            r#"[{"Key":"a b","Value":"hidden"}]"#,
            r#"[{"Key":"","Value":"hidden"}]"#,
            r#"[{"Key":"a","Value":"hidden"},{"Key":"a","Value":"hidden"}]"#,
        ]),
    ),
    ("DeployAcrossNodes", Form::Any("`true` is yes and every other text no, as EDAS documents it")),
    ("DeployAcrossZones", Form::Any("`true` is yes and every other text no, as EDAS documents it")),
    ("Description", Form::Text),
    ("Email", Form::Text),
    (
        "EmptyDirs",
        Form::Json(&[
            r#"[{}]"#,
            r#"{"mountPath":"/a"}"#,
            r#"[{"mountPath":"a"}]"#,
            r#"[{"mountPath":1}]"#,
            r#"[{"mountPath":"/a","readOnly":"x"}]"#,
        ]),
    ),
    (
        "EnvFroms",
        Form::Json(&[
            r#"[{}]"#,
            r#"{"configMapRef":{"name":"a"}}"#,
            r#"[{"configMapRef":{}}]"#,
            r#"[{"fileRef":{"name":"a"}}]"#,
        ]),
    ),
    ("Envs", VARIABLES),
    ("Format", Form::Word(&["json", "Toml", "JSON ", "Key Value"])),
    ("From", Form::Word(&["release", "DEPLOY "])),
    (
        "GroupId",
        Form::Any("every group is the default one, as a Kubernetes application has only one"),
    ),
    ("HistoryVersion", Form::Id),
    ("Image", Form::Word(&["shop/web: 2", "shop/web\t2", "\u{2003}"])),
    ("ImageTag", Form::Word(&["-1", "1 0", "a:b", "a/b", "ü"])),
    ("ImageUrl", Form::Word(&["shop/web: 2", "shop/web\t2", "\u{2003}"])),
    ("InitContainers", CONTAINERS),
    (
        "JDK",
        Form::Any("says nothing with an image; for a package it is one of the operator's table"),
    ),
    (
        "JavaStartUpConfig",
        Form::Json(&[
            r#"{"A":"-Xms1m"}"#,
            r#"{"A":{"startup":1}}"#,
            r#"{"A":{"startup":"-Xms1m"}}"#,
        ]),
    ),
    (
        "Labels",
        Form::Json(&[
            r#"{"a":null}"#,
            r#"{"a":{}}"#,
            r#"{"a b":"x"}"#,
            r#"{"":"x"}"#,
            r#"{"a":"x y"}"#,
        ]),
    ),
    ("Liveness", PROBE),
    (
        "LocalVolume",
        Form::Json(&[
            r#"[{}]"#,
            r#"[{"type":"","nodePath":"x","mountPath":"/a"}]"#,
            r#"[{"type":"","nodePath":"/x","mountPath":"a"}]"#,
            r#"[{"type":1,"nodePath":"/x","mountPath":"/a"}]"#,
            r#"[{"type":"Drawer","nodePath":"/x","mountPath":"/a"}]"#,
        ]),
    ),
    ("LogicalRegionId", Form::Word(&["a b", ":", "a:", "a:b:c", "a/b"])),
    ("LogicalRegionIdFilter", Form::Any("a filter: nothing is found")),
    ("Namespace", Form::Word(&["nowhere", "De Fault", "a/b"])),
    ("NamespaceId", Form::Word(&["a b", ":", "a:b:c", "a/b"])),
    ("Owner", Form::Text),
    ("PackageType", Form::Word(&["Zip", "image ", "PythonZip"])),
    (
        "PackageUrl",
        Form::Word(&[
            "no address",
            "ftp://files.example/web.jar?token=hidden",
            "http://me:hidden@/web.jar",
            "file:///etc/passwd",
        ]),
    ),
    ("PackageVersion", Form::Text),
    ("PackageVersionId", Form::Id),
    ("PhoneNumber", Form::Text),
    ("PipelineId", Form::Id),
    ("PlanHash", Form::Word(&["x", "0000000000000000"])),
    ("PostStart", HOOK),
    ("PreStop", HOOK),
    (
        "PvcMountDescs",
        Form::Json(&[
            r#"[{}]"#,
            r#"[{"pvcName":"a"}]"#,
            r#"[{"pvcName":"a","mountPaths":[]}]"#,
            r#"[{"pvcName":"a","mountPaths":[{"mountPath":"x"}]}]"#,
            r#"[{"pvcName":"a","mountPaths":"/x"}]"#,
            r#"[{"pvcName":1,"mountPaths":[{"mountPath":"/x"}]}]"#,
        ]),
    ),
    ("Reason", Form::Text),
    ("Readiness", PROBE),
    ("RegionName", Form::Text),
    ("RegionTag", Form::Word(&["a b", ":", "a:", "a:b:c", "a/b"])),
    ("RegistryType", Form::Word(&["nacos", "DEFAULT "])),
    (
        "ResourceIds",
        Form::Json(&[
            r#"{"a":"b"}"#,
            r#"[1]"#,
            r#"["x"]"#,
            r#"["01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e"]"#,
        ]),
    ),
    (
        "ResourceRegionId",
        Form::Any("the server has only one region, and finds its applications whatever is given"),
    ),
    ("ResourceName", Form::Word(&["Web", "-web", "web shop"])),
    (
        "ResourceContent",
        Form::Word(&[
            "hidden",
            "a: {hidden",
            "- hidden",
            "kind: Deployment\n---\nkind: Deployment",
            r#"{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{}]}}}}"#,
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"hidden":[{}]}}}}"#,
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":"hidden","template":{"spec":{"containers":[{}]}}}}"#,
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{"image":"\u0000"}]}}}}"#,
        ]),
    ),
    ("ResourceType", Form::Word(&["cluster", "Application "])),
    ("RuntimeClassName", Form::Word(NAMES_OF_THINGS)),
    ("SecretName", Form::Word(NAMES_OF_THINGS)),
    (
        "SecurityContext",
        Form::Word(&["%%%", "{}", "LSAx", "ew==", "cnVuQXNVc2VyOiB4", "YTogIlwwIg=="]),
    ),
    ("Sidecars", CONTAINERS),
    ("Startup", PROBE),
    ("SubClusterType", Form::Any("a filter: nothing is found")),
    ("TagKeys", Form::Json(&[r#"{"a":"b"}"#, r#"[1]"#, r#"[["a"]]"#])),
    (
        "Tags",
        Form::Json(&[
            r#"{"key":"a"}"#,
            r#"[1]"#,
            r#"[{"value":"a"}]"#,
            r#"[{"key":"","value":"a"}]"#,
            r#"[{"key":1,"value":"a"}]"#,
        ]),
    ),
    ("TaskId", Form::Id),
    (
        "UpdateStrategy",
        Form::Json(&[
            r#"{"type":"Rolling"}"#,
            r#"{"type":1}"#,
            r#"{"batchUpdate":{"batch":2}}"#,
            r#"{"type":"BatchUpdate","batchUpdate":{"batch":0}}"#,
            r#"{"type":"BatchUpdate","batchUpdate":{"batch":-1}}"#,
            r#"{"type":"BatchUpdate","batchUpdate":{"batch":5}}"#,
            r#"{"type":"BatchUpdate","batchUpdate":{"batch":"two"}}"#,
            r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"fast"}}"#,
            r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"auto","batchWaitTime":-1}}"#,
            r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":2}}"#,
            r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":1},"grayUpdate":{"gray":0}}"#,
            r#"{"type":"GrayBatchUpdate","batchUpdate":{"batch":1},"grayUpdate":{"gray":3}}"#,
        ]),
    ),
    ("UriEncoding", Form::Word(&["latin1", "utf 8"])),
    (
        "WebContainer",
        Form::Any("says nothing with an image; for a package it is one of the operator's table"),
    ),
    (
        "WebContainerConfig",
        Form::Json(&[
            r#"{"httpPort":1}"#,
            r#"{"port":8080}"#,
            r#"{"contextInputType":"custom"}"#,
            r#"{"httpPort":8088}"#,
        ]),
    ),
    ("WorkloadType", Form::Word(&["StatefulSet", "deployment "])),
    (
        "Condition",
        Form::Json(&[
            r#"{"field":"Size","pattern":"a"}"#,
            r#"{"field":"Name"}"#,
            r#"{"field":1,"pattern":"a"}"#,
        ]),
    ),
    ("ExternalTrafficPolicy", Form::Word(&["Everywhere", "local cluster"])),
    (
        "IngressConf",
        Form::Json(&[
            r#"{"rules":1}"#,
            r#"{"rules":[1]}"#,
            r#"{"rules":[{"paths":[{"path":"x","backend":{}}]}]}"#,
            r#"{"rules":[{"host":"A B","paths":[]}]}"#,
        ]),
    ),
    ("InternetSlbId", Form::Word(&["lb 1", "lb/1"])),
    ("InternetSlbProtocol", Form::Word(&["HTTPS", "UDP"])),
    ("IntranetSlbId", Form::Word(&["lb 1", "lb/1"])),
    ("IntranetSlbProtocol", Form::Word(&["HTTPS", "UDP"])),
    ("Name", Form::Word(&["A B", "-x", "x/y", "Web", "1web"])),
    (
        "ScalingBehaviour",
        Form::Json(&[r#"{"scaleDown":1}"#, r#"{"scaleUp":{"policies":[{"type":"Many"}]}}"#]),
    ),
    ("ScalingRuleMetric", Form::Json(SCALING)),
    ("ScalingRuleName", Form::Word(&["A B", "-x", "x/y", "Shop", "1shop"])),
    ("ScalingRuleTrigger", Form::Json(SCALING)),
    ("ScalingRuleType", Form::Word(&["timing", "Trigger "])),
    ("Scheduler", Form::Word(&["fast", "r r"])),
    (
        "ServiceConfigs",
        Form::Json(&[
            r#"[{}]"#,
            r#"[{"name":"a b","serviceType":"ClusterIP","portMappings":[{"servicePort":{"port":80}}]}]"#,
            r#"[{"name":"a","serviceType":"Other","portMappings":[{"servicePort":{"port":80}}]}]"#,
            r#"[{"name":"a","serviceType":"ClusterIP","portMappings":[]}]"#,
            r#"[{"name":"a","serviceType":"ClusterIP","portMappings":[{"servicePort":{"port":0}}]}]"#,
        ]),
    ),
    (
        "ServicePortInfos",
        Form::Json(&[
            r#"[{}]"#,
            r#"[{"port":0}]"#,
            r#"[{"port":80,"loadBalancerProtocol":"FTP"}]"#,
            r#"[{"port":443,"loadBalancerProtocol":"HTTPS"}]"#,
        ]),
    ),
    (
        "ServicePorts",
        Form::Json(&[
            r#"[]"#,
            r#"[{}]"#,
            r#"[{"port":0}]"#,
            r#"[{"port":65536}]"#,
            r#"[{"port":80,"protocol":"ICMP"}]"#,
            r#"[{"port":80,"targetPort":"A B"}]"#,
        ]),
    ),
    ("SlbId", Form::Word(&["lb 1", "lb/1"])),
    ("SlbName", Form::Word(&["other", "web", "web-internet "])),
    ("SlbProtocol", Form::Word(&["HTTPS", "UDP"])),
    ("Specification", Form::Word(&["slb small", "slb/small"])),
    ("Type", Form::Word(&["LoadBalancer", "Other"])),
    ("after", Form::Word(&["x"])),
    ("application", Form::Word(&["web"])),
    ("cluster", FILTER),
    ("id_prefix", FILTER),
    ("name", FILTER),
    ("namespace", FILTER),
    ("since", Form::Word(&["yesterday"])),
    ("state", Form::Word(&["lost"])),
    ("text", FILTER),
];

/// Where a parameter means something else.
const ELSEWHERE: &[(&str, &str, Form)] = &[
    ("CreateK8sSecret", "Type", Form::Word(&["Other", "kubernetes.io/service-account-token"])),
    ("UpdateK8sSecret", "Type", Form::Word(&["Other", "kubernetes.io/service-account-token"])),
    // A Deployment that is there may have any name that Kubernetes allows: it is looked for.
    ("AdoptDeployment", "AppName", Form::Word(&["Web", "-web", "web-", "web shop", "wéb"])),
    ("InsertK8sApplication", "AppName", Form::Word(&["Web", "-web", "web-", "web shop", "wéb"])),
    ("ConvertK8sResource", "ResourceType", Form::Word(&["statefulset", "Deployment "])),
    ("CreateConfigTemplate", "Name", Form::Text),
    ("CreateK8sIngressRule", "Annotations", INGRESS_NAMES),
    ("CreateK8sIngressRule", "Labels", INGRESS_NAMES),
    ("UpdateConfigTemplate", "Name", Form::Text),
    ("UpdateK8sIngressRule", "Annotations", INGRESS_NAMES),
    ("UpdateK8sIngressRule", "Labels", INGRESS_NAMES),
    ("DeleteUserDefineRegion", "RegionTag", Form::Id),
    ("GetK8sAppPrecheckResult", "AppName", Form::Id),
    ("GetK8sAppPrecheckResult", "Namespace", Form::Id),
    (
        "GetK8sCluster",
        "RegionTag",
        Form::Any("the server has only one region, and shows its cluster whatever is given"),
    ),
    ("ListApplication", "AppName", Form::Any("a filter: nothing is found")),
    ("ListApplication", "ClusterId", Form::Any("a filter: nothing is found")),
    ("ListApplication", "LogicalRegionId", Form::Any("a filter: nothing is found")),
    ("ListCluster", "LogicalRegionId", Form::Any("a filter: nothing is found")),
    ("ListConfigTemplates", "Name", Form::Any("a filter: nothing is found")),
    ("ListTagResources", "ResourceIds", Form::Json(&[r#"{"a":"b"}"#, r#"[1]"#, r#"["x"]"#])),
    (
        "ListTagResources",
        "Tags",
        Form::Json(&[
            r#"{"key":"a"}"#,
            r#"[1]"#,
            r#"[{"value":"a"}]"#,
            r#"[{"key":1,"value":"a"}]"#,
        ]),
    ),
    (
        "PreviewDeployment",
        "PlanHash",
        Form::Any("a preview is not held up to another; it tells the hash"),
    ),
    (
        "StartK8sAppPrecheck",
        "AppName",
        Form::Word(&["Web", "-web", "web shop", "a-name-that-is-longer-than-36-characters"]),
    ),
];

/// What an error names in place of a parameter that holds the name of a thing: the
/// thing does not exist.
const THINGS: &[(&str, &str)] = &[
    ("Name", "hold rule"),
    ("AccessKey", "the access key"),
    ("AppId", "the application"),
    ("AppName", "a precheck of"),
    ("ChangeOrderId", "the change order"),
    ("ClusterId", "the cluster"),
    ("HistoryVersion", "the version"),
    ("Namespace", "a precheck of"),
    ("PackageVersionId", "the version"),
    ("PipelineId", "the batch"),
    ("Policy", "the policy"),
    ("Principal", "the principal"),
    ("RegionTag", "the namespace"),
    ("ResourceIds", "the application"),
    ("TaskId", "the task"),
];

/// How errors name the thing that a parameter names.
pub(super) fn thing(parameter: &str) -> Option<&'static str> {
    THINGS.iter().find(|(name, _)| *name == parameter).map(|(_, thing)| *thing)
}

/// The form of a text; none = it has none, since it is no text or is not in the table.
pub(super) fn form(operation: &str, parameter: &str) -> Option<&'static Form> {
    let mut elsewhere = ELSEWHERE.iter().chain(access::ELSEWHERE).chain(hold::ELSEWHERE);
    let mut all = FORMS.iter().chain(access::FORMS).chain(hold::FORMS);
    let own = elsewhere.find(|it| it.0 == operation && it.1 == parameter);
    own.map(|it| &it.2).or_else(|| all.find(|(name, _)| *name == parameter).map(|(_, form)| form))
}
