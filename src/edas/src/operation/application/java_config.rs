//! GetJavaStartUpConfig and GetWebContainerConfig: what a package is started with.
//!
//! Read from the pod template of the version that runs. An image has neither, and
//! both replies are then without content.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{error::ApiError, reply::Reply},
};
use domain::{
    package::PackageKind,
    template::java::{Running, Web, WebContext},
};

/// Reply of GetJavaStartUpConfig.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StartUpReply {
    /// The options.
    pub java_start_up_config: StartUp,
}

/// What the JVM is started with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct StartUp {
    /// The options as text; empty if there are none.
    #[schema(example = "-Xms512m")]
    pub original_configs: String,
    /// The same.
    #[schema(example = "-Xms512m")]
    pub start_up_args: String,
}

/// Reply of GetWebContainerConfig.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct WebContainerReply {
    /// The settings; an empty object for what is no WAR.
    pub web_container_config: WebContainer,
}

/// Settings of a web container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct WebContainer {
    /// Whether nothing differs from the defaults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_default_config: Option<bool>,
    /// `war` (the file's name), `root` or `custom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "war")]
    pub context_input_type: Option<String>,
    /// The path, with `custom`; empty otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_path: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 8080)]
    pub http_port: Option<i32>,
    /// Most requests that are served at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 400)]
    pub max_threads: Option<u32>,
    /// Encoding of addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ISO-8859-1")]
    pub uri_encoding: Option<String>,
    /// Whether addresses are read in the encoding of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_body_encoding: Option<bool>,
    /// Always false: a server.xml of one's own is not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_advanced_server_xml: Option<bool>,
    /// Always empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_xml: Option<String>,
}

/// Shows what the JVM of a package is started with; empty texts for an image.
#[utoipa::path(
    get, path = "/pop/v5/oam/java_start_up_config", operation_id = "GetJavaStartUpConfig", tag = "Applications",
    responses((status = 200, description = "The options.", body = Reply<StartUpReply>))
)]
pub async fn start_up(call: Call) -> Result<Reply<StartUpReply>, ApiError> {
    let spec = call.service.current_spec(call.application()?).await?;
    let options =
        Running::of(&spec.template).map(|running| running.jvm_options).unwrap_or_default();
    let java_start_up_config =
        StartUp { original_configs: options.clone(), start_up_args: options };
    Ok(call.success(StartUpReply { java_start_up_config }))
}

/// Shows the settings of the web container that a WAR runs in.
#[utoipa::path(
    get, path = "/pop/v5/oam/web_container_config", operation_id = "GetWebContainerConfig", tag = "Applications",
    responses((status = 200, description = "The settings.", body = Reply<WebContainerReply>))
)]
pub async fn web_container(call: Call) -> Result<Reply<WebContainerReply>, ApiError> {
    let spec = call.service.current_spec(call.application()?).await?;
    let running = Running::of(&spec.template).filter(|running| running.kind == PackageKind::War);
    let web_container_config = running.map(|running| show(&running.web)).unwrap_or_default();
    Ok(call.success(WebContainerReply { web_container_config }))
}

fn show(web: &Web) -> WebContainer {
    let (kind, path) = match &web.context {
        WebContext::War => ("war", ""),
        WebContext::Root => ("root", ""),
        WebContext::Custom(path) => ("custom", path.as_str()),
    };
    WebContainer {
        use_default_config: Some(*web == Web::default()),
        context_input_type: Some(kind.into()),
        context_path: Some(path.into()),
        http_port: Some(web.http_port.into()),
        max_threads: Some(web.max_threads),
        uri_encoding: Some(web.uri_encoding.clone()),
        use_body_encoding: Some(web.use_body_encoding),
        use_advanced_server_xml: Some(false),
        server_xml: Some(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::shape;

    #[test]
    fn a_web_container_is_shown_as_it_was_set() {
        let web = Web {
            context: WebContext::Custom("shop/web".into()),
            http_port: 8088,
            ..Web::default()
        };
        let reply = json!(WebContainerReply { web_container_config: show(&web) });
        shape::check("GetWebContainerConfig", &reply);
        let shown = &reply["WebContainerConfig"];
        assert_eq!(
            (&shown["ContextInputType"], &shown["ContextPath"], &shown["HttpPort"]),
            (&json!("custom"), &json!("shop/web"), &json!(8088))
        );
        assert_eq!(
            (&shown["UseDefaultConfig"], &show(&Web::default()).use_default_config),
            (&json!(false), &Some(true))
        );
    }
}
