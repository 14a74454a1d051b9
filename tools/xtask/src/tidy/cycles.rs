//! Files that import each other, directly or through others.
//!
//! Two files in a circle are one file in two places: neither can be read, tested or moved alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::modules::Import;

/// A circle, at the first import of its first file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cycle {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// The imported files of each file, with the line of the first import.
type Graph<'i> = BTreeMap<&'i str, BTreeMap<&'i str, usize>>;

/// Returns the circles among `imports`: every pair, and the shortest circle of each larger group.
pub(crate) fn find(imports: &[Import]) -> Vec<Cycle> {
    let mut graph = Graph::new();
    for import in imports.iter().filter(|import| is_edge(import)) {
        let targets = graph.entry(&import.file).or_default();
        // The first import of the file is reported, whatever the order of paths.
        let line = targets.entry(&import.target_file).or_insert(import.line);
        *line = import.line.min(*line);
    }
    // Pairs first, or a larger circle around a pair would show as the pair.
    let mut cycles = take_pairs(&mut graph);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let files: Vec<&str> = graph.keys().copied().collect();
    for file in files {
        if seen.contains(file) {
            continue;
        }
        if let Some(files) = shortest_cycle(&graph, file) {
            let names = [&files[..], &[file]].concat().join(" -> ");
            cycles.push(Cycle {
                file: file.to_owned(),
                line: graph[file][files.get(1).copied().unwrap_or(file)],
                message: format!("imports itself through {names}"),
            });
            // No other start reports these files again.
            seen.extend(files);
        }
    }
    cycles
}

fn is_edge(import: &Import) -> bool {
    // `use a::b` of a module imports nothing by itself: the paths through it do.
    import.file != import.target_file && !import.is_namespace && !import.is_reexport
}

/// Removes mutual imports from the graph, and returns them as circles.
fn take_pairs(graph: &mut Graph<'_>) -> Vec<Cycle> {
    let mut cycles = Vec::new();
    let files: Vec<&str> = graph.keys().copied().collect();
    for file in files {
        let targets: Vec<&str> = graph[file].keys().copied().collect();
        for other in targets {
            // Each pair appears from both sides; the smaller name reports it.
            if file >= other || !graph.get(other).is_some_and(|back| back.contains_key(file)) {
                continue;
            }
            let mut remove = |from, to| graph.get_mut(from).and_then(|targets| targets.remove(to));
            if let (Some(line), Some(line_back)) = (remove(file, other), remove(other, file)) {
                cycles.push(Cycle {
                    file: file.to_owned(),
                    line,
                    message: format!("imports {other}, which imports this file (line {line_back})"),
                });
            }
        }
    }
    cycles
}

/// Returns the files of the shortest circle through `start`, beginning with `start`.
fn shortest_cycle<'i>(graph: &Graph<'i>, start: &'i str) -> Option<Vec<&'i str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    // Breadth first, so the first way back is a shortest one.
    let mut queue = VecDeque::from([start]);
    while let Some(file) = queue.pop_front() {
        for next in graph.get(file).into_iter().flat_map(|targets| targets.keys()) {
            if *next == start {
                let mut files = vec![file];
                // Back along the search, from the last file to the start.
                while let Some(before) = came_from.get(files[files.len() - 1]) {
                    files.push(before);
                }
                files.reverse();
                return Some(files);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, file);
                queue.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::modules::tests::read;
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let cycles: Vec<String> = find(&read(files).imports)
            .iter()
            .map(|cycle| format!("{}:{}: {}", cycle.file, cycle.line, cycle.message))
            .collect();
        assert_eq!(cycles, expected, "{files:?}");
    }

    #[test]
    fn siblings_that_import_each_other_are_a_circle() {
        let root = ("lib.rs", "mod a; mod b;");
        let a = ("a.rs", "\nuse crate::b::B; pub struct A;");
        check(&[root, a, ("b.rs", "pub struct B;")], &[]);
        check(
            &[root, a, ("b.rs", "\n\nuse crate::a::A; pub struct B;")],
            &["a.rs:2: imports b.rs, which imports this file (line 3)"],
        );
        check(
            // A path in a signature counts like a `use`.
            &[root, a, ("b.rs", "pub struct B; impl B { fn f(self) -> crate::a::A {} }")],
            &["a.rs:2: imports b.rs, which imports this file (line 1)"],
        );
    }

    #[test]
    fn circle_through_a_reexport_is_found() {
        check(
            &[
                ("lib.rs", "mod a; mod b; pub use a::A;"),
                ("a.rs", "use crate::b::B; pub struct A;"),
                ("b.rs", "use crate::A; pub struct B;"),
            ],
            &["a.rs:1: imports b.rs, which imports this file (line 1)"],
        );
    }

    #[test]
    fn parent_and_child_are_a_circle_if_both_use_the_other() {
        let child = ("a/b.rs", "use super::A; pub fn b() {}");
        let root = ("lib.rs", "mod a;");
        check(&[root, ("a/mod.rs", "mod b; pub struct A; pub use b::b;"), child], &[]);
        // A call by the parent is an import, unlike a re-export.
        check(
            &[root, ("a/mod.rs", "mod b; pub struct A; fn f() { b::b() }"), child],
            &["a/b.rs:1: imports a/mod.rs, which imports this file (line 1)"],
        );
        let independent = ("a/b.rs", "pub fn b() {}");
        check(&[root, ("a/mod.rs", "mod b; pub struct A; fn f() { b::b() }"), independent], &[]);
        // Tests may use both directions.
        let tested = ("a/b.rs", "pub fn b() {} #[cfg(test)] mod tests { use super::super::A; }");
        check(&[root, ("a/mod.rs", "mod b; pub struct A; fn f() { b::b() }"), tested], &[]);
    }

    #[test]
    fn longer_circle_is_reported_once() {
        check(
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "use crate::b::B; pub struct A;"),
                ("b.rs", "use crate::c::C; pub struct B;"),
                ("c.rs", "use crate::a::A; pub struct C;"),
            ],
            &["a.rs:1: imports itself through a.rs -> b.rs -> c.rs -> a.rs"],
        );
    }
}
