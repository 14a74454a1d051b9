//! Signatures of Standard Webhooks 1.0.0, symmetric scheme
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::fmt;
use std::ops::RangeInclusive;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a secret: 192 to 512 bits.
pub const SECRET_BYTES: RangeInclusive<usize> = 24..=64;
/// Maximum secrets at once. Each adds a signature of 47 bytes to a header.
pub const MAX_SECRETS: usize = 10;
/// Start of a secret, before its Base64.
const PREFIX: &str = "whsec_";

/// The secrets that sign each request. Several are for rotation: a receiver accepts a request if one
/// signature is right.
#[derive(Clone)]
pub struct SigningSecrets(Vec<Hmac<Sha256>>);

/// Why a text has no [`SigningSecrets`]. Quotes no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// An empty text.
    #[error("no secret: make one with `echo whsec_$(head -c 32 /dev/urandom | base64)`")]
    Empty,
    /// More than [`MAX_SECRETS`].
    #[error("{0} secrets; at most {MAX_SECRETS} may sign at the same time")]
    TooMany(usize),
    /// No prefix, or no Base64 after it.
    #[error("secret {number} is not whsec_ followed by Base64 with padding (RFC 4648, section 4)")]
    Form {
        /// From 1, in the order of the text.
        number: usize,
    },
    /// Too short or too long.
    #[error("secret {number} has {bytes} bytes; a secret has 24 to 64")]
    Length {
        /// From 1, in the order of the text.
        number: usize,
        /// After decoding.
        bytes: usize,
    },
}

impl SigningSecrets {
    /// Reads secrets such as `whsec_…`, separated by white space.
    ///
    /// # Errors
    /// [`SecretError`] for the first invalid one.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let words: Vec<_> = text.split_whitespace().collect();
        match words.len() {
            0 => return Err(SecretError::Empty),
            1..=MAX_SECRETS => {}
            count => return Err(SecretError::TooMany(count)),
        }
        let secrets = words.iter().enumerate().map(|(index, word)| read(word, index + 1));
        secrets.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the value of `webhook-signature`: a signature per secret, in their order.
    ///
    /// `id` must have no full stop, because full stops separate the signed parts.
    #[must_use]
    pub fn sign(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        debug_assert!(!id.contains('.'), "a full stop in {id:?}");
        let signatures = self.0.iter().map(|secret| {
            let mut mac = secret.clone();
            mac.update(format!("{id}.{unix_seconds}.").as_bytes());
            mac.update(body);
            format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for SigningSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningSecrets({})", self.0.len())
    }
}

fn read(word: &str, number: usize) -> Result<Hmac<Sha256>, SecretError> {
    let encoded = word.strip_prefix(PREFIX).ok_or(SecretError::Form { number })?;
    let bytes = BASE64.decode(encoded.as_bytes()).map_err(|_| SecretError::Form { number })?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(SecretError::Length { number, bytes: bytes.len() });
    }
    // HMAC takes keys of any length.
    Hmac::new_from_slice(&bytes).map_err(|_| SecretError::Length { number, bytes: bytes.len() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(bytes: usize) -> String {
        format!("whsec_{}", BASE64.encode(&vec![7; bytes]))
    }

    #[test]
    fn signature_equals_that_of_the_reference_library() {
        // From the tests of the specification's own libraries.
        let secrets = SigningSecrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signed = secrets.sign(id, 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs() {
        let both = SigningSecrets::parse(&format!(" {}\n{} ", secret(24), secret(64))).unwrap();
        let each = [secret(24), secret(64)]
            .map(|text| SigningSecrets::parse(&text).unwrap().sign("msg_1", 5, b"{}"));
        assert_eq!(both.sign("msg_1", 5, b"{}"), each.join(" "));
        assert_eq!(format!("{both:?}"), "SigningSecrets(2)");
    }

    #[test]
    fn invalid_secret_is_refused_without_its_text() {
        let valid = secret(32);
        for (text, expected) in [
            (String::new(), SecretError::Empty),
            (" \n".to_owned(), SecretError::Empty),
            ("hunter2".to_owned(), SecretError::Form { number: 1 }),
            (valid["whsec_".len()..].to_owned(), SecretError::Form { number: 1 }),
            (format!("{valid} whsec_hunter2"), SecretError::Form { number: 2 }),
            (valid.trim_end_matches('=').to_owned(), SecretError::Form { number: 1 }),
            ("whsec_".to_owned(), SecretError::Length { number: 1, bytes: 0 }),
            (secret(23), SecretError::Length { number: 1, bytes: 23 }),
            (secret(65), SecretError::Length { number: 1, bytes: 65 }),
            (vec![secret(32); 11].join(" "), SecretError::TooMany(11)),
        ] {
            let error = SigningSecrets::parse(&text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,60}") {
            SigningSecrets::parse(&text).ok();
            SigningSecrets::parse(&format!("whsec_{text}")).ok();
        }
    }
}
