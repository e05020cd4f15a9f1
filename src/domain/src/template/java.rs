//! Releasing a package: what its pod template has beyond that of an image.
//!
//! No image is built. An init container (this program) fetches the package into
//! a volume, and the application's container, on a runtime image, starts it from
//! there. One annotation lists, without secrets, what Sluice added to the template. So
//! a later change can build on it, and a release of an image removes exactly that. A start
//! command of the caller stays. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::spec::{EnvVar, Field};
use crate::{
    notation,
    package::{Label, PackageAddress, PackageKind, runtime::Runtime},
};

mod start;

pub use crate::template::java::start::{DEFAULT_ENCODING, Web, WebContext, server_xml};
use crate::template::names::{PACKAGE_ANNOTATION, PACKAGE_CONTAINER};

/// Where the volume is mounted, in both containers: where EDAS puts packages into a
/// container, so that commands and scripts made for it find theirs.
pub const FOLDER: &str = "/home/admin/app";

/// Environment variable with the package's address, secrets and all.
pub const URL_VARIABLE: &str = "SLUICE_PACKAGE_URL";
/// Environment variable with the folder that the package comes into.
pub const FOLDER_VARIABLE: &str = "SLUICE_PACKAGE_FOLDER";
/// Environment variable with the package's place in that folder.
pub const FILE_VARIABLE: &str = "SLUICE_PACKAGE_FILE";
/// Environment variable with the checksum that the package must have.
pub const CHECKSUM_VARIABLE: &str = "SLUICE_PACKAGE_CHECKSUM";
/// Environment variable with the text of the web container's `server.xml`.
pub const SERVER_XML_VARIABLE: &str = "SLUICE_PACKAGE_SERVER_XML";

/// What a release changes of a package and of how it runs. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JavaChange {
    /// The package; none keeps what runs.
    pub package: Option<Package>,
    /// What it runs on; none keeps it. Goes with every package.
    pub runtime: Option<Runtime>,
    /// Options of the JVM, as they stand on a command line.
    pub jvm_options: Field<String>,
    /// Settings of the web container.
    pub web: Field<Web>,
    /// Its URI encoding alone.
    pub uri_encoding: Option<String>,
    /// Whether it reads URIs in the body's encoding, alone.
    pub use_body_encoding: Option<bool>,
}

impl JavaChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A package to release, and what fetches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub kind: PackageKind,
    pub url: PackageAddress,
    /// Image of the init container.
    pub fetcher: String,
    /// What the init container is told beside the address: the operator's rules.
    pub rules: Vec<EnvVar>,
}

/// The package that a template runs, as its annotation says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    pub kind: PackageKind,
    /// Its address, without what is secret.
    pub url: String,
    pub file: String,
    /// What it runs on.
    pub runtime: Runtime,
    /// Options of the JVM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jvm_options: String,
    /// Settings of the web container.
    #[serde(default)]
    pub web: Web,
    /// What the container had before the first package.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub before: Map<String, Value>,
}

/// Fields of the container that belong to what it starts.
const START_FIELDS: [&str; 2] = ["command", "args"];

impl Running {
    /// The package that `template` runs; none where it runs an image.
    #[must_use]
    pub fn of(template: &Value) -> Option<Self> {
        let text = template.pointer("/metadata/annotations")?.get(PACKAGE_ANNOTATION)?.as_str()?;
        fetcher_of(template)?;
        notation::kept_json(text)
    }

    /// The command that starts it. What the container has as `args` goes to the program.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        start::command(self)
    }

    /// Whether `container` starts it as Sluice does, and not with a caller's command.
    #[must_use]
    pub fn starts(&self, container: &Map<String, Value>) -> bool {
        container.get("command") == Some(&json!(self.command()))
    }

    /// What is remembered of it with its version.
    #[must_use]
    pub fn label(&self) -> Label {
        Label {
            kind: self.kind,
            address: self.url.clone(),
            jdk: self.runtime.jdk.clone(),
            web_container: self.runtime.web_container.clone(),
        }
    }

    fn change(&mut self, change: &JavaChange) {
        if let Some(package) = &change.package {
            (self.kind, self.url, self.file) =
                (package.kind, package.url.to_string(), package.url.file_name());
        }
        if let Some(runtime) = &change.runtime {
            self.runtime = runtime.clone();
        }
        match &change.jvm_options {
            Field::Keep => {}
            Field::Clear => self.jvm_options.clear(),
            Field::Set(options) => self.jvm_options.clone_from(options),
        }
        match &change.web {
            Field::Keep => {}
            Field::Clear => self.web = Web::default(),
            Field::Set(web) => self.web = web.clone(),
        }
        if let Some(encoding) = &change.uri_encoding {
            self.web.uri_encoding.clone_from(encoding);
        }
        if let Some(use_body_encoding) = change.use_body_encoding {
            self.web.use_body_encoding = use_body_encoding;
        }
    }
}

/// Puts the package that `change` releases into the template, changes the one
/// that is there, or, with `to_image`, takes it out. Before the container's own
/// fields change; [`Started::finish`] comes after.
pub(crate) fn change(
    change: &JavaChange,
    to_image: bool,
    template: &mut Value,
    container: usize,
) -> Started {
    let old = Running::of(template);
    let mut next = match (&change.package, &change.runtime) {
        _ if to_image => None,
        (Some(package), Some(runtime)) => Some(old.clone().unwrap_or_else(|| Running {
            kind: package.kind,
            url: String::new(),
            file: String::new(),
            runtime: runtime.clone(),
            jvm_options: String::new(),
            web: Web::default(),
            before: Map::new(),
        })),
        _ => old.clone(),
    };
    if let Some(next) = &mut next {
        next.change(change);
    }
    let fetcher = fetcher_of(template).cloned();
    take_out(template, container);
    let Some(fields) = container_at(template, container) else { return Started(None) };
    if old.as_ref().is_some_and(|old| old.starts(fields)) {
        fields.remove("command");
    }
    match (&old, &mut next) {
        (None, Some(next)) => {
            next.before =
                START_FIELDS.iter().filter_map(|field| fields.remove_entry(*field)).collect();
        }
        (Some(old), None) => {
            for (field, value) in &old.before {
                fields.entry(field).or_insert_with(|| value.clone());
            }
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let Some(next) = &next {
        if let Some(runtime) = &change.runtime {
            fields.insert("image".into(), json!(runtime.image));
        }
        put_in(template, container, next, change.package.as_ref(), fetcher);
    }
    Started(next)
}

/// What is to be started, once the container's own fields are changed.
#[must_use]
pub(crate) struct Started(Option<Running>);

impl Started {
    /// Whether a package is to be started.
    pub(crate) fn is_package(&self) -> bool {
        self.0.is_some()
    }

    /// Gives the container the package's start command, if it has none of its
    /// own, and the init container what it shares with that container.
    pub(crate) fn finish(self, template: &mut Value, container: usize) {
        let Some(running) = self.0 else { return };
        let Some(fields) = container_at(template, container) else { return };
        fields.entry("command").or_insert_with(|| json!(running.command()));
        let (resources, security) = (resources(fields), security(fields));
        let fetchers = template.pointer_mut("/spec/initContainers").and_then(Value::as_array_mut);
        if let Some(fetcher) =
            fetchers.into_iter().flatten().find(|it| it["name"] == PACKAGE_CONTAINER)
        {
            fetcher["resources"] = resources;
            fetcher["securityContext"] = security;
        }
    }
}

/// Limits and requests as the application has them: that costs the pod nothing,
/// since both never run at once, and keeps its quality of service.
fn resources(container: &Map<String, Value>) -> Value {
    let kept = |(kind, amounts): (&String, &Value)| {
        matches!(kind.as_str(), "limits" | "requests").then(|| (kind.clone(), amounts.clone()))
    };
    let given = container.get("resources").and_then(Value::as_object);
    Value::Object(given.into_iter().flatten().filter_map(kept).collect())
}

/// The application's user, without any rights: the strictest rules for pods let
/// it through where they let the application through.
fn security(container: &Map<String, Value>) -> Value {
    let mut security =
        json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    for field in ["runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile"] {
        if let Some(value) = container.get("securityContext").and_then(|given| given.get(field)) {
            security[field] = value.clone();
        }
    }
    security
}

fn fetcher_of(template: &Value) -> Option<&Value> {
    template
        .pointer("/spec/initContainers")?
        .as_array()?
        .iter()
        .find(|container| container["name"] == PACKAGE_CONTAINER)
}

pub(crate) fn container_at(template: &mut Value, index: usize) -> Option<&mut Map<String, Value>> {
    template.pointer_mut("/spec/containers")?.get_mut(index)?.as_object_mut()
}

/// Takes init container, volume, mount and annotation out, and nothing else.
fn take_out(template: &mut Value, container: usize) {
    if let Some(annotations) =
        template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.remove(PACKAGE_ANNOTATION);
    }
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        without(spec, "initContainers");
        without(spec, "volumes");
    }
    if let Some(container) = container_at(template, container) {
        without(container, "volumeMounts");
    }
}

/// Drops the item of `list` that is ours, and the list if nothing else is in it.
fn without(parent: &mut Map<String, Value>, list: &str) {
    let Some(items) = parent.get_mut(list).and_then(Value::as_array_mut) else { return };
    let count = items.len();
    items.retain(|item| item["name"] != PACKAGE_CONTAINER);
    if items.is_empty() && count > 0 {
        parent.remove(list);
    }
}

fn with(parent: &mut Map<String, Value>, list: &str, item: Value) {
    let items = parent.entry(list).or_insert_with(|| json!([]));
    match items.as_array_mut() {
        Some(items) => items.push(item),
        None => *items = json!([item]),
    }
}

/// Puts init container, volume, mount and annotation in. Without a new package
/// the init container stays as it is, but for what follows from the settings.
fn put_in(
    template: &mut Value,
    container: usize,
    next: &Running,
    package: Option<&Package>,
    present: Option<Value>,
) {
    let mount = json!({ "name": PACKAGE_CONTAINER, "mountPath": FOLDER });
    let mut fetcher = match (package, present) {
        (None, Some(present)) => present,
        (Some(package), _) => fetcher(package, &mount),
        (None, None) => return,
    };
    let env =
        fetcher.as_object_mut().map(|fetcher| fetcher.entry("env").or_insert_with(|| json!([])));
    if let Some(env) = env.and_then(Value::as_array_mut) {
        tell(env, FILE_VARIABLE, Some(start::file(next)));
        tell(
            env,
            SERVER_XML_VARIABLE,
            (next.kind == PackageKind::War).then(|| server_xml(&next.web)),
        );
    }
    if let Some(container) = container_at(template, container) {
        with(container, "volumeMounts", mount);
    }
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        with(spec, "initContainers", fetcher);
        with(spec, "volumes", json!({ "name": PACKAGE_CONTAINER, "emptyDir": {} }));
    }
    let annotation = serde_json::to_string(next).unwrap_or_default();
    super::spec::object_at(template, &["metadata", "annotations"])
        .insert(PACKAGE_ANNOTATION.into(), json!(annotation));
}

fn fetcher(package: &Package, mount: &Value) -> Value {
    let mut env = Vec::new();
    tell(&mut env, URL_VARIABLE, Some(package.url.secret().to_string()));
    tell(&mut env, CHECKSUM_VARIABLE, package.url.checksum().map(ToString::to_string));
    tell(&mut env, FOLDER_VARIABLE, Some(FOLDER.into()));
    for rule in &package.rules {
        tell(&mut env, &rule.name, Some(rule.value.clone()));
    }
    json!({
        "name": PACKAGE_CONTAINER,
        "image": package.fetcher,
        // Never as arguments: those are in every list of processes.
        "command": ["sluice", "fetch-package"],
        "env": env,
        "volumeMounts": [mount],
    })
}

/// Sets or, with none, removes a variable.
fn tell(env: &mut Vec<Value>, name: &str, value: Option<String>) {
    let index = env.iter().position(|variable| variable["name"] == name);
    match (index, value) {
        (Some(index), Some(value)) => {
            env[index] = json!({ "name": name, "value": literal(&value) })
        }
        (None, Some(value)) => env.push(json!({ "name": name, "value": literal(&value) })),
        (Some(index), None) => {
            env.remove(index);
        }
        (None, None) => {}
    }
}

/// Takes what is secret in a package's address out of the pod spec `spec`.
pub(crate) fn conceal(spec: &mut Value) {
    let fetchers = spec.get_mut("initContainers").and_then(Value::as_array_mut);
    let variables = fetchers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get_mut("env")?.as_array_mut());
    for variable in variables.flatten().filter(|variable| variable["name"] == URL_VARIABLE) {
        let address = variable["value"]
            .as_str()
            .unwrap_or_default()
            .replace("$$", "$")
            .parse::<PackageAddress>();
        variable["value"] =
            json!(address.map_or_else(|_| "(not shown)".to_owned(), |address| address.to_string()));
    }
}

/// Puts what [`conceal`] took out of the package's address in `template` back, from
/// `there`, the template that was shown. False where the address is not that one.
pub(crate) fn reveal(template: &mut Value, there: &Value) -> bool {
    let mut public = there.clone();
    if let Some(spec) = public.get_mut("spec") {
        conceal(spec);
    }
    let address = |template: &Value| {
        let variables = fetcher_of(template)?.get("env")?.as_array()?;
        variables
            .iter()
            .find(|variable| variable["name"] == URL_VARIABLE)
            .map(|variable| variable["value"].clone())
    };
    let (given, shown, whole) = (address(template), address(&public), address(there));
    if given.is_none() || given == whole {
        return true;
    }
    let fetchers = template.pointer_mut("/spec/initContainers").and_then(Value::as_array_mut);
    let variables = fetchers
        .into_iter()
        .flatten()
        .filter(|it| it["name"] == PACKAGE_CONTAINER)
        .filter_map(|it| it.get_mut("env")?.as_array_mut());
    let found = variables.flatten().find(|variable| variable["name"] == URL_VARIABLE);
    match (found, whole) {
        (Some(variable), Some(whole)) if given == shown => {
            variable["value"] = whole;
            true
        }
        _ => false,
    }
}

/// `text` so that Kubernetes, which puts variables in for `$(NAME)`, gives it on unchanged.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

#[cfg(test)]
mod tests;
