//! Keeps the house in order: tests that read the workspace's own files and fail where a rule is broken.
//!
//! The rules are functions from text to faults, each tested on small inputs beside it; here they meet the real files.
//! `house.rs` says who may use whom.

mod arrows;
mod deploy;
mod files;
mod house;
mod manifests;
mod paths;
mod settings;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use house::MEMBERS;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

/// Text files below `folder`, as paths relative to it with their content, in order. None if there is no such folder.
fn texts(folder: &Path) -> Vec<(String, String)> {
    fn walk(folder: &Path, base: &Path, found: &mut Vec<(String, String)>) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for path in entries.map(|entry| entry.expect("an entry of a folder").path()) {
            if path.is_dir() {
                walk(&path, base, found);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let name = path.strip_prefix(base).expect("a path below the folder");
                found.push((name.to_str().expect("a name in UTF-8").to_owned(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

fn sources(folder: &Path) -> Vec<(String, String)> {
    texts(folder).into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

/// Fails with all faults at once, each with the file it is in.
#[track_caller]
fn expect_none(faults: Vec<(String, Vec<String>)>) {
    let lines: Vec<String> = faults
        .iter()
        .flat_map(|(file, faults)| faults.iter().map(move |fault| format!("{file}: {fault}")))
        .collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn the_table_of_the_house_has_every_member_of_the_workspace() {
    let mut folders = BTreeSet::new();
    for parent in ["crates", "bins", "tools"] {
        for entry in fs::read_dir(root().join(parent)).expect("a folder of members") {
            let path = entry.expect("an entry").path();
            if path.join("Cargo.toml").exists() {
                folders.insert(format!("{parent}/{}", path.file_name().expect("a name").display()));
            }
        }
    }
    assert_eq!(folders, MEMBERS.iter().map(|member| member.folder.to_owned()).collect());
}

#[test]
fn manifests_keep_the_arrows_and_leave_versions_and_lints_to_the_root() {
    let faults = MEMBERS.iter().map(|member| {
        let file = format!("{}/Cargo.toml", member.folder);
        let manifest = fs::read_to_string(root().join(&file)).expect("a manifest");
        (file, manifests::member_faults(member, &manifest))
    });
    expect_none(faults.collect());
}

#[test]
fn sources_keep_the_arrows_between_crates() {
    let mut faults = Vec::new();
    for member in MEMBERS {
        for (file, text) in sources(&root().join(member.folder)) {
            faults.push((format!("{}/{file}", member.folder), arrows::crate_faults(member, &text)));
        }
    }
    assert!(faults.len() >= MEMBERS.len(), "sources were found");
    expect_none(faults);
}

#[test]
fn the_twins_of_storage_never_name_each_other() {
    let files = sources(&root().join("crates/storage/src"));
    expect_none(
        files.iter().map(|(file, text)| (file.clone(), arrows::twin_faults(file, text))).collect(),
    );
}

#[test]
fn modules_of_the_domain_use_only_those_below_them() {
    let files = sources(&root().join("crates/domain/src"));
    let (_, lib) = files.iter().find(|(file, _)| file == "lib.rs").expect("the root of the domain");
    let domain = arrows::Domain::read(lib);
    assert!(!domain.order().is_empty(), "lib.rs lists its modules, lowest first");
    expect_none(
        files.iter().map(|(file, text)| (file.clone(), domain.faults(file, text))).collect(),
    );
}

#[test]
fn only_the_start_of_the_server_names_the_store() {
    let files = sources(&root().join("bins/ingest/src"));
    expect_none(
        files.iter().map(|(file, text)| (file.clone(), arrows::store_faults(file, text))).collect(),
    );
}

#[test]
fn sources_open_with_what_lives_there_and_stay_short() {
    let mut faults = Vec::new();
    for member in MEMBERS {
        for (file, text) in sources(&root().join(member.folder)) {
            faults.push((format!("{}/{file}", member.folder), files::source_faults(&file, &text)));
        }
    }
    expect_none(faults);
}

#[test]
fn no_file_mentions_a_path_of_one_machine() {
    let mut files = Vec::new();
    let folders = [
        ".ci",
        ".config",
        ".github",
        "bins",
        "crates",
        "deploy",
        "docs",
        "examples",
        "migrations",
        "scripts",
        "tools",
    ];
    for folder in folders {
        files.extend(
            texts(&root().join(folder))
                .into_iter()
                .map(|(file, text)| (format!("{folder}/{file}"), text)),
        );
    }
    for entry in fs::read_dir(root()).expect("the root") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().display().to_string();
        // .env is the developer's own; .git is a file in a linked work tree, and names a folder of its machine.
        if ![".env", ".git"].contains(&name.as_str())
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.push((name, text));
        }
    }
    expect_none(
        files.into_iter().map(|(file, text)| (file, files::machine_path_faults(&text))).collect(),
    );
}

#[test]
fn both_databases_have_the_same_migrations() {
    let files: Vec<String> =
        texts(&root().join("migrations")).into_iter().map(|(file, _)| file).collect();
    expect_none(vec![("migrations".to_owned(), files::migration_faults(&files))]);
}

/// The settings that the code reads.
fn settings_read() -> BTreeSet<String> {
    let mut read = BTreeSet::new();
    for member in MEMBERS {
        for (file, text) in sources(&root().join(member.folder).join("src")) {
            // tests.rs is a test module in a file of its own.
            if !file.ends_with("tests.rs") {
                read.extend(settings::settings_of(&text));
            }
        }
    }
    read
}

#[test]
fn the_example_of_the_environment_tells_every_setting_and_no_other() {
    let example = fs::read_to_string(root().join(".env.example")).expect(".env.example");
    expect_none(vec![(
        ".env.example".to_owned(),
        settings::example_faults(&settings_read(), &example),
    )]);
}

#[test]
fn files_of_deploy_name_no_setting_that_nobody_reads() {
    // What deploy/compose.yml asks of who runs it.
    let of_compose =
        ["MERCURIO_VERSION", "MERCURIO_PORT", "MERCURIO_MANAGEMENT_PORT", "MERCURIO_BALANCED_PORT"];
    let (read, files) = (settings_read(), texts(&root().join("deploy")));
    assert!(!files.is_empty(), "deploy/ has files");
    let faults = files
        .into_iter()
        .map(|(file, text)| (file, deploy::setting_faults(&text, &read, &of_compose)));
    expect_none(faults.collect());
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let alerts =
        fs::read_to_string(root().join("deploy/prometheus/alerts.yml")).expect("the alerts");
    let pages = texts(&root().join("docs/runbooks"));
    let pages: BTreeSet<String> = pages
        .iter()
        .filter_map(|(file, _)| file.strip_suffix(".md"))
        .filter(|page| *page != "README")
        .map(str::to_owned)
        .collect();
    expect_none(vec![(
        "deploy/prometheus/alerts.yml".to_owned(),
        deploy::alert_faults(&alerts, &pages),
    )]);
}
