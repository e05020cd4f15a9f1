//! Releasing packages: what this server offers, and what a caller's words come to.
//!
//! Whatever an executor needs later (runtime image, init container, rules for
//! it) is fixed when the order is accepted and written down with it, so that
//! it does not depend on the settings of whoever carries it out.

pub(crate) mod upload;

use secrecy::{ExposeSecret, SecretString};

use super::{Error, PackageParams, Service};
use ::package::Client;
use domain::{
    Input, Rejection,
    package::{
        Label, PackageAddress, PackageKind,
        runtime::{Runtime, Runtimes},
        upload::{named_by, perhaps_named_by},
    },
    template::{
        java::{JavaChange, Package},
        spec::{EnvVar, Field, SpecChange},
    },
};

/// What this server needs to release packages. Without an image or a table it
/// releases none, and says which setting is missing.
#[derive(Debug, Clone)]
pub struct Packages {
    /// Image of the init container that fetches them.
    pub image: Option<String>,
    /// What they run on.
    pub runtimes: Runtimes,
    /// What the init container is told of where they may come from.
    pub rules: Vec<EnvVar>,
    /// What asks for them, under the same rules.
    pub client: Client,
}

impl Service {
    /// What packages can run on here: the operator's table.
    #[must_use]
    pub fn runtimes(&self) -> &[Runtime] {
        self.packages.as_deref().map_or(&[], |packages| packages.runtimes.all())
    }

    /// Everything of a package's address that can be judged without the
    /// application: this server releases packages, the address is allowed, and
    /// nothing says that the package is not there. Returns the address that pods
    /// fetch it from: another one where it was uploaded to this server.
    pub(super) async fn check_package(&self, url: &SecretString) -> Result<PackageAddress, Error> {
        let (packages, url) = self.read_package(url)?;
        let refuse = |why: String| Rejection::invalid(Input::PackageAddress, &url, why);
        if let Some(key) = named_by(&url).map_err(|why| refuse(why.to_string()))? {
            let found = self.uploaded_package(&key).await?;
            return found.ok_or_else(|| {
                let why = "no package was uploaded to this server under this key, or not all of it";
                refuse(why.to_owned()).into()
            });
        }
        if self.package_store.is_some()
            && let Some(key) = perhaps_named_by(&url)
            && let Some(uploaded) = self.uploaded_package(&key).await?
        {
            return Ok(uploaded);
        }
        packages.client.policy().check(&url).map_err(|why| refuse(why.to_string()))?;
        packages.client.probe(&url).await.map_err(|failure| refuse(failure.to_string()))?;
        Ok(url)
    }

    /// As [`Service::check_package`], of what a caller wishes; none = no package.
    pub(super) async fn check_package_params(
        &self,
        params: &PackageParams,
    ) -> Result<Option<PackageAddress>, Error> {
        match &params.url {
            Some(url) => Ok(Some(self.check_package(url).await?)),
            None => Ok(None),
        }
    }

    /// As [`Service::check_package`], without asking whether it is there.
    pub(super) fn read_package(
        &self,
        url: &SecretString,
    ) -> Result<(&Packages, PackageAddress), Rejection> {
        let text = url.expose_secret();
        let parsed: Result<PackageAddress, _> = text.parse();
        let shown = parsed.as_ref().map_or_else(
            |_| format!("(a text of {} characters, not shown)", text.chars().count()),
            ToString::to_string,
        );
        let refuse = |why: String| Rejection::invalid(Input::PackageAddress, &shown, why);
        let packages = self
            .packages
            .as_deref()
            .ok_or_else(|| refuse(missing("--package-image", "SLUICE_PACKAGE_IMAGE")))?;
        if packages.image.is_none() {
            return Err(refuse(missing("--package-image", "SLUICE_PACKAGE_IMAGE")));
        }
        if packages.runtimes.is_empty() {
            return Err(refuse(missing("--runtime-images", "SLUICE_RUNTIME_IMAGES")));
        }
        Ok((packages, parsed.map_err(|why| refuse(why.to_string()))?))
    }

    /// Completes what `spec` says of a package, for an application that runs
    /// `current`. Returns what is remembered of the version's package; none = it
    /// is an image.
    pub(super) fn complete_package(
        &self,
        spec: &mut SpecChange,
        params: &PackageParams,
        url: Option<PackageAddress>,
        current: Option<&Label>,
    ) -> Result<Option<Label>, Rejection> {
        let kind = match (&url, current) {
            (Some(url), _) => kind_of(url, params, current)?,
            (None, Some(current)) if spec.image.is_none() => current.kind,
            (None, _) => {
                check_image(spec)?;
                return Ok(None);
            }
        };
        if let Some(tag) = &spec.image_tag {
            let allowed = "the application runs a package: give Image to let it run an image";
            return Err(Rejection::invalid(Input::ImageTag, tag, allowed));
        }
        check_settings(&spec.java, kind)?;
        let same = current.filter(|current| current.kind == kind);
        let jdk = params.jdk.as_deref().or(same.map(|current| current.jdk.as_str()));
        let container = params
            .web_container
            .as_deref()
            .or(same.and_then(|current| current.web_container.as_deref()));
        let is_new = url.is_some()
            || params.jdk.is_some()
            || (params.web_container.is_some() && kind == PackageKind::War);
        if !is_new {
            return Ok(current.cloned());
        }
        let Some(packages) = self.packages.as_deref() else {
            let allowed = missing("--runtime-images", "SLUICE_RUNTIME_IMAGES");
            return Err(Rejection::invalid(Input::Jdk, jdk.unwrap_or_default(), allowed));
        };
        let runtime = packages
            .runtimes
            .find(kind, jdk, container)
            .map_err(|why| no_runtime(kind, why))?
            .clone();
        let label = Label {
            kind,
            address: url
                .as_ref()
                .map(ToString::to_string)
                .or(current.map(|current| current.address.clone()))
                .unwrap_or_default(),
            jdk: runtime.jdk.clone(),
            web_container: runtime.web_container.clone(),
        };
        spec.java.runtime = Some(runtime);
        if let Some(url) = url {
            let fetcher = packages.image.clone().unwrap_or_default();
            spec.java.package = Some(Package { kind, url, fetcher, rules: packages.rules.clone() });
        }
        Ok(Some(label))
    }
}

fn missing(flag: &str, variable: &str) -> String {
    format!("this server releases no packages, since its setting {flag} ({variable}) is not made")
}

/// The kind of a new package: what was said, what its name ends with, or what ran before.
fn kind_of(
    url: &PackageAddress,
    params: &PackageParams,
    current: Option<&Label>,
) -> Result<PackageKind, Rejection> {
    match (params.kind, url.kind()) {
        (Some(said), Some(named)) if said != named => {
            let allowed = format!(
                "the {{}} is {}, and its name ends like that of a {}",
                said.word(),
                named.word()
            );
            let others = &[Input::PackageKind];
            Err(Rejection::invalid_beside(Input::PackageAddress, url, allowed, others))
        }
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        (None, None) => {
            let by_container = params.web_container.as_ref().map(|_| PackageKind::War);
            current.map(|current| current.kind).or(by_container).ok_or_else(|| {
                let allowed = "must end with .jar or .war, since nothing else says what kind of package it is";
                Rejection::invalid(Input::PackageAddress, url, allowed)
            })
        }
    }
}

fn no_runtime(kind: PackageKind, why: domain::package::runtime::NoRuntime) -> Rejection {
    let allowed = if why.known.is_empty() {
        format!(
            "this server's table --runtime-images (SLUICE_RUNTIME_IMAGES) has no image for {} packages",
            kind.word()
        )
    } else {
        format!(
            "this server's table --runtime-images has for {} packages: {}",
            kind.word(),
            why.known.join(", ")
        )
    };
    Rejection::invalid(why.input, why.value, allowed)
}

/// Settings of packages beside an image; those that only clear say nothing.
fn check_image(spec: &SpecChange) -> Result<(), Rejection> {
    let java = &spec.java;
    if let Field::Set(options) = &java.jvm_options {
        return Err(Rejection::invalid(
            Input::JvmOptions,
            options,
            "applies to packages only, and this is an image",
        ));
    }
    check_web(java, "applies to War packages only, and this is an image")
}

fn check_settings(java: &JavaChange, kind: PackageKind) -> Result<(), Rejection> {
    match kind {
        PackageKind::War => Ok(()),
        PackageKind::FatJar => {
            check_web(java, "applies to War packages only, and this is a FatJar")
        }
    }
}

fn check_web(java: &JavaChange, allowed: &str) -> Result<(), Rejection> {
    if let Field::Set(web) = &java.web {
        let given = serde_json::to_string(web).unwrap_or_default();
        return Err(Rejection::invalid(Input::WebContainerSettings, given, allowed));
    }
    if let Some(encoding) = &java.uri_encoding {
        return Err(Rejection::invalid(Input::UriEncoding, encoding, allowed));
    }
    match java.use_body_encoding {
        Some(true) => Err(Rejection::invalid(Input::UseBodyEncoding, "true", allowed)),
        Some(false) | None => Ok(()),
    }
}
