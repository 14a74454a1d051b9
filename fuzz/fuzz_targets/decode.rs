//! Random bytes as a compressed body, in every coding and with every limit: no panic, no output over the limit, no more memory
//! than documented, and compressed data is decoded to the original. The first byte selects the coding, the next two the limit.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use decode::{Coding, DecodeError};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use libfuzzer_sys::fuzz_target;

/// Only the decoders: linking the server would add its database drivers.
#[path = "../../crates/api/src/body/decode/mod.rs"]
#[expect(dead_code, reason = "only the server uses the name of a coding")]
mod decode;

/// Counts the bytes on Rust's heap, and their peak.
struct CountingAllocator;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded unchanged to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let allocated = ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(allocated, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// An encoder and the coding of its output.
struct Encoder {
    coding: Coding,
    encode: fn(&[u8]) -> Vec<u8>,
}

const ENCODERS: [Encoder; 5] = [
    Encoder { coding: Coding::Gzip, encode: gzip },
    // "deflate" is zlib (RFC 9110, section 8.4.1.2), but some clients send it raw.
    Encoder { coding: Coding::Deflate, encode: zlib },
    Encoder { coding: Coding::Deflate, encode: deflate },
    Encoder { coding: Coding::Brotli, encode: brotli },
    Encoder { coding: Coding::Zstd, encode: zstd },
];

/// Maximum memory of a decoder in addition to the result: brotli's 768 tables, its states and its window of 256 KiB.
/// Zstandard allocates its window of 8 MiB in C: the sanitizer's limit (`-rss_limit_mb`) covers it.
const MAX_DECODER_BYTES: usize = 6 << 20;

fuzz_target!(|input: &[u8]| {
    let [choice, high, low, data @ ..] = input else { return };
    let Encoder { coding, encode } = ENCODERS[usize::from(*choice) % ENCODERS.len()];
    let limit = usize::from(u16::from_be_bytes([*high, *low]));
    check(coding, data, limit);

    let encoded = encode(data);
    assert_eq!(coding.decode(&encoded, data.len()).as_deref(), Ok(data), "{coding:?}");
    // Truncated data and data with a tail reach deeper code than random bytes.
    // Every encoder returns at least one byte, so the remainder exists.
    let (head, tail) = encoded.split_at(limit % encoded.len());
    // Empty input is valid Zstandard.
    if !(head.is_empty() && coding == Coding::Zstd) {
        assert_eq!(
            coding.decode(head, data.len()),
            Err(DecodeError::Invalid),
            "{coding:?} cut short"
        );
    }
    check(coding, &encoded, limit);
    check(coding, &[&encoded[..], tail].concat(), limit);
});

/// Asserts the limits of a decoder, and the same result with a limit that is just enough.
fn check(coding: Coding, data: &[u8], limit: usize) {
    let before = ALLOCATED.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let decoded = coding.decode(data, limit);
    let used = PEAK.load(Ordering::Relaxed) - before;
    // While the result grows, its old and its new buffer exist together.
    let max = 4 * (limit + 1) + data.len() + MAX_DECODER_BYTES;
    assert!(used <= max, "{coding:?} used {used} bytes for {} under {limit}", data.len());
    if let Ok(decoded) = decoded {
        assert!(
            decoded.len() <= limit,
            "{coding:?}: {} bytes with a limit of {limit}",
            decoded.len()
        );
        assert_eq!(
            coding.decode(data, decoded.len()).as_ref(),
            Ok(&decoded),
            "{coding:?} at the limit"
        );
        if let Some(less) = decoded.len().checked_sub(1) {
            assert_eq!(
                coding.decode(data, less),
                Err(DecodeError::TooLarge),
                "{coding:?} above the limit"
            );
        }
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("writes to memory succeed");
    encoder.finish().expect("writes to memory succeed")
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("writes to memory succeed");
    encoder.finish().expect("writes to memory succeed")
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("writes to memory succeed");
    encoder.finish().expect("writes to memory succeed")
}

fn brotli(data: &[u8]) -> Vec<u8> {
    // A quality of 5 and a window of 64 KiB keep the fuzzer fast.
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 16);
    encoder.write_all(data).expect("writes to memory succeed");
    encoder.into_inner()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).expect("writes to memory succeed")
}
