//! Replacing old pods by new ones: RollingUpdate and Recreate.
//!
//! Rolling takes one sort of step a look: first the new set grows as far as the
//! surge allows; only if it cannot, old sets shrink, sick pods first, and never
//! below size minus `maxUnavailable` of what is *available*.

use super::super::field::text;
use super::super::refusal::Refusal;
use super::super::world::World;
use super::view::{Deployment, ReplicaSet, wanted};
use super::{clean_up, progress, resize, revision};

/// One look at a Deployment that rolls.
pub(super) fn roll(
    world: &mut World,
    mut deployment: Deployment,
    sets: Vec<ReplicaSet>,
) -> Result<(), Refusal> {
    let (new, mut old) = revision::sort_out(world, &mut deployment, sets, true)?;
    let Some(mut new) = new else {
        return Ok(());
    };
    let grew = grow_new(world, &deployment, &mut new, &old)?;
    if !grew {
        let shrank = shrink_old(world, &deployment, &new, &mut old)?;
        if !shrank && progress::is_complete(&deployment, &deployment.status) {
            clean_up(world, &deployment, &mut old)?;
        }
    }
    progress::write_rollout(world, &deployment, &Some(new), &old)
}

fn grow_new(
    world: &mut World,
    deployment: &Deployment,
    new: &mut ReplicaSet,
    old: &[ReplicaSet],
) -> Result<bool, Refusal> {
    if new.replicas == deployment.replicas {
        return Ok(false);
    }
    let size = if new.replicas > deployment.replicas {
        deployment.replicas
    } else {
        revision::grown(deployment, wanted(old), new.replicas)
    };
    resize(world, deployment, new, size, false)
}

fn shrink_old(
    world: &mut World,
    deployment: &Deployment,
    new: &ReplicaSet,
    old: &mut [ReplicaSet],
) -> Result<bool, Refusal> {
    if wanted(&*old) == 0 {
        return Ok(false);
    }
    let minimum = deployment.replicas - deployment.max_unavailable();
    let not_yet = new.replicas - new.available;
    let room = wanted(&*old) + new.replicas - minimum - not_yet;
    if room <= 0 {
        return Ok(false);
    }
    old.sort_by_key(ReplicaSet::age);
    let Some(sick) = remove_sick(world, deployment, old, room)? else {
        return Ok(false);
    };
    let healthy = remove_healthy(world, deployment, new, old, minimum)?;
    Ok(sick + healthy > 0)
}

/// Shrinks old sets by their pods that are not available, which costs nothing.
/// None when a set's status is from before it shrank, and shows more available
/// pods than it wants: then this look ends here.
fn remove_sick(
    world: &mut World,
    deployment: &Deployment,
    old: &mut [ReplicaSet],
    most: i32,
) -> Result<Option<i32>, Refusal> {
    let mut removed = 0;
    for set in old.iter_mut().filter(|set| set.replicas > 0) {
        if removed >= most {
            break;
        }
        let sick = set.replicas - set.available;
        if sick < 0 {
            return Ok(None);
        }
        if sick == 0 {
            continue;
        }
        let number = sick.min(most - removed);
        resize(world, deployment, set, set.replicas - number, false)?;
        removed += number;
    }
    Ok(Some(removed))
}

/// Shrinks old sets by what is available beyond the minimum.
fn remove_healthy(
    world: &mut World,
    deployment: &Deployment,
    new: &ReplicaSet,
    old: &mut [ReplicaSet],
    minimum: i32,
) -> Result<i32, Refusal> {
    let available = new.available + old.iter().map(|set| set.available).sum::<i32>();
    let most = available - minimum;
    let mut removed = 0;
    for set in old.iter_mut().filter(|set| set.replicas > 0) {
        if removed >= most {
            break;
        }
        let number = set.replicas.min(most - removed);
        resize(world, deployment, set, set.replicas - number, false)?;
        removed += number;
    }
    Ok(removed)
}

/// One look at a Deployment that first stops everything old.
pub(super) fn recreate(
    world: &mut World,
    mut deployment: Deployment,
    sets: Vec<ReplicaSet>,
) -> Result<(), Refusal> {
    let (mut new, mut old) = revision::sort_out(world, &mut deployment, sets, false)?;
    let mut shrank = false;
    for set in old.iter_mut().filter(|set| set.replicas > 0) {
        shrank |= resize(world, &deployment, set, 0, false)?;
    }
    if shrank || runs_old_pods(world, &old) {
        return progress::write_rollout(world, &deployment, &new, &old);
    }
    if new.is_none() {
        let (made, rest) = revision::sort_out(world, &mut deployment, old, true)?;
        (new, old) = (made, rest);
    }
    if let Some(set) = &mut new {
        resize(world, &deployment, set, deployment.replicas, false)?;
    }
    if progress::is_complete(&deployment, &deployment.status) {
        clean_up(world, &deployment, &mut old)?;
    }
    progress::write_rollout(world, &deployment, &new, &old)
}

/// Whether a pod of an old set still runs, pods that are just ending included.
fn runs_old_pods(world: &World, old: &[ReplicaSet]) -> bool {
    old.iter().any(|set| {
        set.actual > 0
            || world.objects.dependents(&set.uid).iter().any(|key| {
                world.objects.get(key).is_some_and(|pod| {
                    !matches!(text(pod, "/status/phase"), Some("Failed" | "Succeeded"))
                })
            })
    })
}
