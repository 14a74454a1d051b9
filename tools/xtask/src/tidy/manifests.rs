//! Rules for the Cargo.toml files: the arrows between crates, and versions and lints in one place.

use crate::house::Member;

/// A dependency as one member states it.
#[derive(Debug, PartialEq, Eq)]
struct Dependency<'a> {
    name: &'a str,
    table: &'a str,
    /// All that is said of it: `key = value` lines, or the value.
    said: String,
}

/// Lines of `manifest` with the header of the table they stand in; what is no entry is left out.
fn entries(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut table = "";
    manifest.lines().map(str::trim).filter_map(move |line| {
        if let Some(header) = line.strip_prefix('[') {
            table = header.split(']').next().unwrap_or(header).trim_matches('[');
            return None;
        }
        // Neither a comment nor the rest of a list that takes several lines.
        line.starts_with(|char: char| char.is_alphanumeric()).then_some((table, line))
    })
}

fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut found: Vec<Dependency<'_>> = Vec::new();
    for (table, line) in entries(manifest) {
        let parts: Vec<&str> = table.split('.').collect();
        let Some(kind) = parts.iter().position(|part| part.ends_with("dependencies")) else {
            continue;
        };
        let (name, said) = if let Some(name) = parts.get(kind + 1) {
            // [dependencies.serde]
            (*name, line)
        } else {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            match key.split_once('.') {
                // serde.workspace = true
                Some((name, _)) => (name.trim(), &line[name.len() + 1..]),
                // serde = { workspace = true }
                None => (key.trim(), value.trim()),
            }
        };
        match found.last_mut() {
            Some(last) if last.table == table && last.name == name => {
                last.said.extend([", ", said])
            }
            _ => found.push(Dependency { name, table, said: said.to_owned() }),
        }
    }
    found
}

/// Faults of one member's manifest.
pub(crate) fn member_faults(member: &Member, manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let own = entries(manifest)
        .find_map(|(table, line)| line.strip_prefix("name").filter(|_| table == "package"))
        .map(|rest| rest.trim_matches([' ', '=', '"']))
        .unwrap_or_default();
    for Dependency { name, said, .. } in dependencies(manifest) {
        faults.extend(member.objection(name));
        let said = said.replace(' ', "");
        // A crate's tests name the crate itself by its path to turn on its features.
        let by_own_path = name == own && said.contains("path=\".\"");
        if !said.contains("workspace=true") && !by_own_path {
            faults.push(format!(
                "states {name} itself; the root Cargo.toml has the versions (`workspace = true`)"
            ));
        }
    }
    for field in ["version", "edition", "rust-version", "license", "publish"] {
        let inherited = format!("{field}.workspace = true");
        if !entries(manifest).any(|entry| entry == ("package", &inherited)) {
            faults.push(format!("lacks `{inherited}`"));
        }
    }
    if !entries(manifest).any(|entry| entry == ("lints", "workspace = true")) {
        faults.push("doesn't take the lints of the workspace".to_owned());
    }
    faults
}

#[cfg(test)]
const SOUND: &str = r#"
[package]
name = "mercurio-domain"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

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

#[test]
fn a_dependency_is_read_however_it_is_written() {
    let names: Vec<&str> = dependencies(SOUND).iter().map(|dependency| dependency.name).collect();
    assert_eq!(names, ["serde", "uuid", "chrono", "mercurio-domain"]);
    let check = |manifest: &str, name: &str, said: &str| {
        let found = dependencies(manifest);
        assert_eq!(found.len(), 1, "{manifest}: {found:?}");
        assert_eq!((found[0].name, found[0].said.as_str()), (name, said), "{manifest}");
    };
    check("[dependencies]\na = \"1\"", "a", "\"1\"");
    check(
        "[dependencies]\na.workspace = true\na.features = []",
        "a",
        "workspace = true, features = []",
    );
    check(
        "[dependencies.a]\nworkspace = true\noptional = true",
        "a",
        "workspace = true, optional = true",
    );
    check("[dependencies]\na = { features = [\n\"x\",\n] }", "a", "{ features = [");
    check("[build-dependencies]\na.version = \"1\"", "a", "version = \"1\"");
    check("[target.'cfg(unix)'.dependencies]\na.path = \"../b\"", "a", "path = \"../b\"");
    check("[target.'cfg(unix)'.dependencies.a]\nversion = \"1\"", "a", "version = \"1\"");
}

#[test]
fn a_manifest_is_faulted_for_wrong_arrows_own_versions_and_missing_inheritance() {
    let member = &crate::house::MEMBERS[0];
    let check = |find: &str, replacement: &str, expected: &[&str]| {
        assert!(SOUND.contains(find), "{find}");
        let faults = member_faults(member, &SOUND.replacen(find, replacement, 1));
        assert_eq!(faults.len(), expected.len(), "{replacement}: {faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{replacement}: {fault}");
        }
    };
    check("serde", "serde", &[]);
    check("serde.workspace = true", "tokio.workspace = true", &["uses tokio"]);
    check(
        "serde.workspace = true",
        "mercurio-storage.workspace = true",
        &["uses mercurio_storage"],
    );
    check("serde.workspace = true", "serde = \"1\"", &["states serde itself"]);
    check("serde.workspace = true", "serde = { path = \".\" }", &["states serde itself"]);
    check("[dependencies.chrono]", "[dependencies.diesel]", &["uses diesel"]);
    check("[dev-dependencies]", "[dev-dependencies]\nslog = \"2\"", &["uses slog", "states slog"]);
    check("version.workspace = true", "version = \"1.0.0\"", &["lacks `version.workspace = true`"]);
    check("[lints]\nworkspace = true", "", &["lints"]);
}
