//! Rule for the names of tests: at most 60 characters, in macros as well.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::finding::Finding;
use super::syntax::Source;

const MAX_CHARS: usize = 60;

/// Checks the names of all tests of a source.
pub(crate) fn findings(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    check(source.all.clone(), &mut findings);
    findings
}

/// Looks for `fn` after a `#[test]`, at every depth: the tests of `proptest!` are tokens only.
fn check(tokens: TokenStream, findings: &mut Vec<Finding>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut is_test = false;
    for (index, tree) in trees.iter().enumerate() {
        match (tree, trees.get(index + 1)) {
            (TokenTree::Punct(hash), Some(TokenTree::Group(group)))
                if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
            {
                // The function may have several attributes.
                is_test |= names_test(group.stream());
            }
            (TokenTree::Ident(word), Some(TokenTree::Ident(name))) if is_test && word == "fn" => {
                let chars = name.to_string().chars().count();
                if chars > MAX_CHARS {
                    findings.push(Finding::at(
                        name.span().start().line,
                        format!("test {name} has {chars} characters; the limit is {MAX_CHARS}"),
                    ));
                }
            }
            (TokenTree::Group(group), _) => {
                check(group.stream(), findings);
                // A body ends the test, unlike parentheses and brackets.
                is_test &= group.delimiter() != Delimiter::Brace;
            }
            _ => {}
        }
    }
}

/// Whether the path of an attribute ends with `test`: `test`, `tokio::test`, `actix_web::test`.
fn names_test(attribute: TokenStream) -> bool {
    let mut last = None;
    for tree in attribute {
        match tree {
            TokenTree::Ident(word) => last = Some(word),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {}
            // The arguments of an attribute follow its path.
            _ => break,
        }
    }
    last.is_some_and(|word| word == "test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[Option<usize>]) {
        let findings = findings(&Source::read(text).expect("Rust"));
        let lines: Vec<Option<usize>> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{text}: {findings:?}");
    }

    #[test]
    fn long_name_of_a_test_is_found_but_not_of_a_function() {
        let (longest, long) = ("a".repeat(MAX_CHARS), "a".repeat(MAX_CHARS + 1));
        check(&format!("#[test] fn {longest}() {{}}"), &[]);
        check(&format!("\n#[test] fn {long}() {{}}"), &[Some(2)]);
        check(&format!("#[tokio::test(flavor = \"x\")] async fn {long}() {{}}"), &[Some(1)]);
        check(
            &format!("#[cfg(test)] mod tests {{\n#[test] #[ignore] fn {long}() {{}} }}"),
            &[Some(2)],
        );
        check(&format!("proptest! {{ #[test]\nfn {long}(x in 0..1) {{}} }}"), &[Some(2)]);
        check(&format!("#[test] fn a() {{}} fn {long}() {{}}"), &[]);
        check(&format!("#[cfg(test)] fn {long}() {{}}"), &[]);
    }
}
