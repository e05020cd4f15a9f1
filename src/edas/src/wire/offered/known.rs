//! Which actions a policy can name.

use crate::wire::contract;
use domain::access::{Action, Group, Pattern};

/// Whether a pattern, in lower case and without `edas:`, fits an operation or a group. What
/// EDAS has and this server does not offer is known, too: it allows and denies nothing here.
#[must_use]
pub fn knows_action(pattern: &Pattern) -> bool {
    let operations = contract::operations().iter().chain(contract::own());
    let names = operations.map(|it| it.name.as_str()).chain(Group::ALL.map(Group::name));
    let names = names.chain(Action::OF_GUARDRAILS.map(|it| it.name));
    names.into_iter().any(|name| pattern.fits(&name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::offered::offer;
    use domain::access::Policy;

    #[test]
    fn the_actions_of_the_console_are_those_of_the_operations() {
        for action in Action::OF_CONSOLE {
            assert_eq!(offer(action.name).unwrap().action(), action);
        }
    }

    #[test]
    fn an_action_that_there_is_not_is_refused_by_its_name() {
        let policy = |action: &str| {
            let text = format!(
                r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]}}"#
            );
            Policy::read(&text, knows_action)
        };
        for known in [
            "*",
            "edas:*",
            "edas:Get*",
            "edas:DeployK8sApplication",
            "edas:ReadApplication",
            "EDAS:deployk8sapplication",
            "edas:ListSlb",
        ] {
            assert!(policy(known).is_ok(), "{known}");
        }
        for unknown in ["edas:DeployK8sAplication", "ecs:*", "edas:", "edas:Fly*"] {
            let refusal = policy(unknown).unwrap_err().to_string();
            assert!(refusal.contains(unknown), "{refusal}");
        }
    }
}
