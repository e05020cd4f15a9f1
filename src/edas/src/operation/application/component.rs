//! ListComponents and ListBuildPack: what packages run on.
//!
//! Components are the JDKs and web containers of the operator's table of runtime
//! images. Build packs are EDAS' own containers, of which there are none here.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        reply::{Nothing, Reply, wrapped},
    },
};
use domain::package::runtime::Runtime;

/// Reply of ListComponents.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ComponentListReply {
    /// The components.
    pub component_list: ComponentList,
}

wrapped! {
    /// Components: JDKs first, then web containers; each as in the operator's table.
    ComponentList, "Component": ListedComponent
}

/// A component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedComponent {
    /// Its name.
    #[schema(example = "Open JDK 8")]
    pub component_id: String,
    /// Its name, for JDK and WebContainer.
    #[schema(example = "Open JDK 8")]
    pub component_key: String,
    /// Its name.
    #[schema(example = "Open JDK 8")]
    pub desc: String,
    /// `JDK` or `TOMCAT`.
    #[schema(example = "JDK")]
    pub r#type: String,
    /// The number that its name ends with; empty if there is none.
    #[schema(example = "8")]
    pub version: String,
    /// Always false.
    pub expired: bool,
}

/// Reply of ListBuildPack.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct BuildPackReply {
    /// The build packs.
    pub build_pack_list: BuildPackList,
}

wrapped! {
    /// Build packs: always none.
    BuildPackList, "BuildPack": Nothing
}

/// Lists the JDKs and web containers that packages can run on.
#[utoipa::path(
    get, path = "/pop/v5/resource/components", operation_id = "ListComponents", tag = "Applications",
    responses((status = 200, description = "The components.", body = Reply<ComponentListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<ComponentListReply>, ApiError> {
    Ok(call.success(ComponentListReply {
        component_list: ComponentList { items: components(call.service.runtimes()) },
    }))
}

/// Lists EDAS' own containers: none, since packages run on the operator's images.
#[utoipa::path(
    post, path = "/pop/v5/app/build_pack_list", operation_id = "ListBuildPack", tag = "Applications",
    responses((status = 200, description = "None.", body = Reply<BuildPackReply>))
)]
pub async fn list_build_packs(call: Call) -> Result<Reply<BuildPackReply>, ApiError> {
    Ok(call.success(BuildPackReply { build_pack_list: BuildPackList::default() }))
}

fn components(runtimes: &[Runtime]) -> Vec<ListedComponent> {
    let jdks = runtimes.iter().map(|runtime| (runtime.jdk.as_str(), "JDK"));
    let containers =
        runtimes.iter().filter_map(|runtime| Some((runtime.web_container.as_deref()?, "TOMCAT")));
    let mut found: Vec<ListedComponent> = Vec::new();
    for (name, kind) in jdks.chain(containers) {
        let is_there = |known: &ListedComponent| {
            known.r#type == kind && known.component_key.eq_ignore_ascii_case(name)
        };
        if !found.iter().any(is_there) {
            found.push(component(name, kind));
        }
    }
    found
}

fn component(name: &str, kind: &str) -> ListedComponent {
    let start = name.rfind(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(0, |last| last + 1);
    ListedComponent {
        component_id: name.into(),
        component_key: name.into(),
        desc: name.into(),
        r#type: kind.into(),
        version: name.get(start..).unwrap_or_default().into(),
        expired: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::shape;

    #[test]
    fn each_jdk_and_web_container_of_the_table_is_a_component_once() {
        let runtime = |jdk: &str, container: Option<&str>| Runtime {
            jdk: jdk.into(),
            web_container: container.map(Into::into),
            image: "i".into(),
        };
        let runtimes = [
            runtime("Open JDK 8", None),
            runtime("Open JDK 17", None),
            runtime("open jdk 8", Some("apache-tomcat-9.0.98")),
        ];
        let reply = json!(ComponentListReply {
            component_list: ComponentList { items: components(&runtimes) }
        });
        shape::check("ListComponents", &reply);
        let shown: Vec<_> = reply["ComponentList"]["Component"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                ["ComponentKey", "Type", "Version"]
                    .map(|name| it[name].as_str().unwrap().to_owned())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ["Open JDK 8", "JDK", "8"],
                ["Open JDK 17", "JDK", "17"],
                ["apache-tomcat-9.0.98", "TOMCAT", "9.0.98"]
            ]
        );
        assert_eq!(component("Ünbekannt é", "JDK").version, "");
    }
}
