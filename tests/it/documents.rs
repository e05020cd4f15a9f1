//! The documents against the program that they describe: a setting, an operation, a
//! column or a rule that is missing on its page fails here, and so does one that no
//! longer exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, CommandFactory, Subcommand};
use client::{ClientCommand, End};
use edas::wire::{contract, offered};
use serde_json::Value;
use sluice::config::Cli;
use sqlx::{PgPool, Row};

/// Most lines of the README.
const README_LINES: usize = 150;

/// How many rules of each kind `docs/wire-rules.md` defines, from 1.
const RULES: [(char, usize); 2] = [('R', 32), ('K', 21)];

/// The repository: the folder that has the documents.
pub fn root() -> &'static Path {
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above
        .find(|folder| folder.join("docs/wire-rules.md").exists())
        .expect("the repository has its documents")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Files beneath `folder` whose names end in one of `endings`, sorted.
pub fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if path.extension().is_some_and(|ending| endings.iter().any(|it| ending == *it)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every document: those at the root, and all of `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
        .map(|name| root().join(name))
        .into();
    found.extend(files(&root().join("docs"), &["md"]));
    found
}

/// The lines of a document that are not in a code block.
fn prose(document: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    document.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The headings of a document as they are linked to: lower case, blanks as dashes, and
/// no other punctuation.
fn anchors(document: &str) -> BTreeSet<String> {
    let headings = prose(document)
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| -> String {
        let words = heading.to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(anchor).collect()
}

/// The targets of the links in a document.
fn links(document: &str) -> Vec<&str> {
    prose(document)
        .flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()))
        .collect()
}

/// The part of a document under a heading, up to the next one of the same level.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let level = heading.split(' ').next().unwrap();
    let (_, rest) = document
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("there is no heading {heading}"));
    rest.split(&format!("\n{level} ")).next().unwrap()
}

/// The rows of a document's tables: their cells, without the code marks of a cell that
/// is nothing but code.
fn rows<'a>(document: &'a str) -> Vec<Vec<&'a str>> {
    let bare = |cell: &'a str| {
        cell.strip_prefix('`')
            .and_then(|it| it.strip_suffix('`'))
            .filter(|it| !it.contains('`'))
            .unwrap_or(cell)
    };
    let lines = document.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines
        .filter(|line| !line.starts_with(" ---"))
        .map(|line| line.split('|').map(|cell| bare(cell.trim())).collect())
        .collect()
}

#[test]
fn the_readme_is_short_enough_to_be_read() {
    let lines = text("README.md").lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines: move something to docs/");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (mut wrong, mut followed) = (Vec::new(), 0);
    for path in documents() {
        let document = std::fs::read_to_string(&path).unwrap();
        for link in links(&document).into_iter().filter(|link| !link.contains("://")) {
            followed += 1;
            let (file, heading) =
                link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let Ok(read) = std::fs::read(&target) else {
                wrong.push(format!("{}: {link} leads to no file", path.display()));
                continue;
            };
            let read = String::from_utf8_lossy(&read);
            if heading.is_some_and(|heading| !anchors(&read).contains(heading)) {
                wrong.push(format!("{}: {link} leads to no heading", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(followed > 50, "the reading finds links: {followed}");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let mut reached = BTreeSet::new();
    let mut left = vec![root().join("README.md")];
    while let Some(path) = left.pop() {
        if !reached.insert(path.canonicalize().unwrap())
            || path.extension().is_none_or(|ending| ending != "md")
        {
            continue;
        }
        let document = std::fs::read_to_string(&path).unwrap();
        for link in links(&document).into_iter().filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap();
            if !file.is_empty() {
                left.push(path.parent().unwrap().join(file));
            }
        }
    }
    let lost: Vec<_> = documents()
        .into_iter()
        .filter(|path| !reached.contains(&path.canonicalize().unwrap()))
        .collect();
    assert!(lost.is_empty(), "nothing links to {lost:?}");
}

#[test]
fn every_file_of_the_repository_that_a_document_names_is_there() {
    let folders =
        ["src/", "tests/", "scripts/", "migrations/", "openapi/", "docs/", "demo/", "benches/"];
    let mut wrong = Vec::new();
    let mut named = 0;
    for path in documents() {
        let document = std::fs::read_to_string(&path).unwrap();
        let code = prose(&document).flat_map(|line| line.split('`').skip(1).step_by(2));
        let is_path = |text: &&str| {
            folders.iter().any(|folder| text.starts_with(folder))
                && !text.contains(['<', ' ', '*', '#'])
        };
        for name in code.filter(is_path) {
            named += 1;
            if !root().join(name).exists() {
                wrong.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(named > 40, "the reading finds names of files: {named}");
}

#[test]
fn no_document_names_a_path_of_somebodys_machine() {
    // Where EDAS puts packages into a container is a path that users see.
    let allowed = ["/home/admin/app"];
    let folders = ["work", "root", "home", "Users"].map(|name| format!("/{name}/"));
    let mut wrong = Vec::new();
    let rights = root().join("docs/rights.yaml");
    for path in documents().into_iter().chain([rights]) {
        let document = std::fs::read_to_string(&path).unwrap();
        for line in document.lines() {
            let rest = allowed.iter().fold(line.to_owned(), |line, path| line.replace(path, ""));
            if rest.contains("C:\\") || folders.iter().any(|folder| rest.contains(folder)) {
                wrong.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A setting as `docs/configure.md` tells it: flag, variable, default.
type Setting = (String, String, String);

/// The program's commands that do something, by their names.
fn commands(command: &Command, before: &str) -> BTreeMap<String, BTreeSet<Setting>> {
    let name = if before.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{before} {}", command.get_name())
    };
    let inner: BTreeMap<_, _> = command
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
        .flat_map(|it| commands(it, &name))
        .collect();
    if inner.is_empty() {
        [(name, command.get_arguments().filter_map(setting).collect())].into()
    } else {
        inner
    }
}

fn setting(argument: &Arg) -> Option<Setting> {
    let flag = argument.get_long().filter(|flag| !["help", "version"].contains(flag))?;
    let variable =
        argument.get_env().map(|name| name.to_str().unwrap().to_owned()).unwrap_or_default();
    let values: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_str().unwrap()).collect();
    let default = if matches!(argument.get_action(), ArgAction::SetTrue) {
        "off".to_owned()
    } else {
        values.join(",")
    };
    Some((format!("--{flag}"), variable, default))
}

#[test]
fn every_setting_of_every_command_is_in_the_document_with_its_variable_and_default() {
    let document = text("docs/configure.md");
    let mut program = Cli::command();
    program.build();
    let commands = commands(&program, "");
    assert!(commands["sluice serve"].len() > 25, "the reading finds settings: {commands:?}");
    let asking = ClientCommand::augment_subcommands(Command::new("sluice"));
    let asks = |command: &str| {
        let name = command.split(' ').nth(1).unwrap_or_default();
        asking.get_subcommands().any(|it| it.get_name() == name)
    };
    for (command, settings) in commands.into_iter().filter(|(command, _)| !asks(command)) {
        let part = section(&document, &format!("## `{command}`"));
        let told: Vec<Setting> = rows(part)
            .iter()
            .filter(|row| row[0].starts_with("--"))
            .map(|row| (row[0].to_owned(), row[1].to_owned(), row[2].to_owned()))
            .collect();
        let unique: BTreeSet<Setting> = told.iter().cloned().collect();
        assert_eq!(unique.len(), told.len(), "{command}: a setting is told twice");
        let missing: Vec<_> = settings.difference(&unique).collect();
        let stale: Vec<_> = unique.difference(&settings).collect();
        assert!(
            missing.is_empty() && stale.is_empty(),
            "{command}: docs/configure.md lacks {missing:?} and should not have {stale:?}"
        );
    }
}

#[test]
fn every_command_that_asks_a_server_is_in_its_document_with_its_options() {
    let document = text("docs/command-line.md");
    let mut program = ClientCommand::augment_subcommands(Command::new("sluice"));
    program.build();
    let mut seen = 0;
    for (command, settings) in commands(&program, "") {
        assert!(document.contains(&format!("`{command}")), "{command}");
        for (flag, variable, _) in settings {
            seen += 1;
            assert!(document.contains(&format!("`{flag}")), "{command} {flag}");
            assert!(document.contains(&variable), "{command} {variable}");
        }
    }
    assert!(seen > 50, "the reading finds options: {seen}");
    let shown = rows(section(&document, "## Exit codes"));
    let told: Vec<&str> = shown.iter().map(|row| row[0]).filter(|it| *it != "code").collect();
    let all = [
        End::Done,
        End::Failed,
        End::Usage,
        End::RolledBack,
        End::Refused,
        End::NeedsPerson,
        End::Aborted,
        End::NotAllowed,
        End::NotFound,
        End::Unreachable,
        End::TimedOut,
        End::Interrupted,
    ];
    assert_eq!(told, all.map(|end| end.code().to_string()));
}

#[test]
fn every_setting_of_the_server_says_what_it_means() {
    let document = text("docs/configure.md");
    for row in
        rows(section(&document, "## `sluice serve`")).iter().filter(|row| row[0].starts_with("--"))
    {
        assert!(row.len() == 4 && row[3].len() > 20, "{row:?}");
    }
}

#[test]
fn every_operation_that_is_offered_is_in_the_document_with_its_verb_and_path() {
    let document = text("docs/edas-operations.md");
    let is_verb =
        |cell: &str| ["GET ", "POST ", "PUT ", "DELETE "].iter().any(|verb| cell.starts_with(verb));
    let told: BTreeSet<(String, String)> = rows(&document)
        .iter()
        .filter(|row| row.len() == 3 && is_verb(row[1]))
        .map(|row| (row[0].to_owned(), row[1].replace('`', "")))
        .collect();
    let offered: BTreeSet<(String, String)> = offered::OFFERS
        .iter()
        .map(|offer| {
            let named = told.iter().find(|(name, _)| name == offer.operation);
            let target = named.and_then(|(_, target)| target.split_once(' '));
            let declared =
                target.and_then(|(verb, path)| contract::find(&verb.parse().unwrap(), path));
            // What the document says leads to this operation, or what it must say is not known here.
            let is_right = declared.is_some_and(|it| it.name == offer.operation);
            (
                offer.operation.to_owned(),
                if is_right { named.unwrap().1.clone() } else { "its verb and path".to_owned() },
            )
        })
        .collect();
    assert_eq!(told, offered);
}

/// The words of a text that look like `R7` or `K12`.
fn citations(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| {
        word.strip_prefix(['R', 'K']).is_some_and(|number| {
            (1..=2).contains(&number.len()) && number.bytes().all(|c| c.is_ascii_digit())
        })
    })
}

#[test]
fn every_rule_that_the_source_cites_is_a_heading() {
    let document = text("docs/wire-rules.md");
    let headings: BTreeSet<&str> =
        document.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let expected: BTreeSet<String> = RULES
        .iter()
        .flat_map(|(kind, most)| (1..=*most).map(move |number| format!("{kind}{number}")))
        .collect();
    assert_eq!(headings, expected.iter().map(String::as_str).collect::<BTreeSet<_>>());
    let mut cited = 0;
    let mut lost = Vec::new();
    let folders = ["src", "tests", "benches", "demo", "scripts"].map(|folder| root().join(folder));
    let sources = folders
        .iter()
        .flat_map(|folder| files(folder, &["rs", "py", "js", "go", "java", "sh", "yaml", "md"]));
    for path in sources.chain(documents()) {
        for citation in citations(&std::fs::read_to_string(&path).unwrap()) {
            cited += 1;
            if !headings.contains(citation) {
                lost.push(format!("{}: {citation}", path.display()));
            }
        }
    }
    assert!(lost.is_empty(), "cited, and no heading of docs/wire-rules.md:\n{}", lost.join("\n"));
    assert!(cited > 80, "the reading finds citations: {cited}");
    assert_eq!(
        citations("(R7), K12: not K8s, R2D2 or BOOK1; R123").collect::<Vec<_>>(),
        ["R7", "K12"]
    );
}

#[test]
fn every_rule_names_the_client_that_breaks() {
    let document = text("docs/wire-rules.md");
    for (kind, most) in RULES {
        for number in 1..=most {
            let rule = section(&document, &format!("### {kind}{number}"));
            let said = rule.split("\n## ").next().unwrap().split_once("Breaks:");
            assert!(
                said.is_some_and(|(why, who)| why.len() > 40 && who.trim().len() > 4),
                "{kind}{number}"
            );
        }
    }
}

/// What a rule of a role, a reference or a subject has under a key: texts, at least one.
pub fn texts(value: &Value, key: &str) -> Vec<String> {
    let found: Vec<String> = value[key]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect();
    assert!(!found.is_empty(), "{key} is missing in {value}");
    found
}

/// The objects of `docs/rights.yaml`.
pub fn rights() -> Vec<Value> {
    serde_saphyr::from_multiple(&text("docs/rights.yaml")).unwrap()
}

#[test]
fn the_rights_are_roles_that_kubernetes_can_read() {
    let objects = rights();
    let of_kind = |kind: &str| objects.iter().filter(|it| it["kind"] == kind).collect::<Vec<_>>();
    let (roles, bindings, accounts) =
        (of_kind("ClusterRole"), of_kind("ClusterRoleBinding"), of_kind("ServiceAccount"));
    assert_eq!((roles.len(), bindings.len(), accounts.len()), (4, 4, 1));
    assert_eq!(
        objects.len(),
        roles.len() + bindings.len() + accounts.len() + of_kind("Namespace").len()
    );
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
    for role in &roles {
        assert_eq!(role["apiVersion"], "rbac.authorization.k8s.io/v1");
        for rule in role["rules"].as_array().unwrap() {
            let keys: Vec<&String> = rule.as_object().unwrap().keys().collect();
            assert_eq!(keys.len(), 3, "{keys:?}");
            let (groups, resources, allowed) =
                (texts(rule, "apiGroups"), texts(rule, "resources"), texts(rule, "verbs"));
            assert!(allowed.iter().all(|verb| verbs.contains(&verb.as_str())), "{allowed:?}");
            assert!(
                groups.iter().chain(&resources).all(|it| it != "*"),
                "nothing is granted as a whole: {rule}"
            );
        }
    }
    for binding in &bindings {
        let role = &binding["roleRef"];
        assert_eq!(role["apiGroup"], "rbac.authorization.k8s.io");
        assert_eq!(role["kind"], "ClusterRole");
        assert!(roles.iter().any(|it| it["metadata"]["name"] == role["name"]), "{role}");
        for subject in binding["subjects"].as_array().unwrap() {
            assert_eq!(subject["kind"], "ServiceAccount");
            let is_it = |it: &&Value| {
                it["metadata"]["name"] == subject["name"]
                    && it["metadata"]["namespace"] == subject["namespace"]
            };
            assert!(accounts.iter().any(is_it), "{subject}");
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_table_and_column_is_in_the_document(pool: PgPool) {
    let document = text("docs/data-model.md");
    let found = sqlx::query(
        "SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let found: BTreeSet<(String, String)> =
        found.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut told = BTreeSet::new();
    for part in document.split("\n## `").skip(1) {
        let (table, part) = part.split_once('`').unwrap();
        for row in rows(part.split("\n## ").next().unwrap()).iter().filter(|row| row[0] != "column")
        {
            assert!(
                row.len() == 3 && row[1..].iter().all(|cell| !cell.is_empty()),
                "{table}: {row:?}"
            );
            assert!(
                told.insert((table.to_owned(), row[0].to_owned())),
                "{table}: {row:?} is told twice"
            );
        }
    }
    let missing: Vec<_> = found.difference(&told).collect();
    let stale: Vec<_> = told.difference(&found).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "docs/data-model.md lacks {missing:?} and should not have {stale:?}"
    );
}
