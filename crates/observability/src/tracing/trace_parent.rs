//! The `traceparent` header of W3C Trace Context (levels 1 and 2), read.
//!
//! <https://www.w3.org/TR/trace-context-2/#traceparent-header>. Used by whoever receives a request, to put the caller's
//! trace id into the logs. Not here: `tracestate`, making ids, sending the header on.

/// Where the two ids start and end in the header's text, in bytes: `00-<32 hex>-<16 hex>-<2 hex>`.
const TRACE_ID: std::ops::Range<usize> = 3..35;
const PARENT_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;
const LENGTH: usize = 55;

/// A valid `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: String,
    parent_id: String,
    flags: u8,
}

impl TraceParent {
    /// Reads the header's value; `None` where it is not valid, and then the header is to be ignored.
    ///
    /// Hex digits are lower-case; ids of only zeros and version `ff` are invalid. Version `00` is exactly 55 characters;
    /// a higher version may go on after them with a `-`, and what follows is ignored, as the standard asks.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let bytes = value.as_bytes();
        let (head, tail) = bytes.split_at_checked(LENGTH)?;
        let version = hex_byte(&head[..2])?;
        let length_fits = match version {
            0xff => false,
            0 => tail.is_empty(),
            _ => tail.first().is_none_or(|next| *next == b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        if !length_fits || !dashes {
            return None;
        }
        Some(Self {
            trace_id: id(&value[..LENGTH], TRACE_ID)?,
            parent_id: id(&value[..LENGTH], PARENT_ID)?,
            flags: hex_byte(&head[FLAGS])?,
        })
    }

    /// The id of the whole trace: 32 lower-case hex digits, not all zero.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    /// The id of the caller's span: 16 lower-case hex digits, not all zero.
    #[must_use]
    pub fn parent_id(&self) -> &str {
        &self.parent_id
    }

    /// True if the caller may have recorded the trace.
    #[must_use]
    pub fn sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

fn id(value: &str, range: std::ops::Range<usize>) -> Option<String> {
    let id = value.get(range)?;
    let valid =
        id.bytes().all(|digit| nibble(digit).is_some()) && id.bytes().any(|digit| digit != b'0');
    valid.then(|| id.to_owned())
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    match digits {
        [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
        _ => None,
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn a_valid_header_gives_its_ids_and_the_sampled_flag() {
        for (head, flags, tail, sampled) in [
            ("00", "01", "", true),
            ("00", "00", "", false),
            ("00", "03", "", true),
            ("00", "02", "", false),
            ("00", "ff", "", true),
            ("01", "01", "", true),
            ("01", "01", "-", true),
            ("cc", "01", "-what-the-future-brings é", true),
            ("fe", "00", "-00", false),
        ] {
            let value = format!("{head}-{TRACE}-{PARENT}-{flags}{tail}");
            let parsed = TraceParent::parse(&value).unwrap_or_else(|| panic!("{value} is valid"));
            assert_eq!(
                (parsed.trace_id(), parsed.parent_id(), parsed.sampled()),
                (TRACE, PARENT, sampled),
                "{value}"
            );
        }
    }

    #[test]
    fn what_the_standard_calls_invalid_is_refused() {
        let zeros = "0".repeat(32);
        for value in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-0"),
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-00"),
            format!("00-{TRACE}-{PARENT}-011"),
            format!("01-{TRACE}-{PARENT}-011"),
            format!("01-{TRACE}-{PARENT}-01.what"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0G-{TRACE}-{PARENT}-01"),
            format!("FE-{TRACE}-{PARENT}-01"),
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
            format!("00-{TRACE}-{PARENT}-0A"),
            format!("00_{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}_{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}_01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01 "),
            format!("00-{}é-{PARENT}-01", &TRACE[..30]),
        ] {
            assert_eq!(TraceParent::parse(&value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(value in ".*") {
            let _ = TraceParent::parse(&value);
        }

        #[test]
        fn no_text_of_the_right_length_makes_the_parser_panic(value in "[0f]{2}-[0-9a-fé-]{30,34}-[0-9a-fA]{16}-0[01].?") {
            let _ = TraceParent::parse(&value);
        }
    }
}
