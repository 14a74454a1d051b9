//! Decoders that work in steps, as readers.

use std::io;

/// A decoder that may consume input without any output.
pub(super) trait Steps {
    /// Whether the content is complete.
    fn has_ended(&self) -> bool;

    /// Decodes the next piece of input. Returns the bytes written, also 0 before the end.
    fn step(&mut self, out: &mut [u8]) -> io::Result<usize>;
}

/// Reads like [`io::Read`]: 0 means the end.
pub(super) fn read(decoder: &mut impl Steps, out: &mut [u8]) -> io::Result<usize> {
    while !decoder.has_ended() && !out.is_empty() {
        let written = decoder.step(out)?;
        if written > 0 {
            return Ok(written);
        }
    }
    Ok(0)
}
