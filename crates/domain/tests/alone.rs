//! The crate alone: its dependencies stay light, and its example compiles and runs.

use std::path::Path;
use std::process::{Command, Output};

fn cargo(arguments: &[&str]) -> Output {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--manifest-path")
        .arg(manifest)
        // The test must not change the lock file or depend on a network.
        .args(["--locked", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn dependencies_have_no_runtime_server_database_or_logger() {
    let tree = cargo(&[
        "tree",
        "--package",
        "mercurio-domain",
        "--edges",
        // Without dev-dependencies, which do not reach an embedding service.
        "normal,build",
        "--prefix",
        "none",
    ]);
    let tree = String::from_utf8(tree.stdout).expect("cargo writes UTF-8");
    let names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    // Two known dependencies show that the tree was read.
    assert!(names.contains(&"serde") && names.contains(&"validator"), "{names:?}");
    let heavy: Vec<_> = names.iter().filter(|name| is_heavy(name)).collect();
    assert!(heavy.is_empty(), "{heavy:?}");
}

fn is_heavy(name: &str) -> bool {
    let runtimes = ["tokio", "actix", "diesel", "slog", "mio", "hyper"];
    runtimes.iter().any(|runtime| name.starts_with(runtime))
        || (name.starts_with("mercurio-") && name != "mercurio-domain")
}

#[test]
fn crate_compiles_alone_and_its_example_makes_a_batch() {
    // Alone, without the features that other members of the workspace turn on.
    let output = cargo(&["run", "--quiet", "--package", "mercurio-domain", "--example", "batch"]);
    let batch: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("the example prints JSON");
    assert_eq!(batch["events"].as_array().map(Vec::len), Some(1));
    assert_eq!(batch["events"][0]["event_id"], "signup-4711");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("/1/event_name required") && errors.contains("/1 required"),
        "{errors}"
    );
}
