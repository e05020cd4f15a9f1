//! The rooms of a crate, which are the modules at its root: which uses which, and that no
//! two use each other, not even by way of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use syn::{UseTree, visit::Visit};

use super::documents::{files, root};

type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_rooms_of_a_crate_go_round_in_a_circle() {
    // `simulated` has one that is honest: one state of a cluster under one lock.
    for name in [
        "domain", "store", "cluster", "package", "service", "executor", "edas", "client",
        "console", "notify",
    ] {
        let arrows = arrows(&root().join(format!("src/{name}/src")));
        assert_eq!(circle(&arrows), None, "in {name}");
    }
    let seen: usize = arrows(&root().join("src/domain/src")).values().map(BTreeSet::len).sum();
    assert!(seen > 10, "the reading finds arrows: {seen}");
}

#[test]
fn a_circle_is_found_also_by_way_of_others() {
    let of = |pairs: &[(&str, &str)]| -> Arrows {
        let mut arrows = Arrows::new();
        for (from, to) in pairs {
            arrows.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        arrows
    };
    assert_eq!(circle(&of(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    assert_eq!(circle(&of(&[("a", "b"), ("b", "c"), ("c", "a")])), Some("a".to_owned()));
    let source = "use crate::{b::X, c}; use super::{super::f}; use super::super::{g::Z, h};
        fn f() { crate::d::g(); super::i::j(); super::super::k::l(); } mod tests { use crate::e::Y; }";
    let mut reader = Reader { depth: 2, ..Reader::default() };
    reader.visit_file(&syn::parse_file(source).unwrap());
    assert_eq!(reader.rooms, ["b", "c", "d", "g", "h", "k"].map(str::to_owned).into());
    assert_eq!(
        ["a.rs", "a/mod.rs", "a/b.rs", "a/b/mod.rs"].map(|file| depth(Path::new(file))),
        [1, 1, 2, 2]
    );
}

/// A room that leads back to itself.
fn circle(arrows: &Arrows) -> Option<String> {
    arrows.keys().find(|room| reached(arrows, room).contains(*room)).cloned()
}

fn reached(arrows: &Arrows, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left: Vec<&String> = arrows.get(from).into_iter().flatten().collect();
    while let Some(room) = left.pop() {
        if found.insert(room.clone()) {
            left.extend(arrows.get(room).into_iter().flatten());
        }
    }
    found
}

/// What each room of the crate in `folder` uses of the others, tests left out.
fn arrows(folder: &Path) -> Arrows {
    let is_test = |file: &Path| file.iter().any(|part| part == "tests" || part == "tests.rs");
    let room = |file: &Path| {
        let first = file.strip_prefix(folder).unwrap().iter().next().unwrap();
        first.to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let files = files(folder, &["rs"]);
    let rooms: BTreeSet<String> = files.iter().map(|file| room(file)).collect();
    let mut arrows = Arrows::new();
    for file in files.iter().filter(|file| !is_test(file)) {
        let own = room(file);
        // The root knows all of them, and hands out what is named most.
        if own == "lib" || own == "main" {
            continue;
        }
        let mut reader =
            Reader { depth: depth(file.strip_prefix(folder).unwrap()), ..Reader::default() };
        reader.visit_file(&syn::parse_file(&std::fs::read_to_string(file).unwrap()).unwrap());
        let others = reader.rooms.into_iter().filter(|name| *name != own && rooms.contains(name));
        arrows.entry(own.clone()).or_default().extend(others);
    }
    arrows
}

/// How many modules lie between a file's own and the root of its crate, its own counted.
fn depth(file: &Path) -> usize {
    let parts = file.components().count();
    if file.ends_with("mod.rs") { parts - 1 } else { parts }
}

/// Collects what follows `crate::`, or as many `super::` as lead there.
#[derive(Default)]
struct Reader {
    depth: usize,
    rooms: BTreeSet<String>,
}

impl Reader {
    fn heads(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => _ = self.rooms.insert(path.ident.to_string()),
            UseTree::Name(name) => _ = self.rooms.insert(name.ident.to_string()),
            UseTree::Rename(name) => _ = self.rooms.insert(name.ident.to_string()),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.heads(item)),
            UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let (mut tree, mut up) = (&item.tree, 0);
        while let UseTree::Path(path) = tree {
            up += usize::from(path.ident == "super");
            tree = &path.tree;
            if path.ident == "crate" || (path.ident == "super" && up == self.depth) {
                return self.heads(tree);
            }
            if path.ident != "super" {
                return;
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|it| it.ident.to_string()).collect();
        let up = names.iter().take_while(|name| *name == "super").count();
        let at = if names[0] == "crate" { 1 } else { up };
        if let Some(room) = names.get(at)
            && (names[0] == "crate" || (up > 0 && up == self.depth))
        {
            self.rooms.insert(room.clone());
        }
        syn::visit::visit_path(self, path);
    }
}
