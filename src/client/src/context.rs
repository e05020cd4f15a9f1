//! Which server is called, and with which key: flags, then a context that is named, then the
//! environment, then the current context.

use std::{
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use edas::wire::signature::Signer;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    End, Trouble,
    api::Api,
    command::{ContextCommand, Reach},
    show::{self, say},
    table::table,
};

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

/// A server and a key, as far as they are given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Given {
    endpoint: Option<String>,
    key_id: Option<String>,
    secret: Option<String>,
}

/// What counts of the flags, the environment and a context. `is_named`: the context was asked
/// for, and is not only the current one.
fn choose(reach: &Reach, given: Given, context: Option<&Context>, is_named: bool) -> Given {
    let kept = |of: fn(&Context) -> String| context.map(of);
    let pick = |given: Option<String>, kept: Option<String>| {
        if is_named { kept.or(given) } else { given.or(kept) }
    };
    let key_id = reach.access_key_id.clone();
    // The secret of another key is of no use.
    let secret = kept(|it| it.access_key_secret.clone()).filter(|_| {
        let is_its_key = |id: &String| context.is_some_and(|it| it.access_key_id == *id);
        key_id.as_ref().is_none_or(is_its_key)
    });
    Given {
        endpoint: reach
            .endpoint
            .clone()
            .or_else(|| pick(given.endpoint, kept(|it| it.endpoint.to_string()))),
        key_id: key_id.or_else(|| pick(given.key_id, kept(|it| it.access_key_id.clone()))),
        secret: pick(given.secret, secret),
    }
}

/// The server that `reach` means: what a flag says, then a context that is named, then the
/// environment, then the current context.
pub(crate) fn api(reach: &Reach) -> Result<Api, Trouble> {
    let named = reach.context.clone().or_else(|| env(["SLUICE_CONTEXT", "SLUICE_CONTEXT"]));
    let given = Given {
        endpoint: env(["SLUICE_ENDPOINT", "SLUICE_ENDPOINT"]),
        key_id: env(["SLUICE_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_ID"]),
        secret: env(["SLUICE_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"]),
    };
    let is_complete = named.is_none()
        && (reach.endpoint.is_some() || given.endpoint.is_some())
        && (reach.access_key_id.is_some() || given.key_id.is_some())
        && given.secret.is_some();
    let contexts = if is_complete { Contexts::default() } else { Contexts::load(&path()?)? };
    let context = contexts.find(named.as_deref().unwrap_or(&contexts.current));
    if let (Some(name), None) = (&named, context) {
        return Err(usage(format!("there is no context {name}: `sluice context list` shows them")));
    }
    let chosen = choose(reach, given, context, named.is_some());
    let (endpoint, id, secret) = (chosen.endpoint, chosen.key_id, chosen.secret);
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
    let (Some(key_id), Some(secret)) = (id, secret) else {
        return Err(usage(
            "no access key is named: set SLUICE_ACCESS_KEY_ID and SLUICE_ACCESS_KEY_SECRET, or use a context",
        ));
    };
    Api::new(endpoint, Signer { key_id, secret: secret.into() })
}

/// `sluice context`.
pub(crate) fn command(command: ContextCommand) -> Result<(), Trouble> {
    let path = path()?;
    let mut contexts = Contexts::load(&path)?;
    match command {
        ContextCommand::List => {
            let rows: Vec<Vec<String>> = contexts
                .contexts
                .iter()
                .map(|it| {
                    let mark = if it.name == contexts.current { "*" } else { "" };
                    vec![
                        mark.into(),
                        it.name.clone(),
                        it.endpoint.to_string(),
                        it.access_key_id.clone(),
                    ]
                })
                .collect();
            let width = show::columns().unwrap_or(usize::MAX);
            for line in table(&["", "NAME", "ENDPOINT", "KEY"], &rows, width) {
                say(&line.text);
            }
        }
        ContextCommand::Use { name } => {
            if contexts.find(&name).is_none() {
                return Err(Trouble::new(End::NotFound, format!("there is no context {name}")));
            }
            contexts.current = name;
            contexts.store(&path)?;
        }
        ContextCommand::Set { name, reach } => {
            let api = api(&reach)?;
            contexts.keep(&name, api.endpoint, &api.signer);
            contexts.store(&path)?;
            say(&format!("context {name} is kept in {}, and used from now on", path.display()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Colours, Format};

    fn given(word: &str) -> Given {
        let text = |what: &str| Some(format!("{word}-{what}"));
        Given { endpoint: text("endpoint"), key_id: text("id"), secret: text("secret") }
    }

    #[test]
    fn a_flag_counts_before_a_named_context_and_that_before_the_environment() {
        let context = Context {
            name: "prod".into(),
            endpoint: "http://prod/".parse().unwrap(),
            access_key_id: "prod-id".into(),
            access_key_secret: "prod-secret".into(),
        };
        let reach = |endpoint: Option<&str>, key: Option<&str>| Reach {
            endpoint: endpoint.map(Into::into),
            access_key_id: key.map(Into::into),
            context: None,
            output: Format::Text,
            color: Colours::Auto,
        };
        let words = |it: Given| [it.endpoint, it.key_id, it.secret].map(Option::unwrap_or_default);
        let (none, prod) = (reach(None, None), Some(&context));
        for (reach, given, context, is_named, expected) in [
            (&none, given("env"), prod, true, ["http://prod/", "prod-id", "prod-secret"]),
            (&none, given("env"), prod, false, ["env-endpoint", "env-id", "env-secret"]),
            (&none, Given::default(), prod, false, ["http://prod/", "prod-id", "prod-secret"]),
            (&none, given("env"), None, false, ["env-endpoint", "env-id", "env-secret"]),
            (
                &reach(Some("flag"), None),
                given("env"),
                prod,
                true,
                ["flag", "prod-id", "prod-secret"],
            ),
            // The secret of the context is that of another key.
            (
                &reach(Some("flag"), Some("my-id")),
                given("env"),
                prod,
                true,
                ["flag", "my-id", "env-secret"],
            ),
        ] {
            assert_eq!(words(choose(reach, given, context, is_named)), expected, "{is_named}");
        }
    }
}
