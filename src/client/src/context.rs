//! Which server is called, and with which key: flags, then the environment, then a context.

use std::{
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use edas::wire::signature::Signer;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{End, Trouble, api::Api, command::Reach};

/// Largest context file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// The file of contexts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// The name of the one that is used.
    #[serde(default)]
    pub(crate) current: String,
    #[serde(default)]
    pub(crate) contexts: Vec<Context>,
}

/// A server and a key to it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Context {
    pub(crate) name: String,
    pub(crate) endpoint: Url,
    pub(crate) access_key_id: String,
    access_key_secret: String,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret belongs into no log.
        formatter.debug_struct("Context").field("name", &self.name).finish_non_exhaustive()
    }
}

fn usage(message: impl std::fmt::Display) -> Trouble {
    Trouble::new(End::Usage, message)
}

/// Where the contexts are kept.
pub(crate) fn path() -> Result<PathBuf, Trouble> {
    let env = |name| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    if let Some(file) = env("SLUICE_CONTEXT_FILE") {
        return Ok(file);
    }
    let folder = env("XDG_CONFIG_HOME").or_else(|| env("HOME").map(|home| home.join(".config")));
    let folder = folder.ok_or_else(|| usage("there is no HOME to keep contexts in"))?;
    Ok(folder.join("sluice/contexts.json"))
}

impl Contexts {
    /// Reads the file; none are in one that is not there.
    pub(crate) fn load(path: &Path) -> Result<Self, Trouble> {
        let Ok(about) = std::fs::metadata(path) else { return Ok(Self::default()) };
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(usage(format!(
                "{} has mode {mode:o}, so that others may read the secrets in it: run chmod 600 on it",
                path.display()
            )));
        }
        if about.len() > MOST_BYTES {
            return Err(usage(format!("{} is too large", path.display())));
        }
        let text = std::fs::read(path)
            .map_err(|error| usage(format!("{} cannot be read: {error}", path.display())))?;
        serde_json::from_slice(&text)
            .map_err(|error| usage(format!("{} cannot be read: {error}", path.display())))
    }

    /// Writes the file, for its owner alone.
    pub(crate) fn store(&self, path: &Path) -> Result<(), Trouble> {
        let write = || -> std::io::Result<()> {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let beside = path.with_extension("new");
            let _ = std::fs::remove_file(&beside);
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.sync_all()?;
            std::fs::rename(beside, path)
        };
        write().map_err(|error| usage(format!("{} cannot be written: {error}", path.display())))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Context> {
        self.contexts.iter().find(|context| context.name == name)
    }

    /// Keeps a server and a key under a name, and uses it from now on.
    pub(crate) fn keep(&mut self, name: &str, endpoint: Url, signer: &Signer) {
        use secrecy::ExposeSecret;
        self.contexts.retain(|context| context.name != name);
        self.contexts.push(Context {
            name: name.into(),
            endpoint,
            access_key_id: signer.key_id.clone(),
            access_key_secret: signer.secret.expose_secret().into(),
        });
        self.current = name.into();
    }
}

fn env(names: [&str; 2]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// The server that `reach` means.
pub(crate) fn api(reach: &Reach) -> Result<Api, Trouble> {
    let id = reach
        .access_key_id
        .clone()
        .or_else(|| env(["SLUICE_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"]));
    let secret = env(["SLUICE_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"]);
    let complete =
        reach.context.is_none() && reach.endpoint.is_some() && id.is_some() && secret.is_some();
    let contexts = if complete { Contexts::default() } else { Contexts::load(&path()?)? };
    let name = reach.context.as_deref().unwrap_or(&contexts.current);
    let context = contexts.find(name);
    if let (Some(name), None) = (&reach.context, context) {
        return Err(usage(format!("there is no context {name}: `sluice context list` shows them")));
    }
    // A context that is named wins over the environment.
    let named = reach.context.is_some();
    let kept = |of: fn(&Context) -> String| context.map(of);
    let pick = |given: Option<String>, kept: Option<String>| {
        if named { kept.or(given) } else { given.or(kept) }
    };
    let endpoint = pick(reach.endpoint.clone(), kept(|it| it.endpoint.to_string()));
    let endpoint = endpoint.ok_or_else(|| {
        usage("no server is named: give --endpoint, set SLUICE_ENDPOINT, or use a context (`sluice context set`)")
    })?;
    let text = if endpoint.contains("://") { endpoint } else { format!("http://{endpoint}") };
    let endpoint: Url = text
        .parse()
        .ok()
        .filter(|url: &Url| url.has_host() && ["http", "https"].contains(&url.scheme()))
        .ok_or_else(|| {
            usage(format!("the endpoint {text} must be such as https://sluice.example"))
        })?;
    let (Some(key_id), Some(secret)) = (
        pick(id, kept(|it| it.access_key_id.clone())),
        pick(secret, kept(|it| it.access_key_secret.clone())),
    ) else {
        return Err(usage(
            "no access key is named: set SLUICE_ACCESS_KEY_ID and SLUICE_ACCESS_KEY_SECRET, or use a context",
        ));
    };
    Api::new(endpoint, Signer { key_id, secret: secret.into() })
}
