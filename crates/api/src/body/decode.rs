//! Decompression with a limit on the output, independent of any size in the data itself.
//!
//! Truncated data and trailing bytes are [`DecodeError::Invalid`]. Decoding blocks. Not here:
//! choosing the coding, reading from the network.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Decompress, FlushDecompress, Status, bufread::MultiGzDecoder};
use std::io::{self, Read};

/// Maximum window of a zstd frame, as a power of two: 8 MiB, the maximum in HTTP
/// (<https://www.rfc-editor.org/rfc/rfc9659>).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A supported content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

/// An error of decoding.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The output is over the limit.
    TooLarge,
    /// The data has another coding, is truncated, or has trailing bytes.
    Invalid,
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

    /// Decodes all of `data`. Allocates at most twice `limit` for the result, and the window: 32
    /// KiB, at most 16 MiB for brotli, at most 8 MiB for zstd.
    pub(super) fn decode(self, data: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        // JSON usually compresses to a quarter or less.
        let out = Vec::with_capacity(data.len().saturating_mul(4).min(limit.saturating_add(1)));
        match self {
            // Reads all members, and fails on other trailing bytes.
            Self::Gzip => read_all(MultiGzDecoder::new(data), out, limit),
            Self::Zstd => {
                read_all(zstd_reader(data).map_err(|_| DecodeError::Invalid)?, out, limit)
            }
            Self::Deflate => inflate(data, out, limit),
            Self::Brotli => unbrotli(data, out, limit),
        }
    }
}

fn zstd_reader(data: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::Decoder::with_buffer(data)?;
    // The default is 128 MiB: a few requests could exhaust the memory.
    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(reader)
}

fn read_all(reader: impl Read, mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    // One byte more than allowed: reading it proves that the data is too large.
    let most = (limit as u64).saturating_add(1);
    reader.take(most).read_to_end(&mut out).map_err(|_| DecodeError::Invalid)?;
    within(out, limit)
}

fn within(out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    if out.len() > limit { Err(DecodeError::TooLarge) } else { Ok(out) }
}

/// Decodes zlib data, the format of `deflate`, or raw deflate data, as some clients send it
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2>).
fn inflate(data: &[u8], mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut inflater = Decompress::new(has_zlib_header(data));
    loop {
        make_room(&mut out, limit)?;
        let rest = &data[inflater.total_in() as usize..];
        let before = out.len();
        match inflater
            .decompress_vec(rest, &mut out, FlushDecompress::None)
            .map_err(|_| DecodeError::Invalid)?
        {
            Status::StreamEnd if inflater.total_in() as usize == data.len() => {
                return within(out, limit);
            }
            // Trailing bytes.
            Status::StreamEnd => return Err(DecodeError::Invalid),
            Status::Ok | Status::BufError
                // No progress and no input left: the data is truncated.
                if out.len() == before && inflater.total_in() as usize == data.len() =>
            {
                return Err(DecodeError::Invalid);
            }
            Status::Ok | Status::BufError => {}
        }
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

fn unbrotli(data: &[u8], mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    // Strict: HTTP does not allow the windows of up to 1 GiB of "large window brotli".
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut unread, mut read, mut total) = (data.len(), 0, 0);
    loop {
        make_room(&mut out, limit)?;
        let start = out.len();
        // The decoder writes into initialised memory only.
        out.resize(out.capacity().min(limit.saturating_add(1)), 0);
        let (mut free, mut end) = (out.len() - start, start);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            data,
            &mut free,
            &mut end,
            &mut out,
            &mut total,
            &mut state,
        );
        out.truncate(end);
        match result {
            BrotliResult::ResultSuccess if unread == 0 => return within(out, limit),
            BrotliResult::NeedsMoreOutput => {}
            // The data failed, ended early, or continues after its end.
            _ => return Err(DecodeError::Invalid),
        }
    }
}

/// Grows `out`, to at most one byte over the limit: the extra byte proves the data too large.
fn make_room(out: &mut Vec<u8>, limit: usize) -> Result<(), DecodeError> {
    if out.len() > limit {
        return Err(DecodeError::TooLarge);
    }
    if out.len() == out.capacity() {
        let most = limit.saturating_add(1) - out.len();
        // Doubling keeps copies few; the cap bounds the memory.
        out.reserve_exact(out.len().max(4096).min(most));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
