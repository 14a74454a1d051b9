//! The form of a key's text: prefix, lengths, alphabet and checksum.

use data_encoding::{BASE32_NOPAD_NOCASE, Encoding, Specification};

// A fixed prefix lets secret scanners find leaked keys.
pub(super) const PREFIX: &str = "mk_";
/// 80 random bits make a collision of ids improbable.
pub(super) const ID_BYTES: usize = 10;
pub(super) const SECRET_BYTES: usize = 32;
pub(super) const CHECKSUM_BYTES: usize = 4;
/// Characters of a key's id.
pub const ID_CHARS: usize = 16;
/// Characters of a key: base 32 has 8 for 5 bytes, rounded up.
pub const KEY_CHARS: usize =
    PREFIX.len() + ID_CHARS + 1 + ((SECRET_BYTES + CHECKSUM_BYTES) * 8).div_ceil(5);

pub(super) fn checksum(id: &str, random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id.as_bytes());
    hasher.update(random);
    // Big-endian, fixed here because keys outlive the machine that made them.
    hasher.finalize().to_be_bytes()
}

/// RFC 4648, section 6, in lower case and without padding; other text is refused.
pub(super) fn base32() -> &'static Encoding {
    static BASE32: std::sync::OnceLock<Encoding> = std::sync::OnceLock::new();
    BASE32.get_or_init(|| {
        let mut specification = Specification::new();
        // Lower case only: with one spelling per key, the hash needs no normalization.
        specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        let encoding = specification.encoding();
        debug_assert!(encoding.is_ok(), "32 different symbols make an encoding");
        encoding.unwrap_or(BASE32_NOPAD_NOCASE)
    })
}
