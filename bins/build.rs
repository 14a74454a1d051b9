//! The build script of both programs: writes the text of `--version`, with the Git commit, the
//! target and the features.
//!
//! It belongs to the thin packages of the programs, so a new commit rebuilds no library.

#![allow(clippy::print_stdout, reason = "Cargo reads the output")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The commit in place of the one that Git reports, for a build without a repository.
// Not `MERCURIO_…`: `cargo run` passes it on, and a server refuses unknown settings.
const COMMIT: &str = "BUILD_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("../..");
    let commit = env::var(COMMIT).ok().filter(|commit| !commit.is_empty());
    let commit = commit.or_else(|| git_commit(&root));
    if let Some(commit) = &commit {
        println!("cargo::rustc-env={COMMIT}={commit}");
    }
    let text = format!(
        "{} {}\ncommit    {}\ntarget    {}\nfeatures  {}\n",
        variable("CARGO_PKG_NAME"),
        variable("CARGO_PKG_VERSION"),
        commit.as_deref().unwrap_or("unknown"),
        variable("TARGET"),
        features()
    );
    let path = PathBuf::from(variable("OUT_DIR")).join("version.txt");
    fs::write(path, text).expect("cargo makes the folder");
}

/// Returns the commit of the checkout at `root`; `None` in a tarball. Changed files do not count:
/// Cargo would not notice them here.
fn git_commit(root: &Path) -> Option<String> {
    // Another repository may contain the unpacked tarball.
    if !root.join(".git").exists() {
        return None;
    }
    // The log of HEAD grows with every commit and checkout. Cargo repeats the script for missing
    // files at every build, so only those that exist are named.
    for name in ["HEAD", "logs/HEAD"] {
        let path = root.join(git(root, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(root, &["rev-parse", "--short=12", "HEAD"])
}

fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// Returns the features of the package, separated by commas.
fn features() -> String {
    let names = env::vars().filter_map(|(name, _)| {
        let name = name.strip_prefix("CARGO_FEATURE_")?.to_lowercase();
        (name != "default").then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
