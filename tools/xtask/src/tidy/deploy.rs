//! Rules for deploy/: the settings that it names are settings, and every alert has its page in docs/runbooks/.

use std::collections::BTreeSet;

/// Settings that a file of deploy/ names and no code reads. A name in a comment counts too.
pub(crate) fn setting_faults(
    text: &str,
    known: &BTreeSet<String>,
    of_compose: &[&str],
) -> Vec<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let unknown = words.filter(|word| {
        word.strip_prefix("MERCURIO_").is_some_and(|rest| !rest.is_empty())
            && !known.contains(*word)
            && !of_compose.contains(word)
    });
    unknown.map(|word| format!("{word} is no setting")).collect()
}

/// Names of alerts with the pages that they lead to, in order.
fn alerts(text: &str) -> Vec<(&str, Option<&str>)> {
    let parts = text.split("- alert: ").skip(1);
    parts
        .map(|part| {
            let page = part.lines().find_map(|line| line.trim().strip_prefix("runbook: "));
            (part.lines().next().unwrap_or_default().trim(), page)
        })
        .collect()
}

/// Faults of the alerts, held against the names of the pages that are there.
pub(crate) fn alert_faults(text: &str, pages: &BTreeSet<String>) -> Vec<String> {
    let alerts = alerts(text);
    let mut faults = Vec::new();
    for (name, page) in &alerts {
        if *page != Some(format!("docs/runbooks/{name}.md").as_str()) {
            faults.push(format!("{name} does not lead to its page"));
        }
        if !pages.contains(*name) {
            faults.push(format!("{name} has no page in docs/runbooks"));
        }
    }
    let without = pages.iter().filter(|page| !alerts.iter().any(|(name, _)| name == page));
    faults.extend(without.map(|page| format!("docs/runbooks/{page}.md has no alert")));
    faults
}

#[test]
fn a_setting_that_no_code_reads_is_found_in_a_file_of_deploy() {
    let check = |text: &str, expected: usize| {
        let known = ["MERCURIO_ADDR".to_owned()].into();
        let faults = setting_faults(text, &known, &["MERCURIO_PORT"]);
        assert_eq!(faults.len(), expected, "{text}: {faults:?}");
    };
    check("MERCURIO_ADDR: 0.0.0.0:8080\n${MERCURIO_PORT:-8080}", 0);
    check("# MERCURIO_ADDRESS\n- MERCURIO_ADR=1", 2);
    check("mercurio_ready MERCURIO_", 0);
}

#[test]
fn an_alert_without_its_page_and_a_page_without_its_alert_are_found() {
    let check = |text: &str, pages: &[&str], expected: &[&str]| {
        let pages = pages.iter().map(|page| (*page).to_owned()).collect();
        assert_eq!(alert_faults(text, &pages), expected, "{text}");
    };
    let alert = "- alert: A\n  annotations:\n    runbook: docs/runbooks/A.md\n";
    check(alert, &["A"], &[]);
    check(alert, &["A", "B"], &["docs/runbooks/B.md has no alert"]);
    check(alert, &[], &["A has no page in docs/runbooks"]);
    check(
        "- alert: A\n- alert: B\n    runbook: docs/runbooks/B.md\n",
        &["A", "B"],
        &["A does not lead to its page"],
    );
}
