//! Decoding of encoder output, bombs and damaged data.

use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn brotli(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // Buffer size, quality, and the window as a power of two.
    brotli::CompressorWriter::new(&mut out, 4096, 5, 22).write_all(data).unwrap();
    out
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

/// An encoder and the coding of its output.
struct Encoder {
    coding: Coding,
    encode: fn(&[u8]) -> Vec<u8>,
}

const ENCODERS: [Encoder; 5] = [
    Encoder { coding: Coding::Gzip, encode: gzip },
    Encoder { coding: Coding::Deflate, encode: zlib },
    Encoder { coding: Coding::Deflate, encode: raw_deflate },
    Encoder { coding: Coding::Brotli, encode: brotli },
    Encoder { coding: Coding::Zstd, encode: zstd },
];

/// JSON that compresses like real events.
fn sample(bytes: usize) -> Vec<u8> {
    let numbers =
        // 2^64 over the golden ratio: its multiples spread like random ids.
        (0_u64..).map(|n| format!("{{\"n\":{}}},", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    numbers.flat_map(String::into_bytes).take(bytes).collect()
}

#[test]
fn encoded_data_is_decoded_up_to_the_limit() {
    for Encoder { coding, encode } in ENCODERS {
        // Around the first buffer size of 4096, and far above it.
        for bytes in [0, 1, 2, 100, 4095, 4096, 4097, 70_000] {
            let data = sample(bytes);
            let encoded = encode(&data);
            assert_eq!(
                coding.decode(&encoded, bytes),
                Ok(data.clone()),
                "{coding:?} {bytes} at the limit"
            );
            assert_eq!(coding.decode(&encoded, bytes + 1000), Ok(data), "{coding:?} {bytes}");
            if bytes > 0 {
                assert_eq!(
                    coding.decode(&encoded, bytes - 1),
                    Err(DecodeError::TooLarge),
                    "{coding:?} {bytes} above it"
                );
            }
        }
    }
}

#[test]
fn bomb_is_too_large() {
    let zeros = vec![0; 8 * 1024 * 1024];
    for Encoder { coding, encode } in ENCODERS {
        let bomb = encode(&zeros);
        // Compressed by a factor of more than 500.
        assert!(bomb.len() < 16 * 1024, "{coding:?}: {}", bomb.len());
        assert_eq!(coding.decode(&bomb, 262_144), Err(DecodeError::TooLarge), "{coding:?}");
    }
}

#[test]
fn reader_stops_one_byte_over_the_limit() {
    struct Endless(usize);
    impl Read for &mut Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(b' ');
            self.0 += buffer.len();
            Ok(buffer.len())
        }
    }
    for limit in [0, 1, 1000, 262_144] {
        let mut endless = Endless(0);
        assert_eq!(read_all(&mut endless, Vec::new(), limit), Err(DecodeError::TooLarge));
        assert_eq!(endless.0, limit + 1);
    }
}

#[test]
fn buffer_grows_to_one_byte_over_the_limit() {
    for limit in [0, 1, 4095, 4096, 10_000, 262_144] {
        let mut out = Vec::new();
        while make_room(&mut out, limit).is_ok() {
            out.resize(out.capacity().min(limit + 1), 0);
            assert!(
                out.capacity() <= limit + 1 || out.capacity() <= 8,
                "{limit}: {}",
                out.capacity()
            );
        }
        assert_eq!(out.len(), limit + 1);
    }
}

#[test]
fn truncated_data_is_invalid_at_every_length() {
    for Encoder { coding, encode } in ENCODERS {
        let encoded = encode(&sample(3000));
        for end in 0..encoded.len() {
            let decoded = coding.decode(&encoded[..end], 262_144);
            // Empty input is valid Zstandard; `read` does not decode empty bodies.
            if end > 0 {
                assert_eq!(
                    decoded,
                    Err(DecodeError::Invalid),
                    "{coding:?} {end} of {}",
                    encoded.len()
                );
            }
        }
    }
}

#[test]
fn trailing_bytes_are_invalid() {
    for Encoder { coding, encode } in ENCODERS {
        for tail in [&b"\0"[..], b"x", b"{\"events\":[]}", &[0; 600]] {
            let encoded = [&encode(b"{}"), tail].concat();
            assert_eq!(
                coding.decode(&encoded, 262_144),
                Err(DecodeError::Invalid),
                "{coding:?} {tail:?}"
            );
        }
    }
}

#[test]
fn consecutive_members_and_frames_are_one_body() {
    for Encoder { coding, encode } in ENCODERS {
        // Only gzip (RFC 1952, 2.2) and zstd (RFC 8878, 3) define concatenation.
        if !matches!(coding, Coding::Gzip | Coding::Zstd) {
            continue;
        }
        let encoded = [encode(b"{\"a\":"), encode(b""), encode(b"1}")].concat();
        assert_eq!(coding.decode(&encoded, 7), Ok(b"{\"a\":1}".to_vec()), "{coding:?}");
        assert_eq!(coding.decode(&encoded, 6), Err(DecodeError::TooLarge), "{coding:?}");
    }
}

#[test]
fn data_of_another_coding_is_invalid() {
    for Encoder { coding, .. } in ENCODERS {
        for Encoder { coding: other, encode } in ENCODERS {
            if coding != other {
                let decoded = coding.decode(&encode(&sample(5000)), 262_144);
                assert_eq!(decoded, Err(DecodeError::Invalid), "{other:?} as {coding:?}");
            }
        }
        assert_eq!(
            coding.decode(&sample(5000), 262_144),
            Err(DecodeError::Invalid),
            "plain as {coding:?}"
        );
    }
}

#[test]
fn zstd_frame_with_a_larger_window_is_refused() {
    // 2^23 is the limit of RFC 9659.
    for (window_log, decoded) in [(20, true), (23, true), (24, false), (27, false)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&sample(5000)).unwrap();
        let encoded = encoder.finish().unwrap();
        assert_eq!(Coding::Zstd.decode(&encoded, 262_144).is_ok(), decoded, "{window_log}");
    }
}
