//! The CPU time a body may take, measured by an ordinary one on this machine.
//!
//! A fixed time would refuse valid bodies on a slow machine or in a debug build.

use super::brotli_reader::BrotliReader;
use super::cpu::{CpuBudget, thread_time};
use super::input::Input;
use std::cell::Cell;
use std::io::Read;
use std::sync::LazyLock;
use std::time::Duration;

/// Size of the content of [`REFERENCE`], and the default limit of a body.
const BYTES: usize = 256 * 1024;

/// A brotli stream of 256 KiB that takes somewhat longer than events of this size: 16 bytes as they
/// are, then literals one by one.
const REFERENCE: [u8; 29] = [
    0x85, 0x07, 0x80, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x61, 0x62, 0x63,
    0x64, 0x65, 0x66, 0x7a, 0xff, 0x1f, 0x00, 0x20, 0x40, 0x02, 0x91, 0x08, 0x06,
];

/// A body may take this many times the time of the reference. Events take at most once its time.
const FACTOR: u32 = 4;

/// The time of the reference.
static ORDINARY: LazyLock<Duration> = LazyLock::new(|| {
    // The best of three: the first one runs with cold caches.
    (0..3).map(|_| time_reference()).min().unwrap_or_default()
});

fn time_reference() -> Duration {
    let start = thread_time();
    let written = Cell::new(0);
    let unlimited = CpuBudget::new(Duration::MAX);
    let input = Input::new(&REFERENCE, &written, 0, unlimited);
    let mut content = Vec::with_capacity(BYTES);
    let read = BrotliReader::new(input, BYTES).read_to_end(&mut content);
    debug_assert!(read.is_ok_and(|read| read == BYTES));
    thread_time().saturating_sub(start)
}

/// Returns the CPU time that decoding up to `limit` bytes may take: 6 ms for the default of 256
/// KiB on a machine of 2024.
pub(super) fn allowed(limit: usize) -> Duration {
    // A limit is at most 64 MiB.
    *ORDINARY * FACTOR * limit.div_ceil(BYTES).max(1) as u32
}
