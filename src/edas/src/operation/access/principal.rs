//! Principals: persons and programs, and what is granted to them.

use serde::Serialize;
use service::{Listed, PrincipalRow};
use utoipa::ToSchema;

use super::{Granted, grant, most};
use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        reply::{Nothing, Reply},
    },
};

/// Reply of GetPrincipal.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PrincipalReply {
    /// The principal.
    pub principal: Principal,
}

/// Reply of ListPrincipals.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PrincipalsReply {
    /// The principals, by name.
    pub principals: Vec<Principal>,
    /// What to send as `After` for the next page; empty = there is none.
    pub next: String,
}

/// A person or a program.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Principal {
    /// Its name.
    #[schema(example = "shop-ci")]
    pub name: String,
    /// `person` or `program`.
    #[schema(example = "program")]
    pub kind: String,
    /// When it was created.
    #[schema(example = "2026-11-24T00:00:00Z")]
    pub created_at: String,
    /// How many access keys it has.
    pub keys: i64,
    /// What is granted to it.
    pub grants: Vec<Granted>,
    /// Whether nobody chose what is granted to it.
    pub assumed: bool,
}

/// Creates a principal, who may do nothing until something is granted.
///
/// Not in EDAS.
#[utoipa::path(
    post, path = "/sluice/v1/principals", operation_id = "CreatePrincipal", tag = "Access",
    responses((status = 200, description = "Created.", body = Reply<Nothing>))
)]
pub async fn create(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let person = params.boolean("Person")?.unwrap_or_default();
    call.service.create_principal(&call.caller, params.required("Name")?, person).await?;
    Ok(call.success(Nothing {}))
}

/// Lists principals, and what is granted to them.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/principals", operation_id = "ListPrincipals", tag = "Access",
    responses((status = 200, description = "A page of principals.", body = Reply<PrincipalsReply>))
)]
pub async fn list(call: Call) -> Result<Reply<PrincipalsReply>, ApiError> {
    let params = &call.params;
    let Listed { rows, has_more } =
        call.service.principals(params.text("After"), most(params)?).await?;
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|it| it.name.clone()).unwrap_or_default();
    Ok(call.success(PrincipalsReply { principals: rows.into_iter().map(show).collect(), next }))
}

/// Shows a principal, and what is granted to it.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/principal", operation_id = "GetPrincipal", tag = "Access",
    responses((status = 200, description = "The principal.", body = Reply<PrincipalReply>))
)]
pub async fn get(call: Call) -> Result<Reply<PrincipalReply>, ApiError> {
    let found = call.service.principal(call.params.required("Principal")?).await?;
    Ok(call.success(PrincipalReply { principal: show(found) }))
}

/// Removes a principal with its access keys. What was done by it stays on record.
///
/// Not in EDAS.
#[utoipa::path(
    delete, path = "/sluice/v1/principal", operation_id = "DeletePrincipal", tag = "Access",
    responses((status = 200, description = "Removed.", body = Reply<Nothing>))
)]
pub async fn remove(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.remove_principal(&call.caller, call.params.required("Principal")?).await?;
    Ok(call.success(Nothing {}))
}

/// Grants a role or a policy to a principal. What nobody chose for it ends.
///
/// Not in EDAS.
#[utoipa::path(
    post, path = "/sluice/v1/grants", operation_id = "AttachPolicy", tag = "Access",
    responses((status = 200, description = "Granted.", body = Reply<Nothing>))
)]
pub async fn attach(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let (principal, grant) = (call.params.required("Principal")?, grant(&call.params)?);
    call.service.attach(&call.caller, principal, &grant).await?;
    Ok(call.success(Nothing {}))
}

/// Takes a role or a policy from a principal. A role goes with all that it was granted with.
///
/// Not in EDAS.
#[utoipa::path(
    delete, path = "/sluice/v1/grants", operation_id = "DetachPolicy", tag = "Access",
    responses((status = 200, description = "Taken.", body = Reply<Nothing>))
)]
pub async fn detach(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let (principal, grant) = (call.params.required("Principal")?, grant(&call.params)?);
    call.service.detach(&call.caller, principal, &grant).await?;
    Ok(call.success(Nothing {}))
}

fn show(row: PrincipalRow) -> Principal {
    Principal {
        name: row.name,
        kind: row.kind,
        created_at: row.created_at.to_string(),
        keys: row.keys,
        grants: row.grants.into_iter().map(Into::into).collect(),
        assumed: row.assumed,
    }
}
