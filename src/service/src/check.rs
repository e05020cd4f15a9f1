//! Checks of what callers hand in, before anything is written. Each refusal
//! names the input, the value, and what is allowed. Pure.

use super::PackageParams;
use domain::{
    Input, Rejection,
    limits::SECONDS,
    name::{is_label, is_subdomain},
    template::{
        graceful_start::GracefulStartChange,
        spec::{EnvVar, Field, SpecChange},
    },
};

/// A name that an application and its Deployment can have: EDAS' rule (a letter
/// first, then letters, digits and `-`, at most 36) and that of Kubernetes
/// (lower case, no `-` at the end).
pub(super) fn application_name(name: &str) -> Result<(), Rejection> {
    let fits = name.len() <= 36
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-');
    let allowed = "must begin with a lower-case letter, hold only lower-case letters, digits and '-', not end with '-', and have at most 36 characters";
    if fits { Ok(()) } else { Err(Rejection::invalid(Input::ApplicationName, name, allowed)) }
}

/// A name that a Deployment has already: Kubernetes' rule alone.
pub(super) fn present_name(name: &str) -> Result<(), Rejection> {
    let allowed = "must be a name that a Deployment can have: at most 253 lower-case letters, digits, '-' and '.', with a letter or digit at both ends";
    if is_subdomain(name) {
        Ok(())
    } else {
        Err(Rejection::invalid(Input::ApplicationName, name, allowed))
    }
}

/// A name that an object beside a Deployment can have, by the strictest of Kubernetes'
/// rules: that of Services.
pub(super) fn object_name(input: Input, name: &str) -> Result<(), Rejection> {
    let fits = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.ends_with('-');
    let allowed = "must begin with a lower-case letter, hold only lower-case letters, digits and '-', not end with '-', and have at most 63 characters";
    if fits { Ok(()) } else { Err(Rejection::invalid(input, name, allowed)) }
}

/// The name of a container, where one is given.
pub(super) fn container(name: Option<&str>) -> Result<(), Rejection> {
    let allowed = "must be the name of a container: at most 63 lower-case letters, digits and '-', with a letter or digit at both ends";
    match name.filter(|name| !name.is_empty() && !is_label(name)) {
        Some(name) => Err(Rejection::invalid(Input::ContainerName, name, allowed)),
        None => Ok(()),
    }
}

/// Number of pods.
pub(super) fn replicas(replicas: Option<i32>) -> Result<(), Rejection> {
    match replicas {
        Some(number) if number < 0 => {
            Err(Rejection::invalid(Input::Replicas, number, "must be 0 or more"))
        }
        _ => Ok(()),
    }
}

/// A number of seconds from `from` to the most.
pub(super) fn seconds(input: Input, seconds: Option<i64>, from: i64) -> Result<(), Rejection> {
    match seconds {
        Some(number) if !(from..=SECONDS).contains(&number) => Err(Rejection::invalid(
            input,
            number,
            format!("must be a number of seconds from {from} to {SECONDS}"),
        )),
        _ => Ok(()),
    }
}

/// A graceful start that leaves some of a batch's time, of so many seconds by this
/// input.
pub(super) fn graceful_start(
    change: &GracefulStartChange,
    timeout_seconds: i64,
    timeout: Input,
) -> Result<(), Rejection> {
    let (delay, warm_up) = (change.delay_seconds.unwrap_or(0), change.warm_up_seconds.unwrap_or(0));
    if change.on != Some(false) && i64::from(delay) + i64::from(warm_up) >= timeout_seconds {
        let (input, value) =
            if warm_up > delay { (Input::WarmUp, warm_up) } else { (Input::StartDelay, delay) };
        let allowed = format!(
            "delay and warm-up together must take less time than a batch may ({{}}, {timeout_seconds} s)"
        );
        return Err(Rejection::invalid_beside(input, value, allowed, &[timeout]));
    }
    Ok(())
}

/// A free text of at most `most` characters.
pub(super) fn text(input: Input, text: &str, most: usize) -> Result<(), Rejection> {
    if text.chars().count() <= most {
        Ok(())
    } else {
        Err(Rejection::invalid(input, text, format!("must have at most {most} characters")))
    }
}

/// Everything of a spec that can be judged without the template it changes.
pub(super) fn spec(spec: &SpecChange) -> Result<(), Rejection> {
    if let Some(image) = &spec.image {
        self::image(image)?;
    }
    if let Some(tag) = &spec.image_tag {
        let fits = !tag.is_empty()
            && tag.len() <= 128
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            && !tag.starts_with(['.', '-']);
        if !fits {
            return Err(Rejection::invalid(
                Input::ImageTag,
                tag,
                "must have 1 to 128 letters, digits, '_', '.' or '-', and not begin with '.' or '-'",
            ));
        }
    }
    if let Field::Set(variables) = &spec.env {
        for variable in variables {
            env_name(variable, Input::Environment)?;
        }
    }
    for variable in &spec.added_env {
        env_name(variable, Input::AddedEnvironment)?;
    }
    for (inputs, request, limit, unit) in [
        ((Input::CpuRequest, Input::CpuLimit), spec.cpu_request, spec.cpu_limit, "m"),
        ((Input::MemoryRequest, Input::MemoryLimit), spec.memory_request, spec.memory_limit, "Mi"),
    ] {
        if let (Some(request), Some(limit)) = (request, limit)
            && limit > 0
            && request > limit
        {
            return Err(Rejection::invalid_beside(
                inputs.0,
                format!("{request}{unit}"),
                format!("must not be above {{}} ({limit}{unit})"),
                &[inputs.1],
            ));
        }
    }
    Ok(())
}

/// An image or a package, not both.
pub(super) fn one_source(spec: &SpecChange, package: &PackageParams) -> Result<(), Rejection> {
    let image = spec
        .image
        .as_ref()
        .map(|image| (Input::Image, image))
        .or(spec.image_tag.as_ref().map(|tag| (Input::ImageTag, tag)));
    match (&package.url, image) {
        (Some(_), Some((input, image))) => Err(Rejection::invalid_beside(
            input,
            image,
            "either an image or a package ({}) is released, not both",
            &[Input::PackageAddress],
        )),
        _ => Ok(()),
    }
}

fn image(image: &str) -> Result<(), Rejection> {
    let fits = !image.is_empty()
        && image.len() <= 1024
        && !image.chars().any(|c| c.is_whitespace() || c.is_control());
    let allowed = "must be an image address such as registry.example/shop/web:1.0, without blanks, of at most 1024 characters";
    if fits { Ok(()) } else { Err(Rejection::invalid(Input::Image, image, allowed)) }
}

fn env_name(variable: &EnvVar, input: Input) -> Result<(), Rejection> {
    let fits = !variable.name.is_empty()
        && variable.name.chars().all(|c| c.is_ascii_graphic() && c != '=');
    let allowed = "each variable needs a name of printable ASCII characters without '=' and blanks";
    if fits { Ok(()) } else { Err(Rejection::invalid(input, &variable.name, allowed)) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web", true)]
    #[case("web-2", true)]
    #[case("", false)]
    #[case("2web", false)]
    #[case("Web", false)]
    #[case("web_2", false)]
    #[case("web-", false)]
    #[case("a234567890123456789012345678901234567", false)]
    fn a_name_fits_edas_and_kubernetes(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(application_name(text).is_ok(), fits);
    }

    #[rstest]
    #[case(SpecChange { image: Some("shop/web: 2".into()), ..SpecChange::default() }, "the image has the value shop/web: 2")]
    #[case(SpecChange { image: Some(String::new()), ..SpecChange::default() }, "the image has the value (empty)")]
    #[case(SpecChange { image_tag: Some("a b".into()), ..SpecChange::default() }, "the image tag has the value a b")]
    #[case(SpecChange { env: Field::Set(vec![EnvVar::plain("A=B", "")]), ..SpecChange::default() }, "the environment variables has the value A=B")]
    #[case(SpecChange { cpu_request: Some(200), cpu_limit: Some(100), ..SpecChange::default() }, "the CPU request has the value 200m: must not be above CPU limit (100m)")]
    fn a_refusal_names_the_parameter_and_its_value(#[case] change: SpecChange, #[case] says: &str) {
        let refusal = spec(&change).unwrap_err().to_string();
        assert!(refusal.starts_with(says), "{refusal}");
    }

    #[test]
    fn a_request_below_no_limit_is_fine() {
        let change =
            SpecChange { cpu_request: Some(200), cpu_limit: Some(0), ..SpecChange::default() };
        assert!(spec(&change).is_ok());
        assert!(replicas(Some(0)).is_ok() && replicas(Some(-1)).is_err());
        assert!(
            seconds(Input::BatchTimeout, Some(0), 1).is_err()
                && seconds(Input::BatchTimeout, Some(60), 1).is_ok()
        );
    }
}
