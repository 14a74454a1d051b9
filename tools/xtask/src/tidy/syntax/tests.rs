//! Reading imports, paths, closures and lengths from sources.

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
