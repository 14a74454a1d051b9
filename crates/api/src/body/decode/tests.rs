//! Decoding, held against encoders, bombs and damage.

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
    brotli::CompressorWriter::new(&mut out, 4096, 5, 22).write_all(data).unwrap();
    out
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 3).unwrap()
}

type Encoder = fn(&[u8]) -> Vec<u8>;

const ENCODERS: [(Coding, Encoder); 5] = [
    (Coding::Gzip, gzip),
    (Coding::Deflate, zlib),
    (Coding::Deflate, raw_deflate),
    (Coding::Brotli, brotli),
    (Coding::Zstd, zstd),
];

/// JSON that does not shrink to nothing.
fn sample(bytes: usize) -> Vec<u8> {
    let numbers =
        (0_u64..).map(|n| format!("{{\"n\":{}}},", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    numbers.flat_map(String::into_bytes).take(bytes).collect()
}

#[test]
fn what_was_encoded_comes_back_up_to_the_limit_and_no_byte_above_it() {
    for (coding, encode) in ENCODERS {
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
fn a_bomb_costs_no_more_than_the_limit() {
    let zeros = vec![0; 8 * 1024 * 1024];
    for (coding, encode) in ENCODERS {
        let bomb = encode(&zeros);
        assert!(bomb.len() < 16 * 1024, "{coding:?}: {}", bomb.len());
        assert_eq!(coding.decode(&bomb, 262_144), Err(DecodeError::TooLarge), "{coding:?}");
    }
}

#[test]
fn a_reader_of_a_bomb_is_asked_for_one_byte_above_the_limit_at_most() {
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
fn room_is_never_made_for_more_than_one_byte_above_the_limit() {
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
fn data_that_stops_short_is_broken_wherever_it_stops() {
    for (coding, encode) in ENCODERS {
        let encoded = encode(&sample(3000));
        for end in 0..encoded.len() {
            let decoded = coding.decode(&encoded[..end], 262_144);
            // No frame at all is an empty body in Zstandard, and the reader of bodies asks for no other coding's nothing.
            if end > 0 {
                assert_eq!(
                    decoded,
                    Err(DecodeError::Broken),
                    "{coding:?} {end} of {}",
                    encoded.len()
                );
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_are_broken_data() {
    for (coding, encode) in ENCODERS {
        for tail in [&b"\0"[..], b"x", b"{\"events\":[]}", &[0; 600]] {
            let encoded = [&encode(b"{}"), tail].concat();
            assert_eq!(
                coding.decode(&encoded, 262_144),
                Err(DecodeError::Broken),
                "{coding:?} {tail:?}"
            );
        }
    }
}

#[test]
fn members_and_frames_that_follow_each_other_are_one_body() {
    for (coding, encode) in [(Coding::Gzip, gzip as Encoder), (Coding::Zstd, zstd)] {
        let encoded = [encode(b"{\"a\":"), encode(b""), encode(b"1}")].concat();
        assert_eq!(coding.decode(&encoded, 7), Ok(b"{\"a\":1}".to_vec()), "{coding:?}");
        assert_eq!(coding.decode(&encoded, 6), Err(DecodeError::TooLarge), "{coding:?}");
    }
}

#[test]
fn data_of_another_coding_is_broken() {
    for (coding, _) in ENCODERS {
        for (other, encode) in ENCODERS {
            if coding != other {
                let decoded = coding.decode(&encode(&sample(5000)), 262_144);
                assert_eq!(decoded, Err(DecodeError::Broken), "{other:?} as {coding:?}");
            }
        }
        assert_eq!(
            coding.decode(&sample(5000), 262_144),
            Err(DecodeError::Broken),
            "plain as {coding:?}"
        );
    }
}

#[test]
fn a_zstd_frame_that_asks_for_a_larger_window_is_refused() {
    let check = |window_log: u32, decoded: bool| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&sample(5000)).unwrap();
        let encoded = encoder.finish().unwrap();
        assert_eq!(Coding::Zstd.decode(&encoded, 262_144).is_ok(), decoded, "{window_log}");
    };
    check(20, true);
    check(23, true);
    check(24, false);
    check(27, false);
}
