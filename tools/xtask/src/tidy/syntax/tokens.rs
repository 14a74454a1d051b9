//! Tokens of a source: dropping doc comments and tests, and counting lines.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keep {
    Tests,
    NoTests,
}

/// Removes doc comments, and tests unless they are kept.
pub(super) fn filter(tokens: TokenStream, keep: Keep) -> TokenStream {
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

pub(in crate::tidy) fn is_punct(tree: Option<&TokenTree>, char: char) -> bool {
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

pub(super) fn add_lines(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
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
