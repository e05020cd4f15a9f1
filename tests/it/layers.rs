//! What the manifests of the crates cannot say. Which crate may use which stands in
//! their `Cargo.toml`: an arrow that is not there does not compile. But the standard
//! library is open to all of them, and the domain must not use all of it.

use std::{collections::BTreeSet, path::Path};

use syn::{UseTree, visit::Visit};

use super::documents::{files, root};

/// Modules of the standard library that do I/O, wait, or ask the machine.
const IMPURE: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];

/// Calls that would let `domain` know the time by itself.
const CLOCKS: &[&str] = &["Timestamp::now", "Zoned::now", "Instant::now", "SystemTime::now"];

#[test]
fn the_domain_is_pure() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    let folder = root().join("src/domain/src");
    for file in files(&folder, &["rs"]) {
        let is_test = file
            .strip_prefix(&folder)
            .unwrap()
            .iter()
            .any(|name| name == "tests" || name == "tests.rs");
        if !is_test {
            seen += 1;
            wrong.extend(impure(&file, &std::fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(wrong.is_empty(), "the domain must not know:\n{}", wrong.join("\n"));
    assert!(seen > 30, "the reading finds files: {seen}");
}

/// Whoever looks for what Sluice writes on objects finds all of it in one place.
#[test]
fn every_name_that_is_written_on_objects_stands_in_one_file() {
    let names = root().join("src/domain/src/template/names.rs");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in files(&root().join("src"), &["rs"]) {
        let is_test = file.iter().any(|name| name == "tests" || name == "tests.rs");
        let is_the_cluster = file.starts_with(root().join("src/simulated"));
        if is_test || is_the_cluster || file == names {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        if text.contains("\"sluice.dev/") {
            wrong.push(file.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "these name annotations or labels themselves: {wrong:?}");
    assert!(seen > 100, "the reading finds files: {seen}");
    let named = std::fs::read_to_string(&names).unwrap().matches("\"sluice.dev/").count();
    assert!(named > 10, "{named}");
}

#[test]
fn what_is_not_pure_is_found_in_each_way_of_writing_it() {
    let source = "use std::{fmt, fs::File}; use std::net::IpAddr; use jiff::Timestamp;
        fn one() { jiff::Timestamp::now(); Timestamp::now(); std::env::var(\"A\"); }
        async fn two() {}
        impl Three { async fn three() { let four = async { 4 }; } }
        mod tests { use std::fs; }
        fn pure(now: Timestamp) -> std::fmt::Result { Ok(()) }";
    let found = impure(Path::new("f"), source);
    let what: Vec<&str> = found.iter().filter_map(|line| line.strip_prefix("f: ")).collect();
    assert_eq!(
        what,
        [
            "std::fs",
            "jiff::Timestamp::now",
            "Timestamp::now",
            "std::env",
            "async",
            "async",
            "async"
        ]
    );
}

/// What a file has that the domain must not have.
fn impure(file: &Path, source: &str) -> Vec<String> {
    let parsed =
        syn::parse_file(source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut reader = Reader::default();
    reader.visit_file(&parsed);
    reader.found.into_iter().map(|what| format!("{}: {what}", file.display())).collect()
}

#[derive(Default)]
struct Reader {
    found: Vec<String>,
}

impl Reader {
    fn note(&mut self, path: &[String]) {
        let text = path.join("::");
        if CLOCKS.iter().any(|clock| text.ends_with(clock)) {
            self.found.push(text);
        } else if path.len() > 1
            && path[0] == "std"
            && IMPURE.contains(&path[1].as_str())
            && !is_address(path)
        {
            self.found.push(format!("std::{}", path[1]));
        }
    }

    fn note_tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.note_tree(&with(&path.ident), &path.tree),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.note_tree(before, item))
            }
            UseTree::Name(name) => self.note(&with(&name.ident)),
            UseTree::Rename(name) => self.note(&with(&name.ident)),
            UseTree::Glob(_) => self.note(before),
        }
    }
}

/// An address is a value; only what listens or connects is not pure.
fn is_address(path: &[String]) -> bool {
    path[1] == "net"
        && path.get(2).is_some_and(|name| {
            ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr"].contains(&name.as_str())
        })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note(&names);
        syn::visit::visit_path(self, path);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.found.push("async".into());
        }
        syn::visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.found.push("async".into());
        syn::visit::visit_expr_async(self, block);
    }
}

#[test]
fn the_names_that_are_written_on_objects_stand_in_one_file() {
    let names = root().join("src/domain/src/template/names.rs");
    let mut others = Vec::new();
    for file in files(&root().join("src"), &["rs"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_test = file.iter().any(|name| name == "tests" || name == "tests.rs");
        let constant = |line: &str| {
            line.trim_start().trim_start_matches("pub ").starts_with("const ")
                && line.contains("\"sluice.dev/")
        };
        if file != names && !is_test && text.lines().any(constant) {
            others.push(file);
        }
    }
    assert!(others.is_empty(), "move these constants to names.rs: {others:?}");
    assert!(
        std::fs::read_to_string(names).unwrap().matches("\"sluice.dev/").count() > 8,
        "the reading finds names"
    );
}

#[test]
fn no_file_has_more_than_five_hundred_lines() {
    let mut long = Vec::new();
    let mut seen = 0;
    for folder in ["src", "tests", "benches"] {
        for file in files(&root().join(folder), &["rs"]) {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            seen += 1;
            if lines > 500 {
                long.push(format!("{}: {lines}", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "a file has one subject; find the seam in:\n{}", long.join("\n"));
    assert!(seen > 400, "the reading finds files: {seen}");
}

/// What the command line and the tests share with the server: how requests are signed and
/// read, and how replies are written. It needs no server to be used.
#[test]
fn the_wire_knows_neither_the_server_nor_the_service() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files(&root().join("src/edas/src/wire"), &["rs"]) {
        let source = std::fs::read_to_string(&file).unwrap();
        // Tests may stand beside it that serve it.
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        seen += 1;
        for word in ["axum", "tower", "hyper", "service::", "crate::edge", "crate::operation"] {
            if code.contains(word) && !file.ends_with("tests.rs") {
                wrong.push(format!("{}: {word}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "the wire must not know:\n{}", wrong.join("\n"));
    assert!(seen > 20, "the reading finds files: {seen}");
}

/// Calls that end in the one place where a use case writes and its request is claimed.
const ONCE: &[&str] = &["once", "once_for_access", "once_outside"];

/// Use cases that look at who asks, and write nothing that a second time would change.
const READS: &[&str] = &["configs", "import_cluster", "keys", "preview", "sessions"];

#[test]
fn every_use_case_that_writes_goes_through_once() {
    let folder = root().join("src/service/src");
    let mut methods = Methods::default();
    for file in files(&folder, &["rs"]) {
        // The log over the audit is nobody's use case, and has transactions of its own.
        if file != folder.join("once.rs") && file != folder.join("audit/log.rs") {
            let source = std::fs::read_to_string(&file).unwrap();
            methods.visit_file(&syn::parse_file(&source).unwrap());
        }
    }
    let callers: Vec<_> = methods.found.iter().filter(|method| method.is_use_case).collect();
    assert!(callers.len() > 30, "the reading finds use cases: {}", callers.len());
    let around: Vec<&str> = callers
        .iter()
        .map(|method| method.name.as_str())
        .filter(|name| !READS.contains(name) && !methods.reaches(name, ONCE))
        .collect();
    assert!(around.is_empty(), "these write, and not through `once`: {around:?}");
    let openers: Vec<_> = methods
        .found
        .iter()
        .filter(|method| method.calls.iter().any(|call| ["begin", "commit"].contains(&&**call)))
        .map(|method| &method.name)
        .collect();
    assert!(openers.is_empty(), "transactions begin and end in once.rs alone: {openers:?}");

    let mut names = methods.transactions.clone();
    names.sort_unstable();
    assert!(names.len() > 25, "the reading finds transactions: {names:?}");
    names.dedup();
    assert_eq!(names.len(), methods.transactions.len(), "each transaction has a name of its own");
}

#[test]
fn a_use_case_that_goes_around_once_is_found() {
    let source = "impl Service {
        pub async fn straight(&self, caller: &Caller) { self.once(caller, \"a\", |tx| 1).await }
        pub async fn round_about(&self, caller: &Caller) { self.middle(caller).await }
        async fn middle(&self, caller: &Caller) { self.once_outside(&self.deed(caller, \"b\"), async {}).await }
        pub async fn around(&self, caller: &Caller) { let tx = self.store.begin().await; }
        pub async fn read(&self) {} }";
    let mut methods = Methods::default();
    methods.visit_file(&syn::parse_file(source).unwrap());
    let reached = |name: &str| methods.reaches(name, ONCE);
    assert!(reached("straight") && reached("round_about") && !reached("around"));
    assert_eq!(methods.transactions, ["a", "b"]);
    let callers = methods.found.iter().filter(|method| method.is_use_case);
    let callers: Vec<_> = callers.map(|method| method.name.as_str()).collect();
    assert_eq!(callers, ["straight", "round_about", "around"]);
    assert!(methods.found.iter().any(|method| method.calls.contains("begin")));
}

/// The methods of a source, and what each of them calls.
#[derive(Default)]
struct Methods {
    found: Vec<Method>,
    /// The names of its transactions.
    transactions: Vec<String>,
}

struct Method {
    name: String,
    /// Public, with a caller whose request may come twice.
    is_use_case: bool,
    calls: BTreeSet<String>,
}

impl Methods {
    /// Whether a method calls one of these, or another that does.
    fn reaches(&self, name: &str, these: &[&str]) -> bool {
        let (mut open, mut seen) = (vec![name.to_owned()], BTreeSet::new());
        while let Some(name) = open.pop() {
            if these.contains(&name.as_str()) {
                return true;
            }
            if seen.insert(name.clone()) {
                let calls = self.found.iter().filter(|method| method.name == name);
                open.extend(calls.flat_map(|method| method.calls.iter().cloned()));
            }
        }
        false
    }
}

impl<'ast> Visit<'ast> for Methods {
    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        let has_caller = item.sig.inputs.iter().any(|input| {
            let syn::FnArg::Typed(input) = input else { return false };
            matches!(&*input.pat, syn::Pat::Ident(name) if name.ident == "caller")
        });
        self.found.push(Method {
            name: item.sig.ident.to_string(),
            is_use_case: has_caller && matches!(item.vis, syn::Visibility::Public(_)),
            calls: BTreeSet::new(),
        });
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let name = call.method.to_string();
        if ["deed", "on_record", "once", "transaction"].contains(&name.as_str()) {
            let texts = call.args.iter().filter_map(|argument| match argument {
                syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
                _ => None,
            });
            self.transactions.extend(texts);
        }
        if let Some(method) = self.found.last_mut() {
            method.calls.insert(name);
        }
        syn::visit::visit_expr_method_call(self, call);
    }
}

/// What the command line may use of the server's crates: words, and how requests are signed.
#[test]
fn the_client_knows_of_the_server_only_its_words_and_its_signature() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in files(&root().join("src/client/src"), &["rs"]) {
        let source = std::fs::read_to_string(&file).unwrap();
        for line in source.lines().filter(|line| line.contains("edas::")) {
            seen += 1;
            if !line.contains("edas::wire::signature") {
                wrong.push(format!("{}: {line}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 0, "the reading finds uses");
}

/// A crate that only tests use can give the maps of `serde_json` another order than they have
/// in the program; then what is tested is not what runs.
#[test]
fn objects_have_the_order_here_that_they_have_in_the_program() {
    assert_eq!(serde_json::json!({ "b": 1, "a": 2 }).to_string(), r#"{"a":2,"b":1}"#);
}

/// What a use case reads an application or an order by without judging who asks.
const UNJUDGED: &[&str] = &["lock_application", "lock_order", "batch_of", "application_of"];

/// Files of `service` that judge themselves what they read so, and why.
const JUDGES: &[(&str, &str)] = &[("access.rs", "it is where callers are judged")];

#[test]
fn use_cases_get_at_applications_and_orders_only_where_their_caller_is_judged() {
    let folder = root().join("src/service/src");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in files(&folder, &["rs"]) {
        let name = file.strip_prefix(&folder).unwrap().display().to_string();
        seen += 1;
        if JUDGES.iter().any(|(judges, _)| *judges == name) {
            continue;
        }
        wrong.extend(
            unjudged(&std::fs::read_to_string(&file).unwrap()).map(|it| format!("{name}: {it}")),
        );
    }
    assert!(
        wrong.is_empty(),
        "use the functions of src/service/src/access.rs:\n{}",
        wrong.join("\n")
    );
    assert!(seen > 20, "the reading finds files: {seen}");
}

#[test]
fn reading_without_a_judgement_is_found() {
    let source = "let a = tx\n    .lock_application(id).await?;\nself.store\n    .application(id)\nself.permitted_application(id)\nfind.application(id)";
    assert_eq!(unjudged(source).collect::<Vec<_>>(), ["lock_application", "store.application"]);
}

fn unjudged(source: &str) -> impl Iterator<Item = String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.chars().filter(|it| !it.is_whitespace()))
        .collect();
    let called = UNJUDGED
        .iter()
        .filter(|name| code.contains(&format!(".{name}(")))
        .map(|it| (*it).to_owned());
    let read = code.contains("store.application(").then(|| "store.application".to_owned());
    called.chain(read).collect::<Vec<_>>().into_iter()
}
