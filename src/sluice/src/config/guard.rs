//! Guardrails on what runs.

use std::path::Path;

use clap::Args;

use domain::{access::Pattern, guard::Version};
use service::GuardConfig;

/// Where a pod finds the name of its own namespace.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// What of the guardrails is a setting of the server; who may exceed them is said by policies.
#[derive(Debug, Args)]
pub struct GuardServing {
    /// Version of Kubernetes whose Pod Security Standards pods are judged by: latest, or v1.25 to v1.37.
    #[arg(long, env = "SLUICE_POD_SECURITY_VERSION", default_value = "latest")]
    pub pod_security_version: Version,
    /// Kubernetes namespaces in which only those may change something whose policies name them, * for any characters, with commas between; empty = none. In a pod, its own namespace is one of them in any case.
    #[arg(long, env = "SLUICE_PROTECTED_NAMESPACES", default_value = "kube-*")]
    pub protected_namespaces: String,
}

impl GuardServing {
    /// The settings. `in_cluster` says whether this program runs in the cluster that it drives.
    ///
    /// # Errors
    /// A namespace that is none.
    pub fn config(&self, in_cluster: bool) -> Result<GuardConfig, String> {
        let own = in_cluster.then(|| own_namespace(Path::new(OWN_NAMESPACE))).flatten();
        let named = self.protected_namespaces.split(',').map(str::trim).filter(|it| !it.is_empty());
        let is_pattern = |text: &str| {
            text.len() <= 63
                && text
                    .bytes()
                    .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-*".contains(&it))
        };
        let mut protected_namespaces = Vec::new();
        for name in named.map(str::to_owned).chain(own) {
            if !is_pattern(&name) {
                return Err(format!(
                    "--protected-namespaces (SLUICE_PROTECTED_NAMESPACES) has the value {name}: must have lower-case letters, digits, '-' and '*' only, with commas between two namespaces"
                ));
            }
            protected_namespaces.push(Pattern::new(name));
        }
        Ok(GuardConfig { pod_security: self.pod_security_version, protected_namespaces })
    }
}

fn own_namespace(file: &Path) -> Option<String> {
    let name = std::fs::read_to_string(file).ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(namespaces: &str) -> Result<Vec<String>, String> {
        let serving = GuardServing {
            pod_security_version: Version::LATEST,
            protected_namespaces: namespaces.into(),
        };
        let config = serving.config(false)?;
        Ok(config.protected_namespaces.iter().map(|it| it.text().to_owned()).collect())
    }

    #[test]
    fn protected_namespaces_are_read_and_others_are_refused_by_name() {
        assert_eq!(read("kube-*, sluice").unwrap(), ["kube-*", "sluice"]);
        assert_eq!(read("").unwrap(), Vec::<String>::new());
        assert!(read("Shop").unwrap_err().contains("the value Shop"));
    }

    #[test]
    fn the_own_namespace_is_read_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("namespace");
        assert_eq!(own_namespace(&file), None);
        std::fs::write(&file, "sluice\n").unwrap();
        assert_eq!(own_namespace(&file).as_deref(), Some("sluice"));
    }
}
