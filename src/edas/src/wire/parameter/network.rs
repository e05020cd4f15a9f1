//! The parameters of Services, load balancers and ingress rules.

use super::{
    Parameter, boolean, integer,
    shared::{APP_ID, CLUSTER_ID, CONDITION, NAMESPACE, ONLY_NAMESPACE, OPTIONAL_CLUSTER_ID},
    text,
};

pub(super) const INGRESS: Parameter = text("Name").required().about("The Ingress' name.");

pub(super) const DEPLOYED_APP_ID: Parameter =
    text("AppId").required().about("The application's id. It must have a Deployment.");

pub(super) const SERVICE: Parameter = text("Name").required().about("The Service's name.");

pub(super) const TYPE: Parameter = text("Type")
    .required()
    .about("Which of the application's load balancers: `internet` or `intranet`, in any case.");

/// Of CreateK8sIngressRule.
pub const CREATE_K8S_INGRESS_RULE: &[Parameter] = &[
    CLUSTER_ID,
    NAMESPACE,
    text("Name").required()
        .about("The Ingress' name: a lower-case letter, then lower-case letters, digits and \
                `-`, at most 63. None of that name may exist in the namespace."),
    text("IngressConf").required()
        .about("The rules: JSON, or dotted parameters counted from 1 \
                (`IngressConf.rules.1.host`). Each has a `host` (any if absent), a `secretName` \
                for TLS, and `paths` with `path` (`/` if absent), `pathType` \
                (`ImplementationSpecific` if absent, `Exact`, `Prefix`) and `backend`: \
                `serviceName` and `servicePort`, a number or a name.")
        .example(r#"{"rules":[{"host":"shop.example","secretName":"shop-tls","paths":[{"path":"/","backend":{"serviceName":"web","servicePort":80}}]}]}"#),
    text("Labels")
        .about("Labels: JSON object of texts."),
    text("Annotations")
        .about("Annotations: JSON object of texts.")
        .example(r#"{"kubernetes.io/ingress.class":"nginx"}"#),
];

/// Of UpdateK8sIngressRule.
pub const UPDATE_K8S_INGRESS_RULE: &[Parameter] = &[
    CLUSTER_ID,
    NAMESPACE,
    INGRESS,
    text("IngressConf").about("The rules, as in CreateK8sIngressRule; absent keeps them."),
    text("Labels").about("Labels: JSON object of texts, or null to remove one."),
    text("Annotations").about("Annotations: JSON object of texts, or null to remove one."),
];

/// Of ListK8sIngressRules.
pub const LIST_K8S_INGRESS_RULES: &[Parameter] = &[OPTIONAL_CLUSTER_ID, ONLY_NAMESPACE, CONDITION];

/// Of DeleteK8sIngressRule.
pub const DELETE_K8S_INGRESS_RULE: &[Parameter] = &[CLUSTER_ID, NAMESPACE, INGRESS];

/// Of CreateK8sService.
pub const CREATE_K8S_SERVICE: &[Parameter] = &[
    DEPLOYED_APP_ID,
    text("Name")
        .required()
        .about(
            "The Service's name: a lower-case letter, then lower-case letters, digits and \
             `-`, at most 63. None of that name may exist in the application's namespace.",
        )
        .example("web"),
    text("Type")
        .required()
        .about(
            "`ClusterIP`: within the cluster. `NodePort`: on a port of every node, too. \
             BindK8sSlb makes one with a load balancer.",
        )
        .example("ClusterIP"),
    text("ServicePorts")
        .required()
        .about(
            "JSON list of `{protocol, port, targetPort}`: `TCP` (if absent) or `UDP`, the \
             Service's port, and the container's port or its name (the same port if absent).",
        )
        .example(r#"[{"protocol":"TCP","port":80,"targetPort":8080}]"#),
    text("ExternalTrafficPolicy").about(
        "For the Type NodePort. `Local` (if absent): the instances of a node get what \
         comes to that node. `Cluster`: all instances do.",
    ),
];

/// Of UpdateK8sService.
pub const UPDATE_K8S_SERVICE: &[Parameter] = &[
    APP_ID,
    SERVICE,
    text("Type").about("`ClusterIP` or `NodePort`, as in CreateK8sService; absent keeps it."),
    text("ServicePorts")
        .about("As in CreateK8sService; absent keeps them.")
        .example(r#"[{"protocol":"TCP","port":80,"targetPort":8080}]"#),
    text("ExternalTrafficPolicy")
        .about("`Local` or `Cluster`, as in CreateK8sService; absent keeps it."),
];

/// Of GetK8sServices.
pub const GET_K8S_SERVICES: &[Parameter] = &[APP_ID];

/// Of DeleteK8sService.
pub const DELETE_K8S_SERVICE: &[Parameter] = &[APP_ID, SERVICE];

/// Of BindK8sSlb.
pub const BIND_K8S_SLB: &[Parameter] = &[
    DEPLOYED_APP_ID,
    OPTIONAL_CLUSTER_ID,
    text("Type")
        .required()
        .about(
            "The network that it is reached from: `internet` or `intranet`, in any case \
             (annotation `address-type`).",
        )
        .example("intranet"),
    text("SlbId").about(
        "A load balancer that exists (annotation `id`); its listeners of these ports \
         are replaced (`force-override-listeners`). If absent, the cloud makes one.",
    ),
    text("ServicePortInfos")
        .about(
            "JSON list of `{port, targetPort, loadBalancerProtocol, certId}`: the load \
             balancer's port, the container's, `TCP` (if absent), `HTTP` or `HTTPS` \
             (annotation `protocol-port`), and for HTTPS the certificate's id (`cert-id`), \
             the same for all. This, or Port and TargetPort, must be given.",
        )
        .example(r#"[{"port":80,"targetPort":8080,"loadBalancerProtocol":"TCP"}]"#),
    integer("Port", 1, 65_535).about("The load balancer's port, in place of ServicePortInfos."),
    integer("TargetPort", 1, 65_535).about("The container's port for Port."),
    text("SlbProtocol")
        .about("Protocol of Port: `TCP` (if absent) or `HTTP`. HTTPS needs ServicePortInfos."),
    text("Scheduler").about(
        "How an instance is chosen: `rr` in turn, `wrr` by weight (annotation \
         `scheduler`); the cloud's default if absent.",
    ),
    text("Specification").about(
        "How big it is, such as `slb.s1.small` (annotation `spec`); the cloud's default \
         if absent.",
    ),
];

/// Of UpdateK8sSlb.
pub const UPDATE_K8S_SLB: &[Parameter] = &[
    APP_ID,
    OPTIONAL_CLUSTER_ID,
    TYPE,
    text("SlbName").about(
        "Name of the binding, if given: `<application>-internet` or \
         `<application>-intranet`, as Type says.",
    ),
    text("ServicePortInfos")
        .about("As in BindK8sSlb.")
        .example(r#"[{"port":80,"targetPort":8080,"loadBalancerProtocol":"TCP"}]"#),
    integer("Port", 1, 65_535).about("As in BindK8sSlb."),
    integer("TargetPort", 1, 65_535).about("As in BindK8sSlb."),
    text("SlbProtocol").about("As in BindK8sSlb."),
    text("Scheduler").about("As in BindK8sSlb."),
    text("Specification").about("As in BindK8sSlb."),
    boolean("DisableForceOverride").about(
        "`true`: listeners that the load balancer has are kept; `false`: they are \
         replaced (annotation `force-override-listeners`).",
    ),
];

/// Of UnbindK8sSlb.
pub const UNBIND_K8S_SLB: &[Parameter] = &[
    APP_ID,
    OPTIONAL_CLUSTER_ID,
    TYPE,
    text("SlbName").about("Name of the binding, if given, as in UpdateK8sSlb."),
];
