//! Our own operations about who may do what: access keys, principals, and what is granted.
//!
//! Only those may call them who may do everything, everywhere and whenever; the service holds
//! to that. A new key's secret is in the reply that makes it and nowhere else.

pub mod key;
pub mod policy;
pub mod principal;

use domain::access::{Exceptions, Grant, Role, Scope};
use jiff::Timestamp;
use serde::Serialize;
use service::policy_named;
use utoipa::ToSchema;

use crate::wire::{error::ApiError, params::Params};

/// Items of a page at most, and if the request does not say.
const MOST: usize = 100;

/// Something that is granted to a principal.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Granted {
    /// A policy's name; empty for a role.
    pub policy: String,
    /// `reader`, `deployer`, `operator` or `admin`; empty for a policy.
    #[schema(example = "deployer")]
    pub role: String,
    /// Kubernetes namespace that the role is for.
    #[schema(example = "shop")]
    pub namespace: String,
    /// Applications that the role is for.
    #[schema(example = "web-*")]
    pub application: String,
    /// Level of Pod Security by the role; empty is `baseline`.
    pub pod_security: String,
    /// Service accounts that pods may have by the role.
    pub service_accounts: Vec<String>,
    /// Images that pods may have by the role; none is all.
    pub registries: Vec<String>,
}

impl From<Grant> for Granted {
    fn from(grant: Grant) -> Self {
        let Exceptions { pod_security, service_accounts, registries } = grant.exceptions;
        Self {
            policy: grant.policy.map(|it| it.name).unwrap_or_default(),
            role: grant.role.map(|it| it.name().to_owned()).unwrap_or_default(),
            namespace: grant.scope.namespace,
            application: grant.scope.application,
            pod_security: pod_security.map(|it| it.to_string()).unwrap_or_default(),
            service_accounts,
            registries,
        }
    }
}

fn time(time: Option<Timestamp>) -> String {
    time.map(|it| it.to_string()).unwrap_or_default()
}

fn most(params: &Params) -> Result<usize, ApiError> {
    Ok(params.integer("Limit")?.unwrap_or(MOST))
}

/// What `Role` with its scope says; none where it is not given.
fn role(params: &Params) -> Result<Option<Grant>, ApiError> {
    let Some(role) = params.text("Role") else {
        // Nothing is dropped in silence.
        for name in ["Namespace", "Application", "PodSecurity", "ServiceAccounts", "Registries"] {
            if let Some(value) = params.text(name) {
                let allowed = "can only be given together with Role, and is not allowed without";
                return Err(ApiError::refused(name, value, allowed));
            }
        }
        return Ok(None);
    };
    let refused = |name: &'static str| {
        move |why: String| ApiError::refused(name, params.text(name).unwrap_or_default(), why)
    };
    let role: Role = role.parse().map_err(refused("Role"))?;
    let or_all = |name: &str| params.text(name).unwrap_or("*");
    Scope::read(or_all("Namespace"), "*").map_err(refused("Namespace"))?;
    let scope = Scope::read(or_all("Namespace"), or_all("Application"));
    let scope = scope.map_err(refused("Application"))?;
    let level = params.text("PodSecurity").map(str::parse).transpose();
    let level = level.map_err(refused("PodSecurity"))?;
    let accounts = params.list("ServiceAccounts");
    Exceptions::read(None, accounts.clone(), Vec::new()).map_err(refused("ServiceAccounts"))?;
    let exceptions = Exceptions::read(level, accounts, params.list("Registries"));
    let exceptions = exceptions.map_err(refused("Registries"))?;
    Grant::wanted_role(role, scope, exceptions).map(Some).map_err(refused("Role"))
}

/// What `Role` with its scope, or `Policy`, says: one of them.
fn grant(params: &Params) -> Result<Grant, ApiError> {
    match (role(params)?, params.text("Policy")) {
        (Some(role), None) => Ok(role),
        (None, Some(policy)) => Ok(policy_named(policy)),
        (None, None) => Err(ApiError::missing("Role")),
        (Some(_), Some(policy)) => {
            let allowed = "must be left out where Role is given: only one of them is granted";
            Err(ApiError::refused("Policy", policy, allowed))
        }
    }
}
