//! One application: its versions, orders and pods, and what can be done with it.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{OrderLine, Page, application_id, applications::address, before, nonce, place, render};
use crate::{
    Console,
    fault::{Fault, sentence},
    form::{Asked, Form, Posted},
    frame::{Frame, Place},
    session::SignedIn,
    words::{self, Moment, Sign},
};
use domain::{ApplicationId, access::Action, observed::cluster_state::PodHealth};
use jiff::Timestamp;
use service::{Error, Scale, Start, WantedOrders, diff};

/// Versions that are shown at once.
const MOST: usize = 50;

/// What an address can ask for.
const TABS: [&str; 5] = ["versions", "orders", "pods", "operate", "manifest"];

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
    /// Whether there is no Deployment, and no order is open.
    lacks_deployment: bool,
    open: Option<OpenOrder>,
    tab: &'static str,
    may: May,
    versions: Vec<Version>,
    orders: Vec<OrderLine>,
    /// Where the list goes on; empty = nowhere.
    next: String,
    pods: Vec<PodLine>,
    pods_left: usize,
    manifest: String,
    /// Why the cluster could not be looked at.
    unseen: String,
    nonce: String,
}

/// What somebody may see of the application, and do to it.
struct May {
    versions: bool,
    orders: bool,
    pods: bool,
    manifest: bool,
    read_order: bool,
    go_on: bool,
    release: bool,
    scale: bool,
    start: bool,
    stop: bool,
    restart: bool,
}

impl May {
    fn of(may: impl Fn(Action) -> bool) -> Self {
        Self {
            versions: may(Action::HISTORY),
            orders: may(Action::LIST),
            pods: may(Action::PODS),
            manifest: may(Action::MANIFEST),
            read_order: may(Action::READ),
            go_on: may(Action::CONFIRM),
            release: may(Action::PREVIEW),
            scale: may(Action::SCALE),
            start: may(Action::START),
            stop: may(Action::STOP),
            restart: may(Action::RESTART),
        }
    }

    /// Whether there is a form for it.
    fn operate(&self) -> bool {
        self.scale || self.start || self.stop || self.restart
    }

    /// The tab to begin with.
    fn first_tab(&self) -> &'static str {
        let tabs = [
            (self.versions, "versions"),
            (self.orders, "orders"),
            (self.pods, "pods"),
            (self.operate(), "operate"),
            (self.manifest, "manifest"),
        ];
        tabs.into_iter().find(|(may, _)| *may).map_or("none", |(_, tab)| tab)
    }

    /// What of the forms is not offered, in words; empty = nothing.
    fn withheld(&self, is_stopped: bool) -> String {
        let all: &[(bool, &str)] = if is_stopped {
            &[(self.start, "start")]
        } else {
            &[(self.scale, "scale"), (self.restart, "restart"), (self.stop, "stop")]
        };
        let words: Vec<&str> = all.iter().filter(|(may, _)| !may).map(|(_, word)| *word).collect();
        words.join(", ")
    }
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
    let tab = TABS.into_iter().find(|tab| *tab == asked.text("tab"));
    let of_head = signed_in.within(&console, Action::APPLICATION)?;
    let service = &of_head.service;
    let now = service.clock().now();
    let application = service.application(id).await?;
    let may = May::of(|action| service.may(action, &application));
    let spec = service.current_spec(id).await?;
    let newest = service.newest_order(id).await?;
    let mut page = ApplicationPage {
        frame: Frame::of(application.name.clone(), &signed_in, Place::Applications),
        id: id.to_string(),
        image: application.image_of(&spec.template).unwrap_or_default().to_owned(),
        version: spec.release.as_ref().map(|it| it.version.clone()).unwrap_or_default(),
        ready: application.ready_replicas,
        replicas: application.replicas,
        to_start: application.replicas_to_start(),
        is_stopped: application.is_stopped(),
        lacks_deployment: application.lacks_deployment(),
        name: application.name,
        namespace: application.namespace,
        cluster: application.cluster.to_string(),
        description: application.description,
        open: newest.filter(|order| !order.state.is_final()).map(|order| OpenOrder {
            id: order.id.to_string(),
            kind: words::of_kind(order.kind),
            sign: words::of_state_for(order.state, may.go_on),
        }),
        tab: tab.unwrap_or(may.first_tab()),
        may,
        versions: Vec::new(),
        orders: Vec::new(),
        next: String::new(),
        pods: Vec::new(),
        pods_left: 0,
        manifest: String::new(),
        unseen: String::new(),
        nonce: nonce(),
    };
    // Each tab is judged as the operation that shows the same.
    let judged = match page.tab {
        "versions" => Action::HISTORY,
        "orders" => Action::LIST,
        "pods" => Action::PODS,
        "manifest" => Action::MANIFEST,
        _ => Action::APPLICATION,
    };
    let console = signed_in.within(&console, judged)?;
    let service = &console.service;
    match page.tab {
        "orders" => {
            let wanted = WantedOrders {
                application: Some(id),
                before: before(&asked),
                ..WantedOrders::default()
            };
            let listed = service.listed_orders(&wanted).await?;
            if let Some(last) = listed.rows.last().filter(|_| listed.has_more) {
                page.next = next_of(&page.id, &asked, &place(last));
            }
            page.orders =
                listed.rows.iter().map(|row| OrderLine::of(row, now, page.may.go_on)).collect();
        }
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
            let history = service.history(id).await?;
            let from = match asked.given("before") {
                Some(last) => history.iter().position(|it| it.id.to_string() == last),
                None => None,
            };
            let from = from.map_or(0, |at| at + 1);
            let shown = history.iter().skip(from).take(MOST);
            if let Some(last) = shown.clone().next_back().filter(|_| history.len() > from + MOST) {
                page.next = next_of(&page.id, &asked, &last.id.to_string());
            }
            page.versions = shown
                .cloned()
                .map(|release| Version {
                    // Nothing runs without a Deployment, and any version creates it again.
                    is_current: !page.lacks_deployment && Some(release.id) == current,
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

fn next_of(id: &str, asked: &Form, last: &str) -> String {
    address(&format!("/console/apps/{id}"), asked, &["tab"], "before", last)
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
    let action = match form.text("what") {
        "scale" => Action::SCALE,
        "start" => Action::START,
        "stop" => Action::STOP,
        "restart" => Action::RESTART,
        _ => return Err(Fault::unreadable("The form does not say what to do.")),
    };
    let console = signed_in.within(&console, action)?;
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
