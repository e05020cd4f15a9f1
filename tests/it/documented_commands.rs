//! The commands, queries and policies in code blocks of documents against the program: whoever
//! copies one from a page finds that it is taken.

use clap::{Parser, error::ErrorKind};
use domain::access::Policy;
use edas::wire::{contract, offered};
use sluice::config::Cli;
use sqlx::{AssertSqlSafe, PgPool};

use crate::documents::{files, root};

/// What else documents call, and what runs the like of it. Steps are those of `scripts/test`.
const OTHERS: [(&str, &str); 15] = [
    ("cargo", "the steps rust and image"),
    ("cat", "writes a file for the command below it"),
    ("curl", "the steps image and demo, and tests of /readyz and /metrics"),
    ("docker", "the step image: buildah builds the same Dockerfile"),
    ("export", "the shell"),
    ("grep", "the shell"),
    ("helm", "the step kubelet"),
    ("journalctl", "shows what systemd kept of the log"),
    ("kubectl", "the steps kubelet and rust"),
    ("printf", "the shell"),
    ("psql", "the test of queries, below"),
    ("scripts/postgres", "each step with a database"),
    ("tests/testbed/cluster", "the steps rust and kubelet"),
    ("make", "the test of targets, below"),
    ("edas", "the test of operations, below"),
];

/// In place of an id that whoever copies a command fills in.
const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A code block of a document.
struct Block {
    page: String,
    language: String,
    text: String,
}

/// Every code block of the README and of `docs/`.
fn blocks() -> Vec<Block> {
    let mut pages = files(&root().join("docs"), &["md"]);
    pages.push(root().join("README.md"));
    let mut found = Vec::new();
    for path in pages {
        let page = path.strip_prefix(root()).unwrap().display().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut open: Option<Block> = None;
        for line in text.lines() {
            match (line.trim_start().strip_prefix("```"), open.take()) {
                (Some(_), Some(block)) => found.push(block),
                (Some(language), None) => {
                    let (page, language) = (page.clone(), language.to_owned());
                    open = Some(Block { page, language, text: String::new() });
                }
                (None, Some(mut block)) => {
                    block.text += line;
                    block.text.push('\n');
                    open = Some(block);
                }
                (None, None) => {}
            }
        }
    }
    found
}

/// The commands of a script, each as its words: what a shell makes of quotes, comments, lines
/// that go on, here-documents, pipes and lists, as far as documents use them.
fn commands(script: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
    let mut rest = script.replace("\\\n", " ");
    while let Some(at) = rest.find("<<'") {
        let mark = rest[at + 3..].split('\'').next().unwrap().to_owned();
        let end = rest.find(&format!("\n{mark}\n")).expect("a here-document ends");
        rest.replace_range(at..end + mark.len() + 1, "");
    }
    let mut characters = rest.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            quote @ ('\'' | '"') => {
                let word = word.get_or_insert_default();
                word.extend(characters.by_ref().take_while(|it| *it != quote));
            }
            '#' if word.is_none() => while characters.next_if(|it| *it != '\n').is_some() {},
            ' ' | '\t' => words.extend(word.take()),
            '\n' | '|' | ';' | '&' => {
                words.extend(word.take());
                if !words.is_empty() {
                    all.push(std::mem::take(&mut words));
                }
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    all.extend((!words.is_empty()).then_some(words));
    all
}

/// What a command runs in the end, without settings before it and redirections.
fn plain(words: &[String]) -> Vec<&str> {
    let is_setting = |word: &&str| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|it| it.is_ascii_uppercase() || it == '_')
        })
    };
    let words = words.iter().map(String::as_str).skip_while(is_setting);
    words.filter(|word| !word.starts_with('>') && !word.starts_with('<')).collect()
}

fn in_shell() -> Vec<(String, Vec<String>)> {
    let scripts = blocks().into_iter().filter(|block| block.language == "sh");
    scripts
        .flat_map(|block| commands(&block.text).into_iter().map(move |it| (block.page.clone(), it)))
        .collect()
}

/// The arguments of each call of a program.
fn calls_of(program: &str) -> Vec<(String, Vec<String>)> {
    let calls = in_shell().into_iter().filter_map(|(page, command)| {
        let (called, arguments) = plain(&command)
            .split_first()
            .map(|(it, rest)| (*it == program, rest.iter().map(ToString::to_string).collect()))?;
        called.then_some((page, arguments))
    });
    calls.collect()
}

fn is_program(word: &str) -> bool {
    word == "sluice" || word.ends_with("/sluice")
}

/// The arguments of `sluice`, also where it runs in a container.
fn of_sluice<'a>(words: &'a [&'a str]) -> Option<&'a [&'a str]> {
    if is_program(words[0]) {
        return Some(&words[1..]);
    }
    if !matches!(words[0], "docker" | "kubectl") || !words.contains(&"exec") {
        return None;
    }
    let at = words.iter().rposition(|word| *word == "sluice")?;
    Some(&words[at + 1..])
}

#[test]
fn every_command_in_a_document_is_one_that_the_program_takes() {
    let mut taken = 0;
    for (page, command) in in_shell() {
        let words = plain(&command);
        let Some(arguments) = words.first().and_then(|_| of_sluice(&words)) else { continue };
        taken += 1;
        let asked = ["sluice"].into_iter().chain(arguments.iter().map(|it| match *it {
            "UID" => ID,
            other => other,
        }));
        if let Err(error) = Cli::try_parse_from(asked) {
            // What comes from variables is set before, in another block.
            let from_variables =
                error.kind() == ErrorKind::MissingRequiredArgument
                    && error.to_string().lines().filter(|line| line.starts_with("  --")).all(
                        |line| line.contains("--database-url") || line.contains("--keyring-file"),
                    );
            assert!(from_variables, "{page}: {words:?}: {error}");
        }
    }
    assert!(taken > 50, "the reading finds commands: {taken}");
}

#[test]
fn whatever_else_documents_call_is_known_here() {
    for (page, command) in in_shell() {
        let words = plain(&command);
        let Some(name) = words.first().filter(|word| !is_program(word)) else { continue };
        assert!(OTHERS.iter().any(|(other, _)| other == name), "{page}: {name} of {words:?}");
    }
    for (name, _) in OTHERS {
        let is_called = in_shell().iter().any(|(_, it)| plain(it).first() == Some(&name));
        assert!(is_called, "no document calls {name} any more");
    }
}

#[test]
fn every_target_that_documents_make_is_there() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let script = std::fs::read_to_string(root().join("scripts/test")).unwrap();
    let steps = script.lines().find_map(|line| line.strip_prefix("all=(")).unwrap();
    let steps: Vec<&str> = steps.trim_end_matches(')').split(' ').collect();
    let mut seen = 0;
    for (page, words) in calls_of("make") {
        seen += 1;
        let target = format!("\n{}: ##", words[0]);
        assert!(makefile.contains(&target), "{page}: make {}", words[0]);
        for step in words.iter().filter_map(|word| word.strip_prefix("STEPS=")) {
            assert!(step.split(' ').all(|it| steps.contains(&it)), "{page}: {step}");
        }
    }
    assert!(seen > 3, "the reading finds targets: {seen}");
}

#[test]
fn every_operation_that_documents_call_takes_the_parameters_that_they_name() {
    let mut seen = 0;
    for (page, words) in calls_of("edas") {
        seen += 1;
        let (called, parameters) = words.split_first().unwrap();
        let mut declared = contract::operations().iter().chain(contract::own());
        let operation = declared.find(|it| it.name == *called).unwrap();
        assert!(offered::offer(called).is_some(), "{page}: {called} is not offered");
        for word in parameters {
            let (name, _) = word.split_once('=').unwrap();
            assert!(operation.takes(name), "{page}: {called} has no {name}");
        }
    }
    assert!(seen > 3, "the reading finds operations: {seen}");
}

#[test]
fn every_policy_in_a_document_is_one_that_can_be_created() {
    let policies = blocks()
        .into_iter()
        .filter(|block| block.language == "json" && block.text.contains("\"Statement\""));
    let mut seen = 0;
    for Block { page, text, .. } in policies {
        seen += 1;
        let read = Policy::read(&text, offered::knows_action);
        assert!(read.is_ok(), "{page}: {text}: {:?}", read.err());
    }
    assert!(seen > 2, "the reading finds policies: {seen}");
}

/// In a transaction that is rolled back.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_query_in_a_document_is_answered(pool: PgPool) {
    let mut seen = 0;
    for (page, words) in calls_of("psql") {
        seen += 1;
        let at = words.iter().position(|word| word == "-c").expect("it has its query with it");
        let query = words[at + 1].replace("'ORDER'", &format!("'{ID}'"));
        let query = query.replace("'APPLICATION'", &format!("'{ID}'"));
        let mut transaction = pool.begin().await.unwrap();
        let answer = sqlx::raw_sql(AssertSqlSafe(query.clone())).execute(&mut *transaction).await;
        assert!(answer.is_ok(), "{page}: {query}: {:?}", answer.err());
        transaction.rollback().await.unwrap();
    }
    assert!(seen > 4, "the reading finds queries: {seen}");
}
