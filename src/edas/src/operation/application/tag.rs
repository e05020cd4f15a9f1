//! Tags of applications: TagResources, UntagResources and ListTagResources.
//!
//! Lists come as JSON text, or as numbered parameters (`ResourceIds.1`,
//! `Tags.1.key`) where an SDK is given a list (`docs/wire-rules.md#lists-in-a-query`).
//! EDAS has tags of clusters too; a server has only one of these, and they are refused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    edge::call::Call,
    wire::{
        error::ApiError,
        params::Params,
        reply::{Nothing, Reply, wrapped},
    },
};
use domain::{ApplicationId, Rejection, limits::TAGGED, template::spec::Field};
use service::{Tag, TagFilter};

/// The only kind of resource that has tags here.
const APPLICATION: &str = "application";

/// Reply of ListTagResources.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TagListReply {
    /// The tags.
    pub tag_resources: TagResources,
}

wrapped! {
    /// Tags, those of the oldest application first, then by key.
    TagResources, "TagResource": TagResource
}

/// A tag of an application.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct TagResource {
    /// The application's id.
    pub resource_id: String,
    /// Always `application`.
    #[schema(example = "application")]
    pub resource_type: String,
    /// The tag's key.
    #[schema(example = "team")]
    pub tag_key: String,
    /// The tag's value.
    #[schema(example = "shop")]
    pub tag_value: String,
}

/// Gives tags to applications, in place of those with the same keys.
#[utoipa::path(
    post, path = "/pop/v5/tag/tags", operation_id = "TagResources", tag = "Applications",
    responses((status = 200, description = "They have the tags.", body = Reply<Nothing>))
)]
pub async fn tag(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let applications = needed("ResourceIds", read_applications(&call.params)?)?;
    let tags = needed("Tags", read_tags(&call.params)?)?;
    let tags: Vec<Tag> = tags
        .into_iter()
        .map(|tag| Tag { key: tag.key, value: tag.value.unwrap_or_default() })
        .collect();
    call.service.tag(&call.caller, &applications, &tags).await?;
    Ok(call.success(Nothing {}))
}

/// Takes tags away from applications.
#[utoipa::path(
    delete, path = "/pop/v5/tag/tags", operation_id = "UntagResources", tag = "Applications",
    responses((status = 200, description = "They have these tags no more.", body = Reply<Nothing>))
)]
pub async fn untag(call: Call) -> Result<Reply<Nothing>, ApiError> {
    let params = &call.params;
    let applications = needed("ResourceIds", read_applications(params)?)?;
    let keys = read_list(params, "TagKeys")?;
    let all = params.boolean("DeleteAll")?.unwrap_or(false);
    if keys.is_none() && !all {
        return Err(ApiError::refused(
            "TagKeys",
            "",
            "give the keys of the tags to take away, or DeleteAll=true",
        ));
    }
    call.service.untag(&call.caller, &applications, keys.as_deref()).await?;
    Ok(call.success(Nothing {}))
}

/// Lists tags of applications.
///
/// With Tags, only those of applications that have all of these tags.
#[utoipa::path(
    get, path = "/pop/v5/tag/tags", operation_id = "ListTagResources", tag = "Applications",
    responses((status = 200, description = "The tags.", body = Reply<TagListReply>))
)]
pub async fn list(call: Call) -> Result<Reply<TagListReply>, ApiError> {
    let applications = read_applications(&call.params)?;
    let wanted = read_tags(&call.params)?.unwrap_or_default();
    let wanted: Vec<TagFilter> =
        wanted.into_iter().map(|tag| TagFilter { key: tag.key, value: tag.value }).collect();
    let found = call.service.tags(applications.as_deref(), &wanted).await?;
    let items = found.into_iter().map(|(application, tag)| TagResource {
        resource_id: application.to_string(),
        resource_type: APPLICATION.into(),
        tag_key: tag.key,
        tag_value: tag.value,
    });
    Ok(call.success(TagListReply { tag_resources: TagResources { items: items.collect() } }))
}

/// A tag as it is written in `Tags`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GivenTag {
    #[serde(alias = "Key")]
    key: String,
    #[serde(alias = "Value", default)]
    value: Option<String>,
}

/// Reads `ResourceIds`, for which `ResourceType` and `ResourceRegionId` must be there; none = all.
///
/// # Errors
/// A parameter that is missing or no id, or too many ids.
pub fn read_applications(params: &Params) -> Result<Option<Vec<ApplicationId>>, ApiError> {
    let kind = params.required("ResourceType")?;
    if kind != APPLICATION {
        return Err(ApiError::refused(
            "ResourceType",
            kind,
            "only application is offered by this server",
        ));
    }
    params.required("ResourceRegionId")?;
    let Some(ids) = read_list(params, "ResourceIds")? else { return Ok(None) };
    let id = |text: String| {
        text.parse()
            .map_err(|_| Rejection::UnknownApplication(text.chars().take(100).collect()).into())
    };
    ids.into_iter().map(id).collect::<Result<_, ApiError>>().map(Some)
}

/// A list of texts; none = absent or empty.
fn read_list(params: &Params, name: &str) -> Result<Option<Vec<String>>, ApiError> {
    let given = match params.json(name, r#"allowed is a JSON list of texts ["a","b"]"#)? {
        Field::Set(list) => list,
        Field::Keep | Field::Clear => {
            numbered(|number| params.raw(&format!("{name}.{number}")).map(str::to_owned))
        }
    };
    bounded(name, given)
}

/// Reads `Tags`; none = absent or empty.
///
/// # Errors
/// A business error with what is allowed, or too many tags.
pub fn read_tags(params: &Params) -> Result<Option<Vec<GivenTag>>, ApiError> {
    const NAME: &str = "Tags";
    let given = match params.json(NAME, r#"allowed is a JSON list [{"key":"a","value":"b"}, …]"#)?
    {
        Field::Set(tags) => tags,
        Field::Keep | Field::Clear => numbered_tags(params),
    };
    bounded(NAME, given)
}

/// `Tags.1.key`, `Tags.1.value` and so on; one without a key has an empty one.
fn numbered_tags(params: &Params) -> Vec<GivenTag> {
    let part = |number: usize, ends: [&str; 2]| {
        ends.into_iter().find_map(|end| params.raw(&format!("Tags.{number}.{end}")))
    };
    let tag = |number| match (part(number, ["key", "Key"]), part(number, ["value", "Value"])) {
        (None, None) => None,
        (key, value) => Some(GivenTag {
            key: key.unwrap_or_default().to_owned(),
            value: value.map(str::to_owned),
        }),
    };
    numbered(tag)
}

/// What is found under the numbers from 1 on, up to one more than may be.
fn numbered<T>(find: impl FnMut(usize) -> Option<T>) -> Vec<T> {
    (1..=TAGGED + 1).map_while(find).collect()
}

fn bounded<T>(name: &str, given: Vec<T>) -> Result<Option<Vec<T>>, ApiError> {
    match given.len() {
        0 => Ok(None),
        1..=TAGGED => Ok(Some(given)),
        count => Err(ApiError::refused(
            name,
            format!("{count} items"),
            format!("at most {TAGGED} may be given"),
        )),
    }
}

fn needed<T>(name: &str, given: Option<T>) -> Result<T, ApiError> {
    given.ok_or_else(|| ApiError::missing(name))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(&format!("ResourceType=application&ResourceRegionId=cn-hangzhou&{query}"))
            .unwrap()
    }

    #[rstest]
    #[case("Tags=[{\"key\":\"k\",\"value\":\"v\"},{\"Key\":\"l\"}]", &[("k", Some("v")), ("l", None)])]
    #[case("Tags.1.key=k&Tags.1.value=v", &[("k", Some("v"))])]
    #[case("Tags.1.Key=k&Tags.2.Key=l&Tags.2.Value=v", &[("k", None), ("l", Some("v"))])]
    #[case("Tags.1.value=v", &[("", Some("v"))])]
    #[case("Tags=[]", &[])]
    fn tags_are_read_as_json_and_as_numbered_parameters(
        #[case] query: &str,
        #[case] expected: &[(&str, Option<&str>)],
    ) {
        let read = read_tags(&params(query)).unwrap().unwrap_or_default();
        let read: Vec<_> =
            read.iter().map(|tag| (tag.key.as_str(), tag.value.as_deref())).collect();
        assert_eq!(read, expected);
    }

    #[rstest]
    #[case("ResourceIds=[\"01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e\"]", 1)]
    #[case(
        "ResourceIds.1=01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1e&ResourceIds.2=01935a2c-52b0-7c41-8d6e-2a4f6b8c0d1f",
        2
    )]
    fn ids_are_read_as_json_and_as_numbered_parameters(
        #[case] query: &str,
        #[case] expected: usize,
    ) {
        assert_eq!(read_applications(&params(query)).unwrap().unwrap().len(), expected);
    }
}
