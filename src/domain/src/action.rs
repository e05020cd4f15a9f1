//! What can be done, in the words of the policies: an operation's own name, and the name of
//! the group that RAM has it in.
//!
//! These words are part of the language of policies, which is EDAS' and RAM's. That the
//! operations of the API have these names is held by a test of `edas`.

/// The groups of RAM, and some of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    ReadApplication,
    ManageApplication,
    ReadCluster,
    ManageCluster,
    ReadNamespace,
    ManageNamespace,
    /// ConfigMaps, Secrets, Ingresses and templates.
    ReadConfig,
    ManageConfig,
    /// Access keys and sessions of others, principals, and what is granted to them.
    ManageAccess,
    /// What holds orders off: rules of approval, freeze windows, and their exceptions.
    ManageHolds,
    /// What the guardrails do not let pods have. See [`crate::guard`].
    ExceedGuardrails,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ReadApplication,
        Self::ManageApplication,
        Self::ReadCluster,
        Self::ManageCluster,
        Self::ReadNamespace,
        Self::ManageNamespace,
        Self::ReadConfig,
        Self::ManageConfig,
        Self::ManageAccess,
        Self::ManageHolds,
        Self::ExceedGuardrails,
    ];

    /// Its name in a policy, behind `edas:`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadApplication => "ReadApplication",
            Self::ManageApplication => "ManageApplication",
            Self::ReadCluster => "ReadCluster",
            Self::ManageCluster => "ManageCluster",
            Self::ReadNamespace => "ReadNamespace",
            Self::ManageNamespace => "ManageNamespace",
            Self::ReadConfig => "ReadConfig",
            Self::ManageConfig => "ManageConfig",
            Self::ManageAccess => "ManageAccess",
            Self::ManageHolds => "ManageHolds",
            Self::ExceedGuardrails => "ExceedGuardrails",
        }
    }
}

/// Something that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// Its operation's name.
    pub name: &'static str,
    pub group: Group,
}

impl Action {
    /// The action of this name.
    #[must_use]
    pub const fn new(name: &'static str, group: Group) -> Self {
        Self { name, group }
    }

    /// Both names by which a policy may name it, in lower case: RAM compares in any case.
    pub(crate) fn names(self) -> [String; 2] {
        [self.name, self.group.name()].map(|name| format!("edas:{name}").to_ascii_lowercase())
    }

    /// Whether it says what others may do, or shows it: only somebody who may do everything may.
    pub(crate) fn grants_access(self) -> bool {
        self.group == Group::ManageAccess && self != Self::MANAGE_ACCESS
    }

    /// Its name in a policy.
    #[must_use]
    pub fn shown(self) -> String {
        format!("edas:{}", self.name)
    }
}

/// The actions of those who use the console, which has pages and buttons in place of
/// operations.
impl Action {
    pub const READ: Self = Self::new("GetOrder", Group::ReadApplication);
    pub const WATCH: Self = Self::new("WatchOrder", Group::ReadApplication);
    pub const LIST: Self = Self::new("ListOrders", Group::ReadApplication);
    pub const LIST_APPLICATIONS: Self = Self::new("ListApplications", Group::ReadApplication);
    pub const APPLICATION: Self = Self::new("GetApplication", Group::ReadApplication);
    pub const HISTORY: Self = Self::new("ListHistoryDeployVersion", Group::ReadApplication);
    pub const PODS: Self = Self::new("DescribeAppInstanceList", Group::ReadApplication);
    pub const MANIFEST: Self = Self::new("GetAppDeployment", Group::ReadApplication);
    pub const PREVIEW: Self = Self::new("PreviewDeployment", Group::ManageApplication);
    pub const RELEASE: Self = Self::new("DeployK8sApplication", Group::ManageApplication);
    pub const SCALE: Self = Self::new("ScaleK8sApplication", Group::ManageApplication);
    pub const START: Self = Self::new("StartK8sApplication", Group::ManageApplication);
    pub const STOP: Self = Self::new("StopK8sApplication", Group::ManageApplication);
    pub const RESTART: Self = Self::new("RestartK8sApplication", Group::ManageApplication);
    pub const CONFIRM: Self = Self::new("ContinuePipeline", Group::ManageApplication);
    pub const ABORT: Self = Self::new("AbortChangeOrder", Group::ManageApplication);
    pub const ROLL_BACK: Self = Self::new("RollbackChangeOrder", Group::ManageApplication);
    /// The same, under the name by which most clients call it.
    pub const ABORT_AND_ROLL_BACK: Self =
        Self::new("AbortAndRollbackChangeOrder", Group::ManageApplication);
    pub const STEP_BACK: Self = Self::new("StepBackChangeOrder", Group::ManageApplication);
    pub const RETRY: Self = Self::new("RetryChangeOrderTask", Group::ManageApplication);
    pub const APPROVE: Self = Self::new("ApproveChangeOrder", Group::ManageApplication);
    pub const REJECT: Self = Self::new("RejectChangeOrder", Group::ManageApplication);
    pub const LIFT_FREEZE: Self = Self::new("LiftFreeze", Group::ManageHolds);
    pub const CREATE_HOLD: Self = Self::new("CreateHoldRule", Group::ManageHolds);
    pub const DELETE_HOLD: Self = Self::new("DeleteHoldRule", Group::ManageHolds);
    pub const LIST_HOLDS: Self = Self::new("ListHoldRules", Group::ReadNamespace);
    /// Seeing and ending what belongs to other keys.
    pub const MANAGE_ACCESS: Self = Self::new("ManageAccess", Group::ManageAccess);

    /// Those above that are operations of the API.
    pub const OF_CONSOLE: [Self; 26] = [
        Self::READ,
        Self::WATCH,
        Self::LIST,
        Self::LIST_APPLICATIONS,
        Self::APPLICATION,
        Self::HISTORY,
        Self::PODS,
        Self::MANIFEST,
        Self::PREVIEW,
        Self::RELEASE,
        Self::SCALE,
        Self::START,
        Self::STOP,
        Self::RESTART,
        Self::CONFIRM,
        Self::ABORT,
        Self::ROLL_BACK,
        Self::ABORT_AND_ROLL_BACK,
        Self::STEP_BACK,
        Self::RETRY,
        Self::APPROVE,
        Self::REJECT,
        Self::LIFT_FREEZE,
        Self::LIST_HOLDS,
        Self::CREATE_HOLD,
        Self::DELETE_HOLD,
    ];
}

/// What somebody may be allowed beyond the guardrails, and what may be denied within them.
impl Action {
    /// Pods of the level baseline, which is allowed unless it is denied.
    pub const POD_SECURITY_BASELINE: Self =
        Self::new("UsePodSecurityBaseline", Group::ExceedGuardrails);
    /// Pods of the level privileged.
    pub const POD_SECURITY_PRIVILEGED: Self =
        Self::new("UsePodSecurityPrivileged", Group::ExceedGuardrails);
    /// Keeping what the version before has beyond them, which is allowed unless it is denied.
    pub const KEEP_EXCESS: Self = Self::new("KeepExcess", Group::ExceedGuardrails);
    pub const USE_SERVICE_ACCOUNT: Self = Self::new("UseServiceAccount", Group::ExceedGuardrails);
    pub const USE_NODE: Self = Self::new("UseNode", Group::ExceedGuardrails);
    pub const USE_SYSTEM_PRIORITY: Self = Self::new("UseSystemPriority", Group::ExceedGuardrails);
    pub const USE_CONTROL_PLANE: Self = Self::new("UseControlPlane", Group::ExceedGuardrails);
    pub const USE_ANNOTATION: Self = Self::new("UseAnnotation", Group::ExceedGuardrails);
    /// Images, which are all allowed until a policy names some.
    pub const USE_IMAGE: Self = Self::new("UseImage", Group::ExceedGuardrails);
    pub const USE_INGRESS_ANNOTATION: Self =
        Self::new("UseIngressAnnotation", Group::ExceedGuardrails);
    /// A host of an Ingress that another namespace has.
    pub const USE_INGRESS_HOST: Self = Self::new("UseIngressHost", Group::ExceedGuardrails);
    pub const USE_LOAD_BALANCER: Self = Self::new("UseLoadBalancer", Group::ExceedGuardrails);
    /// Deleting the Deployment of an application that was adopted.
    pub const DELETE_ADOPTED: Self = Self::new("DeleteAdoptedDeployment", Group::ExceedGuardrails);

    /// All of them.
    pub const OF_GUARDRAILS: [Self; 13] = [
        Self::POD_SECURITY_BASELINE,
        Self::POD_SECURITY_PRIVILEGED,
        Self::KEEP_EXCESS,
        Self::USE_SERVICE_ACCOUNT,
        Self::USE_NODE,
        Self::USE_SYSTEM_PRIORITY,
        Self::USE_CONTROL_PLANE,
        Self::USE_ANNOTATION,
        Self::USE_IMAGE,
        Self::USE_INGRESS_ANNOTATION,
        Self::USE_INGRESS_HOST,
        Self::USE_LOAD_BALANCER,
        Self::DELETE_ADOPTED,
    ];
}
