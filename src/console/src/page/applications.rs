//! All applications, those first that need a person.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{OPEN, OrderLine, Page, render};
use crate::{
    Console,
    fault::Fault,
    form::{Asked, Form},
    frame::{Frame, Place},
    session::SignedIn,
    words,
};
use domain::{access::Action, order::State as OrderState};
use service::{ListedApplication, WantedApplications};

#[derive(Template)]
#[template(path = "applications.html")]
struct Applications {
    frame: Frame,
    namespaces: Vec<Choice>,
    states: Vec<Choice>,
    text: String,
    rows: Vec<Row>,
    next: String,
    is_filtered: bool,
    /// Clusters where nothing is released now, and why, where there are several.
    away: Vec<(String, String)>,
}

/// Something to choose from.
#[derive(Debug)]
pub(crate) struct Choice {
    pub value: String,
    pub word: String,
    pub is_chosen: bool,
}

impl Choice {
    pub(crate) fn all(words: &[(&str, &str)], chosen: &str) -> Vec<Self> {
        let choice = |(value, word): &(&str, &str)| Self {
            value: (*value).into(),
            word: (*word).into(),
            is_chosen: *value == chosen,
        };
        words.iter().map(choice).collect()
    }
}

struct Row {
    id: String,
    /// Empty where there is only one.
    cluster: String,
    namespace: String,
    name: String,
    version: String,
    image: String,
    pods: String,
    word: &'static str,
    mark: &'static str,
    class: &'static str,
    order: Option<OrderLine>,
}

const STATES: &[(&str, &str)] = &[
    ("", "any state"),
    ("needs", "needs you"),
    ("failed", "failed or stopped half way"),
    ("open", "an order is open"),
    ("quiet", "nothing open"),
];

/// Where somebody begins: the first list that they may see.
pub(crate) async fn begin(
    console: State<Console>,
    signed_in: SignedIn,
    asked: Asked,
) -> Result<Response, Fault> {
    let has_orders_alone = !signed_in.may(Action::LIST_APPLICATIONS) && signed_in.may(Action::LIST);
    if has_orders_alone {
        return Ok(Redirect::to("/console/orders").into_response());
    }
    Ok(list(console, signed_in, asked).await?.into_response())
}

pub(crate) async fn list(
    State(console): State<Console>,
    signed_in: SignedIn,
    Asked(asked): Asked,
) -> Page {
    let filter = filter_of(&asked);
    let console = signed_in.within(&console, Action::LIST_APPLICATIONS)?;
    let now = console.service.clock().now();
    let listed = console.service.listed_applications(&filter).await?;
    let known = console.service.namespaces().await?;
    // What cannot be asked now is not what somebody came for.
    let clusters = console.service.health().await.unwrap_or_default();
    let several = clusters.len() > 1;
    let away = clusters.into_iter().filter(|_| several);
    let away = away.filter_map(|it| Some((it.id.to_string(), it.trouble?))).collect();
    let chosen = filter.namespace.clone().unwrap_or_default();
    let mut namespaces = Choice::all(&[("", "all")], if chosen.is_empty() { "" } else { "-" });
    for name in known.iter().chain(filter.namespace.iter().filter(|it| !known.contains(it))) {
        let is_chosen = *name == chosen;
        namespaces.push(Choice { value: name.clone(), word: name.clone(), is_chosen });
    }
    let next = match listed.rows.last().filter(|_| listed.has_more) {
        Some(last) => next_of(&asked, last),
        None => String::new(),
    };
    let may_continue = signed_in.may(Action::CONFIRM);
    let needing = listed.rows.iter().filter(|row| row.rank == 0).count();
    let title =
        if needing > 0 { format!("▲ {needing} · Applications") } else { "Applications".into() };
    render(&Applications {
        frame: Frame::of(title, &signed_in, Place::Applications),
        namespaces,
        states: Choice::all(STATES, asked.text("state")),
        text: asked.text("q").to_owned(),
        is_filtered: ["namespace", "state", "q"].iter().any(|it| asked.given(it).is_some()),
        rows: listed.rows.into_iter().map(|row| row_of(row, several, now, may_continue)).collect(),
        next,
        away,
    })
}

fn row_of(row: ListedApplication, several: bool, now: jiff::Timestamp, may_continue: bool) -> Row {
    let order = row.order.as_ref().map(|order| OrderLine::of(order, now, may_continue));
    let is_stopped = row.replicas == 0 && row.replicas_before_stop.is_some();
    let (word, mark, class) = match (row.rank, &row.order) {
        (0, Some(order)) if !order.state.is_final() => {
            let word = if may_continue { "needs you" } else { words::NEEDS_ANOTHER.word };
            (word, "▲", "asks")
        }
        (0 | 1, Some(order)) => {
            let sign = words::of_state(order.state);
            (sign.word, sign.mark, sign.class)
        }
        (2, _) => ("changing", "◐", "runs"),
        _ if row.deployment_missing => ("no Deployment", "✗", "bad"),
        _ if is_stopped => ("no pods", "□", "ended"),
        _ if row.ready_replicas < row.replicas => ("pods missing", "◑", "runs"),
        _ => ("serves", "✓", "good"),
    };
    Row {
        id: row.id.to_string(),
        cluster: if several { row.cluster } else { String::new() },
        namespace: row.namespace,
        name: row.name,
        image: words::tag(&row.image).to_owned(),
        version: row.version,
        pods: format!("{}/{}", row.ready_replicas, row.replicas),
        word,
        mark,
        class,
        order,
    }
}

fn filter_of(asked: &Form) -> WantedApplications {
    let (ranks, states) = match asked.text("state") {
        "needs" => (vec![0], Vec::new()),
        "failed" => {
            (Vec::new(), vec![OrderState::Failed, OrderState::SystemFailed, OrderState::Aborted])
        }
        "open" => (Vec::new(), OPEN.to_vec()),
        "quiet" => (vec![3], Vec::new()),
        _ => (Vec::new(), Vec::new()),
    };
    let after = || {
        let mut parts = asked.text("after").splitn(4, ',');
        let rank = parts.next()?.parse().ok()?;
        let (namespace, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some((rank, namespace, name, parts.next()?.parse().ok()?))
    };
    WantedApplications {
        namespace: asked.given("namespace").map(str::to_owned),
        text: asked.text("q").to_owned(),
        ranks,
        states,
        after: after(),
    }
}

fn next_of(asked: &Form, last: &ListedApplication) -> String {
    let after = format!("{},{},{},{}", last.rank, last.namespace, last.name, last.id);
    address("/console/apps", asked, &["namespace", "state", "q"], "after", &after)
}

/// An address with these fields of the one before, and another.
pub(crate) fn address(path: &str, asked: &Form, kept: &[&str], name: &str, value: &str) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let fields = kept.iter().filter_map(|name| Some((*name, asked.given(name)?)));
    let fields: Vec<String> = fields
        .chain([(name, value)])
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    format!("{path}?{}", fields.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_goes_on_behind_any_name_with_the_same_filters() {
        for name in ["web", "a.b", "..", "../x", "a&b=c", "ü %2E"] {
            let asked = format!("namespace={}&q=", utf8_percent_encode(name, NON_ALPHANUMERIC));
            let asked = Form::read(asked.as_bytes()).unwrap();
            let last = ListedApplication {
                id: domain::ApplicationId::new(),
                cluster: String::new(),
                namespace: "shop".into(),
                name: name.into(),
                replicas: 1,
                ready_replicas: 1,
                replicas_before_stop: None,
                deployment_missing: false,
                version: String::new(),
                image: String::new(),
                order: None,
                rank: 2,
            };
            let next = next_of(&asked, &last);
            let (path, query) = next.split_once('?').unwrap();
            let next = filter_of(&Form::read(query.as_bytes()).unwrap());
            assert_eq!(path, "/console/apps");
            assert_eq!(next.after, Some((2, "shop".into(), name.into(), last.id)), "{query}");
            assert_eq!(next.namespace.as_deref(), Some(name), "{query}");
        }
    }
}
