//! Decoding of encoder output, bombs and damaged data.

use super::cpu::thread_time;
use super::*;
use crate::testing::{HostileBody, hostile_bodies};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use std::io::Write;
use std::time::Duration;

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
fn output_stops_one_byte_over_the_limit() {
    struct Endless(usize);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b' ');
            self.0 += buffer.len();
            Ok(buffer.len())
        }
    }
    for limit in [0, 1, 1000, 262_144] {
        let (mut endless, written) = (Endless(0), Cell::new(0));
        let mut output = Output { bytes: Vec::new(), limit, written: &written };
        assert_eq!(output.read(&mut endless), Err(DecodeError::TooLarge));
        assert_eq!((endless.0, written.get()), (limit + 1, limit + 1));
    }
}

/// Twice the allowed time: the last slice may begin just before its end.
#[test]
fn hostile_body_costs_little_cpu_time() {
    let allowed = reference::allowed(262_144);
    for HostileBody { name, coding, bytes, code } in hostile_bodies() {
        let coding = ENCODERS.iter().find(|encoder| encoder.coding.name() == coding);
        let coding = coding.unwrap().coding;
        assert!(bytes.len() <= 262_144);
        let start = thread_time();
        let error = coding.decode(&bytes, 262_144).unwrap_err();
        let cost = thread_time() - start;
        assert_eq!(error == DecodeError::TooLarge, code == "payload_too_large", "{name}: {error}");
        assert_ne!(error, DecodeError::Invalid, "{name}: the generator is wrong");
        assert!(cost <= allowed * 2, "{coding:?}, {name}: {cost:?} of {allowed:?}");
        if !cfg!(debug_assertions) {
            assert!(cost <= Duration::from_millis(10), "{coding:?}, {name}: {cost:?}");
        }
    }
}

/// Compresses with a window of `2^window_log` bytes.
fn brotli_in_window(data: &[u8], window_log: u32) -> Vec<u8> {
    let mut out = Vec::new();
    ::brotli::CompressorWriter::new(&mut out, 4096, 5, window_log).write_all(data).unwrap();
    out
}

#[test]
fn brotli_of_every_window_is_decoded() {
    // The last quarter repeats the first one, at a distance near the limit.
    let data = [&sample(60_000)[..], &[b' '; 142_000], &sample(60_000)].concat();
    for window_log in 10..=24 {
        let encoded = brotli_in_window(&data, window_log);
        let decoded = Coding::Brotli.decode(&encoded, data.len()).unwrap();
        assert!(decoded == data, "{window_log}");
        assert_eq!(
            Coding::Brotli.decode(&encoded, data.len() - 1),
            Err(DecodeError::TooLarge),
            "{window_log}"
        );
    }
}

#[test]
fn flushed_events_are_decoded() {
    // Each flush ends a block, with tables of its own.
    let events = sample(200_000);
    let mut encoded = Vec::new();
    let mut encoder = ::brotli::CompressorWriter::new(&mut encoded, 4096, 5, 22);
    for event in events.chunks(400) {
        encoder.write_all(event).unwrap();
        encoder.flush().unwrap();
    }
    drop(encoder);
    assert!(Coding::Brotli.decode(&encoded, 262_144) == Ok(events));
}

proptest! {
    /// The window, the memory and the limits of our decoder must not change what it reads.
    #[test]
    fn damaged_brotli_is_decoded_as_by_the_original(
        damage in proptest::collection::vec((0_usize..400, any::<u8>()), 1..4),
    ) {
        let mut encoded = brotli_in_window(&sample(1000), 22);
        // The first byte too, with its window.
        for (position, byte) in damage {
            let position = position % encoded.len();
            encoded[position] = byte;
        }
        if let Ok(decoded) = Coding::Brotli.decode(&encoded, 262_144) {
            let mut original = Vec::new();
            let read = ::brotli::Decompressor::new(&encoded[..], 4096).read_to_end(&mut original);
            prop_assert!(read.is_ok() && decoded == original);
        }
    }
}

#[test]
fn more_than_64_members_are_refused() {
    for Encoder { coding, encode } in ENCODERS {
        if matches!(coding, Coding::Gzip | Coding::Zstd) {
            let data = encode(b"{\"event_name\":\"a\"}").repeat(64);
            assert!(coding.decode(&data, 262_144).is_ok(), "{coding:?}");
            let one_more = [data, encode(b"")].concat();
            let refused = coding.decode(&one_more, 262_144);
            assert_eq!(refused, Err(DecodeError::TooManyMembers), "{coding:?}");
        }
    }
}

#[test]
fn data_longer_than_its_content_is_refused() {
    // Stored blocks without content: 5 bytes each.
    let empty_block = b"\x00\x00\x00\xff\xff";
    let padded = |blocks| [&empty_block.repeat(blocks)[..], b"\x01\x02\x00\xfd\xff{}"].concat();
    assert_eq!(Coding::Deflate.decode(&padded(1000), 262_144), Ok(b"{}".to_vec()));
    let refused = Coding::Deflate.decode(&padded(10_000), 262_144);
    assert_eq!(refused, Err(DecodeError::LongerThanContent));
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
        let result = Coding::Zstd.decode(&encoded, 262_144);
        assert_eq!(result.is_ok(), decoded, "{window_log}");
        assert!(decoded || result == Err(DecodeError::WindowTooLarge), "{window_log}");
    }
}
