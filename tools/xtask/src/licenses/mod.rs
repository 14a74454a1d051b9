//! `cargo run -p xtask -- licenses`: the licences of everything inside the released programs, as
//! one text to go with them.
//!
//! The texts come from the packages' own files. A package without one gets the standard text of its
//! licence. Whether a licence is acceptable is decided by `deny.toml`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

mod error;
mod packages;

use error::Error;
use packages::Package;

/// Starts of the names of licence files, in upper case.
const FILE_NAMES: &[&str] = &["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Standard texts for packages without a file, by the licence's SPDX identifier. The first one in a
/// package's expression counts.
const STANDARD: &[StandardText] = &[
    StandardText { id: "MIT", text: include_str!("texts/MIT.txt") },
    StandardText { id: "Apache-2.0", text: include_str!("../../../../LICENSE-APACHE") },
    StandardText { id: "BSD-3-Clause", text: include_str!("texts/BSD-3-Clause.txt") },
    StandardText { id: "PostgreSQL", text: include_str!("texts/PostgreSQL.txt") },
];

/// Stands for the authors in the standard texts.
const AUTHORS: &str = "the authors of the package";

const TITLE: &str = "THIRD-PARTY LICENSES

The programs of Mercurio contain the packages below, and the Rust standard library (MIT OR Apache-2.0,
https://github.com/rust-lang/rust). Each licence is printed once, after the packages that have it.
";

struct StandardText {
    id: &'static str,
    text: &'static str,
}

/// Returns the licences of the released programs.
pub(crate) fn run() -> Result<String, Error> {
    render(&packages::released()?)
}

fn render(packages: &[Package]) -> Result<String, Error> {
    let mut text = TITLE.to_owned();
    // The packages by the text of their licence. Equal texts differ in blanks and line ends.
    let mut by_text: BTreeMap<String, Texts<'_>> = BTreeMap::new();
    text.push('\n');
    for package in packages {
        writeln!(text, "{}", package.line()).ok();
        for license in package.texts()? {
            let words = license.split_whitespace().collect::<Vec<_>>().join(" ");
            let texts = by_text.entry(words).or_insert_with(|| Texts::new(license));
            texts.packages.push(package);
        }
    }
    let mut texts: Vec<Texts<'_>> = by_text.into_values().collect();
    // In the order of their first packages, so that two lists compare line by line.
    texts.sort_by(|one, other| one.packages.cmp(&other.packages));
    for Texts { text: license, packages } in texts {
        let names: Vec<String> = packages.iter().map(|package| package.full_name()).collect();
        write!(text, "\n{}\n{}\n\n{}\n", "-".repeat(80), names.join(", "), license.trim_end()).ok();
    }
    Ok(text)
}

/// A licence and the packages that have it.
struct Texts<'p> {
    text: String,
    packages: Vec<&'p Package>,
}

impl Texts<'_> {
    fn new(text: String) -> Self {
        Self { text, packages: Vec::new() }
    }
}

impl Package {
    fn full_name(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    fn expression(&self) -> &str {
        self.license.as_deref().unwrap_or("no licence")
    }

    /// Returns the package in one line, with its address.
    fn line(&self) -> String {
        let mut line = format!("{} ({})", self.full_name(), self.expression());
        if let Some(repository) = &self.repository {
            write!(line, ", {repository}").ok();
        }
        line
    }

    fn authors(&self) -> String {
        if self.authors.is_empty() { AUTHORS.to_owned() } else { self.authors.join(", ") }
    }

    /// Returns the licence texts of a package.
    fn texts(&self) -> Result<Vec<String>, Error> {
        let texts = license_files(self.folder())?;
        if !texts.is_empty() {
            return Ok(texts);
        }
        let expression = self.expression();
        let ids =
            expression.split(|char: char| !char.is_ascii_alphanumeric() && !"-.".contains(char));
        let standard =
            ids.filter_map(|id| STANDARD.iter().find(|standard| standard.id == id)).next();
        match standard {
            Some(standard) => Ok(vec![standard.text.replace(AUTHORS, &self.authors())]),
            None => Err(Error::NoText {
                name: self.name.clone(),
                version: self.version.clone(),
                license: expression.to_owned(),
            }),
        }
    }
}

/// Reads the licence files in a folder and the folders in it, as bundled C sources have theirs in
/// one.
fn license_files(folder: &Path) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    for path in sorted_entries(folder)? {
        if path.is_dir() {
            for inner in sorted_entries(&path)? {
                texts.extend(license_file(&inner)?);
            }
        } else {
            texts.extend(license_file(&path)?);
        }
    }
    Ok(texts)
}

fn sorted_entries(folder: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let failed = |error| Error::Io(folder.display().to_string(), error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Returns the text of a file if its name is that of a licence.
fn license_file(path: &Path) -> Result<Option<String>, Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    // A source like `license.rs` is none.
    let is_text = !name.ends_with(".RS") && !name.ends_with(".C") && !name.ends_with(".H");
    let is_license = FILE_NAMES.iter().any(|start| name.starts_with(start));
    if !is_license || !is_text || !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|error| Error::Io(path.display().to_string(), error))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_in_the_programs_has_its_licence() {
        let packages = packages::released().expect("cargo metadata");
        let text = render(&packages).expect("licences");
        for expected in ["actix-web", "diesel", "libsqlite3-sys", "openssl-src", "pq-src", "tokio"]
        {
            assert!(text.contains(&format!("\n{expected} ")), "{expected}");
        }
        // Two standard texts: libpq's, and one with its authors.
        for expected in ["PostgreSQL Global Development Group", "Copyright (c) Andreas Fuchs"] {
            assert!(text.contains(expected), "{expected}");
        }
        // Only in the simulation and in tests.
        for unexpected in ["shuttle", "proptest"] {
            assert!(!text.contains(&format!("\n{unexpected} ")), "{unexpected}");
        }
        assert_eq!(text, render(&packages).expect("licences"), "the list is always the same");
    }
}
