//! Reads uap-core's `regexes.yaml`, and only the subset of YAML it uses.
//!
//! The file has three lists of mappings, one `key: 'value'` a line, and comments. Reading it needs no YAML library and
//! borrows the patterns from the program's own data. Any other line is an error: a test notices it in a newer file.

use std::borrow::Cow;

use ua_parser::{Regexes, device, os, user_agent};

/// The file as published.
pub(crate) const UAP_CORE: &str = include_str!("../../data/regexes.yaml");

/// A line has another form than `key: 'value'`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not of the form expected of regexes.yaml")]
pub(crate) struct UnknownForm {
    line: usize,
}

type Text = Cow<'static, str>;

/// Reads the whole file.
pub(crate) fn read(yaml: &'static str) -> Result<Regexes<'static>, UnknownForm> {
    let mut regexes = Regexes {
        user_agent_parsers: Vec::new(),
        os_parsers: Vec::new(),
        device_parsers: Vec::new(),
    };
    let mut list = "";
    for (index, line) in yaml.lines().enumerate() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        // A list begins at the left margin, and its entries are indented.
        let is_known = if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            list = content;
            content.ends_with("_parsers:")
        } else {
            entry(&mut regexes, list, content).is_some()
        };
        if !is_known {
            return Err(UnknownForm { line: index + 1 });
        }
    }
    Ok(regexes)
}

/// Reads `- regex: '…'`, the beginning of an entry of `list`, or another `key: '…'` of the last entry.
fn entry(regexes: &mut Regexes<'static>, list: &str, content: &'static str) -> Option<()> {
    let (begins, content) = match content.strip_prefix("- ") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, content),
    };
    let (key, value) = content.split_once(':')?;
    let value = scalar(value.trim())?;
    if begins {
        match list {
            "user_agent_parsers:" => regexes.user_agent_parsers.push(user_agent::Parser::default()),
            "os_parsers:" => regexes.os_parsers.push(os::Parser::default()),
            "device_parsers:" => regexes.device_parsers.push(device::Parser::default()),
            _ => return None,
        }
    }
    match list {
        "user_agent_parsers:" => {
            add_to_user_agent(regexes.user_agent_parsers.last_mut()?, key, value)
        }
        "os_parsers:" => add_to_os(regexes.os_parsers.last_mut()?, key, value),
        "device_parsers:" => add_to_device(regexes.device_parsers.last_mut()?, key, value),
        _ => None,
    }
}

fn add_to_user_agent(
    parser: &mut user_agent::Parser<'static>,
    key: &str,
    value: Option<Text>,
) -> Option<()> {
    match key {
        "regex" => parser.regex = value?,
        "family_replacement" => parser.family_replacement = value,
        "v1_replacement" => parser.v1_replacement = value,
        "v2_replacement" => parser.v2_replacement = value,
        "v3_replacement" => parser.v3_replacement = value,
        "v4_replacement" => parser.v4_replacement = value,
        _ => return None,
    }
    Some(())
}

fn add_to_os(parser: &mut os::Parser<'static>, key: &str, value: Option<Text>) -> Option<()> {
    match key {
        "regex" => parser.regex = value?,
        "os_replacement" => parser.os_replacement = value,
        "os_v1_replacement" => parser.os_v1_replacement = value,
        "os_v2_replacement" => parser.os_v2_replacement = value,
        "os_v3_replacement" => parser.os_v3_replacement = value,
        "os_v4_replacement" => parser.os_v4_replacement = value,
        _ => return None,
    }
    Some(())
}

fn add_to_device(
    parser: &mut device::Parser<'static>,
    key: &str,
    value: Option<Text>,
) -> Option<()> {
    match key {
        "regex" => parser.regex = value?,
        // uap-core uses no other flag.
        "regex_flag" if value.as_deref() == Some("i") => {
            parser.regex_flag = Some(device::Flag::IgnoreCase)
        }
        "device_replacement" => parser.device_replacement = value,
        "brand_replacement" => parser.brand_replacement = value,
        "model_replacement" => parser.model_replacement = value,
        _ => return None,
    }
    Some(())
}

/// Reads `null` or `'text'`, with a quote inside written twice.
fn scalar(value: &'static str) -> Option<Option<Text>> {
    if value == "null" {
        return Some(None);
    }
    let inside = value.strip_prefix('\'')?.strip_suffix('\'')?;
    // Without the doubled quotes none may be left.
    let plain = inside.replace("''", "");
    if plain.contains('\'') {
        return None;
    }
    // Few patterns contain a quote, so most are borrowed.
    Some(Some(if plain.len() == inside.len() {
        inside.into()
    } else {
        inside.replace("''", "'").into()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_read_whole_and_every_pattern_compiles() {
        let found = read(UAP_CORE).unwrap();
        let counted =
            UAP_CORE.lines().filter(|line| line.trim_start().starts_with("- regex:")).count();
        let counts =
            [found.user_agent_parsers.len(), found.os_parsers.len(), found.device_parsers.len()];
        assert_eq!(counts.iter().sum::<usize>(), counted);
        assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
        assert!(ua_parser::Extractor::try_from(found).is_ok());
    }

    #[test]
    fn entries_are_read_with_their_keys() {
        let found = read(
            "# comment\nuser_agent_parsers:\n  - regex: '(a''b): \\d'\n    family_replacement: 'A'\n\ndevice_parsers:\n\
             \x20 #\n  - regex: 'x'\n    regex_flag: 'i'\n    model_replacement: null\n",
        );
        let found = found.unwrap();
        assert_eq!(found.user_agent_parsers[0].regex, "(a'b): \\d");
        assert_eq!(found.user_agent_parsers[0].family_replacement.as_deref(), Some("A"));
        assert!(found.device_parsers[0].regex_flag == Some(device::Flag::IgnoreCase));
        assert_eq!(found.device_parsers[0].model_replacement, None);
    }

    #[test]
    fn line_of_another_form_is_an_error_with_its_number() {
        for (yaml, line) in [
            ("os_parsers:\n  - regex: \"a\"\n", 2),
            ("os_parsers:\n  - regex: 'a' # b\n", 2),
            ("os_parsers:\n  - regex: 'a'b'\n", 2),
            ("os_parsers:\n    os_replacement: 'a'\n", 2),
            ("os_parsers:\n  - regex: 'a'\n    colour: 'b'\n", 3),
            ("  - regex: 'a'\n", 1),
            ("colours:\n", 1),
            ("os_parsers:\n  - regex: null\n", 2),
        ] {
            assert_eq!(read(yaml).err(), Some(UnknownForm { line }), "{yaml}");
        }
    }
}
