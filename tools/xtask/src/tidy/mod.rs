//! Reads the workspace once, runs every check, and returns all violations.
//!
//! The rules are functions from text or syntax to findings, with unit tests next to them. This file
//! applies them to the files.

use std::collections::BTreeSet;

mod cycles;
mod deploy;
mod docs;
mod domain;
mod files;
mod finding;
mod layering;
mod lockfile;
mod manifests;
mod messages;
mod modules;
mod pages;
mod plain;
mod settings;
mod syntax;
mod test_names;
mod workspace;

use finding::{Finding, Violation};
use layering::{MEMBERS, WorkspaceMember};
use modules::Crate;
pub(crate) use settings::is_setting;
use workspace::{Error, Package, Workspace};

/// Collects the findings of all rules.
#[derive(Default)]
struct Report {
    violations: Vec<Violation>,
}

impl Report {
    fn add(&mut self, file: &str, findings: Vec<Finding>) {
        for Finding { line, message } in findings {
            self.violations.push(Violation { file: file.to_owned(), line, message });
        }
    }
}

/// Checks the workspace and returns the violations in the order of files and lines.
pub(crate) fn run() -> Result<Vec<Violation>, Error> {
    let workspace = Workspace::read()?;
    let mut report = Report::default();
    check_members(&workspace, &mut report);
    for package in &workspace.packages {
        if let Some(member) = layering::member(&package.folder) {
            check_package(&workspace, package, member, &mut report);
        }
    }
    check_documents(&workspace, &mut report);
    check_deploy(&workspace, &mut report);
    report.violations.sort();
    // A file of two crates is checked twice.
    report.violations.dedup();
    Ok(report.violations)
}

fn check_members(workspace: &Workspace, report: &mut Report) {
    let folders: BTreeSet<&str> =
        workspace.packages.iter().map(|package| package.folder.as_str()).collect();
    for folder in &folders {
        if layering::member(folder).is_none() {
            let message =
                "is not in the table of layers: add it to tools/xtask/src/tidy/layering.rs";
            report.add(&format!("{folder}/Cargo.toml"), vec![Finding::whole(message)]);
        }
    }
    for member in MEMBERS.iter().filter(|member| !folders.contains(member.folder)) {
        let message = format!("lists {}, which is not a member of the workspace", member.folder);
        report.add("tools/xtask/src/tidy/layering.rs", vec![Finding::whole(message)]);
    }
}

fn check_package(
    workspace: &Workspace,
    package: &Package,
    member: &WorkspaceMember,
    report: &mut Report,
) {
    let manifest_file = format!("{}/Cargo.toml", package.folder);
    let manifest = workspace.text(&manifest_file);
    report.add(&manifest_file, manifests::findings(manifest));
    report.add(&manifest_file, layering::dependency_findings(member, package, manifest));
    if member.is_pure() {
        let lock = workspace.text("Cargo.lock");
        report.add(&manifest_file, lockfile::findings(member, package, manifest, lock));
    }

    for (file, source) in workspace.sources_below(&package.folder) {
        report.add(file, files::source_findings(file, source));
        report.add(file, plain::findings(source, is_test_file(file)));
        report.add(file, test_names::findings(source));
        report.add(file, layering::source_findings(member, file, source));
    }
    // A package has several crates: the library, programs, and each file of tests.
    for root in &package.crate_roots {
        let krate = Crate::read(root, &workspace.sources);
        for cycle in cycles::find(&krate.imports) {
            report.add(&cycle.file, vec![Finding::at(cycle.line, cycle.message)]);
        }
        if root == "crates/domain/src/lib.rs" {
            report.violations.extend(domain::violations(&krate, root, workspace.text(root)));
        }
    }
}

fn check_documents(workspace: &Workspace, report: &mut Report) {
    let names: Vec<&str> = workspace.names_below("migrations/").collect();
    report.add("migrations", files::migration_findings(&names));

    for (file, text) in &workspace.texts {
        report.add(file, files::machine_path_findings(text));
        if file.ends_with(".md") {
            report.add(file, docs::link_findings(file, text, &workspace.texts));
            report.add(file, pages::paste_findings(text));
        }
    }
    report.add(docs::INDEX, docs::index_findings(workspace.text(docs::INDEX), &workspace.texts));
    let is_page = |file: &&str| file.ends_with(".md") && !file.starts_with("docs/adr/");
    let pages = workspace.names_below("docs/").filter(is_page).map(|file| workspace.text(file));
    report.add(docs::INDEX, pages::search_findings(pages));

    let is_product = |file: &str| file.starts_with("crates/") || file.starts_with("bins/");
    let sources =
        workspace.sources.iter().filter(|(file, _)| is_product(file) && !is_test_file(file));
    let messages = sources.flat_map(|(_, source)| messages::messages_of(source)).collect();
    report.add(messages::PAGE, messages::page_findings(&messages, workspace.text(messages::PAGE)));

    let example = ".env.example";
    let findings = settings::example_findings(&settings_read(workspace), workspace.text(example));
    report.add(example, findings);
}

fn check_deploy(workspace: &Workspace, report: &mut Report) {
    let settings = settings_read(workspace);
    for file in workspace.names_below("deploy/") {
        report.add(file, deploy::setting_findings(workspace.text(file), &settings));
    }
    let pages: BTreeSet<&str> = workspace
        .names_below("docs/runbooks/")
        .filter_map(|file| file.strip_prefix("docs/runbooks/")?.strip_suffix(".md"))
        // The index of the runbooks is no runbook.
        .filter(|page| *page != "README")
        .collect();
    let alerts = "deploy/prometheus/alerts.yml";
    report.add(alerts, deploy::alert_findings(workspace.text(alerts), &pages));
}

/// Returns the settings read by the crates and the programs. Tools only set some.
fn settings_read(workspace: &Workspace) -> BTreeSet<String> {
    let mut read = BTreeSet::new();
    for (file, source) in &workspace.sources {
        let is_product = file.starts_with("crates/") || file.starts_with("bins/");
        if is_product && file.contains("/src/") && !is_test_file(file) {
            read.extend(settings::settings_of(source));
        }
    }
    read
}

/// Whether a source has test code only: a file of an integration test, or a test module.
fn is_test_file(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("tests.rs")
}
