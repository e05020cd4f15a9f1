//! How a package is started: commands, the place of its file, and `server.xml`.
//!
//! As in EDAS, the JVM's options are words of a shell, so that `${POD_IP}` and
//! quotes in them have their usual meaning; the shell does not interpret anything else.
//! The web container gets a `server.xml` of its own, so that the runtime image needs to
//! know nothing of Sluice.

use serde::{Deserialize, Serialize};

use super::{FOLDER, Running, literal};
use crate::package::PackageKind;

/// EDAS' default of the URI encoding.
pub const DEFAULT_ENCODING: &str = "ISO-8859-1";

/// `$1`: the JVM's options, `$2`: the JAR, the rest: the program's arguments.
const START_JAR: &str = r#"options=$1 package=$2; shift 2; eval "exec java $JAVA_OPTS $CATALINA_OPTS $options -jar \"\$package\" \"\$@\"""#;

/// `$1`: the JVM's options, `$2`: `server.xml`, the rest: the container's arguments.
const START_WEB: &str = r#"export CATALINA_OPTS="$CATALINA_OPTS $1"; config=$2; shift 2; exec catalina.sh run -config "$config" "$@""#;

/// Settings of a web container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Web {
    /// Where in the address the application is.
    pub context: WebContext,
    pub http_port: u16,
    /// Most requests that are served at once.
    pub max_threads: u32,
    pub uri_encoding: String,
    /// Whether addresses are read in the encoding of the body.
    pub use_body_encoding: bool,
}

/// Where in the address a web application is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WebContext {
    /// Below the name of its file.
    War,
    Root,
    /// Below this path, without a slash at its ends.
    Custom(String),
}

impl Default for Web {
    fn default() -> Self {
        Self {
            context: WebContext::War,
            http_port: 8080,
            max_threads: 400,
            uri_encoding: DEFAULT_ENCODING.into(),
            use_body_encoding: false,
        }
    }
}

/// Path of `server.xml`.
fn config() -> String {
    format!("{FOLDER}/server.xml")
}

/// The package's place within the folder. Tomcat reads the context from the
/// file's name: `a#b.war` is `/a/b`, `ROOT.war` is the root.
pub(in crate::template::java) fn file(running: &Running) -> String {
    let name = running.file.as_str();
    let stem = match name.rsplit_once('.') {
        Some((stem, end))
            if !stem.is_empty() && matches!(end.to_ascii_lowercase().as_str(), "jar" | "war") =>
        {
            stem
        }
        _ => name,
    };
    match (running.kind, &running.web.context) {
        (PackageKind::FatJar, _) => format!("{stem}.jar"),
        (PackageKind::War, WebContext::War) => format!("webapps/{stem}.war"),
        (PackageKind::War, WebContext::Root) => "webapps/ROOT.war".into(),
        (PackageKind::War, WebContext::Custom(path)) => {
            format!("webapps/{}.war", path.replace('/', "#"))
        }
    }
}

/// The container's command.
pub(in crate::template::java) fn command(running: &Running) -> Vec<String> {
    let options = literal(&running.jvm_options);
    let words = match running.kind {
        PackageKind::FatJar => {
            ["sh", "-c", START_JAR, "sluice", &options, &format!("{FOLDER}/{}", file(running))]
                .map(str::to_owned)
        }
        PackageKind::War => {
            ["sh", "-c", START_WEB, "sluice", &options, &config()].map(str::to_owned)
        }
    };
    words.into()
}

/// The web container's configuration.
#[must_use]
pub fn server_xml(web: &Web) -> String {
    let Web { http_port, max_threads, uri_encoding, use_body_encoding, .. } = web;
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1">
  <Service name="Catalina">
    <Connector port="{http_port}" protocol="HTTP/1.1" connectionTimeout="20000" maxThreads="{max_threads}" URIEncoding="{uri_encoding}" useBodyEncodingForURI="{use_body_encoding}"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="{FOLDER}/webapps" unpackWARs="true" autoDeploy="false"/>
    </Engine>
  </Service>
</Server>
"#
    )
}
