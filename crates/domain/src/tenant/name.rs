//! Names of tenants, workspaces and keys, as people type and compare them.
//!
//! A name in a list must not look like another one. Characters without a shape are refused, and so
//! are words of several scripts, because Latin, Cyrillic and Greek share shapes. A word wholly in
//! another script is accepted: people have such names. Then only the id tells it from a Latin
//! look-alike.

use std::fmt;

use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;
use unicode_script::{Script, ScriptExtension, UnicodeScript};

use crate::limits::MAX_NAME_CHARS;
use crate::text::{is_invisible, is_unprintable};

/// Names an id on the command line, so no name begins with it.
const ID_PREFIX: &str = "id:";

/// Scripts that East Asian names combine in a word.
const EAST_ASIAN_WORD: [Script; 6] = [
    Script::Latin,
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Hangul,
    Script::Bopomofo,
];

/// The name of a tenant, a workspace or a key: 1 to [`MAX_NAME_CHARS`] characters without the white
/// space around them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

/// The rule of [`Name`] that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty, or only white space.
    #[error("a name must have at least one character that is not white space")]
    Blank,
    /// More characters than the limit.
    #[error("the name has {actual} characters; the limit is {MAX_NAME_CHARS}")]
    TooLong {
        /// Characters of the text.
        actual: usize,
    },
    /// A control, bidirectional formatting or invisible character.
    #[error("the name has the character U+{code:04X}, which cannot be shown in a name: remove it")]
    Unprintable {
        /// Its code point.
        code: u32,
    },
    /// Begins like an id on the command line.
    #[error("a name cannot begin with {ID_PREFIX}, which marks an id: choose another name")]
    IdPrefix,
    /// A word of several scripts with letters that look alike.
    #[error(
        "a word of the name has {first} and {second} letters, which can look alike: write each word \
         in one script"
    )]
    MixedScripts {
        /// Name of the script at the start of the word.
        first: &'static str,
        /// Name of the script that differs.
        second: &'static str,
    },
}

impl Name {
    /// Reads a name, without the white space around it.
    ///
    /// # Errors
    /// [`NameError`] if the text breaks a rule of [`Name`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Blank);
        }
        // Characters, not bytes: people count them in an error message.
        let actual = text.chars().count();
        if actual > MAX_NAME_CHARS {
            return Err(NameError::TooLong { actual });
        }
        let hidden = |character: &char| is_unprintable(*character) || is_invisible(*character);
        if let Some(character) = text.chars().find(hidden) {
            return Err(NameError::Unprintable { code: character.into() });
        }
        let name = Self(text.into());
        // Folded, so that full-width and upper-case forms are found too.
        if name.folded().starts_with(ID_PREFIX) {
            return Err(NameError::IdPrefix);
        }
        text.split(ends_word).try_for_each(check_scripts)?;
        Ok(name)
    }

    /// Takes a name as the store returns it, unchecked.
    pub fn from_store(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Borrows the name, without the white space around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared. Case and compatibility forms are folded: full-width
    /// letters, ligatures, accents in one character or two, kinds of spaces.
    ///
    /// Not computed in SQL, because the two databases fold letters differently.
    #[must_use]
    pub fn folded(&self) -> String {
        // By Unicode's default mapping, without regard to the server's locale.
        let lower = self.0.nfkc().collect::<String>().to_lowercase();
        // Again, because some lower-case letters decompose.
        lower.nfkc().collect()
    }
}

/// Accents belong to their word; punctuation and spaces end it.
fn ends_word(character: char) -> bool {
    !character.is_alphanumeric() && character.script() != Script::Inherited
}

/// Characters of no script, such as digits, count too.
fn is_east_asian(character: char) -> bool {
    let scripts = character.script_extension();
    EAST_ASIAN_WORD.iter().any(|script| scripts.contains_script(*script))
}

fn check_scripts(word: &str) -> Result<(), NameError> {
    let mut common = ScriptExtension::default();
    for character in word.chars() {
        let narrowed = common.intersection(character.into());
        if narrowed.is_empty() && !word.chars().all(is_east_asian) {
            // Not empty: the characters before this one share a script.
            let first = common.iter().next().map_or("several", Script::full_name);
            return Err(NameError::MixedScripts { first, second: character.script().full_name() });
        }
        common = narrowed;
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        Name::parse(text).unwrap().folded()
    }

    #[test]
    fn names_compare_without_case_and_surrounding_space() {
        assert_eq!(folded(" Acme\t"), folded("aCME"));
        assert_eq!(folded("ÉCLAIR"), folded("éclair"));
        // Only the white space around a name is ignored.
        assert_ne!(folded("ac me"), folded("acme"));
        assert_eq!(Name::parse(" Acme ").unwrap().as_str(), "Acme");
    }

    #[test]
    fn names_compare_without_compatibility_forms() {
        for (text, same) in [
            ("Ａｃｍｅ", "acme"),
            ("\u{C9}clair", "E\u{301}clair"),
            ("o\u{FB03}ce", "office"),
            ("Quake\u{A0}Watch", "quake watch"),
            ("Quake\u{2003}Watch", "quake watch"),
            ("\u{212A}elvin", "kelvin"),
        ] {
            assert_eq!(folded(text), folded(same), "{text}");
        }
    }

    #[test]
    fn name_that_cannot_be_shown_is_refused() {
        assert_eq!(Name::parse(""), Err(NameError::Blank));
        assert_eq!(Name::parse(" \u{3000}\n"), Err(NameError::Blank));
        assert_eq!(Name::parse("a\u{7}b"), Err(NameError::Unprintable { code: 7 }));
        assert_eq!(Name::parse("a\u{202E}b"), Err(NameError::Unprintable { code: 0x202E }));
        assert_eq!(Name::parse(&"é".repeat(256)), Err(NameError::TooLong { actual: 256 }));
        assert!(Name::parse(&"é".repeat(255)).is_ok());
    }

    #[test]
    fn name_with_an_invisible_character_is_refused() {
        for character in [
            '\u{AD}',
            '\u{34F}',
            '\u{115F}',
            '\u{180E}',
            '\u{200B}',
            '\u{200C}',
            '\u{200D}',
            '\u{2028}',
            '\u{2060}',
            '\u{2064}',
            '\u{2800}',
            '\u{3164}',
            '\u{FE0F}',
            '\u{FEFF}',
            '\u{FFA0}',
            '\u{E0041}',
            '\u{E01EF}',
        ] {
            let code = character.into();
            let name = format!("Ac{character}me");
            assert_eq!(Name::parse(&name), Err(NameError::Unprintable { code }), "{code:X}");
        }
    }

    #[test]
    fn name_that_begins_like_an_id_is_refused() {
        for text in ["id:1", " ID:1", "Id:acme", "id:", "ｉｄ：1"] {
            assert_eq!(Name::parse(text), Err(NameError::IdPrefix), "{text}");
        }
        for text in ["id", "idea: 1", "id 1", "my id:1"] {
            assert!(Name::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn word_of_several_scripts_is_refused() {
        // Cyrillic and Greek letters in Latin words, and the reverse.
        for text in ["\u{410}cme", "P\u{430}ypal", "Goοgle", "Яндеkс", "Team \u{410}\u{301}cme"]
        {
            assert!(matches!(Name::parse(text), Err(NameError::MixedScripts { .. })), "{text}");
        }
        let first_and_second = NameError::MixedScripts { first: "Cyrillic", second: "Latin" };
        assert_eq!(Name::parse("\u{410}cme"), Err(first_and_second));
        for text in [
            "ООО Яндекс-Go 360",
            "Ελλάδα & Acme",
            "株式会社テスト",
            "Acme株式会社",
            "カラオケ館24h",
            "삼성SDS",
            "שלום",
            "हिन्दी",
            "E\u{301}clair",
            "µTorrent",
            "3M (R&D) 🚀",
        ] {
            assert!(Name::parse(text).is_ok(), "{text}: {:?}", Name::parse(text));
        }
    }
}
