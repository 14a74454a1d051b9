//! Decompression with limits on the output, the memory and the CPU time, independent of any size in
//! the data itself.
//!
//! Truncated data and trailing bytes are [`DecodeError::Invalid`]. A body of 256 KiB takes at most
//! 8 MiB and 10 ms, whatever it contains; larger limits take proportionally more. Decoding blocks.
//! Not here: choosing the coding, reading from the network, threads.

mod brotli_reader;
mod cpu;
mod error;
mod inflate_reader;
mod input;
mod reference;
mod steps;

use brotli_reader::BrotliReader;
use cpu::CpuBudget;
pub(super) use error::DecodeError;
use flate2::bufread::GzDecoder;
use inflate_reader::InflateReader;
use input::{Counted, Input};
use std::cell::Cell;
use std::io::Read;

/// Maximum window of a zstd frame, as a power of two: 8 MiB, the maximum in HTTP
/// (<https://www.rfc-editor.org/rfc/rfc9659>).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The maximum block of zstd: a decoder reads it whole before it writes
/// (<https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.2.4>).
const ZSTD_BLOCK_BYTES: usize = 128 * 1024;

/// Maximum gzip members or zstd frames. Enough for clients that compress each event of a batch on
/// its own; each costs a decoder of up to 100 KiB.
const MAX_MEMBERS: usize = 64;

/// A supported content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

impl Coding {
    /// Returns the name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }

    /// Returns the coding of `data` by its first bytes. `named` is the coding in the headers: Brotli
    /// has no first bytes of its own and may begin as any other, and JSON was decompressed on its way.
    pub(super) fn of_bytes(data: &[u8], named: Option<Self>) -> Option<Self> {
        match data {
            _ if named == Some(Self::Brotli) => named,
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // The header of zlib (RFC 1950, section 2.2), with any level.
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Self::Deflate),
            [b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n', ..] => None,
            _ => named,
        }
    }

    /// Decodes all of `data`. Allocates at most twice `limit` for the result, and as much for a
    /// window: 32 KiB for gzip and deflate, at most 8 MiB for zstd, of which it touches `limit`.
    pub(super) fn decode(self, data: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        let written = Cell::new(0);
        let block = if self == Self::Zstd { ZSTD_BLOCK_BYTES } else { 0 };
        let budget = CpuBudget::new(reference::allowed(limit));
        let input = Input::new(data, &written, block, budget);
        // JSON usually compresses to a quarter or less.
        let bytes = Vec::with_capacity(data.len().saturating_mul(4).min(limit.saturating_add(1)));
        let mut output = Output { bytes, limit, written: &written };
        match self {
            Self::Gzip => output.read_members(input, Output::read_gzip)?,
            Self::Zstd => output.read_members(input, Output::read_zstd)?,
            Self::Deflate => output.read(&mut InflateReader::new(input))?,
            Self::Brotli => output.read(&mut BrotliReader::new(input, limit))?,
        }
        Ok(output.bytes)
    }
}

/// The content of a body so far.
struct Output<'a> {
    bytes: Vec<u8>,
    limit: usize,
    /// Its length, for the checks of the input.
    written: &'a Cell<usize>,
}

impl<'a> Output<'a> {
    /// Reads all of `decoder`.
    fn read(&mut self, decoder: &mut impl Read) -> Result<(), DecodeError> {
        // One byte more than allowed: reading it proves that the data is too large.
        let most = (self.limit as u64).saturating_add(1) - self.bytes.len() as u64;
        Counted { decoder, written: self.written }.take(most).read_to_end(&mut self.bytes)?;
        if self.bytes.len() > self.limit { Err(DecodeError::TooLarge) } else { Ok(()) }
    }

    /// Reads members until the input ends. `read` returns the input after one member.
    fn read_members(
        &mut self,
        mut input: Input<'a>,
        read: fn(&mut Self, Input<'a>) -> Result<Input<'a>, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..MAX_MEMBERS {
            input = read(self, input)?;
            if input.is_empty() {
                return Ok(());
            }
        }
        Err(DecodeError::TooManyMembers)
    }

    fn read_gzip(&mut self, input: Input<'a>) -> Result<Input<'a>, DecodeError> {
        let mut decoder = GzDecoder::new(input);
        self.read(&mut decoder)?;
        Ok(decoder.into_inner())
    }

    fn read_zstd(&mut self, input: Input<'a>) -> Result<Input<'a>, DecodeError> {
        let mut decoder = zstd::Decoder::with_buffer(input)?.single_frame();
        // The default is 128 MiB: a few requests could exhaust the memory.
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        self.read(&mut decoder)?;
        Ok(decoder.finish())
    }
}
#[cfg(test)]
mod tests;
