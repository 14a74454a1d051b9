//! The command line of bash: split into words up to the cursor, and the part of the last word that
//! bash replaces.
//!
//! bash passes its line with all quotes, and inserts a completion as it is.

/// A line of bash up to the cursor.
pub(crate) struct BashLine {
    /// The words between the program and the cursor, without quotes.
    pub(crate) words: Vec<String>,
    /// The word at the cursor, without quotes; may be empty.
    pub(super) current: String,
    /// The beginning of `current` that bash keeps: it replaces what follows the last break.
    kept: usize,
    /// The quote that is open at the cursor.
    quote: Option<char>,
}

impl BashLine {
    /// Reads a line. `breaks` is `COMP_WORDBREAKS`. `None` if the cursor is in the program's name.
    pub(crate) fn read(line: &str, breaks: &str) -> Option<Self> {
        let mut splitter = Splitter::default();
        splitter.read(line, breaks);
        let Splitter { words, word, kept, quote, .. } = splitter;
        // `DATABASE_URL=… mercurio-admin …`
        let program = words.iter().position(|word| !is_assignment(word))?;
        let words = words.into_iter().skip(program + 1).collect();
        Some(Self { words, current: word, kept, quote })
    }

    /// Returns the text to insert in place of the last part of the word. `None` if `value` differs in
    /// the part that stays.
    pub(super) fn insertion(&self, value: &str) -> Option<String> {
        let (kept, replaced) = value.split_at_checked(self.kept)?;
        let is_same = self.current.get(..self.kept)?.eq_ignore_ascii_case(kept);
        (is_same && !replaced.is_empty()).then(|| self.quoted(replaced))
    }

    fn quoted(&self, text: &str) -> String {
        let mut quoted = String::with_capacity(text.len() + 8);
        for character in text.chars() {
            match self.quote {
                Some('\'') if character == '\'' => {
                    quoted.push_str("'\\''");
                    continue;
                }
                Some('\'') => {}
                Some(_) if "\"\\$`".contains(character) => quoted.push('\\'),
                Some(_) => {}
                None if needs_escape(character) => quoted.push('\\'),
                None => {}
            }
            quoted.push(character);
        }
        quoted
    }
}

/// Removes quotes from one word as it was typed. The last quote may be open.
pub(super) fn without_quotes(word: &str) -> String {
    let mut splitter = Splitter::default();
    splitter.read(word, "");
    splitter.word
}

/// Whether bash would not take the character for itself outside of quotes.
fn needs_escape(character: char) -> bool {
    character.is_ascii() && !character.is_ascii_alphanumeric() && !"_@%+=:,./-".contains(character)
}

/// `NAME=value` in front of a command.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    /// The word being read.
    word: String,
    /// It may be empty, as `""` is.
    is_word: bool,
    kept: usize,
    quote: Option<char>,
}

impl Splitter {
    fn read(&mut self, line: &str, breaks: &str) {
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            match (self.quote, character) {
                (Some(quote), _) if character == quote => {
                    self.quote = None;
                    // Quotes break words too.
                    self.kept = self.word.len();
                }
                (Some('"'), '\\') => {
                    let escaped = characters.next_if(|next| "\"\\$`".contains(*next));
                    self.word.push(escaped.unwrap_or('\\'));
                }
                (Some(_), _) => self.word.push(character),
                (None, '\'' | '"') => {
                    self.is_word = true;
                    self.quote = Some(character);
                    self.kept = self.word.len();
                }
                (None, '\\') => {
                    self.is_word = true;
                    self.word.extend(characters.next());
                }
                (None, ' ' | '\t' | '\n') => self.end_word(),
                (None, _) => {
                    self.is_word = true;
                    self.word.push(character);
                    if breaks.contains(character) {
                        self.kept = self.word.len();
                    }
                }
            }
        }
    }

    fn end_word(&mut self) {
        if self.is_word {
            self.words.push(std::mem::take(&mut self.word));
            self.is_word = false;
        }
        self.kept = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `COMP_WORDBREAKS` of bash 5.
    const BREAKS: &str = " \t\n\"'@><=;|&(:";

    #[track_caller]
    fn read(line: &str) -> BashLine {
        BashLine::read(line, BREAKS).expect("a line behind the program")
    }

    #[test]
    fn words_lose_their_quotes_as_bash_would_remove_them() {
        let line = read(r#"X=1 mercurio-admin tenant show 'O'\''Brien' "a \"b\" \c" A\ B "" la"#);
        assert_eq!(line.words, ["tenant", "show", "O'Brien", "a \"b\" \\c", "A B", ""]);
        assert_eq!(line.current, "la");
        assert_eq!(read("mercurio-admin tenant ").current, "");
        assert!(BashLine::read("mercurio-adm", BREAKS).is_none());
        assert_eq!(without_quotes("\"Acme C"), "Acme C");
        assert_eq!(without_quotes("Acme\\ C"), "Acme C");
    }

    #[test]
    fn insertion_is_quoted_like_the_word_typed() {
        let name = "O'Brien & \"Söhne\" $1";
        for (line, expected) in [
            ("mercurio-admin tenant show ", r#"O\'Brien\ \&\ \"Söhne\"\ \$1"#),
            ("mercurio-admin tenant show O\\'", r#"O\'Brien\ \&\ \"Söhne\"\ \$1"#),
            ("mercurio-admin tenant show \"o", r#"O'Brien & \"Söhne\" \$1"#),
            ("mercurio-admin tenant show 'O", r#"O'\''Brien & "Söhne" $1"#),
            // bash keeps the text before the quote.
            ("mercurio-admin tenant show O\"'B", r#"'Brien & \"Söhne\" \$1"#),
        ] {
            assert_eq!(read(line).insertion(name).as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn insertion_begins_behind_the_last_break() {
        let line = read("mercurio-admin key create --scopes=events:w");
        assert_eq!(line.current, "--scopes=events:w");
        assert_eq!(line.insertion("--scopes=events:write").as_deref(), Some("write"));
        let line = read("mercurio-admin key list --tenant id:");
        assert_eq!(line.insertion("id:42").as_deref(), Some("42"));
        assert_eq!(line.insertion("Acme"), None);
        // An escaped break is none.
        let line = read("mercurio-admin tenant show a\\:b");
        assert_eq!(line.insertion("a:bc").as_deref(), Some("a:bc"));
    }
}
