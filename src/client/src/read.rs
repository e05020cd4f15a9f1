//! Commands that read and change nothing.

use domain::snapshot::{ApplicationLine, OrderLine, Snapshot};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    End, Trouble,
    command::{Apps, History, Logs, Named, Orders, Reach, Release},
    context,
    find::{APPLICATIONS, ORDERS, application, call, order_of, pages, snapshot, versions},
    paint::Line,
    release,
    show::{self, Printer},
};

pub(crate) async fn apps(it: &Apps) -> Result<(), Trouble> {
    let mut pairs = Vec::new();
    pairs.extend(it.namespace.as_deref().map(|text| ("namespace", text)));
    pairs.extend(it.state.as_deref().map(|text| ("state", text)));
    pairs.extend(it.filter.as_deref().map(|text| ("text", text)));
    let all: Vec<ApplicationLine> =
        pages(&context::api(&it.reach)?, APPLICATIONS, &pairs, "applications").await?;
    Printer::of(&it.reach).list(&all, show::applications);
    Ok(())
}

pub(crate) async fn app(it: &Named) -> Result<(), Trouble> {
    let api = context::api(&it.reach)?;
    let application = application(&api, &it.name).await?;
    let id = application.application.id.to_string();
    let newest: Vec<OrderLine> =
        api.get(ORDERS, &[("application", &id), ("limit", "10")], "orders").await?;
    Printer::of(&it.reach).one(&application, |it, width| show::application(it, &newest, width));
    Ok(())
}

pub(crate) async fn orders(it: &Orders) -> Result<(), Trouble> {
    let api = context::api(&it.reach)?;
    let application = match &it.name {
        Some(name) => Some(application(&api, name).await?.application.id.to_string()),
        None => None,
    };
    let since = it.since.map(|age| Timestamp::now().checked_sub(age)).transpose();
    let since = since.map_err(|_| Trouble::new(End::Usage, "--since: there is no such time"))?;
    let since = since.map(|at| at.to_string());
    let mut pairs = Vec::new();
    pairs.extend(application.as_deref().map(|id| ("application", id)));
    pairs.extend(it.state.as_deref().map(|text| ("state", text)));
    pairs.extend(since.as_deref().map(|text| ("since", text)));
    pairs.extend(it.namespace.as_deref().map(|text| ("namespace", text)));
    pairs.extend(it.filter.as_deref().map(|text| ("text", text)));
    let all: Vec<OrderLine> = pages(&api, ORDERS, &pairs, "orders").await?;
    Printer::of(&it.reach).list(&all, show::orders);
    Ok(())
}

/// One order, or a part of it.
pub(crate) async fn order(
    named: &Named,
    text: fn(&Snapshot, usize) -> Vec<Line>,
) -> Result<(), Trouble> {
    let (api, order) = order_of(named).await?;
    Printer::of(&named.reach).one(&snapshot(&api, &order).await?, text);
    Ok(())
}

/// What a release would do, or would change.
pub(crate) async fn preview(
    it: &Release,
    text: fn(&Value, usize) -> Vec<Line>,
) -> Result<(), Trouble> {
    let reach = &it.followed.named.reach;
    let api = context::api(reach)?;
    let pairs = release::of(&api, it).await?;
    let reply = call(&api, Method::POST, "/sluice/v1/plan", &pairs).await?;
    Printer::of(reach).one(&reply, text);
    Ok(())
}

/// Versions that are compared with what runs.
const COMPARED: usize = 10;

pub(crate) async fn history(it: &History) -> Result<(), Trouble> {
    let Named { name, reach } = &it.named;
    let api = context::api(reach)?;
    let (application, mut versions) = versions(&api, name).await?;
    if !it.diff {
        Printer::of(reach).list(&versions, show::versions);
        return Ok(());
    }
    versions.truncate(COMPARED);
    for version in &mut versions {
        let id = version["Id"].as_str().unwrap_or_default().to_owned();
        let pairs = [("AppId", application.clone()), ("PackageVersionId", id)];
        let mut reply = call(&api, Method::POST, "/sluice/v1/plan", &pairs).await?;
        version["Difference"] = reply["Difference"].take();
    }
    Printer::of(reach).list(&versions, show::differences);
    Ok(())
}

/// A link that signs in whoever calls.
pub(crate) async fn console_link(reach: &Reach, site: Option<&str>) -> Result<(), Trouble> {
    let api = context::api(reach)?;
    let reply = api.call(Method::POST, "/sluice/v1/console/link", &[]).await?;
    let path = reply["Path"].as_str().unwrap_or_default();
    let link = format!("{}{path}", site.unwrap_or(api.endpoint.as_str()).trim_end_matches('/'));
    Printer::of(reach).one(&json!({ "link": link }), |_, _| vec![Line::plain(link.clone())]);
    Ok(())
}

pub(crate) async fn logs(it: &Logs) -> Result<End, Trouble> {
    let api = context::api(&it.reach)?;
    let application = application(&api, &it.name).await?;
    let mut pairs = vec![
        ("AppId", application.application.id.to_string()),
        ("Lines", it.tail.to_string()),
        ("Previous", it.previous.to_string()),
    ];
    pairs.extend(it.pod.clone().map(|text| ("PodName", text)));
    pairs.extend(it.container.clone().map(|text| ("ContainerName", text)));
    let reply = call(&api, Method::GET, "/sluice/v1/logs", &pairs).await?;
    let logs = reply["Logs"].as_array().cloned().unwrap_or_default();
    if logs.is_empty() {
        let message = format!("the application {} has no pods", it.name);
        return Err(Trouble::new(End::NotFound, message));
    }
    Printer::of(&it.reach).one(&reply, show::logs);
    let is_read = logs.iter().any(|log| log["Unread"] == "");
    Ok(if is_read { End::Done } else { End::NotFound })
}
