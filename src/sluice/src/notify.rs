//! The commands about channels.

use std::{io::Read as _, path::Path, time::Duration};

use ::notify::Secrets;
use anyhow::{Context, Result, anyhow, bail};
use domain::notice::{ChannelKind, NewChannel, address};
use secrecy::{ExposeSecret, SecretString};
use service::{ChannelRow, Delivery, Ending, Service};
use sluice::config::{CreateChannel, Database, NotifyCommand, OneChannel};

use crate::process::{connect_checked, print, without_requests};

/// Most bytes that are read of a file with an address or a secret.
const MOST_BYTES: u64 = 4096;

/// How long a test waits: somewhat longer than a server waits for an answer.
const TEST_WITHIN: Duration = Duration::from_secs(20);

pub(crate) async fn notify(command: NotifyCommand) -> Result<()> {
    match command {
        NotifyCommand::Create(settings) => create(*settings).await,
        NotifyCommand::List { database } => {
            let channels = use_cases(&database).await?.channels().await?;
            print(&channels.iter().map(line).collect::<Vec<_>>().join("\n"))
        }
        NotifyCommand::Show(OneChannel { name, database }) => {
            let service = use_cases(&database).await?;
            let channel = service.channel(&name).await?;
            let deliveries = service.deliveries(&name).await?;
            let deliveries: Vec<String> = deliveries.iter().map(delivery).collect();
            print(&format!("{}\n{}", lines(&channel), deliveries.join("\n")))
        }
        NotifyCommand::Test(OneChannel { name, database }) => {
            match use_cases(&database).await?.try_channel(&name, TEST_WITHIN).await? {
                Some((Some(Ending::Delivered), _)) => print(&format!("{name} received it")),
                Some((_, why)) => bail!("{name} did not receive it: {why}"),
                None => bail!(
                    "no server sent it within {} s: is one running that carries out orders (--role all or executor)?",
                    TEST_WITHIN.as_secs()
                ),
            }
        }
        NotifyCommand::Rotate { name, secret_file, database } => {
            let service = use_cases(&database).await?;
            let kind = service.channel(&name).await?.channel.kind;
            let before = service.channel_secret(&name).await?;
            let is_given = secret_file.is_some();
            let new = secret_of(kind, secret_file.as_deref())?
                .ok_or_else(|| anyhow!("--secret-file must be given for a channel of {kind}"))?;
            let new = match before {
                Some(before) if kind == ChannelKind::Webhook => {
                    new.before(&Secrets::read(kind, before.expose_secret())?)
                }
                _ => new,
            };
            service.replace_channel_secret(&name, &new.text()).await?;
            show_secret(&name, "has a new secret", &new, is_given)
        }
        NotifyCommand::Disable(OneChannel { name, database }) => {
            use_cases(&database).await?.switch_channel(&name, false).await?;
            print(&format!("{name} is disabled"))
        }
        NotifyCommand::Enable(OneChannel { name, database }) => {
            use_cases(&database).await?.switch_channel(&name, true).await?;
            print(&format!("{name} is enabled"))
        }
        NotifyCommand::Rm(OneChannel { name, database }) => {
            use_cases(&database).await?.remove_channel(&name).await?;
            print(&format!("{name} is removed"))
        }
    }
}

async fn use_cases(database: &Database) -> Result<Service> {
    let store = connect_checked(database).await?;
    Ok(without_requests(store, String::new().into(), String::new()))
}

async fn create(settings: CreateChannel) -> Result<()> {
    let CreateChannel { name, kind, on, namespace, application, .. } = &settings;
    let channel = NewChannel::read(name, *kind, on, namespace, application)?;
    let files = [Some(&settings.url_file), settings.secret_file.as_ref()];
    if files.iter().flatten().filter(|file| file.as_path() == Path::new("-")).count() > 1 {
        bail!("standard input can be read once: give --url-file or --secret-file a file");
    }
    let text = read("--url-file", &settings.url_file)?;
    let url = address(*kind, text.expose_secret()).map_err(|why| anyhow!("--url-file: {why}"))?;
    let url = SecretString::from(url.to_string());
    let secret = secret_of(*kind, settings.secret_file.as_deref())?;
    let service = use_cases(&settings.database).await?;
    service.create_channel(&channel, &url, secret.as_ref().map(Secrets::text).as_ref()).await?;
    match secret {
        Some(secret) => show_secret(name, "is created", &secret, settings.secret_file.is_some()),
        None => print(&format!("{name} is created: try it with `sluice notify test {name}`")),
    }
}

/// The secret in a file, or one that is made for a webhook; none where there is to be none.
fn secret_of(kind: ChannelKind, file: Option<&Path>) -> Result<Option<Secrets>> {
    match file {
        Some(file) => {
            let text = read("--secret-file", file)?;
            let secrets = Secrets::read(kind, text.expose_secret());
            Ok(Some(secrets.map_err(|why| anyhow!("--secret-file: {why}"))?))
        }
        None if kind == ChannelKind::Webhook => Ok(Some(Secrets::made()?)),
        None => Ok(None),
    }
}

fn show_secret(name: &str, what: &str, secret: &Secrets, is_given: bool) -> Result<()> {
    let shown = if is_given { String::new() } else { format!("\nSecret {}", secret.newest()) };
    print(&format!("{name} {what}: try it with `sluice notify test {name}`{shown}"))
}

fn read(flag: &str, file: &Path) -> Result<SecretString> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MOST_BYTES + 1).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file);
        let opened =
            opened.with_context(|| format!("{flag}: {} cannot be read", file.display()))?;
        opened.take(MOST_BYTES + 1).read_to_string(&mut text)
    };
    let bytes = read.with_context(|| format!("{flag}: {} is no text", file.display()))?;
    if bytes as u64 > MOST_BYTES {
        bail!("{flag}: {} has more than {MOST_BYTES} bytes", file.display());
    }
    Ok(SecretString::from(text))
}

fn line(row: &ChannelRow) -> String {
    let state = if row.enabled { "enabled" } else { "disabled" };
    let last = row.last.as_ref().map_or_else(|| "nothing was sent".into(), came);
    let ChannelRow { channel, waiting, .. } = row;
    format!("{}  {}  {state}  {waiting} waiting  {last}", channel.name, channel.kind)
}

fn lines(row: &ChannelRow) -> String {
    let all = |patterns: &[String]| {
        if patterns.is_empty() { "all".to_owned() } else { patterns.join(", ") }
    };
    let topics: Vec<String> = row.channel.topics.iter().map(ToString::to_string).collect();
    format!(
        "{}\non: {}\nnamespaces: {}\napplications: {}\nsince {}",
        line(row),
        topics.join(", "),
        all(&row.channel.namespaces),
        all(&row.channel.applications),
        row.created_at
    )
}

fn delivery(delivery: &Delivery) -> String {
    let order = delivery.order.map_or_else(|| "-".to_owned(), |order| order.to_string());
    let Delivery { happened_at, topic, .. } = delivery;
    format!("{happened_at}  {topic}  {order}  {}", came(delivery))
}

fn came(delivery: &Delivery) -> String {
    let Delivery { at, attempts, error, .. } = delivery;
    match delivery.outcome {
        Some(Ending::Delivered) => format!("delivered {at}"),
        Some(Ending::GivenUp) => format!("given up {at} after {attempts} attempts: {error}"),
        None if error.is_empty() => "waits".to_owned(),
        None => format!("failed {attempts} times, next {at}: {error}"),
    }
}
