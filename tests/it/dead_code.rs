//! What nothing uses. Within a crate the compiler finds it; what a crate offers to the
//! others, and none of them takes, is found here.

use std::collections::HashMap;

use syn::{ImplItem, Item, Visibility};

use super::documents::{files, root};

#[test]
fn nothing_is_offered_that_nobody_uses() {
    let mut words = HashMap::new();
    let mut offered = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for file in files(&root().join(folder), &["rs"]) {
            let source = std::fs::read_to_string(&file).unwrap();
            count(&source, &mut words);
            // `simulated` is a library: others use what we do not.
            let is_test = file.iter().any(|name| name == "tests" || name == "tests.rs");
            if folder == "src" && !is_test && !file.starts_with(root().join("src/simulated")) {
                let parsed = syn::parse_file(&source).unwrap();
                offered.extend(public(&parsed.items).into_iter().map(|name| (name, file.clone())));
            }
        }
    }
    assert!(offered.len() > 500, "the reading finds names: {}", offered.len());
    let dead: Vec<String> = offered
        .into_iter()
        .filter(|(name, _)| words[name] < 2)
        .map(|(name, file)| format!("{name} in {}", file.display()))
        .collect();
    assert!(dead.is_empty(), "nothing uses:\n{}", dead.join("\n"));
}

#[test]
fn what_nobody_uses_is_found() {
    let source = "pub fn used() {} pub fn dead() { used() } pub struct Kept; impl Kept { pub fn unheard() {} }
        const X: Option<Kept> = None; mod inner { pub const GONE: u8 = 1; } // dead";
    let mut words = HashMap::new();
    count(source, &mut words);
    let mut dead = public(&syn::parse_file(source).unwrap().items);
    dead.retain(|name| words[name] < 2);
    assert_eq!(dead, ["dead", "unheard", "GONE"]);
}

/// Counts the words of a source, but those of comments.
fn count(source: &str, words: &mut HashMap<String, usize>) {
    for line in source.lines() {
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        for word in code.split(|c: char| !c.is_alphanumeric() && c != '_') {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
}

/// The names of functions, types and constants that other files may use.
fn public(items: &[Item]) -> Vec<String> {
    let is_public = |visibility: &Visibility| !matches!(visibility, Visibility::Inherited);
    let mut names = Vec::new();
    for item in items {
        let found = match item {
            Item::Fn(item) => Some((&item.vis, &item.sig.ident)),
            Item::Const(item) => Some((&item.vis, &item.ident)),
            Item::Static(item) => Some((&item.vis, &item.ident)),
            Item::Struct(item) => Some((&item.vis, &item.ident)),
            Item::Enum(item) => Some((&item.vis, &item.ident)),
            Item::Trait(item) => Some((&item.vis, &item.ident)),
            Item::Type(item) => Some((&item.vis, &item.ident)),
            Item::Mod(item) => {
                names.extend(item.content.iter().flat_map(|(_, items)| public(items)));
                None
            }
            Item::Impl(item) if item.trait_.is_none() => {
                names.extend(item.items.iter().filter_map(|item| match item {
                    ImplItem::Fn(item) if is_public(&item.vis) => Some(item.sig.ident.to_string()),
                    ImplItem::Const(item) if is_public(&item.vis) => Some(item.ident.to_string()),
                    _ => None,
                }));
                None
            }
            _ => None,
        };
        names.extend(
            found.filter(|(visibility, _)| is_public(visibility)).map(|(_, name)| name.to_string()),
        );
    }
    names
}
