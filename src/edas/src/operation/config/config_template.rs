//! Config templates: CreateConfigTemplate, UpdateConfigTemplate, ListConfigTemplates and
//! DeleteConfigTemplate.
//!
//! A template is a named text that this server keeps and hands out; no application
//! refers to it. Its content may be secret, so no error shows it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        page::Page,
        params::Params,
        reply::{Nothing, Reply},
    },
};
use domain::config_template::{ConfigTemplate, Format};
use service::{ConfigTemplateChange, ConfigTemplateFilter, ConfigTemplateView};

/// Templates on a page, at most and if nothing else is said: each can be long.
const PAGE_SIZE: i32 = 100;

/// Reply of CreateConfigTemplate.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigTemplateCreatedReply {
    /// The template.
    pub data: ConfigTemplateId,
}

/// Which template it is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigTemplateId {
    /// Its number.
    #[schema(example = 7)]
    pub id: i64,
}

/// Reply of ListConfigTemplates.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigTemplateListReply {
    /// The page.
    pub data: ConfigTemplatePage,
}

/// A page of config templates.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigTemplatePage {
    /// Number of the page, from 1.
    pub current_page: i32,
    /// Templates on a page.
    pub page_size: i32,
    /// How many there are on all pages.
    pub total_size: i64,
    /// The templates of this page, oldest first; a plain list.
    pub result: Vec<ListedConfigTemplate>,
}

/// A config template.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ListedConfigTemplate {
    /// Its number, as text.
    #[schema(example = "7")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// `JSON`, `XML`, `YAML`, `Properties`, `KeyValue` or `Custom`.
    #[schema(example = "YAML")]
    pub format: String,
    /// The text itself. As in every reply, a tab is shown as a blank and a carriage return not at all.
    pub content: String,
    /// When it was created, in ms since 1970.
    pub gmt_create: i64,
    /// When it last changed, in ms since 1970.
    pub gmt_modified: i64,
}

/// Keeps a text under a name.
#[utoipa::path(
    post, path = "/pop/v5/config_template", operation_id = "CreateConfigTemplate", tag = "Configuration",
    responses((status = 200, description = "Kept.", body = Reply<ConfigTemplateCreatedReply>))
)]
pub async fn create(call: Call) -> Result<Reply<ConfigTemplateCreatedReply>, ApiError> {
    let params = &call.params;
    let template = ConfigTemplate {
        name: params.required("Name")?.into(),
        description: params.text("Description").unwrap_or_default().into(),
        format: read_format(params)?.unwrap_or(Format::Custom),
        content: params.required("Content")?.into(),
    };
    let id = call.service.create_config_template(&call.caller, template).await?;
    Ok(call.success(ConfigTemplateCreatedReply { data: ConfigTemplateId { id } }))
}

/// Changes a template. What is absent stays.
#[utoipa::path(
    put, path = "/pop/v5/config_template", operation_id = "UpdateConfigTemplate", tag = "Configuration",
    responses((status = 200, description = "Changed.", body = Reply<Nothing>))
)]
pub async fn update(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let given = |name: &str| params.raw(name).map(str::to_owned);
    let change = ConfigTemplateChange {
        name: given("Name"),
        description: given("Description"),
        format: read_format(params)?,
        content: given("Content"),
    };
    call.service.change_config_template(&call.caller, id(params)?, change).await?;
    Ok(call.success(Nothing {}))
}

/// Lists templates, oldest first, with their contents.
#[utoipa::path(
    get, path = "/pop/v5/config_template", operation_id = "ListConfigTemplates", tag = "Configuration",
    responses((status = 200, description = "The templates.", body = Reply<ConfigTemplateListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<ConfigTemplateListReply>, ApiError> {
    let page = Page::read(&call.params, PAGE_SIZE)?;
    let wanted =
        ConfigTemplateFilter { id: call.params.integer("Id")?, name: call.params.text("Name") };
    let (total_size, found) =
        call.service.config_templates(wanted, page.offset(), page.size.into()).await?;
    let result = found.into_iter().map(show).collect();
    Ok(call.success(ConfigTemplateListReply {
        data: ConfigTemplatePage {
            current_page: page.number,
            page_size: page.size,
            total_size,
            result,
        },
    }))
}

/// Forgets a template.
#[utoipa::path(
    delete, path = "/pop/v5/config_template", operation_id = "DeleteConfigTemplate", tag = "Configuration",
    responses((status = 200, description = "Forgotten.", body = Reply<Nothing>))
)]
pub async fn delete(call: Call) -> Result<Reply<Nothing>, ApiError> {
    call.service.delete_config_template(&call.caller, id(&call.params)?).await?;
    Ok(call.success(Nothing {}))
}

fn id(params: &Params) -> Result<i64, ApiError> {
    params.integer("Id")?.ok_or_else(|| ApiError::missing("Id"))
}

fn read_format(params: &Params) -> Result<Option<Format>, ApiError> {
    let Some(word) = params.text("Format") else { return Ok(None) };
    let all = [
        Format::Json,
        Format::Xml,
        Format::Yaml,
        Format::Properties,
        Format::KeyValue,
        Format::Custom,
    ];
    let allowed = "allowed are JSON, XML, YAML, Properties, KeyValue and Custom";
    let found = all.into_iter().find(|format| word_of(*format) == word);
    found.map(Some).ok_or_else(|| ApiError::refused("Format", word, allowed))
}

/// A format, as EDAS calls it.
fn word_of(format: Format) -> &'static str {
    match format {
        Format::Json => "JSON",
        Format::Xml => "XML",
        Format::Yaml => "YAML",
        Format::Properties => "Properties",
        Format::KeyValue => "KeyValue",
        Format::Custom => "Custom",
    }
}

fn show(view: ConfigTemplateView) -> ListedConfigTemplate {
    let ConfigTemplate { name, description, format, content } = view.template;
    ListedConfigTemplate {
        id: view.id.to_string(),
        name,
        description,
        format: word_of(format).into(),
        content,
        gmt_create: view.created_at.as_millisecond(),
        gmt_modified: view.updated_at.as_millisecond(),
    }
}
