//! The `traceparent` header of W3C Trace Context, as received.
//!
//! <https://www.w3.org/TR/trace-context-2/#traceparent-header>. `tracestate` is not read.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// Length of a version 00 header in bytes: `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH: usize = 55;

/// A valid `traceparent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent(SpanContext);

impl TraceParent {
    /// Reads the header's value. Returns `None` for an invalid value; the standard then ignores the header.
    ///
    /// A version above `00` may continue after the flags with `-`; the rest is ignored.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        if !is_well_formed(value) {
            return None;
        }
        let context = TraceContextPropagator::new()
            .extract_with_context(&Context::new(), &TraceParentHeader(value));
        let span = context.span().span_context().clone();
        // Ids of zeros are invalid (W3C Trace Context, trace-id and parent-id).
        span.is_valid().then_some(Self(span))
    }

    /// Returns the trace id: 32 lower-case hex digits, not all zero.
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.0.trace_id().to_string()
    }

    /// Returns the id of the caller's span: 16 lower-case hex digits, not all zero.
    #[must_use]
    pub fn parent_id(&self) -> String {
        self.0.span_id().to_string()
    }

    /// Returns whether the caller may have recorded the trace.
    #[must_use]
    pub fn sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// The caller's span, as the parent of a span of ours. (The fuzz targets include this file without its users.)
    #[allow(dead_code)]
    pub(crate) fn span_context(&self) -> &SpanContext {
        &self.0
    }
}

/// The SDK is lenient: it takes ids of fewer digits, signs, capitals in the version, blanks around the value and a trailing
/// `-`. The standard calls all of them invalid.
fn is_well_formed(value: &str) -> bool {
    // Bytes, because a position in a `str` may lie within a character.
    let Some((head, tail)) = value.as_bytes().split_at_checked(LENGTH) else { return false };
    let is_head = head.iter().enumerate().all(|(index, byte)| match index {
        // The dashes after version, trace id and parent id.
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    // Version 00 ends after the flags; later versions may append fields after a dash.
    is_head
        && if head.starts_with(b"00") { tail.is_empty() } else { matches!(tail, [] | [b'-', ..]) }
}

struct TraceParentHeader<'a>(&'a str);

impl Extractor for TraceParentHeader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    #[test]
    fn valid_header_gives_its_ids_and_the_sampled_flag() {
        for (head, flags, tail, sampled) in [
            ("00", "01", "", true),
            ("00", "00", "", false),
            // Only the lowest bit means sampled; 02 is the random-trace-id flag of level 2.
            ("00", "03", "", true),
            ("00", "02", "", false),
            ("00", "ff", "", true),
            ("01", "01", "", true),
            ("01", "01", "-", true),
            // A later version may append any text after a dash.
            ("cc", "01", "-what-the-future-brings é", true),
            ("fe", "00", "-00", false),
        ] {
            let value = format!("{head}-{TRACE}-{PARENT}-{flags}{tail}");
            let parsed = TraceParent::parse(&value).unwrap_or_else(|| panic!("{value} is valid"));
            assert_eq!(
                (&*parsed.trace_id(), &*parsed.parent_id(), parsed.sampled()),
                (TRACE, PARENT, sampled),
                "{value}"
            );
        }
    }

    #[test]
    fn invalid_header_is_refused() {
        let zeros = "0".repeat(32);
        for value in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{PARENT}"),
            format!("00-{TRACE}-{PARENT}-0"),
            // Version 00 has nothing after the flags.
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-00"),
            format!("00-{TRACE}-{PARENT}-011"),
            // A later version separates new fields with a dash.
            format!("01-{TRACE}-{PARENT}-011"),
            format!("01-{TRACE}-{PARENT}-01.what"),
            // Version ff is forbidden.
            format!("ff-{TRACE}-{PARENT}-01"),
            // Hex digits are lower-case.
            format!("0G-{TRACE}-{PARENT}-01"),
            format!("FE-{TRACE}-{PARENT}-01"),
            // An id of zeros means "no id".
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
            format!("00-{TRACE}-{PARENT}-0A"),
            // Separators are dashes.
            format!("00_{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}_{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}_01"),
            // Blanks are not trimmed.
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01 "),
            // A character of two bytes keeps the length in bytes.
            format!("00-{}é-{PARENT}-01", &TRACE[..30]),
            // Parsers of numbers accept a sign.
            format!("00-+{}-{PARENT}-01", &TRACE[1..]),
            format!("+0-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-+1"),
            format!("00-{}-{PARENT}-01", &TRACE[1..]),
        ] {
            assert_eq!(TraceParent::parse(&value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn parser_never_panics(value in ".*") {
            let _ = TraceParent::parse(&value);
        }

        #[test]
        fn parser_never_panics_on_a_nearly_valid_header(value in "[0f]{2}-[0-9a-fé-]{30,34}-[0-9a-fA]{16}-0[01].?") {
            let _ = TraceParent::parse(&value);
        }
    }
}
