//! The database: every SQL statement of the program, and nothing else.
//!
//! One function is one named statement (the comment at its start shows in
//! `pg_stat_statements`), checked against the schema when it is compiled. Rows
//! become domain types at once. Times come out as `jiff_sqlx` types (`sqlx.toml`
//! says so) and go in as `time.to_sqlx() as _`; the words of the Postgres enums
//! are those that serde gives the domain's enums. Imports only `domain`.

mod application;
mod audit;
mod catalog;
mod cluster;
mod error;
mod follow;
mod keyring;
mod list;
mod notice;
mod order;
mod pool;
mod question;
mod retention;
mod row;
mod schema;
mod sealed;
mod sealing;
mod serving;
mod session;
mod standing;
mod upload;
mod view;

pub use crate::application::scaling_rule::{RuleChange, ScalingRuleRow};
pub use crate::application::tag::TagRow;
pub use crate::catalog::access_key::{KeyRow, ListedKey, NewKey, WantedKeys};
pub use crate::catalog::config_template::{ConfigTemplateFilter, ConfigTemplateRow};
pub use crate::catalog::hold_rule::{HoldRuleRow, MOST_HOLD_RULES};
pub use crate::catalog::logical_region::{LogicalRegion, RegionText};
pub use crate::catalog::principal::{PolicyRow, PrincipalRow};
pub use crate::cluster::identity::{OpenWork, Recorded};
pub use crate::cluster::kubeconfig::{Kubeconfig, KubeconfigMark, NewKubeconfig, OnRecord};
pub use crate::cluster::moved_on::Released;
pub use crate::cluster::presence::{Presence, Presences};
pub use crate::notice::channel::{ChannelRow, Delivery, Ending, MOST_CHANNELS};
pub use crate::notice::outbox::{Attempt, Claimed, Unread};
pub use crate::order::advance::{Advanced, Made};
pub use crate::order::event::{Event, EventPosition, EventRow, PlacedEvent};
pub use crate::order::lease::Lease;
pub use crate::order::load::TakenUp;
pub use crate::order::outage::Newer;
pub use crate::order::progress::Progress;
pub use crate::order::release::{NewRelease, ReleaseRow};
pub use crate::question::cluster_query::{ClusterQuery, ClusterQueryId, QueryAnswer};
pub use crate::question::object_write::{ClaimedWrite, Kept, ObjectWriteId, WriteAnswer};
pub use crate::question::precheck_request::PrecheckRequestId;
pub use application::{Description, NamedTemplate, NewApplication, Numbers};
pub use audit::{LoggedEntry, Node};
pub use cluster::{ClusterRow, Executors, SeenCluster};
pub use error::StoreError;
pub use keyring::{KeyId, Keyring, KeyringError, LONGEST_KEYRING, SealError};
pub use list::{
    ApplicationFilter, ListedApplication, ListedOrder, OrderFilter, WantedApplications,
    WantedOrders,
};
pub use order::NewOrder;
pub use retention::Forgotten;
pub use schema::{MigrationPlan, NewerSchema, PendingMigration, newest_migration};
pub use sealing::{Resealed, SealedWith};
pub use session::{FoundSession, GoodSince, NewSession, SessionPerson, SessionRow};
pub use standing::{OpenOrders, Standing};
pub use upload::{
    Completion, CredentialRow, Hold, MultipartRow, NewMultipart, NewPart, NewUpload, PackageRow,
    PartRefused, StoredPackage, WrittenPart,
};
pub use view::{BatchRow, BatchView, OrderView, PodState, WholeOrder};

use std::time::{Duration, Instant};

use sqlx::{
    PgConnection, PgPool, Postgres, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use domain::ApplicationId;
use pool::Connections;

/// The migrations, embedded in the program.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// The channel of notifications with the id of an order that is due.
pub const ORDER_CHANNEL: &str = "sluice_order";

/// The channel of notifications with the id of a cluster that executors are asked about.
pub const REQUEST_CHANNEL: &str = "sluice_request";

/// The channel of notifications that there is something to tell people.
pub const NOTIFICATION_CHANNEL: &str = "sluice_notification";

/// The channel of notifications that servers are to drive other clusters than before.
pub const CLUSTER_CHANNEL: &str = "sluice_cluster";

/// The channel of notifications with the ids of orders that changed, for those who follow them.
pub const CHANGED_CHANNEL: &str = "sluice_changed";

/// The channel of notifications with the id of a precheck request that was answered.
pub const ANSWER_CHANNEL: &str = "sluice_answer";

/// The channel of notifications that it changed who may do what.
pub const ACCESS_CHANNEL: &str = "sluice_access";

/// How long a transaction may wait for its next statement until Postgres ends it.
/// A program that stops in the middle of one, or loses the network, would otherwise keep
/// its orders locked, and no other could take over.
const LONGEST_SILENCE: &str = "2s";

/// Postgres' name for the longest time that a statement may take.
const STATEMENT_TIMEOUT: &str = "statement_timeout";

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pool: Connections,
    /// What values are sealed and opened with.
    keyring: Keyring,
}

impl Store {
    /// Connects to the database at `url`. Postgres ends every statement that takes
    /// longer than `longest_statement`, waiting for a lock counted.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if it cannot be reached within ten seconds.
    pub async fn connect(
        url: &str,
        connections: u32,
        longest_statement: Duration,
        keyring: Keyring,
    ) -> Result<Self, StoreError> {
        let timeout = Duration::from_secs(10);
        let longest = format!("{}ms", longest_statement.as_millis());
        let bounds = [
            ("idle_in_transaction_session_timeout", LONGEST_SILENCE),
            (STATEMENT_TIMEOUT, &longest),
        ];
        let options = url.parse::<PgConnectOptions>()?.options(bounds);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(timeout)
            .test_before_acquire(false)
            .connect_with(options)
            .await?;
        Ok(Self::on(pool, keyring))
    }

    /// A store on a pool that exists already.
    #[must_use]
    pub fn on(pool: PgPool, keyring: Keyring) -> Self {
        Self { pool: Connections::of(pool), keyring }
    }

    /// Begins a transaction. Dropping it rolls it back.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if there is no connection.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(Tx {
            inner: self.pool.begin().await?,
            keyring: self.keyring.clone(),
            before: None,
            after: None,
            touched: Vec::new(),
            author: None,
            trace: None,
        })
    }

    /// A connection of its own that receives the notifications about due orders, about
    /// requests, about what people are to be told, and about clusters.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if the database cannot be reached.
    pub async fn listen(&self) -> Result<PgListener, StoreError> {
        let channels = [ORDER_CHANNEL, REQUEST_CHANNEL, NOTIFICATION_CHANNEL, CLUSTER_CHANNEL];
        Ok(self.pool.listen(&channels).await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("/* ping */ SELECT 1").execute(&self.pool).await?;
        Ok(())
    }
}

/// A transaction.
#[derive(Debug)]
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    keyring: Keyring,
    /// Digest of what was there before the change, for its entry of the audit.
    before: Option<domain::audit::Digest>,
    /// Digest of what is wanted.
    after: Option<domain::audit::Digest>,
    /// The applications that were locked, or got an order.
    touched: Vec<ApplicationId>,
    /// The principal who asks for it, and the person, if one signed in.
    author: Option<(String, Option<String>)>,
    /// The trace that orders of it belong to.
    trace: Option<domain::TraceParent>,
}

impl Tx {
    /// Commits it.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; whether it was committed is then not known.
    pub async fn commit(self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let committed = self.inner.commit().await;
        let outcome = if committed.is_ok() { "committed" } else { "failed" };
        metrics::histogram!("sluice_database_commit_seconds", "outcome" => outcome)
            .record(asked.elapsed());
        Ok(committed?)
    }

    /// The applications of which something may be otherwise once it is committed.
    pub fn take_touched(&mut self) -> Vec<ApplicationId> {
        std::mem::take(&mut self.touched)
    }

    fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
