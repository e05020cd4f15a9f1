//! Tags: texts that callers put on applications to find them again. Nothing
//! stands on them.

use std::collections::HashMap;

use crate::{Caller, Error, Service};
use domain::{ApplicationId, Input, Rejection};
use store::TagRow;

/// Most tags of an application.
const MOST_TAGS: i64 = 20;

/// Longest key or value, in characters.
const LONGEST: usize = 128;

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its key, which an application has once.
    pub key: String,
    pub value: String,
}

/// A tag that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    pub key: String,
    /// Its value; none = any.
    pub value: Option<String>,
}

impl Service {
    /// Gives tags to applications, in place of those with the same keys; to all of
    /// them or to none.
    ///
    /// # Errors
    /// A tag that is not allowed, too many of them, or an unknown application.
    pub async fn tag(
        &self,
        caller: &Caller,
        applications: &[ApplicationId],
        tags: &[Tag],
    ) -> Result<(), Error> {
        tags.iter().try_for_each(check)?;
        let (keys, values): (Vec<_>, Vec<_>) =
            tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).unzip();
        if let Some(twice) = keys
            .iter()
            .enumerate()
            .find_map(|(index, key)| keys[..index].contains(key).then_some(key))
        {
            return Err(
                Rejection::invalid(Input::Tags, twice, "a key may be given only once").into()
            );
        }
        self.once(caller, "tag", |tx| Box::pin(async {
            for application in in_order(applications) {
                tx.permitted_application(application).await?;
                tx.put_tags(application, &keys, &values).await?;
                let count = tx.count_tags(application).await?;
                if count > MOST_TAGS {
                    let allowed = format!(
                        "application {application} would have {count} tags; allowed are {MOST_TAGS}"
                    );
                    return Err(Rejection::invalid(
                        Input::Tags,
                        format!("{} tags", keys.len()),
                        allowed,
                    )
                    .into());
                }
            }
            Ok(())
        }))
        .await
    }

    /// Takes tags with these keys away from applications, or all tags. A key that
    /// an application does not have is no error.
    ///
    /// # Errors
    /// An unknown application.
    pub async fn untag(
        &self,
        caller: &Caller,
        applications: &[ApplicationId],
        keys: Option<&[String]>,
    ) -> Result<(), Error> {
        self.once(caller, "untag", |tx| {
            Box::pin(async {
                for application in in_order(applications) {
                    tx.permitted_application(application).await?;
                    tx.remove_tags(application, keys).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The tags of applications, oldest application first: of these applications
    /// (none = all), as far as they have all tags that are looked for.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn tags(
        &self,
        applications: Option<&[ApplicationId]>,
        wanted: &[TagFilter],
    ) -> Result<Vec<(ApplicationId, Tag)>, Error> {
        let rows = self.store.tags(self.permit.filter().as_ref()).await?;
        // In how many of the wanted tags each application is found.
        let mut found_in: HashMap<ApplicationId, usize> = HashMap::new();
        for filter in wanted {
            let fits = |row: &&TagRow| {
                row.key == filter.key
                    && filter.value.as_ref().is_none_or(|value| *value == row.value)
            };
            // An application has a key once.
            rows.iter()
                .filter(fits)
                .for_each(|row| *found_in.entry(row.application).or_default() += 1);
        }
        let matches = |application: ApplicationId| {
            let has_all = found_in.get(&application).copied().unwrap_or(0) == wanted.len();
            has_all && applications.is_none_or(|these| these.contains(&application))
        };
        let found = rows.iter().filter(|row| matches(row.application));
        Ok(found
            .map(|row| (row.application, Tag { key: row.key.clone(), value: row.value.clone() }))
            .collect())
    }
}

/// Each once, in the order in which all callers lock them.
fn in_order(applications: &[ApplicationId]) -> Vec<ApplicationId> {
    let mut applications = applications.to_vec();
    applications.sort_unstable();
    applications.dedup();
    applications
}

/// EDAS' rules for a tag.
fn check(tag: &Tag) -> Result<(), Rejection> {
    let fits = |text: &str| text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    let key = tag.key.as_str();
    let is_reserved = key.starts_with("aliyun")
        || key.starts_with("acs:")
        || key.contains("http://")
        || key.contains("https://");
    if key.is_empty() || !fits(key) || is_reserved {
        let allowed = format!(
            "a key must have 1 to {LONGEST} characters, not begin with aliyun or acs:, and not contain http:// or https://"
        );
        return Err(Rejection::invalid(Input::Tags, key, allowed));
    }
    if fits(&tag.value) {
        Ok(())
    } else {
        Err(Rejection::invalid(
            Input::Tags,
            &tag.value,
            format!("a value must have at most {LONGEST} characters"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("team", "shop", true)]
    #[case("team", "", true)]
    #[case("", "shop", false)]
    #[case("aliyun-x", "a", false)]
    #[case("acs:x", "a", false)]
    #[case("see http://x", "a", false)]
    #[case("a\u{7}", "a", false)]
    #[case("team", "a\nb", false)]
    fn a_tag_keeps_edas_rules(#[case] key: &str, #[case] value: &str, #[case] expected: bool) {
        assert_eq!(check(&Tag { key: key.into(), value: value.into() }).is_ok(), expected);
        let long = "x".repeat(129);
        assert!(
            check(&Tag { key: long.clone(), value: String::new() }).is_err()
                && check(&Tag { key: "a".into(), value: long }).is_err()
        );
    }
}
