//! Finds the paths in Rust code: every branch of a `use`, and every `a::b` in the text.

/// A path as written, from its first segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// The name it is known by here: the last segment, or what follows `as`.
    pub(crate) name: String,
}

impl Path {
    pub(crate) fn root(&self) -> &str {
        &self.segments[0]
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Other(char),
}

type Tokens = [(usize, Token)];

/// All paths of `code`, which holds neither comments nor literals. A name that stands alone outside of a `use` is none.
pub(crate) fn paths(code: &str) -> Vec<Path> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = match &tokens[at].1 {
            // `impl Trait + use<'a>` captures lifetimes and imports nothing.
            Token::Word(word) if word == "use" && !is_other(&tokens, at + 1, '<') => {
                use_tree(&tokens, at + 1, &[], &mut found)
            }
            Token::Word(word)
                if word == "crate" && is_word(&tokens, at.wrapping_sub(1), "extern") =>
            {
                push(&tokens, at + 1, &[], &mut found);
                at + 2
            }
            Token::Word(_) => plain_path(&tokens, at, &mut found),
            _ => at + 1,
        };
    }
    found
}

fn tokens(code: &str) -> Vec<(usize, Token)> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let word = rest
                .find(|char: char| !char.is_alphanumeric() && char != '_')
                .unwrap_or(rest.len());
            let (token, length) = if rest.starts_with("r#") {
                rest = &rest[2..];
                continue;
            } else if word > 0 {
                (Some(Token::Word(rest[..word].to_owned())), word)
            } else if rest.starts_with("::") {
                (Some(Token::Colons), 2)
            } else {
                ((!first.is_whitespace()).then_some(Token::Other(first)), first.len_utf8())
            };
            tokens.extend(token.map(|token| (index + 1, token)));
            rest = &rest[length..];
        }
    }
    tokens
}

fn is_other(tokens: &Tokens, at: usize, char: char) -> bool {
    tokens.get(at).is_some_and(|(_, token)| *token == Token::Other(char))
}

fn is_word(tokens: &Tokens, at: usize, word: &str) -> bool {
    matches!(tokens.get(at), Some((_, Token::Word(found))) if found == word)
}

fn push(tokens: &Tokens, at: usize, prefix: &[String], found: &mut Vec<Path>) {
    if let Some((line, Token::Word(word))) = tokens.get(at) {
        let segments = [prefix, std::slice::from_ref(word)].concat();
        found.push(Path { line: *line, name: word.clone(), segments });
    }
}

/// Reads `a::b`, from its first word; returns where it ends.
fn plain_path(tokens: &Tokens, start: usize, found: &mut Vec<Path>) -> usize {
    let mut prefix = Vec::new();
    let mut at = start;
    while let (Some((_, Token::Word(word))), Some((_, Token::Colons)), Some((_, Token::Word(_)))) =
        (tokens.get(at), tokens.get(at + 1), tokens.get(at + 2))
    {
        prefix.push(word.clone());
        at += 2;
    }
    if !prefix.is_empty() {
        push(tokens, at, &prefix, found);
    }
    at + 1
}

/// Reads a `use` tree up to the `,`, `}` or `;` behind it; returns where that stands.
fn use_tree(tokens: &Tokens, start: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let mut prefix = prefix.to_vec();
    let mut at = start;
    while let Some((line, token)) = tokens.get(at) {
        match token {
            Token::Colons => at += 1,
            Token::Word(word) if matches!(tokens.get(at + 1), Some((_, Token::Colons))) => {
                prefix.push(word.clone());
                at += 2;
            }
            Token::Word(word) => {
                // `a::{self}` is `a`.
                if word == "self" && !prefix.is_empty() {
                    found.push(Path {
                        line: *line,
                        name: prefix[prefix.len() - 1].clone(),
                        segments: prefix.clone(),
                    });
                } else {
                    push(tokens, at, &prefix, found);
                }
                if let (true, Some((_, Token::Word(name))), Some(path)) =
                    (is_word(tokens, at + 1, "as"), tokens.get(at + 2), found.last_mut())
                {
                    path.name.clone_from(name);
                    return at + 3;
                }
                return at + 1;
            }
            Token::Other('*') => {
                found.push(Path {
                    line: *line,
                    name: "*".into(),
                    segments: [&prefix[..], &["*".into()]].concat(),
                });
                return at + 1;
            }
            Token::Other('{') => {
                at += 1;
                while !is_other(tokens, at, '}') && at < tokens.len() {
                    at = use_tree(tokens, at, &prefix, found);
                    if is_other(tokens, at, ',') {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Token::Other(_) => return at + 1,
        }
    }
    at
}

#[test]
fn every_branch_of_a_use_and_every_path_in_the_text_is_found() {
    let check = |code: &str, expected: &[&str]| {
        let found: Vec<String> = paths(code).iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(found, expected, "{code}");
    };
    check("use a;", &["a"]);
    check("pub(crate) use ::a::b as c;", &["a::b"]);
    check(
        "use a::{self, b::{c, d}, e::*, f as g,};\nh::i();",
        &["a", "a::b::c", "a::b::d", "a::e::*", "a::f", "h::i"],
    );
    check("use {a::b, c};", &["a::b", "c"]);
    check("use super::{schema, sqlite};", &["super::schema", "super::sqlite"]);
    check("extern crate a;", &["a"]);
    check("#[a::main]\nfn f(x: b::C) -> Vec<d::E> { x.g(h::<I>()) }", &["a::main", "b::C", "d::E"]);
    check("fn f() -> impl T + use<'a> { $crate::m!() }", &["crate::m"]);
    check("r#type::a", &["type::a"]);
    check("use a::{b", &["a::b"]);
}

#[test]
fn a_path_knows_its_line_and_its_name_here() {
    let found = paths("\nuse a::{\n    b as c,\n};");
    assert_eq!(found, [Path { line: 3, segments: vec!["a".into(), "b".into()], name: "c".into() }]);
    assert_eq!(found[0].root(), "a");
}
