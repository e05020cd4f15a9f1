//! Where and how clients upload a package: GetPackageStorageCredential and
//! QueryRegionConfig.
//!
//! Clients put the bucket's name before the store's host (R31). That must lead
//! back to this server, so the name that they call it by is taken apart: its
//! first label is the bucket, the rest the host. An OSS SDK calls `localhost`
//! and most IP addresses without a bucket before it, and puts that into the path.

use axum::http::{HeaderMap, header::HOST};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{error::ApiError, reply::Reply, time::iso},
};
use domain::package::upload;

/// The bucket where the server's name has none to give.
pub(super) const BUCKET: &str = "sluice";

/// Reply of GetPackageStorageCredential.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct CredentialReply {
    /// The credential.
    pub credential: Credential,
}

/// A credential for uploading packages.
#[derive(Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct Credential {
    /// Its id.
    pub access_key_id: String,
    /// What uploads are signed with.
    pub access_key_secret: String,
    /// What uploads send in `x-oss-security-token`.
    pub security_token: String,
    /// The bucket: what stands before the store's host.
    #[schema(example = "sluice")]
    pub bucket: String,
    /// What every key must begin with, and a slash.
    #[schema(example = "sluice-packages/01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e")]
    pub key_prefix: String,
    /// When it ends.
    #[schema(example = "2026-11-24T07:58:10Z")]
    pub expiration: String,
    /// The server's region.
    pub region_id: String,
    /// Always empty: QueryRegionConfig has it.
    pub oss_internal_endpoint: String,
    /// Always empty: QueryRegionConfig has it.
    pub oss_public_endpoint: String,
    /// Always empty: QueryRegionConfig has it.
    pub oss_vpc_endpoint: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Reply of QueryRegionConfig.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RegionConfigReply {
    /// The region's configuration.
    pub region_config: RegionConfig,
}

/// What this server's region has.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct RegionConfig {
    /// The server's region.
    pub id: String,
    /// The server's region.
    pub name: String,
    /// Always 1.
    pub no: i32,
    /// `oss`: packages are uploaded as OSS does it. Empty where this server keeps none.
    #[schema(example = "oss")]
    pub file_server_type: String,
    /// Where packages are uploaded; its fields are empty where this server keeps none.
    pub file_server_config: FileServerConfig,
    /// Always empty.
    pub address_server_host: String,
    /// Always empty.
    pub agent_install_script: String,
    /// Always empty.
    pub image_id: String,
    /// Always empty.
    pub tag: String,
}

/// Where packages are uploaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct FileServerConfig {
    /// The bucket: what stands before the host.
    #[schema(example = "sluice")]
    pub bucket: String,
    /// The host to upload to.
    #[schema(example = "example.com:8080")]
    pub public_url: String,
    /// The host that a PackageUrl names for an uploaded package.
    #[schema(example = "packages.sluice.invalid")]
    pub internal_url: String,
    /// The same.
    pub vpc_url: String,
}

/// Gives a credential for uploading packages: for an hour, and for keys that begin with its own prefix.
///
/// The same request again gets the same credential. An access key may have a number of credentials that are good, packages and bytes that this server's settings say (`--package-key-…`); an upload beyond that is refused with OSS' `QuotaExceeded`.
/// The package is uploaded as OSS does it: `PUT http://<Bucket>.<PublicUrl>/<KeyPrefix>/<path>/<file>`, signed with it (version 1), in one piece or in parts.
/// DeployK8sApplication then takes it as `PackageUrl=http://<Bucket>.<InternalUrl>/<the same key>`. A package that no version of a history names goes after a while (`--package-keep-days`).
#[utoipa::path(
    get, path = "/pop/v5/package_storage_credential", operation_id = "GetPackageStorageCredential", tag = "Packages",
    responses((status = 200, description = "The credential.", body = Reply<CredentialReply>))
)]
pub async fn get_credential(
    headers: HeaderMap,
    call: Call,
) -> Result<Reply<CredentialReply>, ApiError> {
    let given = call.service.create_upload_credential(&call.caller).await?;
    let credential = Credential {
        access_key_id: given.id.to_string(),
        access_key_secret: given.secret.expose_secret().into(),
        security_token: given.token.expose_secret().into(),
        bucket: Store::called(&headers).bucket,
        key_prefix: given.prefix(),
        expiration: iso(Some(given.expires_at)),
        region_id: call.service.settings().region.clone(),
        oss_internal_endpoint: String::new(),
        oss_public_endpoint: String::new(),
        oss_vpc_endpoint: String::new(),
    };
    Ok(call.success(CredentialReply { credential }))
}

/// Shows the region that this server is, and where packages are uploaded.
#[utoipa::path(
    get, path = "/pop/v5/region_config", operation_id = "QueryRegionConfig", tag = "Packages",
    responses((status = 200, description = "The region's configuration.", body = Reply<RegionConfigReply>))
)]
pub async fn get_region_config(
    headers: HeaderMap,
    call: Call,
) -> Result<Reply<RegionConfigReply>, ApiError> {
    let region = &call.service.settings().region;
    let (file_server_type, file_server_config) = match call.service.package_store() {
        Ok(_) => {
            let Store { bucket, host } = Store::called(&headers);
            (
                "oss",
                FileServerConfig {
                    bucket,
                    public_url: host,
                    internal_url: upload::HOST.into(),
                    vpc_url: upload::HOST.into(),
                },
            )
        }
        Err(_) => ("", FileServerConfig::default()),
    };
    let region_config = RegionConfig {
        id: region.clone(),
        name: region.clone(),
        no: 1,
        file_server_type: file_server_type.into(),
        file_server_config,
        address_server_host: String::new(),
        agent_install_script: String::new(),
        image_id: String::new(),
        tag: String::new(),
    };
    Ok(call.success(RegionConfigReply { region_config }))
}

/// This server as a store, for a client that calls it by some name.
#[derive(Debug, PartialEq, Eq)]
struct Store {
    bucket: String,
    host: String,
}

impl Store {
    fn called(headers: &HeaderMap) -> Self {
        Self::named(headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default())
    }

    fn named(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        // Some clients write the whole address there (K6).
        let host = host.split_once("://").map_or(host.as_str(), |(_, host)| host);
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => {
                (name, format!(":{port}"))
            }
            _ => (host, String::new()),
        };
        let address: Option<std::net::IpAddr> = name.trim_matches(['[', ']']).parse().ok();
        match (address, name.split_once('.')) {
            (Some(address), _) if address.is_loopback() => {
                Self { bucket: BUCKET.into(), host: format!("localhost{port}") }
            }
            (None, Some((bucket, rest))) if is_bucket(bucket) => {
                Self { bucket: bucket.into(), host: format!("{rest}{port}") }
            }
            (Some(_) | None, _) => Self { bucket: BUCKET.into(), host: host.into() },
        }
    }
}

/// Whether an OSS SDK accepts it as the name of a bucket.
fn is_bucket(name: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("sluice.example.com:8080", "sluice", "example.com:8080")]
    #[case("Sluice.Example.com", "sluice", "example.com")]
    #[case("sluice.localhost:8080", "sluice", "localhost:8080")]
    #[case("localhost:8080", "sluice", "localhost:8080")]
    #[case("127.0.0.1:8080", "sluice", "localhost:8080")]
    #[case("[::1]:8080", "sluice", "localhost:8080")]
    #[case("10.1.2.3:8080", "sluice", "10.1.2.3:8080")]
    #[case("http://ci-1.example.com:80", "ci-1", "example.com:80")]
    #[case("ci.example.com", "sluice", "ci.example.com")]
    #[case("tools", "sluice", "tools")]
    fn the_servers_name_is_taken_apart_into_bucket_and_host(
        #[case] called: &str,
        #[case] bucket: &str,
        #[case] host: &str,
    ) {
        assert_eq!(Store::named(called), Store { bucket: bucket.into(), host: host.into() });
    }
}
