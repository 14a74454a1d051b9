//! The manual page mercurio-ingest(8), with nothing written twice: options come from the definitions
//! in the source, settings from `.env.example`, and exit codes from docs/OPERATIONS.md. `tidy`
//! compares the settings with the code.

use std::io;

use syn::{Expr, ExprLit, Field, Fields, Item, ItemStruct, Lit, LitChar, Meta};

use crate::tidy::is_setting;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManualError {
    #[error("cannot read {path}: {source}")]
    Read {
        path: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{ARGUMENTS}: {0}")]
    Syntax(#[from] syn::Error),
    #[error("{ARGUMENTS} has no struct `Arguments` with named fields")]
    NoArguments,
    #[error("{EXIT_CODES} has no table of exit codes")]
    NoExitCodes,
}

const ARGUMENTS: &str = "bins/ingest/src/main.rs";
const SETTINGS: &str = ".env.example";
const EXIT_CODES: &str = "docs/OPERATIONS.md";

/// Returns the page. `date` is the day in its footer.
///
/// # Errors
/// [`ManualError`] if a source is not there, or not as it was.
pub(crate) fn run(date: &str) -> Result<String, ManualError> {
    let arguments = arguments(&syn::parse_file(&read(ARGUMENTS)?)?)?;
    let settings = settings(&read(SETTINGS)?);
    let codes = exit_codes(&read(EXIT_CODES)?)?;
    Ok(page(&arguments, &settings, &codes, date))
}

fn read(path: &'static str) -> Result<String, ManualError> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    std::fs::read_to_string(format!("{root}/{path}"))
        .map_err(|source| ManualError::Read { path, source })
}

/// A name with its description.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    description: String,
}

/// The program's purpose, and its options.
struct Arguments {
    description: String,
    options: Vec<Entry>,
}

/// Settings under one heading.
#[derive(Debug, Default, PartialEq, Eq)]
struct Group {
    title: String,
    settings: Vec<Entry>,
}

fn arguments(file: &syn::File) -> Result<Arguments, ManualError> {
    let found = file.items.iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == "Arguments" => Some(item),
        _ => None,
    });
    let Some(ItemStruct { attrs, fields: Fields::Named(fields), .. }) = found else {
        return Err(ManualError::NoArguments);
    };
    let mut options = Vec::new();
    for field in &fields.named {
        let Some(name) = &field.ident else { return Err(ManualError::NoArguments) };
        let long = format!("--{}", name.to_string().replace('_', "-"));
        let name = match short_name(field)? {
            Some(short) => format!("-{short}, {long}"),
            None => long,
        };
        options.push(Entry { name, description: doc(&field.attrs) });
    }
    options.push(Entry { name: "-h, --help".to_owned(), description: "show a help".to_owned() });
    Ok(Arguments { description: doc(attrs), options })
}

/// Returns the `short` in `#[argh(switch, short = 'V')]`.
fn short_name(field: &Field) -> Result<Option<char>, syn::Error> {
    let mut short = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("argh")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("short") {
                short = Some(meta.value()?.parse::<LitChar>()?.value());
            }
            Ok(())
        })?;
    }
    Ok(short)
}

fn doc(attributes: &[syn::Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join(" ")
}

/// Reads headings such as `# --- Database ---`, and each setting with the comment above it.
fn settings(example: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in example.lines() {
        let text = line.trim_start_matches(['#', ' ']).trim_end();
        if let Some(title) = text.strip_prefix("--- ").and_then(|rest| rest.strip_suffix(" ---")) {
            groups.push(Group { title: title.to_owned(), settings: Vec::new() });
        } else if let Some((name, default)) = text.split_once('=').filter(|pair| is_setting(pair.0))
        {
            let mut description = comment.join(" ");
            // Otherwise the value is an example.
            if !description.contains("Default: ") {
                description.push_str(&format!(" Default: `{default}`."));
            }
            if let Some(group) = groups.last_mut() {
                group.settings.push(Entry { name: name.to_owned(), description });
            }
            comment.clear();
        } else if text.is_empty() {
            comment.clear();
        } else {
            comment.push(text);
        }
    }
    for group in &mut groups {
        // For the examples.
        group.settings.retain(|setting| !setting.description.contains("The server does not read"));
    }
    groups.retain(|group| !group.settings.is_empty());
    groups
}

/// Reads the table under `## Exit codes`: its second column is that of the server.
fn exit_codes(operations: &str) -> Result<Vec<Entry>, ManualError> {
    let (_, section) =
        operations.split_once("\n## Exit codes\n").ok_or(ManualError::NoExitCodes)?;
    let mut codes = Vec::new();
    let rows = section.lines().map(str::trim).skip_while(|line| line.is_empty());
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        if let [code, meaning, ..] = cells[..]
            && code.parse::<u8>().is_ok()
            && !meaning.is_empty()
        {
            // Without the link to another part of the page.
            let meaning = meaning.split(" ([").next().unwrap_or(meaning).to_owned();
            codes.push(Entry { name: code.to_owned(), description: meaning });
        }
    }
    if codes.is_empty() { Err(ManualError::NoExitCodes) } else { Ok(codes) }
}

/// Renders the page with the macros of man(7).
fn page(arguments: &Arguments, settings: &[Group], codes: &[Entry], date: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (summary, _) = arguments.description.split_once(". ").unwrap_or_default();
    let mut lines = vec![
        format!(".TH MERCURIO\\-INGEST 8 {date} \"Mercurio {version}\" Mercurio"),
        // Neither hyphens in settings nor gaps between words.
        ".nh".to_owned(),
        ".ad l".to_owned(),
        ".SH NAME".to_owned(),
        format!("mercurio\\-ingest \\- {}", prose(summary)),
        ".SH SYNOPSIS".to_owned(),
        ".B mercurio\\-ingest".to_owned(),
    ];
    for option in &arguments.options {
        let name = option.name.rsplit(' ').next().unwrap_or_default();
        lines.push(format!("[{}]", prose(name)));
    }
    lines.extend([".SH DESCRIPTION".to_owned(), prose(&arguments.description)]);
    lines.push(".SH OPTIONS".to_owned());
    push_entries(&arguments.options, &mut lines);
    lines.push(".SH ENVIRONMENT".to_owned());
    for group in settings {
        lines.push(format!(".SS {}", prose(&group.title)));
        push_entries(&group.settings, &mut lines);
    }
    lines.push(".SH EXIT STATUS".to_owned());
    push_entries(codes, &mut lines);
    lines.extend([".SH SEE ALSO".to_owned(), "\\fBmercurio\\-admin\\fR(8)".to_owned()]);
    lines.join("\n") + "\n"
}

fn push_entries(entries: &[Entry], lines: &mut Vec<String>) {
    for Entry { name, description } in entries {
        lines.extend([".TP".to_owned(), format!("\\fB{}\\fR", prose(name)), prose(description)]);
    }
}

/// Escapes text for roff, with `code` in bold. A plain `-` would become a hyphen.
fn prose(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let mut prose = String::with_capacity(text.len() + 16);
    for (index, part) in text.split('`').enumerate() {
        let is_code = index % 2 == 1;
        prose.push_str(&if is_code { format!("\\fB{part}\\fR") } else { part.to_owned() });
    }
    // Begins a macro otherwise.
    if prose.starts_with(['.', '\'']) { format!("\\&{prose}") } else { prose }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn entry(name: &str, description: &str) -> Entry {
        Entry { name: name.to_owned(), description: description.to_owned() }
    }

    #[test]
    fn options_are_those_of_the_source() {
        let source = "/// Store events. For ever.\nstruct Arguments {\n    /// print it\n    \
                      #[argh(switch, short = 'V')]\n    full_version: bool,\n}";
        let arguments = arguments(&syn::parse_file(source).unwrap()).unwrap();
        assert_eq!(arguments.description, "Store events. For ever.");
        assert_eq!(arguments.options[0], entry("-V, --full-version", "print it"));
        assert!(super::arguments(&syn::parse_file("struct Other;").unwrap()).is_err());
    }

    #[test]
    fn settings_have_their_comment_and_default() {
        let groups = settings(
            "# A file.\n\n# --- Database ---\n\n# An address,\n# or a path.\n# DATABASE_URL=a\n\n\
             # --- Rest ---\n# Off. Default: none.\n# MERCURIO_ADDR=b\n\
             # A key. The server does not read it.\n# MERCURIO_API_KEY=c\n",
        );
        let expected = [
            Group {
                title: "Database".to_owned(),
                settings: vec![entry("DATABASE_URL", "An address, or a path. Default: `a`.")],
            },
            Group {
                title: "Rest".to_owned(),
                settings: vec![entry("MERCURIO_ADDR", "Off. Default: none.")],
            },
        ];
        assert_eq!(groups, expected);
    }

    #[test]
    fn page_has_every_setting_and_is_sound_roff() {
        let page = run("2026-11-28").unwrap();
        let example = read(SETTINGS).unwrap();
        let names =
            example.lines().filter_map(|line| line.trim_start_matches("# ").split_once('='));
        let mut count = 0;
        for (name, _) in names.filter(|pair| is_setting(pair.0) && pair.0 != "MERCURIO_API_KEY") {
            assert!(page.contains(&format!("\n\\fB{name}\\fR\n")), "{name}");
            count += 1;
        }
        assert!(count > 40, "{count} settings");
        for part in ["\\fB\\-\\-healthcheck\\fR", "\n\\fB78\\fR\n"] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        let mut lint = Command::new("mandoc");
        lint.args(["-Tlint", "-Wwarning"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut lint = lint.stderr(Stdio::piped()).spawn().expect("mandoc runs; install it");
        lint.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let found = lint.wait_with_output().unwrap();
        assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}
