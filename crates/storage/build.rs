//! Rebuilds the crate when a migration changes, and passes a hash of all migrations to the tests.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let migrations =
        Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../../migrations");
    let mut hasher = std::hash::DefaultHasher::new();
    for database in ["postgres", "sqlite"] {
        let folder = migrations.join(database);
        // `embed_migrations!` reads the folder at compile time. Its mtime changes with added files.
        println!("cargo::rerun-if-changed={}", folder.display());
        for file in files_below(&folder)? {
            println!("cargo::rerun-if-changed={}", file.display());
            // Relative, so that two checkouts share a template database.
            file.strip_prefix(&migrations).unwrap_or(&file).hash(&mut hasher);
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    println!("cargo::rustc-env=MERCURIO_MIGRATIONS_HASH={:016x}", hasher.finish());
    Ok(())
}

/// Every file below `folder`, sorted.
fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    // The order of `read_dir` differs between machines, and the hash must not.
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() { files.extend(files_below(&path)?) } else { files.push(path) }
    }
    Ok(files)
}
