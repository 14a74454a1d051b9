//! Decompression up to a limit: bytes in, at most `limit` bytes out, whatever the data says of itself.
//!
//! Each coding is read to its very end: data that stops short, and bytes that follow, make it [`DecodeError::Broken`].
//! Blocks for the time of decoding. Not here: which coding a request has, reading it from the network.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Decompress, FlushDecompress, Status, bufread::MultiGzDecoder};
use std::io::{self, Read};

/// The largest window a zstd frame may ask for, as a power of two: 8 MiB, which every decoder is to support
/// (<https://www.rfc-editor.org/rfc/rfc9659>).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A content coding that is decoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Zstd,
    Deflate,
}

/// Why data could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// There is more than the limit in it.
    TooLarge,
    /// It is not of this coding, stops short, or goes on behind its end.
    Broken,
}

impl Coding {
    /// The coding's name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }

    /// Decodes all of `data`. Takes memory for the result, twice `limit` at most, and for the coding's window: 32 KiB,
    /// with brotli 16 MiB, with zstd 8 MiB at most.
    pub(super) fn decode(self, data: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        // A first guess at what JSON shrinks to.
        let out = Vec::with_capacity(data.len().saturating_mul(4).min(limit.saturating_add(1)));
        match self {
            // Reads member after member, and takes no other bytes behind the last.
            Self::Gzip => read_all(MultiGzDecoder::new(data), out, limit),
            Self::Zstd => read_all(zstd_reader(data).map_err(|_| DecodeError::Broken)?, out, limit),
            Self::Deflate => inflate(data, out, limit),
            Self::Brotli => unbrotli(data, out, limit),
        }
    }
}

fn zstd_reader(data: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::Decoder::with_buffer(data)?;
    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(reader)
}

fn read_all(reader: impl Read, mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let most = (limit as u64).saturating_add(1);
    reader.take(most).read_to_end(&mut out).map_err(|_| DecodeError::Broken)?;
    within(out, limit)
}

fn within(out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    if out.len() > limit { Err(DecodeError::TooLarge) } else { Ok(out) }
}

/// Zlib's format, which is what `deflate` means; and without its frame, as some clients send it
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2>).
fn inflate(data: &[u8], mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let mut inflater = Decompress::new(has_zlib_header(data));
    loop {
        make_room(&mut out, limit)?;
        let rest = &data[inflater.total_in() as usize..];
        let before = out.len();
        match inflater
            .decompress_vec(rest, &mut out, FlushDecompress::None)
            .map_err(|_| DecodeError::Broken)?
        {
            Status::StreamEnd if inflater.total_in() as usize == data.len() => {
                return within(out, limit);
            }
            Status::StreamEnd => return Err(DecodeError::Broken),
            Status::Ok | Status::BufError
                if out.len() == before && inflater.total_in() as usize == data.len() =>
            {
                return Err(DecodeError::Broken);
            }
            Status::Ok | Status::BufError => {}
        }
    }
}

/// <https://www.rfc-editor.org/rfc/rfc1950#section-2.2>
fn has_zlib_header(data: &[u8]) -> bool {
    match data {
        [method, flags, ..] => {
            method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)) % 31 == 0
        }
        _ => false,
    }
}

fn unbrotli(data: &[u8], mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    // Strict: without the windows of up to 1 GiB that the format of HTTP does not have.
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut unread, mut read, mut total) = (data.len(), 0, 0);
    loop {
        make_room(&mut out, limit)?;
        let start = out.len();
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
            _ => return Err(DecodeError::Broken),
        }
    }
}

/// Makes room for more, and none for more than one byte above the limit.
fn make_room(out: &mut Vec<u8>, limit: usize) -> Result<(), DecodeError> {
    if out.len() > limit {
        return Err(DecodeError::TooLarge);
    }
    if out.len() == out.capacity() {
        let most = limit.saturating_add(1) - out.len();
        out.reserve_exact(out.len().max(4096).min(most));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
