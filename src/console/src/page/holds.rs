//! Rules that hold orders off before they begin: listed, made and deleted.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};

use super::{Page, nonce, render};
use crate::{
    Console,
    fault::Fault,
    form::{Form, Posted},
    frame::{Frame, Place},
    session::SignedIn,
};
use domain::{
    access::Action,
    hold::{HeldBy, WrittenRule},
};
use service::HoldRuleRow;

#[derive(Template)]
#[template(path = "holds.html")]
struct Holds {
    frame: Frame,
    rows: Vec<RuleLine>,
    may_create: bool,
    may_delete: bool,
    nonce: String,
}

struct RuleLine {
    name: String,
    reason: String,
    wants: String,
    of: String,
    kinds: String,
    by: String,
    nonce: String,
}

pub(crate) async fn list(State(console): State<Console>, signed_in: SignedIn) -> Page {
    let console = signed_in.within(&console, Action::LIST_HOLDS)?;
    let rows = console.service.hold_rules().await?.into_iter().map(line).collect();
    render(&Holds {
        frame: Frame::of("Holds", &signed_in, Place::Holds),
        rows,
        may_create: signed_in.may(Action::CREATE_HOLD),
        may_delete: signed_in.may(Action::DELETE_HOLD),
        nonce: nonce(),
    })
}

fn line(row: HoldRuleRow) -> RuleLine {
    let HoldRuleRow { rule, created_by, .. } = row;
    let all = |what: &str, patterns: &[String]| match patterns {
        [] => format!("all {what}"),
        patterns => format!("{what} {}", patterns.join(", ")),
    };
    let kinds: Vec<String> = rule.kinds.iter().map(ToString::to_string).collect();
    RuleLine {
        wants: match rule.calendar() {
            None => "a second person approves".into(),
            Some(calendar) => format!(
                "nothing begins {} ({})",
                calendar.periods().join(", "),
                calendar.time_zone()
            ),
        },
        of: format!(
            "{}, {}",
            all("namespaces", &rule.namespaces),
            all("applications", &rule.applications)
        ),
        kinds: kinds.join(", "),
        by: created_by,
        nonce: nonce(),
        name: rule.rule.name,
        reason: rule.rule.reason,
    }
}

pub(crate) async fn create(
    State(console): State<Console>,
    signed_in: SignedIn,
    Posted(form): Posted,
) -> Result<Response, Fault> {
    let caller = signed_in.caller("/console/holds", &form)?;
    let console = signed_in.within(&console, Action::CREATE_HOLD)?;
    let by = match form.text("held_by") {
        "approval" => HeldBy::Approval,
        "freeze" => HeldBy::Freeze,
        _ => return Err(Fault::unreadable("A rule is one of approval, or a freeze window.")),
    };
    let is_freeze = by == HeldBy::Freeze;
    let written = WrittenRule {
        name: form.text("name").to_owned(),
        reason: form.text("description").to_owned(),
        namespaces: texts(&form, "namespaces"),
        applications: texts(&form, "applications"),
        kinds: Vec::new(),
        // The form has these fields for both.
        time_zone: if is_freeze { form.text("time_zone").to_owned() } else { String::new() },
        periods: if is_freeze { texts(&form, "periods") } else { Vec::new() },
    };
    console.service.create_hold_rule(&caller, by, &written).await?;
    Ok(Redirect::to("/console/holds").into_response())
}

/// The texts of a field, with commas.
fn texts(form: &Form, name: &str) -> Vec<String> {
    let texts = form.text(name).split(',').map(str::trim);
    texts.filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

pub(crate) async fn delete(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    Posted(form): Posted,
) -> Result<Response, Fault> {
    let caller = signed_in.caller(&format!("/console/holds/{name}/delete"), &form)?;
    let console = signed_in.within(&console, Action::DELETE_HOLD)?;
    console.service.delete_hold_rule(&caller, &name).await?;
    Ok(Redirect::to("/console/holds").into_response())
}
