//! An error and its causes as one text: the place where every logged error is printed.
//!
//! Used as `error!(log, "cannot store"; keys::ERROR => chain(&error))`. Each error's `Display` tells its own layer; the
//! rest of the story is put together here. Not here: what a client is told.

use std::error::Error;
use std::fmt::Write;

/// Prints an error and its sources, outermost first: `a: b: c`.
///
/// A source whose text the error above it ends with (as some libraries' errors do) isn't repeated.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            // Writing to a String does not fail.
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
    fn a_chain_reads_from_the_outermost_error_to_its_cause() {
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
