//! Everything of a pod beside image, probes and limits: labels, volumes, placement,
//! hooks, containers beside it. Both big calls name these parameters alike.
//!
//! JSON texts, some with YAML in base64 inside. Absent keeps, empty clears (R15);
//! what is not understood is refused with its place.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::{
    Affinity, Container, PodSecurityContext, SecurityContext, Toleration,
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use super::{environment::read_env_froms, probe};
use crate::wire::{error::ApiError, params::Params};
use domain::{
    limits::CONTAINERS as MOST_CONTAINERS,
    name, notation,
    rejection::shortened,
    template::{
        pods::{ClaimMount, EmptyFolder, Files, NodeFolder, Placement, PodChange},
        spec::Field,
    },
};

const NAME: &str = "a name of lower-case letters, digits, '-' and '.', which begins and ends with a letter or digit";
const WORD: &str =
    "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
const KEY: &str = "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, and may have a domain and '/' before";

/// What a folder of the node may be (hostPath).
const NODE_FOLDER_TYPES: &[&str] = &[
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
];

const FILES: &str =
    r#"allowed is a list of {"name":"…","type":"ConfigMap" or "Secret","mountPath":"/…"}"#;
const NODE_FOLDERS: &str = r#"allowed is a list of {"type":"" or a hostPath type of Kubernetes,"nodePath":"/…","mountPath":"/…"}"#;
const EMPTY_FOLDERS: &str =
    r#"allowed is a list of {"mountPath":"/…","readOnly":false,"subPathExpr":"…"}"#;
const CLAIMS: &str =
    r#"allowed is a list of {"pvcName":"…","mountPaths":[{"mountPath":"/…","readOnly":false}]}"#;
const CONTAINERS: &str = r#"allowed is a list of {"yamlEncoded":"<base64 of the YAML of a container with name and image>"}"#;
const SECURITY: &str = "allowed is a Kubernetes securityContext as YAML in base64";

/// Reads them; `envs` says whether `Envs` names all variables.
///
/// # Errors
/// A business error that names the parameter, the place within it and what is allowed.
pub fn read(params: &Params, envs: bool) -> Result<PodChange, ApiError> {
    let (env_from, more) = read_env_froms(params)?;
    let from_keys = match more.is_empty() {
        false => Field::Set(more),
        // Those that were given before and are not named go.
        true if envs => Field::Clear,
        true => Field::Keep,
    };
    Ok(PodChange {
        annotations: texts(params, "Annotations", |_| true)?,
        labels: texts(params, "Labels", name::is_label_value)?,
        env_from_keys: from_keys,
        env_from,
        startup: probe::read(params, "Startup")?,
        post_start: probe::read_hook(params, "PostStart")?,
        pre_stop: probe::read_hook(params, "PreStop")?,
        grace_seconds: params.integer("TerminateGracePeriod")?,
        disk_limit: params.integer("LimitEphemeralStorage")?,
        disk_request: params.integer("RequestsEphemeralStorage")?,
        files: list(params, "ConfigMountDescs", FILES, files)?,
        node_folders: list(params, "LocalVolume", NODE_FOLDERS, |it: NodeFolderItem| {
            let kind = it.kind.unwrap_or_default();
            if !NODE_FOLDER_TYPES.contains(&kind.as_str()) {
                return Err(format!(
                    "the type {:?} is none of {}",
                    shortened(&kind),
                    NODE_FOLDER_TYPES[1..].join(", ")
                ));
            }
            Ok(NodeFolder { kind, node_path: path(it.node_path)?, path: path(it.mount_path)? })
        })?,
        empty_folders: list(params, "EmptyDirs", EMPTY_FOLDERS, |it: EmptyFolderItem| {
            let sub_path = it.sub_path_expr.unwrap_or_default();
            Ok(EmptyFolder {
                path: path(it.mount_path)?,
                read_only: it.read_only.unwrap_or(false),
                sub_path,
            })
        })?,
        claims: list(params, "PvcMountDescs", CLAIMS, claim)?,
        placement: Placement {
            apart_by_node: is_true(params, "DeployAcrossNodes"),
            apart_by_zone: is_true(params, "DeployAcrossZones"),
            affinity: shaped::<Affinity, _>(
                params,
                "CustomAffinity",
                "allowed is a Kubernetes affinity, a JSON object",
            )?,
            tolerations: shaped::<Vec<Toleration>, _>(
                params,
                "CustomTolerations",
                "allowed is a list of Kubernetes tolerations",
            )?,
        },
        runtime_class: match params.raw("RuntimeClassName") {
            None => Field::Keep,
            Some("") => Field::Clear,
            Some(_) => thing(params, "RuntimeClassName")?.map_or(Field::Keep, Field::Set),
        },
        security: security(params)?,
        init_containers: containers(params, "InitContainers")?,
        sidecars: containers(params, "Sidecars")?,
        pull_secret: None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilesItem {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    mount_path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeFolderItem {
    #[serde(rename = "type")]
    kind: Option<String>,
    node_path: String,
    mount_path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EmptyFolderItem {
    mount_path: String,
    read_only: Option<bool>,
    sub_path_expr: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimItem {
    pvc_name: String,
    mount_paths: Vec<ClaimPath>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimPath {
    mount_path: String,
    read_only: Option<bool>,
}

#[derive(Deserialize)]
struct Encoded {
    #[serde(rename = "yamlEncoded")]
    yaml: String,
}

/// `true` is yes and every other text no, as documented; none = not given.
fn is_true(params: &Params, name: &str) -> Option<bool> {
    params.text(name).map(|text| text.eq_ignore_ascii_case("true"))
}

/// The name of something on the cluster; empty is the same as absent.
///
/// # Errors
/// A business error for what Kubernetes takes as no name.
pub fn thing(params: &Params, parameter: &str) -> Result<Option<String>, ApiError> {
    match params.text(parameter) {
        Some(text) if !name::is_subdomain(text) => {
            Err(ApiError::refused(parameter, text, format!("must be {NAME}")))
        }
        text => Ok(text.map(Into::into)),
    }
}

fn named(text: String) -> Result<String, String> {
    if name::is_subdomain(&text) {
        Ok(text)
    } else {
        Err(format!("the name {:?} is not {NAME}", shortened(&text)))
    }
}

/// JSON that Kubernetes can read as `K`; taken as it is given.
fn shaped<K: DeserializeOwned, T: DeserializeOwned>(
    params: &Params,
    name: &str,
    allowed: &str,
) -> Result<Field<T>, ApiError> {
    params.json::<K>(name, allowed)?;
    params.json::<T>(name, allowed)
}

fn path(path: String) -> Result<String, String> {
    if path.starts_with('/') {
        Ok(path)
    } else {
        Err(format!("{:?} does not begin with /", shortened(&path)))
    }
}

fn files(item: FilesItem) -> Result<Files, String> {
    let is_secret = match item.kind.to_ascii_lowercase().as_str() {
        "configmap" => false,
        "secret" => true,
        other => return Err(format!("the type {:?} is neither", shortened(other))),
    };
    Ok(Files { is_secret, name: named(item.name)?, path: path(item.mount_path)? })
}

fn claim(item: ClaimItem) -> Result<ClaimMount, String> {
    let place = |it: ClaimPath| Ok((path(it.mount_path)?, it.read_only.unwrap_or(false)));
    let paths: Vec<(String, bool)> =
        item.mount_paths.into_iter().map(place).collect::<Result<_, String>>()?;
    if paths.is_empty() {
        Err("mountPaths is empty".into())
    } else {
        Ok(ClaimMount { name: named(item.pvc_name)?, paths })
    }
}

/// A JSON list of items, each of which may be refused.
fn list<T: DeserializeOwned, R>(
    params: &Params,
    name: &str,
    allowed: &str,
    read: impl Fn(T) -> Result<R, String>,
) -> Result<Field<Vec<R>>, ApiError> {
    let items = match params.json::<Vec<T>>(name, allowed)? {
        Field::Keep => return Ok(Field::Keep),
        Field::Clear => return Ok(Field::Clear),
        Field::Set(items) => items,
    };
    let refuse = |index: usize, why: String| -> ApiError {
        ApiError::refused(
            name,
            params.raw(name).unwrap_or_default(),
            format!("at [{index}]: {why}; {allowed}"),
        )
    };
    let read = |(index, item)| read(item).map_err(|why| refuse(index, why));
    Ok(Field::Set(items.into_iter().enumerate().map(read).collect::<Result<_, _>>()?))
}

/// A JSON object of texts; numbers and booleans are taken as texts.
fn texts(
    params: &Params,
    name: &str,
    is_value: fn(&str) -> bool,
) -> Result<Field<BTreeMap<String, String>>, ApiError> {
    const ALLOWED: &str = r#"allowed is a JSON object of texts, {"name":"value"}"#;
    let pairs = match params.json::<BTreeMap<String, Value>>(name, ALLOWED)? {
        Field::Keep => return Ok(Field::Keep),
        Field::Clear => return Ok(Field::Clear),
        Field::Set(pairs) => pairs,
    };
    let refuse =
        |why: String| Err(ApiError::refused(name, params.raw(name).unwrap_or_default(), why));
    let text = |(key, value): (String, Value)| {
        let text = match value {
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return refuse(format!("at {}: it is no text; {ALLOWED}", shortened(&key)));
            }
        };
        if !name::is_key(&key) {
            return refuse(format!("at {:?}: a key must be {KEY}; {ALLOWED}", shortened(&key)));
        }
        if !is_value(&text) {
            return refuse(format!(
                "at {key}: the value {:?} must be empty or {WORD}; {ALLOWED}",
                shortened(&text)
            ));
        }
        Ok((key, text))
    };
    Ok(Field::Set(pairs.into_iter().map(text).collect::<Result<_, _>>()?))
}

/// Containers, each as YAML in base64.
fn containers(params: &Params, name: &str) -> Result<Field<Vec<Value>>, ApiError> {
    if let Field::Set(items) = params.json::<Vec<IgnoredAny>>(name, CONTAINERS)?
        && items.len() > MOST_CONTAINERS
    {
        return Err(ApiError::refused(
            name,
            format!("{} items", items.len()),
            format!("at most {MOST_CONTAINERS} containers are allowed"),
        ));
    }
    list(params, name, CONTAINERS, |it: Encoded| {
        let container = yaml(&it.yaml)?;
        let is_text = |field: &str| container[field].as_str().is_some_and(|text| !text.is_empty());
        if !is_text("name") || !is_text("image") {
            return Err("the container has no name or no image".into());
        }
        notation::shaped::<Container>(&container)
            .map_err(|why| format!("it is no container: {why}"))?;
        match container["name"].as_str() {
            Some(name) if name::is_label(name) => Ok(container),
            _ => {
                Err("the container's name is not of at most 63 lower-case letters, digits and '-'"
                    .into())
            }
        }
    })
}

/// Why `value` cannot be read as `K`; none = it can.
fn unreadable<K: DeserializeOwned>(value: &Value) -> Option<String> {
    notation::shaped::<K>(value).err()
}

fn security(params: &Params) -> Result<Field<Value>, ApiError> {
    let refuse = |text: &str, why: String| {
        Err(ApiError::refused("SecurityContext", text, format!("{why}; {SECURITY}")))
    };
    match params.raw("SecurityContext") {
        None => Ok(Field::Keep),
        Some("") => Ok(Field::Clear),
        Some(text) => match yaml(text) {
            // One of the two takes it, and neither may find a field of another type.
            Ok(value) if value.is_object() => match (
                unreadable::<SecurityContext>(&value),
                unreadable::<PodSecurityContext>(&value),
            ) {
                (None, None) => Ok(Field::Set(value)),
                (Some(why), _) | (None, Some(why)) => refuse(text, why),
            },
            Ok(_) => refuse(text, "it is no object".into()),
            Err(why) => refuse(text, why),
        },
    }
}

fn yaml(encoded: &str) -> Result<Value, String> {
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| "it is not base64".to_owned())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let value: Value = notation::yaml(&text).map_err(|place| format!("it is not YAML: {place}"))?;
    if notation::has_nul(&value) {
        Err("it holds the character U+0000, which nothing can store".into())
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
