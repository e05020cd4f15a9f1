//! What a server can use of a kubeconfig: one context, whose credential needs neither a file nor
//! a program of the machine that the kubeconfig was made for.

use serde_json::{Map, Value, json};

/// Longest kubeconfig, in bytes.
pub const LONGEST_KUBECONFIG: usize = 256 * 1024;

/// Longest file that a kubeconfig names, in bytes.
pub const LONGEST_NAMED_FILE: usize = 64 * 1024;

/// Longest address of an API server, in bytes.
const LONGEST_SERVER: usize = 2048;

/// Names that a refusal lists.
const NAMED: usize = 10;

/// Fields of a cluster that are kept.
const OF_CLUSTER: [&str; 5] = [
    "server",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "tls-server-name",
    "disable-compression",
];

/// Fields of a user that are kept.
const OF_USER: [&str; 9] = [
    "username",
    "password",
    "token",
    "client-certificate-data",
    "client-key-data",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
];

/// Fields that name a file; the field that can hold what is in it; and whether that is the
/// Base64 of it.
const FILES: [(&str, &str, bool); 4] = [
    ("certificate-authority", "certificate-authority-data", true),
    ("client-certificate", "client-certificate-data", true),
    ("client-key", "client-key-data", true),
    ("tokenFile", "token", false),
];

/// Fields that cannot work in a server, and why.
const REFUSED: [(&str, &str); 3] = [
    (
        "exec",
        "a server does not run a program to get a credential: make a kubeconfig with the token of a ServiceAccount, or with a client certificate",
    ),
    (
        "auth-provider",
        "a server does not ask a provider for a credential: make a kubeconfig with the token of a ServiceAccount, or with a client certificate",
    ),
    ("proxy-url", "the cluster is reached without a proxy: leave the field out"),
];

/// A file that a kubeconfig names, whose content is to take its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The field that names it.
    pub field: &'static str,
    pub path: String,
    /// Whether the Base64 of its content is wanted, or the text itself.
    pub as_base64: bool,
    /// The field that holds its content then.
    holder: &'static str,
}

/// One context of a kubeconfig. It holds secrets, and so shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    cluster: Map<String, Value>,
    user: Map<String, Value>,
    namespace: Option<Value>,
    files: Vec<NamedFile>,
}

impl std::fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kubeconfig")
    }
}

impl Kubeconfig {
    /// Takes a context out of a kubeconfig: the current one if none is named.
    ///
    /// # Errors
    /// Which field cannot be used, and why; no value of a field but names and the address.
    pub fn of(document: &Value, context: Option<&str>) -> Result<Self, String> {
        let current = document["current-context"].as_str().filter(|name| !name.is_empty());
        let name = context.or(current).ok_or_else(|| {
            let all = listed(document, "contexts");
            format!("it has no current-context: choose one with --context; it has {all}")
        })?;
        let context = entry(document, "contexts", name, "context")?;
        let cluster_name = context["cluster"].as_str().unwrap_or_default();
        let cluster = entry(document, "clusters", cluster_name, "cluster")?;
        // Without a user nobody signs in, which some API servers allow.
        let nobody = Value::Null;
        let (user_name, user) = match context["user"].as_str().filter(|name| !name.is_empty()) {
            Some(name) => (name, entry(document, "users", name, "user")?),
            None => ("", &nobody),
        };
        let places = [("clusters", cluster_name, cluster), ("users", user_name, user)];
        for (list, name, fields) in places {
            for (field, why) in REFUSED {
                if is_there(&fields[field]) {
                    return Err(format!("{list}[{}].{field}: {why}", shown(name)));
                }
            }
        }
        server(cluster["server"].as_str().unwrap_or_default())
            .map_err(|why| format!("clusters[{}].server: {why}", shown(cluster_name)))?;
        let mut files = Vec::new();
        for (field, holder, as_base64) in FILES {
            for fields in [cluster, user] {
                let path = fields[field].as_str().filter(|path| !path.is_empty());
                // What is in the kubeconfig itself counts.
                if let (Some(path), false) = (path, is_there(&fields[holder])) {
                    files.push(NamedFile { field, path: path.into(), as_base64, holder });
                }
            }
        }
        let namespace = Some(&context["namespace"]).filter(|it| is_there(it)).cloned();
        Ok(Self {
            cluster: kept(cluster, &OF_CLUSTER),
            user: kept(user, &OF_USER),
            namespace,
            files,
        })
    }

    /// The files whose content is still to be put in.
    #[must_use]
    pub fn files(&self) -> &[NamedFile] {
        &self.files
    }

    /// Puts the content of a file in, as it is wanted.
    pub fn put(&mut self, file: &NamedFile, content: String) {
        let fields =
            if OF_CLUSTER.contains(&file.holder) { &mut self.cluster } else { &mut self.user };
        fields.insert(file.holder.into(), content.into());
        self.files.retain(|it| it != file);
    }

    /// The address of the API server. It holds no secret.
    #[must_use]
    pub fn server(&self) -> &str {
        self.cluster.get("server").and_then(Value::as_str).unwrap_or_default()
    }

    /// What whoever gives it should know.
    #[must_use]
    pub fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.server().starts_with("http://") {
            warnings.push("the API server is asked without encryption: anybody on the way reads and changes what is said");
        }
        if self.cluster.get("insecure-skip-tls-verify") == Some(&Value::Bool(true)) {
            warnings.push("insecure-skip-tls-verify: anybody on the way can pretend to be the API server, and gets the credential");
        }
        warnings
    }

    /// A kubeconfig with this context alone.
    #[must_use]
    pub fn document(&self) -> Value {
        let mut context = json!({ "cluster": "it", "user": "it" });
        if let Some(namespace) = &self.namespace {
            context["namespace"] = namespace.clone();
        }
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "it", "cluster": self.cluster }],
            "users": [{ "name": "it", "user": self.user }],
            "contexts": [{ "name": "it", "context": context }],
            "current-context": "it",
        })
    }
}

/// What a list of the kubeconfig has under a name.
fn entry<'a>(
    document: &'a Value,
    list: &str,
    name: &str,
    inner: &str,
) -> Result<&'a Value, String> {
    let mut all = document[list].as_array().into_iter().flatten();
    all.find(|it| it["name"] == name)
        .map(|it| &it[inner])
        .filter(|it| it.is_object())
        .ok_or_else(|| format!("{list} has no {}; it has {}", shown(name), listed(document, list)))
}

/// The names of a list.
fn listed(document: &Value, list: &str) -> String {
    let all = document[list].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<String> =
        all.iter().take(NAMED).map(|it| shown(it["name"].as_str().unwrap_or_default())).collect();
    match (names.is_empty(), all.len() > NAMED) {
        (true, _) => "none".into(),
        (false, true) => format!("{}, …", names.join(", ")),
        (false, false) => names.join(", "),
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|it| !it.is_control()).take(100).collect()
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

fn kept(fields: &Value, names: &[&str]) -> Map<String, Value> {
    let found = names.iter().filter(|name| is_there(&fields[**name]));
    found.map(|name| ((*name).to_owned(), fields[*name].clone())).collect()
}

/// Judges the address of an API server, which is kept in the clear.
fn server(address: &str) -> Result<(), &'static str> {
    let allowed = "must be the address of the API server, such as https://10.0.0.1:6443, without a name or password, a query or a fragment, of at most 2048 bytes";
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let fits = |rest: &str| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.len() <= LONGEST_SERVER
            && rest.chars().all(|it| it.is_ascii_graphic() && !"@?#\\".contains(it))
    };
    if rest.is_some_and(fits) { Ok(()) } else { Err(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(cluster: Value, user: Value) -> Value {
        json!({
            "clusters": [{ "name": "prod", "cluster": cluster }],
            "users": [{ "name": "ci", "user": user }],
            "contexts": [
                { "name": "prod-ci", "context": { "cluster": "prod", "user": "ci", "namespace": "shop" } },
                { "name": "open", "context": { "cluster": "prod" } },
                { "name": "torn", "context": { "cluster": "gone", "user": "ci" } },
            ],
            "current-context": "prod-ci",
        })
    }

    #[test]
    fn what_cannot_work_in_a_server_is_refused_by_its_field_and_shows_no_secret() {
        let https = || json!({ "server": "https://a:6443" });
        let token = || json!({ "token": "geheim" });
        for (cluster, user, context, says) in [
            (
                https(),
                json!({ "exec": { "command": "aws", "args": ["geheim"] } }),
                None,
                "users[ci].exec: ",
            ),
            (
                https(),
                json!({ "auth-provider": { "name": "gcp" }, "token": "geheim" }),
                None,
                "users[ci].auth-provider: ",
            ),
            (
                json!({ "server": "https://a", "proxy-url": "http://geheim@p" }),
                token(),
                None,
                "clusters[prod].proxy-url: ",
            ),
            (json!({}), token(), None, "clusters[prod].server: "),
            (json!({ "server": "a:6443" }), token(), None, "clusters[prod].server: "),
            (json!({ "server": "https://" }), token(), None, "clusters[prod].server: "),
            (json!({ "server": "https:///path" }), token(), None, "clusters[prod].server: "),
            (json!({ "server": "https://u:geheim@a" }), token(), None, "clusters[prod].server: "),
            (
                json!({ "server": "https://a?token=geheim" }),
                token(),
                None,
                "clusters[prod].server: ",
            ),
            (
                json!({ "server": format!("https://{}", "a".repeat(2049)) }),
                token(),
                None,
                "clusters[prod].server: ",
            ),
            (
                https(),
                token(),
                Some("nowhere"),
                "contexts has no nowhere; it has prod-ci, open, torn",
            ),
            (https(), token(), Some("torn"), "clusters has no gone; it has prod"),
        ] {
            let refused = Kubeconfig::of(&kubeconfig(cluster, user), context).unwrap_err();
            assert!(refused.contains(says), "{says}: {refused}");
            assert!(!refused.contains("geheim"), "{refused}");
        }
        let none = Kubeconfig::of(&json!({ "contexts": [{ "name": "a" }] }), None).unwrap_err();
        assert!(none.contains("--context") && none.ends_with("it has a"), "{none}");
        for other in [json!(null), json!([]), json!("text"), json!({ "current-context": 7 })] {
            assert!(Kubeconfig::of(&other, None).unwrap_err().contains("it has none"), "{other}");
        }
    }

    #[test]
    fn what_is_named_by_files_is_put_in_and_what_is_there_already_counts() {
        let document = kubeconfig(
            json!({ "server": "https://a", "certificate-authority": "ca.pem", "extensions": [] }),
            json!({ "token": "geheim", "tokenFile": "/other", "client-certificate": "c.pem", "client-key": "k.pem" }),
        );
        let mut chosen = Kubeconfig::of(&document, None).unwrap();
        let files: Vec<(&str, &str, bool)> =
            chosen.files().iter().map(|it| (it.field, it.path.as_str(), it.as_base64)).collect();
        assert_eq!(
            files,
            [
                ("certificate-authority", "ca.pem", true),
                ("client-certificate", "c.pem", true),
                ("client-key", "k.pem", true),
            ]
        );
        for (number, file) in chosen.files().to_vec().iter().enumerate() {
            chosen.put(file, format!("content-{number}"));
        }
        assert!(chosen.files().is_empty());
        let made = chosen.document();
        assert_eq!(
            made["clusters"][0]["cluster"],
            json!({ "server": "https://a", "certificate-authority-data": "content-0" })
        );
        assert_eq!(
            made["users"][0]["user"],
            json!({ "token": "geheim", "client-certificate-data": "content-1", "client-key-data": "content-2" })
        );
        assert_eq!(made["contexts"][0]["context"]["namespace"], "shop");
        // What was made of it is one itself.
        assert_eq!(Kubeconfig::of(&made, None).unwrap(), chosen);
        assert!(!format!("{chosen:?}").contains("geheim"));
    }

    #[test]
    fn a_context_without_a_user_is_one_and_what_is_not_safe_is_said() {
        let user = json!({ "exec": { "command": "aws" } });
        for (cluster, warnings) in [
            (json!({ "server": "https://a" }), 0),
            (json!({ "server": "http://a" }), 1),
            (json!({ "server": "https://a", "insecure-skip-tls-verify": true }), 1),
        ] {
            let found = Kubeconfig::of(&kubeconfig(cluster, user.clone()), Some("open")).unwrap();
            assert_eq!(found.warnings().len(), warnings, "{:?}", found.server());
            assert_eq!(found.document()["users"][0]["user"], json!({}));
        }
    }
}
