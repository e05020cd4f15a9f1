//! The inputs of callers, under names of our own.
//!
//! A rejection names its input. Only the API or form knows what it calls that input:
//! `edas` has a table of EDAS' parameters.

use std::fmt;

/// The enum, all of its values, and what each is called.
macro_rules! inputs {
    ($($(#[$doc:meta])* $name:ident => $word:literal,)+) => {
        /// Something that a caller hands in, and that can be refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Input {
            $($(#[$doc])* $name,)+
        }

        impl Input {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// What it is called where nobody has another name for it.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

inputs! {
    /// An access key, by its id or name.
    AccessKey => "access key",
    /// The name of a new access key.
    AccessKeyName => "name",
    /// Name of a channel through which people are told.
    Channel => "channel",
    ApplicationDescription => "application's description",
    ApplicationName => "application's name",
    Annotations => "annotations",
    /// Which applications a rule is for, by patterns of their names.
    Applications => "applications",
    /// Time between two batches.
    BatchInterval => "time between batches",
    BatchTimeout => "timeout of a batch",
    /// A number of batches.
    Batches => "number of batches",
    Cluster => "cluster",
    ClusterIdentity => "identity of the cluster",
    /// What a ConfigMap or Secret holds.
    ConfigData => "data",
    ContainerName => "container's name",
    CpuLimit => "CPU limit",
    CpuRequest => "CPU request",
    /// A Deployment's whole text.
    Deployment => "Deployment's text",
    Description => "description",
    Email => "e-mail address",
    AddedEnvironment => "environment variables that are added",
    Environment => "environment variables",
    /// Services that an application is created with.
    FirstServices => "Services",
    /// A rule that holds orders off, by its name.
    HoldRule => "rule",
    Image => "image",
    ImageTag => "image tag",
    IngressRules => "Ingress rules",
    InternetLoadBalancer => "load balancer for the internet",
    IntranetLoadBalancer => "load balancer for the intranet",
    Jdk => "JDK",
    /// Options of the Java virtual machine.
    JvmOptions => "options of the Java virtual machine",
    /// Whether listeners stay that somebody else made.
    KeepsListeners => "protection of a load balancer's listeners",
    /// What orders do that a rule is for.
    Kinds => "kinds of orders",
    Labels => "labels",
    LoadBalancer => "load balancer",
    /// How a load balancer shares out requests.
    LoadBalancerScheduler => "load balancer's scheduler",
    LoadBalancerName => "load balancer's name",
    LoadBalancerPort => "load balancer's port",
    LoadBalancerPorts => "load balancer's ports",
    /// How large a load balancer is.
    LoadBalancerSize => "load balancer's size",
    /// The EDAS namespace of an application.
    LogicalRegion => "EDAS namespace",
    MemoryLimit => "memory limit",
    MemoryRequest => "memory request",
    /// How long a pod must be Ready before it counts.
    MinReadyTime => "time that a pod must be Ready",
    /// Networks that an access key may be used from.
    Networks => "networks",
    /// The Kubernetes namespace.
    Namespace => "Kubernetes namespace",
    /// Which Kubernetes namespaces a rule is for, by patterns.
    Namespaces => "Kubernetes namespaces",
    /// Name of an object beside a Deployment.
    ObjectName => "name",
    OrderDescription => "description",
    Owner => "owner",
    PackageAddress => "package's address",
    PackageKind => "package's kind",
    /// When a freeze window is closed.
    Periods => "periods",
    Phone => "phone number",
    PlanHash => "hash of the plan",
    /// A person or a program, by its name.
    Principal => "principal",
    RegionName => "name of the namespace",
    /// What an EDAS namespace is called.
    RegionTitle => "title of the namespace",
    /// A policy, by its name.
    Policy => "policy",
    /// The text of a policy.
    PolicyDocument => "text of the policy",
    /// A version of the history.
    Release => "version of the history",
    Replicas => "number of pods",
    RuleBehaviour => "rule's behaviour",
    RuleEnabled => "rule's state",
    /// What a rule goes by, said in the newer way.
    RuleMetric => "rule's metrics",
    RuleName => "rule's name",
    RuleTrigger => "rule's triggers",
    ServicePorts => "service ports",
    ServiceType => "type of the Service",
    StartDelay => "delay of a start",
    /// In which batches a release goes.
    Strategy => "strategy",
    Tags => "tags",
    TargetPort => "port of the pods",
    TemplateContent => "content",
    TemplateName => "config template's name",
    /// Whose clock the periods of a freeze window go by.
    TimeZone => "time zone",
    Timeout => "timeout of the order",
    /// Which pods get what comes from outside.
    TrafficPolicy => "traffic policy",
    UriEncoding => "encoding of addresses",
    /// Whether the encoding of a body is that of its address, too.
    UseBodyEncoding => "encoding of bodies",
    /// The text of a new version.
    Version => "version",
    WarmUp => "warm-up time",
    WebContainer => "web container",
    WebContainerSettings => "settings of the web container",
}

impl Input {
    /// Whether it may hold passwords, so that no error repeats what was given.
    #[must_use]
    pub fn is_hidden(self) -> bool {
        matches!(
            self,
            Self::Annotations
                | Self::ConfigData
                | Self::Deployment
                | Self::JvmOptions
                | Self::TemplateContent
                | Self::WebContainerSettings
        )
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
