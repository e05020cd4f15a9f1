//! Scaling without rolling: paused Deployments and those that were resized.
//!
//! One active ReplicaSet takes the whole size. Several share size plus surge in
//! proportion to what they had, so that a change of size in the middle of a
//! release leaves the release where it is.

use std::cmp::Reverse;

use super::super::refusal::Refusal;
use super::super::world::World;
use super::view::{Deployment, ReplicaSet, Strategy, wanted};
use super::{DESIRED, MAXIMUM, resize};

/// Scales the sets of a Deployment to its size.
pub(super) fn scale(
    world: &mut World,
    deployment: &Deployment,
    new: &mut Option<ReplicaSet>,
    old: &mut [ReplicaSet],
) -> Result<(), Refusal> {
    let mut active: Vec<&mut ReplicaSet> =
        old.iter_mut().chain(new.iter_mut()).filter(|set| set.replicas > 0).collect();
    if let [only] = active.as_mut_slice() {
        resize(world, deployment, only, deployment.replicas, false)?;
        return Ok(());
    }
    if active.is_empty() {
        let newest = match new {
            Some(set) => Some(set),
            None => old.iter_mut().max_by_key(|set| set.age()),
        };
        if let Some(set) = newest {
            resize(world, deployment, set, deployment.replicas, false)?;
        }
        return Ok(());
    }
    if new.as_ref().is_some_and(|set| is_full(deployment, set)) {
        for set in old.iter_mut().filter(|set| set.replicas > 0) {
            resize(world, deployment, set, 0, false)?;
        }
        return Ok(());
    }
    if deployment.strategy == Strategy::Recreate {
        return Ok(());
    }
    let mut active: Vec<&mut ReplicaSet> =
        old.iter_mut().chain(new.iter_mut()).filter(|set| set.replicas > 0).collect();
    let allowed =
        if deployment.replicas > 0 { deployment.replicas + deployment.max_surge() } else { 0 };
    let to_add = allowed - wanted(active.iter().map(|set| &**set));
    order(&mut active, to_add);
    let sizes = share_out(deployment, &active, to_add);
    for (set, size) in active.into_iter().zip(sizes) {
        resize(world, deployment, set, size, true)?;
    }
    Ok(())
}

/// The new set has the whole size, knows it, and all of it is available.
fn is_full(deployment: &Deployment, set: &ReplicaSet) -> bool {
    set.replicas == deployment.replicas
        && set.number(DESIRED) == Some(deployment.replicas)
        && set.available == deployment.replicas
}

/// The largest first; of equals the newer when growing, the older when shrinking.
fn order(sets: &mut [&mut ReplicaSet], to_add: i32) {
    if to_add > 0 {
        sets.sort_by_key(|set| Reverse((set.replicas, set.age())));
    } else if to_add < 0 {
        sets.sort_by_key(|set| (Reverse(set.replicas), set.age()));
    }
}

/// The new sizes, in the order of the sets; what rounding leaves over goes to
/// the first.
fn share_out(deployment: &Deployment, sets: &[&mut ReplicaSet], to_add: i32) -> Vec<i32> {
    let mut added = 0;
    let mut sizes: Vec<i32> = sets
        .iter()
        .map(|set| {
            let part = part_of(deployment, set, to_add, added);
            added += part;
            set.replicas + part
        })
        .collect();
    if to_add != 0
        && let Some(first) = sizes.first_mut()
    {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

fn part_of(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    if to_add == 0 || to_add == added {
        return 0;
    }
    let fraction = fraction_of(deployment, set);
    let left = to_add - added;
    if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
}

fn fraction_of(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    if deployment.replicas == 0 {
        return -set.replicas;
    }
    let now = f64::from(deployment.replicas + deployment.max_surge());
    let before = set
        .number(MAXIMUM)
        .filter(|maximum| *maximum != 0)
        .unwrap_or_else(|| super::field::count(&deployment.status, "/replicas"));
    if before == 0 {
        return 0;
    }
    let size = f64::from(set.replicas) * now / f64::from(before);
    // Both factors are small counts: the rounded product fits.
    #[allow(clippy::cast_possible_truncation)]
    let rounded = size.round() as i32;
    rounded - set.replicas
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::json;

    use super::super::super::kind::Kind;
    use super::super::super::objects::Key;
    use super::*;

    fn set(name: &str, created: &str, replicas: i32, maximum: Option<i32>) -> ReplicaSet {
        let annotations = match maximum {
            Some(maximum) => json!({MAXIMUM: maximum.to_string()}),
            None => json!({}),
        };
        let object = json!({
            "metadata": {"creationTimestamp": created, "annotations": annotations},
            "spec": {"replicas": replicas},
        });
        ReplicaSet::read(&Key::new(Kind::ReplicaSet, "n", name), &Arc::new(object))
    }

    /// Sets by age, the oldest first, all made at a size with this maximum.
    fn scaled(sizes: &[i32], maximum: Option<i32>, replicas: i32, surge: i32) -> Vec<i32> {
        let object = json!({
            "spec": {
                "replicas": replicas,
                "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1}},
            },
            "status": {"replicas": sizes.iter().sum::<i32>()},
        });
        let key = Key::new(Kind::Deployment, "n", "d");
        let deployment = Deployment::read(&key, &Arc::new(object));
        let mut sets: Vec<ReplicaSet> = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| set(&format!("{i}"), &format!("2026-01-0{}", i + 1), *size, maximum))
            .collect();
        let allowed = if replicas > 0 { replicas + surge } else { 0 };
        let to_add = allowed - sizes.iter().sum::<i32>();
        let mut ordered: Vec<&mut ReplicaSet> = sets.iter_mut().collect();
        order(&mut ordered, to_add);
        let mut result: Vec<(String, i32)> = ordered
            .iter()
            .map(|set| set.key.name.clone())
            .zip(share_out(&deployment, &ordered, to_add))
            .collect();
        result.sort();
        result.into_iter().map(|(_, size)| size).collect()
    }

    #[rstest]
    #[case::up_in_proportion(&[5, 5], Some(10), 20, 0, &[10, 10])]
    #[case::down_in_proportion(&[5, 5], Some(10), 6, 0, &[3, 3])]
    #[case::what_is_left_over_goes_to_the_largest(&[8, 5], Some(13), 20, 3, &[14, 9])]
    #[case::of_equals_the_newest_grows(&[3, 3, 3], Some(9), 10, 0, &[3, 3, 4])]
    #[case::of_equals_the_oldest_shrinks(&[3, 3, 3], Some(9), 8, 0, &[2, 3, 3])]
    #[case::to_nothing(&[4, 2], Some(6), 0, 0, &[0, 0])]
    #[case::without_the_annotation_by_the_status(&[5, 5], None, 20, 0, &[10, 10])]
    #[case::a_larger_surge_alone_is_a_change_too(&[7, 3], Some(10), 10, 2, &[8, 4])]
    #[case::nothing_to_do(&[7, 3], Some(10), 10, 0, &[7, 3])]
    fn sizes_are_shared(
        #[case] sizes: &[i32],
        #[case] maximum: Option<i32>,
        #[case] replicas: i32,
        #[case] surge: i32,
        #[case] expected: &[i32],
    ) {
        assert_eq!(scaled(sizes, maximum, replicas, surge), expected);
    }
}
