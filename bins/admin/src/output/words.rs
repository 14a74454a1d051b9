//! Headings in plain words, and the colours of states.

/// Returns the heading of a member: `created_at` becomes `Created at`.
pub(super) fn heading(member: &str) -> String {
    let mut heading = String::with_capacity(member.len());
    for (index, word) in member.split('_').enumerate() {
        if index > 0 {
            heading.push(' ');
        }
        match word {
            "id" => heading.push_str("ID"),
            "api" => heading.push_str("API"),
            word if index == 0 => {
                heading.extend(word.chars().take(1).flat_map(char::to_uppercase));
                heading.extend(word.chars().skip(1));
            }
            word => heading.push_str(word),
        }
    }
    heading
}

/// How text is emphasized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Bold,
    Green,
    Yellow,
    Red,
}

impl Colour {
    pub(super) fn paint(self, text: &str, on: bool) -> String {
        // ECMA-48, "select graphic rendition".
        let code = match self {
            Self::Bold => 1,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
        };
        if on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Returns the colour of a state; `None` if the member holds no state, or an unknown one.
pub(super) fn state_colour(heading: &str, state: &str) -> Option<Colour> {
    if !["Status", "State", "Outcome"].contains(&heading) {
        return None;
    }
    Some(match state {
        "active" | "ok" | "done" | "current" => Colour::Green,
        "warning" | "started" | "suspended" | "expired" | "compatible" => Colour::Yellow,
        "failed" | "revoked" | "deleting" | "older" | "newer" => Colour::Red,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heading_is_a_member_in_plain_words() {
        for (member, expected) in [
            ("created_at", "Created at"),
            ("id", "ID"),
            ("tenant_id", "Tenant ID"),
            ("api_keys", "API keys"),
            ("name", "Name"),
        ] {
            assert_eq!(heading(member), expected);
        }
    }
}
