//! A release, as it is asked for.

use serde_json::{Value, json};

use crate::{
    End, Trouble,
    api::Api,
    command::{Release, Variable},
    find::{application, version, versions},
};

/// The parameters of a release, of whose application and history the server is asked.
pub(crate) async fn of(api: &Api, it: &Release) -> Result<Vec<(&'static str, String)>, Trouble> {
    let name = &it.followed.named.name;
    let application = application(api, name).await?;
    let id = application.application.id.to_string();
    let mut pairs = parameters(it, &id, application.replicas)?;
    if let Some(to) = &it.to {
        let (_, versions) = versions(api, name).await?;
        let id = version(&versions, to)?["Id"].as_str().unwrap_or_default();
        pairs.push(("PackageVersionId", id.to_owned()));
    }
    Ok(pairs)
}

/// The parameters of a release of an application that has so many pods.
fn parameters(
    release: &Release,
    application: &str,
    replicas: i32,
) -> Result<Vec<(&'static str, String)>, Trouble> {
    let mut pairs = vec![("AppId", application.to_owned())];
    let texts = [
        ("Image", &release.image),
        ("PackageUrl", &release.package),
        ("PackageVersion", &release.version_text),
        ("PlanHash", &release.plan_hash),
        ("ChangeOrderDesc", &release.reason),
    ];
    pairs.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
    if let Some(time) = release.batch_timeout {
        pairs.push(("BatchTimeout", time.as_secs().to_string()));
    }
    if !release.env.is_empty() {
        pairs.push(("AddEnvs", variables(&release.env).to_string()));
    }
    if let Some(strategy) = strategy(release, replicas)? {
        pairs.push(("UpdateStrategy", strategy.to_string()));
    }
    Ok(pairs)
}

/// The variables as the API takes them. Of several with one name the last counts.
fn variables(all: &[Variable]) -> Value {
    let counts = |(index, one): &(usize, &Variable)| {
        !all[index + 1..].iter().any(|later| later.name == one.name)
    };
    let each = all.iter().enumerate().filter(counts);
    each.map(|(_, one)| json!({ "name": one.name, "value": one.value })).collect()
}

/// How it reaches its pods; none = all at once.
fn strategy(release: &Release, replicas: i32) -> Result<Option<Value>, Trouble> {
    let canary = release.canary.as_deref().map(|text| canary(text, replicas)).transpose()?;
    if canary.is_none() && release.batches == 1 {
        return Ok(None);
    }
    let minutes = release.interval.map_or(0, |time| time.as_secs().div_ceil(60));
    let kind = if release.manual { "manual" } else { "auto" };
    let update = json!({ "batch": release.batches, "releaseType": kind, "batchWaitTime": minutes });
    Ok(Some(match canary {
        None => json!({ "type": "BatchUpdate", "batchUpdate": update }),
        Some(pods) => json!({
            "type": "GrayBatchUpdate", "batchUpdate": update, "grayUpdate": { "gray": pods }
        }),
    }))
}

/// Pods of a canary, from a number or a share of all.
fn canary(text: &str, replicas: i32) -> Result<i64, Trouble> {
    let wrong = || {
        let message = format!("--canary {text}: must be a number of pods, or a share such as 10%");
        Trouble::new(End::Usage, message)
    };
    let pods = match text.strip_suffix('%') {
        None => text.parse::<u32>().map(i64::from).map_err(|_| wrong())?,
        Some(share) => {
            let share = share.parse::<u8>().ok().filter(|it| *it <= 100).ok_or_else(wrong)?;
            // Any share of any pods is one at least.
            ((i64::from(replicas.max(0)) * i64::from(share) + 99) / 100).max(1)
        }
    };
    if pods == 0 { Err(wrong()) } else { Ok(pods) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_variables_with_one_name_the_last_counts() {
        let variable =
            |name: &str, value: &str| Variable { name: name.into(), value: value.into() };
        let all = [variable("A", "1"), variable("B", "x=y"), variable("A", "2")];
        assert_eq!(
            variables(&all),
            json!([{ "name": "B", "value": "x=y" }, { "name": "A", "value": "2" }])
        );
    }

    #[test]
    fn a_canary_is_a_number_of_pods_or_a_share_that_is_never_none() {
        for (text, pods) in [("1", Ok(1)), ("10%", Ok(2)), ("1%", Ok(1)), ("100%", Ok(12))] {
            assert_eq!(canary(text, 12), pods);
        }
        for text in ["", "0", "-1", "101%", "x%", "%"] {
            assert_eq!(canary(text, 12).unwrap_err().end, End::Usage, "{text}");
        }
    }
}
