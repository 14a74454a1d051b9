//! Text on a terminal: its width, and its lines.

use unicode_width::UnicodeWidthStr;

/// Returns the columns a text takes. Wide characters, such as Han, take two.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Returns the start of a text that fits into `columns`.
pub(crate) fn cut(text: &str, columns: usize) -> &str {
    if width(text) <= columns {
        return text;
    }
    let mut end = 0;
    for (at, character) in text.char_indices() {
        let next = at + character.len_utf8();
        if width(&text[..next]) > columns {
            break;
        }
        end = next;
    }
    &text[..end]
}

/// Breaks a text at blanks into lines of at most `max` columns. A word longer than `longest_word` is broken too; any other
/// long word gets a line of its own.
pub(crate) fn wrap(text: &str, max: usize, longest_word: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        for part in parts(word, max, longest_word) {
            if !line.is_empty() && width(&line) + 1 + width(part) > max {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(part);
        }
    }
    lines.push(line);
    lines
}

/// Splits a word that is longer than `longest_word` into parts of at most `max` columns.
fn parts(word: &str, max: usize, longest_word: usize) -> Vec<&str> {
    if width(word) <= max.max(longest_word) {
        return vec![word];
    }
    let mut parts = Vec::new();
    let mut rest = word;
    while width(rest) > max {
        // At least one character, so that it ends.
        let mut end = rest.chars().next().map_or(0, char::len_utf8);
        for (at, character) in rest.char_indices().skip(1) {
            let next = at + character.len_utf8();
            if width(&rest[..next]) > max {
                break;
            }
            end = next;
        }
        let (part, left) = rest.split_at(end);
        parts.push(part);
        rest = left;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_column() {
        for (text, columns, expected) in
            [("abc", 3, "abc"), ("abcd", 3, "abc"), ("漢字", 3, "漢"), ("漢", 1, ""), ("", 0, "")]
        {
            assert_eq!(cut(text, columns), expected);
        }
    }

    #[test]
    fn text_breaks_at_blanks_and_long_words_only_on_demand() {
        assert_eq!(wrap("one two three", 8, 8), ["one two", "three"]);
        assert_eq!(wrap("", 8, 8), [""]);
        assert_eq!(wrap("a 0123456789", 4, 20), ["a", "0123456789"]);
        assert_eq!(wrap("0123456789", 4, 4), ["0123", "4567", "89"]);
        // Each takes two columns.
        assert_eq!(wrap("漢字漢字", 5, 5), ["漢字", "漢字"]);
        assert_eq!(wrap("漢", 1, 1), ["漢"]);
    }
}
