//! Access keys.

use domain::access::Network;
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use serde::Serialize;
use service::{CreatedKey, Listed, ListedKey, WantedKey};
use utoipa::ToSchema;

use super::{most, role, time};
use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        params::Params,
        reply::{Nothing, Reply},
        signature::Scheme,
    },
};

/// Reply of CreateAccessKey and RotateAccessKey.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NewAccessKeyReply {
    /// The key.
    pub access_key: NewAccessKey,
}

/// A new access key. It cannot be debugged: it has its secret.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct NewAccessKey {
    /// Its id, which requests name.
    pub access_key_id: String,
    /// Its secret, which requests are signed with. No other reply shows it.
    pub access_key_secret: String,
    /// Its name.
    #[schema(example = "shop-ci")]
    pub name: String,
    /// The name of the principal that it is a key of.
    #[schema(example = "shop-ci")]
    pub principal: String,
}

/// Reply of GetAccessKey.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeyReply {
    /// The key.
    pub access_key: AccessKey,
}

/// Reply of ListAccessKeys.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKeysReply {
    /// The keys, by name.
    pub access_keys: Vec<AccessKey>,
    /// What to send as `After` for the next page; empty = there is none.
    pub next: String,
}

/// An access key, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct AccessKey {
    /// Its id.
    pub access_key_id: String,
    /// Its name.
    pub name: String,
    /// The name of the principal that it is a key of.
    pub principal: String,
    /// `enabled`, `disabled` or `expired`.
    #[schema(example = "enabled")]
    pub state: String,
    /// When it was created.
    #[schema(example = "2026-11-24T00:00:00Z")]
    pub created_at: String,
    /// When it ends; empty = never.
    pub expires_at: String,
    /// When it was last used, to the minute; empty = never.
    pub last_used_at: String,
    /// Signature schemes that it may be used with; none is all.
    pub schemes: Vec<String>,
    /// Networks that it may be used from; none is all.
    pub networks: Vec<String>,
}

/// Creates an access key, and its principal if there is none of the name.
///
/// Not in EDAS. The reply has the key's secret; no other reply has it, but that to the same
/// request again. A new principal may do what Role or Policy says, and nothing without them.
#[utoipa::path(
    post, path = "/sluice/v1/keys", operation_id = "CreateAccessKey", tag = "Access",
    responses((status = 200, description = "Created.", body = Reply<NewAccessKeyReply>))
)]
pub async fn create(call: Call) -> Result<Reply<NewAccessKeyReply>, ApiError> {
    let params = &call.params;
    let [name, principal] = ["Name", "Principal"].map(|it| params.text(it).map(str::to_owned));
    if name.is_none() && principal.is_none() {
        return Err(ApiError::missing("Name"));
    }
    let now = call.service.clock().now();
    let expires_at = seconds(params, "ExpiresIn")?.and_then(|it| now.checked_add(it).ok());
    let wanted = WantedKey {
        name,
        principal,
        person: params.boolean("Person")?.unwrap_or_default(),
        role: role(params)?,
        policy: params.text("Policy").map(str::to_owned),
        assumes_admin: false,
        expires_at,
        schemes: schemes(params)?,
        networks: networks(params)?,
    };
    let created = call.service.create_key(&call.caller, &wanted).await?;
    Ok(call.success(show_new(created)))
}

/// Creates a second key in place of this one.
///
/// Not in EDAS. It is one of the same principal, may be used as the first one may, and lasts as
/// long as that was made for. The reply has its secret, as that of CreateAccessKey.
#[utoipa::path(
    post, path = "/sluice/v1/key/rotate", operation_id = "RotateAccessKey", tag = "Access",
    responses((status = 200, description = "Created.", body = Reply<NewAccessKeyReply>))
)]
pub async fn rotate(call: Call) -> Result<Reply<NewAccessKeyReply>, ApiError> {
    let grace = seconds(&call.params, "Grace")?;
    let created = call.service.rotate_key(&call.caller, key(&call.params)?, grace).await?;
    Ok(call.success(show_new(created)))
}

/// Lists access keys, without their secrets.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/keys", operation_id = "ListAccessKeys", tag = "Access",
    responses((status = 200, description = "A page of keys.", body = Reply<AccessKeysReply>))
)]
pub async fn list_all(call: Call) -> Result<Reply<AccessKeysReply>, ApiError> {
    let params = &call.params;
    let (principal, after) = (params.text("Principal"), params.text("After"));
    let Listed { rows, has_more } =
        call.service.listed_keys(principal, after, most(params)?).await?;
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|it| it.name.clone()).unwrap_or_default();
    let access_keys = rows.into_iter().map(|row| show(&call, row)).collect();
    Ok(call.success(AccessKeysReply { access_keys, next }))
}

/// Shows an access key, without its secret.
///
/// Not in EDAS.
#[utoipa::path(
    get, path = "/sluice/v1/key", operation_id = "GetAccessKey", tag = "Access",
    responses((status = 200, description = "The key.", body = Reply<AccessKeyReply>))
)]
pub async fn get(call: Call) -> Result<Reply<AccessKeyReply>, ApiError> {
    let found = call.service.listed_key(key(&call.params)?).await?;
    Ok(call.success(AccessKeyReply { access_key: show(&call, found) }))
}

/// Enables an access key again.
///
/// Not in EDAS.
#[utoipa::path(
    put, path = "/sluice/v1/key/enable", operation_id = "EnableAccessKey", tag = "Access",
    responses((status = 200, description = "Enabled.", body = Reply<Nothing>))
)]
pub async fn enable(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.switch_key(&call.caller, key(&call.params)?, true).await?;
    Ok(call.success(Nothing {}))
}

/// Disables an access key.
///
/// Not in EDAS. Its requests are refused within a second; sessions of the console and streams of it end
/// within seconds.
#[utoipa::path(
    put, path = "/sluice/v1/key/disable", operation_id = "DisableAccessKey", tag = "Access",
    responses((status = 200, description = "Disabled.", body = Reply<Nothing>))
)]
pub async fn disable(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.switch_key(&call.caller, key(&call.params)?, false).await?;
    Ok(call.success(Nothing {}))
}

/// Removes an access key. What was done with it stays on record.
///
/// Not in EDAS.
#[utoipa::path(
    delete, path = "/sluice/v1/key", operation_id = "DeleteAccessKey", tag = "Access",
    responses((status = 200, description = "Removed.", body = Reply<Nothing>))
)]
pub async fn remove(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.remove_key(&call.caller, key(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

fn key(params: &Params) -> Result<&str, ApiError> {
    params.required("AccessKey")
}

fn seconds(params: &Params, name: &str) -> Result<Option<SignedDuration>, ApiError> {
    Ok(params.integer(name)?.map(SignedDuration::from_secs))
}

fn schemes(params: &Params) -> Result<Vec<String>, ApiError> {
    let given = params.list("Schemes");
    let is_known =
        |it: &str| [Scheme::Acs3HmacSha256, Scheme::HmacSha1].iter().any(|one| one.name() == it);
    match given.iter().all(|it| is_known(it)) {
        true => Ok(given),
        false => {
            let value = params.text("Schemes").unwrap_or_default();
            let allowed = "must be acs3-hmac-sha256 or hmac-sha1, or both with a comma";
            Err(ApiError::refused("Schemes", value, allowed))
        }
    }
}

fn networks(params: &Params) -> Result<Vec<Network>, ApiError> {
    let given = params.list("Networks");
    let read = given.iter().map(|it| it.parse()).collect::<Result<Vec<Network>, _>>();
    read.map_err(|why| {
        ApiError::refused("Networks", params.text("Networks").unwrap_or_default(), why)
    })
}

fn show_new(created: CreatedKey) -> NewAccessKeyReply {
    let CreatedKey { id, secret, name, principal, .. } = created;
    let access_key_secret = secret.expose_secret().to_owned();
    let access_key = NewAccessKey { access_key_id: id, access_key_secret, name, principal };
    NewAccessKeyReply { access_key }
}

fn show(call: &Call, key: ListedKey) -> AccessKey {
    AccessKey {
        state: key.state(call.service.clock().now()).to_owned(),
        access_key_id: key.id,
        name: key.name,
        principal: key.principal,
        created_at: key.created_at.to_string(),
        expires_at: time(key.expires_at),
        last_used_at: time(key.last_used_at),
        schemes: key.schemes,
        networks: key.networks,
    }
}
