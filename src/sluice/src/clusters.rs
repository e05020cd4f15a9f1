//! The commands about the clusters that servers drive.

use std::{
    fs::File,
    io::{Read, stdin},
    path::Path,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use cluster::Met;
use domain::{
    ClusterId,
    cluster::kubeconfig::{Kubeconfig, LONGEST_KUBECONFIG, LONGEST_NAMED_FILE},
    rights::Scope,
};
use service::{DrivenCluster, NewKubeconfig, Service};
use sluice::config::{AddCluster, ClusterCommand, Database, RotateCluster};

use crate::{
    command,
    process::{connect_checked, print, without_requests},
};

/// How long a cluster may take to say who it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What certificates and keys begin with.
const PEM: &[u8] = b"-----BEGIN ";

pub(crate) async fn cluster(command: ClusterCommand) -> Result<()> {
    match command {
        ClusterCommand::Add(settings) => add(*settings).await,
        ClusterCommand::List { database } => {
            let all = use_cases(&database).await?.driven_clusters().await?;
            print(&table(&all))
        }
        ClusterCommand::Rotate(settings) => rotate(*settings).await,
        ClusterCommand::Remove { id, database } => {
            use_cases(&database).await?.forget_cluster(&id.as_str().into()).await?;
            print(&format!("{id} is removed"))
        }
        ClusterCommand::Replace { cluster_id, identity, let_orders_go, database } => {
            let store = connect_checked(&database).await?;
            let before = without_requests(store, cluster_id.clone().into(), String::new())
                .replace_cluster(&identity, let_orders_go)
                .await?;
            let before = before.map_or_else(|| "none".to_owned(), |it| it.to_string());
            print(&format!("{cluster_id}: the identity on record is {identity}, and was {before}"))
        }
        ClusterCommand::MovedOn { cluster_id, database } => {
            command::moved_on(&cluster_id.into(), &database).await
        }
    }
}

async fn use_cases(database: &Database) -> Result<Service> {
    let store = connect_checked(database).await?;
    Ok(without_requests(store, String::new().into(), String::new()))
}

async fn add(settings: AddCluster) -> Result<()> {
    let id = &settings.id;
    if settings.agent {
        let dropped = use_cases(&settings.database).await?.add_cluster(id, None).await?;
        let before = if dropped { "; its kubeconfig is deleted" } else { "" };
        return print(&format!(
            "{id} is on record{before}. Run inside the cluster, with DATABASE_URL and the keyring:\nsluice serve --role executor --only-own-cluster --cluster-id {id}"
        ));
    }
    let kubeconfig = settings.kubeconfig.as_deref().context("--kubeconfig must be given")?;
    let (new, met) = reached(kubeconfig, settings.context.as_deref(), settings.namespaces).await?;
    let service = use_cases(&settings.database).await?;
    service.add_cluster(id, Some((&met.identity, &new))).await?;
    print(&format!("{id} is added: {}, identity {}, at {}", met.version, met.identity, new.server))
}

async fn rotate(settings: RotateCluster) -> Result<()> {
    let id: ClusterId = settings.id.into();
    let context = settings.context.as_deref();
    let (new, met) = reached(&settings.kubeconfig, context, Scope::Whole).await?;
    let service = use_cases(&settings.database).await?;
    service.rotate_kubeconfig(&id, &met.identity, &new).await?;
    print(&format!("{id} has another kubeconfig: {}, at {}", met.version, new.server))
}

/// The kubeconfig that is to be kept, and what the cluster says with it.
async fn reached(path: &Path, context: Option<&str>, scope: Scope) -> Result<(NewKubeconfig, Met)> {
    let kubeconfig =
        read(path, context).with_context(|| format!("--kubeconfig {}", path.display()))?;
    for warning in kubeconfig.warnings() {
        eprintln!("sluice: warning: {warning}");
    }
    let server = kubeconfig.server().to_owned();
    let text = kubeconfig.document().to_string();
    let client = cluster::kubeconfig::client(&text).await;
    let client = client.map_err(|why| anyhow!("--kubeconfig {}: {why}", path.display()))?;
    let met = cluster::meet(&client, ANSWER_WITHIN).await;
    let met = met.with_context(|| format!("the cluster at {server} cannot be reached"))?;
    Ok((NewKubeconfig { kubeconfig: text.into(), server, scope }, met))
}

/// One context of a kubeconfig, with the content of the files that it names.
fn read(path: &Path, context: Option<&str>) -> Result<Kubeconfig> {
    let is_stdin = path == Path::new("-");
    let text = match is_stdin {
        true => bounded(stdin(), LONGEST_KUBECONFIG)?,
        false => file(path, LONGEST_KUBECONFIG)?,
    };
    let text = String::from_utf8(text).map_err(|_| anyhow!("it is no text"))?;
    let document = cluster::kubeconfig::read(&text).map_err(|why| anyhow!("{why}"))?;
    let mut chosen = Kubeconfig::of(&document, context).map_err(|why| anyhow!("{why}"))?;
    let folder = path.parent().filter(|_| !is_stdin).unwrap_or(Path::new(""));
    for named in chosen.files().to_vec() {
        let content = file(&folder.join(&named.path), LONGEST_NAMED_FILE)
            .with_context(|| format!("{}: {}", named.field, named.path))?;
        if named.as_base64 && !content.windows(PEM.len()).any(|part| part == PEM) {
            bail!("{}: {} holds nothing in PEM", named.field, named.path);
        }
        let content = match named.as_base64 {
            true => STANDARD.encode(content),
            false => String::from_utf8(content)
                .map_err(|_| anyhow!("{}: {} is no text", named.field, named.path))?
                .trim()
                .to_owned(),
        };
        chosen.put(&named, content);
    }
    Ok(chosen)
}

fn file(path: &Path, most: usize) -> Result<Vec<u8>> {
    bounded(File::open(path).context("it cannot be read")?, most)
}

fn bounded(from: impl Read, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let longest = u64::try_from(most).unwrap_or(u64::MAX);
    from.take(longest.saturating_add(1)).read_to_end(&mut bytes).context("it cannot be read")?;
    if bytes.len() > most {
        bail!("it has more than {most} bytes");
    }
    Ok(bytes)
}

/// A line for each cluster, under a line that says what is in the columns.
fn table(clusters: &[DrivenCluster]) -> String {
    let head =
        ["ID", "DRIVEN", "VERSION", "EXECUTORS", "OPEN ORDERS", "IDENTITY", "ADDRESS", "STATE"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(clusters.iter().map(row));
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let line = |row: &[String; 8]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(cluster: &DrivenCluster) -> [String; 8] {
    let (seen, executors) = (&cluster.seen, &cluster.seen.executors);
    let or_dash = |text: Option<&str>| text.filter(|it| !it.is_empty()).unwrap_or("-").to_owned();
    let state = match domain::cluster::health::trouble(&domain::cluster::health::Seen {
        own: None,
        alive: executors.alive,
        reaching: executors.reaching,
        trouble: executors.trouble.as_deref(),
    }) {
        Some(why) => why,
        None if seen.removed => "ok, but a client removed it".into(),
        None => "ok".into(),
    };
    [
        seen.id.to_string(),
        if seen.server.is_some() { "central" } else { "agent" }.into(),
        or_dash(Some(&seen.version)),
        format!("{} of {}", executors.reaching, executors.alive),
        cluster.open_orders.to_string(),
        or_dash(seen.identity.as_deref()),
        or_dash(seen.server.as_deref()),
        state,
    ]
}
