//! Every name that Sluice writes on a Deployment, on its pods and on other objects: labels,
//! annotations, an init container and volumes.

/// What begins the names of our own annotations and labels.
pub const PREFIX: &str = "sluice.dev/";

/// Label of every object that we create, and its value.
pub const OWNER_LABEL: &str = "app.kubernetes.io/managed-by";

/// The value of [`OWNER_LABEL`].
pub const OWNER: &str = "sluice";

/// Pod label that carries the application's name, for people's Services.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";

/// Pod label by which the Deployments that Sluice creates select their pods: the
/// application's id, which nobody else's pods carry.
pub const APPLICATION_LABEL: &str = "sluice.dev/application";

/// Annotation: the application that the Deployment is.
pub const APPLICATION_ANNOTATION: &str = "sluice.dev/application";

/// Annotation: the order that wrote last.
pub const ORDER_ANNOTATION: &str = "sluice.dev/order";

/// Annotation: the fencing token of the last write.
pub const FENCE_ANNOTATION: &str = "sluice.dev/fence";

/// Annotation: the installation of Sluice that wrote last.
pub const INSTALLATION_ANNOTATION: &str = "sluice.dev/installation";

/// Annotation of a Deployment: the user's own settings while Sluice borrows the fields,
/// as JSON.
pub const BORROWED_SETTINGS_ANNOTATION: &str = "sluice.dev/borrowed-settings";

/// Annotation: the object write that wrote last.
pub const WRITE_ANNOTATION: &str = "sluice.dev/object-write";

/// Pod template annotation that makes each release a version of its own:
/// releasing the same spec again means new pods.
pub const RELEASE_ANNOTATION: &str = "sluice.dev/release";

/// Pod template annotation that tells the pods of a version that was restarted from
/// those before: when that was ordered. It is no part of the version.
pub const RESTART_ANNOTATION: &str = "sluice.dev/restarted-at";

/// Pod template annotation that says what was given here and may be taken again.
pub const GIVEN_ANNOTATION: &str = "sluice.dev/given";

/// Pod template annotation that says what package runs, and how.
pub const PACKAGE_ANNOTATION: &str = "sluice.dev/package";

/// Pod template annotation that keeps the rule.
pub const GRACEFUL_START_ANNOTATION: &str = "sluice.dev/graceful-start";

/// Name of the init container that fetches the package, and of its volume.
pub const PACKAGE_CONTAINER: &str = "sluice-package";

/// How the names begin of volumes for files of ConfigMaps and Secrets that are given here.
pub const FILE_VOLUMES: &str = "sluice-files-";

/// The same for folders of the node.
pub const NODE_FOLDER_VOLUMES: &str = "sluice-node-";

/// The same for folders that are empty at first.
pub const EMPTY_FOLDER_VOLUMES: &str = "sluice-empty-";

/// The same for PersistentVolumeClaims.
pub const CLAIM_VOLUMES: &str = "sluice-claim-";
