//! No reader without an entry: the source is read, and every function in it that has
//! something parsed must be named by an entry, or be left out here with a reason.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use syn::visit::{self, Visit};

use crate::entries;

/// Functions that parse; with `*`, all of a module or a type.
const PARSERS: &[&str] = &[
    "serde_json::from_*",
    "Deserializer::from_*",
    "serde_path_to_error::*",
    "Parser::new_from_str",
    "kubectl::documents",
    "quick_xml::*",
    "Reader::from_str",
    "notation::*",
    "percent_decode_str",
    "Params::parse",
    "Url::parse",
    "Host::parse",
    "Uuid::parse_str",
    "rfc2822::parse",
    "hex::decode*",
    "str::parse",
];

/// Methods that parse: of a text, of parameters, and of encodings. A whole number of a
/// parameter is not among them: `Params::integer` has an entry.
const METHODS: &[&str] = &["parse", "json", "structured", "pairs", "decode", "decode_utf8"];

/// Functions that no entry names, by what their names begin with, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cluster::", "Kubernetes' own objects, which the API server holds to its limits"),
    ("sluice::config::", "the operator's settings, read once"),
    ("client::", "replies of the own server, whose length has a bound, and the command line"),
    (
        "edas::operation::order::lines::",
        "ids, a time and at most 16 words of parameters within their limits",
    ),
    (
        "edas::operation::access::",
        "words of parameters within their limits, and networks, for which there is an entry",
    ),
    ("edas::operation::order::watch::order", "an id, for which there is an entry"),
    ("domain::guard::level::", "the operator's settings, read once"),
    ("domain::notice::channel::address", "the operator's file with the address of a channel"),
    ("notify::secret::", "the operator's file with the secret of a channel"),
    ("notify::request::", "the answer of a receiver, of which 1 KiB is read, and its Retry-After"),
    ("executor::", "notifications of the own database"),
    ("sluice::fetch::", "the operator's file in a pod, which this program wrote"),
    ("domain::object::write::next_request", "a number in an annotation that this program wrote"),
    ("domain::template::java::conceal", "an address in a Deployment, for which there is an entry"),
    ("domain::precheck::nodes::", "a label of a node, which Kubernetes holds to 63 characters"),
    ("domain::package::upload::decoded", "a path, for whose readers there are entries"),
    ("domain::package::upload::package_id", "an id, of which more than its length is not read"),
    (
        "console::page::",
        "an id or a place in a list: a field of a form, for which there is an entry",
    ),
    ("edas::edge::auth::admit", "hands on to readers that have entries"),
    ("edas::operation::order::changeorder::retry", "an id, for which there is an entry"),
    ("edas::operation::release::deploy::read_release", "an id, for which there is an entry"),
    ("edas::edge::too_long", "looks once through a line, which has been cut"),
    ("edas::operation::package::oss::bucket_of", "looks once through a host, a line of a head"),
    ("edas::wire::parameter::Parameter::described", "an example that this program has"),
    ("edas::operation::package::oss::admit", "hands on to readers that have entries"),
    ("edas::operation::package::oss::get_package", "hands on to readers that have entries"),
    (
        "edas::operation::package::oss::move_to",
        "looks once through a path, whose line is within its limit",
    ),
    (
        "domain::object::ingress::is_address",
        "an IP address, if a host is one: of 253 bytes at most",
    ),
    ("edas::operation::package::package_storage::", "an IP address in the header Host"),
    ("oidc::settings::", "the operator's settings, read once"),
    ("oidc::provider::", "the operator's settings, read once"),
    (
        "sluice::keyring::",
        "the operator's file, and answers of the operator's Vault within a bound; read once",
    ),
    ("sluice::process::", "the operator's settings, read once"),
    ("sluice::serve::", "the operator's settings, read once"),
    ("package::", "headers of a package's server: numbers of a header's length"),
    ("service::", "what this program wrote into its database, and addresses that it makes itself"),
    ("simulated::", "stands in for Kubernetes"),
    ("store::", "what this program wrote into its database"),
    ("test-support::", "requests of tests"),
];

#[test]
fn every_reader_has_an_entry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found: BTreeSet<String> = sources(&root)
        .iter()
        .flat_map(|file| readers(&std::fs::read_to_string(file).unwrap(), &module(&root, file)))
        .collect();
    let listed: BTreeSet<String> = entries::all()
        .iter()
        .flat_map(|entry| entry.reads)
        .map(|name| (*name).to_owned())
        .collect();
    let is_left_out = |name: &String| LEFT_OUT.iter().any(|(begin, _)| name.starts_with(*begin));

    let missing: Vec<_> =
        found.iter().filter(|name| !listed.contains(*name) && !is_left_out(name)).collect();
    assert!(missing.is_empty(), "readers without an entry in tests/cost/entries:\n{missing:#?}");
    let functions: BTreeSet<String> = sources(&root)
        .iter()
        .flat_map(|file| functions(&std::fs::read_to_string(file).unwrap(), &module(&root, file)))
        .collect();
    let gone: Vec<_> = listed.iter().filter(|name| !functions.contains(*name)).collect();
    assert!(gone.is_empty(), "entries of functions that are not there:\n{gone:#?}");
    for begin in LEFT_OUT.iter().map(|(begin, _)| begin) {
        assert!(
            found.iter().any(|name| name.starts_with(*begin)),
            "{begin} reads nothing any more: it need not be left out"
        );
    }
}

#[test]
fn a_reader_is_found_in_each_way_of_writing_it() {
    let source = r#"
        fn one(text: &str) { let _: Value = serde_json::from_str(text).unwrap(); }
        fn two(text: &str) { text.split(',').map(str::parse::<i32>).count(); }
        impl FromStr for Three { fn from_str(text: &str) -> Result<Self, ()> { if true { loop { text.parse::<u8>(); } } } }
        mod inner { fn four(params: &Params) { let read = || params.json::<Value>("Tags", ""); } }
        fn five(text: &str) { use domain::notation; notation::yaml(text); }
        fn six(text: &str) { let mut reader = quick_xml::Reader::from_str(text); }
        fn seven(text: &str) -> String { text.trim().to_owned() }
        #[cfg(test)] mod tests { fn eight(text: &str) { text.parse::<u8>(); } }
        #[test] fn nine() { "1".parse::<u8>(); }
    "#;
    assert_eq!(
        readers(source, "edas::sample"),
        [
            "edas::sample::one",
            "edas::sample::two",
            "edas::sample::Three::from_str",
            "edas::sample::inner::four",
            "edas::sample::five",
            "edas::sample::six"
        ]
    );
    assert_eq!(functions(source, "edas::sample").len(), 7);
}

/// The functions of a file that have something parsed, in its order.
fn readers(source: &str, module: &str) -> Vec<String> {
    walked(source, module).readers
}

/// All functions of a file.
fn functions(source: &str, module: &str) -> Vec<String> {
    walked(source, module).functions
}

fn walked(source: &str, module: &str) -> Walk {
    let file = syn::parse_file(source).unwrap_or_else(|error| panic!("{module}: {error}"));
    let mut walk = Walk { at: vec![module.to_owned()], ..Walk::default() };
    walk.visit_file(&file);
    walk
}

#[derive(Default)]
struct Walk {
    /// Module, type and function that the walk is in.
    at: Vec<String>,
    /// Functions within each other.
    inside: usize,
    readers: Vec<String>,
    functions: Vec<String>,
}

impl Walk {
    fn within(&mut self, name: String, walk: impl FnOnce(&mut Self)) {
        self.at.push(name);
        walk(self);
        self.at.pop();
    }

    fn function(&mut self, name: String, walk: impl FnOnce(&mut Self)) {
        // One within another belongs to it.
        if self.inside > 0 {
            return walk(self);
        }
        self.inside += 1;
        self.within(name, |inner| {
            inner.functions.push(inner.at.join("::"));
            walk(inner);
        });
        self.inside -= 1;
    }

    fn note(&mut self) {
        let name = self.at.join("::");
        if self.inside > 0 && self.readers.last() != Some(&name) {
            self.readers.push(name);
        }
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test(&module.attrs) {
            self.within(module.ident.to_string(), |walk| visit::visit_item_mod(walk, module));
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.within(name.unwrap_or_else(|| "_".into()), |walk| visit::visit_item_impl(walk, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.function(item.sig.ident.to_string(), |walk| visit::visit_item_fn(walk, item));
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.function(item.sig.ident.to_string(), |walk| visit::visit_impl_item_fn(walk, item));
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let names: Vec<String> =
            path.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if PARSERS.iter().any(|parser| is_parser(parser, &names)) {
            self.note();
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if METHODS.contains(&call.method.to_string().as_str()) {
            self.note();
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// Whether the path ends as `parser` says: `notation::yaml` is one of `notation::*`, and so
/// is `domain::notation::yaml`.
fn is_parser(parser: &str, path: &[String]) -> bool {
    let wanted: Vec<&str> = parser.split("::").collect();
    path.windows(wanted.len()).any(|names| {
        names.iter().zip(&wanted).all(|(name, wanted)| match wanted.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => name == wanted,
        })
    })
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path
            .segments
            .last()
            .is_some_and(|last| ["test", "rstest"].contains(&last.ident.to_string().as_str())),
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        syn::Meta::NameValue(_) => false,
    })
}

/// `edas::value::ports` for `src/edas/src/value/ports.rs`.
fn module(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).unwrap().with_extension("");
    let mut names: Vec<&str> = inside.iter().map(|part| part.to_str().unwrap()).collect();
    // A crate's folder is followed by its own `src`.
    names.remove(1);
    if names.last().is_some_and(|last| ["mod", "lib"].contains(last)) {
        names.pop();
    }
    names.join("::")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !is_test {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            found.push(path);
        }
    }
    found.sort();
    found
}
