//! The commands about access keys, principals and policies.

use std::{io::Read as _, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow};
use clock::Clock;
use domain::access::{ALL_ROLES, Exceptions, Grant, MOST_BYTES, Role, Scope};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use service::{Caller, CreatedKey, ListedKey, PrincipalRow, Service, WantedKey, policy_named};
use sluice::config::{
    Attachment, CreateKey, Database, KeyCommand, OneKey, Output, PolicyCommand, PrincipalCommand,
    RoleExceptions,
};

use crate::process::{connect_checked, print, without_requests};

/// Most keys, principals or policies that a command lists.
const MOST_LISTED: usize = 1000;

pub(crate) async fn key(command: KeyCommand) -> Result<()> {
    match command {
        KeyCommand::Create(settings) => create_key(*settings).await,
        KeyCommand::List { database } => {
            let keys = use_cases(&database).await?.listed_keys(None, None, MOST_LISTED).await?;
            let lines: Vec<String> = keys.rows.iter().map(key_line).collect();
            print(&lines.join("\n"))?;
            tell_of_more(keys.has_more);
            Ok(())
        }
        KeyCommand::Show(OneKey { key, database }) => {
            let service = use_cases(&database).await?;
            let key = service.listed_key(&key).await?;
            let principal = service.principal(&key.principal).await?;
            print(&format!("{}\n{}", key_lines(&key), grant_lines(&principal)))
        }
        KeyCommand::Disable(OneKey { key, database }) => {
            use_cases(&database).await?.switch_key(&me(), &key, false).await?;
            print(&format!("{key} is disabled"))
        }
        KeyCommand::Enable(OneKey { key, database }) => {
            use_cases(&database).await?.switch_key(&me(), &key, true).await?;
            print(&format!("{key} is enabled"))
        }
        KeyCommand::Rotate { key, grace, output, database } => {
            let grace = grace.map(SignedDuration::try_from).transpose();
            let grace = grace.context("the time is too long")?;
            let created = use_cases(&database).await?.rotate_key(&me(), &key, grace).await?;
            show(&created, output)
        }
        KeyCommand::Rm(OneKey { key, database }) => {
            use_cases(&database).await?.remove_key(&me(), &key).await?;
            print(&format!("{key} is removed"))
        }
    }
}

pub(crate) async fn principal(command: PrincipalCommand) -> Result<()> {
    match command {
        PrincipalCommand::Create { name, person, database } => {
            use_cases(&database).await?.create_principal(&me(), &name, person).await?;
            print(&format!(
                "{name} is created, and may do nothing yet: grant a role or a policy with `sluice policy attach`"
            ))
        }
        PrincipalCommand::List { database } => {
            let listed = use_cases(&database).await?.principals(None, MOST_LISTED).await?;
            let line = |row: &PrincipalRow| {
                let grants: Vec<String> = row.grants.iter().map(granted).collect();
                let grants = if grants.is_empty() { "nothing".into() } else { grants.join("; ") };
                format!("{}  {}  keys {}  {grants}{}", row.name, row.kind, row.keys, assumed(row))
            };
            print(&listed.rows.iter().map(line).collect::<Vec<_>>().join("\n"))?;
            tell_of_more(listed.has_more);
            Ok(())
        }
        PrincipalCommand::Show(one) => {
            let service = use_cases(&one.database).await?;
            let row = service.principal(&one.name).await?;
            let keys = service.listed_keys(Some(&row.name), None, MOST_LISTED).await?;
            let keys: Vec<String> = keys.rows.iter().map(key_line).collect();
            print(&format!(
                "{}  {}  since {}\n{}\n{}",
                row.name,
                row.kind,
                row.created_at,
                grant_lines(&row),
                keys.join("\n")
            ))
        }
        PrincipalCommand::Rm(one) => {
            use_cases(&one.database).await?.remove_principal(&me(), &one.name).await?;
            print(&format!("{} is removed, with its keys", one.name))
        }
    }
}

pub(crate) async fn policy(command: PolicyCommand) -> Result<()> {
    match command {
        PolicyCommand::Create { name, file, replace, database } => {
            let document = read(&file)?;
            let service = use_cases(&database).await?;
            service
                .put_policy(&me(), &name, &document, replace, edas::wire::offered::knows_action)
                .await?;
            print(&format!("{name} is written: attach it with `sluice policy attach`"))
        }
        PolicyCommand::List { database } => {
            let listed = use_cases(&database).await?.policies(None, MOST_LISTED).await?;
            let roles = ALL_ROLES.iter().map(|it| format!("{it}  role  {}", it.told()));
            let policies = listed.rows.iter().map(|row| {
                let to = row.principals.join(", ");
                format!(
                    "{}  policy  attached to {}",
                    row.name,
                    if to.is_empty() { "nobody" } else { &to }
                )
            });
            print(&roles.chain(policies).collect::<Vec<_>>().join("\n"))?;
            tell_of_more(listed.has_more);
            Ok(())
        }
        PolicyCommand::Show(one) => {
            print(&use_cases(&one.database).await?.policy(&one.name).await?.document)
        }
        PolicyCommand::Attach(attachment) => {
            let grant = grant_of(&attachment)?;
            let service = use_cases(&attachment.database).await?;
            service.attach(&me(), &attachment.principal, &grant).await?;
            print(&grant_lines(&service.principal(&attachment.principal).await?))
        }
        PolicyCommand::Detach(attachment) => {
            let grant = grant_of(&attachment)?;
            if !grant.exceptions.is_none() {
                return Err(anyhow!(
                    "the role goes with all that it was granted with: leave --pod-security, --service-accounts and --registries out"
                ));
            }
            let service = use_cases(&attachment.database).await?;
            service.detach(&me(), &attachment.principal, &grant).await?;
            print(&grant_lines(&service.principal(&attachment.principal).await?))
        }
        PolicyCommand::Rm(one) => {
            use_cases(&one.database).await?.remove_policy(&me(), &one.name).await?;
            print(&format!("{} is removed", one.name))
        }
    }
}

/// Warns of those who may do everything only because nobody said what they are for.
pub(crate) async fn warn_of_assumed(service: &Service) -> Result<()> {
    let names = service.assumed_admins().await?;
    if !names.is_empty() {
        tracing::warn!(
            principals = names.join(", "),
            "the access keys of these principals may do everything, and no guardrail holds for their pods, since nobody said what they are for: say it with `sluice policy attach --principal … --role …`"
        );
    }
    Ok(())
}

/// Whoever runs these commands.
fn me() -> Caller {
    Caller::of_commands()
}

fn tell_of_more(has_more: bool) {
    if has_more {
        eprintln!("sluice: there are more than {MOST_LISTED}, which are not listed");
    }
}

async fn use_cases(database: &Database) -> Result<Service> {
    let store = connect_checked(database).await?;
    Ok(without_requests(store, String::new().into(), String::new()))
}

async fn create_key(settings: CreateKey) -> Result<()> {
    let role = settings.role.map(|role| {
        granted_role(role, &settings.namespace, &settings.application, &settings.exceptions)
    });
    let wanted = WantedKey {
        name: settings.name,
        principal: settings.principal,
        person: settings.person,
        role: role.transpose()?,
        policy: settings.policy,
        assumes_admin: true,
        expires_at: settings.expires_in.map(from_now).transpose()?,
        schemes: settings.scheme.iter().map(|it| it.name().to_owned()).collect(),
        networks: settings.from,
    };
    let created = use_cases(&settings.database).await?.create_key(&me(), &wanted).await?;
    show(&created, settings.output)
}

fn show(created: &CreatedKey, output: Output) -> Result<()> {
    if created.assumed {
        eprintln!(
            "sluice: the key of {} may do everything, and no guardrail holds for its pods: give it a role with --role, or with `sluice policy attach --principal {} --role …`",
            created.principal, created.principal
        );
    }
    let secret = created.secret.expose_secret();
    match output {
        Output::Text => print(&format!("AccessKeyId {}\nAccessKeySecret {secret}", created.id)),
        Output::Json => print(
            &serde_json::json!({ "AccessKeyId": created.id, "AccessKeySecret": secret })
                .to_string(),
        ),
    }
}

/// A role with its scope, and with what goes beyond the guardrails.
fn granted_role(
    role: Role,
    namespace: &str,
    application: &str,
    exceptions: &RoleExceptions,
) -> Result<Grant> {
    let scope = Scope::read(namespace, application).map_err(|why| anyhow!("{why}"))?;
    let RoleExceptions { pod_security, service_accounts, registries } = exceptions;
    let exceptions = Exceptions::read(*pod_security, service_accounts.clone(), registries.clone());
    let exceptions = exceptions.map_err(|why| anyhow!("{why}"))?;
    Grant::wanted_role(role, scope, exceptions).map_err(|why| anyhow!("{why}"))
}

fn grant_of(attachment: &Attachment) -> Result<Grant> {
    match (attachment.role, &attachment.policy) {
        (Some(role), _) => {
            let Attachment { namespace, application, exceptions, .. } = attachment;
            granted_role(role, namespace, application, exceptions)
        }
        (None, Some(policy)) => Ok(policy_named(policy)),
        (None, None) => Err(anyhow!("--role or --policy must be given")),
    }
}

fn granted(grant: &Grant) -> String {
    match (&grant.policy, grant.role) {
        (Some(policy), _) => format!("policy {}", policy.name),
        (None, Some(Role::Admin)) => "role admin".to_owned(),
        (None, Some(role)) => format!(
            "role {role} for {} in namespace {}{}",
            grant.scope.application,
            grant.scope.namespace,
            exceptions(&grant.exceptions)
        ),
        (None, None) => String::new(),
    }
}

fn exceptions(exceptions: &Exceptions) -> String {
    let level = exceptions.pod_security.map(|level| format!("pod security {level}"));
    let list = |what: &str, names: &[String]| {
        (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")))
    };
    let accounts = list("service accounts", &exceptions.service_accounts);
    let images = list("images", &exceptions.registries);
    [level, accounts, images].into_iter().flatten().map(|told| format!(", {told}")).collect()
}

fn assumed(row: &PrincipalRow) -> &'static str {
    if row.assumed { " (nobody chose it)" } else { "" }
}

fn grant_lines(row: &PrincipalRow) -> String {
    if row.grants.is_empty() {
        return format!("{} may do nothing", row.name);
    }
    let lines: Vec<String> =
        row.grants.iter().map(|it| format!("granted: {}{}", granted(it), assumed(row))).collect();
    lines.join("\n")
}

fn key_line(key: &ListedKey) -> String {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "never".into(), |it| it.to_string());
    format!(
        "{}  {}  {}  {}  last used {}  ends {}",
        key.id,
        key.name,
        key.principal,
        key.state(Clock::default().now()),
        time(key.last_used_at),
        time(key.expires_at)
    )
}

fn key_lines(key: &ListedKey) -> String {
    let all = |texts: &[String]| if texts.is_empty() { "all".into() } else { texts.join(", ") };
    format!(
        "{}\nsignature schemes: {}\nnetworks: {}",
        key_line(key),
        all(&key.schemes),
        all(&key.networks)
    )
}

fn from_now(time: Duration) -> Result<Timestamp> {
    let time = SignedDuration::try_from(time).context("the time is too long")?;
    Clock::default().now().checked_add(time).context("the time is too long")
}

/// A policy's text, of which no more is read than a policy may have.
fn read(file: &Path) -> Result<String> {
    let most = u64::try_from(MOST_BYTES)? + 1;
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(most).read_to_string(&mut text)?;
    } else {
        let opened = std::fs::File::open(file);
        let opened = opened.with_context(|| format!("{} cannot be read", file.display()))?;
        opened.take(most).read_to_string(&mut text)?;
    }
    Ok(text)
}
