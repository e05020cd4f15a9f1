//! The OpenAPI document: the routes' own descriptions, and what all share.
//!
//! Routes and document come from the same `routes!`, so they cannot drift; the
//! file `openapi/edas.json` is this document, and a test fails when it is stale.

use utoipa::{
    OpenApi,
    openapi::{
        OpenApi as Document, Ref, RefOr, Required,
        content::Content,
        path::{Operation, PathItem},
        request_body::RequestBodyBuilder,
        response::ResponseBuilder,
        schema::{AnyOfBuilder, ObjectBuilder, Schema},
        security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme},
    },
};

use crate::wire::{
    contract, family, offered,
    reply::{BusinessError, GatewayError},
};
use domain::limits;

/// The media type of every reply but those of streams.
const JSON: &str = "application/json";

/// What the document holds besides the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Sluice",
        description = "Releases applications on Kubernetes in batches, and speaks the EDAS API (version 2017-08-01) for it.

Parameters are sent in the query, also with POST and PUT, but for the few operations that take a form. Every reply is JSON. A success has HTTP status 200 and the integer `Code` 200. \
A business error (no such application, another order is running, …) has HTTP status 200 too and the integer `Code` 601. \
A gateway error (credentials, a missing or unreadable parameter, no such operation) has a 4xx or 5xx status and a word as `Code`.

Booleans are read in any case. Parameters that EDAS does not document are ignored; documented ones that are not applied are refused by name, and listed with their operation."
    ),
    components(schemas(GatewayError, BusinessError)),
    tags(
        (name = "Change orders", description = "Releasing, following, confirming and rolling back."),
        (name = "Applications", description = "Creating and reading applications."),
        (name = "Network", description = "Services, load balancers and Ingress rules in front of applications."),
        (name = "Configuration", description = "ConfigMaps, Secrets and config templates."),
        (name = "Clusters", description = "The cluster and its namespaces."),
        (name = "Access", description = "Access keys, principals, and what is granted to them: for those who may do everything."),
        (name = "Packages", description = "Uploading a JAR or WAR to release it."),
        (name = "Health", description = "For supervisors: no signature."),
    )
)]
pub(crate) struct Frame;

const SCHEME: &str = "Signature";

/// Adds to the routes' descriptions what all operations share: how they are
/// signed, and how they fail.
pub(crate) fn complete(document: &mut Document) {
    let scheme = ApiKeyValue::with_description(
        "Authorization",
        "An Alibaba request signature, made with an access key of this server: `ACS3-HMAC-SHA256 Credential=<key id>,SignedHeaders=<a;b;…>,Signature=<hex>`, \
         or the older `acs <key id>:<base64>` (HMAC-SHA1). Every EDAS SDK makes one or the other. The date may be 15 minutes off. \
         A repeated changing request (same nonce and signature) gets the first answer again; the same nonce in another request is refused.",
    );
    if let Some(components) = &mut document.components {
        components
            .security_schemes
            .insert(SCHEME.into(), RefOr::T(SecurityScheme::ApiKey(ApiKey::Header(scheme))));
    }
    document.info.description.get_or_insert_default().push_str(&format!(
        "\n\n{}\n\n{}",
        limits::described(),
        family::described()
    ));
    let items = document
        .paths
        .paths
        .iter_mut()
        .filter(|(path, _)| path.starts_with("/pop/") || path.starts_with("/sluice/"));
    for operation in items.flat_map(|(_, item)| operations(item)) {
        describe_parameters(operation);
        tell_refused(operation);
        tell_limits(operation);
        move_to_form(operation);
        operation.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
        may_fail(operation);
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

/// Its parameters, from the table.
fn describe_parameters(operation: &mut Operation) {
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let parameters = offered::offer(name).map_or(&[][..], |offer| offer.parameters);
    operation.parameters = (!parameters.is_empty())
        .then(|| parameters.iter().map(|parameter| RefOr::T(parameter.described())).collect());
}

/// Which of EDAS' parameters it refuses by name, behind what it is about.
fn tell_refused(operation: &mut Operation) {
    let name = operation.operation_id.as_deref().unwrap_or_default();
    let declared = contract::operations().iter().find(|declared| declared.name == name);
    let refused: Vec<_> =
        declared.map(|declared| offered::unread(declared).collect()).unwrap_or_default();
    if !refused.is_empty() {
        let text = format!("Refused by name, unless empty or false: {}.", refused.join(", "));
        let description = operation.description.take().map(|before| format!("{before}\n\n{text}"));
        operation.description = Some(description.unwrap_or(text));
    }
}

/// Parameters with a list whose number of items is limited, and that number.
pub(super) const LISTS: &[(&str, usize)] = &[
    ("Annotations", limits::ITEMS),
    ("AppIds", limits::ITEMS),
    ("Args", limits::ITEMS),
    ("CommandArgs", limits::ITEMS),
    ("ConfigMountDescs", limits::ITEMS),
    ("CustomTolerations", limits::ITEMS),
    ("Data", limits::ITEMS),
    ("EmptyDirs", limits::ITEMS),
    ("EnvFroms", limits::ITEMS),
    ("Envs", limits::ITEMS),
    ("InitContainers", limits::CONTAINERS),
    ("Labels", limits::ITEMS),
    ("LocalVolume", limits::ITEMS),
    ("PvcMountDescs", limits::ITEMS),
    ("ServiceConfigs", limits::ITEMS),
    ("ServicePortInfos", limits::ITEMS),
    ("ServicePorts", limits::ITEMS),
    ("Sidecars", limits::CONTAINERS),
];

/// How many items its lists and how many batches its strategies may have, behind what they are about.
fn tell_limits(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let list = LISTS
            .iter()
            .find(|(name, _)| *name == parameter.name)
            .map(|(_, most)| format!("At most {most} items."));
        let batches = (parameter.name == "UpdateStrategy")
            .then(|| format!("At most {} batches.", limits::BATCHES));
        if let Some(limit) = list.or(batches) {
            parameter.description = Some(
                format!("{} {limit}", parameter.description.take().unwrap_or_default())
                    .trim_start()
                    .to_owned(),
            );
        }
    }
}

/// What an operation that takes a form reads is described as its parameters are, and
/// shown as a form.
fn move_to_form(operation: &mut Operation) {
    let name = operation.operation_id.as_deref().unwrap_or_default();
    if !contract::operations().iter().any(|declared| declared.name == name && declared.form) {
        return;
    }
    let mut form = ObjectBuilder::new();
    for parameter in operation.parameters.take().into_iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let Some(RefOr::T(Schema::Object(mut schema))) = parameter.schema else { continue };
        schema.description = parameter.description;
        form = form.property(&parameter.name, schema);
        if parameter.required == Required::True {
            form = form.required(parameter.name);
        }
    }
    let content = Content::new(Some(RefOr::T(Schema::Object(form.build()))));
    let body = RequestBodyBuilder::new()
        .content("application/x-www-form-urlencoded", content)
        .required(Some(Required::True));
    operation.request_body = Some(RefOr::T(body.build()));
}

fn may_fail(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(success)) = responses.get_mut("200") {
        success.description.push_str(" Or, with Code 601, why not.");
        // A stream is refused as all others are.
        let is_json = success.content.contains_key(JSON);
        if !is_json {
            let refusal = Content::new(Some(Ref::from_schema_name("BusinessError")));
            success.content.insert(JSON.into(), RefOr::T(refusal));
        }
        for content in success.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            if is_json && let Some(schema) = content.schema.take() {
                let either =
                    AnyOfBuilder::new().item(schema).item(Ref::from_schema_name("BusinessError"));
                content.schema = Some(RefOr::T(Schema::AnyOf(either.build())));
            }
        }
    }
    let failures = [
        (
            "400",
            "The signature, a nonce or date, or a parameter's form is refused; Code says which.",
        ),
        (
            "403",
            "The policies of the access key do not allow this, or the key may not be used from there.",
        ),
        ("404", "No such operation or access key."),
        ("413", "The body is too long: see the limits."),
        ("414", "The request line is too long: see the limits."),
        ("500", "An error of the server."),
        ("503", "The server cannot serve now; try again later."),
    ];
    for (status, description) in failures {
        let content = Content::new(Some(Ref::from_schema_name("GatewayError")));
        let response =
            ResponseBuilder::new().description(description).content(JSON, content).build();
        responses.insert(status.into(), RefOr::T(response));
    }
}

#[cfg(test)]
mod tests;
