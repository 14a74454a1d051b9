//! Forms of a time that are not RFC 3339.

/// Returns the unit of a JSON number, or of a text of digits, that is a Unix time of the years 2001
/// to 2286; `None` for another text.
#[must_use]
pub fn unix_time_unit(text: &str) -> Option<&'static str> {
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    if whole.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    match whole.len() {
        10 => Some("seconds"),
        13 => Some("milliseconds"),
        16 => Some("microseconds"),
        19 => Some("nanoseconds"),
        _ => None,
    }
}

/// Returns what a text lacks to be an RFC 3339 time; `None` for a text of another form.
#[must_use]
pub fn time_hint(text: &str) -> Option<&'static str> {
    match unix_time_unit(text) {
        Some("seconds") => return Some("this looks like Unix time in seconds"),
        Some("milliseconds") => return Some("this looks like Unix time in milliseconds"),
        Some(_) => return Some("this looks like Unix time"),
        None => {}
    }
    // All forms below are ASCII.
    let (date, rest) = text.split_at_checked(10)?;
    if !has_form(date, "0000-00-00") {
        return None;
    }
    if rest.is_empty() {
        return Some("this is a date alone: add a time and an offset");
    }
    if rest.starts_with(' ') {
        return Some("put T between date and time");
    }
    let (time, rest) = rest.split_at_checked(9)?;
    if !has_form(time, "T00:00:00") {
        return None;
    }
    let fraction = rest.strip_prefix('.').unwrap_or(rest);
    let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
    match offset.strip_prefix(['+', '-', ' ']) {
        None if offset.is_empty() => Some("the offset is missing: add Z for UTC"),
        Some(_) if offset.starts_with(' ') => Some("write + as %2B in a URL, and no space"),
        Some(digits) if has_form(digits, "0000") || has_form(digits, "00") => {
            Some("write the offset as +00:00")
        }
        _ => None,
    }
}

/// Returns whether `text` equals `form`, in which `0` is any digit.
fn has_form(text: &str, form: &str) -> bool {
    let is_digit = |byte: u8, form: u8| form == b'0' && byte.is_ascii_digit();
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| byte == form || is_digit(byte, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_of_unix_time_is_recognised() {
        for (text, expected) in [
            ("1763805600", Some("seconds")),
            ("1763805600.123", Some("seconds")),
            ("1763805600123", Some("milliseconds")),
            ("1763805600123456", Some("microseconds")),
            ("1763805600123456789", Some("nanoseconds")),
            ("0", None),
            ("", None),
            (".5", None),
            ("-1763805600", None),
            ("20261122", None),
            ("1.7638056e9", None),
        ] {
            assert_eq!(unix_time_unit(text), expected, "{text}");
        }
    }

    #[test]
    fn missing_part_of_a_time_is_named() {
        for (text, expected) in [
            ("1763805600", Some("this looks like Unix time in seconds")),
            ("1763805600123", Some("this looks like Unix time in milliseconds")),
            ("2026-11-22", Some("this is a date alone: add a time and an offset")),
            ("2026-11-22 10:00:00", Some("put T between date and time")),
            ("2026-11-22T10:00:00", Some("the offset is missing: add Z for UTC")),
            ("2026-11-22T10:00:00.123", Some("the offset is missing: add Z for UTC")),
            ("2026-11-22T10:00:00+0100", Some("write the offset as +00:00")),
            ("2026-11-22T10:00:00.5-01", Some("write the offset as +00:00")),
            ("2026-11-22T10:00:00 01:00", Some("write + as %2B in a URL, and no space")),
            ("2026-11-22T10:00:00Z", None),
            ("yesterday", None),
            ("2026-11-22T10", None),
            ("äöüäöüäöüä", None),
            ("2026-11-2é", None),
            ("", None),
        ] {
            assert_eq!(time_hint(text), expected, "{text}");
        }
    }
}
