//! Compressed bodies made to cost a server as much as they can. No encoder writes most of them, so
//! they are put together bit by bit.
//!
//! A decoder that limits only its output spends up to 240 ms of CPU time and 29 MB on one of them.

use std::io::Write;

/// The default limit of a body. None of these is longer.
const MAX_BYTES: usize = 256 * 1024;

/// A body, and the answer it gets.
pub struct HostileBody {
    /// What it contains.
    pub name: &'static str,
    /// Its `Content-Encoding`.
    pub coding: &'static str,
    /// The compressed bytes.
    pub bytes: Vec<u8>,
    /// The code of the problem.
    pub code: &'static str,
}

/// Returns all of them.
#[must_use]
pub fn hostile_bodies() -> Vec<HostileBody> {
    const TOO_LARGE: &str = "payload_too_large";
    const MALFORMED: &str = "malformed_encoding";
    let body = |name, coding, bytes: Vec<u8>, code| HostileBody { name, coding, bytes, code };
    let empty_gzip = gzip(b"");
    let empty_zstd = b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00";
    vec![
        body("256 MiB in the largest window", "br", brotli_bomb(), TOO_LARGE),
        body("tables without symbols", "br", brotli_tables(Tables::Simple), MALFORMED),
        body("tables of all symbols", "br", brotli_tables(Tables::Complex), MALFORMED),
        body("context maps to move to front", "br", brotli_tables(Tables::ContextMaps), MALFORMED),
        body("a block of each byte", "br", brotli_blocks(), TOO_LARGE),
        body("blocks without content", "deflate", deflate_blocks(""), MALFORMED),
        body("blocks of a few bytes", "deflate", deflate_blocks("            "), MALFORMED),
        body("blocks of a few bytes", "gzip", gzip_blocks(), MALFORMED),
        body("members without content", "gzip", fill(&empty_gzip), MALFORMED),
        body("32 MiB", "gzip", gzip(&vec![b' '; 32 << 20]), TOO_LARGE),
        body("frames without content", "zstd", fill(empty_zstd), MALFORMED),
        body("256 MiB in blocks of one byte", "zstd", zstd_bomb(), TOO_LARGE),
        // The window of 128 MiB in the frame's second byte.
        body("a large window", "zstd", b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00".into(), MALFORMED),
    ]
}

/// Repeats `part` up to the limit.
fn fill(part: &[u8]) -> Vec<u8> {
    part.repeat(MAX_BYTES / part.len())
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

/// One frame of blocks that repeat a byte 128 Ki times (RFC 8878, 3.1.1.2).
fn zstd_bomb() -> Vec<u8> {
    let block = 1_u32 << 1 | (128 * 1024) << 3;
    let blocks = [&block.to_le_bytes()[..3], b" "].concat().repeat(2047);
    let last = [&(block | 1).to_le_bytes()[..3], b" "].concat();
    // A window of 1 MiB, and no size of the content.
    [&b"\x28\xb5\x2f\xfd\x00\x50"[..], &blocks, &last].concat()
}

/// Bits from the lowest of each byte on, as in deflate and brotli.
#[derive(Clone, Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn put(&mut self, value: u64, count: usize) {
        for index in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> index & 1) as u8;
            *self.bytes.last_mut().expect("pushed") |= bit << (self.count % 8);
            self.count += 1;
        }
    }

    fn zeros(&mut self, count: usize) {
        for _ in 0..count {
            self.put(0, 1);
        }
    }

    fn align(&mut self) {
        self.put(0, (8 - self.count % 8) % 8);
    }
}

/// Raw deflate: as many dynamic blocks as fit, each with its own tables for a few blanks (RFC 1951,
/// 3.2.7).
fn deflate_blocks(blanks: &str) -> Vec<u8> {
    let mut bits = Bits::default();
    while bits.bytes.len() < MAX_BYTES - 64 {
        bits.put(0b100, 3);
        // 257 literals, 1 distance, and 18 lengths of the code for code lengths: it has 1 and 18,
        // one bit each.
        bits.put(14 << 10, 14);
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
            bits.put(u64::from(symbol == 18 || symbol == 1), 3);
        }
        // The blank and the end of block have a code of one bit, as has the distance.
        for symbol_or_zeros in [32, 0, 138, 85, 0, 0] {
            match symbol_or_zeros {
                0 => bits.put(0, 1),
                zeros => bits.put(1 | (zeros - 11) << 1, 8),
            }
        }
        bits.zeros(blanks.len());
        bits.put(1, 1);
    }
    // An empty last block.
    bits.put(0b011, 10);
    bits.bytes
}

/// A gzip member of such blocks. Nobody gets as far as its check sum.
fn gzip_blocks() -> Vec<u8> {
    let header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff";
    let mut blocks = deflate_blocks("            ");
    blocks.truncate(MAX_BYTES - header.len());
    [&header[..], &blocks].concat()
}

/// Parts of a brotli stream (RFC 7932, 9).
impl Bits {
    /// The length of a meta-block, which is not the last one.
    fn meta_block(&mut self, bytes: u64, is_uncompressed: bool) {
        let nibbles = (4..6).find(|nibbles| bytes - 1 < 1 << (4 * nibbles)).unwrap_or(6);
        self.put(0, 1);
        self.put(nibbles as u64 - 4, 2);
        self.put(bytes - 1, 4 * nibbles);
        self.put(u64::from(is_uncompressed), 1);
    }

    /// A number of block types or trees: 1 to 256.
    fn number(&mut self, number: u64) {
        match (number - 1).checked_ilog2() {
            None => self.put(0, 1),
            Some(log) => {
                self.put(1 | u64::from(log) << 1, 4);
                self.put(number - 1 - (1 << log), log as usize);
            }
        }
    }

    /// A code of one symbol, which takes no bits.
    fn one_symbol(&mut self, symbol: u64, alphabet: u64) {
        self.put(1, 4);
        self.put(symbol, (alphabet - 1).ilog2() as usize + 1);
    }

    /// A code of all symbols, with this many bits each.
    fn all_symbols(&mut self, length: u64) {
        self.put(0, 2);
        for code_length in [1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
            self.put(if code_length == length { 2 } else { 0 }, 2);
        }
    }

    /// The block types of literals, commands or distances; each block has up to 4 symbols.
    fn block_types(&mut self, types: u64) {
        self.number(types);
        if types > 1 {
            self.one_symbol(0, types + 2);
            self.one_symbol(0, 26);
            self.put(0, 2);
        }
    }

    /// A context map that names the last tree everywhere, moved to the front each time.
    fn context_map(&mut self, trees: u64) {
        self.number(trees);
        if trees > 1 {
            self.put(0, 1);
            self.one_symbol(trees - 1, trees);
            self.put(1, 1);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Tables {
    Simple,
    Complex,
    ContextMaps,
}

/// As many meta-blocks as fit, each of one byte and with as many tables as a block may have.
fn brotli_tables(tables: Tables) -> Vec<u8> {
    let mut bits = Bits::default();
    // A window of 18 bits.
    bits.put(3, 4);
    loop {
        let mut next = bits.clone();
        brotli_table_block(&mut next, tables);
        if next.bytes.len() >= MAX_BYTES {
            break;
        }
        bits = next;
    }
    bits.put(3, 2);
    bits.bytes
}

fn brotli_table_block(bits: &mut Bits, tables: Tables) {
    let (literals, commands, distances) =
        if tables == Tables::ContextMaps { (256, 1, 256) } else { (1, 256, 1) };
    bits.meta_block(1, false);
    bits.block_types(literals);
    bits.block_types(commands);
    bits.block_types(distances);
    // No direct distances, and context mode 0 of each literal block type.
    bits.zeros(6 + 2 * literals as usize);
    bits.context_map(256);
    bits.context_map(256);
    for _ in 0..256 {
        match tables {
            Tables::Complex => bits.all_symbols(8),
            Tables::Simple | Tables::ContextMaps => bits.one_symbol(u64::from(b' '), 256),
        }
    }
    for _ in 0..commands {
        // Insert 1 literal, copy 2 bytes. The block ends before the copy.
        bits.one_symbol(8, 704);
    }
    for _ in 0..256 {
        match tables {
            Tables::Complex => bits.all_symbols(6),
            Tables::Simple | Tables::ContextMaps => bits.one_symbol(32, 64),
        }
    }
    if tables == Tables::Complex {
        bits.put(0, 8);
    }
}

/// The start of a stream with the largest window: a few bytes for distances to reach.
fn brotli_start() -> Bits {
    let mut bits = Bits::default();
    bits.put(0xf, 4);
    let text = b"0123456789abcdef";
    bits.meta_block(text.len() as u64, true);
    bits.align();
    for byte in text {
        bits.put(u64::from(*byte), 8);
    }
    bits
}

/// A meta-block of 16 MiB in commands of 2 bytes, with symbols that take no bits.
fn brotli_content(bits: &mut Bits, block_types: u64) {
    bits.meta_block(1 << 24, false);
    for _ in 0..3 {
        bits.block_types(block_types);
    }
    bits.zeros(6 + 2 * block_types as usize);
    bits.context_map(block_types);
    bits.context_map(block_types);
    for _ in 0..block_types {
        bits.one_symbol(u64::from(b' '), 256);
    }
    for _ in 0..block_types {
        // Insert 1 literal, copy 2 bytes from the last but one distance.
        bits.one_symbol(128 + (1 << 3), 704);
    }
    for _ in 0..block_types {
        bits.one_symbol(1, 64);
    }
}

/// 256 MiB in 300 bytes.
fn brotli_bomb() -> Vec<u8> {
    let mut bits = brotli_start();
    for _ in 0..16 {
        brotli_content(&mut bits, 1);
    }
    bits.put(3, 2);
    bits.bytes
}

/// Every symbol begins a new block. Only its count takes bits.
fn brotli_blocks() -> Vec<u8> {
    let mut bits = brotli_start();
    brotli_content(&mut bits, 2);
    bits.bytes.resize(MAX_BYTES, 0);
    bits.bytes
}
