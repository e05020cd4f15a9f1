//! Commands on the database that end at once.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use domain::{ClusterId, Source};
use service::Caller;
use sluice::config::{ConsoleLink, Database, ShowContainer};

use crate::process::{connect_checked, without_requests};

pub(crate) async fn container(settings: ShowContainer) -> Result<()> {
    let store = connect_checked(&settings.database).await?;
    let service = without_requests(store, settings.cluster_id.clone().into(), String::new());
    let found = service.applications(Some(&settings.name)).await?;
    let found = found.into_iter().find(|it| {
        it.namespace == settings.namespace && it.cluster.as_str() == settings.cluster_id
    });
    let application = found.ok_or_else(|| {
        anyhow!("there is no application {} in namespace {}", settings.name, settings.namespace)
    })?;
    if let Some(name) = &settings.set {
        service.choose_container(&command("sluice container"), application.id, Some(name)).await?;
    }
    let container = service.container(application.id).await?;
    let name = container.name.as_deref().unwrap_or("(in doubt)");
    println!(
        "{name}{} of {}",
        if container.chosen { " (chosen)" } else { "" },
        container.all.join(", ")
    );
    Ok(())
}

/// What moved on since the backup, and what can be done about it.
pub(crate) async fn moved_on(cluster: &ClusterId, database: &Database) -> Result<()> {
    let moved = connect_checked(database).await?.moved_on(cluster).await?;
    if moved.is_empty() {
        println!("nothing moved on that nobody has decided about");
        return Ok(());
    }
    for it in &moved {
        println!("{}/{} {} by change order {}", it.namespace, it.name, it.image, it.order);
    }
    println!(
        "To take one up, release a version of it: it goes on from what runs now. `sluice adopt NAME` first where the application is not known.
To let one go, delete the application and keep its Deployment, or leave it as it is."
    );
    Ok(())
}

/// Whoever calls a command of this program.
fn command(name: &str) -> Caller {
    Caller {
        key_id: String::new(),
        name: name.into(),
        principal: name.into(),
        person: None,
        request_id: String::new(),
        trace: None,
        source: Source::Cli,
        reason: String::new(),
        peer: None,
        identity: None,
    }
}

pub(crate) async fn console_link(settings: ConsoleLink) -> Result<ExitCode> {
    let url = settings.url.as_ref().map(|url| url.as_str());
    let Some(key) = &settings.key else {
        return Ok(client::console_link(&settings.reach, url).await);
    };
    let none = || anyhow!("--key needs the database: set DATABASE_URL, or leave --key out");
    let store = connect_checked(&settings.database().ok_or_else(none)?).await?;
    let service = without_requests(store, String::new().into(), String::new());
    let link = service.make_link(key).await?;
    let base = url.unwrap_or("http://127.0.0.1:8080").trim_end_matches('/');
    println!("{base}/console/link/{}", link.expose());
    Ok(ExitCode::SUCCESS)
}
