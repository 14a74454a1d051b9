//! The house as a table: which crate may use which, and what none of its kind ever uses.

/// One member of the workspace.
pub(crate) struct Member {
    pub(crate) folder: &'static str,
    /// Our crates that it may use.
    pub(crate) ours: &'static [&'static str],
    /// Crates of others that it never uses; a `*` at the end stands for any ending.
    pub(crate) never: &'static [&'static str],
}

const LIBRARIES: &[&str] = &[
    "domain",
    "enrichment",
    "storage",
    "pipeline",
    "observability",
    "rate_limit",
    "config",
    "runtime",
    "api",
];

pub(crate) const MEMBERS: &[Member] = &[
    Member { folder: "crates/domain", ours: &[], never: &["tokio*", "actix*", "diesel*", "slog*"] },
    Member {
        folder: "crates/enrichment",
        ours: &["domain"],
        never: &["tokio*", "actix*", "diesel*", "slog*"],
    },
    Member { folder: "crates/storage", ours: &["domain"], never: &["tokio*", "actix*"] },
    Member {
        folder: "crates/pipeline",
        ours: &["domain", "enrichment"],
        never: &["actix*", "diesel*"],
    },
    Member { folder: "crates/observability", ours: &[], never: &["actix*", "diesel*"] },
    Member {
        folder: "crates/config",
        ours: &[
            "domain",
            "enrichment",
            "storage",
            "pipeline",
            "observability",
            "rate_limit",
            "runtime",
        ],
        never: &["actix*", "diesel*", "slog*"],
    },
    Member {
        folder: "crates/rate-limit",
        ours: &["domain", "observability"],
        never: &["actix*", "diesel*"],
    },
    Member {
        folder: "crates/runtime",
        ours: &["domain", "enrichment", "observability"],
        never: &["actix*", "diesel*"],
    },
    Member {
        folder: "crates/api",
        ours: &["domain", "enrichment", "pipeline", "observability", "rate_limit", "runtime"],
        never: &["diesel*"],
    },
    Member { folder: "bins/ingest", ours: LIBRARIES, never: &[] },
    Member { folder: "bins/admin", ours: LIBRARIES, never: &[] },
    Member { folder: "tools/bench", ours: LIBRARIES, never: &["actix*"] },
    Member { folder: "tools/xtask", ours: &[], never: &["actix*", "diesel*", "tokio*"] },
];

impl Member {
    fn own_name(&self) -> &'static str {
        self.folder.rsplit('/').next().unwrap_or(self.folder)
    }

    /// Why this member may not use the crate of that name, if it may not.
    pub(crate) fn objection(&self, used: &str) -> Option<String> {
        let used = used.replace('-', "_");
        if let Some(ours) = used.strip_prefix("mercurio_") {
            let allowed = ours == self.own_name().replace('-', "_") || self.ours.contains(&ours);
            return (!allowed).then(|| {
                format!("uses {used}; of our crates it may use only {}", list(self.ours))
            });
        }
        let forbidden = self.never.iter().any(|never| match never.strip_suffix('*') {
            Some(start) => used.starts_with(start),
            None => used == *never,
        });
        forbidden.then(|| format!("uses {used}; it never uses {}", list(self.never)))
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "itself".to_owned() } else { names.join(", ") }
}

#[test]
fn an_objection_is_raised_against_every_arrow_that_runs_the_wrong_way_and_no_other() {
    let check = |folder: &str, used: &str, allowed: bool| {
        let member = MEMBERS.iter().find(|member| member.folder == folder).expect("a member");
        let objection = member.objection(used);
        assert_eq!(objection.is_none(), allowed, "{folder} -> {used}: {objection:?}");
    };
    check("crates/domain", "mercurio-domain", true);
    check("crates/domain", "mercurio_storage", false);
    check("crates/domain", "serde", true);
    check("crates/domain", "tokio", false);
    check("crates/domain", "tokio-util", false);
    check("crates/domain", "slog-json", false);
    check("crates/enrichment", "mercurio-domain", true);
    check("crates/enrichment", "mercurio-pipeline", false);
    check("crates/enrichment", "diesel", false);
    check("crates/storage", "mercurio-domain", true);
    check("crates/storage", "mercurio-enrichment", false);
    check("crates/storage", "diesel_migrations", true);
    check("crates/storage", "tokio", false);
    check("crates/storage", "slog", true);
    check("crates/pipeline", "mercurio-enrichment", true);
    check("crates/pipeline", "mercurio-storage", false);
    check("crates/pipeline", "mercurio-observability", false);
    check("crates/pipeline", "tokio", true);
    check("crates/pipeline", "actix-web", false);
    check("crates/observability", "mercurio-domain", false);
    check("crates/observability", "diesel", false);
    check("bins/ingest", "mercurio-storage", true);
    check("bins/ingest", "mercurio-admin", false);
    check("bins/ingest", "actix_web", true);
    check("bins/admin", "mercurio-storage", true);
    check("bins/admin", "mercurio-ingest", false);
    check("bins/admin", "mercurio-bogus", false);
}
