//! Commands on the database that end at once.

use anyhow::{Result, anyhow, bail};
use clock::Clock;
use domain::Source;
use secrecy::{ExposeSecret, SecretString};
use service::Caller;
use sluice::config::{ConsoleLink, Database, Output, ShowContainer};

use crate::process::{connect_checked, random_hex, without_requests};

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
        identity: None,
    }
}

pub(crate) async fn create_key(name: &str, output: Output, database: &Database) -> Result<()> {
    if name.trim().is_empty() || name.chars().count() > 100 {
        bail!("--name must have 1 to 100 characters");
    }
    let store = connect_checked(database).await?;
    let (id, secret) = (format!("sluice{}", random_hex(10)?), SecretString::from(random_hex(20)?));
    let created = store.insert_key(&id, &secret, name, Clock::default().now()).await?;
    if !created {
        bail!("there is a key named {name} already");
    }
    match output {
        Output::Text => println!("AccessKeyId {id}\nAccessKeySecret {}", secret.expose_secret()),
        Output::Json => println!(
            "{}",
            serde_json::json!({ "AccessKeyId": id, "AccessKeySecret": secret.expose_secret() })
        ),
    }
    Ok(())
}

pub(crate) async fn console_link(settings: ConsoleLink) -> Result<()> {
    let store = connect_checked(&settings.database).await?;
    let service = without_requests(store, String::new().into(), String::new());
    let link = service.make_link(&settings.key).await?;
    let base = settings.url.as_str().trim_end_matches('/');
    println!("{base}/console/link/{}", link.expose());
    Ok(())
}
