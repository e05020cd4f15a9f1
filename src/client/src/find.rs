//! Finding what a command is about: an application by its name, an order by the beginning of
//! its id, a version by its text.

use domain::snapshot::{ApplicationLine, OrderLine, Snapshot};
use http::Method;
use serde_json::Value;

use crate::{
    End, Trouble,
    api::{Api, read},
    command::Named,
    context,
    render::{short, word},
};

pub(crate) const ORDERS: &str = "/sluice/v1/orders";
pub(crate) const APPLICATIONS: &str = "/sluice/v1/applications";

pub(crate) async fn call(
    api: &Api,
    method: Method,
    path: &str,
    pairs: &[(&'static str, String)],
) -> Result<Value, Trouble> {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, it)| (*name, it.as_str())).collect();
    api.call(method, path, &pairs).await
}

/// All pages of a list, up to 10,000 lines.
pub(crate) async fn pages<T: serde::de::DeserializeOwned>(
    api: &Api,
    path: &str,
    pairs: &[(&str, &str)],
    field: &str,
) -> Result<Vec<T>, Trouble> {
    let (mut all, mut after) = (Vec::new(), String::new());
    for _ in 0..50 {
        let mut pairs = pairs.to_vec();
        pairs.extend([("limit", "200"), ("after", after.as_str())]);
        let mut reply = api.call(Method::GET, path, &pairs).await?;
        all.extend(read::<Vec<T>>(reply[field].take())?);
        after = reply["next"].as_str().unwrap_or_default().to_owned();
        if after.is_empty() {
            break;
        }
    }
    Ok(all)
}

/// The one application of a name.
pub(crate) async fn application(api: &Api, name: &str) -> Result<ApplicationLine, Trouble> {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let pairs = [("name", name), ("namespace", namespace)];
    let mut found: Vec<ApplicationLine> = api.get(APPLICATIONS, &pairs, "applications").await?;
    if found.len() > 1 {
        let names: Vec<String> = found
            .iter()
            .map(|it| format!("{}/{}", it.application.namespace, it.application.name))
            .collect();
        let message = format!("there are several applications {name}: {}", names.join(", "));
        return Err(Trouble::new(End::Usage, message));
    }
    let unknown = || Trouble::new(End::NotFound, format!("the application {name} does not exist"));
    found.pop().ok_or_else(unknown)
}

/// The order that is meant: by its id or the beginning of it, or the newest of an application.
pub(crate) async fn order_of(named: &Named) -> Result<(Api, String), Trouble> {
    let api = context::api(&named.reach)?;
    let order = order_named(&api, &named.name).await?;
    Ok((api, order))
}

pub(crate) async fn order_named(api: &Api, name: &str) -> Result<String, Trouble> {
    if name.len() >= 8 && name.chars().all(|it| it.is_ascii_hexdigit() || it == '-') {
        let found: Vec<OrderLine> =
            api.get(ORDERS, &[("id_prefix", name), ("limit", "2")], "orders").await?;
        match found.as_slice() {
            [order] => return Ok(order.id.to_string()),
            [] => {}
            _ => {
                let message = format!("several orders begin with {name}: write more of it");
                return Err(Trouble::new(End::Usage, message));
            }
        }
    }
    let application = application(api, name).await.map_err(|trouble| match trouble.end {
        End::NotFound => {
            Trouble::new(End::NotFound, format!("there is no order and no application {name}"))
        }
        _ => trouble,
    })?;
    let none = || Trouble::new(End::NotFound, format!("the application {name} has no order"));
    let order = application.last_order.ok_or_else(none)?;
    Ok(order.id.to_string())
}

/// The order that is open, where it is the only one.
pub(crate) async fn only_open_order(api: &Api) -> Result<String, Trouble> {
    let pairs = [("state", "open"), ("limit", "20")];
    let open: Vec<OrderLine> = api.get(ORDERS, &pairs, "orders").await?;
    match open.as_slice() {
        [order] => Ok(order.id.to_string()),
        [] => Err(Trouble::new(End::NotFound, "no order is open")),
        all => {
            let line = |it: &OrderLine| {
                let (id, of) = (short(&it.id.to_string()), &it.application);
                format!("  {id}  {}/{}  {}", of.namespace, of.name, word(it.state))
            };
            let lines: Vec<String> = all.iter().map(line).collect();
            let message = format!("several orders are open, name one:\n{}", lines.join("\n"));
            Err(Trouble::new(End::Usage, message))
        }
    }
}

pub(crate) async fn snapshot(api: &Api, order: &str) -> Result<Snapshot, Trouble> {
    api.get(&format!("{ORDERS}/{order}"), &[], "order").await
}

pub(crate) async fn versions(api: &Api, name: &str) -> Result<(String, Vec<Value>), Trouble> {
    let id = application(api, name).await?.application.id.to_string();
    let path = "/pop/v5/app/deploy_history_version_list";
    let mut reply = api.call(Method::GET, path, &[("AppId", &id)]).await?;
    let list = reply["PackageVersionList"]["PackageVersion"].take();
    Ok((id, read(list)?))
}

/// The version that is meant, by its text or its id.
pub(crate) fn version<'a>(versions: &'a [Value], meant: &str) -> Result<&'a Value, Trouble> {
    let is_meant = |it: &&Value| it["Id"] == meant || it["PackageVersion"] == meant;
    let unknown = || {
        Trouble::new(End::NotFound, format!("the version {meant} does not exist in the history"))
    };
    versions.iter().find(is_meant).ok_or_else(unknown)
}
