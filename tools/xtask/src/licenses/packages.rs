//! The packages inside the released programs, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde::Deserialize;

use super::error::Error;

/// The released programs. The features are those of `scripts/release` and `deploy/Dockerfile`.
const PROGRAMS: &[&str] = &["mercurio-ingest", "mercurio-admin"];
const FEATURES: &str = "mercurio-ingest/tls,mercurio-admin/tls";

/// A package of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// An SPDX expression.
    pub(super) license: Option<String>,
    pub(super) authors: Vec<String>,
    pub(super) repository: Option<String>,
    pub(super) manifest_path: String,
    id: String,
    /// `None` for our own packages.
    source: Option<String>,
}

impl Package {
    pub(super) fn folder(&self) -> &Path {
        Path::new(&self.manifest_path).parent().unwrap_or(Path::new(""))
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `None` for a normal dependency, otherwise `dev` or `build`.
    kind: Option<String>,
}

/// Returns the packages that the released programs contain on this platform, by name.
pub(super) fn released() -> Result<Vec<Package>, Error> {
    let metadata: Metadata = serde_json::from_slice(&cargo_metadata()?)?;
    Ok(contained(metadata, PROGRAMS))
}

fn cargo_metadata() -> Result<Vec<u8>, Error> {
    let version = run(Command::new("rustc").arg("-vV"))?;
    let version = String::from_utf8_lossy(&version).into_owned();
    let platform = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    // Cargo sets CARGO for its programs, so the same toolchain answers.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--format-version", "1", "--locked", "--features", FEATURES];
    run(Command::new(cargo).args(arguments).args(["--filter-platform", platform]))
}

fn run(command: &mut Command) -> Result<Vec<u8>, Error> {
    let name = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } =
        command.output().map_err(|error| Error::Io(name.clone(), error))?;
    if status.success() {
        Ok(stdout)
    } else {
        Err(Error::Command { name, stderr: String::from_utf8_lossy(&stderr).trim().to_owned() })
    }
}

fn contained(metadata: Metadata, programs: &[&str]) -> Vec<Package> {
    let packages: BTreeMap<&str, &Package> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package)).collect();
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let is_program = |package: &&Package| programs.contains(&package.name.as_str());
    let mut waiting: Vec<&str> =
        metadata.packages.iter().filter(is_program).map(|package| package.id.as_str()).collect();
    let mut seen = BTreeSet::new();
    let mut found = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        let (Some(package), true) = (packages.get(id), seen.insert(id)) else { continue };
        if package.source.is_some() {
            found.insert(*package);
        }
        for dependency in nodes.get(id).into_iter().flat_map(|node| &node.deps) {
            if dependency.is_linked(&packages) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    found.into_iter().cloned().collect()
}

impl NodeDependency {
    /// Whether code of the dependency is in the program: that of a normal one, and the C sources in
    /// a package like `openssl-src`.
    fn is_linked(&self, packages: &BTreeMap<&str, &Package>) -> bool {
        let is_source = packages.get(self.pkg.as_str()).is_some_and(|it| it.name.ends_with("-src"));
        self.dep_kinds.iter().any(|kind| match kind.kind.as_deref() {
            None => true,
            Some("build") => is_source,
            Some(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn package(name: &str, source: Option<&str>) -> Value {
        json!({
            "id": name, "name": name, "version": "1.0.0", "license": "MIT", "authors": [],
            "repository": null, "manifest_path": format!("/{name}/Cargo.toml"), "source": source,
        })
    }

    fn dependency(name: &str, kind: Option<&str>) -> Value {
        json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] })
    }

    #[test]
    fn programs_contain_normal_dependencies_and_c_sources() {
        let names = ["normal", "deep", "builder", "z-src", "dev", "foreign"];
        let mut packages: Vec<Value> =
            names.iter().map(|name| package(name, Some("registry"))).collect();
        packages.extend([package("server", None), package("other", None)]);
        let of_server = [
            dependency("normal", None),
            dependency("builder", Some("build")),
            dependency("z-src", Some("build")),
            dependency("dev", Some("dev")),
        ];
        let nodes = json!([
            { "id": "server", "deps": of_server },
            { "id": "normal", "deps": [dependency("deep", None)] },
            // A circle must not hang.
            { "id": "deep", "deps": [dependency("normal", None)] },
            { "id": "other", "deps": [dependency("foreign", None)] },
        ]);
        let metadata = json!({ "packages": packages, "resolve": { "nodes": nodes } });
        let found = contained(serde_json::from_value(metadata).expect("metadata"), &["server"]);
        let found: Vec<&str> = found.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(found, ["deep", "normal", "z-src"]);
    }
}
