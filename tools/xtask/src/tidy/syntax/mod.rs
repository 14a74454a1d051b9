//! Reads Rust sources with syn: paths and items by module, and the code without comments and tests.

mod tokens;

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

pub(super) use tokens::is_punct;
use tokens::{Keep, add_lines, filter};

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
mod tests;
