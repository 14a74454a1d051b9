//! Rules for Markdown: relative links lead to files and headings, and the index of `docs/` names
//! every page.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;

/// The index of the documentation.
pub(crate) const INDEX: &str = "docs/README.md";

/// A line of a page, with its number from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'t> {
    pub(crate) number: usize,
    pub(crate) text: &'t str,
    /// The language of its block; empty outside of blocks.
    pub(crate) language: &'t str,
    is_block: bool,
}

/// Returns the lines of a page without those of fences.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut block = None;
    text.lines().enumerate().filter_map(move |(index, text)| {
        if let Some(language) = text.trim_start().strip_prefix("```") {
            block = if block.is_some() { None } else { Some(language) };
            return None;
        }
        let (language, is_block) = (block.unwrap_or_default(), block.is_some());
        Some(Line { number: index + 1, text, language, is_block })
    })
}

/// Returns the lines of a page outside of blocks.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = Line<'_>> {
    lines(text).filter(|line| !line.is_block)
}

/// Returns the lines of a page inside of blocks.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = Line<'_>> {
    lines(text).filter(|line| line.is_block)
}

/// A link, with its line.
#[derive(Debug, PartialEq, Eq)]
struct Link<'t> {
    line: usize,
    /// Empty for a link within the page.
    target: &'t str,
    anchor: Option<&'t str>,
}

/// Checks that the relative links of a page lead to files or folders, and their anchors to
/// headings. All names are relative to the root.
pub(crate) fn link_findings(
    page: &str,
    text: &str,
    texts: &BTreeMap<String, String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Link { line, target, anchor } in relative_links(text) {
        let path = if target.is_empty() { Some(page.to_owned()) } else { resolve(page, target) };
        let Some(path) = path.filter(|path| path == page || exists(path, texts)) else {
            findings.push(Finding::at(line, format!("links {target}, which does not exist")));
            continue;
        };
        let linked = if path == page { Some(text) } else { texts.get(&path).map(String::as_str) };
        if let Some(anchor) = anchor
            && !linked.is_some_and(|text| anchors(text).contains(anchor))
        {
            findings.push(Finding::at(
                line,
                format!("links the heading #{anchor} of {path}, which has none"),
            ));
        }
    }
    findings
}

/// Checks that the index links every page below `docs/`.
pub(crate) fn index_findings(index: &str, texts: &BTreeMap<String, String>) -> Vec<Finding> {
    let linked: BTreeSet<String> =
        relative_links(index).iter().filter_map(|link| resolve(INDEX, link.target)).collect();
    let mut findings = Vec::new();
    for page in texts.keys().filter(|file| file.starts_with("docs/") && file.ends_with(".md")) {
        if page != INDEX && !linked.contains(page) {
            findings.push(Finding::whole(format!("does not link {page}")));
        }
    }
    findings
}

/// Returns the links without a scheme, outside code.
fn relative_links(text: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for line in prose(text) {
        // Every second part is code.
        for part in line.text.split('`').step_by(2) {
            for rest in part.split("](").skip(1) {
                // A blank separates a title from the target.
                let target = rest.split([')', ' ']).next().unwrap_or_default();
                // A scheme leads out of the repository.
                if !target.contains("://") && !target.starts_with("mailto:") {
                    let (target, anchor) = match target.split_once('#') {
                        Some((target, anchor)) => (target, Some(anchor)),
                        None => (target, None),
                    };
                    links.push(Link { line: line.number, target, anchor });
                }
            }
        }
    }
    links
}

/// Returns the anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text) {
        let Some((hashes, heading)) = line.text.split_once(' ') else { continue };
        if hashes.is_empty() || !hashes.bytes().all(|byte| byte == b'#') {
            continue;
        }
        let slug: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
            .map(|char| if char == ' ' { '-' } else { char })
            .collect();
        // The second heading of a name gets a number.
        let mut anchor = slug.clone();
        for number in 1.. {
            if anchors.insert(anchor) {
                break;
            }
            anchor = format!("{slug}-{number}");
        }
    }
    anchors
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

fn exists(path: &str, texts: &BTreeMap<String, String>) -> bool {
    // A folder exists if it has a file.
    let folder = format!("{path}/");
    texts.contains_key(path) || texts.keys().any(|file| file.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages with the headings "Part" and "A part, `b`: c".
    fn texts(pages: &[&str]) -> BTreeMap<String, String> {
        let text = "# Part\n```\n# No heading\n```\n## A part, `b`: c\n## Part\n";
        pages.iter().map(|page| ((*page).to_owned(), text.to_owned())).collect()
    }

    #[track_caller]
    fn check_links(text: &str, expected: &[Option<usize>]) {
        let texts = texts(&["README.md", "docs/a.md", "docs/adr/1.md"]);
        let findings = link_findings("docs/a.md", text, &texts);
        let lines: Vec<Option<usize>> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{text}: {findings:?}");
    }

    #[test]
    fn broken_link_is_found_but_code_and_urls_are_not_links() {
        check_links("[a](a.md) [b](adr/1.md#part) [c](../README.md) [d](adr/) [e](./adr)", &[]);
        check_links("[a](b.md)", &[Some(1)]);
        check_links("\n[a](a.md), [b](../adr/1.md), [c](../../x)", &[Some(2), Some(2)]);
        check_links("[a](https://example.com/b.md#x) [c](mailto:a@example.com)", &[]);
        check_links("```\n[a](b.md)\n```\n[a](c.md)", &[Some(4)]);
        check_links("`[a](b.md)` [`a`](b.md)", &[Some(1)]);
        check_links("![image](b.png \"title\")", &[Some(1)]);
    }

    #[test]
    fn link_to_a_missing_heading_is_found() {
        check_links("[a](adr/1.md#part) [b](adr/1.md#a-part-b-c) [c](adr/1.md#part-1)", &[]);
        check_links("[a](adr/1.md#no-heading)\n[b](adr/1.md#part-2)", &[Some(1), Some(2)]);
        check_links("# Here\n[a](#here) [b](a.md#here)\n[c](#part)", &[Some(3)]);
        // A folder has no headings.
        check_links("[a](adr/#part)", &[Some(1)]);
    }

    #[track_caller]
    fn check_index(index: &str, expected: &[&str]) {
        let texts = texts(&["README.md", "docs/README.md", "docs/a.md", "docs/adr/1.md"]);
        let findings = index_findings(index, &texts);
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
