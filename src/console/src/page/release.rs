//! A release: the form, then what it would do, then the order.

use askama::Template;
use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::{Page, application_id, applications::Choice, nonce, render};
use crate::{
    Console,
    fault::{Fault, sentence},
    form::{Asked, Form, Posted},
    frame::{Frame, Place},
    session::SignedIn,
    words,
};
use domain::{
    ApplicationId, Input, Rejection,
    access::Action,
    order::plan::{BatchGate, Pace, Strategy},
    package::runtime::Runtime,
    precheck::{Finding, PrecheckReport},
    template::spec::SpecChange,
};
use service::{
    Deploy, Error, PackageParams, ReleaseView,
    diff::{Line, diff},
};

#[derive(Template)]
#[template(path = "release.html")]
struct ReleaseForm {
    frame: Frame,
    id: String,
    name: String,
    replicas: i32,
    current: String,
    /// A version of the history that is released again; empty = a new one.
    release: String,
    fields: Fields,
    /// What packages can run on here; empty = on nothing.
    jdks: Vec<Choice>,
    web_containers: Vec<Choice>,
    lines: Vec<Line>,
    problem: String,
}

/// What was filled in.
struct Fields {
    source: &'static str,
    image: String,
    package: String,
    version_text: String,
    reason: String,
    mode: &'static str,
    canary: String,
    batches: String,
    pace: &'static str,
    wait: String,
    timeout: String,
    no_surge: bool,
}

#[derive(Template)]
#[template(path = "preview.html")]
struct Preview {
    frame: Frame,
    id: String,
    name: String,
    what: String,
    strategy: String,
    hidden: Vec<(&'static str, String)>,
    nonce: String,
    lines: Vec<Line>,
    plan: Option<Plan>,
    checks: Vec<CheckLine>,
    is_refused: bool,
    /// Whether whoever looks may also release.
    may_release: bool,
    /// Why nothing was ordered, if it was to be.
    problem: String,
}

struct Plan {
    hash: String,
    peak: i32,
    replicas: i32,
    missing: i32,
    expected: String,
    batches: Vec<PlanBatch>,
}

struct PlanBatch {
    number: usize,
    canary: bool,
    added: i32,
    removed: i32,
    new: i32,
    old: i32,
    gate: String,
    /// Of a picture that is 100 wide.
    new_width: i32,
}

struct CheckLine {
    subject: String,
    word: &'static str,
    mark: &'static str,
    class: &'static str,
    reason: String,
}

/// The fields that a preview hands on.
const HANDED_ON: [&str; 14] = [
    "release",
    "source",
    "image",
    "package",
    "jdk",
    "web_container",
    "version",
    "reason",
    "mode",
    "canary",
    "batches",
    "pace",
    "wait",
    "timeout",
];

pub(crate) async fn form(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Asked(asked): Asked,
) -> Page {
    let id = application_id(&id)?;
    let console = signed_in.within(&console, Action::PREVIEW)?;
    render(&empty(&console, &signed_in, id, &asked, String::new()).await?)
}

/// The form with what was filled in, and what is wrong with it.
async fn empty(
    console: &Console,
    signed_in: &SignedIn,
    id: ApplicationId,
    form: &Form,
    problem: String,
) -> Result<ReleaseForm, Fault> {
    let application = console.service.application(id).await?;
    let template = console.service.current_spec(id).await?.template;
    let chosen = chosen(console, id, form).await?;
    let lines = match &chosen {
        // What returning changes is known before anything is filled in.
        Some(release) => {
            let request = deploy(id, Some(release), &Form::default());
            let request = request.map_err(Fault::unreadable)?;
            let (before, after) = console.service.template_change(&request).await?;
            diff(&before, &after)
        }
        None => Vec::new(),
    };
    let title = match &chosen {
        Some(release) => format!("Return {} to {}", application.name, release.version),
        None => format!("Release {}", application.name),
    };
    Ok(ReleaseForm {
        frame: Frame::of(title, signed_in, Place::Applications),
        id: id.to_string(),
        replicas: application.replicas,
        current: application.image_of(&template).unwrap_or_default().to_owned(),
        release: chosen.map(|it| it.id.to_string()).unwrap_or_default(),
        name: application.name,
        fields: Fields::of(form),
        jdks: runtimes(console, form.text("jdk"), |runtime| Some(&runtime.jdk)),
        web_containers: runtimes(console, form.text("web_container"), |runtime| {
            runtime.web_container.as_ref()
        }),
        lines,
        problem,
    })
}

/// What there is to choose from of what packages run on.
fn runtimes(
    console: &Console,
    chosen: &str,
    part: impl FnMut(&Runtime) -> Option<&String>,
) -> Vec<Choice> {
    let mut names: Vec<&str> =
        console.service.runtimes().iter().filter_map(part).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Vec::new();
    }
    let all: Vec<_> = [("", "as before, or the only one")]
        .into_iter()
        .chain(names.iter().map(|it| (*it, *it)))
        .collect();
    Choice::all(&all, chosen)
}

impl Fields {
    fn of(form: &Form) -> Self {
        let text = |name| form.text(name).to_owned();
        Self {
            source: if form.text("source") == "package" { "package" } else { "image" },
            image: text("image"),
            package: text("package"),
            version_text: text("version"),
            reason: text("reason"),
            mode: match form.text("mode") {
                "batches" => "batches",
                "canary" => "canary",
                _ => "all",
            },
            canary: text("canary"),
            batches: text("batches"),
            pace: if form.text("pace") == "manual" { "manual" } else { "automatic" },
            wait: text("wait"),
            timeout: text("timeout"),
            no_surge: form.is_on("no_surge"),
        }
    }
}

/// The version of the history that a form is about.
async fn chosen(
    console: &Console,
    id: ApplicationId,
    form: &Form,
) -> Result<Option<ReleaseView>, Fault> {
    let Some(release) = form.given("release") else { return Ok(None) };
    let found = console.service.history(id).await?;
    let found = found.into_iter().find(|it| it.id.to_string() == release);
    let unknown = || Rejection::UnknownVersion { application: id, version: release.into() };
    found.map(Some).ok_or_else(|| unknown().into())
}

/// What a form asks for.
fn deploy(id: ApplicationId, release: Option<&ReleaseView>, form: &Form) -> Result<Deploy, String> {
    let mut spec = SpecChange::default();
    let mut package = PackageParams::default();
    if release.is_none() {
        match form.text("source") {
            "package" => {
                let address = form.given("package").ok_or("The package's address is missing.")?;
                package.url = Some(address.into());
                package.jdk = form.given("jdk").map(str::to_owned);
                package.web_container = form.given("web_container").map(str::to_owned);
            }
            _ => {
                let image = form.given("image").ok_or("The image is missing.")?;
                spec.image = Some(image.to_owned());
            }
        }
    }
    let description = match release {
        Some(release) => format!("Return to version {}", release.version),
        // It stands with the version in the history.
        None => form.text("reason").to_owned(),
    };
    Ok(Deploy {
        application: id,
        spec,
        package,
        release: release.map(|release| release.id),
        version: form.given("version").map(str::to_owned),
        replicas: None,
        strategy: Some(strategy(form)?),
        batch_timeout_seconds: form.number("timeout", "The timeout of a batch")?,
        min_ready_seconds: None,
        description,
        notes: Vec::new(),
        plan_hash: form.given("plan_hash").map(str::to_owned),
        allows_no_surge: form.is_on("no_surge"),
        template: None,
    })
}

fn strategy(form: &Form) -> Result<Strategy, String> {
    let batches = || form.number("batches", "The number of batches");
    let pace = match form.text("pace") {
        "manual" => Pace::Manual,
        _ => {
            let minutes = form.number::<u32>("wait", "The time between batches")?.unwrap_or(0);
            if minutes > 1440 {
                return Err("The time between batches is at most 1440 minutes.".into());
            }
            Pace::Automatic { wait_minutes: minutes }
        }
    };
    match form.text("mode") {
        "batches" => {
            Ok(Strategy { canary: 0, batches: batches()?.ok_or("How many batches?")?, pace })
        }
        "canary" => {
            let canary: i32 = form
                .number("canary", "The number of canary pods")?
                .ok_or("How many canary pods?")?;
            if canary < 1 {
                return Err("A canary has 1 pod or more.".into());
            }
            Ok(Strategy { canary, batches: batches()?.unwrap_or(1), pace })
        }
        _ => Ok(Strategy::ALL_AT_ONCE),
    }
}

pub(crate) async fn send(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Posted(form): Posted,
) -> Result<Response, Fault> {
    let application = application_id(&id)?;
    let is_confirmed = form.text("step") == "confirm";
    let action = if is_confirmed { Action::RELEASE } else { Action::PREVIEW };
    let console = signed_in.within(&console, action)?;
    let release = chosen(&console, application, &form).await?;
    let request = match deploy(application, release.as_ref(), &form) {
        Ok(request) => request,
        Err(problem) => return again(&console, &signed_in, application, &form, problem).await,
    };
    form.reason()?;
    if !is_confirmed {
        let request = Deploy { plan_hash: None, ..request };
        return look(&console, &signed_in, &request, &form, String::new()).await;
    }
    let mut caller = signed_in.caller(&format!("/console/apps/{id}/release"), &form)?;
    if release.is_none() {
        caller.reason.clear();
    }
    match console.service.deploy(&caller, request.clone()).await {
        Ok(order) => Ok(Redirect::to(&format!("/console/orders/{order}")).into_response()),
        Err(Error::Rejected(Rejection::Invalid(why))) if why.input == Input::PlanHash => {
            let problem = "Meanwhile something has changed, and the release would do something else than you saw. Nothing was ordered: this is what it would do now.";
            let request = Deploy { plan_hash: None, ..request };
            look(&console, &signed_in, &request, &form, problem.into()).await
        }
        Err(Error::Rejected(rejection)) => {
            let problem = sentence(&rejection.to_string());
            again(&console, &signed_in, application, &form, problem).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn again(
    console: &Console,
    signed_in: &SignedIn,
    id: ApplicationId,
    form: &Form,
    problem: String,
) -> Result<Response, Fault> {
    let page = render(&empty(console, signed_in, id, form, problem).await?)?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// Shows what a release would do.
async fn look(
    console: &Console,
    signed_in: &SignedIn,
    request: &Deploy,
    form: &Form,
    problem: String,
) -> Result<Response, Fault> {
    let looked = async {
        let report = console.service.preview(&signed_in.reader(), request.clone()).await?;
        Ok::<_, Error>((report, console.service.template_change(request).await?))
    };
    let (report, (before, after)) = match looked.await {
        Ok(looked) => looked,
        Err(Error::Rejected(rejection)) => {
            let problem = sentence(&rejection.to_string());
            return again(console, signed_in, request.application, form, problem).await;
        }
        Err(error) => return Err(error.into()),
    };
    let application = console.service.application(request.application).await?;
    let what = match (&request.release, &request.spec.image) {
        (Some(_), _) => request_words(console, request).await?,
        (None, Some(image)) => image.clone(),
        // The address may hold a password.
        (None, None) => "a package".to_owned(),
    };
    let status = if problem.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    let hidden = HANDED_ON.iter().filter_map(|name| Some((*name, form.given(name)?.to_owned())));
    let ticked = form.is_on("no_surge").then(|| ("no_surge", "on".to_owned()));
    let may_release = console.service.may(Action::RELEASE, &application);
    let page = Preview {
        frame: Frame::of(
            format!("What the release of {} would do", application.name),
            signed_in,
            Place::Applications,
        ),
        id: request.application.to_string(),
        name: application.name,
        what,
        strategy: words::of_strategy(&request.strategy.unwrap_or(Strategy::ALL_AT_ONCE)),
        hidden: hidden.chain(ticked).collect(),
        nonce: nonce(),
        lines: diff(&before, &after),
        is_refused: report.refusal().is_some(),
        may_release,
        checks: checks(&report),
        plan: plan(&report),
        problem,
    };
    Ok((status, render(&page)?).into_response())
}

async fn request_words(console: &Console, request: &Deploy) -> Result<String, Fault> {
    let history = console.service.history(request.application).await?;
    let found = history.into_iter().find(|it| Some(it.id) == request.release);
    Ok(found.map(|it| format!("version {}", it.version)).unwrap_or_default())
}

fn plan(report: &PrecheckReport) -> Option<Plan> {
    let plan = report.plan.as_ref()?;
    let most = plan.replicas.max(1);
    let batches = plan.batches.iter().map(|batch| PlanBatch {
        number: batch.number,
        canary: batch.canary,
        added: batch.added,
        removed: batch.removed,
        new: batch.new_pods,
        old: batch.old_pods,
        gate: match batch.batch_gate {
            BatchGate::None => String::new(),
            BatchGate::Pause(minutes) => format!("then waits {minutes} min"),
            BatchGate::Confirmation => "then waits for you".into(),
        },
        new_width: batch.new_pods * 100 / most,
    });
    Some(Plan {
        batches: batches.collect(),
        hash: plan.hash.clone(),
        peak: plan.peak_pods,
        replicas: plan.replicas,
        missing: plan.max_unavailable,
        expected: plan.expected_seconds.map(words::of_seconds).unwrap_or_default(),
    })
}

/// The checks that somebody should read, those first that stand in the way.
fn checks(report: &PrecheckReport) -> Vec<CheckLine> {
    let mut found: Vec<_> =
        report.checks.iter().filter(|check| check.finding != Finding::Passed).collect();
    found.sort_by_key(|check| std::cmp::Reverse(check.finding));
    let line = |check: &&domain::precheck::Check| {
        let (word, mark, class) = match check.finding {
            Finding::Refused => ("cannot work", "✗", "bad"),
            Finding::Warned => ("beware", "▲", "asks"),
            Finding::Unseen => ("not looked at", "○", "waits"),
            Finding::Passed => ("fine", "✓", "good"),
        };
        CheckLine {
            subject: spaced(check.subject.word()),
            word,
            mark,
            class,
            reason: sentence(&check.reason),
        }
    };
    found.iter().map(line).collect()
}

/// A subject in words: `PodAdmission` is `Pod admission`.
fn spaced(word: &str) -> String {
    let mut text = String::new();
    for (index, letter) in word.chars().enumerate() {
        if index > 0 && letter.is_uppercase() {
            text.push(' ');
            text.extend(letter.to_lowercase());
        } else {
            text.push(letter);
        }
    }
    text
}
