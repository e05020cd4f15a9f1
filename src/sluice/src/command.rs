//! Commands on the database that end at once.

use anyhow::{Result, anyhow};
use domain::Source;
use service::Caller;
use sluice::config::{ConsoleLink, ShowContainer};

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

/// Whoever calls a command of this program.
fn command(name: &str) -> Caller {
    Caller {
        key_id: String::new(),
        name: name.into(),
        request_id: String::new(),
        source: Source::Cli,
        reason: String::new(),
        peer: None,
        identity: None,
    }
}

pub(crate) async fn console_link(settings: ConsoleLink) -> Result<()> {
    let store = connect_checked(&settings.database).await?;
    let service = without_requests(store, String::new().into(), String::new());
    let link = service.make_link(&settings.key).await?;
    let base = settings.url.as_str().trim_end_matches('/');
    println!("{base}/console/link/{}", link.expose());
    Ok(())
}
