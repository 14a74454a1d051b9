//! Rules for `deploy/`: it names known settings only, every alert has a runbook, and every runbook
//! an alert.

use std::collections::BTreeSet;

use super::finding::Finding;

/// Variables of deploy/compose.yml, read by Compose itself.
const COMPOSE_VARIABLES: &[&str] =
    &["MERCURIO_VERSION", "MERCURIO_PORT", "MERCURIO_MANAGEMENT_PORT", "MERCURIO_BALANCED_PORT"];

/// Reports settings unknown to the code, in comments as well.
pub(crate) fn setting_findings(text: &str, settings: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // Words, not YAML: comments and `${…}` contain names too.
        for word in line.split(|char: char| !char.is_ascii_alphanumeric() && char != '_') {
            let is_name = word.strip_prefix("MERCURIO_").is_some_and(|rest| !rest.is_empty());
            if is_name && !settings.contains(word) && !COMPOSE_VARIABLES.contains(&word) {
                findings.push(Finding::at(index + 1, format!("no code reads {word}")));
            }
        }
    }
    findings
}

/// An alert, with its link.
struct Alert<'t> {
    name: &'t str,
    line: usize,
    runbook: Option<&'t str>,
}

fn alerts(text: &str) -> Vec<Alert<'_>> {
    let mut alerts: Vec<Alert<'_>> = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        // Each alert is an item of a list, so no YAML parser is needed.
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push(Alert { name, line: index + 1, runbook: None });
        } else if let (Some(page), Some(alert)) =
            (line.strip_prefix("runbook: "), alerts.last_mut())
        {
            alert.runbook.get_or_insert(page);
        }
    }
    alerts
}

/// Compares the alerts with the names of the runbooks.
pub(crate) fn alert_findings(text: &str, pages: &BTreeSet<&str>) -> Vec<Finding> {
    let alerts = alerts(text);
    let mut findings = Vec::new();
    for Alert { name, line, runbook } in &alerts {
        if *runbook != Some(format!("docs/runbooks/{name}.md").as_str()) {
            findings.push(Finding::at(*line, format!("{name} does not link its runbook")));
        }
        if !pages.contains(name) {
            findings.push(Finding::at(*line, format!("{name} has no page in docs/runbooks")));
        }
    }
    for page in pages.iter().filter(|page| !alerts.iter().any(|alert| alert.name == **page)) {
        findings.push(Finding::whole(format!("docs/runbooks/{page}.md has no alert")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_settings(text: &str, expected: usize) {
        let findings = setting_findings(text, &["MERCURIO_ADDR".to_owned()].into());
        assert_eq!(findings.len(), expected, "{text}: {findings:?}");
    }

    #[test]
    fn setting_of_no_code_is_found_in_a_file_of_deploy() {
        check_settings("MERCURIO_ADDR: 0.0.0.0:8080\n${MERCURIO_PORT:-8080}", 0);
        check_settings("# MERCURIO_ADDRESS\n- MERCURIO_ADR=1", 2);
        // Lower case is a metric, and the prefix alone is no setting.
        check_settings("mercurio_ready MERCURIO_", 0);
    }

    #[track_caller]
    fn check_alerts(text: &str, pages: &[&str], expected: &[&str]) {
        let findings = alert_findings(text, &pages.iter().copied().collect());
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, expected, "{text}");
    }

    #[test]
    fn alert_without_runbook_and_runbook_without_alert_are_found() {
        let alert = "- alert: A\n  annotations:\n    runbook: docs/runbooks/A.md\n";
        check_alerts(alert, &["A"], &[]);
        check_alerts(alert, &["A", "B"], &["docs/runbooks/B.md has no alert"]);
        check_alerts(alert, &[], &["A has no page in docs/runbooks"]);
        check_alerts(
            "- alert: A\n- alert: B\n    runbook: docs/runbooks/B.md\n",
            &["A", "B"],
            &["A does not link its runbook"],
        );
    }
}
