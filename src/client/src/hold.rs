//! What holds orders off before they begin: approving, rejecting, and the rules.

use http::Method;
use serde_json::Value;

use crate::{
    End, Trouble, change,
    command::{Format, HoldsCommand, NewHold, Reach, Steered},
    context,
    find::{call, order_of, snapshot},
    follow::go_on,
    paint::{Line, Tone},
    render,
    show::{Printer, say},
};

/// Where the rules are.
const RULES: &str = "/sluice/v1/holds";

/// Lets an order begin, in the way of this path, and follows it.
pub(crate) async fn steer(it: &Steered, path: &str) -> Result<End, Trouble> {
    let (api, order) = order_of(&it.followed.named).await?;
    let mut pairs = vec![("ChangeOrderId", order)];
    pairs.extend(because(it));
    let reply = call(&api, Method::PUT, path, &pairs).await?;
    go_on(&api, &it.followed, &reply["Data"]["ChangeOrderId"]).await
}

/// Why it is done, as a parameter.
fn because(it: &Steered) -> Option<(&'static str, String)> {
    change::because(it.reason.as_deref()).map(|(name, text)| (name, text.to_owned()))
}

/// Ends an order that waits for a second person.
pub(crate) async fn reject(it: &Steered) -> Result<(), Trouble> {
    let named = &it.followed.named;
    let (api, order) = order_of(named).await?;
    let mut pairs = vec![("ChangeOrderId", order.clone())];
    pairs.extend(because(it));
    call(&api, Method::PUT, "/sluice/v1/reject", &pairs).await?;
    let printer = Printer::of(&named.reach);
    if printer.format == Format::Text {
        say(&format!("order {order} is rejected; nothing was changed"));
    } else {
        printer.one(&snapshot(&api, &order).await?, render::whole_now);
    }
    Ok(())
}

/// Lists, makes and deletes rules.
pub(crate) async fn rules(command: HoldsCommand) -> Result<(), Trouble> {
    match command {
        HoldsCommand::List(it) => list(&it.reach).await,
        HoldsCommand::Approval(it) => make(&it, vec![("HeldBy", "approval".into())]).await,
        HoldsCommand::Freeze(it) => {
            let more = vec![
                ("HeldBy", "freeze".into()),
                ("Periods", it.period.join(",")),
                ("TimeZone", it.time_zone),
            ];
            make(&it.rule, more).await
        }
        HoldsCommand::Rm(it) => {
            let api = context::api(&it.reach)?;
            let pairs = [("Name", it.name.clone())];
            call(&api, Method::DELETE, "/sluice/v1/hold", &pairs).await?;
            say(&format!("the rule {} is deleted", it.name));
            Ok(())
        }
    }
}

async fn make(it: &NewHold, mut pairs: Vec<(&'static str, String)>) -> Result<(), Trouble> {
    let api = context::api(&it.reach)?;
    pairs.push(("Name", it.name.clone()));
    for (name, texts) in
        [("Namespaces", &it.namespace), ("Applications", &it.application), ("Kinds", &it.kinds)]
    {
        if !texts.is_empty() {
            pairs.push((name, texts.join(",")));
        }
    }
    pairs.extend(it.description.clone().map(|text| ("Description", text)));
    call(&api, Method::POST, RULES, &pairs).await?;
    say(&format!("the rule {} is made", it.name));
    Ok(())
}

async fn list(reach: &Reach) -> Result<(), Trouble> {
    let api = context::api(reach)?;
    let reply = call(&api, Method::GET, RULES, &[]).await?;
    Printer::of(reach).one(&reply["HoldRules"], |rules, _| lines(rules));
    Ok(())
}

/// A rule in two lines: what it wants, and of whom.
fn lines(rules: &Value) -> Vec<Line> {
    let rules = rules.as_array().map(Vec::as_slice).unwrap_or_default();
    if rules.is_empty() {
        return vec![Line::new(Tone::Faint, "no rule holds orders off")];
    }
    rules
        .iter()
        .flat_map(|rule| [Line::new(Tone::Plain, wants(rule)), Line::new(Tone::Faint, of(rule))])
        .collect()
}

fn texts(rule: &Value, name: &str) -> String {
    let texts = rule[name].as_array().map(Vec::as_slice).unwrap_or_default();
    texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

fn wants(rule: &Value) -> String {
    let text = |name: &str| rule[name].as_str().unwrap_or_default().to_owned();
    let wants = match text("HeldBy").as_str() {
        "approval" => "a second person approves".to_owned(),
        _ => format!("nothing begins {} ({})", texts(rule, "Periods"), text("TimeZone")),
    };
    let why = match text("Description").as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    format!("{}  {wants}{why}", text("Name"))
}

fn of(rule: &Value) -> String {
    let all = |what: &str, name: &str| match texts(rule, name).as_str() {
        "" => format!("all {what}"),
        patterns => format!("{what} {patterns}"),
    };
    let by = rule["CreatedBy"].as_str().unwrap_or_default();
    format!(
        "  {}; {}, {}; by {by}",
        texts(rule, "Kinds"),
        all("namespaces", "Namespaces"),
        all("applications", "Applications")
    )
}
