//! Why a coded body is refused.

use std::io;

/// zstd's text for a window over its limit.
const ZSTD_WINDOW_ERROR: &str = "Frame requires too much memory for decoding";

/// An error of decoding. The text completes "The body cannot be decompressed: it …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The output is over the limit.
    #[error("is too large")]
    TooLarge,
    /// The data has another coding, is truncated, or has trailing bytes.
    #[error("is damaged, truncated, or has trailing bytes")]
    Invalid,
    /// Each gzip member and zstd frame costs a decoder.
    #[error("has more than 64 members; compress the whole body as one")]
    TooManyMembers,
    /// A zstd window over 8 MiB.
    #[error("has a window over 8 MiB; compress with a window log of at most 23")]
    WindowTooLarge,
    /// Empty blocks, or data that compression makes larger.
    #[error("is longer than its content; send it without compression")]
    LongerThanContent,
    /// Far more work than any encoder causes.
    #[error("takes too much work; compress the whole body at once, or send it without compression")]
    TooCostly,
}

impl From<DecodeError> for io::Error {
    fn from(error: DecodeError) -> Self {
        Self::other(error)
    }
}

impl From<io::Error> for DecodeError {
    fn from(error: io::Error) -> Self {
        // The decoders return the errors of their input unchanged.
        let inner = error.get_ref();
        match inner.and_then(|error| error.downcast_ref::<Self>()) {
            Some(ours) => *ours,
            // zstd reports its errors as text only.
            None if inner.is_some_and(|error| error.to_string() == ZSTD_WINDOW_ERROR) => {
                Self::WindowTooLarge
            }
            None => Self::Invalid,
        }
    }
}
