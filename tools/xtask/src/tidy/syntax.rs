//! Tells the code of a Rust file from its comments, its literals and its tests.
//!
//! A small reader, not a parser: enough to look for names in code without finding those that a comment or a string
//! mentions. Positions are kept: what is left out becomes spaces.

/// What a character belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Literal,
    /// An item under `#[cfg(test)]`, whatever it holds.
    Test,
}

/// A Rust file, read once.
pub(crate) struct Source {
    chars: Vec<char>,
    kinds: Vec<Kind>,
}

impl Source {
    pub(crate) fn read(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut source = Self { kinds: kinds(&chars), chars };
        source.mark_tests();
        source
    }

    /// The code alone, tests included or not.
    pub(crate) fn code(&self, with_tests: bool) -> String {
        if with_tests {
            let all = kinds(&self.chars);
            return keep(&self.chars, &all, |kind| kind == Kind::Code);
        }
        keep(&self.chars, &self.kinds, |kind| kind == Kind::Code)
    }

    /// Code and literals, without comments and tests.
    pub(crate) fn code_and_literals(&self) -> String {
        keep(&self.chars, &self.kinds, |kind| matches!(kind, Kind::Code | Kind::Literal))
    }

    /// Lines that hold code or a literal, tests left out.
    pub(crate) fn code_lines(&self) -> usize {
        self.code_and_literals().lines().filter(|line| !line.trim().is_empty()).count()
    }

    fn mark_tests(&mut self) {
        let code: Vec<char> = self.code(false).chars().collect();
        for marker in ["#[cfg(test)]", "#[cfg(all(test,"] {
            let marker: Vec<char> = marker.chars().collect();
            for start in 0..code.len() {
                if code[start..].starts_with(&marker) {
                    let end = item_end(&code, start);
                    self.kinds[start..end].fill(Kind::Test);
                }
            }
        }
    }
}

fn keep(chars: &[char], kinds: &[Kind], wanted: impl Fn(Kind) -> bool) -> String {
    chars
        .iter()
        .zip(kinds)
        .map(|(&char, &kind)| if char == '\n' || wanted(kind) { char } else { ' ' })
        .collect()
}

fn kinds(chars: &[char]) -> Vec<Kind> {
    let mut kinds = vec![Kind::Code; chars.len()];
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (kind, length) = match rest {
            ['/', '/', ..] => {
                (Kind::Comment, rest.iter().position(|&char| char == '\n').unwrap_or(rest.len()))
            }
            ['/', '*', ..] => (Kind::Comment, block_comment(rest)),
            ['"', ..] => (Kind::Literal, string(rest)),
            ['r', ..] if raw_can_start(chars, at) => match raw_string(rest) {
                Some(length) => (Kind::Literal, length),
                None => (Kind::Code, 1),
            },
            ['\'', '\\', _, tail @ ..] => {
                let close = tail.iter().position(|&char| char == '\'').unwrap_or(tail.len());
                (Kind::Literal, (close + 4).min(rest.len()))
            }
            ['\'', _, '\'', ..] => (Kind::Literal, 3),
            _ => (Kind::Code, 1),
        };
        kinds[at..at + length].fill(kind);
        at += length;
    }
    kinds
}

/// A raw string starts with `r`, `br` or `cr`; an `r` that ends a longer word starts none.
fn raw_can_start(chars: &[char], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| chars[at]);
    let word = |char: Option<char>| char.is_some_and(|char| char.is_alphanumeric() || char == '_');
    !word(before(1)) || (matches!(before(1), Some('b' | 'c')) && !word(before(2)))
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&char| char == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let mut close = vec!['"'];
    close.resize(1 + hashes, '#');
    let body = &rest[2 + hashes..];
    let length = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    Some((2 + hashes + length + close.len()).min(rest.len()))
}

/// Where the item that begins at `start` (with its attributes) ends: after its block, or after its semicolon.
fn item_end(code: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut in_block = false;
    for (at, char) in code.iter().enumerate().skip(start) {
        match char {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' => {
                in_block |= depth == 0;
                depth += 1;
            }
            '}' => {
                depth = depth.saturating_sub(1);
                if in_block && depth == 0 {
                    return at + 1;
                }
            }
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let check = |text: &str, expected: &str| {
        let code = Source::read(text).code(false);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
    };
    check("a // b\nc", "a c");
    check("//! a\n/// b\nc", "c");
    check("a /* b /* c */ d */ e", "a e");
    check(r#"a("b // c \" d") e"#, "a( ) e");
    check("a(r\"\\\") b", "a( ) b");
    check("a(r#\"b \" c\"#) d", "a( ) d");
    check("a(br##\"b \"# c\"##) d", "a(b ) d");
    check("let r#type = for_r \"x\";", "let r#type = for_r ;");
    check("'\"' a '\\'' b '\\u{41}' c", "a b c");
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    check("a \"never closed", "a");
}

#[test]
fn items_under_cfg_test_are_left_out_and_the_code_after_them_is_not() {
    let check = |text: &str, expected: &str| {
        let code = Source::read(text).code(false);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
    };
    check("a; #[cfg(test)] mod tests { fn f() { \"}\" } } b;", "a; b;");
    check("#[cfg(test)]\nmod tests;\nb;", "b;");
    check("#[cfg(test)] #[path = \"x.rs\"] mod tests; b;", "b;");
    check("#[cfg(all(test, unix))] fn f(a: [u8; 2]) { } b;", "b;");
    check(
        "#[cfg(any(test, feature = \"testing\"))] mod testing;",
        "#[cfg(any(test, feature = ))] mod testing;",
    );
}

#[test]
fn only_lines_with_code_or_a_literal_count() {
    let source = Source::read(
        "//! a\n\nfn f() {\n    // why\n    g(\"x\n\n    y\");\n}\n#[cfg(test)]\nmod tests {\n}\n",
    );
    assert_eq!(source.code_lines(), 4);
}
