//! The coding `deflate`: zlib data, or raw deflate data, as some clients send it
//! (<https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2>).

use super::error::DecodeError;
use super::input::Input;
use super::steps::{self, Steps};
use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, BufRead, Read};

/// The content of one stream. Trailing bytes are an error, and so is a missing end, which the
/// readers of flate2 accept.
pub(super) struct InflateReader<'a> {
    input: Input<'a>,
    inflater: Decompress,
    ended: bool,
}

impl<'a> InflateReader<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        let inflater = Decompress::new(has_zlib_header(input.rest()));
        Self { input, inflater, ended: false }
    }
}

impl Steps for InflateReader<'_> {
    fn has_ended(&self) -> bool {
        self.ended
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let coded = self.input.fill_buf()?;
        let (read, written) = (self.inflater.total_in(), self.inflater.total_out());
        let status = self
            .inflater
            .decompress(coded, out, FlushDecompress::None)
            .map_err(|_| DecodeError::Invalid)?;
        let read = (self.inflater.total_in() - read) as usize;
        let written = (self.inflater.total_out() - written) as usize;
        self.input.consume(read);
        match status {
            Status::StreamEnd if self.input.is_empty() => self.ended = true,
            // Trailing bytes.
            Status::StreamEnd => return Err(DecodeError::Invalid.into()),
            // No progress: the data is truncated.
            Status::Ok | Status::BufError if read == 0 && written == 0 => {
                return Err(DecodeError::Invalid.into());
            }
            Status::Ok | Status::BufError => {}
        }
        Ok(written)
    }
}

impl Read for InflateReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        steps::read(self, out)
    }
}

/// <https://www.rfc-editor.org/rfc/rfc1950#section-2.2>
fn has_zlib_header(data: &[u8]) -> bool {
    match data {
        [method, flags, ..] => {
            // Method 8 is deflate, and the check bits make the pair a multiple of 31. Raw deflate
            // begins so only with non-zero padding before a stored block; encoders pad with zeros.
            method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}
