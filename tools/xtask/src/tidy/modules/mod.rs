//! The modules of one crate over all its files, and the imports between them.
//!
//! An import is a path to an item of another module. Re-exports are followed to the defining
//! module, so importing through a parent counts as importing the child. These are no imports:
//! - `mod child;`, and the re-export of one's own child by `pub use`, unless the parent uses the
//!   name itself;
//! - tests: everything under `#[cfg(test)]`;
//! - methods called on a value, without naming its type.
//!
//! `use super::Item` is an import of the parent if the parent file defines `Item`.

use std::collections::BTreeMap;

use super::syntax::{self, Path, PathKind, Source};

/// How many re-exports a path may pass.
const MAX_HOPS: usize = 16;

/// The modules of a crate, as far as the rules need them.
pub(crate) struct Crate {
    /// The modules declared by the root.
    pub(crate) top_modules: Vec<String>,
    pub(crate) imports: Vec<Import>,
}

/// The first path from one module to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// Module path without the crate: `a::b`, and empty for the root.
    pub(crate) module: String,
    pub(crate) target_file: String,
    pub(crate) target_module: String,
    /// `use a::b` for a module `b`. Paths through it count on their own.
    pub(crate) is_namespace: bool,
    /// A public `use` of an item in one's own child.
    pub(crate) is_reexport: bool,
}

#[derive(Debug)]
struct Module {
    file: String,
    path: String,
    parent: usize,
    syntax: syntax::Module,
    children: BTreeMap<String, usize>,
}

/// The end of a path: a module, or an item within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    module: usize,
    is_module: bool,
}

impl Crate {
    /// Reads the crate with the first file `root`. `sources` has all files by name.
    pub(crate) fn read(root: &str, sources: &BTreeMap<String, Source>) -> Self {
        let mut tree = ModuleTree { sources, modules: Vec::new() };
        if let Some(source) = sources.get(root) {
            let folder = root.rsplit_once('/').map_or("", |parts| parts.0).to_owned();
            tree.add(root, "", 0, source.modules.clone(), &folder);
        }
        let top_modules = tree.modules.first().map(|root| root.children.keys().cloned().collect());
        Self { top_modules: top_modules.unwrap_or_default(), imports: tree.imports() }
    }
}

struct ModuleTree<'s> {
    sources: &'s BTreeMap<String, Source>,
    /// The root is the first.
    modules: Vec<Module>,
}

impl ModuleTree<'_> {
    /// Adds a module with all its descendants. `folder` contains the files of its children.
    fn add(
        &mut self,
        file: &str,
        path: &str,
        parent: usize,
        mut syntax: syntax::Module,
        folder: &str,
    ) -> usize {
        let index = self.modules.len();
        // Taken out, because the tree would otherwise hold each child twice.
        let children = std::mem::take(&mut syntax.children);
        self.modules.push(Module {
            file: file.to_owned(),
            path: path.to_owned(),
            parent,
            syntax,
            children: BTreeMap::new(),
        });
        for child in children {
            let name = child.name.clone();
            let child_path = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
            let child_index = if child.is_external {
                self.add_file(file, &child_path, index, &child, folder)
            } else {
                Some(self.add(file, &child_path, index, child, &join(folder, &name)))
            };
            if let Some(child_index) = child_index {
                self.modules[index].children.insert(name, child_index);
            }
        }
        index
    }

    fn add_file(
        &mut self,
        parent_file: &str,
        path: &str,
        parent: usize,
        child: &syntax::Module,
        folder: &str,
    ) -> Option<usize> {
        let candidates = match &child.path_attribute {
            // Relative to the folder of the parent's file.
            Some(attribute) => {
                let base = parent_file.rsplit_once('/').map_or("", |parts| parts.0);
                vec![join(base, attribute)]
            }
            None => {
                let stem = join(folder, &child.name);
                // The compiler looks in both places too.
                vec![format!("{stem}.rs"), format!("{stem}/mod.rs")]
            }
        };
        let file = candidates.into_iter().find(|file| self.sources.contains_key(file))?;
        // The folder for the children of this file.
        let own_folder = match file.strip_suffix("/mod.rs") {
            Some(folder) => folder.to_owned(),
            // Behind `#[path]`, children are next to the file (Rust reference, the path attribute).
            None if child.path_attribute.is_some() => {
                file.rsplit_once('/').map_or("", |parts| parts.0).to_owned()
            }
            None => file.trim_end_matches(".rs").to_owned(),
        };
        let syntax = self.sources[&file].modules.clone();
        Some(self.add(&file, path, parent, syntax, &own_folder))
    }

    fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (index, module) in self.modules.iter().enumerate() {
            for path in &module.syntax.paths {
                imports.extend(self.import(index, path));
            }
        }
        // One import per pair of modules, at its first line.
        imports.sort();
        imports.dedup_by(|next, first| {
            (&next.file, &next.module, &next.target_module)
                == (&first.file, &first.module, &first.target_module)
                && (next.is_namespace, next.is_reexport) == (first.is_namespace, first.is_reexport)
        });
        imports
    }

    fn import(&self, index: usize, path: &Path) -> Option<Import> {
        let target = self.resolve(index, &path.segments, 0)?;
        if target.module == index {
            return None;
        }
        let (module, other) = (&self.modules[index], &self.modules[target.module]);
        let is_public = matches!(
            path.kind,
            PathKind::Use { is_public: true, .. } | PathKind::Glob { is_public: true }
        );
        // Every module is below the root.
        let is_child = module.path.is_empty()
            || other.path.strip_prefix(&module.path).is_some_and(|rest| rest.starts_with("::"));
        Some(Import {
            file: module.file.clone(),
            line: path.line,
            module: module.path.clone(),
            target_file: other.file.clone(),
            target_module: other.path.clone(),
            is_namespace: target.is_module && !matches!(path.kind, PathKind::Glob { .. }),
            is_reexport: is_public && is_child,
        })
    }

    /// Returns the target of a path in the module `from`. `None` outside the crate, or for a local
    /// name.
    fn resolve(&self, from: usize, path: &[String], hops: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let module = &self.modules[from];
        match first.as_str() {
            "crate" => self.descend(0, rest, hops),
            "self" => self.descend(from, rest, hops),
            "super" => {
                // Each further `super` climbs one module.
                let mut at = module.parent;
                let supers = rest.iter().take_while(|segment| *segment == "super").count();
                for _ in 0..supers {
                    at = self.modules[at].parent;
                }
                self.descend(at, &rest[supers..], hops)
            }
            _ if module.children.contains_key(first) => self.descend(from, path, hops),
            _ => self.through_use(from, path, hops),
        }
    }

    /// Follows `path` down from a module.
    fn descend(&self, module: usize, path: &[String], hops: usize) -> Option<Target> {
        let mut at = module;
        for (index, segment) in path.iter().enumerate() {
            let here = &self.modules[at];
            // A function can share the name of a module:
            // `mod diagnose; pub use diagnose::diagnose;`.
            let is_last = index + 1 == path.len();
            let is_item = here.syntax.items.contains(segment) || self.has_use(at, segment);
            if let Some(child) = here.children.get(segment).filter(|_| !(is_last && is_item)) {
                at = *child;
            } else if here.syntax.items.contains(segment) {
                return Some(Target { module: at, is_module: false });
            } else {
                let known = self.has_use(at, segment);
                let found = self.through_use(at, &path[index..], hops);
                // A name made by a macro belongs to the module; a re-export from another crate
                // belongs to none.
                return if known {
                    found
                } else {
                    found.or(Some(Target { module: at, is_module: false }))
                };
            }
        }
        Some(Target { module: at, is_module: true })
    }

    fn has_use(&self, module: usize, wanted: &str) -> bool {
        self.modules[module]
            .syntax
            .paths
            .iter()
            .any(|path| matches!(&path.kind, PathKind::Use { name, .. } if name == wanted))
    }

    /// Follows a path if its first segment comes from a `use` of the module, or from a `use …::*`.
    fn through_use(&self, module: usize, path: &[String], hops: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        // Two globs can lead to each other, so the search needs a bound.
        if hops == MAX_HOPS {
            return None;
        }
        let paths = &self.modules[module].syntax.paths;
        for import in paths {
            if let PathKind::Use { name, .. } = &import.kind
                && name == first
                // `use a::a;` must not lead to itself.
                && import.segments != *path
            {
                let full = [&import.segments[..], rest].concat();
                return self.resolve(module, &full, hops + 1);
            }
        }
        for import in paths {
            // Another crate's names are unknown, and looking for its own name among them would not
            // end.
            if !matches!(import.kind, PathKind::Glob { .. }) || !self.is_ours(module, import.root())
            {
                continue;
            }
            if let Some(source) = self.resolve(module, &import.segments, hops + 1)
                && source.module != module
                && self.has_name(source.module, first)
            {
                return self.descend(source.module, path, hops + 1);
            }
        }
        None
    }

    /// Whether a path with this first segment can lead to a module of this crate.
    fn is_ours(&self, module: usize, first: &str) -> bool {
        ["crate", "self", "super"].contains(&first)
            || self.modules[module].children.contains_key(first)
            || self.has_use(module, first)
    }

    fn has_name(&self, module: usize, name: &str) -> bool {
        let here = &self.modules[module];
        here.children.contains_key(name)
            || here.syntax.items.contains(name)
            || self.has_use(module, name)
    }
}

/// Joins two relative paths, and resolves `..` in the second.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
pub(crate) mod tests;
