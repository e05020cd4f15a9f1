//! ListHistoryDeployVersion: the versions that an application can return to.
//!
//! An item's Id goes into DeployK8sApplication (PackageVersionId), its text into
//! RollbackApplication (HistoryVersion). For an image, the package's addresses
//! hold the image's; for a package, its own without user and query.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        reply::{Reply, wrapped},
    },
};
use service::ReleaseView;

/// Reply of ListHistoryDeployVersion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct VersionListReply {
    /// The versions.
    pub package_version_list: PackageVersionList,
}

wrapped! {
    /// Versions, newest first.
    PackageVersionList, "PackageVersion": PackageVersion
}

/// A version.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PackageVersion {
    /// Its id, for DeployK8sApplication's PackageVersionId.
    pub id: String,
    /// Its application.
    pub app_id: String,
    /// Its text, for RollbackApplication's HistoryVersion.
    #[schema(example = "2.0")]
    pub package_version: String,
    /// `image`, or `url` for a package.
    #[schema(example = "image")]
    pub r#type: String,
    /// Its image, or its package's address.
    pub war_url: String,
    /// Its image, or its package's address.
    pub public_url: String,
    /// Description of the order that released it.
    pub description: String,
    /// When it was ordered, in milliseconds since 1970.
    pub create_time: i64,
    /// When it was last released to its end, in milliseconds since 1970.
    pub update_time: i64,
}

/// Lists the versions of an application that were released to their end, newest first.
#[utoipa::path(
    get, path = "/pop/v5/app/deploy_history_version_list", operation_id = "ListHistoryDeployVersion", tag = "Applications",
    responses((status = 200, description = "The versions.", body = Reply<VersionListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<VersionListReply>, ApiError> {
    let releases = call.service.history(call.application()?).await?;
    Ok(call.success(VersionListReply {
        package_version_list: PackageVersionList { items: releases.iter().map(version).collect() },
    }))
}

fn version(release: &ReleaseView) -> PackageVersion {
    let (kind, address) = match &release.package {
        Some(package) => ("url", &package.address),
        None => ("image", &release.image),
    };
    PackageVersion {
        id: release.id.to_string(),
        app_id: release.application.to_string(),
        package_version: release.version.clone(),
        r#type: kind.into(),
        war_url: address.clone(),
        public_url: address.clone(),
        description: release.description.clone(),
        create_time: release.created_at.as_millisecond(),
        update_time: release.released_at.as_millisecond(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::shape;
    use domain::{
        ApplicationId, ReleaseId,
        package::{Label, PackageKind},
    };

    fn shown(package: Option<Label>) -> serde_json::Value {
        let release = ReleaseView {
            id: ReleaseId::new(),
            application: ApplicationId::new(),
            version: "2.0".into(),
            image: "shop/web:2.0".into(),
            package,
            description: "why".into(),
            created_at: "2026-11-24T00:00:00Z".parse().unwrap(),
            released_at: "2026-11-24T00:01:00Z".parse().unwrap(),
        };
        let reply = json!(VersionListReply {
            package_version_list: PackageVersionList { items: vec![version(&release)] }
        });
        shape::check("ListHistoryDeployVersion", &reply);
        reply["PackageVersionList"]["PackageVersion"][0].clone()
    }

    #[test]
    fn an_image_version_has_its_image_where_the_package_would_be() {
        let item = shown(None);
        assert_eq!(
            (&item["Type"], &item["WarUrl"], &item["CreateTime"]),
            (&json!("image"), &json!("shop/web:2.0"), &json!(1795478400000_i64))
        );
    }

    #[test]
    fn a_package_version_has_its_address() {
        let address = "https://files.example.com/web.jar";
        let label = Label {
            kind: PackageKind::FatJar,
            address: address.into(),
            jdk: "Open JDK 8".into(),
            web_container: None,
        };
        let item = shown(Some(label));
        assert_eq!(
            (&item["Type"], &item["WarUrl"], &item["PublicUrl"]),
            (&json!("url"), &json!(address), &json!(address))
        );
    }
}
