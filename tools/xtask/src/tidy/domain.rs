//! Rules for the paths in the sources: between crates, and between the modules of a crate.

use std::collections::HashMap;

use crate::house::Member;
use crate::paths::{Path, paths};
use crate::source::Source;

/// Files of bins/ingest/src that may name the concrete store: those that start the server.
const START_UP: &[&str] = &["main.rs", "startup.rs", "startup/", "server.rs", "server/"];

/// Faults of a member's file, tests included: crates that it may not use.
pub(crate) fn crate_faults(member: &Member, text: &str) -> Vec<String> {
    let code = Source::read(text).code(true);
    let fault =
        |path: &Path| Some(format!("line {}: {}", path.line, member.objection(path.root())?));
    paths(&code).iter().filter_map(fault).collect()
}

/// Faults of a file of storage: the twins never name each other. `file` is relative to crates/storage/src.
pub(crate) fn twin_faults(file: &str, text: &str) -> Vec<String> {
    let twin = match file.split(['/', '.']).next() {
        Some("postgres") => "sqlite",
        Some("sqlite") => "postgres",
        _ => return Vec::new(),
    };
    paths(&Source::read(text).code(true))
        .iter()
        .filter(|path| path.segments.iter().any(|segment| segment == twin))
        .map(|path| {
            format!("line {}: names {twin}, its twin; what both need lives above them", path.line)
        })
        .collect()
}

/// Faults of a file of the ingest server: only start-up names the store. `file` is relative to bins/ingest/src.
pub(crate) fn store_faults(file: &str, text: &str) -> Vec<String> {
    if START_UP
        .iter()
        .any(|allowed| file == *allowed || (allowed.ends_with('/') && file.starts_with(allowed)))
    {
        return Vec::new();
    }
    paths(&Source::read(text).code(false))
        .iter()
        .filter(|path| path.root() == "mercurio_storage")
        .map(|path| {
            format!(
                "line {}: names mercurio_storage, which only start-up may ({START_UP:?})",
                path.line
            )
        })
        .collect()
}

/// The order of the domain's modules, and what its root passes on from them. Both are read from its lib.rs.
pub(crate) struct Domain {
    order: Vec<String>,
    /// A name at the root, and the module it comes from.
    passed_on: HashMap<String, String>,
}

impl Domain {
    pub(crate) fn read(root: &str) -> Self {
        let order = listed_order(root);
        let passed_on = paths(&Source::read(root).code(false))
            .into_iter()
            .filter_map(|path| {
                let mut rest = path
                    .segments
                    .iter()
                    .skip_while(|segment| matches!(segment.as_str(), "crate" | "self"));
                let module = rest.next()?.clone();
                (order.contains(&module) && path.name != module).then_some((path.name, module))
            })
            .collect();
        Self { order, passed_on }
    }

    /// Modules in their order, lowest first.
    pub(crate) fn order(&self) -> &[String] {
        &self.order
    }

    /// Faults of a file of the domain: it uses only modules below its own. `file` is relative to crates/domain/src.
    pub(crate) fn faults(&self, file: &str, text: &str) -> Vec<String> {
        let file = file.trim_end_matches(".rs").trim_end_matches("/mod");
        if file == "lib" {
            return Vec::new();
        }
        let own = file.split('/').next().unwrap_or(file);
        let Some(rank) = self.order.iter().position(|module| module == own) else {
            return vec![format!(
                "module {own} is not in the list \"Modules, lowest first\" of lib.rs"
            )];
        };
        let depth = file.split('/').count();
        let above = |path: Path| {
            let module = self.module(&path, depth)?;
            let other = self.order.iter().position(|listed| listed == module)?;
            (other > rank)
                .then(|| format!("line {}: {own} uses {module}, which stands above it", path.line))
        };
        paths(&Source::read(text).code(false)).into_iter().filter_map(above).collect()
    }

    /// The module of the domain that a path leads to, seen from `depth` modules down.
    fn module<'a>(&'a self, path: &'a Path, depth: usize) -> Option<&'a str> {
        let supers = path.segments.iter().take_while(|segment| *segment == "super").count();
        let first = match path.root() {
            "crate" => path.segments.get(1)?,
            "super" if supers == depth => path.segments.get(supers)?,
            _ => return None,
        };
        Some(self.passed_on.get(first).unwrap_or(first))
    }
}

/// Module names in code quotes, from "Modules, lowest first" to the end of that paragraph.
fn listed_order(root: &str) -> Vec<String> {
    let docs = root.lines().map_while(|line| line.strip_prefix("//!"));
    let list = docs
        .skip_while(|line| !line.contains("Modules, lowest first"))
        .take_while(|line| !line.trim().is_empty());
    let list = list.collect::<Vec<_>>().join(" ");
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::MEMBERS;

    #[track_caller]
    fn check(faults: Vec<String>, expected: &[&str]) {
        assert_eq!(faults.len(), expected.len(), "{faults:?}");
        for (fault, expected) in faults.iter().zip(expected) {
            assert!(fault.contains(expected), "{fault}");
        }
    }

    #[test]
    fn a_source_is_faulted_for_a_crate_it_may_not_use_and_not_for_the_mention_of_one() {
        let domain = &MEMBERS[0];
        check(crate_faults(domain, "use serde::Serialize;\nuse std::fmt;"), &[]);
        check(crate_faults(domain, "\nuse tokio::sync::mpsc;"), &["line 2: uses tokio"]);
        check(
            crate_faults(domain, "use {serde::Serialize, diesel_migrations as m};"),
            &["uses diesel_migrations"],
        );
        check(
            crate_faults(domain, "fn f() { mercurio_pipeline::parse() }"),
            &["uses mercurio_pipeline"],
        );
        check(
            crate_faults(domain, "#[cfg(test)] mod tests { #[tokio::test] fn f() {} }"),
            &["uses tokio"],
        );
        check(
            crate_faults(domain, "/// Unlike tokio::spawn\nconst A: &str = \"use tokio::spawn\";"),
            &[],
        );
        check(crate_faults(domain, "use crate::tokio::x;"), &[]);
    }

    #[test]
    fn a_twin_is_faulted_for_naming_the_other() {
        check(twin_faults("postgres/events.rs", "use crate::sqlite::events;"), &["names sqlite"]);
        check(
            twin_faults("postgres/events.rs", "use super::super::{error, sqlite};"),
            &["names sqlite"],
        );
        check(twin_faults("sqlite.rs", "fn f() { crate::postgres::f() }"), &["names postgres"]);
        check(twin_faults("sqlite/mod.rs", "use diesel::sqlite::Sqlite; // not postgres::x"), &[]);
        check(twin_faults("pool.rs", "use crate::{postgres, sqlite};"), &[]);
    }

    #[test]
    fn the_store_is_named_by_start_up_and_tests_alone() {
        let naming = "use mercurio_storage::Pool;";
        check(store_faults("routes/track.rs", naming), &["names mercurio_storage"]);
        check(store_faults("lib.rs", naming), &["names mercurio_storage"]);
        check(store_faults("main.rs", naming), &[]);
        check(store_faults("startup/store.rs", naming), &[]);
        check(store_faults("routes/startup.rs", naming), &["names mercurio_storage"]);
        check(
            store_faults("lib.rs", "#[cfg(test)] mod tests { use mercurio_storage::Pool; }"),
            &[],
        );
    }

    const ROOT: &str = "//! The domain.\n//!\n//! Modules, lowest first; a module may use those before it:\n\
        //! [`ids`], [`event`],\n//! and `store`.\n//!\n//! Not `this`.\npub mod ids;\npub use event::{Draft, Valid as Good};\n";

    #[test]
    fn the_order_of_the_domain_is_the_one_that_its_documentation_lists() {
        assert_eq!(Domain::read(ROOT).order(), ["ids", "event", "store"]);
    }

    #[test]
    fn a_module_of_the_domain_is_faulted_for_using_one_above_it() {
        let domain = Domain::read(ROOT);
        check(domain.faults("store.rs", "use crate::ids::Id; use crate::Draft;"), &[]);
        check(domain.faults("ids.rs", "\nuse crate::event::Draft;"), &["line 2: ids uses event"]);
        check(
            domain.faults("ids.rs", "use crate::{store, Draft};"),
            &["ids uses store", "ids uses event"],
        );
        check(domain.faults("ids.rs", "fn f(good: crate::Good) {}"), &["ids uses event"]);
        check(domain.faults("ids.rs", "use super::event;"), &["ids uses event"]);
        check(domain.faults("ids/text.rs", "use super::event;"), &[]);
        check(domain.faults("ids/text.rs", "use super::super::event;"), &["ids uses event"]);
        check(domain.faults("ids/mod.rs", "use crate::store;"), &["ids uses store"]);
        check(domain.faults("ids.rs", "#[cfg(test)] mod tests { use crate::store; }"), &[]);
        check(domain.faults("lib.rs", "use crate::store;"), &[]);
        check(domain.faults("colour.rs", ""), &["module colour is not in the list"]);
    }
}
