//! One application: its versions, orders and pods, and what can be done with it.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{Page, application_id, nonce, render};
use crate::{
    Console,
    fault::{Fault, sentence},
    form::{Asked, Posted},
    frame::{Frame, Place},
    session::SignedIn,
    words::{self, Moment, Sign},
};
use domain::{ApplicationId, observed::cluster_state::PodHealth};
use jiff::Timestamp;
use service::{Error, OrderView, Scale, Start, diff};

/// Orders and versions that are shown.
const MOST: usize = 100;

/// Pods that are shown at once.
const MOST_PODS: usize = 200;

#[derive(Template)]
#[template(path = "application.html")]
struct ApplicationPage {
    frame: Frame,
    id: String,
    name: String,
    namespace: String,
    cluster: String,
    description: String,
    version: String,
    image: String,
    ready: i32,
    replicas: i32,
    to_start: i32,
    is_stopped: bool,
    open: Option<OpenOrder>,
    tab: &'static str,
    versions: Vec<Version>,
    orders: Vec<Order>,
    pods: Vec<PodLine>,
    pods_left: usize,
    manifest: String,
    /// Why the cluster could not be looked at.
    unseen: String,
    nonce: String,
}

struct OpenOrder {
    id: String,
    kind: &'static str,
    sign: Sign,
}

struct Version {
    id: String,
    text: String,
    image: String,
    description: String,
    at: Moment,
    is_current: bool,
}

struct Order {
    id: String,
    kind: &'static str,
    sign: Sign,
    version: String,
    message: String,
    at: Moment,
    took: String,
    by: String,
    source: &'static str,
}

struct PodLine {
    name: String,
    sign: Sign,
    phase: String,
    trouble: String,
    version: String,
    node: String,
    ip: String,
    since: Option<Moment>,
}

pub(crate) async fn show(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Asked(asked): Asked,
) -> Page {
    let id = application_id(&id)?;
    let tab = match asked.text("tab") {
        "orders" => "orders",
        "pods" => "pods",
        "operate" => "operate",
        "manifest" => "manifest",
        _ => "versions",
    };
    let service = &console.service;
    let now = service.clock().now();
    let application = service.application(id).await?;
    let spec = service.current_spec(id).await?;
    let newest = service.newest_order(id).await?;
    let mut page = ApplicationPage {
        frame: Frame::new(application.name.clone(), signed_in.name(), Place::Applications),
        id: id.to_string(),
        image: application.image_of(&spec.template).unwrap_or_default().to_owned(),
        version: spec.release.as_ref().map(|it| it.version.clone()).unwrap_or_default(),
        ready: application.ready_replicas,
        replicas: application.replicas,
        to_start: application.replicas_to_start(),
        is_stopped: application.is_stopped(),
        name: application.name,
        namespace: application.namespace,
        cluster: application.cluster.to_string(),
        description: application.description,
        open: newest.filter(|order| !order.state.is_final()).map(|order| OpenOrder {
            id: order.id.to_string(),
            kind: words::of_kind(order.kind),
            sign: words::of_state(order.state),
        }),
        tab,
        versions: Vec::new(),
        orders: Vec::new(),
        pods: Vec::new(),
        pods_left: 0,
        manifest: String::new(),
        unseen: String::new(),
        nonce: nonce(),
    };
    match tab {
        "orders" => page.orders = orders(&console, id, now).await?,
        "pods" => match pods(&console, id, now).await {
            Ok(mut pods) => {
                page.pods_left = pods.len().saturating_sub(MOST_PODS);
                pods.truncate(MOST_PODS);
                page.pods = pods;
            }
            Err(error) => page.unseen = unseen(error)?,
        },
        "manifest" => match service.deployment(id).await {
            Ok(deployment) => page.manifest = diff::shown(&deployment),
            Err(error) => page.unseen = unseen(error)?,
        },
        "versions" => {
            let current = spec.release.map(|release| release.id);
            let history = service.history(id).await?.into_iter().take(MOST);
            page.versions = history
                .map(|release| Version {
                    is_current: Some(release.id) == current,
                    id: release.id.to_string(),
                    text: release.version,
                    image: release.package.map_or(release.image, |package| package.address),
                    description: release.description,
                    at: words::since(release.created_at, now),
                })
                .collect();
        }
        _ => {}
    }
    render(&page)
}

/// That the cluster cannot be looked at does not hide the rest of the page.
fn unseen(error: Error) -> Result<String, Fault> {
    match error {
        Error::Rejected(rejection) => Ok(sentence(&rejection.to_string())),
        error => Err(error.into()),
    }
}

async fn orders(console: &Console, id: ApplicationId, now: Timestamp) -> Result<Vec<Order>, Fault> {
    let recent = console.service.recent_orders(id).await?;
    let line = |order: OrderView| Order {
        id: order.id.to_string(),
        kind: words::of_kind(order.kind),
        sign: words::of_state(order.state),
        version: order.version,
        message: order.message,
        at: words::since(order.created_at, now),
        took: words::took(order.created_at, order.finished_at.unwrap_or(now)),
        by: order.created_by,
        source: words::of_source(order.source),
    };
    Ok(recent.into_iter().take(MOST).map(line).collect())
}

async fn pods(console: &Console, id: ApplicationId, now: Timestamp) -> Result<Vec<PodLine>, Error> {
    let mut instances = console.service.instances(id, false, false).await?;
    // Those first that have trouble.
    instances.sort_by_key(|it| (it.pod.health() == PodHealth::Ready, it.pod.name.clone()));
    let line = |it: service::InstanceView| {
        let (word, mark, class) = match it.pod.health() {
            PodHealth::Ready => ("ready", "✓", "good"),
            PodHealth::Unready => ("not ready", "◑", "runs"),
            PodHealth::Starting => ("starts", "○", "waits"),
            PodHealth::Ended => ("ended", "■", "ended"),
            PodHealth::Failed => ("failed", "✗", "bad"),
            PodHealth::Unknown => ("unknown", "?", "waits"),
        };
        let class = if it.pod.trouble.is_empty() { class } else { "bad" };
        PodLine {
            sign: Sign { word, mark, class },
            since: it.pod.created_at.map(|at| words::since(at, now)),
            name: it.pod.name,
            phase: it.pod.phase,
            trouble: it.pod.trouble,
            version: it.version,
            node: it.pod.node,
            ip: it.pod.ip,
        }
    };
    Ok(instances.into_iter().map(line).collect())
}

/// Another number of pods, none, pods again, or others of the same version.
pub(crate) async fn operate(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Posted(form): Posted,
) -> Result<Response, Fault> {
    let application = application_id(&id)?;
    let caller = signed_in.caller(&format!("/console/apps/{id}/operate"), &form)?;
    let service = &console.service;
    let number = |required: bool| {
        let number = form.number("replicas", "The number of pods").map_err(Fault::unreadable)?;
        match number {
            None if required => Err(Fault::unreadable("The number of pods must be given.")),
            number => Ok(number),
        }
    };
    let order = match form.text("what") {
        "scale" => {
            let replicas = number(true)?.unwrap_or_default();
            let scale = Scale { application, replicas, timeout_seconds: None };
            service.scale(&caller, scale).await?
        }
        "start" => {
            let start = Start { application, replicas: number(false)?, timeout_seconds: None };
            service.start(&caller, start).await?
        }
        "stop" => service.stop(&caller, application, None).await?,
        "restart" => service.restart(&caller, application, None).await?,
        _ => return Err(Fault::unreadable("The form does not say what to do.")),
    };
    Ok(Redirect::to(&format!("/console/orders/{order}")).into_response())
}
