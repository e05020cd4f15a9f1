//! Reading a request: what it is about, and what it asks for.
//!
//! Understands the path grammar of the Kubernetes API and the query options of
//! its verbs. Does not look at bodies, and carries nothing out.

use axum::extract::Query;
use http::{Method, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::audit::Call;
use super::garbage::Propagation;
use super::kind::Kind;
use super::refusal::{Cause, Refusal};

/// What a path names.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Route {
    /// Version, health or discovery: a path of fixed content.
    Fixed(String),
    /// Objects of a kind.
    Resource(Target),
}

/// Objects of a kind: all, those of a namespace, or one, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Target {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Subresource,
}

/// Which part of an object a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subresource {
    Whole,
    Status,
    Scale,
    /// What a container of a pod has printed.
    Log,
}

impl Subresource {
    /// As in the path.
    pub(super) fn name(self) -> &'static str {
        match self {
            Subresource::Whole => "",
            Subresource::Status => "status",
            Subresource::Scale => "scale",
            Subresource::Log => "log",
        }
    }
}

/// Reads a path; none when nothing lives there.
pub(super) fn route(path: &str) -> Option<Route> {
    let decoded: Vec<String> = path
        .trim_matches('/')
        .split('/')
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] if !rest.is_empty() => ("", rest),
        ["apis", group, version, rest @ ..]
            if !rest.is_empty() && Kind::GROUPS.contains(&(*group, *version)) =>
        {
            (*group, rest)
        }
        ["version" | "readyz" | "healthz" | "livez" | "api" | "apis"]
        | ["api", "v1"]
        | ["openapi", "v3"]
        | ["openapi", "v3", "api", "v1"] => {
            return Some(Route::Fixed(parts.join("/")));
        }
        ["openapi", "v3", "apis", group, version] if Kind::GROUPS.contains(&(*group, *version)) => {
            return Some(Route::Fixed(parts.join("/")));
        }
        ["apis", group, rest @ ..]
            if Kind::GROUPS.iter().any(|(name, version)| {
                name == group && (rest.is_empty() || *rest == [*version])
            }) =>
        {
            return Some(Route::Fixed(parts.join("/")));
        }
        _ => return None,
    };
    let (namespace, plural, rest) = match rest {
        // "namespaces" is both a resource and the start of those inside one.
        ["namespaces", namespace, plural, rest @ ..]
            if !matches!(*plural, "status" | "finalize") =>
        {
            (Some((*namespace).to_owned()), *plural, rest)
        }
        [plural, rest @ ..] => (None, *plural, rest),
        [] => return None,
    };
    let kind = Kind::find(group, plural)?;
    if namespace.is_some() && !kind.is_namespaced() {
        return None;
    }
    let (name, subresource) = match rest {
        [] => (None, Subresource::Whole),
        [name] => (Some((*name).to_owned()), Subresource::Whole),
        [name, "status"] if kind.has_status() => (Some((*name).to_owned()), Subresource::Status),
        [name, "scale"] if kind.has_scale() => (Some((*name).to_owned()), Subresource::Scale),
        [name, "log"] if kind == Kind::Pod => (Some((*name).to_owned()), Subresource::Log),
        _ => return None,
    };
    if kind.is_namespaced() && namespace.is_none() && name.is_some() {
        return None;
    }
    Some(Route::Resource(Target { kind, namespace, name, subresource }))
}

/// The query options of all verbs together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Options {
    pub(super) label_selector: String,
    pub(super) field_selector: String,
    watch: String,
    resource_version: String,
    resource_version_match: String,
    allow_watch_bookmarks: String,
    send_initial_events: String,
    pub(super) timeout_seconds: Option<u64>,
    dry_run: String,
    field_manager: String,
    propagation_policy: String,
    orphan_dependents: String,
    grace_period_seconds: Option<i64>,
    pub(super) include_object: String,
    pub(super) container: String,
    previous: String,
    pub(super) tail_lines: Option<usize>,
    pub(super) limit_bytes: Option<usize>,
}

impl Options {
    /// Reads the query of a request.
    pub(super) fn read(uri: &Uri) -> Result<Self, Refusal> {
        Query::try_from_uri(uri)
            .map(|Query(options)| options)
            .map_err(|why| Refusal::bad_request(format!("query {:?}: {why}", uri.query())))
    }

    /// Whether a list is to go on as a watch.
    pub(super) fn is_watch(&self) -> bool {
        is_true(&self.watch)
    }

    /// Whether a watch wants bookmarks.
    pub(super) fn wants_bookmarks(&self) -> bool {
        is_true(&self.allow_watch_bookmarks)
    }

    /// The version asked for; none for "any" (absent or 0).
    pub(super) fn version(&self) -> Result<Option<u64>, Refusal> {
        match self.resource_version.as_str() {
            "" | "0" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::new(
                    500,
                    "InternalError",
                    format!("resourceVersion: Invalid value: {text:?}: not a resource version"),
                )
            }),
        }
    }

    /// Whether a watch is to begin with what is there: when it names no version,
    /// or asks for a streamed list.
    pub(super) fn begins_with_objects(&self) -> Result<bool, Refusal> {
        if self.send_initial_events.is_empty() {
            return Ok(self.version()?.is_none());
        }
        if self.resource_version_match != "NotOlderThan" {
            return Err(Refusal::invalid(
                "meta.k8s.io",
                "ListOptions",
                "",
                &[Cause::forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                )],
            ));
        }
        Ok(is_true(&self.send_initial_events))
    }

    /// Whether nothing may be kept.
    pub(super) fn is_dry_run(&self) -> Result<bool, Refusal> {
        match self.dry_run.as_str() {
            "" => Ok(false),
            "All" => Ok(true),
            other => Err(Refusal::invalid(
                "meta.k8s.io",
                "PatchOptions",
                "",
                &[Cause::unsupported("dryRun", &serde_json::json!([other]), &["All"])],
            )),
        }
    }

    /// What becomes of dependents; none leaves it to the body or the default.
    pub(super) fn propagation(&self) -> Result<Option<Propagation>, Refusal> {
        match (self.propagation_policy.as_str(), self.orphan_dependents.as_str()) {
            ("", "") => Ok(None),
            ("", orphan) if is_true(orphan) => Ok(Some(Propagation::Orphan)),
            ("", _) => Ok(Some(Propagation::Background)),
            (policy, _) => propagation(policy).map(Some),
        }
    }

    /// Whether the log of the container before the present one is wanted.
    pub(super) fn is_previous(&self) -> bool {
        is_true(&self.previous)
    }

    /// Seconds until a pod has to be gone.
    pub(super) fn grace(&self) -> Option<i64> {
        self.grace_period_seconds
    }
}

/// Reads a `propagationPolicy`.
pub(super) fn propagation(policy: &str) -> Result<Propagation, Refusal> {
    match policy {
        "Background" => Ok(Propagation::Background),
        "Foreground" => Ok(Propagation::Foreground),
        "Orphan" => Ok(Propagation::Orphan),
        other => Err(Refusal::invalid(
            "meta.k8s.io",
            "DeleteOptions",
            "",
            &[Cause::unsupported(
                "propagationPolicy",
                &serde_json::json!(other),
                &["Foreground", "Background", "Orphan"],
            )],
        )),
    }
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "true" | "True" | "TRUE" | "t" | "T")
}

/// The request in the words of the log.
pub(super) fn call(parts: &Parts, route: Option<&Route>, options: &Options) -> Call {
    let target = match route {
        Some(Route::Resource(target)) => Some(target),
        _ => None,
    };
    let named = target.is_some_and(|target| target.name.is_some());
    let verb = match parts.method {
        Method::GET if named || target.is_none() => "get",
        Method::GET if options.is_watch() => "watch",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    };
    let agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .and_then(|agent| agent.split('/').next())
        .filter(|agent| !agent.is_empty())
        .unwrap_or("unknown");
    let manager =
        if options.field_manager.is_empty() { agent } else { options.field_manager.as_str() };
    Call {
        verb,
        resource: target.map_or("", |target| target.kind.plural()),
        subresource: target.map_or("", |target| target.subresource.name()),
        namespace: target.and_then(|target| target.namespace.clone()).unwrap_or_default(),
        name: target.and_then(|target| target.name.clone()).unwrap_or_default(),
        manager: manager.to_owned(),
        dry_run: options.dry_run == "All",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn target(
        kind: Kind,
        namespace: Option<&str>,
        name: Option<&str>,
        subresource: Subresource,
    ) -> Option<Route> {
        Some(Route::Resource(Target {
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            subresource,
        }))
    }

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        use Subresource::{Scale, Status, Whole};
        let n = Some("n");
        assert_eq!(
            route("/apis/apps/v1/namespaces/n/deployments/web/scale"),
            target(Kind::Deployment, n, Some("web"), Scale)
        );
        assert_eq!(
            route("/api/v1/namespaces/n/pods/p/status"),
            target(Kind::Pod, n, Some("p"), Status)
        );
        assert_eq!(route("/api/v1/pods"), target(Kind::Pod, None, None, Whole));
        assert_eq!(route("/api/v1/namespaces/n"), target(Kind::Namespace, None, n, Whole));
        assert_eq!(route("/api/v1/namespaces/n/status"), target(Kind::Namespace, None, n, Status));
        assert_eq!(route("/version"), Some(Route::Fixed("version".to_owned())));
    }

    #[rstest]
    #[case("/nope")]
    #[case("/api/v2/pods")]
    #[case("/api/v1/deployments")]
    #[case("/apis/apps/v1/namespaces/n/deployments/web/nope")]
    #[case("/api/v1/namespaces/n/nodes")]
    #[case("/api/v1/pods/p")]
    fn other_paths_lead_nowhere(#[case] path: &str) {
        assert_eq!(route(path), None);
    }
}
