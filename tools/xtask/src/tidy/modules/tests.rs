//! Modules and imports of small sources.

use super::*;

pub(crate) fn read(files: &[(&str, &str)]) -> Crate {
    let mut sources = BTreeMap::new();
    for (file, text) in files {
        sources.insert((*file).to_owned(), Source::read(text).expect("Rust"));
    }
    Crate::read(files[0].0, &sources)
}

/// Compares the imports, each as "module -> module", with marks for namespaces (`n`) and
/// re-exports (`r`).
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let mut imports: Vec<String> = read(files)
        .imports
        .iter()
        .map(|import| {
            let marks = [(import.is_namespace, " n"), (import.is_reexport, " r")];
            let marks: String = marks.iter().filter(|mark| mark.0).map(|mark| mark.1).collect();
            format!("{} -> {}{marks}", import.module, import.target_module)
        })
        .collect();
    imports.sort();
    assert_eq!(imports, expected, "{files:?}");
}

#[test]
fn modules_are_found_in_files_folders_and_other_paths() {
    let root = "mod a; mod b; mod c { pub(super) mod d; } #[path = \"../x/e.rs\"] mod e; mod f;\n\
        fn g() { a::h(); b::h(); c::d::h(); e::h(); f::i::h(); }";
    let h = "pub fn h() {}";
    check(
        &[
            ("k/src/lib.rs", root),
            ("k/src/a.rs", h),
            ("k/src/b/mod.rs", h),
            ("k/src/c/d.rs", h),
            ("k/x/e.rs", h),
            ("k/src/f.rs", "pub mod i;"),
            ("k/src/f/i.rs", h),
        ],
        &[" -> a", " -> b", " -> c::d", " -> e", " -> f::i"],
    );
}

#[test]
fn paths_lead_to_the_module_that_defines_the_item() {
    let a = ("a.rs", "pub struct A;");
    check(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "use crate::a::A;")], &["b -> a"]);
    check(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "use super::a::A as X;")], &["b -> a"]);
    check(
        &[("lib.rs", "mod a; mod b;"), a, ("b.rs", "fn f() { crate::a::A::new() }")],
        &["b -> a"],
    );
    check(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "fn f() { vec![crate::a::A] }")], &["b -> a"]);
    check(
        &[("lib.rs", "mod a; mod b;"), a, ("b.rs", "use crate::a; fn f() { a::A }")],
        &["b -> a", "b -> a n"],
    );
    check(
        &[("lib.rs", "mod a; mod b;"), a, ("b.rs", "use crate::a; use a::A;")],
        &["b -> a", "b -> a n"],
    );
    check(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "use crate::a::*;")], &["b -> a"]);
    // The path of the root is empty.
    check(&[("lib.rs", "mod a; struct B;"), ("a.rs", "use super::B;")], &["a -> "]);
    check(
        &[("lib.rs", "mod a; macro_rules! m { () => {} }"), ("a.rs", "fn f() { crate::m!() }")],
        &["a -> "],
    );
    // A macro defines the item, so the module is the target.
    check(
        &[("lib.rs", "mod a; mod b;"), ("a.rs", "table! {}"), ("b.rs", "use crate::a::t;")],
        &["b -> a"],
    );
}

#[test]
fn reexports_are_followed_and_marked() {
    let a = ("a.rs", "pub struct A;");
    check(
        &[("lib.rs", "mod a; mod b; pub use a::A;"), a, ("b.rs", "use crate::A;")],
        &[" -> a r", "b -> a"],
    );
    check(
        &[("lib.rs", "mod a; mod b; pub use a::A as C;"), a, ("b.rs", "use super::C;")],
        &[" -> a r", "b -> a"],
    );
    check(
        &[("lib.rs", "mod a; mod b; pub use self::a::*;"), a, ("b.rs", "use crate::A;")],
        &[" -> a r", "b -> a"],
    );
    // The parent uses the item too.
    check(&[("lib.rs", "mod a; pub use a::A; fn f(a: A) {}"), a], &[" -> a", " -> a r"]);
    // A module and a function of the same name.
    check(
        &[
            ("lib.rs", "mod a; mod b; pub use a::a;"),
            ("a.rs", "pub fn a() {}"),
            ("b.rs", "fn b() { crate::a() }"),
        ],
        &[" -> a r", "b -> a"],
    );
    // Another crate's item.
    check(&[("lib.rs", "mod b; pub use x::A;"), ("b.rs", "use crate::A;")], &[]);
    check(&[("lib.rs", "mod b; use x::A;"), ("b.rs", "use super::A;")], &[]);
    // Not a child.
    check(&[("lib.rs", "mod a; mod b;"), a, ("b.rs", "pub use crate::a::A;")], &["b -> a"]);
}

#[test]
fn tests_locals_and_other_crates_are_no_imports() {
    let a = ("a.rs", "pub struct A;");
    check(
        &[("lib.rs", "mod a; mod b;"), a, ("b.rs", "#[cfg(test)] mod tests { use crate::a::A; }")],
        &[],
    );
    check(&[("lib.rs", "mod a; use serde::A; fn f(a: A) { std::a::A }"), a], &[]);
    check(&[("lib.rs", "mod a; struct B; fn f(b: B) { self::B; c }"), a], &[]);
}
