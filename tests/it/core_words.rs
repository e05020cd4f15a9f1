//! The core speaks in words of its own. EDAS' names stand in `edas`, which puts them into
//! the messages of the core: a console, a command line and a log have no use for them.

use std::collections::BTreeSet;

use edas::wire::contract;
use proc_macro2::{TokenStream, TokenTree};

use super::documents::{files, root};

/// Policies name operations, so the language of policies has their names.
const OF_POLICIES: [&str; 2] = ["src/domain/src/access", "src/domain/src/action.rs"];

/// The crates that do not know EDAS.
const CORE: &[&str] =
    &["cluster", "console", "domain", "executor", "notify", "package", "service", "store"];

#[test]
fn the_core_says_no_name_of_an_operation_or_a_parameter_of_edas() {
    let names = names();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for name in CORE {
        for file in files(&root().join("src").join(name).join("src"), &["rs"]) {
            if OF_POLICIES.iter().any(|of| file.starts_with(root().join(of))) {
                continue;
            }
            seen += 1;
            let source = std::fs::read_to_string(&file).unwrap();
            for text in texts(&source, Reading::All) {
                let found = said(&text, &names).map(|name| format!("{}: {name}", file.display()));
                wrong.extend(found);
            }
        }
    }
    assert!(wrong.is_empty(), "only edas says these names:\n{}", wrong.join("\n"));
    assert!(seen > 150, "the reading finds files: {seen}");
}

/// The command line speaks the API, so it sends these names. Its own sentences have none.
#[test]
fn the_command_line_says_no_name_of_an_operation_or_a_parameter_of_edas() {
    let names = names();
    let (mut wrong, mut sent) = (Vec::new(), 0);
    for file in files(&root().join("src/client/src"), &["rs"]) {
        let source = std::fs::read_to_string(&file).unwrap();
        for text in texts(&source, Reading::WithoutTests) {
            let found: Vec<_> = said(&text, &names).collect();
            if text.contains(' ') {
                wrong.extend(found.iter().map(|name| format!("{}: {name}", file.display())));
            } else {
                sent += found.len();
            }
        }
    }
    assert!(wrong.is_empty(), "a person reads these names:\n{}", wrong.join("\n"));
    assert!(sent > 5, "the reading finds what is sent: {sent}");
}

#[test]
fn a_name_of_edas_is_found_in_each_place_where_a_text_can_stand() {
    let source = "//! About AppId.
        /// Of DeployK8sApplication.
        const A: &str = \"give\\nBatchWaitTime\"; // AppName is no text
        fn b() -> String { format!(\"{}{}\", r#\"PackageUrl=\"#, [vec![\"(UpdateStrategy)\"]]) }
        struct AppIds { #[error(\"no ClusterId\")] timeout: u8 }
        mod tests { const C: &str = \"SlbId\"; const D: &str = \"minReadySeconds, MyAppIdent\"; }";
    let names = names();
    let found = |reading| -> Vec<String> {
        let texts = texts(source, reading);
        texts.iter().flat_map(|text| said(text, &names).map(str::to_owned)).collect()
    };
    let expected = [
        "AppId",
        "DeployK8sApplication",
        "BatchWaitTime",
        "PackageUrl",
        "UpdateStrategy",
        "ClusterId",
        "SlbId",
    ];
    assert_eq!(found(Reading::All), expected);
    assert_eq!(found(Reading::WithoutTests), expected[..6]);
}

/// EDAS' names that are no words: those with a capital letter after a small one.
fn names() -> BTreeSet<&'static str> {
    let operations = || contract::operations().iter().chain(contract::own());
    let parameters = operations().flat_map(|it| it.query.iter());
    let all = operations().map(|it| &it.name).chain(parameters).map(String::as_str);
    let names: BTreeSet<_> = all.filter(|name| has_humps(name)).collect();
    assert!(names.len() > 400, "the contract has names: {}", names.len());
    names
}

fn has_humps(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.as_bytes().windows(2).any(|two| {
            (two[0].is_ascii_lowercase() || two[0].is_ascii_digit()) && two[1].is_ascii_uppercase()
        })
}

/// Kubernetes has a word for it, too.
const OF_KUBERNETES: &str = "PodSecurity";

/// The names that a text has as whole words.
fn said<'a>(text: &'a str, names: &BTreeSet<&str>) -> impl Iterator<Item = &'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| names.contains(word) && *word != OF_KUBERNETES)
}

#[derive(Clone, Copy, PartialEq)]
enum Reading {
    All,
    WithoutTests,
}

/// The string literals of a source, and its comments that are documentation.
fn texts(source: &str, reading: Reading) -> Vec<String> {
    let mut found = Vec::new();
    collect(source.parse().unwrap(), reading, &mut found);
    found
}

fn collect(tokens: TokenStream, reading: Reading, found: &mut Vec<String>) {
    // Whether the tokens before are `mod tests`.
    let (mut is_mod, mut is_tests) = (false, false);
    for token in tokens {
        match &token {
            TokenTree::Group(group) => {
                if reading == Reading::All || !is_tests {
                    collect(group.stream(), reading, found);
                }
            }
            // An escape such as `\n` is no letter of the word behind it.
            TokenTree::Literal(literal) => found.push(literal.to_string().replace("\\n", " ")),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
        let word =
            if let TokenTree::Ident(word) = &token { word.to_string() } else { String::new() };
        is_tests = is_mod && word == "tests";
        is_mod = word == "mod";
    }
}
