//! Any bytes as a compressed body, of every coding and under every limit: nothing panics, no more comes out than the limit, no
//! more memory is taken than is promised, and what a compressor made comes back as it was. The first byte chooses the coding, the
//! next two the limit.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use decode::{Coding, DecodeError};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use libfuzzer_sys::fuzz_target;

/// The decoders alone: the server that they belong to brings its databases with it, which are not what is looked for here.
#[path = "../../crates/api/src/body/decode.rs"]
#[expect(dead_code, reason = "a coding's name is for the server's answers")]
mod decode;

/// The bytes that are taken of the heap by Rust, and the most that were at once.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = TAKEN.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(taken, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ENCODERS: [(Coding, fn(&[u8]) -> Vec<u8>); 5] = [
    (Coding::Gzip, gzip),
    (Coding::Deflate, zlib),
    (Coding::Deflate, deflate),
    (Coding::Brotli, brotli),
    (Coding::Zstd, zstd),
];

/// The most that a decoder takes beside the result: brotli's window of 16 MiB with what its states and tables need.
/// Zstandard takes its window of 8 MiB in C, of which the sanitizer's own limit (`-rss_limit_mb`) is the bound.
const MOST_FOR_A_CODING: usize = 24 << 20;

fuzz_target!(|input: &[u8]| {
    let [choice, high, low, data @ ..] = input else { return };
    let (coding, encode) = ENCODERS[usize::from(*choice) % ENCODERS.len()];
    let limit = usize::from(u16::from_be_bytes([*high, *low]));
    check(coding, data, limit);

    let encoded = encode(data);
    assert_eq!(coding.decode(&encoded, data.len()).as_deref(), Ok(data), "{coding:?}");
    // A piece of sound data, and sound data with something behind it, reach further than any bytes do.
    let (head, tail) = encoded.split_at(limit % encoded.len());
    // No data at all is none of Zstandard's frames, and so an empty body.
    if !(head.is_empty() && coding == Coding::Zstd) {
        assert_eq!(coding.decode(head, data.len()), Err(DecodeError::Broken), "{coding:?} cut short");
    }
    check(coding, &encoded, limit);
    check(coding, &[&encoded[..], tail].concat(), limit);
});

/// Holds a decoder to its promises, and to the same answer under a limit that is just enough.
fn check(coding: Coding, data: &[u8], limit: usize) {
    let before = TAKEN.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let decoded = coding.decode(data, limit);
    let taken = MOST.load(Ordering::Relaxed) - before;
    // The result grows to the next size before the one before it is given back.
    let most = 4 * (limit + 1) + data.len() + MOST_FOR_A_CODING;
    assert!(taken <= most, "{coding:?} took {taken} bytes for {} under {limit}", data.len());
    if let Ok(decoded) = decoded {
        assert!(
            decoded.len() <= limit,
            "{coding:?}: {} bytes under a limit of {limit}",
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
    encoder.write_all(data).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn brotli(data: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 16);
    encoder.write_all(data).expect("memory takes all");
    encoder.into_inner()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).expect("memory takes all")
}
