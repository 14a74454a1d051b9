//! Formats an error with its causes, for log lines:
//! `error!(log, "cannot store"; keys::ERROR => chain(&error))`.
//!
//! Each error's `Display` describes its own layer only. Clients never see this text.

use std::error::Error;
use std::fmt::Write;

/// Returns an error and its sources, outermost first: `a: b: c`.
///
/// Some libraries append the source to their own text; it is not repeated then.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let mut texts = texts.iter().rev();
        let innermost = Layer { text: texts.next().unwrap(), source: None };
        texts.fold(innermost, |source, text| Layer { text, source: Some(Box::new(source)) })
    }

    #[test]
    fn chain_reads_from_the_outermost_error_to_its_cause() {
        for (texts, expected) in [
            (&["alone"][..], "alone"),
            (&["a", "b", "c"], "a: b: c"),
            (&["cannot connect: refused", "refused"], "cannot connect: refused"),
            (&["a: b", "b", "c"], "a: b: c"),
        ] {
            assert_eq!(chain(&layers(texts)), expected);
        }
    }
}
