//! What a JAR or WAR runs with: `JavaStartUpConfig`, `WebContainerConfig`,
//! `UriEncoding`, `UseBodyEncoding`, and where it is: `PackageUrl`, `JDK`,
//! `WebContainer`, `PackageType`.
//!
//! `PackageUrl` may hold credentials, so no error here repeats it. Whether any
//! of these fits the application is the service's to judge.

use serde_json::{Map, Value};

use crate::wire::{error::ApiError, params::Params};
use domain::{
    package::PackageKind,
    rejection::shortened,
    template::{
        java::{JavaChange, Web, WebContext},
        spec::Field,
    },
};
use service::PackageParams;

const STARTUP: &str = r#"allowed is {"Name":{"original":512,"startup":"-Xms512m"}, …} with the option's text as startup"#;

const WEB: &str = "allowed are useDefaultConfig, contextInputType (war, root or custom), contextPath, httpPort (1024 to 65535), \
    maxThreads (1 to 100000), uriEncoding (ISO-8859-1, GBK, GB2312 or UTF-8), useBodyEncoding";

/// The encodings of addresses that EDAS knows.
const ENCODINGS: [&str; 4] = ["ISO-8859-1", "GBK", "GB2312", "UTF-8"];

/// Reads where the package is and what it runs on.
#[must_use]
pub fn read_package(params: &Params, kind: Option<PackageKind>) -> PackageParams {
    PackageParams {
        url: params.text("PackageUrl").map(Into::into),
        kind,
        jdk: params.text("JDK").map(Into::into),
        web_container: params.text("WebContainer").map(Into::into),
    }
}

/// Reads `PackageType`: `Image`, `FatJar`, `War` or `WAR`. None: an image, or it is not said.
///
/// # Errors
/// A business error with what is allowed.
pub fn read_package_type(params: &Params) -> Result<Option<PackageKind>, ApiError> {
    match params.text("PackageType") {
        None | Some("Image") => Ok(None),
        Some("FatJar") => Ok(Some(PackageKind::FatJar)),
        Some("War" | "WAR") => Ok(Some(PackageKind::War)),
        Some(other) => Err(ApiError::refused("PackageType", other, "must be Image, FatJar or War")),
    }
}

/// Reads how it runs: absent keeps, empty or `{}` clears (R15).
///
/// # Errors
/// A business error with the place and what is allowed.
pub fn read_java(params: &Params) -> Result<JavaChange, ApiError> {
    let uri_encoding = match params.text("UriEncoding") {
        None => None,
        Some(text) => {
            let allowed = format!("must be one of {}", ENCODINGS.join(", "));
            Some(encoding(text).ok_or_else(|| ApiError::refused("UriEncoding", text, allowed))?)
        }
    };
    Ok(JavaChange {
        jvm_options: read_startup(params)?,
        web: read_web(params)?,
        uri_encoding,
        use_body_encoding: params.boolean("UseBodyEncoding")?,
        ..JavaChange::default()
    })
}

/// The startup texts, joined in the order of the JSON.
fn read_startup(params: &Params) -> Result<Field<String>, ApiError> {
    const NAME: &str = "JavaStartUpConfig";
    let options = match params.json::<Map<String, Value>>(NAME, STARTUP)? {
        Field::Set(options) => options,
        Field::Keep => return Ok(Field::Keep),
        Field::Clear => return Ok(Field::Clear),
    };
    let mut texts = Vec::new();
    for (option, given) in &options {
        let startup = match given {
            Value::Object(fields) => fields.get("startup").unwrap_or(&Value::Null),
            Value::Null => &Value::Null,
            _ => {
                return Err(refused(
                    params,
                    NAME,
                    format!("at {}: an object is expected; {STARTUP}", shortened(option)),
                ));
            }
        };
        match startup {
            Value::Null => {}
            // A line of its own would be a command of its own.
            Value::String(text) => texts
                .push(text.split(char::is_control).collect::<Vec<_>>().join(" ").trim().to_owned()),
            _ => {
                return Err(refused(
                    params,
                    NAME,
                    format!("at {}.startup: a text is expected; {STARTUP}", shortened(option)),
                ));
            }
        }
    }
    texts.retain(|text| !text.is_empty());
    Ok(if texts.is_empty() { Field::Clear } else { Field::Set(texts.join(" ")) })
}

fn read_web(params: &Params) -> Result<Field<Web>, ApiError> {
    const NAME: &str = "WebContainerConfig";
    let given = match params.json::<Map<String, Value>>(NAME, WEB)? {
        Field::Set(given) => given,
        Field::Keep => return Ok(Field::Keep),
        Field::Clear => return Ok(Field::Clear),
    };
    web(&given).map_err(|why| refused(params, NAME, format!("{why}; {WEB}")))
}

fn web(given: &Map<String, Value>) -> Result<Field<Web>, String> {
    let mut web = Web::default();
    let (mut context, mut path, mut is_default) = (None, None, false);
    for (key, value) in given {
        let wrong = |what: &str| format!("at {}: it must be {what}", shortened(key));
        // Null is absent (R26), and so is a form's empty field.
        if value.is_null() || value == "" {
            continue;
        }
        match key.to_ascii_lowercase().as_str() {
            "usedefaultconfig" => {
                is_default = boolean(value).ok_or_else(|| wrong("true or false"))?
            }
            "contextinputtype" => {
                context = Some(value.as_str().ok_or_else(|| wrong("a text"))?.to_ascii_lowercase())
            }
            "contextpath" => {
                path = Some(
                    context_path(value)
                        .ok_or_else(|| wrong("a path of letters, digits and '._-/'"))?,
                )
            }
            "httpport" => {
                web.http_port =
                    number(value, 1024, 65535).ok_or_else(|| wrong("a port from 1024 to 65535"))?
            }
            "maxthreads" => {
                web.max_threads =
                    number(value, 1, 100_000).ok_or_else(|| wrong("a number from 1 to 100000"))?
            }
            "uriencoding" => {
                web.uri_encoding =
                    value.as_str().and_then(encoding).ok_or_else(|| wrong("a known encoding"))?;
            }
            "usebodyencoding" => {
                web.use_body_encoding = boolean(value).ok_or_else(|| wrong("true or false"))?
            }
            "useadvancedserverxml" if boolean(value) == Some(false) => {}
            "useadvancedserverxml" => {
                return Err("a server.xml of one's own is not applied by this server".into());
            }
            // Says nothing where it is not to be used.
            "serverxml" => {}
            _ => return Err(format!("{} is unknown", shortened(key))),
        }
    }
    web.context = match (context.as_deref(), path) {
        (None | Some("war"), _) => WebContext::War,
        (Some("root"), _) => WebContext::Root,
        (Some("custom"), Some(path)) if path.is_empty() => WebContext::Root,
        (Some("custom"), Some(path)) => WebContext::Custom(path),
        (Some("custom"), None) => return Err("contextInputType custom needs a contextPath".into()),
        (Some(other), _) => {
            return Err(format!("contextInputType {} is unknown", shortened(other)));
        }
    };
    Ok(if is_default { Field::Clear } else { Field::Set(web) })
}

/// `/a/b/` is `a/b`.
fn context_path(value: &Value) -> Option<String> {
    let path = value.as_str()?.trim_matches('/');
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    (path.is_empty() || (path.len() <= 200 && path.split('/').all(is_part)))
        .then(|| path.to_owned())
}

fn encoding(text: &str) -> Option<String> {
    ENCODINGS.iter().find(|known| known.eq_ignore_ascii_case(text)).map(|known| (*known).to_owned())
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(given) => Some(*given),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A number, which forms send as text.
fn number<N: TryFrom<u64>>(value: &Value, from: u64, to: u64) -> Option<N> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    if (from..=to).contains(&number) { N::try_from(number).ok() } else { None }
}

fn refused(params: &Params, name: &str, why: String) -> ApiError {
    ApiError::refused(name, params.raw(name).unwrap_or_default(), why)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(name: &str, text: &str) -> Params {
        let encoded: String =
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .collect();
        Params::parse(&format!("{name}={encoded}")).unwrap()
    }

    fn message(error: ApiError) -> String {
        match error {
            ApiError::Business { message, .. } | ApiError::Gateway { message, .. } => message,
        }
    }

    #[rstest]
    #[case(
        r#"{"InitialHeapSize":{"original":512,"startup":"-Xms512m"},"A":{"original":null,"startup":" -XX:+UseG1GC "}}"#,
        "-Xms512m -XX:+UseG1GC"
    )]
    #[case(
        r#"{"Z":{"startup":"-Da=\"b c\"\n-Dd"},"Custom":{"startup":"-Xlog:gc-${POD_IP}.log"}}"#,
        r#"-Da="b c" -Dd -Xlog:gc-${POD_IP}.log"#
    )]
    fn startup_texts_are_joined(#[case] text: &str, #[case] expected: &str) {
        let Field::Set(options) =
            read_java(&params("JavaStartUpConfig", text)).unwrap().jvm_options
        else {
            panic!("must be set")
        };
        let sorted = |text: &str| {
            let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(&options), sorted(expected));
    }

    #[rstest]
    #[case("")]
    #[case("{}")]
    #[case(r#"{"A":{"original":1,"startup":null}}"#)]
    fn nothing_to_start_with_clears_and_absent_keeps(#[case] text: &str) {
        assert_eq!(
            read_java(&params("JavaStartUpConfig", text)).unwrap().jvm_options,
            Field::Clear
        );
        assert_eq!(read_java(&Params::default()).unwrap(), JavaChange::default());
    }

    #[test]
    fn a_web_container_is_read_in_full_and_from_text() {
        let text = r#"{"useDefaultConfig":false,"contextInputType":"custom","contextPath":"/shop/web/","httpPort":"8088","maxThreads":10,
            "uriEncoding":"utf-8","useBodyEncoding":"True","useAdvancedServerXml":false,"serverXml":null}"#;
        let expected = Web {
            context: WebContext::Custom("shop/web".into()),
            http_port: 8088,
            max_threads: 10,
            uri_encoding: "UTF-8".into(),
            use_body_encoding: true,
        };
        assert_eq!(
            read_java(&params("WebContainerConfig", text)).unwrap().web,
            Field::Set(expected)
        );
        for (text, context) in [
            (r#"{"contextInputType":"root"}"#, WebContext::Root),
            (r#"{"contextInputType":"custom","contextPath":"/"}"#, WebContext::Root),
            (r#"{"contextInputType":"war","contextPath":""}"#, WebContext::War),
        ] {
            let Field::Set(web) = read_java(&params("WebContainerConfig", text)).unwrap().web
            else {
                panic!("{text}")
            };
            assert_eq!(web, Web { context, ..Web::default() });
        }
    }

    #[rstest]
    #[case("")]
    #[case("{}")]
    #[case(r#"{"useDefaultConfig":true,"httpPort":8088}"#)]
    fn the_default_web_container_clears(#[case] text: &str) {
        assert_eq!(read_java(&params("WebContainerConfig", text)).unwrap().web, Field::Clear);
    }

    #[rstest]
    #[case("WebContainerConfig", r#"{"httpPort":80}"#, "at httpPort: it must be a port")]
    #[case("WebContainerConfig", r#"{"maxThreads":0}"#, "at maxThreads")]
    #[case("WebContainerConfig", r#"{"uriEncoding":"x\"y"}"#, "at uriEncoding")]
    #[case("WebContainerConfig", r#"{"contextInputType":"custom"}"#, "needs a contextPath")]
    #[case(
        "WebContainerConfig",
        r#"{"contextInputType":"custom","contextPath":"../x"}"#,
        "at contextPath"
    )]
    #[case("WebContainerConfig", r#"{"contextInputType":"x"}"#, "contextInputType x is unknown")]
    #[case(
        "WebContainerConfig",
        r#"{"useAdvancedServerXml":true,"serverXml":"<Server/>"}"#,
        "not applied"
    )]
    #[case("WebContainerConfig", r#"{"port":8080}"#, "port is unknown")]
    #[case("WebContainerConfig", "[1]", "expected a map")]
    #[case("JavaStartUpConfig", r#"{"A":"-Xms1m"}"#, "at A: an object")]
    #[case("JavaStartUpConfig", r#"{"A":{"startup":1}}"#, "at A.startup: a text")]
    #[case("JavaStartUpConfig", "-Xms1m", "not the JSON")]
    #[case("UriEncoding", "latin1", "must be one of ISO-8859-1")]
    #[case("UseBodyEncoding", "yes", "must be true or false")]
    fn what_cannot_be_understood_is_refused_with_the_place(
        #[case] name: &str,
        #[case] text: &str,
        #[case] says: &str,
    ) {
        let message = message(read_java(&params(name, text)).unwrap_err());
        assert!(message.contains(name) && message.contains(says), "{message}");
    }

    #[test]
    fn a_package_type_is_read_in_both_spellings() {
        for (text, kind) in [
            ("Image", None),
            ("", None),
            ("FatJar", Some(PackageKind::FatJar)),
            ("War", Some(PackageKind::War)),
            ("WAR", Some(PackageKind::War)),
        ] {
            assert_eq!(read_package_type(&params("PackageType", text)).unwrap(), kind);
        }
        assert!(
            message(read_package_type(&params("PackageType", "PythonZip")).unwrap_err())
                .contains("must be Image, FatJar or War")
        );
    }
}
