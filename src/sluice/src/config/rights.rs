//! Which rights to print.

use std::str::FromStr;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};

use domain::{
    name::{is_label, is_subdomain},
    rights::{Feature, Scope},
};

/// `sluice rights`.
#[derive(Debug, Args)]
pub struct PrintRights {
    /// Kubernetes namespaces to grant them in, with commas between, 100 at most; empty = in all.
    #[arg(long, default_value = "")]
    pub namespaces: Scope,
    /// What Sluice is to be able to do, with commas between; release is always among it. Without any, everything.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Feature::ALL.map(Feature::word)).try_map(|word| feature(&word)))]
    pub features: Vec<Feature>,
    /// The account that Sluice runs with: namespace/name. The roles begin with its name.
    #[arg(long, default_value = "sluice/sluice")]
    pub service_account: ServiceAccount,
    /// Print policies of the API server instead, which refuse what the account may not write whatever its rights: pods with rights on their node, and anything in namespaces kube-*.
    #[arg(long, conflicts_with_all = ["namespaces", "features"])]
    pub admission_policy: bool,
}

/// The account of a program in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    pub namespace: String,
    pub name: String,
}

impl FromStr for ServiceAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_subdomain(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => {
                Err("must be the namespace and the name of a ServiceAccount, such as sluice/sluice"
                    .into())
            }
        }
    }
}

fn feature(word: &str) -> Result<Feature, String> {
    let found = Feature::ALL.into_iter().find(|it| it.word() == word);
    found.ok_or_else(|| format!("there is no feature {word}"))
}
