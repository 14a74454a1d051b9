//! Progress of long commands.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Returns a counter on stderr, hidden unless stderr is a terminal.
pub(super) fn counter(what: &'static str) -> ProgressBar {
    // Cleared also after an error.
    let bar = ProgressBar::new_spinner().with_message(what).with_finish(ProgressFinish::AndClear);
    let style = ProgressStyle::with_template("{spinner} {human_pos} {msg} ({per_sec})");
    debug_assert!(style.is_ok(), "the template is invalid");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
