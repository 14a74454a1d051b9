//! The order of the domain's modules: each uses only those listed before it in `lib.rs`.

use super::finding::Violation;
use super::modules::Crate;

/// The words in front of the list, in the documentation of `lib.rs`.
const HEADING: &str = "Modules, lowest first";

/// Returns the imports that lead to a module listed later, and modules missing from the list.
pub(crate) fn violations(krate: &Crate, root_file: &str, root_text: &str) -> Vec<Violation> {
    let order = listed_order(root_text);
    let mut violations = Vec::new();
    for module in krate.top_modules.iter().filter(|module| rank(&order, module).is_none()) {
        let message = format!("module {module} is missing from the list \"{HEADING}\"");
        violations.push(Violation { file: root_file.to_owned(), line: None, message });
    }
    for import in &krate.imports {
        let (own, other) = (top(&import.module), top(&import.target_module));
        // The root has no rank: it may use every module, and every module may use it.
        if let (Some(own_rank), Some(other_rank)) = (rank(&order, own), rank(&order, other))
            && other_rank > own_rank
        {
            let message = format!("{own} uses {other}, which is above it");
            violations.push(Violation {
                file: import.file.clone(),
                line: Some(import.line),
                message,
            });
        }
    }
    violations
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

fn rank(order: &[String], module: &str) -> Option<usize> {
    order.iter().position(|listed| listed == module)
}

/// Returns the module names in code quotes, from the heading to the end of its paragraph.
fn listed_order(root_text: &str) -> Vec<String> {
    // The documentation of the file is at its top.
    let docs = root_text.lines().map_while(|line| line.strip_prefix("//!"));
    let list =
        docs.skip_while(|line| !line.contains(HEADING)).take_while(|line| !line.trim().is_empty());
    let list = list.collect::<Vec<_>>().join(" ");
    // Every second part is in quotes.
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::modules::tests::read;
    use super::*;

    const ROOT: &str = "//! The domain.\n//!\n//! Modules, lowest first; a module may use those before it:\n\
        //! [`ids`], [`event`],\n//! and `store`.\n//!\n//! Not `this`.\n\
        pub mod ids;\npub mod event;\npub mod store;\npub use event::{Draft, Valid as Good};\n";

    #[track_caller]
    fn check(file: &str, text: &str, expected: &[&str]) {
        let mut files = vec![
            ("lib.rs", ROOT),
            ("ids.rs", "pub struct Id;"),
            ("event.rs", "pub struct Draft; pub struct Valid;"),
            ("store.rs", "pub trait Store {}"),
        ];
        // The tested file replaces its default.
        files.retain(|entry| entry.0 != file);
        files.push((file, text));
        let found: Vec<String> =
            violations(&read(&files), "lib.rs", ROOT).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{file}: {text}");
    }

    #[test]
    fn order_is_the_one_in_the_documentation_of_the_root() {
        assert_eq!(listed_order(ROOT), ["ids", "event", "store"]);
    }

    #[test]
    fn module_that_uses_a_higher_one_is_reported() {
        let above_event = "ids.rs:1: ids uses event, which is above it";
        let above_store = "ids.rs:1: ids uses store, which is above it";
        check("store.rs", "use crate::ids::Id; use crate::Draft;", &[]);
        check(
            "ids.rs",
            "\nuse crate::event::Draft;",
            &["ids.rs:2: ids uses event, which is above it"],
        );
        check("ids.rs", "use crate::{store, Draft};", &[above_event, above_store]);
        check("ids.rs", "fn f(good: crate::Good) {}", &[above_event]);
        check("ids.rs", "use super::event;", &[above_event]);
        check("ids.rs", "mod text { use super::super::event; }", &[above_event]);
        // A local module may have the name of a higher one.
        check("ids.rs", "mod event { pub fn f() {} } mod text { use super::event; }", &[]);
        check("ids.rs", "#[cfg(test)] mod tests { use crate::store; }", &[]);
    }

    #[test]
    fn module_missing_from_the_list_is_reported() {
        let files =
            [("lib.rs", "mod colour; mod ids; use colour::f;"), ("colour.rs", ""), ("ids.rs", "")];
        let found = violations(&read(&files), "lib.rs", ROOT);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].to_string(),
            "lib.rs: module colour is missing from the list \"Modules, lowest first\""
        );
    }
}
