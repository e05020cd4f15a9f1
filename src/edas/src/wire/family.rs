//! What EDAS does beside releasing applications on Kubernetes, by family.
//!
//! The one table of it: a family is the paths that its operations have in the
//! contract, so which operations it has is read from there. An operation that is
//! offered is in none, and every other is in one. The refusals, the OpenAPI document and
//! `docs/edas-operations.md` are held to this table.

use super::{
    contract::{self, Operation},
    offered,
};

/// Operations that are outside of what this server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// What they are about.
    pub name: &'static str,
    /// What their paths begin with.
    paths: &'static [&'static str],
}

/// All of them. Where several fit, the first counts.
pub const FAMILIES: &[Family] = &[
    Family {
        name: "microservices (Dubbo, Spring Cloud, MSE) and their traffic",
        paths: &["/pop/sp/", "/pop/v5/service/", "/pop/v5/trafficmgnt/", "/pop/v5/monitor/"],
    },
    Family { name: "log stores and log directories", paths: &["/pop/v5/log/", "/pop/v5/k8s/sls/"] },
    Family {
        name: "accounts, roles and resource groups",
        paths: &["/pop/v5/account/", "/pop/v5/resource/reg_group_list", "/pop/v5/secure_token"],
    },
    Family {
        name: "load balancers and networks of Alibaba Cloud",
        paths: &[
            "/pop/app/bind_slb_json",
            "/pop/app/unbind_slb_json",
            "/pop/v5/app/slb/",
            "/pop/v5/slb_list",
            "/pop/v5/vpc_list",
        ],
    },
    Family {
        name: "moving applications between regions and accounts of Alibaba Cloud",
        paths: &["/pop/v5/k8s/migrateK8sApp"],
    },
    Family {
        name: "ECS instances, and adding clusters",
        paths: &[
            "/pop/app/config_app_hook_json",
            "/pop/v5/app/app_jvm_config",
            "/pop/v5/app/container_config",
            "/pop/v5/app/modify_hc_url",
            "/pop/v5/app/scalingRules",
            "/pop/v5/app/scaling_rules",
            "/pop/v5/app/update_app_info",
            "/pop/v5/changeorder/co_",
            "/pop/v5/create_idc_import_command",
            "/pop/v5/deploy_group",
            "/pop/v5/ecc",
            "/pop/v5/ecss/",
            "/pop/v5/resource/",
            "/pop/v5/scaling/",
        ],
    },
];

impl Family {
    /// Its operations that are not offered, by name.
    pub fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        contract::operations().iter().filter(|operation| of(operation) == Some(self))
    }
}

/// The family of an operation; none = it is offered.
#[must_use]
pub fn of(operation: &Operation) -> Option<&'static Family> {
    if offered::is_offered(operation) {
        return None;
    }
    FAMILIES.iter().find(|family| family.paths.iter().any(|path| operation.path.starts_with(path)))
}

/// The table as text for people: each family with its operations.
#[must_use]
pub fn described() -> String {
    let names = |operations: Vec<&Operation>| {
        operations.iter().map(|operation| operation.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut text = String::from("Outside of what this server does, and refused as such:\n");
    for family in FAMILIES {
        text.push_str(&format!("\n- {}: {}", family.name, names(family.operations().collect())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_operations_and_every_path_leads_to_one() {
        for family in FAMILIES {
            assert!(family.operations().count() > 0, "{}", family.name);
            for path in family.paths {
                assert!(
                    contract::operations().iter().any(|operation| operation.path.starts_with(path)),
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn every_operation_is_offered_or_in_a_family() {
        let lost =
            contract::operations().iter().filter(|it| !offered::is_offered(it) && of(it).is_none());
        assert_eq!(lost.map(|it| it.name.as_str()).collect::<Vec<_>>(), Vec::<&str>::new());
    }

    #[test]
    fn what_is_offered_is_outside_of_nothing_and_the_rest_is_where_it_belongs() {
        let family = |name: &str| {
            of(contract::operations().iter().find(|it| it.name == name).unwrap())
                .map(|family| family.name)
        };
        for name in [
            "DeployK8sApplication",
            "GetCluster",
            "RollbackApplication",
            "ListK8sConfigMaps",
            "UpdateK8sResource",
        ] {
            assert_eq!(family(name), None, "{name}");
        }
        for (name, word) in [
            ("DeployApplication", "ECS"),
            ("ListEcuByRegion", "ECS"),
            ("GetServiceDetail", "Dubbo"),
            ("InsertSwimmingLane", "traffic"),
            ("UpdateSlsLogStore", "log stores"),
            ("ListRole", "roles"),
            ("ListSlb", "load balancers"),
            ("MigrateApplication", "moving applications"),
        ] {
            assert!(
                family(name).is_some_and(|family| family.contains(word)),
                "{name}: {:?}",
                family(name)
            );
        }
    }

    #[test]
    fn nothing_of_kubernetes_is_in_a_family_but_its_log_stores_and_what_moves_it() {
        let operations = FAMILIES.iter().flat_map(Family::operations);
        let kubernetes: Vec<_> =
            operations.filter(|it| it.path.contains("/k8s")).map(|it| it.name.as_str()).collect();
        let expected =
            |name: &&str| name.contains("SlsLogStore") || name.ends_with("MigrateApplication");
        assert!(kubernetes.iter().all(expected), "{kubernetes:?}");
    }

    #[test]
    fn the_document_of_operations_lists_exactly_these_families() {
        let document = include_str!("../../../../docs/edas-operations.md");
        let (_, list) = document.split_once("## Refused, by family").unwrap();
        let listed: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("- ")).collect();
        assert_eq!(listed, FAMILIES.iter().map(|family| family.name).collect::<Vec<_>>());
    }
}
