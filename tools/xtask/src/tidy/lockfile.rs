//! The rule for indirect dependencies: a pure crate reaches none of its banned crates, through
//! others either.
//!
//! `Cargo.lock` is an upper bound. It has the dependencies for every platform, with all features
//! in use anywhere in the workspace.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use toml::de::{DeTable, DeValue};

use super::finding::Finding;
use super::layering::WorkspaceMember;
use super::manifests::{self, as_str, as_table, get};
use super::workspace::Package;

/// Checks the dependencies of a member, without dev-dependencies: they never reach a service that
/// embeds it.
pub(crate) fn findings(
    member: &WorkspaceMember,
    package: &Package,
    manifest: &str,
    lock: &str,
) -> Vec<Finding> {
    let direct = package.dependencies.iter().filter(|used| used.kind.as_deref() != Some("dev"));
    let direct: BTreeSet<&str> = direct.map(|used| used.name.as_str()).collect();
    let lock = match dependencies_by_name(lock) {
        Ok(lock) => lock,
        Err(error) => return vec![Finding::whole(format!("Cargo.lock: {error}"))],
    };
    let mut findings = Vec::new();
    for first in direct {
        let line = manifests::line_of(manifest, first);
        // Without its entry, nothing would be checked.
        if !lock.contains_key(first) {
            findings.push(Finding { line, message: format!("Cargo.lock lacks {first}") });
        }
        let Some(chain) = chain_to_banned(first, member, &lock) else { continue };
        let message =
            format!("reaches {}; it must not use {}", chain.join(" -> "), member.banned.join(", "));
        findings.push(Finding { line, message });
    }
    findings
}

/// Returns the shortest chain from a dependency to a banned crate, both included.
fn chain_to_banned<'a>(
    first: &'a str,
    member: &WorkspaceMember,
    lock: &'a BTreeMap<String, BTreeSet<String>>,
) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::from([first]);
    let mut open = VecDeque::from([vec![first]]);
    while let Some(chain) = open.pop_front() {
        let last = *chain.last()?;
        if member.bans(last) {
            return Some(chain);
        }
        // The layers cover our crates, and the lock file adds their dev-dependencies.
        if last.starts_with("mercurio-") {
            continue;
        }
        for next in lock.get(last).into_iter().flatten() {
            if seen.insert(next) {
                open.push_back([&chain[..], &[next]].concat());
            }
        }
    }
    None
}

/// Reads the dependencies of each package. All versions of a package count as one.
fn dependencies_by_name(lock: &str) -> Result<BTreeMap<String, BTreeSet<String>>, toml::de::Error> {
    let table = DeTable::parse(lock)?.into_inner();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in get(&table, "package").map(elements).unwrap_or_default() {
        let package = as_table(package);
        let Some(name) = package.and_then(|package| get(package, "name")).and_then(as_str) else {
            continue;
        };
        let used = package.and_then(|package| get(package, "dependencies")).map(elements);
        // A version follows the name if the lock file has several.
        let names = used.unwrap_or_default().into_iter().filter_map(as_str);
        let names = names.filter_map(|used| used.split(' ').next()).map(str::to_owned);
        found.entry(name.to_owned()).or_default().extend(names);
    }
    Ok(found)
}

fn elements<'l>(value: &'l DeValue<'l>) -> Vec<&'l DeValue<'l>> {
    match value {
        DeValue::Array(array) => array.iter().map(|element| element.get_ref()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::layering;
    use super::super::workspace::Dependency;
    use super::*;

    const MANIFEST: &str = "[package]\n[dependencies]\nredis = \"1\"\nserde = \"1\"\n";
    const LOCK: &str = r#"
version = 4

[[package]]
name = "combine"
version = "4.6.7"
dependencies = ["tokio 1.0.0 (registry)"]

[[package]]
name = "combine"
version = "5.0.0"

[[package]]
name = "redis"
version = "1.0.0"
dependencies = ["combine 5.0.0", "serde"]

[[package]]
name = "hyper-util"
version = "0.1.0"

[[package]]
name = "mercurio-domain"
version = "0.1.0"
dependencies = ["tokio"]

[[package]]
name = "serde"
version = "1.0.0"
"#;

    #[track_caller]
    fn check(name: &str, kind: Option<&str>, expected: Option<&str>) {
        let member = layering::member("crates/enrichment").expect("a member");
        let dependency = Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            features: Vec::new(),
        };
        let package = Package {
            folder: member.folder.to_owned(),
            dependencies: vec![dependency],
            crate_roots: Vec::new(),
        };
        let found = findings(member, &package, MANIFEST, LOCK);
        let messages: Vec<_> = found.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages.len(), usize::from(expected.is_some()), "{messages:?}");
        for (message, expected) in messages.iter().zip(expected) {
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn banned_crate_is_found_behind_another() {
        check("redis", None, Some("reaches redis -> combine -> tokio; it must not use tokio*"));
        check("redis", Some("build"), Some("reaches redis -> combine -> tokio"));
        check("hyper-util", None, Some("reaches hyper-util; "));
        check("serde", None, None);
        check("chrono", None, Some("Cargo.lock lacks chrono"));
        // Tests may use them, and our crates are checked themselves.
        check("redis", Some("dev"), None);
        check("mercurio-domain", None, None);
    }

    #[test]
    fn unreadable_lock_file_is_reported() {
        let member = layering::member("crates/domain").expect("a member");
        let package =
            Package { folder: String::new(), dependencies: Vec::new(), crate_roots: Vec::new() };
        assert_eq!(findings(member, &package, MANIFEST, "[[package]").len(), 1);
    }
}
