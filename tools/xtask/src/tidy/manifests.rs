//! Rules for the manifests of members: versions, lints and metadata come from the root.

use toml::de::{DeTable, DeValue};

use super::finding::Finding;

/// Fields of `[package]` with the same value in every member.
const INHERITED: &[&str] = &[
    "version",
    "edition",
    "rust-version",
    "license",
    "publish",
    "repository",
    "documentation",
    "keywords",
    "categories",
];

/// A dependency as a manifest writes it.
struct Dependency<'m> {
    name: &'m str,
    value: &'m DeValue<'m>,
    line: usize,
}

/// Checks a member's manifest.
pub(crate) fn findings(manifest: &str) -> Vec<Finding> {
    let table = match DeTable::parse(manifest) {
        Ok(table) => table.into_inner(),
        Err(error) => return vec![Finding::whole(error.to_string())],
    };
    let mut findings = Vec::new();
    let package = get(&table, "package").and_then(as_table);
    let name = package.and_then(|package| get(package, "name")).and_then(as_str);
    for Dependency { name: dependency, value, line } in dependencies(manifest, &table) {
        // Tests of a crate name the crate itself by its path, to turn on its features.
        let by_own_path = name == Some(dependency)
            && as_table(value).and_then(|value| get(value, "path")).and_then(as_str) == Some(".");
        if !by_own_path && !is_inherited(value) {
            let message = format!(
                "sets the version of {dependency}; versions belong to the root Cargo.toml (`workspace = true`)"
            );
            findings.push(Finding::at(line, message));
        }
    }
    for field in INHERITED {
        if !package.and_then(|package| get(package, field)).is_some_and(is_inherited) {
            findings.push(Finding::whole(format!("lacks `{field}.workspace = true`")));
        }
    }
    if package.and_then(|package| get(package, "description")).is_none() {
        findings.push(Finding::whole("lacks `description`"));
    }
    if !get(&table, "lints").is_some_and(is_inherited) {
        findings.push(Finding::whole("lacks the lints of the workspace (`workspace = true`)"));
    }
    findings
}

/// Returns the line of a dependency.
pub(crate) fn line_of(manifest: &str, name: &str) -> Option<usize> {
    let table = DeTable::parse(manifest).ok()?.into_inner();
    let found = dependencies(manifest, &table).into_iter().find(|found| found.name == name)?;
    Some(found.line)
}

/// Returns the dependencies of all kinds, those of a platform included.
fn dependencies<'m>(manifest: &str, table: &'m DeTable<'m>) -> Vec<Dependency<'m>> {
    let mut found = Vec::new();
    for (key, value) in table {
        let Some(value) = as_table(value.get_ref()) else { continue };
        // `dev-dependencies` and `build-dependencies` end alike.
        if key.get_ref().ends_with("dependencies") {
            for (name, value) in value {
                // The parser has byte ranges, and a finding has a line.
                let line = manifest[..name.span().start].matches('\n').count() + 1;
                found.push(Dependency { name: name.get_ref(), value: value.get_ref(), line });
            }
        } else if key.get_ref() == "target" {
            // `[target.'cfg(unix)'.dependencies]` is one table deeper.
            for platform in value.values().filter_map(|value| as_table(value.get_ref())) {
                found.extend(dependencies(manifest, platform));
            }
        }
    }
    found
}

pub(super) fn get<'m>(table: &'m DeTable<'m>, key: &str) -> Option<&'m DeValue<'m>> {
    table.get(key).map(|value| value.get_ref())
}

pub(super) fn as_table<'m>(value: &'m DeValue<'m>) -> Option<&'m DeTable<'m>> {
    match value {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

pub(super) fn as_str<'m>(value: &'m DeValue<'m>) -> Option<&'m str> {
    match value {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn is_inherited(value: &DeValue<'_>) -> bool {
    let workspace = as_table(value).and_then(|table| get(table, "workspace"));
    matches!(workspace, Some(DeValue::Boolean(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = r#"
[package]
name = "mercurio-domain"
description = "Types."
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true
repository.workspace = true
documentation.workspace = true
keywords.workspace = true
categories.workspace = true

[dependencies]
# a comment = "1"
serde.workspace = true
uuid = { workspace = true, features = ["v4"] }

[dependencies.chrono]
workspace = true

[dev-dependencies]
mercurio-domain = { path = ".", features = ["testing"] }

[lints]
workspace = true
"#;

    #[track_caller]
    fn check_line(manifest: &str, name: &str, line: usize) {
        assert_eq!(line_of(manifest, name), Some(line), "{manifest}");
    }

    #[test]
    fn dependency_is_found_however_it_is_written() {
        check_line(VALID, "serde", 17);
        check_line(VALID, "uuid", 18);
        check_line(VALID, "chrono", 20);
        check_line(VALID, "mercurio-domain", 24);
        check_line("[dependencies]\na = \"1\"", "a", 2);
        check_line("[dependencies]\na.workspace = true\na.features = []", "a", 2);
        check_line("[dependencies]\na = { workspace = true, features = [\n\"x\",\n] }", "a", 2);
        check_line("[build-dependencies]\na.version = \"1\"", "a", 2);
        check_line("[target.'cfg(unix)'.dependencies]\na.path = \"../b\"", "a", 2);
        check_line("[target.'cfg(unix)'.dependencies.a]\nversion = \"1\"", "a", 1);
        assert_eq!(line_of(VALID, "diesel"), None);
    }

    #[track_caller]
    fn check_change(find: &str, replacement: &str, expected: &[&str]) {
        assert!(VALID.contains(find), "{find}");
        let findings = findings(&VALID.replacen(find, replacement, 1));
        assert_eq!(findings.len(), expected.len(), "{replacement}: {findings:?}");
        for (finding, expected) in findings.iter().zip(expected) {
            assert!(finding.message.contains(expected), "{replacement}: {finding:?}");
        }
    }

    #[test]
    fn own_versions_and_missing_inheritance_are_reported() {
        check_change("serde", "serde", &[]);
        check_change("serde.workspace = true", "serde = \"1\"", &["the version of serde"]);
        check_change(
            "serde.workspace = true",
            "serde = { path = \".\" }",
            &["the version of serde"],
        );
        check_change(
            "chrono]\nworkspace = true",
            "chrono]\nversion = \"1\"",
            &["the version of chrono"],
        );
        check_change(
            "[dev-dependencies]",
            "[dev-dependencies]\nslog = \"2\"",
            &["the version of slog"],
        );
        check_change(
            "[dev-dependencies]",
            "[target.x.dependencies]\nslog = \"2\"\n[dev-dependencies]",
            &["slog"],
        );
        check_change(
            "\nversion.workspace = true",
            "\nversion = \"1.0.0\"",
            &["lacks `version.workspace = true`"],
        );
        check_change("keywords.workspace = true", "", &["lacks `keywords.workspace = true`"]);
        check_change("description = \"Types.\"", "", &["lacks `description`"]);
        check_change("[lints]\nworkspace = true", "", &["lints"]);
        check_change("[lints]", "[lints", &["TOML"]);
    }
}
