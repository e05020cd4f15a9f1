//! What the containers of a pod have printed: a line when one started, and one when it ended.
//!
//! There are no containers, so this is all that they print. Which log there is, and why there
//! is none, is as a node says it.

use serde_json::Value;

use super::field::text;
use super::objects::Key;
use super::refusal::Refusal;
use super::request::{Options, Target};
use super::world::World;

/// The log that is asked for.
pub(super) fn of(world: &World, target: &Target, options: &Options) -> Result<String, Refusal> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let name = target.name.as_deref().unwrap_or_default();
    let pod = world.present(&Key::new(target.kind, namespace, name))?;
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wanted = options.container.as_str();
    let container = match containers {
        [only] if wanted.is_empty() => only,
        all if wanted.is_empty() => {
            let names: Vec<&str> = all.iter().filter_map(|it| text(it, "/name")).collect();
            return Err(Refusal::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                names.join(" ")
            )));
        }
        all => all.iter().find(|it| it["name"] == wanted).ok_or_else(|| {
            Refusal::bad_request(format!("container {wanted} is not valid for pod {name}"))
        })?,
    };
    let called = text(container, "/name").unwrap_or_default();
    let statuses = pod["status"]["containerStatuses"].as_array();
    let status = statuses.into_iter().flatten().find(|it| it["name"] == called);
    let (state, last) = match status {
        Some(status) => (&status["state"], &status["lastState"]["terminated"]),
        None => (&Value::Null, &Value::Null),
    };
    let lines = if options.is_previous() {
        if last.is_null() {
            return Err(Refusal::bad_request(format!(
                "previous terminated container {called:?} in pod {name:?} not found"
            )));
        }
        lines(container, last)
    } else if !state["running"].is_null() {
        lines(container, &state["running"])
    } else if !state["terminated"].is_null() {
        lines(container, &state["terminated"])
    } else if !last.is_null() {
        lines(container, last)
    } else {
        let why = text(state, "/waiting/message").or(text(state, "/waiting/reason"));
        return Err(Refusal::bad_request(format!(
            "container {called:?} in pod {name:?} is waiting to start: {}",
            why.unwrap_or("ContainerCreating")
        )));
    };
    let first = lines.len().saturating_sub(options.tail_lines.unwrap_or(usize::MAX));
    let mut printed = lines[first..].concat();
    if let Some(most) = options.limit_bytes {
        let end = (0..=most.min(printed.len())).rev().find(|end| printed.is_char_boundary(*end));
        printed.truncate(end.unwrap_or(0));
    }
    Ok(printed)
}

/// What a container printed from its start on, and at its end if it has ended.
fn lines(container: &Value, state: &Value) -> Vec<String> {
    let image = text(container, "/image").unwrap_or_default();
    let started = text(state, "/startedAt").unwrap_or_default();
    let mut lines = vec![format!("{started} {image} starts\n")];
    if let Some(finished) = text(state, "/finishedAt") {
        let code = state["exitCode"].as_i64().unwrap_or(0);
        lines.push(format!("{finished} {image} ends with exit code {code}\n"));
    }
    lines
}
