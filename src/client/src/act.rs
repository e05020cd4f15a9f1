//! What each command does that changes something, and the way to those that read.

use std::time::Duration;

use domain::{
    BatchId,
    name::DEFAULT_NAMESPACE,
    order::State,
    snapshot::{Action, Snapshot},
};
use http::Method;
use tokio::time::Instant;

use crate::{
    End, Trouble,
    api::Api,
    change,
    command::{
        Adopt, ClientCommand, Continue, Delete, Followed, Format, Rollback, Steered, Until, Waiting,
    },
    context, doctor,
    find::{self, APPLICATIONS, application, call, order_of, snapshot, versions},
    follow::{follow, go_on},
    hold, read, release, render,
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
        ClientCommand::Approve(it) => return hold::steer(&it, "/sluice/v1/approve").await,
        ClientCommand::Reject(it) => hold::reject(&it).await?,
        ClientCommand::LiftFreeze(it) => return hold::steer(&it, "/sluice/v1/lift_freeze").await,
        ClientCommand::Holds(it) => hold::rules(it.command).await?,
        ClientCommand::StepBack(it) => {
            let (api, order) = order_of(&it.followed.named).await?;
            let mut pairs = vec![("ChangeOrderId", order)];
            pairs.extend(it.stay.map(|stay| ("Batch", stay.to_string())));
            pairs.extend(because(&it.reason));
            let reply = call(&api, Method::PUT, "/sluice/v1/step_back", &pairs).await?;
            return go_on(&api, &it.followed, &reply["Data"]["ChangeOrderId"]).await;
        }
        ClientCommand::Abort(it) => {
            let named = &it.followed.named;
            let (api, order) = order_of(named).await?;
            change::abort(&api, &order, it.reason.as_deref()).await?;
            let printer = Printer::of(&named.reach);
            if printer.format == Format::Text {
                say(&format!("order {order} is aborted, and rests where it is"));
            } else {
                printer.one(&snapshot(&api, &order).await?, render::whole_now);
            }
        }
        ClientCommand::Rollback(it) => return roll_back(&it).await,
        ClientCommand::Retry(it) => return retry(&it).await,
        ClientCommand::Scale(it) => {
            let pairs = [("Replicas", it.replicas.to_string())];
            let path = "/pop/v5/k8s/acs/k8s_apps";
            return lifecycle(&it.followed, &it.reason, Method::PUT, path, &pairs).await;
        }
        ClientCommand::Stop(it) => {
            let path = "/pop/v5/k8s/acs/stop_k8s_app";
            return lifecycle(&it.followed, &it.reason, Method::POST, path, &[]).await;
        }
        ClientCommand::Start(it) => {
            let path = "/pop/v5/k8s/acs/start_k8s_app";
            return lifecycle(&it.followed, &it.reason, Method::POST, path, &[]).await;
        }
        ClientCommand::Restart(it) => {
            let path = "/pop/v5/k8s/acs/restart_k8s_app";
            return lifecycle(&it.followed, &it.reason, Method::POST, path, &[]).await;
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

/// Why something is done, as a parameter.
fn because(reason: &Option<String>) -> Option<(&'static str, String)> {
    change::because(reason.as_deref()).map(|(name, text)| (name, text.to_owned()))
}

async fn lifecycle(
    followed: &Followed,
    reason: &Option<String>,
    method: Method,
    path: &str,
    more: &[(&'static str, String)],
) -> Result<End, Trouble> {
    let api = context::api(&followed.named.reach)?;
    let application = application(&api, &followed.named.name).await?;
    let mut pairs = vec![("AppId", application.application.id.to_string())];
    pairs.extend_from_slice(more);
    pairs.extend(because(reason));
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
    let path = "/pop/v5/k8s/acs/k8s_apps";
    lifecycle(&it.followed, &it.reason, Method::DELETE, path, more).await
}

/// What is at the gate of an order.
enum Gate {
    /// This batch may begin.
    Open(BatchId),
    /// Something keeps the next batch from beginning, which may pass.
    Troubled(String),
    /// It does not wait, or not for this caller.
    None,
}

fn gate(order: &Snapshot) -> Gate {
    let waits = matches!(order.order.state, State::WaitingConfirmation | State::WaitingInterval);
    let next = order.actions.iter().find_map(|action| match action {
        Action::Continue { batch, .. } => Some(*batch),
        _ => None,
    });
    match next {
        Some(batch) => Gate::Open(batch),
        None if waits && !order.trouble.is_empty() => Gate::Troubled(order.trouble.clone()),
        None => Gate::None,
    }
}

async fn next_batch(it: &Continue) -> Result<End, Trouble> {
    let (api, order) = order_of(&it.followed.named).await?;
    let printer = Printer::of(&it.followed.named.reach);
    let limit = it.followed.waiting.timeout;
    let end = limit.map(|limit| Instant::now() + limit);
    let left = || end.map(|end| end.saturating_duration_since(Instant::now()));
    // Whatever keeps a batch from beginning may pass, and is waited for by whoever wants all.
    let mut waited = false;
    loop {
        let now = snapshot(&api, &order).await?;
        match gate(&now) {
            Gate::Open(batch) => {
                let confirmed =
                    change::confirm(&api, &batch.to_string(), it.reason.as_deref()).await;
                match confirmed {
                    Ok(()) if it.followed.waiting.detach => {}
                    Ok(()) => {
                        let is_there =
                            |now: &Snapshot| matches!(gate(now), Gate::Open(it) if it == batch);
                        if let Some(end) =
                            wait_until(&api, &order, left(), |now| !is_there(now)).await?
                        {
                            return Ok(end);
                        }
                    }
                    // Something may have come between, which is looked at anew.
                    Err(refused) if it.all && refused.end == End::Refused => {
                        match gate(&snapshot(&api, &order).await?) {
                            Gate::Open(again) if again == batch => return Err(refused),
                            _ => continue,
                        }
                    }
                    Err(trouble) => return Err(trouble),
                }
            }
            Gate::Troubled(why) if it.all => {
                complain(&format!(
                    "sluice: order {order} cannot go on until this has passed: {why}"
                ));
                waited = true;
                let is_over = |now: &Snapshot| !matches!(gate(now), Gate::Troubled(_));
                if let Some(end) = wait_until(&api, &order, left(), is_over).await? {
                    return Ok(end);
                }
                continue;
            }
            Gate::Troubled(why) => {
                let message = format!("order {order} cannot go on now: {why}");
                return Err(Trouble::new(End::Refused, message));
            }
            // It failed, or somebody ended it, while it was waited for.
            Gate::None if waited => {}
            Gate::None if now.order.needs_person() => {
                let message = format!("order {order} waits for somebody who may continue it");
                return Err(Trouble::new(End::NotAllowed, message));
            }
            Gate::None => {
                let message = format!("order {order} does not wait for a person");
                return Err(Trouble::new(End::Refused, message));
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

/// Waits until an order is so. Returns how the command ends if it is not waited for any more.
async fn wait_until(
    api: &Api,
    order: &str,
    left: Option<Duration>,
    is_so: impl Fn(&Snapshot) -> bool,
) -> Result<Option<End>, Trouble> {
    let ended = tokio::select! {
        seen = until(api, order, is_so) => return seen.map(|()| None),
        () = tokio::time::sleep(left.unwrap_or(Duration::MAX)) => End::TimedOut,
        _ = tokio::signal::ctrl_c() => End::Interrupted,
    };
    complain(&format!("order {order} goes on: sluice follow {order}"));
    Ok(Some(ended))
}

async fn until(api: &Api, order: &str, is_so: impl Fn(&Snapshot) -> bool) -> Result<(), Trouble> {
    loop {
        let mut events = api.watch(order).await?;
        while let Some(now) = events.next().await? {
            if is_so(&now) {
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
        let back = change::roll_back(&api, &order, it.reason.as_deref()).await?;
        return go_on(&api, &it.followed, &back).await;
    };
    let api = context::api(&it.followed.named.reach)?;
    let (application, versions) = versions(&api, &it.followed.named.name).await?;
    let version = find::version(&versions, to)?["PackageVersion"].as_str().unwrap_or_default();
    let mut pairs = vec![
        ("AppId", application),
        ("HistoryVersion", version.to_owned()),
        ("GroupId", "all".into()),
        ("Batch", it.batches.to_string()),
    ];
    pairs.extend(because(&it.reason));
    let reply = call(&api, Method::POST, "/pop/v5/changeorder/co_rollback", &pairs).await?;
    go_on(&api, &it.followed, &reply["ChangeOrderId"]).await
}

async fn retry(it: &Steered) -> Result<End, Trouble> {
    let (api, order) = order_of(&it.followed.named).await?;
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
    let mut pairs = vec![("TaskId", batch.ok_or_else(none)?)];
    pairs.extend(because(&it.reason));
    let reply = call(&api, Method::GET, "/pop/v5/changeorder/task_retry", &pairs).await?;
    let said = reply["Data"].as_str().unwrap_or_default();
    go_on(&api, &it.followed, &said.rsplit(' ').next().unwrap_or_default().into()).await
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
