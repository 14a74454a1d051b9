//! Progress of long commands, on stderr and only on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Returns a counter. `expected` is its last number, as far as it is known.
pub(super) fn counter(what: &'static str, expected: Option<u64>) -> ProgressBar {
    let (bar, template) = match expected {
        Some(expected) => {
            (ProgressBar::new(expected), "{spinner} {human_pos} of {human_len} {msg} ({per_sec})")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {human_pos} {msg} ({per_sec})"),
    };
    styled(bar.with_message(what), template)
}

/// Returns a line of text that moves by itself, for a statement that takes long.
pub(super) fn spinner(what: &'static str) -> ProgressBar {
    let bar = styled(ProgressBar::new_spinner().with_message(what), "{spinner} {msg}");
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Returns a countdown of whole seconds.
pub(super) fn countdown(what: &'static str) -> ProgressBar {
    styled(ProgressBar::new_spinner().with_message(what), "{spinner} {msg}: {pos} s")
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    // Cleared also after an error.
    let bar = bar.with_finish(ProgressFinish::AndClear);
    let style = ProgressStyle::with_template(template);
    debug_assert!(style.is_ok(), "the template is invalid");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
