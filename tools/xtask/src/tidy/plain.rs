//! Rules for plain Rust: a named closure fits on one line, no parameter is a tuple, and no test
//! sleeps.
//!
//! A longer closure becomes a function or a loop, and a tuple becomes a struct. Tests may take
//! slices of pairs, as tables of cases.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{FnArg, Pat, Signature, Type};

use super::finding::Finding;
use super::syntax::{Source, is_punct};

/// Checks a Rust source. In a file of tests, all code is test code.
pub(crate) fn findings(source: &Source, is_test_file: bool) -> Vec<Finding> {
    let mut findings = sleep_findings(source, is_test_file);
    check_closures(source.all.clone(), &mut findings);
    let mut signatures = Signatures { in_tests: true, findings };
    signatures.visit_file(&source.all_file);
    if !is_test_file {
        signatures.in_tests = false;
        signatures.visit_file(&source.file);
    }
    signatures.findings
}

/// Looks for any function `sleep` in test code.
fn sleep_findings(source: &Source, is_test_file: bool) -> Vec<Finding> {
    let code = source.modules.all_paths();
    let mut findings = Vec::new();
    for path in source.all_modules.all_paths() {
        let is_in_test = is_test_file || !code.contains(&path);
        if is_in_test && path.segments.last().is_some_and(|name| name == "sleep") {
            let message = "a test sleeps; wait on a channel, or for a process with `wait_for` of \
                           mercurio_storage::testing";
            findings.push(Finding::at(path.line, message));
        }
    }
    findings
}

/// Looks for `let name = |…| …;` of several lines, at every depth: the input of a macro is tokens
/// only.
fn check_closures(tokens: TokenStream, findings: &mut Vec<Finding>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => check_closures(group.stream(), findings),
            TokenTree::Ident(word) if word == "let" => {
                let statement = trees[index..].split(|tree| is_punct(Some(tree), ';')).next();
                findings.extend(statement.and_then(long_closure));
            }
            _ => {}
        }
    }
}

/// Returns a finding if the statement binds a closure of several lines.
fn long_closure(statement: &[TokenTree]) -> Option<Finding> {
    // The type of the name may contain a `=` too, as in `Iterator<Item = u8>`.
    let mut values = statement.split(|tree| is_punct(Some(tree), '=')).skip(1);
    let closure = values.find(|value| is_closure(value))?;
    let first = closure.first()?.span().start().line;
    let last = statement.last()?.span().end().line;
    (last > first).then(|| {
        let message = "binds a name to a closure of several lines; use a function or a loop";
        Finding::at(first, message)
    })
}

/// Whether tokens begin with `|`, maybe after `async`, `move` or `&`.
fn is_closure(value: &[TokenTree]) -> bool {
    let mut rest = value.iter().skip_while(|tree| match tree {
        TokenTree::Ident(word) => word == "async" || word == "move" || word == "mut",
        tree => is_punct(Some(tree), '&'),
    });
    rest.next().is_some_and(|tree| is_punct(Some(tree), '|'))
}

/// Looks for parameters that are tuples.
struct Signatures {
    /// Whether the visited code includes tests, which may have slices of pairs.
    in_tests: bool,
    findings: Vec<Finding>,
}

impl Signatures {
    fn is_tuple(&self, ty: &Type) -> bool {
        match ty {
            // `()` has no elements.
            Type::Tuple(tuple) => !tuple.elems.is_empty(),
            Type::Paren(inner) => self.is_tuple(&inner.elem),
            Type::Reference(inner) => self.is_tuple(&inner.elem),
            Type::Slice(inner) => !self.in_tests && self.is_tuple(&inner.elem),
            Type::Array(inner) => !self.in_tests && self.is_tuple(&inner.elem),
            _ => false,
        }
    }
}

impl<'ast> Visit<'ast> for Signatures {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        for parameter in &signature.inputs {
            if let FnArg::Typed(parameter) = parameter
                && (matches!(*parameter.pat, Pat::Tuple(_)) || self.is_tuple(&parameter.ty))
            {
                let line = parameter.colon_token.span.start().line;
                let message = format!(
                    "the parameters of {} have a tuple; use a named struct",
                    signature.ident
                );
                self.findings.push(Finding::at(line, message));
            }
        }
        visit::visit_signature(self, signature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, is_test_file: bool, expected: &[usize]) {
        let findings = findings(&Source::read(text).expect("Rust"), is_test_file);
        let mut lines: Vec<_> = findings.iter().filter_map(|finding| finding.line).collect();
        lines.dedup();
        assert_eq!(lines, expected, "{text}: {findings:?}");
    }

    #[test]
    fn named_closure_of_several_lines_is_found() {
        let cases: [(&str, &[usize]); 14] = [
            ("let a = |b| b + 1;", &[]),
            ("let a =\n    |b| b + 1;", &[]),
            ("let a = |b| {\n    b + 1\n};", &[1]),
            ("let a = || {\n    1\n};", &[1]),
            ("let mut a = move |b|\n    b.c();", &[1]),
            ("let a = async move || {\n    b().await\n};", &[1]),
            ("let a = &mut || {\n    1\n};", &[1]),
            ("let a: &dyn Fn(u8) = &|b| {\n    c(b)\n};", &[1]),
            ("let a: fn() -> Box<dyn Iterator<Item = u8>> =\n    || {\n    b\n};", &[2]),
            ("c(|| {\n    let a = |b| {\n        b\n    };\n});", &[2]),
            ("m! {\n    let a = |b| {\n        b\n    };\n}", &[2]),
            // An argument has no name, and a value is no closure.
            ("let a = b.map(|c| {\n    c\n});", &[]),
            ("let a = b\n    || c;\nlet d = e == f\n    || g;", &[]),
            ("if let A | B = c {\n    d();\n}\nlet (A | B) = c else {\n    d\n};", &[]),
        ];
        for (body, expected) in cases {
            for (head, tail) in [("fn f() { ", "}"), ("#[cfg(test)] fn f() { ", " }")] {
                check(&format!("{head}{body}{tail}"), false, expected);
            }
        }
    }

    #[test]
    fn tuple_among_parameters_is_found() {
        let cases: [(&str, &[usize]); 9] = [
            ("fn f(a: A, b: &[B]) -> (A, B) { c }", &[]),
            ("fn f(a: ()) {}", &[]),
            ("fn f(\n    a: A,\n    b: (B, C),\n) {}", &[3]),
            ("fn f((a, b): A) {}", &[1]),
            ("fn f(a: &(A, B)) {}", &[1]),
            ("fn f(a: &[(A, B)]) {}", &[1]),
            ("fn f(a: [(A, B); 2]) {}", &[1]),
            ("trait T {\n    fn f(&self, a: (A, B));\n}", &[2]),
            ("impl T for A {\n    fn f(&self, (a, b): B) {}\n}", &[2]),
        ];
        for (text, expected) in cases {
            check(text, false, expected);
        }
    }

    #[test]
    fn sleep_is_found_in_tests_alone() {
        let body = "fn f() {\n    std::thread::sleep(A);\n}";
        check(body, false, &[]);
        check(body, true, &[2]);
        check(
            &format!("use tokio::time::sleep;\n#[cfg(test)] mod tests {{ {body} }}"),
            false,
            &[3],
        );
        check("#[cfg(test)] mod tests {\n    use tokio::time::{Duration, sleep};\n}", false, &[2]);
        check("#[test]\nfn f() {\n    a.sleep(B);\n    g(C::sleep_until);\n}", true, &[]);
    }

    #[test]
    fn tests_may_take_slices_of_pairs_but_no_tuple() {
        check("fn f(a: &[(A, B)]) {}", true, &[]);
        check("#[cfg(test)] mod tests { fn f(a: &[(A, B)]) {} }", false, &[]);
        check("fn f(a: (A, B)) {}", true, &[1]);
        check("#[cfg(test)] mod tests { fn f(a: (A, B)) {} }", false, &[1]);
    }
}
