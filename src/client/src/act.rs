//! What each command does that changes something, and the way to those that read.

use std::time::Duration;

use domain::{
    name::DEFAULT_NAMESPACE,
    snapshot::{Action, Snapshot},
};
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    End, Trouble,
    api::Api,
    change,
    command::{Adopt, ClientCommand, Continue, Delete, Followed, Rollback, Until, Waiting},
    context, doctor,
    find::{self, APPLICATIONS, application, call, order_of, snapshot, versions},
    follow::follow,
    read, release, render,
    show::{self, Printer, complain, say},
};

/// Pause before a stream that broke off is asked for again.
const AGAIN: Duration = Duration::from_millis(500);

pub(crate) async fn act(command: ClientCommand) -> Result<End, Trouble> {
    match command {
        ClientCommand::Apps(it) => read::apps(&it).await?,
        ClientCommand::Orders(it) => read::orders(&it).await?,
        ClientCommand::App(it) => read::app(&it).await?,
        ClientCommand::Order(it) => read::order(&it, render::whole_now).await?,
        ClientCommand::Pods(it) => read::order(&it, show::pods).await?,
        ClientCommand::Events(it) => read::order(&it, show::events).await?,
        ClientCommand::History(it) => read::history(&it).await?,
        ClientCommand::Plan(it) => read::preview(&it, show::plan).await?,
        ClientCommand::Diff(it) => read::preview(&it, show::difference).await?,
        ClientCommand::Logs(it) => return read::logs(&it).await,
        ClientCommand::Release(it) => {
            let api = context::api(&it.followed.named.reach)?;
            let pairs = release::of(&api, &it).await?;
            let reply = call(&api, Method::POST, "/pop/v5/k8s/acs/k8s_apps", &pairs).await?;
            return go_on(&api, &it.followed, &reply["ChangeOrderId"]).await;
        }
        ClientCommand::Follow(it) => {
            let api = context::api(&it.reach)?;
            let order = match &it.name {
                Some(name) => find::order_named(&api, name).await?,
                None => find::only_open_order(&api).await?,
            };
            return follow(&api, &order, &it.waiting, Printer::of(&it.reach)).await;
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
            change::abort(&api, &order).await?;
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
        ClientCommand::Adopt(it) => adopt(&it).await?,
        ClientCommand::Delete(it) => return delete(&it).await,
        ClientCommand::Context(it) => context::command(it.command)?,
        ClientCommand::Whoami(it) => {
            let api = context::api(&it.reach)?;
            say(&format!("endpoint {}\nkey      {}", api.endpoint, api.signer.key_id));
            api.call(Method::GET, APPLICATIONS, &[("limit", "1")]).await?;
            say("the server accepts the key");
        }
        ClientCommand::Doctor(it) => return doctor::doctor(&it).await,
    }
    Ok(End::Done)
}

/// Follows the order whose id a reply has.
async fn go_on(api: &Api, followed: &Followed, order: &Value) -> Result<End, Trouble> {
    match order.as_str().filter(|id| !id.is_empty()) {
        Some(order) => {
            follow(api, order, &followed.waiting, Printer::of(&followed.named.reach)).await
        }
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

async fn next_batch(it: &Continue) -> Result<End, Trouble> {
    let (api, order) = order_of(&it.followed.named).await?;
    let printer = Printer::of(&it.followed.named.reach);
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
        change::confirm(&api, &batch).await?;
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
            return follow(&api, &order, &waiting, printer).await;
        }
        let waiting =
            Waiting { detach: false, until: Until::Gate, timeout: left(), no_input: false };
        let end = follow(&api, &order, &waiting, printer).await?;
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
        let back = change::roll_back(&api, &order).await?;
        return go_on(&api, &it.followed, &back).await;
    };
    let api = context::api(&it.followed.named.reach)?;
    let (application, versions) = versions(&api, &it.followed.named.name).await?;
    let version = find::version(&versions, to)?["PackageVersion"].as_str().unwrap_or_default();
    let pairs = [
        ("AppId", application),
        ("HistoryVersion", version.to_owned()),
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

async fn adopt(it: &Adopt) -> Result<(), Trouble> {
    let api = context::api(&it.reach)?;
    let (namespace, name) = it.name.split_once('/').unwrap_or((DEFAULT_NAMESPACE, &it.name));
    let mut pairs = vec![
        ("AppName", name.to_owned()),
        ("Namespace", namespace.to_owned()),
        ("ClusterId", it.cluster_id.clone()),
    ];
    pairs.extend(it.version_text.clone().map(|text| ("PackageVersion", text)));
    pairs.extend(it.container.clone().map(|text| ("ContainerName", text)));
    let reply = call(&api, Method::POST, "/sluice/v1/adopt", &pairs).await?;
    let order = reply["ApplicationInfo"]["ChangeOrderId"].as_str().unwrap_or_default();
    // It has ended already. What it notes may ask for something.
    let snapshot = find::snapshot(&api, order).await?;
    Printer::of(&it.reach).one(&snapshot, render::whole_now);
    Ok(())
}
