//! Finds the word that was probably meant.

/// Returns the candidate nearest to `word`, unless all differ too much. Case is ignored.
pub(crate) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    // One edit in three characters: `lst` is a typo of `list`, and `foo` is none of `audit`.
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn distance(word: &str, candidate: &str) -> usize {
    // An unfinished word, such as `prov`. Options of two characters are all `--`.
    if word.len() > 2 && candidate.starts_with(word) {
        return 1;
    }
    // Two swapped characters count as one edit.
    strsim::osa_distance(word, candidate)
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
