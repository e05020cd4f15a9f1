//! One way down: which part of the program may use which. Module privacy cannot
//! say this, so the source is read and every other arrow between the parts fails.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use syn::{UseTree, visit::Visit};

/// Each part of the program, and the parts that it may use besides itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("cluster", &["domain"]),
    ("config", &["domain"]),
    ("domain", &[]),
    ("executor", &["clock", "cluster", "domain", "store"]),
    ("fetch", &["config", "domain", "package"]),
    ("http", &["domain", "service"]),
    ("package", &["domain"]),
    ("service", &["clock", "domain", "package", "store"]),
    ("simulated", &[]),
    ("store", &["domain"]),
];

/// What `domain` may use from outside: nothing that does I/O, waits or tells the time.
const PURE: &[&str] = &[
    "std",
    "granit_parser",
    "hex",
    "ipnet",
    "jiff",
    "quick_xml",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "thiserror",
    "url",
    "uuid",
];

/// Calls that would let `domain` know the time by itself.
const CLOCKS: &[&str] = &["Timestamp::now", "Zoned::now", "Instant::now", "SystemTime::now"];

#[test]
fn no_part_uses_another_that_it_must_not_know() {
    let mut wrong = Vec::new();
    for (part, uses) in &parts() {
        let allowed = ARROWS.iter().find(|(name, _)| name == part).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            wrong.push(format!("{part} is not in the table of arrows"));
            continue;
        };
        for (file, path) in &uses.own {
            let target = path.as_str();
            if target != part && !allowed.contains(&target) {
                wrong.push(format!("{}: {part} → {target}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "forbidden arrows:\n{}", wrong.join("\n"));
}

#[test]
fn the_domain_is_pure() {
    let parts = parts();
    let domain = &parts["domain"];
    let foreign = domain.foreign.iter().filter(|(_, name)| !PURE.contains(&name.as_str()));
    let clocks = domain.calls.iter().filter(|(_, call)| CLOCKS.iter().any(|clock| call.ends_with(clock)));
    let wrong: Vec<String> = foreign.chain(clocks).map(|(file, what)| format!("{}: {what}", file.display())).collect();
    assert!(wrong.is_empty(), "the domain must not know:\n{}", wrong.join("\n"));
}

#[test]
fn every_part_is_looked_at() {
    let found: Vec<String> = parts().into_keys().collect();
    let listed: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, listed, "the table of arrows and src/ have the same parts");
    // The reading itself: arrows that are known to be there are found, in each way of writing them.
    let mut uses = Uses::default();
    let source = "use crate::{store::{Lease, Store}, domain}; mod inner { fn f() { super::super::super::cluster::f(); crate::http::g() } }";
    read(source, Path::new("src/service/mod.rs"), &["service".into(), "abort".into()], &mut uses);
    let own: Vec<&str> = uses.own.iter().map(|(_, target)| target.as_str()).collect();
    assert_eq!(own, ["store", "store", "domain", "cluster", "http"]);
}

/// What one part uses, each with the file it was found in.
#[derive(Debug, Default)]
struct Uses {
    /// Parts of this program.
    own: Vec<(PathBuf, String)>,
    /// Other crates, as far as `use` names them.
    foreign: Vec<(PathBuf, String)>,
    /// Paths with two names or more that stand in expressions.
    calls: Vec<(PathBuf, String)>,
}

/// The program's parts: every module of `src`, but for the two that put them
/// together, and for tests, which may stand on everything.
fn parts() -> BTreeMap<String, Uses> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut parts = BTreeMap::new();
    for file in sources(&root.join("src")) {
        let inside = file.strip_prefix(root.join("src")).unwrap();
        let mut module: Vec<String> = inside.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if module == ["lib"] || module == ["main"] || module.iter().any(|name| name == "tests") {
            continue;
        }
        if module.last().is_some_and(|name| name == "mod") {
            module.pop();
        }
        let uses: &mut Uses = parts.entry(module[0].clone()).or_default();
        read(&std::fs::read_to_string(&file).unwrap(), inside, &module, uses);
    }
    parts
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(source: &str, file: &Path, module: &[String], uses: &mut Uses) {
    let parsed = syn::parse_file(source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let declared = parsed.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    });
    Reader { file, module: module.to_vec(), children: declared.collect(), uses }.visit_file(&parsed);
}

/// Walks through a file and notes every path that leads out of its part.
struct Reader<'a> {
    file: &'a Path,
    /// The module that the walk is in, from the crate's root.
    module: Vec<String>,
    /// Modules that the file declares: a `use` may begin with one.
    children: Vec<String>,
    uses: &'a mut Uses,
}

impl Reader<'_> {
    /// Notes a path: `crate::…` and `super::…` lead to a part of this program.
    fn note(&mut self, path: &[String], is_use: bool) {
        let mut at = self.module.clone();
        let ups = path.iter().take_while(|name| *name == "super").count();
        let target = match path.first().map(String::as_str) {
            Some("crate") => path.get(1).cloned(),
            Some("super") => {
                at.truncate(at.len().saturating_sub(ups));
                if at.is_empty() { path.get(ups).cloned() } else { None }
            }
            Some("self") | None => None,
            Some(name) if is_use && path.len() > 1 && !self.children.iter().any(|child| child == name) => {
                self.uses.foreign.push((self.file.to_owned(), name.to_owned()));
                None
            }
            Some(_) => None,
        };
        if let Some(target) = target {
            self.uses.own.push((self.file.to_owned(), target));
        }
    }

    fn note_tree(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_tree(before, &path.tree);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.note_tree(before, item)),
            UseTree::Name(name) => self.note_leaf(before, name.ident.to_string()),
            UseTree::Rename(name) => self.note_leaf(before, name.ident.to_string()),
            UseTree::Glob(_) => self.note_leaf(before, "*".into()),
        }
    }

    fn note_leaf(&mut self, before: &[String], name: String) {
        let mut path = before.to_vec();
        path.push(name);
        self.note(&path, true);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident == "tests" {
            return;
        }
        self.module.push(module.ident.to_string());
        syn::visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&names, false);
        if names.len() > 1 {
            self.uses.calls.push((self.file.to_owned(), names.join("::")));
        }
        syn::visit::visit_path(self, path);
    }
}
