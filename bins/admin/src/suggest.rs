//! Finds the word that was probably meant.

use mercurio_domain::hints::nearest;

/// Returns the candidate that `word` is a misspelling or the beginning of. Case is ignored.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let candidates: Vec<_> = candidates.into_iter().collect();
    // Options of two characters are all `--`.
    let beginning = Some(word.to_lowercase()).filter(|word| word.len() > 2);
    nearest(word, candidates.iter().copied()).or_else(|| {
        let beginning = beginning?;
        candidates.into_iter().find(|candidate| candidate.to_lowercase().starts_with(&beginning))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typo_and_beginning_are_found_but_not_other_words() {
        let commands = ["tenant", "workspace", "key", "events", "provision", "list", "limits"];
        for (word, meant) in [
            ("tenants", Some("tenant")),
            ("Tennat", Some("tenant")),
            ("lst", Some("list")),
            ("event", Some("events")),
            ("prov", Some("provision")),
            ("keys", Some("key")),
            ("destroy", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(closest(word, commands), meant, "{word}");
        }
        assert_eq!(closest("--scop", ["--scopes", "--tenant"]), Some("--scopes"));
        assert_eq!(closest("--", ["--scopes", "--tenant"]), None);
    }
}
