//! The input of all checks: the packages from `cargo metadata`, and every text file of the
//! repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::syntax::Source;

/// Folders and files at the root that are no part of the repository. Other hidden folders are
/// skipped too.
const SKIPPED: &[&str] = &["target", "data", ".git", ".env"];
/// Hidden folders of the repository.
const HIDDEN: &[&str] = &[".ci", ".config", ".github"];
/// Folders skipped at any depth: products of builds, fuzzing and Python.
const SKIPPED_ANYWHERE: &[&str] = &["target", "corpus", "artifacts", "coverage", "__pycache__"];

/// Why the checks could not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or a program could not be read or run.
    #[error("cannot read {0}")]
    Io(String, #[source] std::io::Error),
    /// `cargo metadata` failed; it has printed the reason.
    #[error("cargo metadata failed: {0}")]
    Metadata(std::process::ExitStatus),
    /// `cargo metadata` printed other JSON.
    #[error("cannot read the output of cargo metadata: {0}")]
    Json(#[from] serde_json::Error),
    /// A source is no Rust.
    #[error("{0}: {1}")]
    Syntax(String, syn::Error),
}

/// The packages and texts of the workspace. All names are relative to its root.
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) sources: BTreeMap<String, Source>,
}

/// A member of the workspace.
pub(crate) struct Package {
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// The first file of each crate: library, programs, tests, examples.
    pub(crate) crate_roots: Vec<String>,
}

/// A dependency as `cargo metadata` prints it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The name of the package, whatever the manifest calls it.
    pub(crate) name: String,
    /// `None` for a normal dependency, otherwise `dev` or `build`.
    pub(crate) kind: Option<String>,
    pub(crate) features: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<PackageMetadata>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct PackageMetadata {
    manifest_path: String,
    dependencies: Vec<Dependency>,
    targets: Vec<TargetMetadata>,
}

#[derive(Deserialize)]
struct TargetMetadata {
    src_path: String,
}

impl Workspace {
    /// Reads the workspace of the current folder.
    pub(crate) fn read() -> Result<Self, Error> {
        let metadata = metadata()?;
        let root = Path::new(&metadata.workspace_root);
        let mut texts = BTreeMap::new();
        read_folder(root, "", &mut texts)?;
        let mut sources = BTreeMap::new();
        for (file, text) in texts.iter().filter(|(file, _)| file.ends_with(".rs")) {
            let source = Source::read(text).map_err(|error| Error::Syntax(file.clone(), error))?;
            sources.insert(file.clone(), source);
        }
        let packages =
            metadata.packages.into_iter().map(|package| package.relative_to(root)).collect();
        Ok(Self { packages, texts, sources })
    }

    /// Returns the text of a file, or an empty text without the file: its rules then report what is
    /// missing.
    pub(crate) fn text(&self, file: &str) -> &str {
        self.texts.get(file).map_or("", String::as_str)
    }

    /// Returns the names of the files whose name begins with `prefix`.
    pub(crate) fn names_below(&self, prefix: &str) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str).filter(move |file| file.starts_with(prefix))
    }

    /// Returns the Rust sources of a folder.
    pub(crate) fn sources_below(&self, folder: &str) -> impl Iterator<Item = (&str, &Source)> {
        let prefix = format!("{folder}/");
        self.sources
            .iter()
            .filter(move |(file, _)| file.starts_with(&prefix))
            .map(|(file, source)| (file.as_str(), source))
    }
}

impl PackageMetadata {
    fn relative_to(self, root: &Path) -> Package {
        let manifest = relative(&self.manifest_path, root);
        Package {
            folder: manifest.trim_end_matches("/Cargo.toml").to_owned(),
            dependencies: self.dependencies,
            crate_roots: self
                .targets
                .iter()
                .map(|target| relative(&target.src_path, root))
                .collect(),
        }
    }
}

/// Returns `path` relative to `root`. Cargo keeps the `..` of a build script outside its package.
fn relative(path: &str, root: &Path) -> String {
    let path = Path::new(path);
    let mut resolved = PathBuf::new();
    for component in path.strip_prefix(root).unwrap_or(path).components() {
        match component {
            Component::ParentDir => {
                resolved.pop();
            }
            other => resolved.push(other),
        }
    }
    resolved.to_string_lossy().into_owned()
}

fn metadata() -> Result<Metadata, Error> {
    // Cargo sets CARGO for its programs, so the same toolchain answers.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        // Without dependencies, the command needs no network.
        .args(["metadata", "--format-version", "1", "--no-deps"])
        // Cargo explains its failure itself.
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| Error::Io("the output of cargo metadata".to_owned(), error))?;
    if !output.status.success() {
        return Err(Error::Metadata(output.status));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Adds all text files below `folder`, a name relative to `root` that is empty or ends with `/`.
/// Binary files are left out.
fn read_folder(
    root: &Path,
    folder: &str,
    texts: &mut BTreeMap<String, String>,
) -> Result<(), Error> {
    let error_in = |error| Error::Io(root.join(folder).display().to_string(), error);
    for entry in fs::read_dir(root.join(folder)).map_err(error_in)? {
        let entry = entry.map_err(error_in)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let file_type = entry.file_type().map_err(error_in)?;
        if file_type.is_dir() && !is_skipped(folder, &name) {
            read_folder(root, &format!("{folder}{name}/"), texts)?;
        } else if file_type.is_file() && !(folder.is_empty() && SKIPPED.contains(&name.as_str())) {
            let bytes = fs::read(entry.path()).map_err(error_in)?;
            // A binary file has no rules.
            if let Ok(text) = String::from_utf8(bytes) {
                texts.insert(format!("{folder}{name}"), text);
            }
        }
    }
    Ok(())
}

fn is_skipped(parent: &str, name: &str) -> bool {
    let is_unknown = name.starts_with('.') && !HIDDEN.contains(&name);
    let at_root = parent.is_empty() && (SKIPPED.contains(&name) || is_unknown);
    at_root || SKIPPED_ANYWHERE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_skipped(parent: &str, name: &str, expected: bool) {
        assert_eq!(is_skipped(parent, name), expected, "{parent}{name}");
    }

    #[test]
    fn folders_of_builds_and_of_developers_are_skipped() {
        check_skipped("", "target", true);
        check_skipped("", "data", true);
        check_skipped("", ".idea", true);
        check_skipped("", ".ci", false);
        check_skipped("", "crates", false);
        check_skipped("crates/enrichment/", "data", false);
        check_skipped("fuzz/", "corpus", true);
        check_skipped("scripts/containers/", "__pycache__", true);
    }

    #[test]
    fn packages_have_folders_and_crates_below_the_root() {
        let package = PackageMetadata {
            manifest_path: "/r/crates/a/Cargo.toml".to_owned(),
            dependencies: Vec::new(),
            targets: ["src/lib.rs", "../build.rs"]
                .map(|path| TargetMetadata { src_path: format!("/r/crates/a/{path}") })
                .into(),
        };
        let package = package.relative_to(Path::new("/r"));
        assert_eq!(package.folder, "crates/a");
        assert_eq!(package.crate_roots, ["crates/a/src/lib.rs", "crates/build.rs"]);
    }

    #[test]
    fn workspace_has_packages_with_sources() {
        let workspace = Workspace::read().expect("the workspace");
        assert!(workspace.packages.iter().any(|package| package.folder == "tools/xtask"));
        for package in &workspace.packages {
            assert!(!package.crate_roots.is_empty(), "{}", package.folder);
            for root in &package.crate_roots {
                assert!(workspace.sources.contains_key(root), "{root}");
            }
        }
    }
}
