//! EDAS namespaces: a name and a text for what applications name as theirs.
//!
//! Nothing stands on them: an application may be in one that nobody described.

use serde::{Deserialize, Serialize};

use crate::{Caller, Error, Service, check};
use domain::{Input, Rejection, access::Resource};
use store::{LogicalRegion, RegionText};

/// Longest name of a namespace, as EDAS has it, with the region before it.
const LONGEST_NAME: usize = 128;

/// An EDAS namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionView {
    /// Its number; none = nobody described it, applications are just in it.
    pub id: Option<i64>,
    /// Its name: a region, or `<region>:<name>`.
    pub name: String,
    /// What it is called.
    pub title: String,
    pub description: String,
    /// Name of the access key that described it; empty if nobody did.
    pub created_by: String,
}

/// What is to be said of an EDAS namespace.
#[derive(Debug, Clone)]
pub struct DescribeRegion {
    /// The one to change; none = one that nobody described yet.
    pub id: Option<i64>,
    pub name: String,
    /// What it is called.
    pub title: String,
    /// Free text; none keeps it.
    pub description: Option<String>,
}

impl Service {
    /// The namespaces that somebody described or that applications are in, by name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn regions(&self) -> Result<Vec<RegionView>, Error> {
        self.permit.judged_by_action();
        let found = self.store.regions().await?.into_iter();
        Ok(found.filter(|it| self.permit.allows(&resource(&it.name))).map(view).collect())
    }

    /// Describes a namespace, or changes what is said of one.
    ///
    /// # Errors
    /// A value that is not allowed, a name that is described already, or an unknown number.
    pub async fn describe_region(
        &self,
        caller: &Caller,
        request: DescribeRegion,
    ) -> Result<RegionView, Error> {
        check_region(Input::RegionName, &request.name)?;
        check::text(Input::RegionTitle, &request.title, 63)?;
        check::text(Input::Description, request.description.as_deref().unwrap_or_default(), 128)?;
        self.check(&resource(&request.name))?;
        self.once(caller, "describe_region", |tx| {
            Box::pin(async {
                let described = match request.id {
                    None => {
                        let description = request.description.clone().unwrap_or_default();
                        let text = RegionText {
                            name: &request.name,
                            title: &request.title,
                            description: &description,
                        };
                        let Some(id) =
                            tx.insert_region(text, &caller.name, self.clock.now()).await?
                        else {
                            let allowed =
                                "such a namespace exists already: give its number to change it";
                            return Err(Rejection::invalid(
                                Input::RegionName,
                                &request.name,
                                allowed,
                            )
                            .into());
                        };
                        RegionView {
                            id: Some(id),
                            name: request.name.clone(),
                            title: request.title.clone(),
                            description,
                            created_by: caller.name.clone(),
                        }
                    }
                    Some(id) => {
                        let found = tx
                            .find_region(Some(id), None)
                            .await?
                            .ok_or_else(|| Rejection::UnknownRegion(id.to_string()))?;
                        if found.name != request.name {
                            let allowed = format!(
                                "the name of a namespace cannot be changed; that of {id} is {}",
                                found.name
                            );
                            return Err(Rejection::invalid(
                                Input::RegionName,
                                &request.name,
                                allowed,
                            )
                            .into());
                        }
                        let description = request.description.clone().unwrap_or(found.description);
                        tx.update_region(id, &request.title, &description).await?;
                        RegionView {
                            id: Some(id),
                            name: found.name,
                            title: request.title.clone(),
                            description,
                            created_by: found.created_by,
                        }
                    }
                };
                Ok(described)
            })
        })
        .await
    }

    /// Forgets what is said of a namespace, named by its number, its name or both.
    ///
    /// # Errors
    /// [`Rejection::UnknownRegion`], or a rejection while applications are in it.
    pub async fn forget_region(
        &self,
        caller: &Caller,
        id: Option<i64>,
        name: Option<&str>,
    ) -> Result<RegionView, Error> {
        self.once(caller, "forget_region", |tx| {
            Box::pin(async {
                let shown =
                    || name.map(str::to_owned).or(id.map(|id| id.to_string())).unwrap_or_default();
                let found = tx
                    .find_region(id, name)
                    .await?
                    .ok_or_else(|| Rejection::UnknownRegion(shown()))?;
                tx.permit().check(&resource(&found.name))?;
                let inside = tx.applications_in(&found.name).await?;
                if inside > 0 {
                    return Err(
                        Rejection::RegionInUse { name: found.name, applications: inside }.into()
                    );
                }
                if let Some(id) = found.id {
                    tx.delete_region(id).await?;
                }
                Ok(view(found))
            })
        })
        .await
    }
}

/// Checks that `name` can be an EDAS namespace: `<region>:<name>`, or a region alone.
///
/// # Errors
/// Names the parameter that it stands in.
pub fn check_region(input: Input, name: &str) -> Result<(), Rejection> {
    let is_part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let mut parts = name.split(':');
    let fits =
        name.len() <= LONGEST_NAME && parts.by_ref().take(2).all(is_part) && parts.next().is_none();
    let allowed = format!(
        "must be a region or <region>:<name>, of letters, digits, '-', '_' and '.', with at most {LONGEST_NAME} characters"
    );
    if fits { Ok(()) } else { Err(Rejection::invalid(input, name, allowed)) }
}

/// Checks the EDAS namespace that an application is to be in, where one is given.
pub(crate) fn check_logical_region(name: Option<&str>) -> Result<(), Rejection> {
    name.map_or(Ok(()), |name| check_region(Input::LogicalRegion, name))
}

/// An EDAS namespace, as policies name it.
fn resource(name: &str) -> Resource<'_> {
    Resource::Shared { kind: "region", name }
}

fn view(region: LogicalRegion) -> RegionView {
    RegionView {
        id: region.id,
        name: region.name,
        title: region.title,
        description: region.description,
        created_by: region.created_by,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{Input, check_region};

    #[rstest]
    #[case("cn-hangzhou", true)]
    #[case("cn-hangzhou:prod", true)]
    #[case("cn-hangzhou:", false)]
    #[case(":prod", false)]
    #[case("", false)]
    #[case("a:b:c", false)]
    #[case("cn hangzhou", false)]
    fn a_namespace_is_a_region_or_a_name_in_one(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(check_region(Input::RegionName, text).is_ok(), expected);
    }
}
