//! Which dependency each member may have, and which names each layer may use.

use super::super::workspace::Dependency;
use super::*;

fn of(folder: &str) -> &'static WorkspaceMember {
    member(folder).unwrap_or_else(|| panic!("{folder} is no member"))
}

#[track_caller]
fn check(findings: &[Finding], expected: &[&str]) {
    assert_eq!(findings.len(), expected.len(), "{findings:?}");
    for (finding, expected) in findings.iter().zip(expected) {
        assert!(finding.message.contains(expected), "{findings:?}");
    }
}

#[track_caller]
fn check_source(folder: &str, file: &str, text: &str, expected: &[&str]) {
    let source = Source::read(text).expect("Rust");
    check(&source_findings(of(folder), &format!("{folder}/{file}"), &source), expected);
}

#[test]
fn table_of_members_points_down_the_layers() {
    for member in MEMBERS {
        let own = layer(member.name()).unwrap_or_else(|| panic!("{} has no layer", member.folder));
        for used in member.ours {
            assert!(layer(used).is_some_and(|layer| layer < own), "{} -> {used}", member.folder);
        }
    }
    let members = MEMBERS.iter().filter(|member| layer(member.name()).is_some());
    // Each name in a layer has a member.
    assert_eq!(members.count(), LAYERS.iter().map(|layer| layer.len()).sum::<usize>());
}

#[track_caller]
fn check_objection(folder: &str, used: &str, allowed: bool) {
    let objection = of(folder).objection(used);
    assert_eq!(objection.is_none(), allowed, "{folder} -> {used}: {objection:?}");
}

#[test]
fn objection_is_raised_against_every_other_arrow() {
    check_objection("crates/domain", "mercurio-domain", true);
    check_objection("crates/domain", "mercurio_storage", false);
    check_objection("crates/domain", "serde", true);
    check_objection("crates/domain", "tokio", false);
    check_objection("crates/domain", "tokio-util", false);
    check_objection("crates/domain", "slog-json", false);
    check_objection("crates/enrichment", "mercurio-domain", true);
    check_objection("crates/enrichment", "mercurio-pipeline", false);
    check_objection("crates/enrichment", "diesel", false);
    check_objection("crates/storage", "mercurio-domain", true);
    check_objection("crates/history", "mercurio-domain", true);
    check_objection("crates/history", "mercurio-storage", false);
    check_objection("crates/storage", "mercurio-history", true);
    check_objection("crates/storage", "mercurio-enrichment", false);
    check_objection("crates/storage", "diesel_migrations", true);
    check_objection("crates/storage", "tokio", false);
    check_objection("crates/storage", "slog", true);
    check_objection("crates/pipeline", "mercurio-enrichment", false);
    check_objection("crates/pipeline", "mercurio-storage", false);
    check_objection("crates/pipeline", "mercurio-observability", false);
    check_objection("crates/pipeline", "tokio", true);
    check_objection("crates/pipeline", "actix-web", false);
    check_objection("crates/observability", "mercurio-domain", false);
    check_objection("crates/observability", "diesel", false);
    check_objection("crates/rate-limit", "mercurio_rate_limit", true);
    check_objection("crates/runtime", "mercurio-pipeline", true);
    check_objection("crates/runtime", "mercurio-storage", false);
    check_objection("crates/runtime", "mercurio-api", false);
    check_objection("crates/api", "mercurio-runtime", true);
    check_objection("crates/api", "mercurio-config", false);
    check_objection("crates/api", "mercurio-storage", false);
    check_objection("crates/api", "actix-web", true);
    check_objection("crates/config", "mercurio-api", false);
    check_objection("crates/config", "mercurio_rate_limit", true);
    check_objection("bins/ingest", "mercurio-storage", true);
    check_objection("bins/ingest", "mercurio-admin", false);
    check_objection("bins/ingest", "actix_web", true);
    check_objection("bins/ingest", "diesel", false);
    check_objection("bins/admin", "mercurio-storage", true);
    check_objection("bins/admin", "mercurio-ingest", false);
    check_objection("bins/admin", "mercurio-api", false);
    check_objection("bins/admin", "actix-web", false);
    check_objection("bins/admin", "mercurio-bogus", false);
    check_objection("tools/bench", "mercurio-ingest", false);
    check_objection("tools/chaos", "mercurio-history", true);
    check_objection("tools/chaos", "mercurio-ingest", false);
    check_objection("tools/xtask", "mercurio-domain", false);
}

fn dependency(name: &str, kind: Option<&str>, features: &[&str]) -> Dependency {
    Dependency {
        name: name.to_owned(),
        kind: kind.map(str::to_owned),
        features: features.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn package(dependency: Dependency) -> Package {
    Package {
        folder: "crates/pipeline".to_owned(),
        dependencies: vec![dependency],
        crate_roots: Vec::new(),
    }
}

#[test]
fn dependencies_of_every_kind_keep_the_layers() {
    let manifest = "[package]\n[dependencies]\nserde = \"1\"\nmercurio-storage.workspace = true\n";
    let member = of("crates/pipeline");
    let findings = |dependency| dependency_findings(member, &package(dependency), manifest);
    check(&findings(dependency("serde", None, &[])), &[]);
    let upward = findings(dependency("mercurio-storage", None, &[]));
    check(&upward, &["mercurio-storage, which is not in a lower layer"]);
    assert_eq!(upward[0].line, Some(4));
    check(&findings(dependency("diesel", Some("dev"), &[])), &["uses diesel"]);
    check(&findings(dependency("actix-web", Some("build"), &[])), &["uses actix-web"]);
    check(&findings(dependency("mercurio-domain", Some("dev"), &["testing"])), &[]);
    check(&findings(dependency("mercurio-domain", None, &["testing"])), &["`testing`"]);
}

#[track_caller]
fn check_domain_text(text: &str, expected: &[&str]) {
    check_source("crates/domain", "src/a.rs", text, expected);
}

#[test]
fn sources_use_allowed_crates_but_may_mention_any() {
    check_domain_text("use serde::Serialize;\nuse std::fmt;", &[]);
    check_domain_text("\nuse tokio::sync::mpsc;", &["uses tokio"]);
    check_domain_text(
        "use {serde::Serialize, diesel_migrations as m};",
        &["uses diesel-migrations"],
    );
    check_domain_text("fn f() { mercurio_pipeline::parse() }", &["uses mercurio-pipeline"]);
    check_domain_text("#[cfg(test)] mod tests { #[tokio::test] fn f() {} }", &["uses tokio"]);
    check_domain_text("/// Unlike tokio::spawn\nconst A: &str = \"use tokio::spawn\";", &[]);
    // A module of ours may share the name of a crate.
    check_domain_text("use crate::tokio::x;", &[]);
}

#[track_caller]
fn check_domain_file(file: &str, text: &str, expected: &[&str]) {
    check_source("crates/domain", file, text, expected);
}

#[test]
fn pure_crates_read_no_clock_and_no_environment() {
    check_domain_file(
        "src/a.rs",
        "use std::time::Instant; fn f() { Instant::now() }",
        &["Instant::now"],
    );
    check_domain_file("src/a.rs", "fn f() { chrono::Utc::now() }", &["Utc::now"]);
    check_domain_file("src/a.rs", "use std::{env, fmt};", &["std::env"]);
    check_domain_file("src/a.rs", "use getrandom::fill;", &["getrandom"]);
    // A clock as an argument, and a variable of the compiler.
    check_domain_file("src/a.rs", "fn f(now: Timestamp) { env!(\"A\"); clock.now() }", &[]);
    check_domain_file("src/a.rs", "#[cfg(test)] mod tests { use std::env; }", &[]);
    check_domain_file("tests/a.rs", "use std::process::Command;", &[]);
    check_source("crates/storage", "src/a.rs", "use std::{env, fs};", &[]);
}

#[track_caller]
fn check_storage_file(file: &str, text: &str, expected: &[&str]) {
    check_source("crates/storage", file, text, expected);
}

#[test]
fn databases_of_storage_never_name_each_other() {
    check_storage_file("src/postgres/events.rs", "use crate::sqlite::events;", &["names sqlite"]);
    check_storage_file(
        "src/postgres/events.rs",
        "use super::super::{error, sqlite};",
        &["names sqlite"],
    );
    check_storage_file("src/sqlite.rs", "fn f() { crate::postgres::f() }", &["names postgres"]);
    check_storage_file("src/sqlite/mod.rs", "use diesel::sqlite::Sqlite; // not postgres::x", &[]);
    check_storage_file("src/pool.rs", "use crate::{postgres, sqlite};", &[]);
}

#[track_caller]
fn check_ingest_file(file: &str, text: &str, expected: &[&str]) {
    check_source("bins/ingest", file, text, expected);
}

#[test]
fn store_is_named_by_start_up_code_and_tests_alone() {
    let naming = "use mercurio_storage::Pool;";
    check_ingest_file("src/routes/track.rs", naming, &["names mercurio_storage"]);
    check_ingest_file("src/lib.rs", naming, &["names mercurio_storage"]);
    check_ingest_file("src/lib.rs", "use actix_web::rt;", &["names actix_web"]);
    check_ingest_file("src/main.rs", naming, &[]);
    check_ingest_file("src/startup/store.rs", naming, &[]);
    // Start-up code is in the folder `src/startup` only.
    check_ingest_file("src/routes/startup.rs", naming, &["names mercurio_storage"]);
    check_ingest_file("src/lib.rs", "#[cfg(test)] mod tests { use mercurio_storage::Pool; }", &[]);
    check_ingest_file("tests/process/main.rs", naming, &[]);
}
