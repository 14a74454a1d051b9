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
    &["enrichment", "pipeline", "protocols", "storage", "rate-limit", "forwarding"],
    &["runtime"],
    &["api", "config"],
    &["ingest", "admin"],
    &["bench", "chaos", "simulation", "xtask"],
];

/// Members with pure code: it reads no clock, environment, file or random number, and starts
/// nothing.
const PURE: &[&str] = &["crates/domain", "crates/enrichment", "crates/protocols"];

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
        folder: "crates/protocols",
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
        folder: "crates/forwarding",
        ours: &["domain"],
        banned: &["tokio*", "actix*", "diesel*", "slog*", "hyper*", "reqwest"],
    },
    WorkspaceMember {
        folder: "crates/runtime",
        ours: &["domain", "enrichment", "observability", "pipeline", "protocols"],
        banned: &["actix*", "diesel*"],
    },
    WorkspaceMember {
        folder: "crates/api",
        ours: &[
            "domain",
            "enrichment",
            "observability",
            "pipeline",
            "protocols",
            "rate-limit",
            "runtime",
        ],
        banned: &["diesel*"],
    },
    WorkspaceMember {
        folder: "crates/config",
        ours: &[
            "domain",
            "enrichment",
            "observability",
            "pipeline",
            "protocols",
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
        ours: &[
            "config",
            "domain",
            "forwarding",
            "observability",
            "rate-limit",
            "runtime",
            "storage",
        ],
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
mod tests;
