//! Reads Rust sources with syn: paths and items by module, and the code without comments and tests.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

/// A Rust file, read once.
pub(crate) struct Source {
    pub(crate) text: String,
    /// Everything except doc comments.
    pub(crate) all: TokenStream,
    /// Without items under `#[cfg(test)]` too.
    pub(crate) code: TokenStream,
    /// The syntax of `all`.
    pub(crate) all_file: syn::File,
    /// The syntax of `code`.
    pub(crate) file: syn::File,
    /// The modules of `all`; the file itself is the first.
    pub(crate) all_modules: Module,
    /// The modules of `code`.
    pub(crate) modules: Module,
}

/// A module as one file writes it: the file itself, or `mod name { … }` in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Module {
    pub(crate) name: String,
    /// `mod name;`, in a file of its own.
    pub(crate) is_external: bool,
    /// The value of `#[path = "…"]`.
    pub(crate) path_attribute: Option<String>,
    /// Names of the items defined here, macros included.
    pub(crate) items: BTreeSet<String>,
    pub(crate) paths: Vec<Path>,
    pub(crate) children: Vec<Module>,
}

/// A path as written, from its first segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    pub(crate) kind: PathKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathKind {
    /// A leaf of a `use`, with its name here: the last segment, or the word after `as`.
    Use { name: String, is_public: bool },
    /// `use a::*`, without the star.
    Glob { is_public: bool },
    /// A path in code, maybe of one segment.
    Plain,
}

impl Source {
    pub(crate) fn read(text: &str) -> syn::Result<Self> {
        // Doc comments are attributes here and would count as code.
        let all = filter(text.parse::<TokenStream>()?, Keep::Tests);
        let code = filter(all.clone(), Keep::NoTests);
        let all_file = syn::parse2(all.clone())?;
        let file = syn::parse2(code.clone())?;
        Ok(Self {
            text: text.to_owned(),
            all_modules: Reader::modules(&all_file),
            modules: Reader::modules(&file),
            all,
            code,
            all_file,
            file,
        })
    }

    /// Counts the lines with code, without comments, blank lines and tests.
    pub(crate) fn code_lines(&self) -> usize {
        let mut lines = BTreeSet::new();
        add_lines(self.code.clone(), &mut lines);
        // A string over several lines can contain blank ones.
        let is_blank = |line: &str| line.trim().is_empty();
        let blank = self.text.lines().enumerate().filter(|line| is_blank(line.1));
        for (index, _) in blank {
            lines.remove(&(index + 1));
        }
        lines.len()
    }
}

impl Module {
    /// Returns the paths of this module and of all modules within it.
    pub(crate) fn all_paths(&self) -> Vec<&Path> {
        let mut paths: Vec<&Path> = self.paths.iter().collect();
        for child in &self.children {
            paths.extend(child.all_paths());
        }
        paths
    }
}

impl Path {
    pub(crate) fn root(&self) -> &str {
        &self.segments[0]
    }

    /// Whether the path names something outside its own scope: any `use`, and any path of two
    /// segments or more.
    pub(crate) fn is_qualified(&self) -> bool {
        self.kind != PathKind::Plain || self.segments.len() > 1
    }

    /// Whether `part` occurs in the path.
    pub(crate) fn contains(&self, part: &[&str]) -> bool {
        self.segments.windows(part.len()).any(|window| window == part)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Keep {
    Tests,
    NoTests,
}

/// Removes doc comments, and tests unless they are kept.
fn filter(tokens: TokenStream, keep: Keep) -> TokenStream {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut at = 0;
    while at < trees.len() {
        if let Some(length) = doc_comment(&trees[at..]) {
            at += length;
        } else if keep == Keep::NoTests && is_test_attribute(&trees[at..]) {
            // Attributes of the item may come before `#[cfg(test)]`.
            drop_attributes(&mut kept);
            at = item_end(&trees, at);
        } else {
            kept.push(match &trees[at] {
                TokenTree::Group(group) => {
                    let mut inner = Group::new(group.delimiter(), filter(group.stream(), keep));
                    // A new group has no position, so it gets the old one.
                    inner.set_span(group.span());
                    TokenTree::Group(inner)
                }
                tree => tree.clone(),
            });
            at += 1;
        }
    }
    kept.into_iter().collect()
}

/// Returns the number of tokens of a doc comment at the beginning: `#[doc = "…"]` or
/// `#![doc = "…"]`.
fn doc_comment(trees: &[TokenTree]) -> Option<usize> {
    // An inner attribute has a `!` after the hash.
    let length = if is_punct(trees.get(1), '!') { 3 } else { 2 };
    if !is_punct(trees.first(), '#') {
        return None;
    }
    let words: Vec<TokenTree> = bracket(trees.get(length - 1))?.into_iter().collect();
    let is_doc = matches!(&words[..], [TokenTree::Ident(name), equals, TokenTree::Literal(_)]
        if name == "doc" && is_punct(Some(equals), '='));
    is_doc.then_some(length)
}

/// Whether the tokens begin with `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let attribute = is_punct(trees.first(), '#').then(|| bracket(trees.get(1))).flatten();
    let mut words = attribute.unwrap_or_default().into_iter();
    let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(condition))) =
        (words.next(), words.next())
    else {
        return false;
    };
    let condition: Vec<TokenTree> = condition.stream().into_iter().collect();
    name == "cfg"
        && match &condition[..] {
            [TokenTree::Ident(only)] => only == "test",
            [TokenTree::Ident(all), TokenTree::Group(parts), ..] if all == "all" => {
                let mut parts = parts.stream().into_iter();
                parts.any(|part| matches!(part, TokenTree::Ident(part) if part == "test"))
            }
            _ => false,
        }
}

fn bracket(tree: Option<&TokenTree>) -> Option<TokenStream> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            Some(group.stream())
        }
        _ => None,
    }
}

pub(super) fn is_punct(tree: Option<&TokenTree>, char: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
}

/// Removes outer attributes from the end.
fn drop_attributes(kept: &mut Vec<TokenTree>) {
    while let [.., hash, group] = &kept[..]
        && is_punct(Some(hash), '#')
        && bracket(Some(group)).is_some()
    {
        kept.truncate(kept.len() - 2);
    }
}

/// Returns the index after the item (or field, or variant) that begins at `start` with its
/// attributes.
fn item_end(trees: &[TokenTree], start: usize) -> usize {
    let mut at = start;
    // An attribute has two tokens: the hash and the brackets.
    while is_punct(trees.get(at), '#') {
        at += 2;
    }
    // Commas between angle brackets do not end the item.
    let mut angles = 0_i32;
    // The commas of a where clause do not end the item.
    let mut in_where = false;
    while let Some(tree) = trees.get(at) {
        at += 1;
        match tree {
            TokenTree::Ident(word) if word == "where" => in_where = true,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                // `const A: B = B { … };` continues after the brace.
                return if is_punct(trees.get(at), ';') { at + 1 } else { at };
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                ';' => return at,
                ',' if angles == 0 && !in_where => return at,
                '<' => angles += 1,
                // Not the end of `->` or `=>`.
                '>' if !is_punct(trees.get(at - 2), '-') && !is_punct(trees.get(at - 2), '=') => {
                    angles -= 1;
                }
                _ => {}
            },
            _ => {}
        }
    }
    at
}

fn add_lines(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    for tree in tokens {
        if let TokenTree::Group(group) = tree {
            // Lines between the delimiters count only with tokens of their own.
            lines.extend([group.span_open().start().line, group.span_close().end().line]);
            add_lines(group.stream(), lines);
        } else {
            lines.extend(tree.span().start().line..=tree.span().end().line);
        }
    }
}

/// Collects the modules of a file. The last of `open` is the current module.
struct Reader {
    open: Vec<Module>,
}

impl Reader {
    fn modules(file: &syn::File) -> Module {
        let mut reader = Self { open: vec![Module::default()] };
        reader.visit_file(file);
        reader.open.remove(0)
    }

    fn module(&mut self) -> &mut Module {
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    fn push(&mut self, line: usize, segments: Vec<String>, kind: PathKind) {
        self.module().paths.push(Path { line, segments, kind });
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String], is_public: bool) {
        match tree {
            UseTree::Path(path) => {
                let prefix = [prefix, &[path.ident.unraw().to_string()]].concat();
                self.use_tree(&path.tree, &prefix, is_public);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, is_public);
                }
            }
            UseTree::Name(leaf) => self.use_leaf(&leaf.ident, &leaf.ident, prefix, is_public),
            UseTree::Rename(leaf) => self.use_leaf(&leaf.ident, &leaf.rename, prefix, is_public),
            UseTree::Glob(glob) => {
                let line = glob.star_token.spans[0].start().line;
                self.push(line, prefix.to_vec(), PathKind::Glob { is_public });
            }
        }
    }

    fn use_leaf(
        &mut self,
        leaf: &syn::Ident,
        name: &syn::Ident,
        prefix: &[String],
        is_public: bool,
    ) {
        let mut segments = prefix.to_vec();
        // `a::{self}` is `a`.
        if leaf != "self" || prefix.is_empty() {
            segments.push(leaf.unraw().to_string());
        }
        let name = if name == "self" {
            segments[segments.len() - 1].clone()
        } else {
            name.unraw().to_string()
        };
        self.push(leaf.span().start().line, segments, PathKind::Use { name, is_public });
    }

    /// Collects the paths in tokens that syn does not parse: the input of a macro or of an
    /// attribute.
    fn paths_in_tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            // A lifetime, a field or a method is no path.
            let before = at.checked_sub(1).and_then(|before| trees.get(before));
            let is_path = !is_punct(before, '\'') && !is_punct(before, '.');
            match &trees[at] {
                TokenTree::Group(group) => self.paths_in_tokens(group.stream()),
                TokenTree::Ident(first) if is_path => {
                    let line = first.span().start().line;
                    let mut segments = vec![first.unraw().to_string()];
                    while let [colon, second, TokenTree::Ident(segment), ..] = &trees[at + 1..]
                        && is_punct(Some(colon), ':')
                        && is_punct(Some(second), ':')
                    {
                        segments.push(segment.unraw().to_string());
                        at += 3;
                    }
                    self.push(line, segments, PathKind::Plain);
                }
                _ => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Macro(item) => item.ident.as_ref(),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::TraitAlias(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        if let Some(name) = name {
            let name = name.unraw().to_string();
            self.module().items.insert(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let path_attribute = item.attrs.iter().find_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(meta) if meta.path.is_ident("path") => string(&meta.value),
            _ => None,
        });
        self.open.push(Module {
            name: item.ident.unraw().to_string(),
            is_external: item.content.is_none(),
            path_attribute,
            ..Module::default()
        });
        visit::visit_item_mod(self, item);
        if let Some(module) = self.open.pop() {
            self.module().children.push(module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // `pub(crate)` counts as public, because other modules may use it.
        self.use_tree(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.use_leaf(&item.ident, &item.ident, &[], false);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // `r#type` and `type` are one name.
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.push(first.ident.span().start().line, segments, PathKind::Plain);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // syn does not parse the input of a macro.
        self.visit_path(&call.path);
        self.paths_in_tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.visit_path(&list.path);
        self.paths_in_tokens(list.tokens.clone());
    }

    /// `pub(in crate::a)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

fn string(value: &syn::Expr) -> Option<String> {
    match value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Source {
        Source::read(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[track_caller]
    fn check_paths(code: &str, expected: &[&str]) {
        let source = read(code);
        let paths = source.modules.all_paths();
        let qualified = paths.iter().filter(|path| path.is_qualified());
        let found: Vec<String> = qualified.map(|path| path.segments.join("::")).collect();
        assert_eq!(found, expected, "{code}");
    }

    #[test]
    fn paths_are_found_in_every_branch_of_a_use_and_in_code() {
        check_paths("use a;", &["a"]);
        check_paths("pub(crate) use ::a::b as c;", &["a::b"]);
        check_paths(
            "use a::{self, b::{c, d}, e::*, f as g,};\nfn k() { h::i(); }",
            &["a", "a::b::c", "a::b::d", "a::e", "a::f", "h::i"],
        );
        check_paths("use {a::b, c};", &["a::b", "c"]);
        check_paths("use super::{schema, sqlite};", &["super::schema", "super::sqlite"]);
        check_paths("extern crate a;", &["a"]);
        check_paths(
            "#[a::main]\nfn f(x: b::C) -> Vec<d::E> { x.g(h::<I>()) }",
            &["a::main", "b::C", "d::E"],
        );
        // Precise capturing is no import.
        check_paths("fn f<'a>() -> impl T + use<'a> { x }", &[]);
        check_paths("fn f() { r#type::a() }", &["type::a"]);
        check_paths("macro_rules! m { () => { $crate::m!() } }", &["crate::m"]);
        check_paths("fn f() { vec![a::b(), c.d(e::F::G)] }", &["a::b", "e::F::G"]);
        check_paths("#[derive(a::B)] struct C;", &["a::B"]);
        check_paths("pub(in crate::a) struct B;", &[]);
        check_paths("fn f() { <A as b::C>::d() }", &["b::C::d"]);
    }

    #[test]
    fn path_has_its_line_and_its_local_name() {
        let source = read("\nuse a::{\n    b as c,\n};");
        let kind = PathKind::Use { name: "c".to_owned(), is_public: false };
        let path = Path { line: 3, segments: vec!["a".to_owned(), "b".to_owned()], kind };
        assert_eq!(source.modules.paths, [path]);
    }

    #[test]
    fn comments_and_literals_contain_no_paths() {
        check_paths("//! a::b\n/// c::d\nconst E: &str = \"f::g\"; // h::i", &[]);
    }

    #[track_caller]
    fn check_code(text: &str, expected: &str) {
        assert_eq!(read(text).code.to_string(), expected, "{text}");
    }

    #[test]
    fn items_under_cfg_test_are_no_code_but_their_neighbours_are() {
        check_code(
            "fn a() {} #[cfg(test)] mod tests { fn f() { \"}\" } } fn b() {}",
            "fn a () { } fn b () { }",
        );
        check_code("#[cfg(test)]\nmod tests;\nmod b;", "mod b ;");
        check_code("#[cfg(test)] #[path = \"x.rs\"] mod tests; mod b;", "mod b ;");
        check_code("#[expect(dead_code)] /// Doc.\n#[cfg(test)] mod tests;", "");
        check_code("#[cfg(all(test, unix))] fn f(a: [u8; 2]) {} mod b;", "mod b ;");
        check_code("#[cfg(test)] use a::{b, c}; mod d;", "mod d ;");
        check_code("#[cfg(test)] fn f<A, B>() where A: C, B: D {} mod e;", "mod e ;");
        check_code("struct A { #[cfg(test)] a: C<D, E>, b: F }", "struct A { b : F }");
        check_code(
            "#[cfg(any(test, feature = \"testing\"))] mod a;",
            "# [cfg (any (test , feature = \"testing\"))] mod a ;",
        );
        check_code("#[cfg(not(test))] mod a;", "# [cfg (not (test))] mod a ;");
    }

    #[test]
    fn lines_count_if_they_have_code_or_a_literal() {
        let source = read(
            "//! a\n\nfn f() {\n    // why\n    g(\"x\n\n    y\");\n}\n#[cfg(test)]\nmod tests {\n}\n",
        );
        assert_eq!(source.code_lines(), 4);
        assert_eq!(read("/* a\nb */ fn f(\n) {}\n").code_lines(), 2);
    }

    #[test]
    fn modules_have_their_items_and_children() {
        let source =
            read("#[path = \"x/y.rs\"] mod a; mod b { pub struct C; } macro_rules! d { () => {} }");
        let [a, b] = &source.modules.children[..] else { panic!("two children") };
        assert_eq!((a.name.as_str(), a.is_external), ("a", true));
        assert_eq!(a.path_attribute.as_deref(), Some("x/y.rs"));
        assert_eq!((b.name.as_str(), b.is_external), ("b", false));
        assert!(b.items.contains("C") && source.modules.items.contains("d"));
    }
}
