//! Policies, and the roles that there are.

use domain::access::ALL_ROLES;
use serde::Serialize;
use service::{Listed, PolicyRow};
use utoipa::ToSchema;

use super::most;
use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        offered::knows_action,
        reply::{Nothing, Reply},
    },
};

/// Reply of GetPolicy.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyReply {
    /// The policy.
    pub policy: WholePolicy,
}

/// A policy with its text.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct WholePolicy {
    /// What a list shows of it.
    #[serde(flatten)]
    pub listed: ListedPolicy,
    /// The policy as it was written, in RAM's JSON.
    pub policy_document: String,
}

/// Reply of ListPolicies.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PoliciesReply {
    /// The roles that there are.
    pub roles: Vec<ListedRole>,
    /// The policies, by name.
    pub policies: Vec<ListedPolicy>,
    /// What to send as `After` for the next page; empty = there is none.
    pub next: String,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedRole {
    /// Its name.
    #[schema(example = "reader")]
    pub name: String,
    /// What it is for.
    pub about: String,
}

/// A policy, without its text.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPolicy {
    /// Its name.
    #[schema(example = "shop-web")]
    pub name: String,
    /// When it was created.
    #[schema(example = "2026-11-24T00:00:00Z")]
    pub created_at: String,
    /// When it was last written.
    pub updated_at: String,
    /// Principals that it is attached to, at most 100.
    pub principals: Vec<String>,
}

/// Writes a policy of RAM's JSON under a name.
///
/// Not in EDAS. What cannot be honoured is refused and named.
#[utoipa::path(
    post, path = "/sluice/v1/policies", operation_id = "CreatePolicy", tag = "Access",
    responses((status = 200, description = "Written.", body = Reply<Nothing>))
)]
pub async fn create(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let (name, document) = (params.required("Name")?, params.required("PolicyDocument")?);
    let replace = params.boolean("Replace")?.unwrap_or_default();
    call.service.put_policy(&call.caller, name, document, replace, knows_action).await?;
    Ok(call.success(Nothing {}))
}

/// Lists policies without their texts, and the roles.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/policies", operation_id = "ListPolicies", tag = "Access",
    responses((status = 200, description = "A page of policies.", body = Reply<PoliciesReply>))
)]
pub async fn list(call: Call) -> Result<Reply<PoliciesReply>, ApiError> {
    let params = &call.params;
    let Listed { rows, has_more } =
        call.service.policies(params.text("After"), most(params)?).await?;
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|it| it.name.clone()).unwrap_or_default();
    let roles = ALL_ROLES.iter();
    let roles = roles.map(|it| ListedRole { name: it.name().into(), about: it.told().into() });
    let policies = rows.into_iter().map(|row| show(row).listed).collect();
    Ok(call.success(PoliciesReply { roles: roles.collect(), policies, next }))
}

/// Shows a policy.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/policy", operation_id = "GetPolicy", tag = "Access",
    responses((status = 200, description = "The policy.", body = Reply<PolicyReply>))
)]
pub async fn get(call: Call) -> Result<Reply<PolicyReply>, ApiError> {
    let found = call.service.policy(call.params.required("Policy")?).await?;
    Ok(call.success(PolicyReply { policy: show(found) }))
}

/// Removes a policy that is attached to nobody.
///
/// Not in EDAS.
#[utoipa::path(
    delete, path = "/sluice/v1/policy", operation_id = "DeletePolicy", tag = "Access",
    responses((status = 200, description = "Removed.", body = Reply<Nothing>))
)]
pub async fn remove(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.remove_policy(&call.caller, call.params.required("Policy")?).await?;
    Ok(call.success(Nothing {}))
}

fn show(row: PolicyRow) -> WholePolicy {
    WholePolicy {
        listed: ListedPolicy {
            name: row.name,
            created_at: row.created_at.to_string(),
            updated_at: row.updated_at.to_string(),
            principals: row.principals,
        },
        policy_document: row.document,
    }
}
