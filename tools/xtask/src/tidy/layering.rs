//! The layers of the workspace: the crates each member may use, and the libraries it must not use.
//!
//! A crate depends on lower layers only, never on its own. `docs/ARCHITECTURE.md` describes the
//! same layers.

use super::finding::Finding;
use super::manifests;
use super::syntax::{Path, Source};
use super::workspace::Package;

/// A member of the workspace.
pub(crate) struct WorkspaceMember {
    pub(crate) folder: &'static str,
    /// Our crates it may use, in manifests and sources, in tests as well.
    ours: &'static [&'static str],
    /// Other crates it must not use. A `*` matches any ending.
    pub(crate) banned: &'static [&'static str],
}

/// Our crates, lowest layer first.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["observability", "history"],
    &["enrichment", "pipeline", "storage", "rate-limit"],
    &["runtime"],
    &["api", "config"],
    &["ingest", "admin"],
    &["bench", "chaos", "simulation", "xtask"],
];

/// Members with pure code: it reads no clock, environment, file or random number, and starts
/// nothing.
const PURE: &[&str] = &["crates/domain", "crates/enrichment"];

/// Parts of paths that a pure crate must not use.
const IMPURE: &[&[&str]] = &[
    &["std", "env"],
    &["std", "fs"],
    &["std", "process"],
    &["std", "thread"],
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["Local", "now"],
    &["Utc", "now"],
    &["Uuid", "new_v4"],
    &["Uuid", "now_v7"],
    &["getrandom"],
    &["rand"],
];

/// Crates that only start-up code of the server may name: the concrete store and the HTTP
/// framework.
const START_UP_CRATES: &[&str] = &["mercurio_storage", "actix_web"];
/// Start-up code of the server.
const START_UP: &[&str] = &["bins/ingest/src/main.rs", "bins/ingest/src/startup/"];

pub(crate) const MEMBERS: &[WorkspaceMember] = &[
    WorkspaceMember {
        folder: "crates/domain",
        ours: &[],
        banned: &["tokio*", "actix*", "diesel*", "slog*", "hyper*", "mio"],
    },
    WorkspaceMember { folder: "crates/observability", ours: &[], banned: &["actix*", "diesel*"] },
    // Below the stores: it judges them, and must not use their code.
    WorkspaceMember {
        folder: "crates/history",
        ours: &["domain"],
        banned: &["tokio*", "actix*", "slog*"],
    },
    WorkspaceMember {
        folder: "crates/enrichment",
        ours: &["domain"],
        banned: &["tokio*", "actix*", "diesel*", "slog*", "hyper*", "mio"],
    },
    WorkspaceMember {
        folder: "crates/pipeline",
        ours: &["domain"],
        banned: &["actix*", "diesel*"],
    },
    WorkspaceMember {
        folder: "crates/storage",
        ours: &["domain", "history"],
        banned: &["tokio*", "actix*"],
    },
    WorkspaceMember {
        folder: "crates/rate-limit",
        ours: &["domain", "observability"],
        banned: &["actix*", "diesel*"],
    },
    WorkspaceMember {
        folder: "crates/runtime",
        ours: &["domain", "enrichment", "observability", "pipeline"],
        banned: &["actix*", "diesel*"],
    },
    WorkspaceMember {
        folder: "crates/api",
        ours: &["domain", "enrichment", "observability", "pipeline", "rate-limit", "runtime"],
        banned: &["diesel*"],
    },
    WorkspaceMember {
        folder: "crates/config",
        ours: &[
            "domain",
            "enrichment",
            "observability",
            "pipeline",
            "rate-limit",
            "runtime",
            "storage",
        ],
        banned: &["actix*", "diesel*", "slog*"],
    },
    WorkspaceMember {
        folder: "bins/ingest",
        ours: &[
            "api",
            "config",
            "domain",
            "enrichment",
            "history",
            "observability",
            "pipeline",
            "rate-limit",
            "runtime",
            "storage",
        ],
        banned: &["diesel*"],
    },
    WorkspaceMember {
        folder: "bins/admin",
        ours: &["config", "domain", "observability", "rate-limit", "runtime", "storage"],
        banned: &["actix*", "diesel*"],
    },
    WorkspaceMember {
        folder: "tools/bench",
        ours: &["config", "domain", "observability", "runtime", "storage"],
        banned: &["actix*"],
    },
    WorkspaceMember {
        folder: "tools/simulation",
        ours: &["domain"],
        banned: &["actix*", "diesel*", "slog*"],
    },
    WorkspaceMember {
        folder: "tools/chaos",
        ours: &["domain", "history", "runtime", "storage"],
        banned: &["actix*", "slog*"],
    },
    WorkspaceMember { folder: "tools/xtask", ours: &[], banned: &["actix*", "diesel*", "tokio*"] },
];

/// Returns the member in a folder.
pub(crate) fn member(folder: &str) -> Option<&'static WorkspaceMember> {
    MEMBERS.iter().find(|member| member.folder == folder)
}

impl WorkspaceMember {
    fn name(&self) -> &'static str {
        self.folder.rsplit('/').next().unwrap_or(self.folder)
    }

    /// Whether it has pure code, and so no banned crate behind its dependencies.
    pub(crate) fn is_pure(&self) -> bool {
        PURE.contains(&self.folder)
    }

    /// Whether the name of another crate is in the list of banned ones.
    pub(crate) fn bans(&self, used: &str) -> bool {
        self.banned.iter().any(|banned| match banned.strip_suffix('*') {
            Some(start) => used.starts_with(start),
            None => used == *banned,
        })
    }

    /// Returns the reason if this member must not use the crate `used`.
    fn objection(&self, used: &str) -> Option<String> {
        // Manifests have dashes, and paths in code have underscores.
        let used = used.replace('_', "-");
        let Some(ours) = used.strip_prefix("mercurio-") else {
            let message = format!("uses {used}; it must not use {}", self.banned.join(", "));
            return self.bans(&used).then_some(message);
        };
        // Tests and programs of a package name their own library.
        if ours == self.name() {
            return None;
        }
        match (layer(ours), layer(self.name())) {
            (None, _) => Some(format!("uses {used}, which is not in the table of layers")),
            // The same layer is not lower: its crates stay independent of each other.
            (Some(other), Some(own)) if other >= own => {
                Some(format!("uses {used}, which is not in a lower layer"))
            }
            _ if self.ours.contains(&ours) => None,
            _ if self.ours.is_empty() => {
                Some(format!("uses {used}; it must use none of our crates"))
            }
            _ => Some(format!("uses {used}; of our crates it may use {}", self.ours.join(", "))),
        }
    }
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Checks the dependencies of a member, of all kinds. `manifest` gives the lines.
pub(crate) fn dependency_findings(
    member: &WorkspaceMember,
    package: &Package,
    manifest: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let line = manifests::line_of(manifest, &dependency.name);
        if let Some(message) = member.objection(&dependency.name) {
            findings.push(Finding { line, message });
        }
        // Fakes serve the tests of other crates and never reach a program.
        if dependency.kind.is_none() && dependency.features.iter().any(|name| name == "testing") {
            let message = format!(
                "enables `testing` of {}; only a dev-dependency may do so",
                dependency.name
            );
            findings.push(Finding { line, message });
        }
    }
    findings
}

/// Checks the paths in a source of a member. `file` is relative to the root of the workspace.
pub(crate) fn source_findings(
    member: &WorkspaceMember,
    file: &str,
    source: &Source,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let twin = twin(file);
    // Tests keep the layers too.
    for path in source.all_modules.all_paths() {
        if path.is_qualified()
            && let Some(message) = member.objection(path.root())
        {
            findings.push(Finding::at(path.line, message));
        }
        if let Some(twin) = twin.filter(|twin| path.contains(&[*twin])) {
            let message = format!("names {twin}; what both databases need belongs into shared/");
            findings.push(Finding::at(path.line, message));
        }
    }
    // Only code outside of tests: a test may read the clock.
    for path in source.modules.all_paths() {
        if member.is_pure() && is_source(member, file) {
            findings.extend(impure_finding(path));
        }
        if member.folder == "bins/ingest" && is_source(member, file) && !is_start_up(file) {
            findings.extend(start_up_finding(path));
        }
    }
    findings
}

fn is_source(member: &WorkspaceMember, file: &str) -> bool {
    file.strip_prefix(member.folder).is_some_and(|rest| rest.starts_with("/src/"))
}

fn is_start_up(file: &str) -> bool {
    START_UP
        .iter()
        .any(|allowed| file == *allowed || (allowed.ends_with('/') && file.starts_with(allowed)))
}

/// Returns the other database's module for a file of storage.
fn twin(file: &str) -> Option<&'static str> {
    // `postgres/…` and `postgres.rs` alike.
    let module = file.strip_prefix("crates/storage/src/")?.split(['/', '.']).next()?;
    match module {
        "postgres" => Some("sqlite"),
        "sqlite" => Some("postgres"),
        _ => None,
    }
}

fn impure_finding(path: &Path) -> Option<Finding> {
    let part = IMPURE.iter().find(|part| path.is_qualified() && path.contains(part))?;
    let message =
        format!("uses {}; clock, environment and randomness are arguments here", part.join("::"));
    Some(Finding::at(path.line, message))
}

fn start_up_finding(path: &Path) -> Option<Finding> {
    let named = START_UP_CRATES.iter().find(|name| path.is_qualified() && path.root() == **name)?;
    Some(Finding::at(
        path.line,
        format!("names {named}; only start-up code may: {}", START_UP.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
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
            let own =
                layer(member.name()).unwrap_or_else(|| panic!("{} has no layer", member.folder));
            for used in member.ours {
                assert!(
                    layer(used).is_some_and(|layer| layer < own),
                    "{} -> {used}",
                    member.folder
                );
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
        let manifest =
            "[package]\n[dependencies]\nserde = \"1\"\nmercurio-storage.workspace = true\n";
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
        check_storage_file(
            "src/postgres/events.rs",
            "use crate::sqlite::events;",
            &["names sqlite"],
        );
        check_storage_file(
            "src/postgres/events.rs",
            "use super::super::{error, sqlite};",
            &["names sqlite"],
        );
        check_storage_file("src/sqlite.rs", "fn f() { crate::postgres::f() }", &["names postgres"]);
        check_storage_file(
            "src/sqlite/mod.rs",
            "use diesel::sqlite::Sqlite; // not postgres::x",
            &[],
        );
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
        check_ingest_file(
            "src/lib.rs",
            "#[cfg(test)] mod tests { use mercurio_storage::Pool; }",
            &[],
        );
        check_ingest_file("tests/process/main.rs", naming, &[]);
    }
}
