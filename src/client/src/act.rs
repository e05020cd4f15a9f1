//! What each command does.

use std::time::Duration;

use domain::snapshot::{Action, ApplicationLine, OrderLine, Snapshot};
use http::Method;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    End, Trouble,
    api::{Api, read},
    command::{
        ClientCommand, ContextCommand, Continue, Delete, Followed, Format, Named, Orders, Reach,
        Release, Rollback, Until, Waiting,
    },
    context::{self, Contexts},
    follow::follow,
    release,
    render::table,
    show::{self, complain, list, one, say},
};

/// Pause before a stream that broke off is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

const ORDERS: &str = "/sluice/v1/orders";
const APPLICATIONS: &str = "/sluice/v1/applications";

pub(crate) async fn act(command: ClientCommand) -> Result<End, Trouble> {
    match command {
        ClientCommand::Apps(it) => {
            let mut pairs = Vec::new();
            pairs.extend(it.namespace.as_deref().map(|text| ("namespace", text)));
            pairs.extend(it.state.as_deref().map(|text| ("state", text)));
            pairs.extend(it.filter.as_deref().map(|text| ("text", text)));
            let all: Vec<ApplicationLine> =
                pages(&context::api(&it.reach)?, APPLICATIONS, &pairs, "applications").await?;
            list(it.reach.output, &all, show::applications);
        }
        ClientCommand::Orders(it) => list(it.reach.output, &orders(&it).await?, show::orders),
        ClientCommand::App(it) => {
            let api = context::api(&it.reach)?;
            let application = application(&api, &it.name).await?;
            let id = application.application.id.to_string();
            let newest: Vec<OrderLine> =
                api.get(ORDERS, &[("application", &id), ("limit", "10")], "orders").await?;
            let text = |it: &ApplicationLine| {
                format!(
                    "{}\n\n{}",
                    show::applications(std::slice::from_ref(it)),
                    show::orders(&newest)
                )
            };
            one(it.reach.output, &application, text);
        }
        ClientCommand::Order(it) => print_order(&it, show::order).await?,
        ClientCommand::Pods(it) => print_order(&it, show::pods).await?,
        ClientCommand::Events(it) => print_order(&it, show::events).await?,
        ClientCommand::History(it) => history(&it).await?,
        ClientCommand::Plan(it) => plan(&it).await?,
        ClientCommand::Release(it) => {
            let api = context::api(&it.followed.named.reach)?;
            let pairs = release_of(&api, &it).await?;
            let reply = call(&api, Method::POST, "/pop/v5/k8s/acs/k8s_apps", &pairs).await?;
            return go_on(&api, &it.followed, &reply["ChangeOrderId"]).await;
        }
        ClientCommand::Follow(it) => {
            let (api, order) = order_of(&it.named).await?;
            return follow(&api, &order, &it.waiting, it.named.reach.output).await;
        }
        ClientCommand::Continue(it) => return next_batch(&it).await,
        ClientCommand::StepBack(it) => {
            let (api, order) = order_of(&it.followed.named).await?;
            let mut pairs = vec![("ChangeOrderId", order)];
            pairs.extend(it.stay.map(|stay| ("Batch", stay.to_string())));
            let reply = call(&api, Method::PUT, "/sluice/v1/step_back", &pairs).await?;
            return go_on(&api, &it.followed, &reply["Data"]["ChangeOrderId"]).await;
        }
        ClientCommand::Abort(it) => {
            let (api, order) = order_of(&it.named).await?;
            let path = "/pop/v5/changeorder/change_order_abort";
            call(&api, Method::PUT, path, &[("ChangeOrderId", order.clone())]).await?;
            say(&format!("order {order} is aborted, and rests where it is"));
        }
        ClientCommand::Rollback(it) => return roll_back(&it).await,
        ClientCommand::Retry(it) => return retry(&it).await,
        ClientCommand::Scale(it) => {
            let pairs = [("Replicas", it.replicas.to_string())];
            let path = "/pop/v5/k8s/acs/k8s_apps";
            return lifecycle(&it.followed, Method::PUT, path, &pairs).await;
        }
        ClientCommand::Stop(it) => {
            return lifecycle(&it, Method::POST, "/pop/v5/k8s/acs/stop_k8s_app", &[]).await;
        }
        ClientCommand::Start(it) => {
            return lifecycle(&it, Method::POST, "/pop/v5/k8s/acs/start_k8s_app", &[]).await;
        }
        ClientCommand::Restart(it) => {
            return lifecycle(&it, Method::POST, "/pop/v5/k8s/acs/restart_k8s_app", &[]).await;
        }
        ClientCommand::Delete(it) => return delete(&it).await,
        ClientCommand::Context(it) => contexts(it.command)?,
        ClientCommand::Whoami(it) => {
            let api = context::api(&it.reach)?;
            say(&format!("endpoint {}\nkey      {}", api.endpoint, api.signer.key_id));
            api.call(Method::GET, APPLICATIONS, &[("limit", "1")]).await?;
            say("the server accepts the key");
        }
        ClientCommand::Doctor(it) => return doctor(&it.reach).await,
    }
    Ok(End::Done)
}

async fn call(
    api: &Api,
    method: Method,
    path: &str,
    pairs: &[(&'static str, String)],
) -> Result<Value, Trouble> {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, it)| (*name, it.as_str())).collect();
    api.call(method, path, &pairs).await
}

/// All pages of a list, up to 10,000 lines.
async fn pages<T: serde::de::DeserializeOwned>(
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

async fn orders(it: &Orders) -> Result<Vec<OrderLine>, Trouble> {
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
    pages(&api, ORDERS, &pairs, "orders").await
}

/// The one application of a name.
async fn application(api: &Api, name: &str) -> Result<ApplicationLine, Trouble> {
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
async fn order_of(named: &Named) -> Result<(Api, String), Trouble> {
    let api = context::api(&named.reach)?;
    let name = &named.name;
    if name.len() >= 8 && name.chars().all(|it| it.is_ascii_hexdigit() || it == '-') {
        let found: Vec<OrderLine> =
            api.get(ORDERS, &[("id_prefix", name), ("limit", "2")], "orders").await?;
        match found.as_slice() {
            [order] => return Ok((api, order.id.to_string())),
            [] => {}
            _ => {
                let message = format!("several orders begin with {name}: write more of it");
                return Err(Trouble::new(End::Usage, message));
            }
        }
    }
    let application = application(&api, name).await.map_err(|trouble| match trouble.end {
        End::NotFound => {
            Trouble::new(End::NotFound, format!("there is no order and no application {name}"))
        }
        _ => trouble,
    })?;
    let none = || Trouble::new(End::NotFound, format!("the application {name} has no order"));
    let order = application.last_order.ok_or_else(none)?;
    Ok((api, order.id.to_string()))
}

async fn snapshot(api: &Api, order: &str) -> Result<Snapshot, Trouble> {
    api.get(&format!("{ORDERS}/{order}"), &[], "order").await
}

async fn print_order(named: &Named, text: fn(&Snapshot) -> String) -> Result<(), Trouble> {
    let (api, order) = order_of(named).await?;
    one(named.reach.output, &snapshot(&api, &order).await?, text);
    Ok(())
}

/// Follows the order whose id a reply has.
async fn go_on(api: &Api, followed: &Followed, order: &Value) -> Result<End, Trouble> {
    match order.as_str().filter(|id| !id.is_empty()) {
        Some(order) => follow(api, order, &followed.waiting, followed.named.reach.output).await,
        // Nothing was to be done.
        None => Ok(End::Done),
    }
}

async fn lifecycle(
    followed: &Followed,
    method: Method,
    path: &str,
    more: &[(&'static str, String)],
) -> Result<End, Trouble> {
    let api = context::api(&followed.named.reach)?;
    let application = application(&api, &followed.named.name).await?;
    let mut pairs = vec![("AppId", application.application.id.to_string())];
    pairs.extend_from_slice(more);
    let reply = call(&api, method, path, &pairs).await?;
    go_on(&api, followed, &reply["ChangeOrderId"]).await
}

async fn delete(it: &Delete) -> Result<End, Trouble> {
    if !it.yes {
        let message = "deleting cannot be undone: add --yes if it is meant";
        return Err(Trouble::new(End::Usage, message));
    }
    let keep = [("KeepDeployment", "true".to_owned())];
    let more = if it.keep_deployment { &keep[..] } else { &[] };
    lifecycle(&it.followed, Method::DELETE, "/pop/v5/k8s/acs/k8s_apps", more).await
}

async fn release_of(api: &Api, it: &Release) -> Result<Vec<(&'static str, String)>, Trouble> {
    let application = application(api, &it.followed.named.name).await?;
    release::parameters(it, &application.application.id.to_string(), application.replicas)
}

async fn plan(it: &Release) -> Result<(), Trouble> {
    let reach = &it.followed.named.reach;
    let api = context::api(reach)?;
    let pairs = release_of(&api, it).await?;
    let reply = call(&api, Method::POST, "/sluice/v1/plan", &pairs).await?;
    one(reach.output, &reply, |reply| {
        let cell = |it: &Value| it.as_str().map_or_else(|| it.to_string(), ToOwned::to_owned);
        let row = |it: &Value, names: &[&str]| names.iter().map(|name| cell(&it[*name])).collect();
        let rows = |of: &Value, names: &[&str]| -> Vec<Vec<String>> {
            of.as_array().into_iter().flatten().map(|it| row(it, names)).collect()
        };
        let batches = rows(
            &reply["Plan"]["Batches"],
            &["Number", "Added", "Removed", "NewPods", "OldPods", "Next"],
        );
        let checks = rows(&reply["Checks"], &["Name", "Verdict", "Reason"]);
        format!(
            "{}\n\n{}\n\nplan hash {}",
            table(&["BATCH", "ADDED", "REMOVED", "NEW", "OLD", "NEXT"], &batches),
            table(&["CHECK", "VERDICT", "WHY"], &checks),
            cell(&reply["Plan"]["PlanHash"])
        )
    });
    Ok(())
}

async fn versions(api: &Api, name: &str) -> Result<(String, Vec<Value>), Trouble> {
    let id = application(api, name).await?.application.id.to_string();
    let path = "/pop/v5/app/deploy_history_version_list";
    let mut reply = api.call(Method::GET, path, &[("AppId", &id)]).await?;
    let list = reply["PackageVersionList"]["PackageVersion"].take();
    Ok((id, read(list)?))
}

async fn history(it: &Named) -> Result<(), Trouble> {
    let (_, versions) = versions(&context::api(&it.reach)?, &it.name).await?;
    list(it.reach.output, &versions, |versions| {
        let cell = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
        let names = ["PackageVersion", "WarUrl", "CreateTime", "Id"];
        let rows: Vec<Vec<String>> =
            versions.iter().map(|it| names.iter().map(|name| cell(it, name)).collect()).collect();
        table(&["VERSION", "IMAGE OR PACKAGE", "RELEASED", "ID"], &rows)
    });
    Ok(())
}

async fn next_batch(it: &Continue) -> Result<End, Trouble> {
    let (api, order) = order_of(&it.followed.named).await?;
    let output = it.followed.named.reach.output;
    let limit = it.followed.waiting.timeout;
    let end = limit.map(|limit| Instant::now() + limit);
    let left = || end.map(|end| end.saturating_duration_since(Instant::now()));
    loop {
        let now = snapshot(&api, &order).await?;
        let batch = now.actions.iter().find_map(|action| match action {
            Action::Continue { batch, .. } => Some(batch.to_string()),
            _ => None,
        });
        let Some(batch) = batch else {
            let message = format!("order {order} does not wait for a person");
            return Err(Trouble::new(End::Refused, message));
        };
        let pairs = [("PipelineId", batch.clone()), ("Confirm", "true".into())];
        call(&api, Method::GET, "/pop/v5/changeorder/pipeline_batch_confirm", &pairs).await?;
        if !it.followed.waiting.detach {
            let moved = tokio::select! {
                moved = until_it_moves(&api, &order, &batch) => moved.map(|()| None)?,
                () = tokio::time::sleep(left().unwrap_or(Duration::MAX)) => Some(End::TimedOut),
                _ = tokio::signal::ctrl_c() => Some(End::Interrupted),
            };
            if let Some(end) = moved {
                complain(&format!("order {order} goes on: sluice follow {order}"));
                return Ok(end);
            }
        }
        if !it.all {
            let waiting = Waiting { timeout: left(), ..it.followed.waiting.clone() };
            return follow(&api, &order, &waiting, output).await;
        }
        let waiting =
            Waiting { detach: false, until: Until::Gate, timeout: left(), no_input: false };
        let end = follow(&api, &order, &waiting, output).await?;
        if end != End::Done || snapshot(&api, &order).await?.order.state.is_final() {
            return Ok(end);
        }
    }
}

/// Waits until an order that was continued no longer waits with this batch.
async fn until_it_moves(api: &Api, order: &str, confirmed: &str) -> Result<(), Trouble> {
    let waits = |now: &Snapshot| {
        now.actions.iter().any(|action| matches!(action, Action::Continue { batch, .. } if batch.to_string() == confirmed))
    };
    loop {
        let mut events = api.watch(order).await?;
        while let Some(now) = events.next().await? {
            if !waits(&now) {
                return Ok(());
            }
        }
        // The stream broke off: what it would have said is asked for.
        tokio::time::sleep(AGAIN).await;
    }
}

async fn roll_back(it: &Rollback) -> Result<End, Trouble> {
    let Some(to) = &it.to else {
        let (api, order) = order_of(&it.followed.named).await?;
        let path = "/pop/v5/changeorder/change_order_abort_and_rollback";
        let reply = call(&api, Method::PUT, path, &[("ChangeOrderId", order)]).await?;
        return go_on(&api, &it.followed, &reply["Data"]["ChangeOrderId"]).await;
    };
    let api = context::api(&it.followed.named.reach)?;
    let (application, versions) = versions(&api, &it.followed.named.name).await?;
    let is_meant = |it: &&Value| it["Id"] == to.as_str() || it["PackageVersion"] == to.as_str();
    let version = versions.iter().find(is_meant).and_then(|it| it["PackageVersion"].as_str());
    let unknown =
        || Trouble::new(End::NotFound, format!("the version {to} does not exist in the history"));
    let pairs = [
        ("AppId", application),
        ("HistoryVersion", version.ok_or_else(unknown)?.to_owned()),
        ("GroupId", "all".into()),
        ("Batch", it.batches.to_string()),
    ];
    let reply = call(&api, Method::POST, "/pop/v5/changeorder/co_rollback", &pairs).await?;
    go_on(&api, &it.followed, &reply["ChangeOrderId"]).await
}

async fn retry(it: &Followed) -> Result<End, Trouble> {
    let (api, order) = order_of(&it.named).await?;
    let now = snapshot(&api, &order).await?;
    let batch = now.actions.iter().find_map(|action| match action {
        Action::Retry { batch, .. } => Some(batch.to_string()),
        _ => None,
    });
    let none = || {
        Trouble::new(
            End::Refused,
            format!("order {order} has no failure that could be tried again"),
        )
    };
    let pairs = [("TaskId", batch.ok_or_else(none)?)];
    let reply = call(&api, Method::GET, "/pop/v5/changeorder/task_retry", &pairs).await?;
    let said = reply["Data"].as_str().unwrap_or_default();
    go_on(&api, it, &said.rsplit(' ').next().unwrap_or_default().into()).await
}

fn contexts(command: ContextCommand) -> Result<(), Trouble> {
    let path = context::path()?;
    let mut contexts = Contexts::load(&path)?;
    match command {
        ContextCommand::List => {
            let rows: Vec<Vec<String>> = contexts
                .contexts
                .iter()
                .map(|it| {
                    let mark = if it.name == contexts.current { "*" } else { "" };
                    vec![
                        mark.into(),
                        it.name.clone(),
                        it.endpoint.to_string(),
                        it.access_key_id.clone(),
                    ]
                })
                .collect();
            say(&table(&["", "NAME", "ENDPOINT", "KEY"], &rows));
        }
        ContextCommand::Use { name } => {
            if contexts.find(&name).is_none() {
                return Err(Trouble::new(End::NotFound, format!("there is no context {name}")));
            }
            contexts.current = name;
            contexts.store(&path)?;
        }
        ContextCommand::Set { name, reach } => {
            let api = context::api(&reach)?;
            contexts.keep(&name, api.endpoint, &api.signer);
            contexts.store(&path)?;
            say(&format!("context {name} is kept in {}, and used from now on", path.display()));
        }
    }
    Ok(())
}

async fn doctor(reach: &Reach) -> Result<End, Trouble> {
    let api = context::api(reach)?;
    let mut worst = End::Done;
    let mut tell = |what: &str, found: Result<String, Trouble>| match found {
        Ok(text) => say(&format!("ok     {what}: {text}")),
        Err(trouble) => {
            say(&format!("wrong  {what}: {}", trouble.message));
            if worst == End::Done {
                worst = trouble.end;
            }
        }
    };
    let ready = api.is_ready().await;
    let skew = ready.as_ref().ok().and_then(|(_, skew)| *skew);
    tell(
        "server, database, executor and cluster",
        ready.and_then(|(why, _)| match why {
            None => Ok("ready".into()),
            Some(why) => Err(Trouble::unreachable(why)),
        }),
    );
    tell(
        "clock",
        match skew {
            Some(seconds) if seconds.abs() < 600 => Ok(format!("{seconds} s from the server's")),
            Some(seconds) => Err(Trouble::new(
                End::NotAllowed,
                format!("{seconds} s from the server's; a signature holds for 900 s"),
            )),
            None => Ok("the server does not tell the time".into()),
        },
    );
    let key = api.call(Method::GET, APPLICATIONS, &[("limit", "1")]).await;
    tell("key", key.map(|_| api.signer.key_id.clone()));
    let waits: Result<Vec<OrderLine>, Trouble> =
        api.get(ORDERS, &[("needs_person", "true")], "orders").await;
    tell("orders that wait for a person", waits.map(|all| all.len().to_string()));
    if reach.output != Format::Text {
        say(&serde_json::json!({ "code": worst.code() }).to_string());
    }
    Ok(worst)
}
