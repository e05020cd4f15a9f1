//! What the outside can ask for: one method per use case.
//!
//! Each method checks the request against the rules of `domain`, and writes
//! what it accepts in one transaction, together with the answer, so that the
//! same request again gets the same answer (R25). It never talks to the cluster:
//! the executor mirrors what is needed of it into the database, and picks up
//! the orders written here. It knows nothing of HTTP.

mod access;
mod answer;
mod application;
mod audit;
mod catalog;
mod check;
pub mod diff;
mod error;
mod known;
mod list;
mod live;
mod logs;
mod notice;
mod object;
mod once;
mod order;
mod package;
mod query;
mod read;
mod readiness;
pub mod request;
mod retention;
mod session;
pub mod view;

pub use self::audit::{AuditLog, CheckpointsTo, LogError, Refused};
pub use crate::access::{
    Permit,
    guard::GuardConfig,
    key::{CreatedKey, KeySecret, WantedKey},
    principal::policy_named,
};
pub use crate::application::first_service::FirstService;
pub use crate::catalog::config_template::{
    ConfigTemplateChange, ConfigTemplateFilter, ConfigTemplateView,
};
pub use crate::catalog::driven_cluster::DrivenCluster;
pub use crate::catalog::region::{DescribeRegion, RegionView, check_region};
pub use crate::catalog::tag::{Tag, TagFilter};
pub use crate::object::config_data::{Config, ConfigView, Related};
pub use crate::object::expose::{Bind, Expose};
pub use crate::object::ingress::{Route, RouteView};
pub use crate::object::scaling_rule::{Range, RuleUpdate, RuleView};
pub use crate::package::upload::{
    CREDENTIAL_LIFETIME, Collected, Completion, Download, MultipartRow, NamedUpload, PackageStore,
    UploadCredential, UploadError, UploadLimits, UploadSlot,
};
pub use error::Error;
pub use list::Listed;
pub use live::{EventForm, Shown, Viewer, Watch, WatchError};
pub use logs::{Logs, WantedLogs};
pub use package::Packages;
pub use query::InstanceView;
pub use readiness::{OwnExecutors, Unready};
pub use request::{
    Adopt, Caller, Configure, ContainerChoice, CreateApplication, Deploy, Describe, EditDeployment,
    PackageParams, Precheck, RequestIdentity, RollBackTo, Scale, Start,
};
pub use session::{Opened, SessionToken, Visit, acting_name};
pub use store::{ApplicationFilter, OrderFilter};
pub use store::{
    ChannelRow, Delivery, Ending, FoundSession, HoldRuleRow, ListedApplication, ListedKey,
    ListedOrder, NewKubeconfig, PolicyRow, PrincipalRow, SessionPerson, SessionRow,
    WantedApplications, WantedOrders,
};
pub use view::{BatchView, ClusterView, CurrentSpec, OrderView, PodState, ReleaseView};

use std::sync::Arc;

use tokio::sync::Semaphore;

use clock::Clock;
use domain::{ClusterId, order::FailurePolicy};
use store::Store;

/// What the use cases need to know of this server.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// The EDAS id of the cluster that is meant where a request names none.
    pub cluster: ClusterId,
    /// The region that this server is, as replies name it.
    pub region: String,
    /// Seconds a batch may take where the request does not say.
    pub batch_timeout_seconds: i64,
    /// Failure policy: how much trouble a batch tolerates.
    pub failure_policy: FailurePolicy,
    /// Guardrails on what runs.
    pub guard: GuardConfig,
}

/// The use cases. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    store: Store,
    clock: Clock,
    settings: ServiceConfig,
    permit: Permit,
    packages: Option<Arc<Packages>>,
    package_store: Option<Arc<PackageStore>>,
    executors: OwnExecutors,
    /// Places for uploads at once.
    uploads: Arc<Semaphore>,
    /// Who follows which order.
    hub: Arc<live::Hub>,
    /// The answers of executors that somebody waits for.
    answers: Arc<answer::Answers>,
    /// What was read lately.
    known: Arc<known::Known>,
    /// How many refusals are on record of whom.
    refusals: Arc<audit::Refusals>,
}

impl Service {
    /// The use cases on a store, for the program itself, which may do everything.
    #[must_use]
    pub fn new(store: Store, clock: Clock, settings: ServiceConfig) -> Self {
        let uploads = Arc::new(Semaphore::new(0));
        Self {
            store,
            clock,
            settings,
            permit: Permit::everything(),
            packages: None,
            package_store: None,
            executors: OwnExecutors::default(),
            uploads,
            hub: Arc::default(),
            answers: Arc::default(),
            known: Arc::default(),
            refusals: Arc::default(),
        }
    }

    /// The same use cases, on a server that releases packages too.
    #[must_use]
    pub fn with_packages(self, packages: Packages) -> Self {
        Self { packages: Some(Arc::new(packages)), ..self }
    }

    /// The same use cases, in a program with executors: it is not ready while none of them
    /// drives anything.
    #[must_use]
    pub fn with_executors(self, executors: OwnExecutors) -> Self {
        Self { executors, ..self }
    }

    /// This server's settings.
    #[must_use]
    pub fn settings(&self) -> &ServiceConfig {
        &self.settings
    }

    /// The time, as everything here sees it.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }
}
