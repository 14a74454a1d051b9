//! Rules for Markdown: relative links lead to files, and the index of `docs/` names every page.

use std::collections::BTreeSet;

use super::finding::Finding;

/// The index of the documentation.
pub(crate) const INDEX: &str = "docs/README.md";

/// A link, with its line.
#[derive(Debug, PartialEq, Eq)]
struct Link<'t> {
    line: usize,
    target: &'t str,
}

/// Checks that the relative links of a page lead to files or folders. All names are relative to the
/// root.
pub(crate) fn link_findings(page: &str, text: &str, files: &BTreeSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Link { line, target } in relative_links(text) {
        if !resolve(page, target).is_some_and(|path| exists(&path, files)) {
            findings.push(Finding::at(line, format!("links {target}, which does not exist")));
        }
    }
    findings
}

/// Checks that the index links every page below `docs/`.
pub(crate) fn index_findings(index: &str, files: &BTreeSet<&str>) -> Vec<Finding> {
    let linked: BTreeSet<String> =
        relative_links(index).iter().filter_map(|link| resolve(INDEX, link.target)).collect();
    let mut findings = Vec::new();
    for page in files.iter().filter(|file| file.starts_with("docs/") && file.ends_with(".md")) {
        if *page != INDEX && !linked.contains(*page) {
            findings.push(Finding::whole(format!("does not link {page}")));
        }
    }
    findings
}

/// Returns the links without a scheme, outside code, without their anchors. A link within the page
/// has no target.
fn relative_links(text: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    let mut in_fence = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        // Every second part is code.
        for part in line.split('`').step_by(2) {
            for rest in part.split("](").skip(1) {
                // A blank separates a title from the target.
                let target = rest.split([')', ' ']).next().unwrap_or_default();
                let target = target.split('#').next().unwrap_or_default();
                // A scheme leads out of the repository.
                if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                    links.push(Link { line: index + 1, target });
                }
            }
        }
    }
    links
}

/// Returns the path from the root, or `None` above the root.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    // A link is relative to the folder of its page.
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn exists(path: &str, files: &BTreeSet<&str>) -> bool {
    // A folder exists if it has a file.
    let folder = format!("{path}/");
    files.contains(path) || files.iter().any(|file| file.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_links(text: &str, expected: &[Option<usize>]) {
        let files = ["README.md", "docs/a.md", "docs/adr/1.md"].into();
        let findings = link_findings("docs/a.md", text, &files);
        let lines: Vec<Option<usize>> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{text}: {findings:?}");
    }

    #[test]
    fn broken_link_is_found_but_code_and_urls_are_not_links() {
        check_links("[a](a.md) [b](adr/1.md#part) [c](../README.md) [d](adr/) [e](./adr)", &[]);
        check_links("[a](b.md)", &[Some(1)]);
        check_links("\n[a](a.md), [b](../adr/1.md), [c](../../x)", &[Some(2), Some(2)]);
        check_links("[a](https://example.com/b.md) [b](#part) [c](mailto:a@example.com)", &[]);
        check_links("```\n[a](b.md)\n```\n[a](c.md)", &[Some(4)]);
        check_links("`[a](b.md)` [`a`](b.md)", &[Some(1)]);
        check_links("![image](b.png \"title\")", &[Some(1)]);
    }

    #[track_caller]
    fn check_index(index: &str, expected: &[&str]) {
        let files = ["README.md", "docs/README.md", "docs/a.md", "docs/adr/1.md"].into();
        let findings = index_findings(index, &files);
        let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, expected, "{index}");
    }

    #[test]
    fn page_missing_from_the_index_is_found() {
        check_index("[a](a.md) [1](adr/1.md)", &[]);
        check_index("[a](a.md) `adr/1.md`", &["does not link docs/adr/1.md"]);
        check_index("", &["does not link docs/a.md", "does not link docs/adr/1.md"]);
    }
}
