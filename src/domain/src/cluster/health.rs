//! Whether a cluster can be released to, and what a server lacks that knows several.

use super::ClusterId;

/// Clusters that one sentence names.
const NAMED: usize = 10;

/// How it stands with a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterHealth {
    pub id: ClusterId,
    /// Why nothing is released there now; none = something is.
    pub trouble: Option<String>,
}

/// What is seen of the executors of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen<'a> {
    /// Why the program's own executor carries nothing out; none = it does, or there is none.
    pub own: Option<&'a str>,
    /// How many executors send heartbeats.
    pub alive: i64,
    /// How many of them can drive orders.
    pub reaching: i64,
    /// Why one of the others cannot, if one says so.
    pub trouble: Option<&'a str>,
}

/// Why nothing is released on a cluster now; none = something is.
#[must_use]
pub fn trouble(seen: &Seen<'_>) -> Option<String> {
    match (seen.own, seen.alive, seen.reaching) {
        (Some(own), ..) => Some(own.into()),
        (None, 0, _) => Some("no executor is alive".into()),
        (None, _, 0) => Some(seen.trouble.unwrap_or("no executor reaches the cluster").into()),
        _ => None,
    }
}

/// Why a server is not ready; none = it is: one of the clusters can be released to. One that is
/// away keeps the server from none of the others.
#[must_use]
pub fn shortcoming(clusters: &[ClusterHealth]) -> Option<String> {
    let mut troubles = Vec::new();
    for cluster in clusters {
        troubles.push((&cluster.id, cluster.trouble.as_deref()?));
    }
    match troubles.as_slice() {
        [] => Some("there is no cluster yet: `sluice cluster add` adds one".into()),
        [(_, only)] => Some((*only).to_owned()),
        several => {
            let named = several.iter().take(NAMED).map(|(id, why)| format!("{id}: {why}"));
            let more = if several.len() > NAMED { "; …" } else { "" };
            Some(format!("{}{more}", named.collect::<Vec<_>>().join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_executor_counts_before_the_others() {
        let seen = |own, alive, reaching, trouble| trouble_of(own, alive, reaching, trouble);
        assert_eq!(seen(None, 1, 1, None), None);
        assert_eq!(seen(None, 2, 1, Some("away")), None);
        assert_eq!(seen(Some("mine"), 2, 1, None).as_deref(), Some("mine"));
        assert_eq!(seen(None, 0, 0, None).as_deref(), Some("no executor is alive"));
        assert_eq!(seen(None, 1, 0, Some("away")).as_deref(), Some("away"));
        assert_eq!(seen(None, 1, 0, None).as_deref(), Some("no executor reaches the cluster"));
    }

    fn trouble_of(
        own: Option<&str>,
        alive: i64,
        reaching: i64,
        why: Option<&str>,
    ) -> Option<String> {
        trouble(&Seen { own, alive, reaching, trouble: why })
    }

    #[test]
    fn one_cluster_that_can_be_released_to_is_enough() {
        let health = |id: &str, trouble: Option<&str>| ClusterHealth {
            id: id.into(),
            trouble: trouble.map(str::to_owned),
        };
        let says = |clusters: &[ClusterHealth]| shortcoming(clusters);
        assert_eq!(says(&[health("a", None)]), None);
        assert_eq!(says(&[health("a", Some("away")), health("b", None)]), None);
        assert_eq!(says(&[health("a", Some("away"))]).as_deref(), Some("away"));
        let both = says(&[health("a", Some("away")), health("b", Some("gone"))]).unwrap();
        assert_eq!(both, "a: away; b: gone");
        assert!(says(&[]).unwrap().contains("sluice cluster add"));
        let many: Vec<ClusterHealth> =
            (0..11).map(|number| health(&format!("c{number}"), Some("away"))).collect();
        let many = says(&many).unwrap();
        assert!(many.ends_with("c9: away; …"), "{many}");
    }
}
