//! Rules for the text of pages: blocks to paste have no comments, and the words people search for
//! lead to a page.

use super::docs::{blocks, prose};
use super::finding::Finding;

/// Words of readers who do not know our own terms yet.
const SEARCHED: &[&str] = &[
    "backfill",
    "browser",
    "CORS",
    "Docker",
    "GDPR",
    "Helm",
    "Kafka",
    "macOS",
    "mobile",
    "OpenTelemetry",
    "rate limit",
    "SDK",
    "Segment",
    "throttling",
    "TLS",
    "webhook",
    "Windows",
];
/// Languages of blocks to paste into a shell.
const SHELLS: [&str; 2] = ["sh", "console"];

/// Checks that blocks of shell have no comments: zsh takes them for arguments.
pub(crate) fn paste_findings(text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in blocks(text).filter(|line| SHELLS.contains(&line.language)) {
        if line.text.trim_start().starts_with('#') || line.text.contains(" # ") {
            let message =
                "has a comment in a block of shell, which zsh does not skip: move it into the text";
            findings.push(Finding::at(line.number, message));
        }
    }
    findings
}

/// Checks that the text of a page mentions each searched word.
pub(crate) fn search_findings<'t>(pages: impl IntoIterator<Item = &'t str>) -> Vec<Finding> {
    let pages: Vec<String> = pages
        .into_iter()
        .map(|page| prose(page).map(|line| line.text.to_lowercase() + "\n").collect())
        .collect();
    let is_missing = |word: &&&str| !pages.iter().any(|page| page.contains(&word.to_lowercase()));
    let missing = SEARCHED.iter().filter(is_missing);
    missing
        .map(|word| Finding::whole(format!("no page mentions {word}, which people search for")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_pastes(text: &str, expected: &[usize]) {
        let lines: Vec<_> =
            paste_findings(text).iter().filter_map(|finding| finding.line).collect();
        assert_eq!(lines, expected, "{text}");
    }

    #[test]
    fn comment_in_a_block_of_shell_is_found() {
        check_pastes("# Heading\n```sh\ncurl a#b 's#a#b#'\n```\n", &[]);
        check_pastes("```sh\n# one\n  # two\nls # three\n```\n", &[2, 3, 4]);
        check_pastes("- item\n  ```console\n  ls # one\n  ```\n", &[3]);
        check_pastes("```yaml\na: b # c\n```\n", &[]);
    }

    #[test]
    fn searched_word_counts_in_text_but_not_in_blocks() {
        let all = SEARCHED.join(", ");
        assert_eq!(search_findings([all.as_str()]), []);
        let [first, rest] = [SEARCHED[0], &SEARCHED[1..].join("\n")];
        let block = format!("```\n{first}\n```\n");
        assert_eq!(search_findings([rest, &block]).len(), 1);
    }
}
