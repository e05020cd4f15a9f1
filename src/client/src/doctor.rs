//! Looking for what is wrong: the server, its clock, its database, its cluster, the key, the
//! rights on the cluster, and probes.

use domain::snapshot::{ApplicationLine, OrderLine};
use http::Method;
use serde::Serialize;
use serde_json::Value;

use crate::{
    End, Trouble,
    api::{Api, Ready},
    command, context,
    find::{APPLICATIONS, ORDERS, application},
    paint::{Line, Tone},
    show::Printer,
    table::toned,
};

/// Seconds by which clocks may differ without a word.
const CLOCK_SECONDS: i64 = 60;

/// Seconds by which they may differ at all: a signature holds for 900 s.
const SIGNATURE_SECONDS: i64 = 600;

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    what: String,
    verdict: Verdict,
    text: String,
    #[serde(skip)]
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Wrong,
    /// It could not be looked at.
    Unseen,
}

impl Finding {
    fn new(what: &str, verdict: Verdict, text: impl Into<String>) -> Self {
        let end = if verdict == Verdict::Wrong { End::Failed } else { End::Done };
        Self { what: what.into(), verdict, text: text.into(), end }
    }

    fn wrong(what: &str, trouble: &Trouble) -> Self {
        Self { end: trouble.end, ..Self::new(what, Verdict::Wrong, &trouble.message) }
    }
}

/// `sluice doctor`.
pub(crate) async fn doctor(it: &command::Doctor) -> Result<End, Trouble> {
    let api = context::api(&it.reach)?;
    let findings = look(&api, it.name.as_deref()).await;
    Printer::of(&it.reach).list(&findings, show);
    let first = findings.iter().find(|it| it.verdict == Verdict::Wrong);
    Ok(first.map_or(End::Done, |it| it.end))
}

async fn look(api: &Api, name: Option<&str>) -> Vec<Finding> {
    let ready = match api.is_ready().await {
        Ok(ready) => ready,
        // Nothing else can be asked.
        Err(trouble) => return vec![Finding::wrong("server", &trouble)],
    };
    let mut all = vec![Finding::new("server", Verdict::Ok, api.endpoint.to_string())];
    all.push(clock(ready.skew));
    all.extend(readiness(&ready));
    // Where none can be released to, that is said already.
    for (id, why) in ready.away.iter().filter(|_| ready.missing.is_none()) {
        let text = format!("nothing is released on {id} now: {why}");
        all.push(Finding::new("cluster", Verdict::Warning, text));
    }
    if ready.warnings > 0 {
        let text = format!("{} warnings: the logs of the executors say which", ready.warnings);
        all.push(Finding::new("executor", Verdict::Warning, text));
    }
    let key = api.call(Method::GET, APPLICATIONS, &[("limit", "1")]).await;
    if let Err(trouble) = key {
        all.push(Finding::wrong("key", &trouble));
        return all;
    }
    all.push(Finding::new("key", Verdict::Ok, api.signer.key_id.clone()));
    match checks(api, name).await {
        Ok(checks) => all.extend(checks),
        Err(trouble) if name.is_some() => all.push(Finding::wrong("rights", &trouble)),
        Err(trouble) => all.push(Finding::new("rights", Verdict::Unseen, trouble.message)),
    }
    all.push(waiting(api).await);
    all
}

fn clock(skew: Option<i64>) -> Finding {
    let Some(seconds) = skew else {
        return Finding::new("clock", Verdict::Unseen, "the server does not tell the time");
    };
    let text = format!("{seconds} s from the server's");
    let apart = seconds.abs();
    if apart > SIGNATURE_SECONDS {
        let message = format!("{text}; a signature holds for 900 s: set this machine's clock");
        return Finding::wrong("clock", &Trouble::new(End::NotAllowed, message));
    }
    let verdict = if apart > CLOCK_SECONDS { Verdict::Warning } else { Verdict::Ok };
    Finding::new("clock", verdict, text)
}

/// Database, executors and cluster, of what the server says of itself.
fn readiness(ready: &Ready) -> Vec<Finding> {
    let ok = |what: &str, text: &str| Finding::new(what, Verdict::Ok, text);
    let Some(why) = &ready.missing else {
        return vec![
            ok("database", "it answers"),
            ok("cluster", "an executor is at work, and reaches it"),
        ];
    };
    let wrong = |what: &str| Finding::wrong(what, &Trouble::unreachable(why));
    if why.contains("database") {
        let unseen = "the database is to answer first";
        return vec![wrong("database"), Finding::new("cluster", Verdict::Unseen, unseen)];
    }
    vec![ok("database", "it answers"), wrong("cluster")]
}

/// Rights, probes, and whatever else the checks before a release warn of.
async fn checks(api: &Api, name: Option<&str>) -> Result<Vec<Finding>, Trouble> {
    let application = match name {
        Some(name) => application(api, name).await?,
        None => {
            let all: Vec<ApplicationLine> =
                api.get(APPLICATIONS, &[("limit", "200")], "applications").await?;
            let rests = |it: &ApplicationLine| {
                it.last_order.as_ref().is_none_or(|order| order.state.is_final())
            };
            let none = "there is no application without an open order to look at them";
            all.into_iter().find(rests).ok_or_else(|| Trouble::new(End::NotFound, none))?
        }
    };
    let id = application.application.id.to_string();
    let reply = api.call(Method::POST, "/sluice/v1/plan", &[("AppId", &id)]).await?;
    let of = format!("{}/{}", application.application.namespace, application.application.name);
    Ok(of_checks(&reply, &of))
}

pub(crate) fn of_checks(reply: &Value, of: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for check in reply["Checks"].as_array().into_iter().flatten() {
        let name = check["Name"].as_str().unwrap_or_default();
        let what = match name {
            "Rights" => "rights".to_owned(),
            "Readiness" => "probes".to_owned(),
            name => format!("check {name}"),
        };
        let reason = check["Reason"].as_str().unwrap_or_default();
        let verdict = match check["Verdict"].as_str().unwrap_or_default() {
            "passed" => Verdict::Ok,
            "warned" => Verdict::Warning,
            "refused" => Verdict::Wrong,
            _ => Verdict::Unseen,
        };
        // What is well is told of the two that are asked for.
        if verdict == Verdict::Ok && what.starts_with("check ") {
            continue;
        }
        let text = match reason {
            "" => format!("as a release of {of} needs them"),
            reason => format!("{of}: {reason}"),
        };
        let end = if verdict == Verdict::Wrong { End::Refused } else { End::Done };
        found.push(Finding { end, ..Finding::new(&what, verdict, text) });
    }
    found
}

async fn waiting(api: &Api) -> Finding {
    let what = "orders that wait";
    let waits: Result<Vec<OrderLine>, Trouble> =
        api.get(ORDERS, &[("needs_person", "true"), ("limit", "200")], "orders").await;
    match waits {
        Ok(all) => {
            let people = all.iter().filter(|it| it.needs_person()).count();
            Finding::new(what, Verdict::Ok, format!("{people} for a person"))
        }
        Err(trouble) => Finding::wrong(what, &trouble),
    }
}

pub(crate) fn show(findings: &[Finding], _: usize) -> Vec<Line> {
    let row = |it: &Finding| {
        let (tone, word) = match it.verdict {
            Verdict::Ok => (Tone::Good, "ok"),
            Verdict::Warning => (Tone::Busy, "warning"),
            Verdict::Wrong => (Tone::Bad, "wrong"),
            Verdict::Unseen => (Tone::Faint, "unseen"),
        };
        (tone, vec![word.to_owned(), it.what.clone(), it.text.clone()])
    };
    // Nothing of a reason is cut: it says what to do.
    toned(&["VERDICT", "WHAT", "FOUND"], findings.iter().map(row).collect(), usize::MAX)
}
