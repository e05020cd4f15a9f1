//! Which of a pod's containers is the application's: [`find`].
//!
//! Its image, variables, probes and amounts are those that a release changes. Where that
//! is in doubt, Sluice does not guess: somebody must choose. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::pods;
use crate::Advice;

/// Annotation of a pod template that says which container is meant where none is named.
/// It is kubectl's.
pub const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// What is on record about an application's container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Nothing.
    #[default]
    Nothing,
    /// It was this one, as the template said.
    Found(String),
    /// Somebody chose this one.
    Chosen(String),
}

impl Known {
    /// Whether nothing is on record.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::Nothing
    }

    /// The container's name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Found(name) | Self::Chosen(name) => Some(name),
        }
    }
}

/// Which of several containers it is, is in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ambiguous {
    /// Nothing says which of these it is.
    Unsaid { containers: Vec<String> },
    /// One thing says this one, and the new image another one.
    Contradicted {
        /// What says it.
        by: &'static str,
        container: String,
        /// The new image, which comes from where the present one of `other` does.
        image: String,
        other: String,
    },
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsaid { containers } => write!(
                f,
                "nothing says which container is the application's, of {}: {} (sluice container --set NAME, and at adoption \
                 sluice adopt --container NAME), or name it in the annotation {DEFAULT_CONTAINER} of the pod template",
                containers.join(", "),
                Advice::ChooseContainer
            ),
            Self::Contradicted { by, container, image, other } => write!(
                f,
                "it is in doubt which container is the application's: {container} by {by}, and {other} by its present image, \
                 which comes from the repository of {image}; {} (sluice container --set {container}, or --set {other})",
                Advice::ChooseContainer
            ),
        }
    }
}

/// The index of the application's container in `template`.
///
/// The one that somebody chose; the one that the template's annotation names; the one
/// that it was before; the only one, beside those that were given through Sluice; the one
/// with the application's name; the one whose present image comes from the repository of
/// the new `image`.
///
/// # Errors
/// There are others, or none. Or nobody chose, and the new `image` comes from the
/// repository of one other container alone.
pub fn find(
    template: &Value,
    known: &Known,
    application: &str,
    image: Option<&str>,
) -> Result<usize, Ambiguous> {
    let containers = template
        .pointer("/spec/containers")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let place = |name: &str| containers.iter().position(|container| container["name"] == name);
    let annotated = template
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(DEFAULT_CONTAINER)?.as_str());
    let (chosen, before) = match known {
        Known::Nothing => (None, None),
        Known::Found(name) => (None, Some(name.as_str())),
        Known::Chosen(name) => (Some(name.as_str()), None),
    };
    if let Some(index) = chosen.and_then(place) {
        return Ok(index);
    }
    let given = pods::given_sidecars(template);
    let name = |index: usize| containers[index]["name"].as_str().unwrap_or_default();
    let own: Vec<usize> =
        (0..containers.len()).filter(|index| !given.contains(name(*index))).collect();
    let wanted = image.map(repository);
    let present = |index: usize| containers[index]["image"].as_str().map(repository);
    let matching: Vec<usize> =
        own.iter().copied().filter(|index| wanted.is_some() && present(*index) == wanted).collect();
    let unless_contradicted = |index: usize, by: &'static str| match (&matching[..], image) {
        (&[other], Some(image)) if other != index => Err(Ambiguous::Contradicted {
            by,
            container: name(index).to_owned(),
            image: image.to_owned(),
            other: name(other).to_owned(),
        }),
        _ => Ok(index),
    };
    if let Some(index) = annotated.and_then(place) {
        return unless_contradicted(index, "the annotation of the pod template");
    }
    if let Some(index) = before.and_then(place) {
        return unless_contradicted(index, "what was found earlier");
    }
    if let [only] = own[..] {
        return Ok(only);
    }
    if let Some(index) = place(application) {
        return unless_contradicted(index, "the application's name");
    }
    if let [only] = matching[..] {
        return Ok(only);
    }
    Err(Ambiguous::Unsaid {
        containers: (0..containers.len()).map(|index| name(index).to_owned()).collect(),
    })
}

/// The application's container in `template`; none where that is in doubt.
#[must_use]
pub fn container_of<'a>(
    template: &'a Value,
    known: &Known,
    application: &str,
) -> Option<&'a Map<String, Value>> {
    let index = find(template, known, application, None).ok()?;
    template.pointer("/spec/containers")?.get(index)?.as_object()
}

/// The image of the application's container in `template`, if there is one.
#[must_use]
pub fn image_of<'a>(template: &'a Value, known: &Known, application: &str) -> Option<&'a str> {
    container_of(template, known, application)?.get("image")?.as_str()
}

/// Where an image comes from, without tag and digest, in its long form.
fn repository(image: &str) -> String {
    let undigested = image.split('@').next().unwrap_or(image);
    let begin = undigested.rfind('/').map_or(0, |slash| slash + 1);
    let end = undigested[begin..].find(':').map_or(undigested.len(), |colon| begin + colon);
    let name = &undigested[..end];
    // As in Docker: the first part is a host if it has a dot or a port.
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
        _ => ("docker.io", name),
    };
    match host {
        "docker.io" | "index.docker.io" if !path.contains('/') => {
            format!("docker.io/library/{path}")
        }
        "docker.io" | "index.docker.io" => format!("docker.io/{path}"),
        host => format!("{host}/{path}"),
    }
}

/// The names of a template's containers, in its order.
#[must_use]
pub fn names(template: &Value) -> Vec<String> {
    let containers =
        template.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    containers.map(|container| container["name"].as_str().unwrap_or_default().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::template::names::GIVEN_ANNOTATION;

    /// `name=image …`
    fn template(containers: &str, annotation: Option<&str>) -> Value {
        let containers: Vec<Value> = containers
            .split_whitespace()
            .map(|it| it.split_once('=').unwrap())
            .map(|(name, image)| json!({ "name": name, "image": image }))
            .collect();
        let mut template = json!({ "spec": { "containers": containers } });
        if let Some(name) = annotation {
            template["metadata"]["annotations"][DEFAULT_CONTAINER] = json!(name);
        }
        template
    }

    const MESH: &str = "istio-proxy=shop/proxy:1 app=shop/web:1.0";

    #[rstest]
    #[case::the_annotation(MESH, Some("app"), Known::Nothing, None, Some(1))]
    #[case::one_that_names_nothing(MESH, Some("gone"), Known::Nothing, None, None)]
    #[case::a_choice_comes_first(MESH, Some("app"), Known::Chosen("istio-proxy".into()), None, Some(0))]
    #[case::what_it_was_comes_after_the_annotation(MESH, Some("app"), Known::Found("istio-proxy".into()), None, Some(1))]
    #[case::what_it_was(MESH, None, Known::Found("app".into()), None, Some(1))]
    #[case::a_choice_that_is_gone(MESH, None, Known::Chosen("web-2".into()), None, None)]
    #[case::the_repository(MESH, None, Known::Nothing, Some("shop/web:2.0"), Some(1))]
    #[case::in_its_long_form(
        MESH,
        None,
        Known::Nothing,
        Some("docker.io/shop/web@sha256:ab"),
        Some(1)
    )]
    #[case::another_repository(MESH, None, Known::Nothing, Some("shop/other:2.0"), None)]
    #[case::two_of_one_repository(
        "a=shop/web:1 b=shop/web:2",
        None,
        Known::Nothing,
        Some("shop/web:3"),
        None
    )]
    #[case::the_name(
        "proxy=shop/proxy:1 web=shop/app:1",
        None,
        Known::Nothing,
        Some("shop/new:2"),
        Some(1)
    )]
    #[case::a_choice_against_the_repository(MESH, None, Known::Chosen("istio-proxy".into()), Some("shop/web:2"), Some(0))]
    #[case::what_it_was_where_another_has_the_repository_too(
        "a=shop/web:1 b=shop/web:1 app=shop/app:1",
        None,
        Known::Found("app".into()),
        Some("shop/web:2"),
        Some(2)
    )]
    #[case::only_one("main=shop/web:1", None, Known::Nothing, Some("shop/other:2"), Some(0))]
    #[case::none("", None, Known::Nothing, None, None)]
    fn the_container_is_found_or_somebody_chooses(
        #[case] containers: &str,
        #[case] annotation: Option<&str>,
        #[case] known: Known,
        #[case] image: Option<&str>,
        #[case] expected: Option<usize>,
    ) {
        assert_eq!(find(&template(containers, annotation), &known, "web", image).ok(), expected);
    }

    #[test]
    fn a_doubt_names_the_containers_and_how_to_choose() {
        let why =
            find(&template(MESH, None), &Known::Nothing, "web", None).unwrap_err().to_string();
        for part in [
            "istio-proxy, app",
            DEFAULT_CONTAINER,
            "--container",
            "choose the application's container",
        ] {
            assert!(why.contains(part), "{why}");
        }
    }

    #[rstest]
    #[case::the_annotation(
        MESH,
        Some("istio-proxy"),
        Known::Nothing,
        "istio-proxy by the annotation of the pod template"
    )]
    #[case::what_it_was(MESH, None, Known::Found("istio-proxy".into()), "istio-proxy by what was found earlier")]
    #[case::the_name(
        "web=shop/nginx:1 app=shop/web:1",
        None,
        Known::Nothing,
        "web by the application's name"
    )]
    fn an_image_of_another_containers_repository_is_a_doubt_that_names_both(
        #[case] containers: &str,
        #[case] annotation: Option<&str>,
        #[case] known: Known,
        #[case] says: &str,
    ) {
        let template = template(containers, annotation);
        let why = find(&template, &known, "web", Some("shop/web:2")).unwrap_err().to_string();
        for part in [says, "app by its present image", "shop/web:2", "--set app"] {
            assert!(why.contains(part), "{why}");
        }
        // Without an image it is no matter.
        assert!(find(&template, &known, "web", None).is_ok());
    }

    #[test]
    fn containers_that_were_given_through_sluice_are_not_the_applications() {
        let mut template = template("main=shop/web:1 logs=shop/logs:1", None);
        template["metadata"]["annotations"][GIVEN_ANNOTATION] = json!(r#"{"sidecars":["logs"]}"#);
        assert_eq!(find(&template, &Known::Nothing, "web", None), Ok(0));
    }

    #[rstest]
    #[case("nginx", "docker.io/library/nginx")]
    #[case("nginx:1@sha256:ab", "docker.io/library/nginx")]
    #[case("docker.io/nginx:1", "docker.io/library/nginx")]
    #[case("index.docker.io/shop/web", "docker.io/shop/web")]
    #[case("registry.example:5000/shop/web:1", "registry.example:5000/shop/web")]
    #[case("localhost/web", "localhost/web")]
    fn repositories_are_compared_in_their_long_form(#[case] image: &str, #[case] expected: &str) {
        assert_eq!(repository(image), expected);
    }
}
