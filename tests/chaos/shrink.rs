//! The fewest operations of a life that still show a violation.

use sqlx::PgPool;

use crate::{life::Life, operation::Plan};

/// Each shorter life is lived so often before it counts as one without a violation: when
/// its operations meet the executor differs.
const TRIES: usize = 2;

/// Operations are dropped one by one while the violation stays. Says which are left.
pub async fn shortest(pool: &PgPool, plan: &Plan) -> String {
    let mut shortest = plan.clone();
    let mut violations = Vec::new();
    let mut at = shortest.acts.len();
    while at > 0 {
        at -= 1;
        let mut shorter = shortest.clone();
        shorter.acts.remove(at);
        for _ in 0..TRIES {
            let found = Life::live(pool, &shorter).await.violations;
            if !found.is_empty() {
                (shortest, violations) = (shorter, found);
                break;
            }
        }
    }
    let mut told = format!(
        "  {} of {} operations suffice, with {} pods, {}:\n",
        shortest.acts.len(),
        plan.acts.len(),
        plan.replicas,
        if plan.rolls_back { "rolled back by itself" } else { "not rolled back by itself" }
    );
    for act in &shortest.acts {
        told += &format!("    {:?}, then {} changes\n", act.operation, act.then);
    }
    for violation in violations {
        told += &format!("  {violation}\n");
    }
    told
}
