//! Reads uap-core's `regexes.yaml`: the small part of YAML that the file is written in, and no more.
//!
//! That is three lists of mappings, one `key: 'value'` a line, and comments. Reading just that takes no YAML library, and
//! borrows the patterns from the program's own text. A line of any other form is an error, which a test would see after
//! the file was replaced by a newer one.

use std::borrow::Cow;

use ua_parser::{Regexes, device, os, user_agent};

/// The patterns, as uap-core wrote them.
pub(crate) const UAP_CORE: &str = include_str!("../../data/regexes.yaml");

/// A line is not written as expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not of the form expected of regexes.yaml")]
pub(crate) struct UnknownForm {
    line: usize,
}

type Text = Cow<'static, str>;

/// Reads the whole file.
pub(crate) fn read(yaml: &'static str) -> Result<Regexes<'static>, UnknownForm> {
    let mut found = Regexes {
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
        let understood = if line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            list = content;
            content.ends_with("_parsers:")
        } else {
            entry(&mut found, list, content).is_some()
        };
        if !understood {
            return Err(UnknownForm { line: index + 1 });
        }
    }
    Ok(found)
}

/// Reads `- regex: '…'`, which begins an entry of `list`, or another `key: '…'` of the entry begun last.
fn entry(found: &mut Regexes<'static>, list: &str, content: &'static str) -> Option<()> {
    let (begins, content) = match content.strip_prefix("- ") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, content),
    };
    let (key, value) = content.split_once(':')?;
    let value = scalar(value.trim())?;
    if begins {
        match list {
            "user_agent_parsers:" => found.user_agent_parsers.push(user_agent::Parser::default()),
            "os_parsers:" => found.os_parsers.push(os::Parser::default()),
            "device_parsers:" => found.device_parsers.push(device::Parser::default()),
            _ => return None,
        }
    }
    match list {
        "user_agent_parsers:" => of_user_agent(found.user_agent_parsers.last_mut()?, key, value),
        "os_parsers:" => of_os(found.os_parsers.last_mut()?, key, value),
        "device_parsers:" => of_device(found.device_parsers.last_mut()?, key, value),
        _ => None,
    }
}

fn of_user_agent(
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

fn of_os(parser: &mut os::Parser<'static>, key: &str, value: Option<Text>) -> Option<()> {
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

fn of_device(parser: &mut device::Parser<'static>, key: &str, value: Option<Text>) -> Option<()> {
    match key {
        "regex" => parser.regex = value?,
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

/// Reads `'text'`, in which a quote is written twice, or `null`.
fn scalar(value: &'static str) -> Option<Option<Text>> {
    if value == "null" {
        return Some(None);
    }
    let inside = value.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inside.replace("''", "");
    if plain.contains('\'') {
        return None;
    }
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
    fn every_line_of_the_file_is_understood_and_every_pattern_compiles() {
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
    fn any_other_form_is_an_error_with_its_line() {
        let check = |yaml: &'static str, line: usize| {
            assert_eq!(read(yaml).err(), Some(UnknownForm { line }), "{yaml}");
        };
        check("os_parsers:\n  - regex: \"a\"\n", 2);
        check("os_parsers:\n  - regex: 'a' # b\n", 2);
        check("os_parsers:\n  - regex: 'a'b'\n", 2);
        check("os_parsers:\n    os_replacement: 'a'\n", 2);
        check("os_parsers:\n  - regex: 'a'\n    colour: 'b'\n", 3);
        check("  - regex: 'a'\n", 1);
        check("colours:\n", 1);
        check("os_parsers:\n  - regex: null\n", 2);
    }
}
