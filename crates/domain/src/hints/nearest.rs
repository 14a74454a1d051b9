//! The known name nearest to an unknown one.

use strsim::osa_distance;

/// Longer names are no typing errors, and comparing them would cost a hostile client's time.
const MAX_NAME_BYTES: usize = 48;

/// Returns the known name nearest to `name`: the same but for case and separators, or with one
/// typing error in a short name and two in a longer one.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let letters = Letters::of(name);
    // One error in three characters: with more, the name is another word.
    let mut limit = (letters.count / 3).min(2);
    let mut best = None;
    for candidate in known {
        if !letters.may_be_within(limit, &Letters::of(candidate)) {
            continue;
        }
        let (Some(name), Some(folded)) = (folded(name), folded(candidate)) else { continue };
        // Swapped neighbors are one error, the most frequent one.
        let distance = osa_distance(&name, &folded);
        // The first of equally near names stays.
        if distance < limit || (distance == limit && best.is_none()) {
            best = Some(candidate);
            limit = distance;
        }
    }
    best
}

/// The letters of a name. Most pairs of names are known to be far apart by these alone, which keeps
/// a body full of unknown names cheap.
struct Letters {
    count: usize,
    /// One bit for each letter of ASCII in it, one for all digits, and one for all other characters.
    kinds: u32,
}

impl Letters {
    fn of(name: &str) -> Self {
        let mut letters = Self { count: 0, kinds: 0 };
        for byte in name.bytes() {
            let bit = match byte | 0x20 {
                letter @ b'a'..=b'z' => letter - b'a',
                b'0'..=b'9' => 26,
                // Separators, and the second to last byte of other characters.
                _ if byte < 0xC0 => continue,
                _ => 27,
            };
            letters.count += 1;
            letters.kinds |= 1 << bit;
        }
        letters
    }

    /// Returns false if the names have a distance over `limit`. An error changes the count by one
    /// at most, and the kinds by two.
    fn may_be_within(&self, limit: usize, other: &Self) -> bool {
        let changed_kinds = (self.kinds ^ other.kinds).count_ones() as usize;
        self.count.abs_diff(other.count) <= limit && changed_kinds <= 2 * limit
    }
}

/// Returns `name` in lower case and without separators: `userId`, `user-id` and `$user_id` are one
/// name. `None` if nothing is left, or for a name over 48 bytes.
#[must_use]
pub fn folded(name: &str) -> Option<String> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let mut folded = String::with_capacity(name.len());
    for character in name.chars().filter(|character| character.is_alphanumeric()) {
        if character.is_ascii() {
            folded.push(character.to_ascii_lowercase());
        } else {
            folded.extend(character.to_lowercase());
        }
    }
    (!folded.is_empty()).then_some(folded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: [&str; 5] = ["event_name", "user_id", "type", "limit", "trait"];

    #[test]
    fn typing_errors_and_other_spellings_are_found() {
        for (name, expected) in [
            ("eventName", Some("event_name")),
            ("EVENT-NAME", Some("event_name")),
            ("$user_id", Some("user_id")),
            ("usre_id", Some("user_id")),
            ("evnet_nam", Some("event_name")),
            ("limits", Some("limit")),
            ("tpye", Some("type")),
            ("traits", Some("trait")),
            ("lim", None),
            ("ty", None),
            ("", None),
            ("__", None),
            ("price", None),
        ] {
            assert_eq!(nearest(name, KNOWN), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn letters_never_exclude_a_near_name(name in "[a-e_0-9]{1,9}", other in "[a-e_0-9]{1,9}") {
            if let (Some(a), Some(b)) = (folded(&name), folded(&other)) {
                let distance = osa_distance(&a, &b);
                prop_assert!(Letters::of(&name).may_be_within(distance, &Letters::of(&other)));
            }
        }
    }

    #[test]
    fn long_name_is_not_compared() {
        assert_eq!(nearest(&format!("user_id{}", "_".repeat(MAX_NAME_BYTES)), KNOWN), None);
        assert_eq!(nearest(&"é".repeat(10_000), KNOWN), None);
    }

    #[test]
    fn nearest_of_several_wins() {
        assert_eq!(nearest("form", ["to", "from", "for"]), Some("from"));
        assert_eq!(nearest("user_ids", ["user_idx", "user_id"]), Some("user_idx"));
    }
}
